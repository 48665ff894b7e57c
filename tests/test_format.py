"""docs/format.md is enough to read a log: this reader knows nothing else, and imports nothing of ours."""

from __future__ import annotations

import re
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

DOCUMENT = (Path(__file__).parent.parent / "docs" / "format.md").read_text(encoding="utf-8")
GOLDEN = Path(__file__).parent / "golden" / "v1" / "log"


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def dumped() -> bytes:
    lines = re.findall(r"^[0-9a-f]{4}  ((?:[0-9a-f]{2} ?)+)", DOCUMENT, re.MULTILINE)
    return bytes.fromhex("".join(lines))


def log_id() -> bytes:
    text = re.search(r"(evlog log, format 1\nid (\w+)\norigin .*\n)crc (\w+)\n", DOCUMENT)
    assert text is not None
    assert crc32c(text[1].encode()) == int(text[3], 16)
    return bytes.fromhex(text[2])


def root(leaves: list[bytes]) -> bytes:
    """RFC 6962, by its definition."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def frames(data: bytes) -> list[tuple[int, int, int, int, int, bytes, bytes]]:
    """Return (kind, changes, offset, time, synced, prev, body) of each frame, checked."""
    found, at = [], 0
    while at < len(data):
        magic, hcrc, size, bcrc, version, kind, flags = struct.unpack_from("<4sIIIBBH", data, at)
        changes, offset, time_us, synced, prev = struct.unpack_from("<IQQQ16s", data, at + 20)
        body = data[at + 64 : at + 64 + size]
        assert (magic, version, flags) == (b"MLJ1", 1, 0)
        assert hcrc == crc32c(log_id() + data[at + 8 : at + 64])
        assert bcrc == crc32c(body)
        stop = at + 64 + size + -size % 8
        assert not any(data[at + 64 + size : stop])
        found.append((kind, changes, offset, time_us, synced, prev, body))
        at = stop
    return found


def parts(body: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(body):
        (size,) = struct.unpack_from("<I", body, at)
        found.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def leaf(changes: int, offset: int, time_us: int, body: bytes) -> bytes:
    envelope, *stored = parts(body)
    head = struct.pack("<8sBBHIQQ", b"MLJLEAF1", 1, 1, 0, changes, offset, time_us)
    return head + sha256(envelope).digest() + root(stored)


def test_the_dump_in_the_document_is_the_beginning_of_the_golden_log() -> None:
    assert (GOLDEN / f"{0:020d}.seg").read_bytes().startswith(dumped())
    assert len(dumped()) == 664


def test_the_dump_can_be_read_with_what_the_document_says() -> None:
    header, record = frames(dumped())
    assert (header[0], record[0], record[1]) == (16, 1, 3)
    (segment,) = parts(header[6])
    assert msgspec.msgpack.decode(segment) == {
        "v": 1,
        "log_id": log_id(),
        "number": 0,
        "base": 0,
        "root": root([]),
        "frontier": [],
        "prev": bytes(16),
        "time_us": 0,
        "writer": "golden",
    }
    envelope, *changes = parts(record[6])
    told = msgspec.msgpack.decode(envelope)
    assert (told["v"], told["api"], told["actor"], told["auth"]) == (1, "PutTypes", "ana", "asserted")
    decoded = [msgspec.msgpack.decode(change[1:]) for change in changes]
    assert [change[0] for change in changes] == [0, 0, 0]
    assert decoded[0] == {
        "t": "artifact_type",
        "id": 1,
        "name": "DataSet",
        "properties": {"day": "INT", "split": "STRING"},
    }
    assert [change["t"] for change in decoded] == ["artifact_type", "execution_type", "context_type"]


def frontier(leaves: list[bytes]) -> list[bytes]:
    """Roots of the perfect subtrees, largest first."""
    if not leaves:
        return []
    k = 1 << len(leaves).bit_length() - 1
    return [root(leaves[:k]), *frontier(leaves[k:])]


@pytest.mark.parametrize(("golden", "checkpoints"), [("v1", 0), ("v1-checkpoint", 2)])
def test_the_whole_golden_log_hangs_together_as_the_document_says(golden: str, checkpoints: int) -> None:
    log = GOLDEN.parent.parent / golden / "log"
    leaves: list[bytes] = []
    times: list[int] = []
    places: list[tuple[int, int]] = []
    segments = sorted(log.glob("*.seg"))
    for path in segments:
        data = path.read_bytes()
        assert int(path.stem) == len(leaves)
        for number, (kind, changes, offset, time_us, synced, prev, body) in enumerate(frames(data)):
            assert offset == len(leaves)
            assert synced <= len(leaves)
            assert prev == (sha256(b"\0" + leaves[-1]).digest()[:16] if leaves else bytes(16))
            assert (kind == 16) == (number == 0)
            if kind == 1:
                leaves.append(leaf(changes, offset, time_us, body))
                times.append(time_us)
            elif kind == 19:
                base, place = int(path.stem), data.index(body) - 64
                assert msgspec.msgpack.decode(body) == {
                    "v": 1,
                    "base": base,
                    "root": root(leaves),
                    "frontier": frontier(leaves),
                    "first_us": times[base],
                    "index": [data.index(b"MLJ1", 1)],
                }
                places.append((base, place))
            elif kind == 17:
                frame_bytes, magic = struct.unpack("<I4s", data[-8:])
                assert magic == b"SEAL"
                (size,) = struct.unpack_from("<I", body)
                seal = msgspec.msgpack.decode(body[4 : 4 + size])
                assert seal["sha256"] == sha256(data[:-frame_bytes]).digest()
                assert (seal["end"], seal["root"]) == (len(leaves), root(leaves))
            elif kind == 16:
                (header,) = parts(body)
                assert msgspec.msgpack.decode(header)["root"] == root(leaves)
    assert len(places) == checkpoints
    head = (log / "HEAD").read_bytes()
    if places:
        magic, crc, base, position = struct.unpack_from("<4sIQQ", head, 128)
        assert (magic, crc, (base, position)) == (b"CKPT", crc32c(log_id() + head[136:152]), places[-1])
    slots = [head[at : at + 64] for at in (0, 512)]
    newest = max(slots, key=lambda slot: struct.unpack_from("<Q", slot, 8))
    assert crc32c(log_id() + newest[8:]) == struct.unpack_from("<I", newest, 4)[0]
    assert struct.unpack_from("<QQQ", newest, 16) == (len(leaves), int(segments[-1].stem), segments[-1].stat().st_size)


def test_a_compressed_segment_is_what_the_document_says_and_its_reader_reads_any_part_of_it() -> None:
    data = (GOLDEN / f"{0:020d}.seg").read_bytes()
    file = (GOLDEN.parents[1] / "compressed" / f"{0:020d}.seg.zst").read_bytes()
    (code,) = re.findall(r"```python\n(import struct\n.*?)```", DOCUMENT, re.DOTALL)
    known: dict[str, Any] = {}
    exec(code, known)
    for start in range(0, len(data), 97):
        for stop in (start + 1, min(start + 1500, len(data)), len(data)):
            assert known["uncompressed"](file, start, stop) == data[start:stop]
    magic, rest = struct.unpack_from("<4sI", file, len(file) - 9 - 8 * -(-len(data) // 1024) - 8)
    count, zero, last = struct.unpack("<IB4s", file[-9:])
    assert (count, zero) == (-(-len(data) // 1024), 0)
    assert (magic, rest) == (bytes.fromhex("5E2A4D18"), 8 * count + 9)
    assert last == bytes.fromhex("B1EA928F")
