"""The log read from its end on, with few looks at the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evlog.log import Log
    from evlog.records import Entry

# An active segment has no index: each stretch walks it from its start, so there should be few.
STRETCH_MIN: Final = 64
STRETCH_MAX: Final = 16_384


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
        yield from log.read_backward(start + first, start + last)
