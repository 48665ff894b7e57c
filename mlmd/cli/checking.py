"""`check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evlog.errors import EvidenceError
from mlmd.cli.command import command, with_settings
from mlmd.cli.evidence import actors_option, policy_option
from mlmd.cli.output import Row, show_one
from mlmd.cli.things import record_row
from mlmd.proofs import checked, read_proof
from mlmd.trust import by_key, by_root, read_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.tlog.note import VerifierKey
    from mlmd.cli.settings import Settings
    from mlmd.proofs import Checked
    from mlmd.trust import Trust


def _trusting(_: click.Context, __: click.Parameter, key: str | None) -> Trust | None:
    try:
        return None if key is None else by_key(key)
    except EvidenceError as error:
        raise click.BadParameter(f"{error}: give the `public` of `evlog keys show`") from error


@command()
@with_settings
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@policy_option("Whom you trust: a file in the form of c2sp.org/tlog-policy, such as `evlog keys policy` writes.")
@click.option(
    "--root", metavar="HASH", help="Instead of a policy: the root, in hexadecimal, that you know from elsewhere."
)
@click.option(
    "--key", metavar="KEY", callback=_trusting, help="Or the log's public key, as `evlog keys show` tells it."
)
@actors_option
def check(
    settings: Settings,
    path: Path,
    policy: Path | None,
    root: str | None,
    key: Trust | None,
    actors: Sequence[VerifierKey],
) -> None:
    """Tell whether a proof holds, and what it proves. Needs no store and no network; exit 1 where it does not hold.

    Examples:
    evlog check model.tlog-proof --policy my.policy
    evlog check model.tlog-proof --key LOG-KEY         the `public` that `evlog keys show` tells
    evlog check model.tlog-proof --root 3b7e...        for an unsigned proof, with a root written down
    evlog check model.tlog-proof --policy my.policy --actors staff.keys     and whoever acted signed it, with a key that you know
    evlog check model.tlog-proof --policy my.policy --json

    """
    trusted = [
        *([read_policy(policy).check] if policy is not None else []),
        *([by_root(root)] if root is not None else []),
        *([key] if key is not None else []),
    ]
    if len(trusted) != 1:
        raise click.UsageError("whom do you trust? give one of --policy POLICY, --root HASH and --key KEY")
    [trust] = trusted
    try:
        found = checked(read_proof(path), trust, actors)
    except EvidenceError as error:
        raise EvidenceError(f"{path}: nothing is proven: {error}") from error
    row = _row(found)
    if settings.form == "table":
        shown = zip(found.evidence.shown, row["changes"], strict=True)
        row["changes"] = [{"number": one.number, "change": what} for one, what in shown]
    show_one(settings, row)


def _row(found: Checked) -> Row:
    return {
        "proven": True,
        "log": found.log,
        "size": found.size,
        "root": found.root,
        "signed_by": found.agreed.logs,
        "witnesses": found.agreed.witnesses,
        "shown": f"{len(found.shown)} of {found.changes} changes",
        **record_row(found.entry),
        "actor_known": found.actor_known,
    }
