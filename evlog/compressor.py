"""Segments compressed while a store is written to: in a thread of its own, of low priority, some time after each roll.

It compares all bytes of a segment with the digest in its seal, as read from the device, and leaves the walk over the frames, the one
step that would hold Python's lock for long, to `evlog compress` and `evlog verify`: the bytes stay the same in either form. It rests
after each block, so that puts find the processor and the device free. A failure is told once, in the program's log, and hinders
neither a put nor the next segment.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from evlog import compression
from evlog.errors import CorruptLogError, LogError

if TYPE_CHECKING:
    from evlog.files import Folder

DELAY_S: Final = 5.0  # Followers read a new segment just as it was sealed, and a process that ends soon begins nothing.
REST_S: Final = 0.002  # After each block of 128 KiB in each of three passes: 64 MiB take some four seconds.
NICE: Final = 19
_LOG: Final = logging.getLogger(__name__)


class _StoppedError(Exception):
    """The log is being closed."""


class Compressor:
    """Compresses the segments of a log in the background. Its thread begins when it is first woken, not before."""

    def __init__(self, folder: Folder, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self._thread: threading.Thread | None = None
        self._work, self._stop = threading.Event(), threading.Event()
        self._told: set[str] = set()

    def look(self) -> None:
        """Begin with what earlier processes left, where they did."""
        if self._waiting():
            self.wake()

    def wake(self) -> None:
        """Say that a segment was sealed. Called by one thread at a time."""
        self._work.set()
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="evlog-compressor", daemon=True)
            with suppress(
                RuntimeError
            ):  # The system has no thread to give, or the interpreter ends: another time, then.
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """Give up what is being compressed, and end the thread."""
        self.abandon()
        if self._thread is not None:
            self._thread.join()

    def abandon(self) -> None:
        """Let the thread end by itself. Waits for nothing."""
        self._stop.set()
        self._work.set()

    def _run(self) -> None:
        with suppress(
            AttributeError, OSError
        ):  # On Linux a thread has a priority of its own; elsewhere its rests must do.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            self._work.wait()
            self._work.clear()
            if self._stop.wait(DELAY_S):
                return
            try:
                self._compress()
            except _StoppedError:
                return

    def _waiting(self) -> list[int]:
        try:
            return compression.waiting(self._folder, seed=self._seed)
        except LogError as error:  # Whatever it is, puts go on.
            self._tell(error)
            return []

    def _compress(self) -> None:
        for base in self._waiting():
            try:
                self._compress_one(base)
            except _StoppedError:
                raise
            except Exception as error:  # noqa: BLE001 - as above, and so does the next segment
                self._tell(error)

    def _compress_one(self, base: int) -> None:
        with closing(self._folder.lock(compression.LOCK_NAME)) as lock:
            if not lock.try_acquire():
                return  # Somebody else is at it.
            try:
                compression.compress(self._folder, base, seed=self._seed, frames=False, breathe=self._rest)
            finally:
                lock.release()

    def _rest(self) -> None:
        if self._stop.wait(REST_S):
            raise _StoppedError

    def _tell(self, error: Exception) -> None:
        if str(error) in self._told:
            return
        self._told.add(str(error))
        if isinstance(error, CorruptLogError):
            _LOG.error("a sealed segment is damaged: %s", error)
        else:
            _LOG.warning("a segment could not be compressed: %s", error, exc_info=not isinstance(error, LogError))
