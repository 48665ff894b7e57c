"""Whole frames, wherever they stand in a file: what is left of a damaged segment, and what a copy has of it."""

from __future__ import annotations

import errno
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog import merkle, segment
from evlog.errors import CorruptLogError, StorageError, UnknownTagError
from evlog.frame import CONTROL, HEADER, MAGIC, RECORD, BadFrame, Frame, unpack, unpack_body
from evlog.log import SEGMENT_BYTES_MAX
from evlog.tip import leaf_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evlog.files import File, Folder

_BYTES_MAX: Final = 2 * SEGMENT_BYTES_MAX
_PART_BYTES: Final = 128 * 1024  # What is lost together, where a segment is stored in blocks.
_SECTOR_BYTES: Final = 4096  # What is lost together, where a device fails.


class Piece(NamedTuple):
    """A record's frame in a source. leaf: its hash; file: that it stands in; synced: end of what was durable when it was made."""

    leaf: bytes
    prev: bytes
    time_us: int
    synced: int
    file: str
    position: int
    size: int


def frames(data: bytes, seed: int) -> Iterator[Frame]:
    """Yield every whole frame in the bytes of a segment; what is none is passed over, up to the next.

    Raises UnknownTagError for a frame of a newer release: to pass over that would be a loss.
    """
    at = 0
    while 0 <= at < len(data):
        frame = unpack(data, at, seed=seed)
        if isinstance(frame, BadFrame):
            if frame.newer:
                raise UnknownTagError(frame.reason, offset=0)
            at = data.find(MAGIC, at + 1)
            continue
        if frame.kind != RECORD and frame.kind < CONTROL:
            raise UnknownTagError(f"it is a frame of kind {frame.kind}", offset=frame.offset)
        yield frame
        at = frame.stop


class Control(NamedTuple):
    """A frame that is no record, as it is stored."""

    kind: int
    prev: bytes
    stored: bytes


class Source:
    """What one folder of segments has of one range of records: loaded for one segment at a time.

    records: by offset, each that claims it: what a record holds may look like a frame, once the record around it is damaged.
    controls: by the offset of the next record. Of a segment that is there in both forms, either may have what the other lost.
    """

    def __init__(self, folder: Folder, seed: int, name: str) -> None:
        self.folder, self.name, self._seed = folder, name, seed
        self.records: dict[int, list[Piece]] = {}
        self.controls: dict[int, list[Control]] = {}
        self._data: dict[str, bytes] = {}

    def bases(self) -> list[int]:
        """Return the base offsets of the segments that are there."""
        return segment.bases(self.folder)

    def load(self, start: int, stop: int | None) -> None:
        """Look for the records [start, stop), to the end if `stop` is None, and forget what was loaded before."""
        self.records.clear()
        self.controls.clear()
        self._data.clear()
        bases = self.bases()
        for base, following in zip(bases, [*bases[1:], None], strict=False):
            if (stop is None or base < stop or base == start) and (following is None or following > start):
                self._load(base, start, stop)

    def _load(self, base: int, start: int, stop: int | None) -> None:
        for file in segment.open_each(self.folder, base):
            with closing(file):
                if file.size() > _BYTES_MAX:
                    continue  # No segment, whoever made it: nobody's memory is to be filled with it.
                data = self._data[file.name] = b"".join(readable(file))
            self._look(file.name, data, base, start, stop)

    def _look(self, name: str, data: bytes, base: int, start: int, stop: int | None) -> None:
        for frame in frames(data, self._seed):
            if frame.offset < start or (stop is not None and frame.offset > stop):
                continue
            if frame.synced > frame.offset or frame.offset - base > frame.position // HEADER.size:
                continue  # No writer makes it: nothing is durable before it is made, and what is before it takes room.
            if frame.kind == RECORD:
                if frame.offset != stop and (leaf := _leaf_hash(frame)) is not None:
                    piece = Piece(leaf, frame.prev, frame.time_us, frame.synced, name, frame.position, frame.size)
                    self.records.setdefault(frame.offset, []).append(piece)
                continue
            stored = data[frame.position : frame.stop]
            here, found = self.controls.setdefault(frame.offset, []), Control(frame.kind, frame.prev, stored)
            if found not in here:  # Else of the other form.
                here.append(found)

    def stored(self, piece: Piece) -> bytes:
        """Return the bytes of a frame that was loaded."""
        return self._data[piece.file][piece.position : piece.position + piece.size]


def readable(file: File) -> Iterator[bytes]:
    """Yield the bytes of a file, in parts, with zeros where some of it cannot be read. Raises StorageError for what is no damage."""
    size = file.size()
    for position in range(0, size, _PART_BYTES):
        wanted = min(_PART_BYTES, size - position)
        try:
            yield file.read(wanted, position)
        except CorruptLogError:
            yield bytes(wanted)
        except StorageError as error:
            if error.errno != errno.EIO:
                raise
            for at in range(position, position + wanted, _SECTOR_BYTES):
                yield _sector(file, min(_SECTOR_BYTES, position + wanted - at), at)


def _sector(file: File, size: int, position: int) -> bytes:
    try:
        return file.read(size, position)
    except StorageError as error:
        if error.errno != errno.EIO:
            raise
        return bytes(size)


def whole_frame(stored: bytes, seed: int) -> Frame:
    """Return the frame that a source holds as it is stored."""
    frame = unpack(stored, 0, seed=seed)
    assert isinstance(frame, Frame), "it was whole when it was found"
    return frame


def _leaf_hash(frame: Frame) -> bytes | None:
    """Return the hash of a record's leaf, None for a body that is none."""
    try:
        envelope, changes = unpack_body(frame.body, frame.changes)
    except ValueError:
        return None
    return merkle.leaf_hash(leaf_of(frame, envelope, changes))
