from __future__ import annotations

import random
import shutil
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, get_args

import pytest
from crash import numbers, record
from disk import DeathError, Fault, PowerCutError, SimulatedDisk, Strike

from evlog import compression, segment
from evlog.compression import compress_all
from evlog.errors import (
    BackupError,
    CorruptLogError,
    DamagedBackupError,
    DivergedError,
    FormatVersionError,
    StorageError,
)
from evlog.files import RealFolder
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.upkeep import manifest
from evlog.upkeep.backup import backup
from evlog.upkeep.restore import check, restore
from replay.verify import verify_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from evlog.files import Folder


def put(folder: Path, start: int, stop: int, size: int = 100) -> None:
    log = Log.open(folder, create=True)
    for number in range(start, stop):
        with log.claim() as group:
            group.add(record(number, size))
            group.commit()
    log.close()


def held(folder: Folder) -> list[int]:
    """Return the numbers of the records of a backup, which is sound as a log and as a backup."""
    assert verify_log(folder).sound
    found = check(folder)
    with closing(Log.open(folder, writable=False)) as log:
        assert log.tip_at(found.end).tree.root().hex() == found.root
        return numbers(log)[: found.end]


def compress(folder: Path) -> list[int]:
    """Compress what can be; return the bases."""
    with closing(Log.open(folder, writable=False)) as log:
        return [one.base for one in compress_all(log.folder, seed=log.seed)]


@pytest.fixture
def store(tmp_path: Path, small_segments: int) -> Path:
    """A log of two full segments and a half."""
    put(tmp_path / "store", 0, small_segments * 2 + 4)
    return tmp_path / "store"


@pytest.fixture
def target(tmp_path: Path) -> RealFolder:
    return RealFolder(tmp_path / "copy", create=True)


def test_a_backup_is_a_log_with_the_records_of_the_store(store: Path, target: RealFolder) -> None:
    done = backup(RealFolder(store), target)
    assert held(target) == list(range(20))
    assert (done.before, done.manifest.end, done.files) == (0, 20, 3)
    for path in store.glob("*.seg"):
        assert (target.path / path.name).read_bytes() == path.read_bytes()


def test_an_open_store_is_copied_up_to_head_and_not_a_byte_further(
    store: Path, target: RealFolder, small_segments: int
) -> None:
    with closing(Log.open(store)) as log:
        with log.claim() as group:
            group.add(record(20))
            group.commit()
        assert (store / segment.name_of(16)).read_bytes().endswith(bytes(64)), "zeros in reserve"
        backup(RealFolder(store), target)
        assert held(target) == list(range(21))
        assert not (target.path / segment.name_of(16)).read_bytes().endswith(bytes(64))
    assert small_segments


def test_a_backup_grows_with_the_store_and_sealed_segments_are_copied_once(store: Path, target: RealFolder) -> None:
    backup(RealFolder(store), target)
    sealed = target.path / segment.name_of(0)
    before = sealed.stat()
    put(store, 20, 30)
    done = backup(RealFolder(store), target)
    assert held(target) == list(range(30))
    assert (done.before, done.files) == (20, 2), "what was active and is sealed now, and its successor"
    assert sealed.stat().st_mtime_ns == before.st_mtime_ns
    again = backup(RealFolder(store), target)
    assert (again.before, again.files, again.written) == (30, 0, 0)
    assert again.manifest.made > done.manifest.made, "it is known that nothing was put since"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_backup_interrupted_at_any_step_leaves_the_one_before_and_the_next_run_goes_on(
    store: Path, tmp_path: Path, full: bool, compressed: bool
) -> None:
    later = tmp_path / "later"
    shutil.copytree(store, later)
    put(later, 20, 30)
    if compressed:
        compress(store)
        compress(later)
    steps = _steps_of(store, later)
    rng = random.Random(5)
    for at in range(1, steps + 1):
        for strike in get_args(Strike) if full else rng.sample(get_args(Strike), 3):
            for first in (True, False):
                disk = SimulatedDisk()
                if not first:
                    backup(RealFolder(store), disk)
                disk.steps, disk.fault = 0, Fault(at, strike)
                try:
                    backup(RealFolder(later), disk)
                except (StorageError, DeathError, PowerCutError) as error:
                    disk = disk.cut(rng) if isinstance(error, PowerCutError) or rng.random() < 0.3 else disk
                disk.restart()
                if not first:
                    assert held(disk) in (list(range(20)), list(range(30))), (at, strike)
                backup(RealFolder(later), disk)
                assert held(disk) == list(range(30)), (at, strike)


