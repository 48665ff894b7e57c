"""The leaves of a log, made again from the bytes on disk: what is signed is what is there.

Ordinary records are read many at a time (rereading.py); whatever else comes is for the walk that opens and audits the log.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from evlog import recovery, rereading, segment
from evlog.errors import LostRecordsError, MissingSegmentError
from evlog.frame import Frame
from evlog.tip import Tip

if TYPE_CHECKING:
    from evlog.files import Folder

_SLICE_BYTES: Final = (
    64 * 1024
)  # Less than a millisecond of work; then others get their turn: whoever puts is not kept waiting.
_REST_S: Final = 0.000_02


class _Kept(Tip):
    """A tip that keeps the leaves that it moves past."""

    __slots__ = ("hashes", "leaves")

    def __init__(self, tip: Tip) -> None:
        super().__init__(tip.tree, tip.prev, tip.time_us)
        self.leaves: list[bytes] = []
        self.hashes: list[bytes] = []

    def add(self, entry: bytes, time_us: int) -> bytes:
        """See Tip."""
        leaf_hash = super().add(entry, time_us)
        self.leaves.append(entry)
        self.hashes.append(leaf_hash)
        return leaf_hash


class Leaves:
    """A walk over the leaves of a log, from one record on."""

    def __init__(self, folder: Folder, seed: int, active: recovery.Active) -> None:
        self._folder, self._seed, self._active = folder, seed, active
        self._kept = active.tip = _Kept(active.tip)

    @classmethod
    def of_segment(cls, folder: Folder, seed: int, offset: int) -> Leaves:
        """Begin at the start of the segment that holds a record."""
        bases = [base for base in segment.bases(folder) if base <= offset]
        if not bases:
            name = folder.describe(segment.name_of(0))
            raise MissingSegmentError("the first segment is missing", file=name, position=0, offset=0)
        return cls(folder, seed, recovery.begin(folder, bases, seed=seed, writable=False))

    @classmethod
    def at(cls, folder: Folder, seed: int, tip: Tip, base: int, position: int) -> Leaves | None:
        """Begin at a position in a segment, at which the record after `tip` is said to stand; None where it does not."""
        try:
            file = segment.open_file(folder, base)
        except FileNotFoundError:
            return None
        frame = next(segment.walk(file, position, seed=seed), None)
        if not isinstance(frame, Frame) or tip.fits(frame) is not None:
            file.close()
            return None
        active = recovery.Active(file, base=base, number=0, tip=tip)
        active.position = position
        return cls(folder, seed, active)

    @property
    def tip(self) -> Tip:
        """Return the tip after the last leaf that was read."""
        return self._kept

    @property
    def place(self) -> tuple[int, int]:
        """Return segment and position at which the walk stands."""
        return self._active.base, self._active.position

    def read(self, stop: int) -> tuple[list[bytes], list[bytes]]:
        """Return the leaves up to the offset `stop`, and their hashes. Raises CorruptLogError where the log does not hold them, whole and in order."""
        kept = self._kept
        while kept.end < stop:
            if not self._run(stop):
                self._step(stop)
        found = kept.leaves, kept.hashes
        kept.leaves, kept.hashes = [], []
        return found

    def _run(self, stop: int) -> bool:
        """Read ordinary records; tell whether there were any."""
        kept = self._kept
        found = rereading.take_next(self._active, stop - kept.end, size=_SLICE_BYTES, seed=self._seed)
        if found is not None and found.hashes:
            kept.leaves += found.leaves
            kept.hashes += found.hashes
            time.sleep(_REST_S)
        return found is not None

    def _step(self, stop: int) -> None:
        """Read up to the next record with all care, across whatever comes before it."""
        active, before = self._active, self._kept.end
        bad = recovery.advance(active, self._folder, seed=self._seed, writable=False, stop=before + 1)
        if bad is not None:
            recovery.refuse_damage(active, bad, self._folder, known=stop, seed=self._seed)
        if self._kept.end == before:
            reason = f"the log ends at record {before}, {stop} were acknowledged"
            raise LostRecordsError(reason, file=active.file.name, position=active.position, offset=before)

    def close(self) -> None:
        """Release the file."""
        self._active.file.close()
