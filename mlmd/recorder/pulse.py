"""The heartbeat: one daemon thread of a process lets every run that lasts say now and then that it is alive, and what it measured."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from mlmd.recorder.alive import HEARTBEAT_S

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG: Final = logging.getLogger(__name__)


class Beating(Protocol):
    """A run that lasts. put_s: when it was put last, of the monotonic clock."""

    put_s: float

    def beat(self) -> None:
        """Put it again."""
        ...


class Pulse:
    """Calls `beat` of each run that was put an interval ago. The thread begins with the first run, and anew in a child process."""

    def __init__(self, interval_s: float = HEARTBEAT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.interval_s, self._clock = interval_s, clock
        self._runs: dict[int, Beating] = {}  # Held by `_guard`.
        self._guard = threading.Lock()
        self._begun = False

    def add(self, run: Beating) -> None:
        """Let a run beat from now on."""
        with self._guard:
            self._runs[id(run)] = run
            if not self._begun:
                self._begun = True
                threading.Thread(target=self._go_on, name="evlog-heartbeat", daemon=True).start()

    def remove(self, run: Beating) -> None:
        """Let it beat no more."""
        with self._guard:
            self._runs.pop(id(run), None)

    def forget(self) -> None:
        """Begin anew, in a child process: the runs are the parent's, and so is the thread."""
        self._runs, self._guard, self._begun = {}, threading.Lock(), False

    def _go_on(self) -> None:
        while True:
            time.sleep(self.interval_s / 6)
            self.beat()

    def beat(self) -> None:
        """Let those beat whose time has come."""
        with self._guard:
            due = [run for run in self._runs.values() if self._clock() - run.put_s >= self.interval_s]
        for run in due:
            try:
                run.beat()
            except Exception as error:  # noqa: BLE001 - the run goes on, and so do the others
                _LOG.warning("a heartbeat failed, the run goes on: %s", error)
                run.put_s = self._clock()  # Tried again an interval later.


PULSE: Final = Pulse()
os.register_at_fork(after_in_child=PULSE.forget)
