"""Frames: bytes in, bytes out."""

from __future__ import annotations

import struct

import pytest

from evlog import frame
from evlog.errors import RecordTooLargeError
from evlog.frame import BODY_MAX, HEADER, RECORD, BadFrame, Frame, crc32c, pack, pack_body, seed_of, unpack, unpack_body

SEED = seed_of(b"0123456789abcdef")


def packed(body: bytes = b"hello", **changed: int) -> bytes:
    fields = {"changes": 1, "offset": 7, "time_us": 123, "synced": 5, "seed": SEED, **changed}
    return pack(RECORD, body, prev=b"p" * 16, **fields)


def with_header(data: bytes, position: int, value: bytes) -> bytes:
    """Return the frame with other bytes in its header and the checksum that fits them."""
    changed = data[:position] + value + data[position + len(value) :]
    crc = frame._extend(SEED, changed[8:64])
    return changed[:4] + struct.pack("<I", crc) + changed[8:]


def test_the_checksum_is_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("size", range(18))
def test_a_packed_frame_unpacks_to_what_was_packed(size: int) -> None:
    data = packed(b"x" * size)
    assert len(data) % 8 == 0
    found = unpack(b"before" + data, 6, seed=SEED, position=1000)
    assert found == Frame(1006, len(data), RECORD, 0, 1, 7, 123, 5, b"p" * 16, b"x" * size)
    assert found.stop == 1006 + len(data)


def test_a_flip_of_any_bit_is_noticed() -> None:
    data = packed()
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert isinstance(unpack(bytes(flipped), 0, seed=SEED), BadFrame), bit


def test_a_frame_cut_anywhere_is_no_frame_and_tells_how_many_bytes_it_needs() -> None:
    data = packed()
    for cut in range(len(data)):
        found = unpack(data[:cut], 0, seed=SEED)
        assert isinstance(found, BadFrame)
        assert found.needed == (HEADER.size if cut < HEADER.size else len(data))


def test_a_frame_of_another_log_is_no_frame() -> None:
    assert isinstance(unpack(packed(), 0, seed=seed_of(b"another log's id")), BadFrame)


def test_a_length_over_the_limit_is_never_followed() -> None:
    found = unpack(with_header(packed(), 8, struct.pack("<I", BODY_MAX + 1)), 0, seed=SEED)
    assert isinstance(found, BadFrame)
    assert "over the limit" in found.reason
    assert not found.needed


def test_a_frame_of_a_newer_version_is_called_newer_and_not_damaged() -> None:
    found = unpack(with_header(packed(), 16, b"\2"), 0, seed=SEED)
    assert isinstance(found, BadFrame)
    assert found.newer


def test_a_body_over_the_limit_is_not_packed() -> None:
    with pytest.raises(RecordTooLargeError) as caught:
        packed(bytes(BODY_MAX + 1))
    assert (caught.value.size, caught.value.limit) == (BODY_MAX + 1, BODY_MAX)


@pytest.mark.parametrize("changes", [[], [b""], [b"one"], [b"one", b"", b"three" * 100]])
def test_a_body_unpacks_to_its_envelope_and_changes(changes: list[bytes]) -> None:
    assert unpack_body(pack_body(b"envelope", changes), len(changes)) == (b"envelope", changes)


@pytest.mark.parametrize(
    "spoil", [lambda body: body[:-1], lambda body: body + b"!", lambda body: body[:2], lambda _: b""]
)
def test_a_body_whose_sizes_do_not_add_up_is_refused(spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(ValueError, match="body|bytes follow"):
        unpack_body(spoil(pack_body(b"envelope", [b"one"])), 1)
