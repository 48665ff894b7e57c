"""Records that are wanted here and there, or from the end on: read with few looks at the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evlog.log import Log
    from evlog.records import Entry

# An active segment has no index: each stretch walks it from its start, so there should be few.
STRETCH_MIN: Final = 64
STRETCH_MAX: Final = 16_384
_NEAR: Final = 64  # To find a place costs as much as to read on over so many records.


def stretches(size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges that together are [0, size), the last one first. They grow: who wants few gets few, who wants all soon has all."""
    stop, length = size, STRETCH_MIN
    while stop > 0:
        start = max(0, stop - length)
        yield start, stop
        stop, length = start, min(length * 4, STRETCH_MAX)


def read_backward(log: Log, start: int, stop: int) -> Iterator[Entry]:
    """Yield the records [start, stop), the last one first."""
    for first, last in stretches(stop - start):
        yield from reversed(list(log.read(start + first, start + last)))


def read_each(log: Log, offsets: Sequence[int]) -> Iterator[Entry]:
    """Yield the records at ascending offsets."""
    first = 0
    while first < len(offsets):
        last = first
        while last + 1 < len(offsets) and offsets[last + 1] - offsets[last] <= _NEAR:
            last += 1
        wanted = frozenset(offsets[first : last + 1])
        for entry in log.read(offsets[first], offsets[last] + 1):
            if entry.offset in wanted:
                yield entry
        first = last + 1
