"""The log read in other ways than from a record on: from its end, with few looks at the files; and around what is damaged."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from evlog.errors import CorruptLogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evlog.log import Log
    from evlog.records import Entry

# An active segment has no index: each stretch walks it from its start, so there should be few.
STRETCH_MIN: Final = 64
STRETCH_MAX: Final = 16_384


class Placed(Protocol):
    """A record, as an entry or as a frame."""

    @property
    def offset(self) -> int:
        """Return its number."""
        ...


_One = TypeVar("_One", bound=Placed)


class Gap(NamedTuple):
    """Records [start, stop) that cannot be read, and why: what is damaged may stand before the first of them."""

    start: int
    stop: int
    damage: CorruptLogError


def stretches(size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges that together are [0, size), the last one first. They grow: who wants few gets few, who wants all soon has all."""
    stop, length = size, STRETCH_MIN
    while stop > 0:
        start = max(0, stop - length)
        yield start, stop
        stop, length = start, min(length * 4, STRETCH_MAX)


def read_backward(log: Log, start: int, stop: int) -> Iterator[Entry]:
    """Yield the records [start, stop), the last one first. Raises CorruptLogError where one cannot be read, once those behind it are told."""
    for one in readable_backward(log, start, stop):
        if isinstance(one, Gap):
            raise one.damage
        yield one


def readable(read: Callable[[int, int], Iterator[_One]], start: int, stop: int) -> Iterator[_One | Gap]:
    """Yield the records [start, stop), and in the place of those that damage hides, a gap. read: a log's `read` or `frames`."""
    at = start
    while at < stop:
        try:
            for one in read(at, stop):
                yield one
                at = one.offset + 1
        except CorruptLogError as error:
            beyond = _beyond(read, error, at, stop)
            yield Gap(at, beyond, error)
            at = beyond


def readable_backward(log: Log, start: int, stop: int) -> Iterator[Entry | Gap]:
    """Yield the same, the last one first."""
    for first, last in stretches(stop - start):
        entries = log.read_backward(start + first, start + last)
        try:
            newest = next(entries)  # Which reads the bytes of all.
        except CorruptLogError:
            yield from reversed(list(readable(log.read, start + first, start + last)))
        else:
            yield newest
            yield from entries


def _beyond(read: Callable[[int, int], Iterator[_One]], damage: CorruptLogError, start: int, stop: int) -> int:
    """Return the first record after `start` that this damage does not hide, `stop` where there is none.

    No record is found through it but those that an index or a segment of their own leads to, and all that follow one of these are.
    """

    def is_beyond(offset: int) -> bool:
        try:
            next(read(offset, offset + 1))
        except CorruptLogError as error:
            return (error.file, error.offset) != (damage.file, damage.offset)
        return True

    return bisect_left(range(stop), True, lo=start + 1, key=is_beyond)  # noqa: FBT003 - it is what is looked for
