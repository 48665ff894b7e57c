"""A damaged log is made whole from copies, byte for byte, by frames that are committed; or it is left as it was."""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from broken import (
    AUTHOR,
    NOTHING,
    RECORDS,
    accept,
    bytes_of,
    check_mended,
    compressed,
    copy_of,
    flip,
    grow,
    last_change,
    log_of,
    mended,
    sound,
    spoil,
)
from crash import numbers

from evlog import head, identity
from evlog.errors import FormatVersionError, LackingError, LogClosedError, RepairError, StorageError
from evlog.files import RealFolder
from evlog.frame import repack, unpack_body
from evlog.log import Log
from evlog.segment import name_of
from evlog.tip import leaf_of
from evlog.tlog.checkpoint import Checkpoint
from evlog.tlog.committed import Published
from evlog.tlog.publisher import in_memory
from evlog.tlog.shelf import MemoryShelf
from evlog.upkeep.repair import Copy, Means, repair
from replay.verify import verify_log

if TYPE_CHECKING:
    from tally import Tally

    from evlog.memory import MemoryFolder

pytestmark = pytest.mark.usefixtures("small_segments")


def test_a_sound_log_is_left_alone(whole: MemoryFolder) -> None:
    before = bytes_of(whole)
    assert mended(whole, log_of()) is None
    assert bytes_of(whole) == before


@pytest.mark.faults
def test_a_flipped_byte_anywhere_is_mended_from_a_copy_or_is_no_damage(
    whole: MemoryFolder, full: bool, tally: Tally
) -> None:
    for name in sorted(name for name, data in whole.files.items() if data):
        tally("mend", len(range(0, len(whole.files[name]), 1 if full else 89)))
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
def test_any_damage_is_mended_or_left_as_it_was(whole: MemoryFolder, full: bool, tally: Tally) -> None:
    shelf = MemoryShelf()
    with closing(Log.open(whole, writable=False)) as log:
        published = Published(shelf, [in_memory(log, shelf)])
    repaired = refused = 0
    seeds = range(8_000 if full else 250)
    tally("mend", len(seeds))
    for seed in seeds:
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
        except (
            RepairError,
            FormatVersionError,
        ) as error:  # Who hits its number and more of LOGID makes it look like a newer log's.
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
            stored += repack(frame, body, seed=log.seed, prev=tip.prev)
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
