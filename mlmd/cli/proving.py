"""`prove`."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evlog.tlog.checkpoint import UNSIGNED
from evlog.tlog.evidence import SUFFIX
from mlmd.changes import in_short
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import Row, rfc3339, show_one, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store, store_of
from mlmd.cli.refusal import USAGE, Refusal
from mlmd.cli.things import thing_named
from mlmd.moment import parse as parse_moment
from mlmd.opening import opened_log
from mlmd.proofs import make, record_at
from mlmd.proofs import prove as prove_thing

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings
    from mlmd.proofs import Proof


@command()
@with_settings
@click.argument("thing", metavar="OBJECT|#OFFSET")
@click.option(
    "-O",
    "--out",
    "path",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Where the proof goes; such files end in {SUFFIX}.",
)
def prove(settings: Settings, thing: str, path: Path) -> None:
    """Write a file that shows, to anyone and without this store, that a record is in the log.

    Of an object it is the last record that put it, and nothing else of that record is shown; of an offset the whole record.
    Without a signing key the proof says "unsigned": it convinces only who has the root of the log from elsewhere.

    Examples:
    evlog prove art:2 -O model.tlog-proof      then: evlog check model.tlog-proof --policy FILE
    evlog prove taxi-model:1 -O model.tlog-proof
    evlog prove '#10' -O put.tlog-proof        quote it: a shell takes # for a comment

    """
    made = proof_of(settings, thing)
    made.save(path)
    show_one(settings, {"proof": str(path), **proof_row(made)})
    if made.unsigned:
        talk(settings, f"the proof is unsigned: {settings.command} keys new, and prove it again")


def proof_of(settings: Settings, thing: str) -> Proof:
    """Return the proof that the record is in the log which an object or an offset names. Raises Refusal, EvidenceError, StatusError."""
    stage = partial(progress_of, settings)
    if not thing.startswith("#"):
        with store_of(settings) as store:
            return prove_thing(store.metadata, thing_named(store.metadata, thing), stage=stage)
    try:
        offset = parse_moment(thing).at
    except ValueError as error:
        raise Refusal(str(error), "evlog prove '#0' -O FILE", USAGE) from error
    assert isinstance(offset, int), "a text that begins with # names an offset"
    # Without its view, which a backup has not.
    with closing(opened_log(find_store(settings))) as log:
        if offset >= log.end:
            raise Refusal(
                f"there is no record #{offset}: the log holds {log.end:,}, from #0 on",
                f"{settings.command} log -n 1",
            )
        return make(log, *record_at(log, offset), sign=True, stage=stage)


def proof_row(made: Proof) -> Row:
    """Return what a proof shows, and by what."""
    return {
        "record": f"#{made.offset}",
        "time": rfc3339(made.entry.time_us),
        "actor": made.actor,
        "shown": in_short(made.shown),
        "changes": f"{len(made.shown)} of {len(made.entry.record.changes)}",
        "log": made.log,
        "size": made.size,
        "root": made.root,
        "signed_by": ", ".join(made.signed_by) or UNSIGNED,
    }
