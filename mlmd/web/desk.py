"""Where the site's questions in SQL are answered: the frozen copy of the history, and the sandbox that asks it.

Nobody's SQL runs in this process. What it does itself is to copy what is new, once for all who ask; DuckDB is imported by the first who does.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Lock, Thread
from typing import TYPE_CHECKING, Any, Final

from projections.errors import BusyViewError
from projections.generations import FROZEN_FOLDER

if TYPE_CHECKING:
    from mlmd.engine import Engine
    from projections.duck.console import Answer
    from projections.duck.reading import Described
    from projections.duck.sandbox import Sandbox

_PLACES: Final = 10  # Of those who need the copy at a time.


@dataclass(frozen=True)
class Limits:
    """What a question may take. timeout_s: until its first row; whole_s: for all that is downloaded. rows, cells, size: of what a page shows."""

    timeout_s: float = 5.0
    whole_s: float = 60.0
    memory_bytes: int = 512 << 20
    rows: int = 1_000
    cells: int = 50_000
    size: int = 4 << 20
    at_once: int = 2


class Desk:
    """Answers questions. `limits`: of each."""

    def __init__(self, engine: Engine, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._engine = engine
        views: Any = engine.views
        self._views = Path(views) if views is not None and os.access(views, os.W_OK) else None
        self._places = BoundedSemaphore(_PLACES)
        self._lock = Lock()  # Held for all that follows.
        self._sandbox: Sandbox | None = None
        self._folder: Path | None = None
        self._applied = -1
        self._closed = False
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def ask(self, query: str, offset: int, who: str, *, parquet: bool = False, whole: bool = False) -> Answer:
        """Return the answer as of the first `offset` records, which is to be closed. who: whose share of the places it takes.

        whole: it will be taken to its end, for which there is more time. Raises SqlError, ViewError, such as BusyViewError; MissingLibraryError.
        """
        from projections.duck.console import Task  # noqa: PLC0415 - who asks no SQL needs no DuckDB

        folder, applied = self._frozen(offset)
        limits = self.limits
        task = Task(
            str(folder),
            query,
            at=None if offset == applied else offset,
            parquet=parquet,
            timeout_s=limits.timeout_s,
            whole_s=limits.whole_s if whole else limits.timeout_s,
            memory_bytes=limits.memory_bytes,
            threads=1,
        )
        return self._box().ask(task, who)

    def described(self) -> list[Described]:
        """Return what can be asked. Wide views are those that the last question knew. Raises MissingLibraryError."""
        from projections.duck import database, reading  # noqa: PLC0415 - as above

        folder = self._folder or (self._views / FROZEN_FOLDER if self._views is not None else None)
        path = database.FILES.current(folder) if folder is not None else None
        with closing(database.connect(str(path or database.MEMORY), writable=path is None)) as connection:
            if path is None:
                database.create_tables(connection, bytes(16))
            return reading.described(connection)

    def prepare(self) -> None:
        """Bring the copy up to now, and have a child ready, beside what the caller does: somebody will ask."""

        def work() -> None:
            with suppress(Exception):  # Whoever asks is told.
                self._frozen(self._engine.log.end)
                self._box().prepare()

        Thread(target=work, name="sql").start()

    def close(self) -> None:
        """End the child that is ready, and remove what was made aside."""
        with self._lock:
            self._closed = True
            if self._sandbox is not None:
                self._sandbox.close()
            if self._temporary is not None:
                self._temporary.cleanup()

    def _box(self) -> Sandbox:
        from projections.duck.sandbox import Sandbox  # noqa: PLC0415 - as above

        with self._lock:
            if self._sandbox is None:
                self._sandbox = Sandbox(at_once=self.limits.at_once)
                if self._closed:
                    self._sandbox.close()
            return self._sandbox

    def _frozen(self, offset: int) -> tuple[Path, int]:
        """Return the folder of the copy and how many records it shows: `offset` of them, or more. Raises BusyViewError where many wait for it.

        The first copy of a long log takes long, and each who waits has a thread of the site: pages need some too.
        """
        from replay.frozen import freeze  # noqa: PLC0415 - as above

        if not self._places.acquire(blocking=False):
            raise BusyViewError("the history is copied for questions, and many wait for it: ask again in a moment")
        try:
            with self._lock:
                if self._folder is None or self._applied < offset or not self._folder.is_dir():
                    self._folder, self._applied = freeze(self._engine.log, self._views or self._aside())
                return self._folder, self._applied
        finally:
            self._places.release()

    def _aside(self) -> Path:
        """Return a folder for views that ends with the site: the store has none, or none that can be written."""
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="evlog-sql-", ignore_cleanup_errors=True)
        return Path(self._temporary.name)
