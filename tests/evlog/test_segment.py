"""Segments: names, header, seal, and the walk over frames."""

from __future__ import annotations

import msgspec
import pytest

from evlog import segment
from evlog.frame import RECORD, SYNC, BadFrame, Frame, pack, seed_of
from evlog.memory import MemoryFile
from evlog.merkle import EMPTY_ROOT
from evlog.tip import Tip

SEED = seed_of(b"0123456789abcdef")
HEADER = segment.SegmentHeader(
    v=1,
    log_id=b"0123456789abcdef",
    number=3,
    base=16,
    root=b"r" * 32,
    frontier=[b"f" * 32],
    prev=b"p" * 16,
    time_us=5,
    writer="test",
)
SEAL = segment.Seal(
    v=1,
    generation=0,
    base=0,
    end=0,
    root=EMPTY_ROOT,
    sha256=b"s" * 32,
    first_us=1,
    last_us=2,
    index=[64],
)


def file_of(*frames: bytes) -> MemoryFile:
    return MemoryFile(bytearray(b"".join(frames)), "test.seg")


def record_frame(size: int) -> bytes:
    return pack(RECORD, b"x" * size, changes=0, offset=0, time_us=1, synced=0, prev=bytes(16), seed=SEED)


def test_a_segment_is_named_by_the_offset_of_its_first_record() -> None:
    assert segment.name_of(65_536) == "00000000000000065536.seg"
    assert segment.base_of("00000000000000065536.seg") == 65_536


@pytest.mark.parametrize(
    "name", ["", ".seg", "65536.seg", "00000000000000065536", "0000000000000006553x.seg", "٠" * 20 + ".seg", "HEAD"]
)
def test_no_other_file_is_taken_for_a_segment(name: str) -> None:
    assert segment.base_of(name) is None


def test_a_header_is_read_as_it_was_packed() -> None:
    assert segment.read_header(file_of(segment.pack_header(HEADER, seed=SEED)), seed=SEED) == HEADER


@pytest.mark.parametrize("data", [b"", b"x" * 100, record_frame(3)])
def test_what_is_no_header_is_told(data: bytes) -> None:
    assert isinstance(segment.read_header(file_of(data), seed=SEED), BadFrame)


@pytest.mark.parametrize("before", [0, 1, 9])
@pytest.mark.parametrize("indexed", [0, 1, 2, 3, 300])
def test_a_seal_is_found_from_the_end_of_the_file(before: int, indexed: int) -> None:
    frames = [record_frame(10)] * before
    seal = msgspec.structs.replace(SEAL, index=list(range(indexed)))
    file = file_of(*frames, segment.pack_seal(seal, prev=bytes(16), seed=SEED))
    assert segment.read_seal(file, seed=SEED) == (seal, sum(map(len, frames)))
    assert file.data[-4:] == b"SEAL"


def test_a_seal_with_any_byte_changed_or_anything_after_it_is_none() -> None:
    whole = segment.pack_seal(SEAL, prev=bytes(16), seed=SEED)
    assert segment.read_seal(file_of(whole, b"x"), seed=SEED) is None
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1
        assert segment.read_seal(file_of(bytes(changed)), seed=SEED) is None, position
        assert segment.read_seal(file_of(whole[:position]), seed=SEED) is None, position


def test_a_walk_yields_every_frame_whatever_the_size_of_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [record_frame(size) for size in (0, 1, 300, 7, 64, 5000, 8)]
    file = file_of(*frames)
    for size in (64, 65, 72, 100, 128, 1000, 1 << 20):
        monkeypatch.setattr(segment, "READ_BYTES", size)
        monkeypatch.setattr(segment, "FIRST_READ_BYTES", min(size, segment.FIRST_READ_BYTES))
        found = list(segment.walk(file, 0, seed=SEED))
        assert all(isinstance(frame, Frame) for frame in found)
        assert [frame.position for frame in found] == [sum(map(len, frames[:n])) for n in range(len(frames))]
        stopped = list(segment.walk(file, 0, seed=SEED, stop=len(frames[0]) + len(frames[1])))
        assert stopped == found[:2]


def test_a_walk_ends_with_the_first_bad_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "READ_BYTES", 100)
    monkeypatch.setattr(segment, "FIRST_READ_BYTES", 50)
    first, last = record_frame(30), record_frame(500)
    for cut in range(1, len(last)):
        found = list(segment.walk(file_of(first, last[:cut]), 0, seed=SEED))
        assert [type(frame) for frame in found] == [Frame, BadFrame]
        assert found[1].position == len(first)


def test_a_seal_that_does_not_fit_the_records_before_it_is_told() -> None:
    assert segment.check_seal(SEAL, Tip(), 0) is None
    assert segment.check_seal(SEAL, Tip(), 8) is not None
    assert segment.check_seal(msgspec.structs.replace(SEAL, end=1), Tip(), 0) is not None
    assert segment.check_seal(msgspec.structs.replace(SEAL, root=bytes(32)), Tip(), 0) is not None


def test_the_body_of_another_kind_is_no_header_and_no_seal() -> None:
    for body in (b"", b"\1\0\0\0\xc1", b"\xff\xff\xff\xff"):
        data = pack(SYNC, body, changes=0, offset=0, time_us=1, synced=0, prev=bytes(16), seed=SEED)
        (frame,) = segment.walk(file_of(data), 0, seed=SEED)
        assert isinstance(frame, Frame)
        assert isinstance(segment.decode_header(frame), str)
        data = pack(segment.SEGMENT, body, changes=0, offset=0, time_us=1, synced=0, prev=bytes(16), seed=SEED)
        (frame,) = segment.walk(file_of(data), 0, seed=SEED)
        assert isinstance(segment.decode_header(frame), str)


@pytest.mark.parametrize("read_bytes", [64, 100, 1 << 20])
def test_zeros_end_a_walk_only_if_nothing_follows_them(monkeypatch: pytest.MonkeyPatch, read_bytes: int) -> None:
    monkeypatch.setattr(segment, "READ_BYTES", read_bytes)
    first = record_frame(30)
    for zeros in (1, 8, 63, 64, 65, 500):
        assert [type(frame) for frame in segment.walk(file_of(first, bytes(zeros)), 0, seed=SEED)] == [Frame]
        followed = list(segment.walk(file_of(first, bytes(zeros), b"x"), 0, seed=SEED))
        assert [type(frame) for frame in followed] == [Frame, BadFrame]
        assert followed[1].position == len(first)
