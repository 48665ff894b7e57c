"""A damaged log is made whole from copies, byte for byte, by frames that are committed; or it is left as it was."""

from __future__ import annotations

import errno
import random
import shutil
import threading
from contextlib import closing
from pathlib import Path

import pytest
from broken import AUTHOR, NOTHING, RECORDS, bytes_of, copy_of, flip, grow, log_of, spoil
from crash import numbers

from evlog import compression, head, identity, manifest, resume, segment
from evlog.compression import compress_all
from evlog.errors import LackingError, LogClosedError, LogError, RepairError, StorageError
from evlog.files import RealFolder
from evlog.frame import RECORD, SYNC, pack, seed_of, unpack_body
from evlog.log import Log
from evlog.memory import MemoryFile, MemoryFolder
from evlog.records import ForeignRowKept, LossAccepted, Record, Repaired
from evlog.repair import NAME, Copy, Means, accept_loss, finish, repair
from evlog.segment import compressed_name_of, name_of
from evlog.tip import leaf_of
from evlog.tlog.checkpoint import Checkpoint
from evlog.tlog.committed import Published
from evlog.tlog.publisher import in_memory
from evlog.tlog.shelf import MemoryShelf
from replay.verify import verify_log

pytestmark = pytest.mark.usefixtures("small_segments")


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


@pytest.fixture
def whole() -> MemoryFolder:
    return log_of()


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


def test_a_sound_log_is_left_alone(whole: MemoryFolder) -> None:
    before = bytes_of(whole)
    assert mended(whole, log_of()) is None
    assert bytes_of(whole) == before


@pytest.mark.faults
def test_a_flipped_byte_anywhere_is_mended_from_a_copy_or_is_no_damage(whole: MemoryFolder, full: bool) -> None:
    for name in sorted(name for name, data in whole.files.items() if data):
        for position in range(0, len(whole.files[name]), 1 if full else 89):
            folder = copy_of(whole)
            flip(folder, name, position)
            if sound(folder):
                continue
            done = mended(folder, whole)
            assert done is not None, (name, position)
            assert last_change(folder) == done
            for one in done.mended:
                assert bytes(folder.files[one.quarantine]) != bytes(whole.files[one.file]), (name, position)
            check_mended(folder, whole)


def test_what_needs_no_copy_is_mended_without_one(whole: MemoryFolder) -> None:
    def flip_seal(folder: MemoryFolder) -> None:
        flip(folder, name_of(8), len(folder.files[name_of(8)]) - 40)

    def flip_header(folder: MemoryFolder) -> None:
        flip(folder, name_of(8), 100)

    def lose_head(folder: MemoryFolder) -> None:
        folder.files[head.NAME] = bytearray(len(folder.files[head.NAME]))

    for hurt in (flip_seal, flip_header, lose_head, lambda folder: folder.files.pop(identity.NAME)):
        folder = copy_of(whole)
        hurt(folder)
        assert mended(folder) is not None
        assert verify_log(folder).findings == []
        with closing(Log.open(folder)) as log:
            assert numbers(log) == list(range(RECORDS))


@pytest.mark.parametrize("base", range(0, 40, 8))
def test_a_lost_segment_comes_back_from_a_copy(whole: MemoryFolder, base: int) -> None:
    folder = copy_of(whole)
    del folder.files[name_of(base)]
    committed = NOTHING
    if base == 32:  # No later header tells the root at its end.
        shelf = MemoryShelf()
        with closing(Log.open(whole, writable=False)) as log:
            committed = Published(shelf, [in_memory(log, shelf)])
    done = mended(folder, whole, committed=committed)
    assert done is not None
    assert [(one.file, one.quarantine) for one in done.mended] == [(name_of(base), "")]
    assert [(one.start, one.stop) for one in done.mended[0].taken] == [(base, min(base + 8, RECORDS))]
    check_mended(folder, whole)


def test_every_file_but_one_record_can_come_from_several_damaged_copies(whole: MemoryFolder) -> None:
    rng = random.Random(5)
    shelf = MemoryShelf()
    with closing(Log.open(whole, writable=False)) as log:
        committed = Published(shelf, [in_memory(log, shelf)])
    for _ in range(30):
        copies = [copy_of(whole) for _ in range(3)]
        for offset_file in [name for name in whole.files if name.endswith(".seg")]:
            size = len(whole.files[offset_file])
            third = size // 3
            for number, copy in enumerate(copies):  # Each of them damaged elsewhere.
                flip(copy, offset_file, number * third + rng.randrange(third))
        folder, *others = copies
        assert mended(folder, *others, committed=committed) is not None
        check_mended(folder, whole)


