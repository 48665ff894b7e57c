"""`check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evlog import codec
from evlog.errors import EvidenceError
from evlog.records import Entry
from evlog.tlog import evidence
from mlmd.cli.command import command, with_settings
from mlmd.cli.evidence import actors_option, policy_option, read_file, read_policy
from mlmd.cli.output import Row, show_one
from mlmd.cli.things import record_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.tlog.evidence import Evidence
    from evlog.tlog.note import VerifierKey
    from evlog.tlog.policy import Agreed
    from mlmd.cli.settings import Settings


@command()
@with_settings
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@policy_option("Whom you trust: a file in the form of c2sp.org/tlog-policy, such as `evlog keys policy` writes.")
@click.option(
    "--root", metavar="HASH", help="Instead of a policy: the root, in hexadecimal, that you know from elsewhere."
)
@actors_option
def check(settings: Settings, path: Path, policy: Path | None, root: str | None, actors: Sequence[VerifierKey]) -> None:
    """Tell whether a proof holds, and what it proves. Needs no store and no network; exit 1 where it does not hold.

    Examples:
    evlog check model.tlog-proof --policy my.policy
    evlog check model.tlog-proof --root 3b7e...        for an unsigned proof, with a root written down
    evlog check model.tlog-proof --policy my.policy --actors staff.keys     and whoever acted signed it, with a key that you know
    evlog check model.tlog-proof --policy my.policy --json

    """
    if (policy is None) == (root is None):
        raise click.UsageError("whom do you trust? give --policy POLICY or --root HASH")
    try:
        proof = evidence.parse(read_file(path, evidence.EVIDENCE_BYTES_MAX))
        proven = evidence.check(proof)
        signed = evidence.actor_of(proof, actors)
        if signed is None and actors:
            raise EvidenceError("no actor signed the record")
        agreed = read_policy(policy).check(proof.signed) if policy is not None else None
        if agreed is None and proof.signed.checkpoint.root.hex() != str(root).lower():
            raise EvidenceError("the root of the checkpoint is not the one that you know")
    except EvidenceError as error:
        raise EvidenceError(f"{path}: nothing is proven: {error}") from error
    row = _row(proof, proven, agreed) | {"actor_known": signed.known if signed is not None else None}
    if settings.form == "table":
        row["changes"] = [
            {"number": one.number, "change": what} for one, what in zip(proof.shown, row["changes"], strict=True)
        ]
    show_one(settings, row)


def _row(proof: Evidence, proven: evidence.Proven, agreed: Agreed | None) -> Row:
    head = proof.signed.checkpoint
    record = codec.decode_stored(proof.envelope, [one.change for one in proof.shown], offset=proven.offset)
    return {
        "proven": True,
        "log": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "signed_by": agreed.logs if agreed is not None else [],
        "witnesses": agreed.witnesses if agreed is not None else [],
        "shown": f"{len(proof.shown)} of {proven.changes} changes",
        **record_row(Entry(proven.offset, proven.time_us, record)),
    }
