"""What every server has in common: it listens, or says why not, and ends when it is told to."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENDINGS: Final = frozenset({signal.SIGTERM, signal.SIGINT})


class ListenError(Exception):
    """The server cannot listen where it was told to, or not with these certificates."""


@contextmanager
def told_to_end() -> Iterator[Callable[[], None]]:
    """Take SIGTERM and SIGINT from now on; yields what waits for the first of them. From the main thread alone.

    Python calls a handler between two steps of the main thread: never, if the signal came to another thread, or to this one just before it
    went to wait. So the wait is for a byte in a pipe, which the interpreter's own handler writes at once, whichever thread it interrupts.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    wakeup = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)  # Full: it was told often enough.
    before = {number: signal.signal(number, lambda *_: None) for number in _ENDINGS}

    def wait() -> None:
        while _ENDINGS.isdisjoint(os.read(told, 64)):  # Numbers of signals, one a byte.
            pass

    try:
        yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(told)
        os.close(tell)