def _steps_of(store: Path, later: Path) -> int:
    disk = SimulatedDisk()
    backup(RealFolder(later), disk)
    most = disk.steps
    disk = SimulatedDisk()
    backup(RealFolder(store), disk)
    disk.steps = 0
    backup(RealFolder(later), disk)
    return max(most, disk.steps)


def test_compressed_segments_are_copied_as_they_are_and_once(store: Path, target: RealFolder) -> None:
    assert compress(store) == [0, 8]
    backup(RealFolder(store), target)
    assert held(target) == list(range(20))
    names = [segment.compressed_name_of(0), segment.compressed_name_of(8), segment.name_of(16)]
    assert [name for name in target.names() if segment.base_of(name) is not None] == names
    for name in names:
        assert (target.path / name).read_bytes() == (store / name).read_bytes()
    assert backup(RealFolder(store), target).files == 0


def test_what_is_compressed_between_two_backups_on_either_side_is_not_copied_again(
    store: Path, target: RealFolder
) -> None:
    first = backup(RealFolder(store), target)
    assert compress(store) == [0, 8]
    second = backup(RealFolder(store), target)
    assert (second.files, second.written) == (0, 0)
    assert second.manifest.files == first.manifest.files, "it speaks of the uncompressed bytes"
    put(store, 20, 30)
    assert compress(store) == [16]
    third = backup(RealFolder(store), target)
    assert third.files == 2, "the rest of what was active, from its compressed form, and its successor"
    assert held(target) == list(range(30))
    assert compress(target.path) == [0, 8, 16]
    assert held(target) == list(range(30))
    put(store, 30, 31)
    assert backup(RealFolder(store), target).files == 1
    assert held(target) == list(range(31))
    assert not list(target.path.glob("*.new"))


@pytest.mark.parametrize("store_too", [False, True])
def test_what_a_backup_that_was_interrupted_copied_may_be_compressed_before_the_next(
    store: Path, target: RealFolder, store_too: bool
) -> None:
    backup(RealFolder(store), target)
    former = (target.path / manifest.NAME).read_bytes()
    put(store, 20, 30)
    backup(RealFolder(store), target)
    (target.path / manifest.NAME).write_bytes(former)  # It died between HEAD and the manifest.
    assert compress(target.path) == [0, 8, 16]
    if store_too:
        assert compress(store) == [0, 8, 16]
    assert held(target) == list(range(20))
    backup(RealFolder(store), target)
    assert held(target) == list(range(30))


def test_what_was_compressed_in_a_backup_and_then_damaged_is_not_shadowed_by_a_new_file(
    store: Path, target: RealFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "BLOCK_BYTES", 512)
    monkeypatch.setattr(segment, "FIRST_READ_BYTES", 256)
    monkeypatch.setattr(segment, "READ_BYTES", 256)
    backup(RealFolder(store), target)
    former = (target.path / manifest.NAME).read_bytes()
    put(store, 20, 30)
    backup(RealFolder(store), target)
    (target.path / manifest.NAME).write_bytes(former)
    assert compress(target.path) == [0, 8, 16]
    small = target.path / segment.compressed_name_of(16)
    data = bytearray(small.read_bytes())
    with closing(segment.open_compressed(target, 16)) as opened:
        data[opened._starts[-3] - 3] ^= 1  # Behind the records of the manifest, before the seal: no opening reads it.
    small.chmod(0o644)
    small.write_bytes(data)
    with pytest.raises(DamagedBackupError, match=small.name):
        backup(RealFolder(store), target)
    assert not (target.path / segment.name_of(16)).exists()


def test_the_manifest_is_the_same_whatever_is_compressed(store: Path, tmp_path: Path) -> None:
    raw, small = RealFolder(tmp_path / "raw", create=True), RealFolder(tmp_path / "small", create=True)
    one = backup(RealFolder(store), raw)
    compress(store)
    other = backup(RealFolder(store), small)
    assert (one.manifest.files, one.written, one.files) == (other.manifest.files, other.written, other.files)


def test_a_flip_in_a_compressed_segment_of_a_backup_is_found_or_changes_nothing(
    store: Path, target: RealFolder, full: bool
) -> None:
    compress(store)
    backup(RealFolder(store), target)
    path = target.path / segment.compressed_name_of(8)
    sound = path.read_bytes()
    path.chmod(0o644)
    for at in range(0, len(sound), 1 if full else 7):
        data = bytearray(sound)
        data[at] ^= 16
        path.write_bytes(data)
        try:
            assert held(target) == list(range(20)), at
        except (AssertionError, CorruptLogError, DamagedBackupError):
            with pytest.raises((CorruptLogError, DamagedBackupError)) as damage:
                check(target)
            assert path.name in str(damage.value)


