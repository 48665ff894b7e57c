"""A process of our own that works for this one: the `main` of a module, asked and answering through its pipes.

Not those of `multiprocessing`, which run the caller's main module again. A worker whose parent died meets the end of its input, or a
pipe that nobody reads, and ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# The modules are those of the parent, and none of the folder that it was called in.
_PROGRAM: Final = "import sys; sys.path[:] = sys.argv[2:]; from evlog.worker import run; run(sys.argv[1])"


class Worker:
    """A worker, used by one thread at a time."""

    def __init__(self, module: str) -> None:
        """Start one. module: its full name; it has a function `main` without arguments."""
        self._child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _PROGRAM, module, *filter(None, sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # Its traceback helps nobody; that it died is told.
            process_group=0,  # Ctrl-C is for the parent, which ends it.
        )

    def tell(self, line: bytes) -> None:
        """Hand it a line; one that has died does not hear it, and `hear` will tell."""
        assert self._child.stdin is not None, "made with a pipe"
        with suppress(BrokenPipeError, ValueError):
            self._child.stdin.write(line + b"\n")
            self._child.stdin.flush()

    def hear(self) -> bytes | None:
        """Return the next line that it says; None from one that has died."""
        assert self._child.stdout is not None, "made with a pipe"
        line = self._child.stdout.readline()
        return line[:-1] if line.endswith(b"\n") else None

    def receive(self, size: int) -> bytes | None:
        """Return the bytes that it sends after a line; None from one that has died."""
        assert self._child.stdout is not None, "made with a pipe"
        data = self._child.stdout.read(size)
        return data if len(data) == size else None

    def wait(self) -> int:
        """Return what one that has died ended with, a signal as its negative number."""
        return self._child.wait()

    def stop(self) -> None:
        """End it, whatever it does."""
        self._child.kill()

    def close(self) -> None:
        """Close its pipes and wait for its end."""
        with suppress(BrokenPipeError), self._child:  # It may not have read all.
            pass


def processors() -> int:
    """Return how many workers can work at once: the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(module: str) -> None:
    """Be a worker: what the program of one begins with."""
    from importlib import import_module  # noqa: PLC0415 - no parent needs it

    main: Callable[[], None] = import_module(module).main
    try:
        main()
    except BrokenPipeError:
        os._exit(1)  # Nobody listens any more: nor to what is left to be flushed.


def say(line: bytes, *data: bytes) -> None:
    """Tell the parent a line, and the bytes that follow it."""
    sys.stdout.buffer.write(line + b"\n")
    for part in data:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
