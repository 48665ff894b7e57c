"""Followers for tests: a projector that remembers what it was told, and a follower that runs beside the test."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evlog import head
from replay import follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evlog.log import Log
    from evlog.records import Entry

DOCUMENT = Path(__file__).parents[2] / "docs" / "projectors.md"
PATIENCE_S = 60


class Seen:
    """Keeps records in memory. `committed`: the offsets of each transaction; `fails_at`: raises once, instead of applying that one."""

    def __init__(self, applied: int = 0, prev: bytes = b"") -> None:
        self.applied, self.prev = applied, prev
        self.committed: list[list[int]] = []
        self.fails_at: int | None = None
        self._open: list[int] | None = None
        self._applied_before = applied

    @property
    def offsets(self) -> list[int]:
        return [offset for one in self.committed for offset in one]

    def begin(self) -> None:
        assert self._open is None
        self._open, self._applied_before = [], self.applied

    def apply(self, entry: Entry) -> None:
        assert self._open is not None
        if entry.offset == self.fails_at:
            self.fails_at = None
            raise ValueError("as planned")
        self._open.append(entry.offset)

    def commit(self, prev: bytes) -> None:
        assert self._open is not None
        if self._open:
            self.committed.append(self._open)
        self.prev, self._open = prev, None

    def rollback(self) -> None:
        assert self._open is not None
        self.applied, self._open = self._applied_before, None


class Following:
    """A follower in a thread. `error`: what ended it."""

    def __init__(self, log: Log, projector: Any, from_offset: int) -> None:
        self.error: BaseException | None = None
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(log, projector, from_offset))
        self._thread.start()

    def _run(self, log: Log, projector: Any, from_offset: int) -> None:
        try:
            if callable(projector):  # Made here, because SQLite's connections stay in their thread; and closed here.
                with contextlib.closing(projector()) as made:
                    follow(log, made, from_offset, stop_event=self.stop)
            else:
                follow(log, projector, from_offset, stop_event=self.stop)
        except BaseException as error:  # noqa: BLE001 - told to the test
            self.error = error

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so, or fail with what ended the follower."""
        patient_until = time.monotonic() + PATIENCE_S
        while not condition():
            if self.error is not None and not condition():
                raise self.error
            assert time.monotonic() < patient_until, "the follower does not get there"
            time.sleep(0.002)

    def ended(self) -> BaseException | None:
        """Wait for the end that the follower comes to by itself, and return what ended it."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the follower goes on"
        return self.error

    def close(self) -> None:
        self.stop.set()
        self.ended()


@contextmanager
def following(log: Log, projector: Any, from_offset: int = 0) -> Iterator[Following]:
    """Follow a log beside the block; at its end the follower is stopped. projector: or what makes it, in the follower's thread."""
    found = Following(log, projector, from_offset)
    try:
        yield found
    finally:
        found.close()


def put_back(copy: Path, place: Path) -> None:
    """Put a copy of a log in its place, file by file, so that a follower never finds none. HEAD is what makes it look."""
    for path in sorted(copy.iterdir(), key=lambda path: path.name == head.NAME):
        path.replace(place / path.name)


def example() -> str:
    """Return the program of docs/projectors.md."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return code


def example_projector(path: Path) -> Any:
    """Return the projector of docs/projectors.md."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(example(), str(DOCUMENT), "exec"), names)
    return names["ModelOwners"](str(path))
