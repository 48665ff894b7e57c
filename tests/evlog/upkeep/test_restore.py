from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from crash import numbers, record
from disk import DeathError, Fault, PowerCutError, SimulatedDisk

from evlog import segment
from evlog.author import Author
from evlog.compression import compress_all
from evlog.errors import BackupError, CorruptLogError, DamagedBackupError, FutureError, StorageError
from evlog.files import RealFolder, staged
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.records import Restored
from evlog.upkeep import manifest
from evlog.upkeep.backup import backup
from evlog.upkeep.restore import check, restore
from replay.verify import verify_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

END = 20


@pytest.fixture
def store(small_segments: int) -> Iterator[Log]:
    """A log of two full segments and a half, open."""
    with closing(Log.open(MemoryFolder(), create=True)) as log:
        for number in range(END):
            with log.claim() as group:
                group.add(record(number))
                group.commit()
        assert len(segment.bases(log.folder)) == 3, small_segments
        yield log


@pytest.fixture
def copy(store: Log, tmp_path: Path) -> RealFolder:
    folder = RealFolder(tmp_path / "copy", create=True)
    backup(store.folder, folder)
    return folder


@pytest.mark.parametrize("compressed", ["neither", "store", "backup"])
@pytest.mark.parametrize("end", range(END + 1))
def test_every_moment_can_be_brought_back(store: Log, tmp_path: Path, end: int, compressed: str) -> None:
    if compressed == "store":
        assert len(compress_all(store.folder, seed=store.seed)) == 2
    copy = RealFolder(tmp_path / "copy", create=True)
    backup(store.folder, copy)
    if compressed == "backup":
        assert len(compress_all(copy, seed=store.seed)) == 2
    target = MemoryFolder()
    told = restore(copy, check(copy), end, target, author=Author(actor="ana", reason="ticket 81"))
    assert verify_log(target).findings == []
    with closing(Log.open(target, writable=False)) as log:
        assert (log.id, log.origin, log.end) == (store.id, store.origin, end + 1)
        assert list(log.read(0, end)) == list(store.read(0, end))
        assert log.tip_at(end).tree.root() == store.tip_at(end).tree.root() == told.root
        (last,) = log.read(end)
    said = last.record.envelope
    assert (said.api, said.actor, said.reason) == ("Restore", "ana", "ticket 81")
    assert last.record.changes == [told]
    assert told == Restored(
        store.id,
        store.origin,
        end,
        store.tip_at(end).tree.root(),
        END,
        store.tip_at(END).tree.root(),
        check(copy).made_us,
    )


def test_a_restored_log_is_written_on_and_backed_up_into_the_backup_it_came_from(copy: RealFolder) -> None:
    target = MemoryFolder()
    restore(copy, check(copy), END, target)
    with closing(Log.open(target)) as log:
        for number in range(END, END + 20):
            with log.claim() as group:
                group.add(record(number))
                group.commit()
        assert numbers(log) == list(range(END + 20))
    assert backup(target, copy).before == END
    assert check(copy).end == END + 21


def test_more_records_than_a_backup_holds_are_in_the_future(copy: RealFolder) -> None:
    for end in (END + 1, -1):
        with pytest.raises(FutureError):
            restore(copy, check(copy), end, MemoryFolder())


def test_what_an_interrupted_later_backup_left_is_not_restored(store: Log, copy: RealFolder) -> None:
    before = (copy.path / manifest.NAME).read_bytes()
    with store.claim() as group:
        group.add(record(END))
        group.commit()
    backup(store.folder, copy)
    (copy.path / manifest.NAME).write_bytes(before)
    target = MemoryFolder()
    restore(copy, check(copy), END, target)
    with closing(Log.open(target, writable=False)) as log:
        assert numbers(log) == list(range(END))


def test_a_manifest_of_another_root_or_log_restores_nothing(copy: RealFolder) -> None:
    path = copy.path / manifest.NAME
    found = check(copy)
    path.write_text(path.read_text().replace(found.root, "0" * 64))
    with pytest.raises(DamagedBackupError, match="the root is not that"):
        restore(copy, check(copy), END, MemoryFolder())
    path.write_text(path.read_text().replace(found.log_id, "0" * 32))
    with pytest.raises(DamagedBackupError, match="another log"):
        check(copy)


def test_a_backup_changed_after_its_check_is_noticed(copy: RealFolder) -> None:
    found = check(copy)
    path = copy.path / segment.name_of(0)
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptLogError, match="00000000.seg"):
        restore(copy, found, END, MemoryFolder())


def test_a_folder_without_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no finished backup"):
        check(RealFolder(tmp_path))


def test_a_restore_that_said_it_was_done_is_on_the_disk_and_one_that_failed_said_so(copy: RealFolder) -> None:
    import random

    rng, found = random.Random(3), check(copy)
    probe = SimulatedDisk()
    restore(copy, found, 13, probe)
    for at in range(1, probe.steps + 1):
        for strike in ("cut after", "error before", "error after", "short write", "death amid"):
            disk = SimulatedDisk(Fault(at, strike))
            with pytest.raises((StorageError, DeathError, PowerCutError)):
                restore(copy, found, 13, disk)
    with closing(Log.open(probe.cut(rng))) as log:
        assert numbers(log) == list(range(13))
        assert log.end == 14


def test_a_staged_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b"
    with staged(place) as folder:
        (folder / "file").write_text("x")
        assert not place.exists()
    assert (place / "file").read_text() == "x"
    with pytest.raises(StorageError, match="it is there already"), staged(place):
        pass
    other = tmp_path / "other"
    message = "stop"
    with pytest.raises(RuntimeError), staged(other) as folder:
        (folder / "file").write_text("x")
        raise RuntimeError(message)
    with pytest.raises(StorageError, match="rename"), staged(other) as folder:
        other.mkdir()
        (other / "theirs").write_text("y")
    assert (other / "theirs").read_text() == "y"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "other"]
