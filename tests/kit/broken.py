"""Logs to be damaged: made, copied, flipped. Segments are those of the fixture `small_segments`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from crash import numbers, record

from evlog import identity
from evlog.author import Author
from evlog.compression import compress_all
from evlog.frame import seed_of
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.records import LossAccepted, Repaired
from evlog.segment import name_of
from evlog.tlog.committed import Published
from evlog.tlog.shelf import MemoryShelf
from evlog.upkeep.repair import NAME, Copy, Means, accept_loss, finish, repair
from replay.verify import verify_log

if TYPE_CHECKING:
    from collections.abc import Iterable

RECORDS = 36  # Four full segments of eight, and a half one.
NOTHING = Published(MemoryShelf(), [])
AUTHOR = Author(actor="ana", reason="disk 3 replaced")

Files = dict[str, bytes]


def log_of(records: int = RECORDS) -> MemoryFolder:
    folder = MemoryFolder()
    with closing(Log.open(folder, create=True)) as log:
        grow(log, range(records))
    return folder


def grow(log: Log, made: Iterable[int]) -> None:
    for number in made:
        with log.claim() as group:
            group.add(record(number, 300))
            group.commit()


def copy_of(folder: MemoryFolder) -> MemoryFolder:
    twin = MemoryFolder()
    twin.files = {name: bytearray(data) for name, data in folder.files.items()}
    return twin


def bytes_of(folder: MemoryFolder) -> Files:
    return {name: bytes(data) for name, data in folder.files.items()}


def flip(folder: MemoryFolder, name: str, position: int) -> None:
    folder.files[name][position] ^= 0x10


def spoil(folder: MemoryFolder, offset: int) -> None:
    """Flip a bit in the last byte of the body of a record."""
    with closing(Log.open(copy_of(folder), writable=False)) as log:
        frame = log.frame(offset)
    flip(folder, name_of(offset - offset % 8), frame.position + 64 + len(frame.body) - 1)


# Repaired ----------------------------------------------------------------------------------------------------------------


def sound(folder: MemoryFolder) -> bool:
    return verify_log(folder).sound


def mended(folder: MemoryFolder, *copies: MemoryFolder, committed: Published = NOTHING) -> Repaired | None:
    named = [Copy(f"copy {number}", copy) for number, copy in enumerate(copies)]
    return repair(folder, Means(named, committed), AUTHOR)


def last_change(folder: MemoryFolder) -> object:
    with closing(Log.open(folder, writable=False)) as log:
        (entry,) = log.read(log.end - 1)
        assert (entry.record.envelope.actor, entry.record.envelope.reason) == ("ana", "disk 3 replaced")
        return entry.record.changes[-1]


def compressed(whole: MemoryFolder) -> MemoryFolder:
    folder = copy_of(whole)
    assert compress_all(folder, seed=seed_of(identity.read(folder).log_id))
    return folder


def check_mended(folder: MemoryFolder, whole: MemoryFolder) -> None:
    """Fail unless a log is what it was, and a record says that it was repaired."""
    report = verify_log(folder)
    assert report.findings == []
    for name, data in bytes_of(whole).items():
        if name.endswith(".seg") and name != name_of(32):
            assert bytes(folder.files[name]) == data, name
    assert bytes(folder.files[name_of(32)]).startswith(bytes(whole.files[name_of(32)]))
    assert folder.files[identity.NAME] == whole.files[identity.NAME]
    assert NAME not in folder.files
    assert not [name for name in folder.files if name.endswith(".new")]
    with closing(Log.open(folder)) as log:
        assert numbers(log) == list(range(RECORDS))
        assert log.tip_at(RECORDS).tree.root() == Log.open(whole, writable=False).tip_at(RECORDS).tree.root()


def accept(
    folder: MemoryFolder, offset: int, *copies: MemoryFolder, committed: Published = NOTHING, acknowledged: int = 0
) -> LossAccepted:
    named = [Copy("copy", copy) for copy in copies]
    accept_loss(folder, Means(named, committed, acknowledged), offset)
    return next(one for one in finish(folder, AUTHOR) if isinstance(one, LossAccepted))