def test_several_lost_records_at_the_end_are_taken_only_under_a_checkpoint(whole: MemoryFolder) -> None:
    folder = copy_of(whole)
    with closing(Log.open(whole, writable=False)) as log:
        position = log.frame(34).position
        root = log.tip_at(RECORDS).tree.root()
        origin = log.origin
    del folder.files[name_of(32)][position:]
    before = bytes_of(folder)
    with pytest.raises(LackingError, match="nothing at hand says that the records 34 to 34") as caught:
        mended(folder, whole)
    assert (caught.value.offset, caught.value.known) == (34, RECORDS)
    assert bytes_of(folder) == before
    given = Published(MemoryShelf(), [Checkpoint(origin, RECORDS, root)])
    done = mended(folder, whole, committed=given)
    assert done is not None
    assert [(one.start, one.stop, one.source) for one in done.mended[0].taken] == [(34, 36, "copy 0")]
    check_mended(folder, whole)


def test_a_copy_of_another_history_gives_nothing(whole: MemoryFolder) -> None:
    other = copy_of(whole)
    for name in [name for name in other.files if name.endswith(".seg") or name == head.NAME]:
        del other.files[name]
    with closing(Log.open(other)) as log:
        grow(log, range(1000, 1000 + RECORDS))
    for base in (8, 32):
        folder = copy_of(whole)
        spoil(folder, base + 1)
        before = bytes_of(folder)
        with pytest.raises(LackingError):
            mended(folder, other)
        assert bytes_of(folder) == before
        assert mended(folder, other, whole) is not None
        check_mended(folder, whole)


def test_a_copy_of_another_log_gives_nothing(whole: MemoryFolder) -> None:
    folder = copy_of(whole)
    spoil(folder, 9)
    with pytest.raises(LackingError, match="no copy at hand has record"):
        mended(folder, log_of())


def test_records_that_an_insider_changed_are_put_back_from_a_copy(whole: MemoryFolder) -> None:
    forged = copy_of(whole)
    for name in [name for name in forged.files if name.endswith(".seg") or name == head.NAME]:
        del forged.files[name]
    with closing(Log.open(forged)) as log:
        grow(log, [*range(11), 666, *range(12, RECORDS)])
    shelf = MemoryShelf()
    with closing(Log.open(whole, writable=False)) as log:
        committed = Published(shelf, [in_memory(log, shelf)])
    folder = copy_of(forged)
    with pytest.raises(LackingError):
        mended(folder, forged, committed=committed)
    assert mended(folder, whole, committed=committed) is not None
    check_mended(folder, whole)


def test_a_log_without_its_id_finds_it_in_its_segments(whole: MemoryFolder) -> None:
    folder = copy_of(whole)
    flip(folder, identity.NAME, 30)
    done = mended(folder)
    assert done is not None
    assert [one.file for one in done.mended] == [identity.NAME]
    check_mended(folder, whole)
    for name in [name for name in folder.files if name.endswith(".seg")] + [identity.NAME]:
        del folder.files[name]
    with pytest.raises(RepairError, match="restore a backup"):
        mended(folder)


def hurt(folder: MemoryFolder, rng: random.Random) -> None:
    """Damage a file in any way that a disk, or a person, can."""
    name = rng.choice(sorted(name for name, data in folder.files.items() if data))
    data = folder.files[name]
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.choice([1, 8, 64, 600, 5_000]))
    way = rng.randrange(7)
    if way == 0:
        data[start] ^= 1 << rng.randrange(8)
    elif way == 1:
        data[start:stop] = bytes(stop - start)
    elif way == 2:
        data[start:stop] = rng.randbytes(stop - start)
    elif way == 3:
        del data[start:]
    elif way == 4:
        del data[start:stop]
    elif way == 5:
        data[start:start] = data[start:stop]
    else:
        del folder.files[name]


@pytest.mark.faults
def test_any_damage_is_mended_or_left_as_it_was(whole: MemoryFolder, full: bool) -> None:
    shelf = MemoryShelf()
    with closing(Log.open(whole, writable=False)) as log:
        published = Published(shelf, [in_memory(log, shelf)])
    repaired = refused = 0
    for seed in range(8_000 if full else 250):
        rng = random.Random(seed)
        folder, copy = (compressed(whole) if rng.random() < 0.4 else copy_of(whole) for _ in range(2))
        for _ in range(rng.randint(1, 4)):
            hurt(folder, rng)
        for _ in range(rng.choice([0, 0, 1, 2])):
            hurt(copy, rng)
        before = bytes_of(folder)
        committed = rng.choice([NOTHING, published])
        try:
            done = mended(folder, copy, committed=committed)
        except RepairError as error:
            assert bytes_of(folder) == before, seed
            refused += 1
            if isinstance(error, LackingError):  # Then so many are left, and the log goes on with them.
                told = accept(folder, error.offset, copy, committed=committed)
                with closing(Log.open(folder)) as log:
                    assert numbers(log) == list(range(told.end)), seed
                assert sound(folder), seed
            continue
        repaired += done is not None
        with closing(Log.open(folder)) as log:
            found = numbers(log)
        assert found == list(range(len(found))), seed
        assert sound(folder), seed
        assert len(found) == RECORDS or committed is NOTHING, (
            seed
        )  # Without a promise, and without HEAD, less may be all.
    assert repaired > 100
    assert refused > 10


