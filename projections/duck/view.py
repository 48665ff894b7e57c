"""The analytics view, open for writing: a projector of its own transaction, fed by the one loop that feeds every view.

Not safe for two writers: who opens it holds `history.lock` (`replay.analytics` does). Rows are made in a thread of their own while the
records that follow are read and gathered here; `commit` waits for it, so that rows and applied offset become visible together.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import duckdb

from projections.duck import database
from projections.duck.apply import known_of, load
from projections.duck.batch import Gathering
from projections.duck.wide import make_views
from projections.errors import ViewError, WrongViewError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from evlog.records import Entry
    from projections.duck.batch import Columns


class HistoryView:
    """An open analytics view of one log. `applied` is the offset of the next record to apply, `prev` the leaf prefix before it."""

    # One transaction each: what fills a row group of DuckDB's. It keeps the rows of a larger one in memory: 600 MB for a million.
    batch_records: Final = 122_880

    def __init__(self, path: Path | None, log_id: bytes, *, create: bool, patience_s: float = 0) -> None:
        """Open the view in a file, or make it there; in memory if `path` is None.

        Raises WrongViewError for a file that is no view of this log, BusyViewError for one that others hold longer than they are waited for.
        """
        self.path = database.MEMORY if path is None else str(path)
        self.connection = database.connect(self.path, writable=True, patience_s=patience_s)
        try:
            if create:
                database.create_tables(self.connection, log_id)
            self.log_id, self.applied, self.prev = database.watermark(self.connection)
            if self.log_id != log_id:
                raise WrongViewError(f"{self.path}: a view of another log")
            self._known = known_of(self.connection)
        except duckdb.Error as error:
            self.connection.close()
            raise database.failed(self.path, error) from error
        except BaseException:
            self.connection.close()
            raise
        self._worker = ThreadPoolExecutor(1, "history view")
        self._loading: Future[bool] | None = None
        self._gathering = self._begin_gathering()
        self._types_changed = False
        self._applied_before = self.applied

    @property
    def mark(self) -> database.Watermark:
        """Return what the view says of itself."""
        return database.Watermark(self.log_id, self.applied, self.prev)

    def begin(self) -> None:
        """Begin a transaction."""
        self._applied_before = self.applied
        self._execute("begin")

    def apply(self, entry: Entry) -> None:
        """Take one record; see Projector."""
        self._gathering.take(entry)

    def take(self, columns: Columns, stop: int) -> None:
        """Take the records up to `stop`, gathered elsewhere, instead of `apply` for each of them."""
        assert self._gathering.is_empty, "a transaction is fed in one way or the other"
        self._hand_over(lambda: columns)
        self.applied = stop

    def _begin_gathering(self) -> Gathering:
        return Gathering(self.applied, lambda batch, _: self._hand_over(batch.columns))

    def _hand_over(self, columns: Callable[[], Columns]) -> None:
        """Let the thread make rows of columns; it has one batch at a time, so that memory stays bounded."""
        self._wait()
        self._loading = self._worker.submit(self._load, columns)

    def _load(self, columns: Callable[[], Columns]) -> bool:
        return load(self.connection, columns(), self._known)

    def _wait(self) -> None:
        """Wait until the rows of what was handed over are made. Raises ViewError."""
        loading, self._loading = self._loading, None
        if loading is not None:
            try:
                self._types_changed |= loading.result()
            except (duckdb.Error, OverflowError, ValueError) as error:
                raise database.failed(self.path, error) from error

    def commit(self, prev: bytes) -> None:
        """Make the rows visible, and the applied offset with them. prev: of the log at that offset."""
        try:
            self._gathering.end()
            self._wait()
            if self._types_changed:
                make_views(self.connection, self._applied_before)
            self._execute("update watermark set applied = $1, prev = $2", self.applied, prev)
            self._execute("commit")
        except BaseException as error:
            self.rollback()
            if isinstance(error, duckdb.Error):
                raise database.failed(self.path, error) from error
            raise
        self.prev, self._types_changed = prev, False

    def rollback(self) -> None:
        """Undo what was applied since `begin`."""
        with suppress(ViewError):
            self._wait()
        self.applied = self._applied_before
        self._gathering, self._types_changed = self._begin_gathering(), False
        with suppress(duckdb.Error):  # After some errors the transaction is over already.
            self.connection.execute("rollback").fetchall()

    def _execute(self, sql: str, *values: object) -> None:
        try:
            self.connection.execute(sql, list(values)).fetchall()
        except duckdb.Error as error:
            raise database.failed(self.path, error) from error

    def release(self) -> duckdb.DuckDBPyConnection:
        """Return the connection for questions; the view takes no more records."""
        self._worker.shutdown()
        return self.connection

    def close(self) -> None:
        """Close the file: from here on it is one file without a write-ahead log, and free for others. Raises ViewError."""
        self._worker.shutdown()
        try:
            if self.path != database.MEMORY:
                self._execute("checkpoint")
        finally:
            self.connection.close()
