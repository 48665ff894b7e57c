"""Which requests of this server took long: the last ones, for the page of operations."""

from __future__ import annotations

import time
from collections import deque
from threading import Lock
from typing import Final, NamedTuple

_KEPT: Final = 50
_PATH_MAX: Final = 500
SLOW_S: Final = 0.25


class Slow(NamedTuple):
    """A request that took long: when it came (milliseconds since 1970), what it asked for, what it was answered with."""

    time_ms: int
    request: str
    status: int
    took_s: float


class Slowest:
    """Keeps the last slow requests, and counts all."""

    def __init__(self) -> None:
        self.since_s = time.time()
        self.requests = 0
        self._kept: deque[Slow] = deque(maxlen=_KEPT)
        self._lock = Lock()  # Held for the two above.

    def note(self, request: str, status: int, took_s: float) -> None:
        """Count a request, and keep it if it was slow."""
        with self._lock:
            self.requests += 1
            if took_s >= SLOW_S:
                self._kept.append(Slow(int((time.time() - took_s) * 1000), request[:_PATH_MAX], status, took_s))

    def newest(self) -> list[Slow]:
        """Return them, the newest first."""
        with self._lock:
            return list(reversed(self._kept))
