"""Frames: the unit of the log on disk. Bytes in, bytes out, no files.

| position | size | field   | meaning                                                                             |
| 0        | 4    | magic   | b"MLJ1": lets a salvage find the next frame                                         |
| 4        | 4    | hcrc    | CRC-32C of bytes 8..63, seeded with CRC-32C(log id): no frame of another log passes |
| 8        | 4    | size    | body bytes, 0 .. BODY_MAX                                                           |
| 12       | 4    | bcrc    | CRC-32C of the body                                                                 |
| 16       | 1    | version | 1                                                                                   |
| 17       | 1    | kind    | 1 RECORD (a leaf of the tree); control, never leaves: 16 SEGMENT, 17 SEAL, 18 SYNC, 19 CHECKPOINT |
| 18       | 2    | flags   | low byte committed in the leaf, high byte the state of storage; both 0 today        |
| 20       | 4    | changes | number of changes in the body                                                       |
| 24       | 8    | offset  | offset of the record; in control frames of the next record                          |
| 32       | 8    | time    | microseconds since 1970, strictly increasing over records                           |
| 40       | 8    | synced  | end of the log known durable when this header was made                              |
| 48       | 16   | prev    | first 16 bytes of the hash of the leaf before                                       |
| 64       | size | body    | of a record: u32 n, envelope of n bytes, then for each change u32 n, n bytes        |
|          | 0..7 | padding | zeros to a multiple of 8                                                            |

All integers are little-endian. Two checksums: with the header good and the body bad, the extent of the loss is known.
`synced` and `prev` are no part of the leaf: copies may differ there without touching a proof.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import google_crc32c
import msgspec

from evlog.errors import RecordTooLargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER: Final = struct.Struct("<4sIIIBBHIQQQ16s")
assert HEADER.size == 64, "docs/format.md says 64"
_CHECKED: Final = struct.Struct("<IIBBHIQQQ16s")
U32: Final = struct.Struct("<I")
MAGIC: Final = b"MLJ1"
FRAME_VERSION: Final = 1
BODY_MAX: Final = 64 * 1024 * 1024
ALIGNMENT: Final = 8

RECORD: Final = 1
SEGMENT: Final = 16
SEAL: Final = 17
SYNC: Final = 18
CHECKPOINT: Final = 19
CONTROL: Final = 16  # Kinds from here on carry only what can be computed again: unknown ones are passed over.

crc32c = google_crc32c.value
_extend = google_crc32c.extend


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame that passed its checks. `size` includes header and padding; `stop` is where the next one begins."""

    position: int
    size: int
    kind: int
    flags: int
    changes: int
    offset: int
    time_us: int
    synced: int
    prev: bytes
    body: bytes

    @property
    def stop(self) -> int:
        """Return the position of the next frame."""
        return self.position + self.size


class BadFrame(msgspec.Struct, frozen=True, gc=False):
    """Where and why there is no frame.

    needed > 0: the data ends before the frame does, which has that many bytes.
    newer: there is one, by its checksum, that a newer release wrote; it is neither torn nor damaged.
    """

    position: int
    reason: str
    needed: int = 0
    newer: bool = False


def seed_of(log_id: bytes) -> int:
    """Return the start value of header checksums in the log with this id."""
    return int(crc32c(log_id))


def pack(
    kind: int,
    body: bytes,
    *,
    changes: int,
    offset: int,
    time_us: int,
    synced: int,
    prev: bytes,
    seed: int,
    flags: int = 0,
) -> bytes:
    """Return one frame, header, body and padding. Raises RecordTooLargeError over BODY_MAX."""
    size = len(body)
    if size > BODY_MAX:
        raise RecordTooLargeError(size, limit=BODY_MAX)
    checked = _CHECKED.pack(size, crc32c(body), FRAME_VERSION, kind, flags, changes, offset, time_us, synced, prev)
    return b"".join((MAGIC, U32.pack(_extend(seed, checked)), checked, body, bytes(-size % ALIGNMENT)))


def repack(frame: Frame, body: bytes, *, seed: int, prev: bytes | None = None) -> bytes:
    """Return a frame with another body, its checksums right. prev: what it follows; what it followed if None."""
    return pack(
        frame.kind,
        body,
        changes=frame.changes,
        offset=frame.offset,
        time_us=frame.time_us,
        synced=frame.synced,
        prev=frame.prev if prev is None else prev,
        seed=seed,
        flags=frame.flags,
    )


def unpack(data: bytes, at: int, *, seed: int, position: int = 0) -> Frame | BadFrame:
    """Return the frame that starts at `at` in `data`, or why there is none.

    position: of data[0] in its file; the frame carries its place in the file. Never raises: whether it is a torn tail
    or damage depends on where the bytes lie, which the caller knows.
    """
    here = position + at
    if len(data) - at < HEADER.size:
        return BadFrame(here, "the file ends inside a frame header", HEADER.size)
    magic, hcrc, size, bcrc, version, kind, flags, changes, offset, time_us, synced, prev = HEADER.unpack_from(data, at)
    if magic != MAGIC:
        return BadFrame(here, "no frame begins here")
    if _extend(seed, data[at + 8 : at + 64]) != hcrc:
        return BadFrame(here, "the frame header fails its checksum")
    if version != FRAME_VERSION:
        return BadFrame(here, f"frame version {version} is not known", newer=True)
    if size > BODY_MAX:
        return BadFrame(here, f"a body of {size} bytes is over the limit")
    total = HEADER.size + size + -size % ALIGNMENT
    if len(data) - at < total:
        return BadFrame(here, "the file ends inside a frame", total)
    stop = at + HEADER.size + size
    body = data[at + HEADER.size : stop]
    if crc32c(body) != bcrc:
        return BadFrame(here, "the frame body fails its checksum")
    if size % ALIGNMENT and data[stop : at + total].strip(b"\0"):
        return BadFrame(here, "the padding is not zero")
    return Frame(here, total, kind, flags, changes, offset, time_us, synced, prev, body)


def pack_body(envelope: bytes, changes: Sequence[bytes]) -> bytes:
    """Return the body of a record."""
    pack_size = U32.pack
    parts = [pack_size(len(envelope)), envelope]
    for change in changes:
        parts.append(pack_size(len(change)))
        parts.append(change)
    return b"".join(parts)


def unpack_body(body: bytes, changes: int) -> tuple[bytes, list[bytes]]:
    """Return the envelope and the changes of a record's body. Raises ValueError where the sizes do not add up."""
    end = len(body)
    if changes == 1 and end >= 2 * U32.size:  # By far the most records: no loop, and no second look.
        at = U32.size + U32.unpack_from(body)[0]
        if at + U32.size <= end and at + U32.size + U32.unpack_from(body, at)[0] == end:
            return body[U32.size : at], [body[at + U32.size :]]
    parts: list[bytes] = []
    at = 0
    for _ in range(changes + 1):
        if end - at < U32.size:
            message = "the body ends inside a size"
            raise ValueError(message)
        (size,) = U32.unpack_from(body, at)
        at += U32.size + size
        if at > end:
            message = "a part of the body runs over its end"
            raise ValueError(message)
        parts.append(body[at - size : at])
    if at != end:
        message = f"{end - at} bytes follow the last change"
        raise ValueError(message)
    return parts[0], parts[1:]
