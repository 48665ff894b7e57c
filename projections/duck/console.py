"""One question in a process of its own, the sandbox of all SQL that people write: the command's, an agent's, a browser's.

DuckDB does not promise to notice an interrupt, nor to keep to its own limit of memory: `list(range(100000000))` did neither. So whoever
takes SQL from people runs it in a child that the kernel limits and that can be killed: it reads one view and writes no file.

The child gets its task as a line of JSON on standard input and answers on standard output, a JSON text a line: columns and offset, rows, and
at the end `{"rows": n}` or an error as `_refused` reads it. An end that is missing means that the child died. Where Parquet
was asked for, its bytes follow the first line, and an error stands on standard error instead.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from projections.errors import ViewError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

_COMMAND: Final = (sys.executable, "-m", "projections.duck.child")
# What of the environment a child needs to start. The rest may hold secrets, and is none of a question's business.
_ENVIRONMENT: Final = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR", "TZ", "TZDIR")
_CHUNK: Final = 1 << 16


class Task(msgspec.Struct):
    """What the child does. views: the folder of the view; at: as of which offset; parquet: answer with bytes of Parquet, in place of rows.

    timeout_s: until the first row; after that its processor time is limited, and `whole_s` is for all rows, however slowly they are taken.
    threads: None for as many as there are cores.
    """

    views: str
    query: str
    params: dict[str, int | float | bool | str | None] = {}
    at: int | None = None
    parquet: bool = False
    timeout_s: float = 60.0
    whole_s: float | None = None
    memory_bytes: int = 1 << 30
    patience_s: float = 10.0
    threads: int | None = None

    def too_much_memory(self) -> str:
        """Return what to say where the memory was not enough."""
        return f"it needed more than {self.memory_bytes >> 20:,} MiB of memory, and was stopped"


class SqlError(ViewError):
    """A question cannot be answered. usage: it was not understood. position: the character of the question where it goes wrong, from 0."""

    def __init__(self, message: str, *, usage: bool = False, position: int | None = None) -> None:
        super().__init__(message)
        self.usage, self.position = usage, position


class SqlLimitError(SqlError):
    """A question took more time or memory than it may."""


def start() -> subprocess.Popen[bytes]:
    """Start a child that waits for its task."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    pipe = subprocess.PIPE
    return subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)  # noqa: S603 - our own module


def stop(child: subprocess.Popen[bytes]) -> None:
    """End a child."""
    child.kill()
    if child.stdin is not None:
        with suppress(BrokenPipeError):
            child.stdin.close()
    with child:  # Closes its pipes and waits for it.
        pass


class Answer:
    """The answer to a task, as it comes: `columns` and the `offset` it is of, then its rows or bytes, once. A context manager: the child does not outlive it."""

    def __init__(
        self, task: Task, child: subprocess.Popen[bytes] | None = None, closed: Callable[[], object] = lambda: None
    ) -> None:
        """Give the child its task, and wait for the first row. Raises SqlError.

        child: one that waits for it; it is the answer's from here on. closed: called once, when the child has ended.
        """
        self._task, self._closed = task, closed
        self._late: float | None = None  # After so many seconds it was stopped.
        self.count = 0  # Of rows, once they were taken.
        self.size = 0  # Bytes of rows that were taken so far.
        self._child = child or start()
        self._timer = self._timed(task.timeout_s)
        try:
            self._give(msgspec.json.encode(task) + b"\n")
            head = self._next()
            self.columns: list[str] = head["columns"]
            self.offset: int = head["offset"]
            self._ahead: Any = self._chunk() if task.parquet else self._next()
        except BaseException:
            self.close()
            raise
        self._timer.cancel()
        if task.whole_s is not None:
            self._timer = self._timed(task.whole_s)

    def rows(self) -> Iterator[list[Any]]:
        """Yield the rows. Raises SqlError."""
        line = self._ahead
        while "rows" not in line:
            yield line["row"]
            line = self._next()
        self.count = line["rows"]

    def parquet(self) -> Iterator[bytes]:
        """Yield the bytes of the file. Raises SqlError where they will not be whole."""
        while self._ahead:
            yield self._ahead
            self._ahead = self._chunk()

    def _timed(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._stop, [seconds])
        timer.daemon = True
        timer.start()
        return timer

    def _give(self, task: bytes) -> None:
        assert self._child.stdin is not None, "made with a pipe"
        try:
            self._child.stdin.write(task)
            self._child.stdin.flush()
        except BrokenPipeError:  # It is dead; `_next` says why.
            return

    def _next(self) -> dict[str, Any]:
        assert self._child.stdout is not None, "made with a pipe"
        line = self._child.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._death()
        self.size += len(line)
        try:
            found: dict[str, Any] = msgspec.json.decode(line)
        except RecursionError:
            raise SqlError("the answer holds a tree that is too deep: cast it to text") from None
        if "error" in found:
            raise _refused(found)
        return found

    def _chunk(self) -> bytes:
        assert self._child.stdout is not None, "made with a pipe"
        chunk = self._child.stdout.read1(_CHUNK)  # type: ignore[attr-defined] # It is buffered: `start` says nothing else.
        if not chunk and self._child.wait() != 0:
            raise self._death()
        self.size += len(chunk)
        found: bytes = chunk
        return found

    def _stop(self, seconds: float) -> None:
        self._late = seconds
        self._child.kill()

    def _death(self) -> SqlError:
        """Return what the child died of."""
        assert self._child.stderr is not None, "made with a pipe"
        told = self._child.stderr.read().decode(errors="replace").strip().splitlines()
        code = self._child.wait()
        if self._late is not None or -code == signal.SIGXCPU:
            return SqlLimitError(f"it took longer than {self._late or self._task.timeout_s:g} s and was stopped")
        if told and told[-1].startswith("{"):
            return _refused(msgspec.json.decode(told[-1]))
        why = told[-1] if told else f"it ended with {code}"
        return SqlLimitError(
            f"it may have needed more than {self._task.memory_bytes >> 20:,} MiB of memory, and was stopped ({why})"
        )

    def close(self) -> None:
        """End the child."""
        self._timer.cancel()
        stop(self._child)
        closed, self._closed = self._closed, lambda: None
        closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _refused(told: dict[str, Any]) -> SqlError:
    """Return the error that a child told of."""
    error = SqlLimitError if told["limit"] else SqlError
    return error(told["error"], usage=told["usage"], position=told["position"])