def forged(whole: MemoryFolder, offset: int) -> MemoryFolder:
    """Return a copy in which one record is another, and the frame after it is packed anew to follow it."""
    folder = copy_of(whole)
    with closing(Log.open(whole, writable=False)) as log:
        base = offset - offset % 8
        tip, data = log.tip_at(base), bytes(whole.files[name_of(base)])
        stored = data[: log.frame(base).position]
        for one in range(base, base + 8):
            frame = log.frame(one)
            body = frame.body.replace(b"x" * 300, b"y" * 300) if one == offset else frame.body
            stored += pack(
                frame.kind,
                body,
                changes=frame.changes,
                offset=one,
                time_us=frame.time_us,
                synced=frame.synced,
                prev=tip.prev,
                seed=log.seed,
            )
            tip.add(leaf_of(frame, *unpack_body(body, frame.changes)), frame.time_us)
        stored += data[len(stored) :]
    folder.files[name_of(base)] = bytearray(stored)
    return folder


def test_a_copy_with_one_forged_record_gives_nothing_that_the_tree_does_not_know(whole: MemoryFolder) -> None:
    hostile, folder = forged(whole, 11), copy_of(whole)
    del folder.files[name_of(8)]
    with pytest.raises(LackingError, match="are not those of the tree that was promised"):
        mended(copy_of(folder), hostile)
    done = mended(folder, hostile, whole)
    assert done is not None
    assert [(one.source, one.committed) for one in done.mended[0].taken] == [("copy 1", "the tree")]
    check_mended(folder, whole)


def test_with_tiles_each_record_is_taken_from_whichever_copy_has_the_true_one(whole: MemoryFolder) -> None:
    first, second, folder = forged(whole, 11), forged(whole, 13), copy_of(whole)
    del folder.files[name_of(8)]
    shelf = MemoryShelf()
    with closing(Log.open(whole, writable=False)) as log:
        committed = Published(shelf, [in_memory(log, shelf)])
    with pytest.raises(LackingError):
        mended(copy_of(folder), first, second)
    done = mended(folder, first, second, committed=committed)
    assert done is not None
    taken = [(one.start, one.stop, one.source) for one in done.mended[0].taken]
    assert taken == [(8, 11, "copy 0"), (11, 13, "copy 1"), (13, 16, "copy 0")]
    check_mended(folder, whole)


@pytest.mark.parametrize("base", [8, 32])
def test_who_has_the_log_open_goes_on_or_opens_it_again(tmp_path: Path, base: int) -> None:
    folder = RealFolder(tmp_path / "log", create=True)
    writer = Log.open(folder, create=True)
    grow(writer, range(RECORDS))
    reader = Log.open(folder, writable=False)
    copy = RealFolder(Path(shutil.copytree(folder.path, tmp_path / "copy")))
    position = writer.frame(base + 1).position + 70
    with (folder.path / name_of(base)).open("r+b") as file:
        file.seek(position)
        file.write(b"?")
    assert repair(folder, Means([Copy("copy", copy)], NOTHING), AUTHOR) is not None
    if base == 8:  # Not the file that it appends to.
        grow(writer, [RECORDS])
    else:
        with pytest.raises(StorageError, match="was removed while it was open"):
            grow(writer, [RECORDS])
        with pytest.raises(LogClosedError, match="reopen the store"):
            grow(writer, [RECORDS])
        writer = Log.open(folder)
        grow(writer, [RECORDS])
    assert reader.refresh() == RECORDS + 2
    assert numbers(reader) == list(range(RECORDS + 1))
    writer.close()
    reader.close()
    assert verify_log(folder).findings == []


# Accepting a loss -------------------------------------------------------------------------------------------------------


def test_what_nothing_commits_to_is_lost_too(whole: MemoryFolder) -> None:
    folder, copy = copy_of(whole), copy_of(whole)
    for offset in range(13, 8, -1):
        spoil(folder, offset)
    for offset in (13, 12):
        spoil(copy, offset)
    name = name_of(8)  # Also the headers, of which each names the leaf before.
    with closing(Log.open(whole, writable=False)) as log:
        start, stop = log.frame(9).position, log.frame(14).position
    folder.files[name][start:stop] = bytes(stop - start)
    with pytest.raises(LackingError, match="no copy at hand has record 12") as caught:
        mended(folder, copy)
    assert caught.value.offset == 9
    assert accept(folder, 9, copy).end == 9