def test_damage_in_a_compressed_segment_does_not_become_a_backup(store: Path, target: RealFolder) -> None:
    compress(store)
    path = store / segment.compressed_name_of(8)
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(CorruptLogError, match=path.name):
        backup(RealFolder(store), target)
    with pytest.raises(BackupError, match="no finished backup"):
        check(target)


@pytest.mark.parametrize("compressed", [False, True])
def test_bytes_of_an_interrupted_backup_are_not_written_again(
    store: Path, target: RealFolder, compressed: bool
) -> None:
    name = segment.compressed_name_of(8) if compressed else segment.name_of(8)
    if compressed:
        compress(store)
    backup(RealFolder(store), target)
    (target.path / manifest.NAME).rename(target.path / manifest.STARTED)
    (target.path / "HEAD").unlink()
    last = target.path / segment.name_of(16)
    last.write_bytes(last.read_bytes()[:500])
    before = (target.path / name).stat().st_mtime_ns
    backup(RealFolder(store), target)
    assert held(target) == list(range(20))
    assert (target.path / name).stat().st_mtime_ns == before


def test_a_store_that_was_rolled_back_is_told_where_it_and_its_backup_part(
    store: Path, target: RealFolder, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(store, old)
    put(store, 20, 27)
    backup(RealFolder(store), target)
    files = {path.name: path.read_bytes() for path in target.path.iterdir()}
    with pytest.raises(DivergedError, match=r"holds 27 records, the store 20, and they part at #20") as ends:
        backup(RealFolder(old), target)
    assert (ends.value.offset, ends.value.backup_end, ends.value.end) == (20, 27, 20)
    put(old, 20, 22)
    put(old, 1000, 1010)  # Other records, more of them.
    with pytest.raises(DivergedError, match="two histories") as parts:
        backup(RealFolder(old), target)
    assert parts.value.offset == 20, "the times differ, so even the same nodes are other records"
    assert {path.name: path.read_bytes() for path in target.path.iterdir()} == files


def test_a_backup_that_somebody_put_into_is_refused(store: Path, target: RealFolder) -> None:
    backup(RealFolder(store), target)
    put(target.path, 77, 78)
    with pytest.raises(DivergedError, match="part at #20"):
        backup(RealFolder(store), target)
    put(store, 20, 25)
    with pytest.raises(DivergedError, match="part at #20"):
        backup(RealFolder(store), target)


def test_a_later_segment_of_an_interrupted_backup_of_a_store_rolled_back_since_is_refused(
    store: Path, target: RealFolder, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(store, old)
    backup(RealFolder(store), target)
    former = {name: (target.path / name).read_bytes() for name in ("HEAD", manifest.NAME)}
    put(store, 20, 30)
    backup(RealFolder(store), target)
    for name, data in former.items():
        (target.path / name).write_bytes(data)
    assert held(target) == list(range(20))
    with pytest.raises(DivergedError, match="part at #20"):
        backup(RealFolder(old), target)
    backup(RealFolder(store), target)
    assert held(target) == list(range(30))


def test_another_log_and_a_store_that_is_no_backup_are_refused(store: Path, target: RealFolder, tmp_path: Path) -> None:
    put(tmp_path / "other", 0, 1)
    backup(RealFolder(tmp_path / "other"), target)
    with pytest.raises(BackupError, match="a backup of another log"):
        backup(RealFolder(store), target)
    with pytest.raises(BackupError, match="a store that is no backup"):
        backup(RealFolder(tmp_path / "other"), RealFolder(store))
    with pytest.raises(BackupError, match="a store that is no backup"):
        backup(RealFolder(store), RealFolder(store))


def test_a_store_without_head_cannot_say_how_far_it_goes(store: Path, target: RealFolder) -> None:
    (store / "HEAD").unlink()
    with pytest.raises(BackupError, match="HEAD is missing or damaged"):
        backup(RealFolder(store), target)
    assert target.names() == []


@pytest.mark.parametrize("base", [0, 8, 16])
def test_damage_in_the_store_does_not_become_a_backup(store: Path, target: RealFolder, base: int) -> None:
    name = segment.name_of(base)
    data = bytearray((store / name).read_bytes())
    data[600] ^= 1
    (store / name).write_bytes(data)
    with pytest.raises(CorruptLogError, match=name) as damage:
        backup(RealFolder(store), target)
    assert damage.value.file == str(store / name)
    with pytest.raises(BackupError, match="no finished backup"):
        check(target)


@pytest.mark.parametrize("name", ["LOGID", segment.name_of(0), segment.name_of(16), "BACKUP"])
def test_a_flipped_byte_anywhere_in_a_backup_is_found(store: Path, target: RealFolder, name: str, full: bool) -> None:
    backup(RealFolder(store), target)
    sound = (target.path / name).read_bytes()
    for at in range(0, len(sound), 1 if full else 61):
        data = bytearray(sound)
        data[at] ^= 1
        (target.path / name).write_bytes(data)
        if name == "BACKUP":
            try:
                found = check(target)
            except (BackupError, FormatVersionError):
                continue
            # What no hash covers is what the backup says of itself, or a space between two words.
            assert [(file.size, file.sha256) for file in found.files] == [
                (len(path.read_bytes()), path_sha) for path, path_sha in _files_of(target)
            ]
        else:
            with pytest.raises(BackupError):
                check(target)


def _files_of(target: RealFolder) -> list[tuple[Path, str]]:
    from hashlib import sha256

    paths = [target.path / "LOGID", *sorted(target.path.glob("*.seg"))]
    return [(path, sha256(path.read_bytes()).hexdigest()) for path in paths]


def test_a_backup_that_lost_bytes_is_not_added_to(store: Path, target: RealFolder) -> None:
    backup(RealFolder(store), target)
    put(store, 20, 22)
    path = target.path / segment.name_of(16)
    sound = path.read_bytes()
    data = bytearray(sound)
    data[100] ^= 1  # In the frontier: the records are read no more, their hash is.
    for bad in (bytes(data), sound[:-8]):
        path.write_bytes(bad)
        with pytest.raises((DamagedBackupError, CorruptLogError)):
            backup(RealFolder(store), target)
    path.write_bytes(sound)
    first = target.path / segment.name_of(0)
    first.rename(first.with_suffix(".gone"))
    with pytest.raises((DamagedBackupError, CorruptLogError)):
        backup(RealFolder(store), target)


def test_a_manifest_that_is_none_is_refused_with_what_is_wrong(store: Path, target: RealFolder) -> None:
    backup(RealFolder(store), target)
    path = target.path / manifest.NAME
    sound = path.read_text()
    for old, new, reason in [
        ("{", "[", "cannot be read"),
        ('"format": 1', '"format": 2', "format version 2"),
        ('"name": "LOGID"', '"name": "../LOGID"', "in order"),
        (segment.name_of(8), segment.name_of(9), "missing|in order"),
        (f'"{segment.name_of(0)}"', f'"{segment.name_of(4)}"', "other segments"),
        ('"end": 20', '"end": 4', "other segments"),
        ('"root": "', '"root": "x', "a hash that is none"),
        ('Z"', '"', "no zone"),
    ]:
        path.write_text(sound.replace(old, new, 1))
        with pytest.raises((BackupError, FormatVersionError), match=reason):
            check(target)
        if segment.name_of(8) not in old:  # That one is compared with the store's, and listed again.
            with pytest.raises((BackupError, FormatVersionError)):
                backup(RealFolder(store), target)
    path.write_text(sound)
    assert check(target).end == 20


def test_a_backup_of_a_store_without_records_is_one(tmp_path: Path, target: RealFolder) -> None:
    Log.open(tmp_path / "empty", create=True).close()
    backup(RealFolder(tmp_path / "empty"), target)
    assert held(target) == []


def test_a_backup_and_a_restore_tell_how_far_they_are(store: Path, target: RealFolder) -> None:
    told: dict[str, list[tuple[int, int]]] = {}

    @contextmanager
    def stage(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        assert unit in ("bytes", "records")
        steps = told.setdefault(what, [])
        yield lambda *step: steps.append(step)

    done = backup(RealFolder(store), target, stage)
    found = check(target, stage)
    restore(target, found, 13, MemoryFolder(), stage)
    for what in ("copying", "checking the backup", "restoring"):
        steps = told[what]
        assert steps == sorted(steps), what
        assert steps[-1][0] == steps[-1][1] > 0, what
    assert told["copying"][-1][0] == done.written
    assert "checking" in told
