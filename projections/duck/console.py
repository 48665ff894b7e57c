"""One question in a process of its own, with a limit of time and memory.

DuckDB does not promise to notice an interrupt, nor to keep to its own limit of memory: `list(range(100000000))` did neither. So whoever
takes SQL from people runs it in a child that the kernel limits and that can be killed: it reads one file and writes none.

The child gets its task as JSON on standard input and answers on standard output, a JSON text a line: columns and offset, rows, and
at the end `{"rows": n}` or `{"error": text, "usage": bool}`. An end that is missing means that the child died.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

import msgspec

from projections.errors import ViewError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


class Task(msgspec.Struct):
    """What the child does. views: the folder; at: as of which offset; parquet: the file to write the answer to, in place of rows."""

    views: str
    query: str
    params: dict[str, int | float | bool | str | None] = {}
    at: int | None = None
    parquet: str | None = None
    timeout_s: float = 60.0
    memory_bytes: int = 1 << 30
    patience_s: float = 10.0

    def too_much_memory(self) -> str:
        """Return what to say where the memory was not enough."""
        return f"it needed more than {self.memory_bytes >> 20:,} MiB of memory, and was stopped"


class SqlError(ViewError):
    """A question cannot be answered. usage: it was not understood."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


class Answer:
    """The answer to a task, as it comes: `columns` and the `offset` it is of, then its rows, once. A context manager: the child does not outlive it.

    Until the first row the child has `timeout_s` seconds; after that its processor time is limited, however slowly rows are taken.
    """

    def __init__(self, task: Task) -> None:
        """Start the child and wait for the columns. Raises SqlError."""
        self._task = task
        self._late = False
        self.count = 0  # Of rows, once they were taken.
        command = [sys.executable, "-m", "projections.duck.child"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603 - our own module
        self._timer = threading.Timer(task.timeout_s, self._stop)
        self._timer.daemon = True
        self._timer.start()
        try:
            self._give(msgspec.json.encode(task))
            head = self._next()
            self.columns: list[str] = head["columns"]
            self.offset: int = head["offset"]
            self._ahead = self._next()
        except BaseException:
            self.close()
            raise
        self._timer.cancel()

    def rows(self) -> Iterator[list[Any]]:
        """Yield the rows. Raises SqlError."""
        line = self._ahead
        while "rows" not in line:
            yield line["row"]
            line = self._next()
        self.count = line["rows"]

    def _give(self, task: bytes) -> None:
        assert self._child.stdin is not None, "made with a pipe"
        try:
            self._child.stdin.write(task)
            self._child.stdin.close()
        except BrokenPipeError:  # It is dead; `_next` says why.
            return

    def _next(self) -> dict[str, Any]:
        assert self._child.stdout is not None, "made with a pipe"
        line = self._child.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._death()
        found: dict[str, Any] = msgspec.json.decode(line)
        if "error" in found:
            raise SqlError(found["error"], usage=found["usage"])
        return found

    def _stop(self) -> None:
        self._late = True
        self._child.kill()

    def _death(self) -> SqlError:
        """Return what the child died of."""
        assert self._child.stderr is not None, "made with a pipe"
        told = self._child.stderr.read().decode(errors="replace").strip().splitlines()
        code = self._child.wait()
        if self._late or -code == signal.SIGXCPU:
            return SqlError(f"it took longer than {self._task.timeout_s:g} s and was stopped")
        why = told[-1] if told else f"it ended with {code}"
        return SqlError(
            f"it may have needed more than {self._task.memory_bytes >> 20:,} MiB of memory, and was stopped ({why})"
        )

    def close(self) -> None:
        """End the child."""
        self._timer.cancel()
        self._child.kill()
        with self._child:  # Closes its pipes and waits for it.
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
