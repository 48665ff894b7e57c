"""Checkpoints while a store is written to: in a thread of their own, at most one a second, one at the end.

A put only says that there is something new. A failure is told once, in the program's log, and hinders no put: without a
checkpoint a record is as durable as before, and not yet promised to an outsider.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from evlog.errors import CorruptLogError, LogError, ReplacedLogError
from evlog.tlog import anchors, keys
from evlog.tlog.publisher import Publisher

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.identity import Identity
    from evlog.tlog.checkpoint import Signed

INTERVAL_S: Final = 1.0
ANCHORED_S: Final = 60.0  # Between two copies to the anchors: none of those is ever removed.
_LOG: Final = logging.getLogger(__name__)


class Checkpointer:
    """Publishes a log in the background. Its thread begins with the first record put, not before."""

    def __init__(self, log_folder: Path, place: Path, key: Path, ident: Identity) -> None:
        self._log_folder, self._place, self._key, self._ident = log_folder, place, key, ident
        self._publisher: Publisher | None = None  # Of the thread alone.
        self._thread: threading.Thread | None = None
        self._dirty, self._stop = threading.Event(), threading.Event()
        self._last = False  # One more before the end.
        self._anchored_s = -ANCHORED_S
        self._told = ""

    def wake(self) -> None:
        """Say that records were put. Called by one thread at a time."""
        self._dirty.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="evlog-checkpoints", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Publish what was put since the last time, and end the thread."""
        self._last = True
        self.abandon()
        if self._thread is not None:
            self._thread.join()

    def abandon(self) -> None:
        """Let the thread end by itself, without a last checkpoint. Waits for nothing."""
        self._stop.set()
        self._dirty.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._dirty.wait()
            if self._stop.is_set():
                break
            self._dirty.clear()
            self._publish()
            self._stop.wait(INTERVAL_S)
        if self._last:
            self._publish()
        if self._publisher is not None:
            self._publisher.close()

    def _publish(self) -> None:
        try:
            if self._publisher is None:
                key, remembered = keys.read(self._key, self._ident.origin), keys.memory_of(self._key)
                self._publisher = Publisher(self._log_folder, self._place, key, remembered)
            self._copy(self._publisher.publish())
        except Exception as error:  # noqa: BLE001 - whatever it is, puts go on
            self._tell(error)

    def _copy(self, signed: Signed) -> None:
        """Copy a checkpoint to the anchors, at most once a minute, and at the end."""
        now_s = time.monotonic()
        if self._stop.is_set() or now_s - self._anchored_s >= ANCHORED_S:
            self._anchored_s = now_s
            for error in anchors.copy_to_all(self._place.parent, signed, self._ident, self._place):
                self._tell(error)

    def _tell(self, error: Exception) -> None:
        if str(error) == self._told:
            return
        self._told = str(error)
        if isinstance(error, CorruptLogError | ReplacedLogError):
            _LOG.error("no checkpoint is signed: %s", error)
        else:
            _LOG.warning("no checkpoint could be made: %s", error, exc_info=not isinstance(error, LogError))
