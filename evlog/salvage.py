"""Whole frames, wherever they stand in a file: what is left of a damaged segment, and what a copy has of it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog import merkle, segment
from evlog.errors import CorruptLogError, UnknownTagError
from evlog.frame import CONTROL, MAGIC, RECORD, BadFrame, Frame, unpack, unpack_body
from evlog.tip import leaf_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evlog.files import File, Folder

_PART_BYTES: Final = 128 * 1024  # What is lost together, where a segment is stored in blocks.


class Piece(NamedTuple):
    """A record's frame in a source. leaf: its hash; base: of the file it stands in; synced: end of what was durable when it was made."""

    leaf: bytes
    prev: bytes
    time_us: int
    synced: int
    base: int
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

    records: by offset. controls: by the offset of the next record.
    """

    def __init__(self, folder: Folder, seed: int, name: str) -> None:
        self.folder, self.name, self._seed = folder, name, seed
        self.records: dict[int, Piece] = {}
        self.controls: dict[int, list[Control]] = {}
        self._data: dict[int, bytes] = {}

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
        try:
            with closing(segment.open_file(self.folder, base)) as file:
                data = self._data[base] = _readable(file)
        except CorruptLogError:
            return  # Not even how its bytes lie is to be found out.
        for frame in frames(data, self._seed):
            if frame.offset < start or (stop is not None and frame.offset > stop):
                continue
            if frame.kind == RECORD:
                if frame.offset != stop and (leaf := _leaf_hash(frame)) is not None:
                    piece = Piece(leaf, frame.prev, frame.time_us, frame.synced, base, frame.position, frame.size)
                    self.records.setdefault(frame.offset, piece)
                continue
            stored = data[frame.position : frame.stop]
            self.controls.setdefault(frame.offset, []).append(Control(frame.kind, frame.prev, stored))

    def stored(self, piece: Piece) -> bytes:
        """Return the bytes of a frame that was loaded."""
        return self._data[piece.base][piece.position : piece.position + piece.size]


def _readable(file: File) -> bytes:
    """Return the bytes of a segment, with zeros where a part of it cannot be read."""
    parts, size = [], file.size()
    for position in range(0, size, _PART_BYTES):
        wanted = min(_PART_BYTES, size - position)
        try:
            parts.append(file.read(wanted, position))
        except CorruptLogError:
            parts.append(bytes(wanted))
    return b"".join(parts)


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
