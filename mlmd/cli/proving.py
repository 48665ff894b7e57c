"""`prove`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evlog.errors import EvidenceError
from evlog.log import Log
from evlog.records import NodePut, TypePut
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog import evidence
from evlog.tlog.archive import best, newest
from evlog.tlog.publisher import in_memory
from evlog.tlog.review import keys_of
from evlog.tlog.shelf import FolderShelf, MemoryShelf
from evlog.tlog.tiles import FOLDER as TILES
from evlog.tlog.tiles import Tiles
from mlmd.cli.command import command, with_settings
from mlmd.cli.evidence import key_of, publish, write_file
from mlmd.cli.output import Row, rfc3339, show_one, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store, store_of
from mlmd.cli.refusal import Refusal
from mlmd.cli.things import parse_named
from mlmd.display.changes import in_short
from mlmd.moment import parse as parse_moment
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER
from replay.things import things_of
from replay.versions import history

if TYPE_CHECKING:
    from evlog.records import Entry
    from evlog.tlog.checkpoint import Signed
    from evlog.tlog.evidence import Evidence
    from evlog.tlog.proof import Node
    from mlmd.cli.settings import Settings


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
    help=f"Where the proof goes; such files end in {evidence.SUFFIX}.",
)
def prove(settings: Settings, thing: str, path: Path) -> None:
    """Write a file that shows, to anyone and without this store, that a record is in the log.

    Of an object it is the last record that put it, and nothing else of that record is shown; of an offset the whole record.
    Without a signing key the proof says "unsigned": it convinces only who has the root of the log from elsewhere.

    Examples:
    evlog prove art:2 -O model.tlog-proof      then: evlog check model.tlog-proof --policy FILE
    evlog prove '#10' -O put.tlog-proof        quote it: a shell takes # for a comment

    """
    entry, made = proof_of(settings, thing)
    write_file(path, evidence.pack(made))
    show_one(settings, {"proof": str(path), **shown_by(entry, made)})
    if made.signed.unsigned:
        talk(settings, f"the proof is unsigned: evlog -s {settings.store} keys new, and prove it again")


def proof_of(settings: Settings, thing: str, *, sign: bool = True) -> tuple[Entry, Evidence]:
    """Return the record that an object or an offset names, and the proof that it is in the log. Raises Refusal, EvidenceError.

    sign: publish a checkpoint where there is a key and none is over the record; else nothing is written, and the proof may be unsigned.
    """
    place = find_store(settings)
    entry, wanted = _wanted(settings, thing)
    signed, node = _tree(settings, place, entry.offset, sign=sign)
    with closing(Log.open(place / LOG_FOLDER, writable=False)) as log:
        made = evidence.make(log.frame(entry.offset), wanted, node, signed)
    evidence.check(made)  # Before anyone relies on it: the tiles may be damaged.
    return entry, made


def shown_by(entry: Entry, made: Evidence) -> Row:
    """Return what a proof shows, and by what."""
    return {
        "record": f"#{entry.offset}",
        "time": rfc3339(entry.time_us),
        "actor": entry.record.envelope.actor,
        "shown": in_short([entry.record.changes[one.number] for one in made.shown]),
        "changes": f"{len(made.shown)} of {len(entry.record.changes)}",
        "log": made.signed.checkpoint.origin,
        "size": made.signed.checkpoint.size,
        "root": made.signed.checkpoint.root.hex(),
        "signed_by": ", ".join(one.name for one in made.signed.note.signatures) or checkpoints.UNSIGNED,
    }


def _wanted(settings: Settings, thing: str) -> tuple[Entry, list[int]]:
    """Return a record, and which of its changes to show."""
    if thing.startswith("#"):
        try:
            offset = parse_moment(thing).at
        except ValueError as error:
            raise Refusal(str(error), "evlog prove '#0' -O FILE", 2) from error
        assert isinstance(offset, int), "a text that begins with # names an offset"
        with closing(Log.open(find_store(settings) / LOG_FOLDER, writable=False)) as log:
            entry = next(log.read(offset, offset + 1, sealed=True))  # A proof is of what is stored, and needs no key.
        return entry, [*range(len(entry.record.changes))]
    named = parse_named(thing)
    with store_of(settings) as store:
        for version in history(store.log, store.view, named, store.end, links=False, newest_first=True):
            entry = next(store.log.read(version.by.offset, version.by.offset + 1))
            changes = enumerate(entry.record.changes)
            return entry, [at for at, one in changes if isinstance(one, NodePut | TypePut) and named in things_of(one)]
    raise Refusal(f"nothing was ever put as {thing}", f"evlog -s {settings.store} artifacts")


def _tree(settings: Settings, place: Path, offset: int, *, sign: bool) -> tuple[Signed, Node]:
    """Return a checkpoint over a record and the tree below it: the best there is, one made now, or an unsigned one."""
    shelf = FolderShelf(place / TLOG_FOLDER)
    signed = best(shelf, offset)
    if signed is None and sign:
        key = key_of(place)
        if key is not None:
            signed = publish(settings, place, key)
        elif (latest := newest(shelf)) is not None:
            raise EvidenceError(
                f"the newest checkpoint is over {latest.checkpoint.size} records, and here is no key to sign another:"
                f" ask for `evlog -s {place} checkpoint` where the key is"
            )
    if signed is not None:
        signed.note.signers(keys_of(shelf.place))  # Raises where the file was tampered with.
        if shelf.names(TILES):
            return signed, Tiles(shelf).node(signed.checkpoint.size)
    memory = MemoryShelf()  # As for a backup, which has checkpoints and no tiles.
    with (
        closing(Log.open(place / LOG_FOLDER, writable=False)) as log,
        progress_of(settings, "making the tree") as progress,
    ):
        head = in_memory(log, memory, progress, signed.checkpoint.size if signed is not None else None)
    signed = signed or checkpoints.seal(head, None)
    return signed, Tiles(memory).node(signed.checkpoint.size)
