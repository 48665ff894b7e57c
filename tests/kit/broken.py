"""Logs to be damaged: made, copied, flipped. Segments are those of the fixture `small_segments`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from crash import record

from evlog.author import Author
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.segment import name_of
from evlog.tlog.committed import Published
from evlog.tlog.shelf import MemoryShelf

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
