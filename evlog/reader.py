"""Records by offset: finds the segment and the position, walks the frames, decodes."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import closing
from typing import TYPE_CHECKING, Final

from evlog import codec, segment
from evlog.errors import CorruptLogError, LogError, MissingSegmentError, ReplacedLogError, UnknownTagError
from evlog.frame import CONTROL, RECORD, BadFrame
from evlog.records import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evlog.files import File, Folder
    from evlog.frame import Frame
    from evlog.personal import Opener
    from evlog.records import Record
    from evlog.tip import Link

NEAR: Final = segment.INDEX_STEP // 2  # To find a place costs a walk over half so many records, as a rule.

WALKED_MAX: Final = 4_096  # Positions kept: of sixteen segments or more.
INDEXES_MAX: Final = 64  # Of sealed segments, 256 positions each, as a rule.


class Reader:
    """Reads a log's frames. Safe beside a writer: the caller names a stop that is acknowledged."""

    def __init__(self, folder: Folder, seed: int, opener: Callable[[], Opener]) -> None:
        """Name the log. opener: makes what opens sealed values, for one read."""
        self._folder, self._seed, self._opener = folder, seed, opener
        self._bases = segment.bases(folder)
        # (offset, base, position) of the last record read: the next read usually begins with it, or behind it.
        self._left_at = (0, 0, 0)
        # Offset to position, of every INDEX_STEP-th record that was walked over: a segment has no index before it is sealed.
        self._walked: dict[int, int] = {}
        # Base to the index in the seal of that segment, which never changes.
        self._indexes: dict[int, list[int]] = {}

    def entries(self, start: int, stop: int, link: Link | None = None, *, sealed: bool = False) -> Iterator[Entry]:
        """Yield the records [start, stop). Raises CorruptLogError where one cannot be read, SealedValueError where a value cannot.

        link: of `start`, to prove that each follows the one before. Raises ReplacedLogError if the first does not.
        sealed: leave sealed values as they are stored.
        """
        decode = codec.decode if sealed else self._decoder()
        for frame in self.frames(start, stop):
            if link is not None and (reason := link.follow(frame)) is not None:
                raise self._misfit(reason, frame, first=frame.offset == start)
            yield Entry(frame.offset, frame.time_us, decode(frame))

    def backward(self, start: int, stop: int) -> Iterator[Entry]:
        """Yield the records [start, stop), the last one first; each is decoded when it is asked for, the bytes of all are held."""
        decode = self._decoder()
        for frame in reversed(list(self.frames(start, stop))):
            yield Entry(frame.offset, frame.time_us, decode(frame))

    def _misfit(self, reason: str, frame: Frame, *, first: bool) -> LogError:
        """Return the error of a record that does not follow the one before: first, the one that was read some other time."""
        if first:
            before = f"record {frame.offset - 1} is another than the one that was read"
            return ReplacedLogError(before, place=self._folder.describe(""), offset=frame.offset)
        _, base, position = self._left_at
        place = self._folder.describe(segment.name_of(base))
        return CorruptLogError(reason, file=place, position=position, offset=frame.offset)

    def each(self, offsets: Sequence[int]) -> Iterator[Entry]:
        """Yield the records at ascending offsets. Where two are near, those between are read over, not decoded."""
        decode = self._decoder()
        first = 0
        while first < len(offsets):
            last = first
            while last + 1 < len(offsets) and offsets[last + 1] - offsets[last] <= NEAR:
                last += 1
            wanted = frozenset(offsets[first : last + 1])
            for frame in self.frames(offsets[first], offsets[last] + 1):
                if frame.offset in wanted:
                    yield Entry(frame.offset, frame.time_us, decode(frame))
            first = last + 1

    def _decoder(self) -> Callable[[Frame], Record]:
        """Return what makes a record of a frame, its sealed values opened."""
        opener: Opener | None = None

        def decode(frame: Frame) -> Record:
            nonlocal opener
            record = codec.decode(frame)
            if not record.envelope.sealed:
                return record
            opener = opener or self._opener()
            return opener.open(record, frame.offset)

        return decode

    def frames(self, start: int, stop: int) -> Iterator[Frame]:
        """Yield the frames of the records [start, stop)."""
        offset = start
        while offset < stop:
            base = self._base_of(offset)
            with closing(self._open(base)) as file:
                met, position = self._place(file, base, offset)  # The record that is due, of those walked over too.
                for frame in segment.walk(file, position, seed=self._seed):
                    if isinstance(frame, BadFrame):
                        if frame.newer:
                            raise UnknownTagError(frame.reason, offset=met)
                        raise CorruptLogError(frame.reason, file=file.name, position=frame.position, offset=met)
                    if frame.kind >= CONTROL:
                        continue
                    met = frame.offset + 1
                    if (frame.offset - base) % segment.INDEX_STEP == 0:
                        self._note(frame)
                    if frame.offset < offset:
                        continue
                    if frame.kind != RECORD:
                        raise UnknownTagError(f"it is a frame of kind {frame.kind}", offset=frame.offset)
                    if frame.offset != offset:
                        reason = f"the record has offset {frame.offset}"
                        raise CorruptLogError(reason, file=file.name, position=frame.position, offset=offset)
                    offset += 1
                    self._left_at = (frame.offset, base, frame.position)
                    yield frame
                    if offset == stop:
                        return
                if not self._continues(base, offset):
                    reason = f"the segment ends before record {met}"
                    raise CorruptLogError(reason, file=file.name, position=file.size(), offset=met)

    def offset_at(self, time_us: int, stop: int) -> int:
        """Return how many of the first `stop` records were put up to a time."""
        self._bases = segment.bases(self._folder)
        # The first segment whose first record is later; its predecessor holds the answer.
        number = bisect_right(self._bases, time_us, key=self._first_us) if self._bases else 0
        low = self._bases[number - 1] if number else 0
        high = min(stop, self._bases[number]) if number < len(self._bases) else stop
        while low < high:  # Times strictly increase, and a record in the middle is found by an index.
            middle = (low + high) // 2
            if next(self.frames(middle, middle + 1)).time_us > time_us:
                high = middle
            else:
                low = middle + 1
        return min(low, stop)

    def _first_us(self, base: int) -> int:
        """Return the time of a segment's first record; beyond every time where none can be read."""
        with closing(self._open(base)) as file:
            for frame in segment.walk(file, 0, seed=self._seed):
                if not isinstance(frame, BadFrame) and frame.kind == RECORD:
                    return frame.time_us
        return 1 << 63

    def _base_of(self, offset: int) -> int:
        number = bisect_right(self._bases, offset)
        if number == len(self._bases):  # The newest known segment: there may be a newer one by now.
            self._bases = segment.bases(self._folder)
            number = bisect_right(self._bases, offset)
        if number == 0:
            name = self._folder.describe(segment.name_of(0))
            raise MissingSegmentError("the first segment is missing", file=name, position=0, offset=offset)
        return self._bases[number - 1]

    def _continues(self, base: int, offset: int) -> bool:
        return offset > base and self._base_of(offset) == offset

    def _open(self, base: int) -> File:
        name = segment.name_of(base)
        try:
            return segment.open_file(self._folder, base)
        except FileNotFoundError:
            place = self._folder.describe(name)
            raise MissingSegmentError("the segment is missing", file=place, position=0, offset=base) from None

    def _place(self, file: File, base: int, offset: int) -> tuple[int, int]:
        """Return a record at or before this one, and a position from which to walk to it: of its frame, or of what stands before the first."""
        left_offset, left_base, left_position = self._left_at
        step = segment.INDEX_STEP
        indexed = offset - (offset - base) % step
        if base == left_base and indexed <= left_offset <= offset:
            return left_offset, left_position
        if indexed == base:
            return base, 0
        walked = self._walked.get  # Another thread may clear it between two looks.
        if (position := walked(indexed)) is not None:
            return indexed, position
        if (index := self._index_of(file, base)) is not None:
            return indexed, index[(indexed - base) // step]
        if base == left_base and 0 <= offset - left_offset < step:
            return left_offset, left_position
        known = ((one, walked(one)) for one in range(indexed, base, -step))
        return next(((one, position) for one, position in known if position), (base, 0))

    def _index_of(self, file: File, base: int) -> list[int] | None:
        """Return the index in the seal of a segment, None where it has none yet."""
        index = self._indexes.get(base)
        if index is None and (place := segment.read_seal(file, seed=self._seed)) is not None:
            if len(self._indexes) >= INDEXES_MAX:
                self._indexes.clear()
            index = self._indexes[base] = place.seal.index
        return index

    def _note(self, frame: Frame) -> None:
        if len(self._walked) >= WALKED_MAX:
            self._walked.clear()
        self._walked[frame.offset] = frame.position
