"""Connections that read a view: taken for one question, given back, the last one used first, so that its caches are warm.

There are as many as questions were asked at once. Those of a moment of the past are kept for the moments that were asked about last.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.sqlite.lookup import Lookup

MOMENTS_HELD: Final = 16  # To look at another takes milliseconds; each costs a connection or two.


class Readers:
    """The idle connections of one view. connect: opens one, as of a moment or, for None, of now."""

    def __init__(self, connect: Callable[[int | None], Lookup]) -> None:
        self._connect = connect
        self._now: list[Lookup] = []
        self._moments: OrderedDict[int, list[Lookup]] = OrderedDict()
        self._guard = Lock()  # Of _moments: to add and remove, not to push and pop.
        self._closed = False

    def take(self, at: int | None) -> Lookup:
        """Return a connection that nobody else uses."""
        idle = self._now if at is None else self._of_moment(at)
        try:
            return idle.pop()
        except IndexError:
            return self._connect(at)

    def give(self, at: int | None, lookup: Lookup) -> None:
        """Take a connection back."""
        idle = self._now if at is None else self._moments.get(at)
        if idle is None or self._closed:
            lookup.close()
            return
        idle.append(lookup)
        if self._closed:  # In between: whoever closed may not have seen this one.
            _close(idle)

    def _of_moment(self, at: int) -> list[Lookup]:
        with self._guard:
            idle = self._moments.setdefault(at, [])
            self._moments.move_to_end(at)
            forgotten = self._moments.popitem(last=False)[1] if len(self._moments) > MOMENTS_HELD else []
        _close(forgotten)
        return idle

    def close(self) -> None:
        """Close every idle connection now, the others when they are given back."""
        self._closed = True
        with self._guard:
            idle = [self._now, *self._moments.values()]
            self._moments.clear()
        for one in idle:
            _close(one)


def _close(idle: list[Lookup]) -> None:
    while idle:
        try:
            lookup = idle.pop()
        except IndexError:  # Taken by another thread.
            return
        lookup.close()
