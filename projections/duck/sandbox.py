"""Questions of many at once: a child that is ready for the next one, so many at work and no more, and a share for each who asks.

Threads may ask. Who finds all places taken waits a moment, and is told to come again where that is not enough. The children give way to
the process that started them: whatever they are at, it answers.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from projections.duck import console
from projections.errors import BusyViewError

if TYPE_CHECKING:
    import subprocess

    from projections.duck.console import Answer, Task

_NICE: Final = 10


class Sandbox:
    """Asks tasks in children of their own. at_once: so many are at work; share: of those, so many for one who asks; waiting: so many wait, for `patience_s`."""

    def __init__(self, *, at_once: int = 2, share: int = 1, waiting: int = 8, patience_s: float = 5.0) -> None:
        self._at_once, self._share, self._patience_s = at_once, share, patience_s
        self._waiting_max = waiting
        self._changed = threading.Condition()  # Held for all that follows.
        self._at_work: Counter[str] = Counter()
        self._waiting = 0
        self._ready: subprocess.Popen[bytes] | None = None
        self._closed = False

    def ask(self, task: Task, who: str = "") -> Answer:
        """Return the answer to a task, which is to be closed. Raises SqlError; BusyViewError where too many ask."""
        self._enter(who)
        try:
            return console.Answer(task, self._take(), lambda: self._leave(who))
        except BaseException:
            self.prepare()
            raise

    def prepare(self) -> None:
        """Have a child ready: it needs a fifth of a second to start."""
        with self._changed:
            if self._ready is None and not self._closed:
                self._ready = _started()

    def close(self) -> None:
        """End the child that is ready. Those at work end with their answers."""
        with self._changed:
            self._closed, ready, self._ready = True, self._ready, None
        if ready is not None:
            console.stop(ready)

    def __del__(self) -> None:
        """End the child that is ready, where nobody did."""
        self.close()

    def _take(self) -> subprocess.Popen[bytes]:
        with self._changed:
            child, self._ready = self._ready, None
        if child is None or child.poll() is not None:
            if child is not None:
                console.stop(child)
            child = _started()
        return child

    def _enter(self, who: str) -> None:
        until = time.monotonic() + self._patience_s
        with self._changed:
            if not self._free(who) and self._waiting >= self._waiting_max:
                raise BusyViewError(f"{self._waiting:,} questions wait already: ask again in a moment")
            self._waiting += 1
            try:
                if not self._changed.wait_for(lambda: self._free(who), until - time.monotonic()):
                    mine = "yours" if self._at_work[who] >= self._share else "those of others"
                    raise BusyViewError(
                        f"as many questions as are answered at once are at work, {mine}: ask again in a moment"
                    )
            finally:
                self._waiting -= 1
            self._at_work[who] += 1

    def _free(self, who: str) -> bool:
        return self._at_work.total() < self._at_once and self._at_work[who] < self._share

    def _leave(self, who: str) -> None:
        with self._changed:
            self._at_work[who] -= 1
            if not self._at_work[who]:
                del self._at_work[who]
            self._changed.notify_all()
        self.prepare()


def _started() -> subprocess.Popen[bytes]:
    child = console.start()
    with suppress(OSError):  # It is dead already.
        os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
    return child
