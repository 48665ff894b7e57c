"""HEAD: two slots, the newer valid one counts."""

from __future__ import annotations

import pytest

from evlog import head
from evlog.head import Head, Mark, newest
from evlog.memory import MemoryFile

SEED = 7


def moved(times: int) -> tuple[Head, bytearray]:
    data = bytearray()
    found = Head(MemoryFile(data, "HEAD"), SEED)
    found.changed()
    for number in range(1, times + 1):
        found.move(end=number, base=0, position=100 * number, time_us=number, prev=bytes([number]) * 16)
    return found, data


def test_an_empty_file_says_nothing() -> None:
    found = Head(MemoryFile(bytearray(), "HEAD"), SEED)
    assert not found.changed()
    assert found.mark is None


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_the_last_mark_is_read_back_and_the_one_before_stays(times: int) -> None:
    _, data = moved(times)
    assert len(data) == head.SIZE
    assert newest(bytes(data), seed=SEED) == Mark(times, times, 0, 100 * times, times, bytes([times]) * 16)
    slot = (0, 512)[times % 2]
    data[slot : slot + 64] = bytes(64)
    before = newest(bytes(data), seed=SEED)
    assert (before.end if before else 0) == times - 1


def test_a_slot_with_any_bit_changed_does_not_count() -> None:
    _, data = moved(3)
    for bit in range(512 * 8, 576 * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        mark = newest(bytes(changed), seed=SEED)
        assert mark is not None
        assert mark.end == 2, bit


def test_a_slot_cut_anywhere_does_not_count() -> None:
    _, data = moved(1)
    for cut in range(576):
        assert newest(bytes(data[:cut]), seed=SEED) is None


def test_a_mark_of_another_log_does_not_count() -> None:
    _, data = moved(3)
    assert newest(bytes(data), seed=SEED + 1) is None


def test_another_writer_is_noticed_and_continued() -> None:
    mine, data = moved(1)
    theirs = Head(MemoryFile(data, "HEAD"), SEED)
    assert theirs.changed()
    assert not theirs.changed()
    theirs.move(end=50, base=0, position=1, time_us=60, prev=bytes(16))
    assert mine.changed()
    assert mine.mark == theirs.mark
    mine.move(end=51, base=0, position=2, time_us=61, prev=bytes(16))
    mark = newest(bytes(data), seed=SEED)
    assert mark is not None
    assert (mark.end, mark.generation) == (51, 3)


def test_a_garbled_file_is_written_whole_again() -> None:
    found, data = moved(2)
    data[:] = b"garbage"
    assert found.changed()
    assert found.mark is None
    found.move(end=9, base=0, position=1, time_us=60, prev=bytes(16))
    assert len(data) == head.SIZE
    mark = newest(bytes(data), seed=SEED)
    assert mark is not None
    assert mark.end == 9
