"""HEAD: how far the log is acknowledged. A watermark, not evidence.

Two slots of 64 bytes, at 0 and 512 (different sectors), written in turn; the valid one with the higher generation counts.

| position | size | field      | meaning                                            |
| 0        | 4    | magic      | b"HEAD"                                            |
| 4        | 4    | crc        | CRC-32C of bytes 8..63, seeded as frame headers are |
| 8        | 8    | generation | one more with every write                          |
| 16       | 8    | end        | records acknowledged                               |
| 24       | 8    | base       | segment in which the next record goes              |
| 32       | 8    | position   | byte in that segment at which it goes              |
| 40       | 8    | time       | time of the last record, microseconds              |
| 48       | 16   | prev       | first 16 bytes of the last leaf's hash             |

Between them, at 128, the place of the last CHECKPOINT frame (resume.py); a hint, of use only where it stands before the mark:

| position | size | field      | meaning                                             |
| 0        | 4    | magic      | b"CKPT"                                             |
| 4        | 4    | crc        | CRC-32C of bytes 8..23, seeded as frame headers are |
| 8        | 8    | base       | segment in which the frame stands                   |
| 16       | 8    | position   | byte in that segment at which it begins             |

Written after the sync and before the acknowledgement, never synced itself: a crash of the process leaves it right, a power
cut leaves it behind, and nothing can leave it ahead, because what it speaks of was durable first.
"""

from __future__ import annotations

import struct
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

import google_crc32c
import msgspec

if TYPE_CHECKING:
    from evlog.files import File, Folder

NAME: Final = "HEAD"
_SLOT: Final = struct.Struct("<4sIQQQQQ16s")
assert _SLOT.size == 64, "docs/format.md says 64"
_CHECKED: Final = struct.Struct("<QQQQQ16s")
_U32: Final = struct.Struct("<I")
_SLOT_POSITIONS: Final = (0, 512)
SIZE: Final = 576
_MAGIC: Final = b"HEAD"
_PLACE: Final = struct.Struct("<4sIQQ")
assert _PLACE.size == 24, "docs/format.md says 24"
_PLACE_CHECKED: Final = struct.Struct("<QQ")
_PLACE_POSITION: Final = 128
_PLACE_MAGIC: Final = b"CKPT"
_extend = google_crc32c.extend


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What one slot says."""

    generation: int
    end: int
    base: int
    position: int
    time_us: int
    prev: bytes


class Place(NamedTuple):
    """Where a frame stands: at a byte of the segment `base`."""

    base: int
    position: int


class Head:
    """The open HEAD file. `mark` is what was last read or written here."""

    def __init__(self, file: File, seed: int) -> None:
        self._file, self._seed = file, seed
        self._raw = b""
        self.mark: Mark | None = None

    def changed(self) -> bool:
        """Read the file anew and tell whether another writer moved it."""
        raw = self._file.read(SIZE, 0)
        if raw == self._raw:
            return False
        self._raw = raw
        self.mark = newest(raw, seed=self._seed)
        return True

    def move(self, *, end: int, base: int, position: int, time_us: int, prev: bytes) -> None:
        """Write the next mark into the older slot."""
        generation = self.mark.generation + 1 if self.mark else 1
        mark = Mark(generation, end, base, position, time_us, prev)
        slot = _pack(mark, self._seed)
        at = _SLOT_POSITIONS[generation % 2]
        raw = self._raw.ljust(SIZE, b"\0")
        self._raw = raw[:at] + slot + raw[at + len(slot) :]
        if self.mark is None:  # A new file: write it whole, so that its size never changes again.
            self._file.write(self._raw, 0)
        else:
            self._file.write(slot, at)
        self.mark = mark

    @property
    def checkpoint(self) -> Place | None:
        """Return where the last CHECKPOINT frame stands, None where that is not known."""
        return checkpoint_in(self._raw, seed=self._seed)

    def point(self, base: int, position: int) -> None:
        """Say where the last CHECKPOINT frame stands, which must be durable. Of use once the mark is beyond it."""
        checked = _PLACE_CHECKED.pack(base, position)
        data = _PLACE_MAGIC + _U32.pack(_extend(self._seed, checked)) + checked
        raw, at = self._raw.ljust(SIZE, b"\0"), _PLACE_POSITION
        self._raw = raw[:at] + data + raw[at + len(data) :]
        self._file.write(data, at)

    def point_nowhere(self) -> None:
        """Say that it is not known where a CHECKPOINT frame stands. Durable when this returns."""
        if len(self._raw) < SIZE:
            return  # Made anew, and whole, with the next mark.
        self._raw = self._raw[:_PLACE_POSITION] + bytes(_PLACE.size) + self._raw[_PLACE_POSITION + _PLACE.size :]
        self._file.write(bytes(_PLACE.size), _PLACE_POSITION)
        self._file.sync()

    def sync(self) -> None:
        """Return when what was written is on stable storage."""
        self._file.sync()

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def read(folder: Folder, *, seed: int) -> Mark | None:
    """Return how far the log in a folder is acknowledged, None where HEAD is missing or damaged."""
    return newest(_bytes_of(folder), seed=seed)


def read_checkpoint(folder: Folder, *, seed: int) -> Place | None:
    """Return where the last CHECKPOINT frame of the log in a folder stands, None where HEAD does not tell."""
    return checkpoint_in(_bytes_of(folder), seed=seed)


def _bytes_of(folder: Folder) -> bytes:
    try:
        file = folder.open(NAME)
    except FileNotFoundError:
        return b""
    with closing(file):
        return file.read(SIZE, 0)


def write(folder: Folder, mark: Mark, *, seed: int) -> None:
    """Write a HEAD into a folder that nobody has open; the old one is there until the new one is, whole and durable."""
    temporary = NAME + ".new"
    with closing(folder.create(temporary)) as file:
        Head(file, seed).move(
            end=mark.end, base=mark.base, position=mark.position, time_us=mark.time_us, prev=mark.prev
        )
        file.sync()
    folder.rename(temporary, NAME)
    folder.sync_names()


def newest(raw: bytes, *, seed: int) -> Mark | None:
    """Return the newest valid mark in the bytes of a HEAD file, None where there is none."""
    marks = [mark for at in _SLOT_POSITIONS if (mark := _unpack(raw[at : at + _SLOT.size], seed)) is not None]
    return max(marks, key=lambda mark: mark.generation, default=None)


def checkpoint_in(raw: bytes, *, seed: int) -> Place | None:
    """Return the place of the last CHECKPOINT frame in the bytes of a HEAD file, None where it does not tell one before its mark."""
    found, mark = raw[_PLACE_POSITION : _PLACE_POSITION + _PLACE.size], newest(raw, seed=seed)
    if mark is None or len(found) < _PLACE.size:
        return None
    magic, crc, base, position = _PLACE.unpack(found)
    if magic != _PLACE_MAGIC or _extend(seed, found[8:]) != crc:
        return None
    return Place(base, position) if base == mark.base and position < mark.position else None


def _pack(mark: Mark, seed: int) -> bytes:
    checked = _CHECKED.pack(mark.generation, mark.end, mark.base, mark.position, mark.time_us, mark.prev)
    return _MAGIC + _U32.pack(_extend(seed, checked)) + checked


def _unpack(slot: bytes, seed: int) -> Mark | None:
    if len(slot) < _SLOT.size:
        return None
    magic, crc, generation, end, base, position, time_us, prev = _SLOT.unpack(slot)
    if magic != _MAGIC or _extend(seed, slot[8:]) != crc:
        return None
    return Mark(generation, end, base, position, time_us, prev)
