"""`retain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import show_rows, talk
from mlmd.cli.reading import metadata_of, putting_of
from mlmd.cli.refusal import USAGE, Refusal
from mlmd.cli.settings import Number
from mlmd.cli.things import table_rows
from mlmd.errors import InvalidArgumentError
from mlmd.files import read_file
from mlmd.recorder.policy import TEXT_MAX, Policy, policy_of
from mlmd.recorder.retention import Plan, plan

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings


@command(lists=True)
@with_settings
@click.argument("policy", metavar="POLICY", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Mark nothing: tell what would go.")
@click.option("--kept", is_flag=True, help="Tell what stays instead, each with the reason; marks nothing.")
@click.option("-n", "--limit", type=Number(min=0), default=0, help="How many to list; all by default.")
@click.option("--reason", metavar="TEXT", help="Why, for the record.")
def retain(settings: Settings, policy: Path, dry_run: bool, kept: bool, limit: int, reason: str | None) -> None:
    """Mark for deletion what a policy does not keep: one record. No byte is deleted here: whoever owns the content does that.

    What is held, what an alias stands for and what that was made from stay whatever the rules say. What goes stays in the store as a stub:
    id, type, name, digest, uri; so every event of every run still leads to something, and that is checked before anything is marked.

    Examples:
    evlog retain policy.toml --dry-run      what would go, and why
                                            [[keep]]                  the first rule that fits decides
                                            type = "Model"            of all types if left out
                                            newest = 5                of each name, or
                                            younger = "90d"           than that
                                            [[hold]]
                                            name = "taxi-model"       or alias, filter, type
                                            because = "ticket 81"
    evlog retain policy.toml --kept         why each of the others stays
    evlog retain policy.toml --reason "quarterly"

    """
    rules = _policy_in(policy)
    if dry_run or kept:
        with metadata_of(settings) as store:
            found = plan(store, rules)
        _show(settings, found, limit, kept=kept)
        return
    with putting_of(settings) as store:
        found = plan(store, rules)
        found.apply(reason)
    _show(settings, found, limit, kept=False)
    if found.going:
        talk(settings, "marked, and nothing deleted: delete the content, then put the state DELETED")


def _policy_in(file: Path) -> Policy:
    try:
        return policy_of(read_file(file, TEXT_MAX).decode())
    except UnicodeDecodeError as error:
        raise Refusal(f"{file}: is no text: {error.reason}", "evlog retain --help", USAGE) from None
    except InvalidArgumentError as error:
        raise Refusal(f"{file}: {error}", "evlog retain --help", USAGE) from None


def _show(settings: Settings, found: Plan, limit: int, *, kept: bool) -> None:
    table = found.kept_table(limit or None) if kept else found.table(limit or None)
    show_rows(settings, table_rows(table), [name for name in table.columns if name not in ("id", "name")], table.note)