def accept(
    folder: MemoryFolder, offset: int, *copies: MemoryFolder, committed: Published = NOTHING, acknowledged: int = 0
) -> LossAccepted:
    named = [Copy("copy", copy) for copy in copies]
    accept_loss(folder, Means(named, committed, acknowledged), offset)
    return next(one for one in finish(folder, AUTHOR) if isinstance(one, LossAccepted))


@pytest.mark.faults
def test_a_loss_anywhere_can_be_accepted_and_the_log_goes_on(whole: MemoryFolder, full: bool) -> None:
    for name in sorted(name for name in whole.files if name.endswith(".seg")):
        for position in range(0, len(whole.files[name]), 11 if full else 101):
            folder = copy_of(whole)
            flip(folder, name, position)
            damaged = bytes(folder.files[name])
            try:
                mended(folder)
            except LackingError as error:
                offset = error.offset
            else:
                continue
            told = accept(folder, offset)
            assert (told.end, told.known) == (offset, RECORDS)
            assert damaged in [bytes(folder.files[kept]) for kept in told.quarantine]
            assert last_change(folder) == told
            notes = verify_log(folder)
            assert notes.sound
            assert [one.offset for one in notes.findings] == [offset], notes.findings
            with closing(Log.open(folder)) as log:
                assert numbers(log) == list(range(offset))
                grow(log, range(100, 120))
            assert sound(folder)


def test_the_offset_of_a_loss_must_be_the_one_that_is_lost(whole: MemoryFolder) -> None:
    folder = copy_of(whole)
    spoil(folder, 9)
    before = bytes_of(folder)
    for wrong in (0, 8, 10, 35, 99):
        with pytest.raises(RepairError, match="whole up to offset 9"):
            accept(folder, wrong)
    assert bytes_of(folder) == before
    with pytest.raises(RepairError, match="no record is lost"):
        accept(whole, RECORDS)
    assert accept(folder, 9).end == 9


def test_what_a_copy_has_before_the_loss_is_kept(whole: MemoryFolder) -> None:
    folder, copy = copy_of(whole), copy_of(whole)
    spoil(folder, 17)
    spoil(folder, 9)
    spoil(copy, 17)
    assert accept(folder, 17, copy).end == 17
    assert sound(folder)


def test_a_log_of_which_nothing_is_left_begins_anew(whole: MemoryFolder) -> None:
    folder = copy_of(whole)
    for name in [name for name in folder.files if name.endswith(".seg")]:
        del folder.files[name]
    with pytest.raises(LogError):
        Log.open(folder)
    assert accept(folder, 0).known == RECORDS
    with closing(Log.open(folder)) as log:
        assert log.end == 1
    assert seed_of(log.id) == seed_of(identity.read(whole).log_id)
    assert sound(folder)


# Compressed segments ----------------------------------------------------------------------------------------------------


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


# CHECKPOINT frames ------------------------------------------------------------------------------------------------------


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


# Whoever means ill, and devices that fail ---------------------------------------------------------------------------------


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


def losses(folder: MemoryFolder) -> list[LossAccepted]:
    with closing(Log.open(folder)) as log:
        changes = [change for entry in log.read(0) for change in entry.record.changes]
    return [change for change in changes if isinstance(change, LossAccepted)]


def test_a_loss_on_record_goes_on_though_a_power_cut_brought_an_old_head_back(whole: MemoryFolder) -> None:
    spoil(whole, 17)
    old = bytes(whole.files[head.NAME])
    accept_loss(whole, Means([], NOTHING), 17)
    intent = bytes(whole.files[NAME])
    finish(whole, AUTHOR)
    whole.files[head.NAME], whole.files[NAME] = bytearray(old), bytearray(intent)
    with pytest.raises(RepairError, match="begins at offset 17, not 18"):
        accept(whole, 18)
    assert accept(whole, 17).end == 17
    assert [one.end for one in losses(whole)] == [17]
    assert sound(whole)


def test_more_may_be_lost_before_a_loss_is_on_record(whole: MemoryFolder) -> None:
    spoil(whole, 17)
    accept_loss(whole, Means([], NOTHING), 17)
    spoil(whole, 9)
    told = accept(whole, 9)
    assert (told.end, told.known) == (9, RECORDS)
    assert len(told.quarantine) == 5
    assert losses(whole) == [told]
    assert sound(whole)
