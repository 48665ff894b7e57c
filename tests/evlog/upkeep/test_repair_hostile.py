"""Whoever means ill, and devices that fail: no record is lost by it, none is taken, and the log goes on."""

from __future__ import annotations

import errno
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from broken import (
    AUTHOR,
    NOTHING,
    RECORDS,
    bytes_of,
    check_mended,
    copy_of,
    grow,
    log_of,
    mended,
    spoil,
)
from crash import numbers

from evlog.errors import LackingError, LogError, RepairError, StorageError
from evlog.files import RealFolder
from evlog.frame import RECORD, pack
from evlog.log import Log
from evlog.memory import MemoryFile, MemoryFolder
from evlog.records import ForeignRowKept, Record
from evlog.segment import name_of
from evlog.tlog.committed import Published
from evlog.tlog.publisher import in_memory
from evlog.tlog.shelf import MemoryShelf
from evlog.upkeep import manifest
from evlog.upkeep.repair import Means, accept_loss, finish
from replay.verify import verify_log

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("small_segments")


def test_a_backup_is_neither_repaired_nor_cut_in_place(whole: MemoryFolder) -> None:
    spoil(whole, 9)
    whole.files[manifest.NAME] = bytearray(b"{}")
    before = bytes_of(whole)
    with pytest.raises(RepairError, match="this is a backup"):
        mended(whole, log_of())
    with pytest.raises(RepairError, match="this is a backup"):
        accept_loss(whole, Means([], NOTHING), 9)
    assert bytes_of(whole) == before


def frames_of(log: Log, offsets: range) -> bytes:
    """Return whole frames for these offsets that follow nothing."""
    return b"".join(
        pack(RECORD, bytes(4), changes=0, offset=offset, time_us=1 << 40, synced=0, prev=b"?" * 16, seed=log.seed)
        for offset in offsets
    )


def test_what_looks_like_a_frame_inside_a_damaged_record_hides_no_record_that_is_whole() -> None:
    folder = log_of(2)
    with closing(Log.open(folder)) as log, log.claim() as group:
        change = ForeignRowKept("t", {"bytes": frames_of(log, range(2, 8))}, "test")
        group.add(Record(AUTHOR.envelope("Put", 1), [change]))
        group.commit()
    with closing(Log.open(folder)) as log:
        grow(log, range(3, 12))
        position = log.frame(2).position
    whole = copy_of(folder)
    folder.files[name_of(0)][position + 10] ^= 1  # Its header: what is inside is looked at.
    copy = copy_of(whole)
    for offset in range(7, 2, -1):
        spoil(copy, offset)
    done = mended(folder, copy)
    assert done is not None
    assert [(one.start, one.stop) for one in done.mended[0].taken] == [(2, 3)]
    assert folder.files[name_of(0)] == whole.files[name_of(0)]
    assert verify_log(folder).findings == []


def test_a_frame_that_claims_what_no_writer_claims_is_not_taken(whole: MemoryFolder) -> None:
    """Else the next damage behind it could never be told from lost records."""
    with closing(Log.open(whole, writable=False)) as log:
        frame = log.frame(35)
        seed = log.seed
    folder, copy = copy_of(whole), copy_of(whole)
    forged = pack(
        frame.kind,
        frame.body,
        changes=frame.changes,
        offset=35,
        time_us=frame.time_us,
        synced=1 << 60,
        prev=frame.prev,
        seed=seed,
    )
    copy.files[name_of(32)][frame.position : frame.position + len(forged)] = forged
    spoil(folder, 35)
    with pytest.raises(LackingError, match="no copy at hand has record 35"):
        mended(copy_of(folder), copy)
    assert mended(folder, copy, whole) is not None
    check_mended(folder, whole)


class FailingFolder(MemoryFolder):
    """A folder on a device that cannot read some bytes of one file."""

    def __init__(self, folder: MemoryFolder, name: str, start: int, stop: int) -> None:
        super().__init__()
        self.files, self.failing = copy_of(folder).files, (name, start, stop)

    def open(self, name: str, *, writable: bool = False) -> MemoryFile:
        return FailingFile(self, name) if name == self.failing[0] else super().open(name, writable=writable)

    def rename(self, old: str, new: str) -> None:
        super().rename(old, new)
        if new == self.failing[0]:
            self.failing = ("", 0, 0)


class FailingFile(MemoryFile):
    def __init__(self, folder: FailingFolder, name: str) -> None:
        super().__init__(folder.files[name], name)
        self._start, self._stop = folder.failing[1:]

    def read(self, size: int, position: int) -> bytes:
        if position < self._stop and position + size > self._start:
            raise StorageError("cannot be read", file=self.name, cause=OSError(errno.EIO, "bad sector"))
        return super().read(size, position)


@pytest.mark.parametrize("base", [8, 32])
def test_what_a_device_cannot_read_is_taken_from_a_copy(whole: MemoryFolder, base: int) -> None:
    with closing(Log.open(whole, writable=False)) as log:
        position = log.frame(base + 1).position
    folder = FailingFolder(whole, name_of(base), position + 70, position + 90)
    committed = NOTHING
    if base == 32:
        shelf = MemoryShelf()
        with closing(Log.open(whole, writable=False)) as log:
            committed = Published(shelf, [in_memory(log, shelf)])
    done = mended(folder, whole, committed=committed)
    assert done is not None
    assert "the device fails" in done.mended[0].reason
    assert len(folder.files[done.mended[0].quarantine]) == len(whole.files[name_of(base)])
    check_mended(folder, whole)


@pytest.mark.parametrize("offset", [33, 24, 17])
def test_a_writer_that_was_open_when_a_loss_was_accepted_appends_nothing(tmp_path: Path, offset: int) -> None:
    folder = RealFolder(tmp_path / "log", create=True)
    writer = Log.open(folder, create=True)
    grow(writer, range(RECORDS))
    position, base = writer.frame(offset).position, offset - offset % 8
    path = folder.path / name_of(base)
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(position + 70)
        file.write(b"?")
    accept_loss(folder, Means([], NOTHING), offset)
    finish(folder, AUTHOR)
    with pytest.raises(LogError):
        grow(writer, [RECORDS])
    writer.abandon()
    with closing(Log.open(folder)) as log:
        assert numbers(log) == list(range(offset))
        grow(log, [offset])
    assert sound_at(folder)


def sound_at(folder: RealFolder) -> bool:
    return verify_log(folder).sound
