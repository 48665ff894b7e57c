"""Compressed segments and CHECKPOINT frames: a repair goes by both, and leaves none that is stale."""

from __future__ import annotations

import shutil
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from broken import (
    AUTHOR,
    NOTHING,
    RECORDS,
    accept,
    check_mended,
    compressed,
    copy_of,
    flip,
    grow,
    log_of,
    mended,
    sound,
    spoil,
)
from crash import numbers

from evlog import compression, head, identity, resume, segment
from evlog.compression import compress_all
from evlog.files import RealFolder
from evlog.frame import SYNC, pack, seed_of
from evlog.log import Log
from evlog.segment import compressed_name_of, name_of
from evlog.upkeep.repair import Copy, Means, accept_loss, finish, repair
from replay.verify import verify_log

if TYPE_CHECKING:
    from evlog.memory import MemoryFolder

pytestmark = pytest.mark.usefixtures("small_segments")


@pytest.mark.parametrize("form", ["raw", "compressed", "without HEAD"])
def test_damage_anywhere_in_a_compressed_segment_is_mended_from_a_copy_of_either_form(
    whole: MemoryFolder, form: str
) -> None:
    small = compressed(whole)
    copy = small if form == "compressed" else whole
    if form == "without HEAD":
        copy = copy_of(small)
        del copy.files[head.NAME], copy.files[identity.NAME]
    name = compressed_name_of(8)
    size = len(small.files[name])
    for position in [*range(0, size, 97), *range(size - 30, size)]:
        folder = copy_of(small)
        flip(folder, name, position)
        if sound(folder):
            continue
        damaged = bytes(folder.files[name])
        done = mended(folder, copy)
        assert done is not None
        assert [one.file for one in done.mended] == [name]
        assert bytes(folder.files[done.mended[0].quarantine]) == damaged
        assert name not in folder.files
        assert folder.files[name_of(8)] == whole.files[name_of(8)]
        compress_all(folder, seed=seed_of(identity.read(folder).log_id))
        assert folder.files[name] == small.files[name]
        assert verify_log(folder).findings == []


@pytest.mark.parametrize("left", [0, 5, 200])
def test_a_compressed_segment_that_was_cut_or_is_gone_comes_back(whole: MemoryFolder, left: int) -> None:
    folder = compressed(whole)
    name = compressed_name_of(8)
    if left:
        del folder.files[name][left:]
    else:
        del folder.files[name]
    assert mended(folder, compressed(whole)) is not None
    assert verify_log(folder).findings == []
    with closing(Log.open(folder)) as log:
        assert numbers(log) == list(range(RECORDS))


def test_of_a_segment_in_both_forms_either_may_have_what_the_other_lost(whole: MemoryFolder) -> None:
    folder = compressed(whole)
    folder.files[name_of(8)] = bytearray(whole.files[name_of(8)])  # A crash left it, before it was removed.
    spoil(folder, 9)
    folder.files[compressed_name_of(8) + ".new"] = bytearray(b"left by a crash")
    damaged = bytes(folder.files[name_of(8)])
    done = mended(folder)
    assert done is not None
    assert damaged in [bytes(folder.files[one.quarantine]) for one in done.mended]
    assert folder.files[name_of(8)] == whole.files[name_of(8)]
    assert verify_log(folder).findings == []
    assert not [name for name in folder.files if name.endswith(".new")]


def test_a_loss_in_a_compressed_segment_is_accepted_and_the_log_goes_on_in_it(whole: MemoryFolder) -> None:
    folder = compressed(whole)
    name = compressed_name_of(8)
    flip(folder, name, 100)
    damaged = bytes(folder.files[name])
    told = accept(folder, 8)
    assert damaged in [bytes(folder.files[kept]) for kept in told.quarantine]
    assert len(told.quarantine) == 4
    assert sound(folder)
    with closing(Log.open(folder)) as log:
        assert numbers(log) == list(range(8))
        grow(log, range(100, 120))
    assert sound(folder)


def test_nobody_compresses_while_files_are_swapped(tmp_path: Path) -> None:
    folder = RealFolder(tmp_path / "log", create=True)
    with closing(Log.open(folder, create=True)) as log:
        grow(log, range(RECORDS))
        seed = log.seed
    copy = RealFolder(Path(shutil.copytree(folder.path, tmp_path / "copy")))
    path = folder.path / name_of(8)
    data = bytearray(path.read_bytes())
    data[1500] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    with closing(folder.lock(compression.LOCK_NAME)) as lock:
        lock.acquire()
        thread = threading.Thread(target=repair, args=(folder, Means([Copy("copy", copy)], NOTHING), AUTHOR))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert path.read_bytes() == data
        lock.release()
        thread.join()
    assert path.stat().st_mode & 0o777 == 0o444
    assert len(compress_all(folder, seed=seed)) == 4
    assert verify_log(folder).findings == []


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> MemoryFolder:
    """A log with a CHECKPOINT frame after every three records, and the positions of every second record in it."""
    monkeypatch.setattr(resume, "RECORDS", 3)
    monkeypatch.setattr(segment, "INDEX_STEP", 2)
    return log_of()


def test_checkpoint_frames_come_back_byte_for_byte(noted: MemoryFolder) -> None:
    for base in (8, 32):
        folder = copy_of(noted)
        spoil(folder, base + 2)
        assert mended(folder, noted) is not None
        check_mended(folder, noted)


@pytest.mark.parametrize("offset", [14, 35])
def test_a_segment_in_another_layout_has_checkpoint_frames_that_fit_it(noted: MemoryFolder, offset: int) -> None:
    """The copy wrote the same records with SYNC frames between them, so that each stands elsewhere."""
    folder, copy = copy_of(noted), copy_of(noted)
    base = offset - offset % 8
    name = name_of(base)
    with closing(Log.open(copy, writable=False)) as log:
        frame = log.frame(base + 1)
        sync = pack(SYNC, b"", changes=0, offset=base + 1, time_us=0, synced=base + 1, prev=frame.prev, seed=log.seed)
    copy.files[name][frame.position : frame.position] = sync
    with closing(Log.open(folder, writable=False)) as log:
        start, stop = log.frame(base).position, log.frame(base + 1).position
    folder.files[name][start:stop] = bytes(stop - start)
    done = mended(folder, copy)
    assert done is not None
    assert len(folder.files[name]) >= len(noted.files[name])
    assert verify_log(folder).findings == []
    with closing(Log.open(folder)) as log:
        grow(log, range(RECORDS, RECORDS + 12))
    with closing(Log.open(folder)) as log:
        assert numbers(log) == list(range(RECORDS + 12))
        assert [entry.offset for entry in log.read_each([base + 4, base + 7])] == [base + 4, base + 7]
    assert verify_log(folder).findings == []


def test_head_names_no_checkpoint_frame_of_a_segment_that_is_another(noted: MemoryFolder) -> None:
    folder = copy_of(noted)
    seed = seed_of(identity.read(folder).log_id)
    assert head.read_checkpoint(folder, seed=seed) is not None
    spoil(folder, 17)
    accept_loss(folder, Means([], NOTHING), 17)
    assert head.read_checkpoint(folder, seed=seed) is None
    finish(folder, AUTHOR)
    with closing(Log.open(folder)) as log:
        grow(log, range(100, 120))
    with closing(Log.open(folder)) as log:
        assert numbers(log) == [*range(17), *range(100, 120)]
    assert sound(folder)
