from __future__ import annotations

import random
import shutil
import struct
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evlog import seekable
from evlog.errors import CorruptLogError, ReadOnlyError
from evlog.memory import MemoryFile
from evlog.seekable import SeekableFile, compressed

if TYPE_CHECKING:
    from pathlib import Path

pyzstd = pytest.importorskip("pyzstd")  # The independent reader; not among the oldest libraries.

DATA = b"".join(number.to_bytes(3, "little") * 5 for number in range(400))
BLOCK = 700


def packed(data: bytes, block: int = BLOCK) -> bytes:
    return b"".join(compressed([data[at : at + block] for at in range(0, len(data), block)]))


def opened(data: bytes) -> SeekableFile:
    return SeekableFile(MemoryFile(bytearray(data), "0.seg.zst"), offset=7)


def read_all(data: bytes) -> bytes:
    file = opened(data)
    return file.read(file.size(), 0)


def table(entries: list[tuple[int, int]], count: int | None = None, descriptor: int = 0) -> bytes:
    body = b"".join(struct.pack("<II", *entry) for entry in entries)
    body += struct.pack("<IBI", len(entries) if count is None else count, descriptor, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(body)) + body


@given(st.binary(min_size=1, max_size=3000), st.integers(1, 900), st.integers(0, 3100), st.integers(0, 3100))
def test_any_part_of_a_compressed_file_is_that_of_the_one_it_was_made_from(
    data: bytes, block: int, position: int, size: int
) -> None:
    file = opened(packed(data, block))
    assert file.size() == len(data)
    assert file.read(size, position) == data[position : position + size]
    assert file.read(len(data), 0) == data


def test_reads_back_and_forth_give_the_same_as_one_read() -> None:
    file, chance = opened(packed(DATA)), random.Random(5)
    for _ in range(500):
        position, size = chance.randrange(len(DATA) + 10), chance.choice([0, 1, 50, 700, 2500, len(DATA)])
        assert file.read(size, position) == DATA[position : position + size]
    assert len(file._kept) <= seekable.BLOCKS_KEPT


def test_a_plain_decoder_reads_the_whole_file() -> None:
    assert pyzstd.decompress(packed(DATA)) == DATA


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the program zstd is not on this machine")
def test_the_program_zstd_reads_the_whole_file_and_says_that_it_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "0.seg.zst"
    path.write_bytes(packed(DATA))
    subprocess.run(["zstd", "-q", "--test", path], check=True)
    assert subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout == DATA


def test_another_reader_of_the_format_finds_the_same_bytes_at_every_place(tmp_path: Path) -> None:
    path, chance = tmp_path / "0.seg.zst", random.Random(6)
    path.write_bytes(packed(DATA))
    assert pyzstd.SeekableZstdFile.is_seekable_format_file(path)
    with pyzstd.SeekableZstdFile(path, "r") as file:
        for _ in range(300):
            position, size = chance.randrange(len(DATA)), chance.randrange(1, 2000)
            file.seek(position)
            assert file.read(size) == DATA[position : position + size]


def test_a_flip_of_any_bit_is_refused_and_located_or_changes_nothing() -> None:
    harmless = 0
    whole = packed(DATA)
    for position in range(len(whole)):
        for bit in range(8):
            spoiled = bytearray(whole)
            spoiled[position] ^= 1 << bit
            try:
                assert read_all(bytes(spoiled)) == DATA, f"bit {bit} of byte {position}"
                harmless += 1
            except CorruptLogError as error:
                place = (error.file, error.offset, 0 <= error.position < len(whole))
                assert place == ("0.seg.zst", 7, True)
    assert harmless < 5 * len(DATA) // BLOCK, "an unused bit of a header, a window that is larger"


def test_a_file_cut_anywhere_is_refused() -> None:
    whole = packed(DATA)
    for size in range(len(whole)):
        with pytest.raises(CorruptLogError):
            read_all(whole[:size])


def test_bytes_behind_the_file_are_refused() -> None:
    for more in (b"\0", b"x" * 100, packed(DATA)):
        with pytest.raises(CorruptLogError):
            read_all(packed(DATA) + more)


def test_blocks_in_another_order_are_refused_where_their_sizes_tell() -> None:
    frames = list(compressed([bytes([one]) * size for one, size in ((1, 700), (2, 700), (3, 100))]))
    with pytest.raises(CorruptLogError, match="block 2 does not hold the 100 bytes|block 0"):
        read_all(b"".join([frames[2], frames[1], frames[0], *frames[3:]]))


@pytest.mark.parametrize(
    "spoiled",
    [
        b"",
        table([]),
        table([(10, 0)]),
        table([(10, 1 << 31)]),
        table([(10, 5), (10, 6), (10, 5)]),
        table([(10, 5), (10, 6)]),
        table([(11, 5)], count=1 << 28),
        table([(11, 5)], descriptor=0x80),
        table([(11, 5)], descriptor=1),
    ],
)
def test_a_seek_table_that_makes_no_sense_is_refused(spoiled: bytes) -> None:
    with pytest.raises(CorruptLogError):
        read_all(b"x" * 10 + spoiled)


def test_a_block_that_claims_to_hold_gigabytes_is_refused_before_anything_is_allocated() -> None:
    frame = b"\x28\xb5\x2f\xfd" + b"\xe0" + (1 << 50).to_bytes(8, "little") + b"\x01\0\0"
    with pytest.raises(CorruptLogError, match="does not hold the 5 bytes"):
        read_all(frame + table([(len(frame), 5)]))


def test_every_block_but_the_last_is_of_one_size_and_carries_its_checksum() -> None:
    blocks = [DATA[at : at + BLOCK] for at in range(0, len(DATA), BLOCK)]
    *frames, header, rest = compressed(blocks)
    assert [pyzstd.decompress(frame) for frame in frames] == blocks
    entries = [struct.unpack("<II", entry) for entry in (rest[at : at + 8] for at in range(0, len(rest) - 9, 8))]
    assert entries == [(len(frame), len(block)) for frame, block in zip(frames, blocks, strict=True)]
    assert all(first[1] >= second[1] for first, second in pairwise(entries))
    assert struct.unpack("<II", header) == (0x184D2A5E, len(rest))


def test_nothing_is_written_into_a_compressed_file() -> None:
    file = opened(packed(DATA))
    file.write(DATA[10:20], 10)  # What is there already is no change.
    file.truncate(len(DATA))
    file.sync()
    with pytest.raises(ReadOnlyError):
        file.write(b"x", 10)
    with pytest.raises(ReadOnlyError):
        file.write(b"x", len(DATA))
    with pytest.raises(ReadOnlyError):
        file.truncate(10)
