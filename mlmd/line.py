"""Those who wait to put. Whoever finds nobody leading leads: takes all that wait, serves them as one group, hands on.

There is no thread of its own: a lone caller pays two uncontended locks, and callers that come while a group syncs share the next one.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# Of the time the last group took: what waiting for company may cost. Threads that were released together come back together; without
# this, groups on a slow device alternate between one and all the others.
LINGER_SHARE: Final = 0.2


class Ticket:
    """One who waits. Subclasses carry the work; `done` is set by the line once it has been served."""

    __slots__ = ("done", "leads", "wake")

    def __init__(self) -> None:
        self.done = False
        self.leads = False
        self.wake = Lock()
        self.wake.acquire()


class Line:
    """A line of tickets before one counter. serve: does the work of a group; must not raise for the fault of one of them."""

    def __init__(self, serve: Callable[[list[Ticket]], None]) -> None:
        self._serve = serve
        self._guard = Lock()  # Of _waiting and _led.
        self._waiting: list[Ticket] = []
        self._led = False
        self._company = 1  # How many the last group was.
        self._group_s = 0.0

    def stand(self, ticket: Ticket) -> None:
        """Return when the ticket has been served, by this thread or another."""
        with self._guard:
            self._waiting.append(ticket)
            ticket.leads = not self._led
            self._led = True
        if not ticket.leads:
            self._wait(ticket)
            if ticket.done:
                return
        try:
            self._serve_all()
        finally:
            with self._guard:
                self._hand_on()

    def _wait(self, ticket: Ticket) -> None:
        try:
            ticket.wake.acquire()
        except BaseException:  # A signal. Nobody may be left waiting for a leader who went away.
            with self._guard:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                if ticket.leads:
                    self._hand_on()
            raise

    def _hand_on(self) -> None:
        """Let the first who waits lead. The caller holds the guard."""
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].wake.release()
        else:
            self._led = False

    def _serve_all(self) -> None:
        self._linger()
        with self._guard:
            group, self._waiting = self._waiting, []
        self._company = len(group)
        started = time.perf_counter()
        try:
            self._serve(group)
        finally:
            self._group_s = time.perf_counter() - started
            for ticket in group:
                ticket.done = True
                ticket.wake.release()

    def _linger(self) -> None:
        """Wait a little for those whom the last group released: a full group costs the same sync as a half one."""
        if len(self._waiting) < self._company:
            until = time.perf_counter() + self._group_s * LINGER_SHARE
            while len(self._waiting) < self._company and time.perf_counter() < until:
                time.sleep(0)
