"""The serving view: one connection that writes, others that read, each used by one thread at a time.

Not safe for two writers: whoever writes holds the log's writer lock. Readers see whole transactions only.
"""

from __future__ import annotations

import contextlib
import threading
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import apsw

from projections.errors import FullViewError, ViewError, WrongViewError
from projections.generations import same_file
from projections.sqlite import database, properties
from projections.sqlite.apply import Applier, Bodies
from projections.sqlite.digest import state_digest
from projections.sqlite.lookup import Lookup
from projections.sqlite.properties import Indexes
from projections.sqlite.readers import Readers
from projections.sqlite.state import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from evlog.records import Entry
    from projections.sqlite.properties import Property
    from projections.state import State

_Answer = TypeVar("_Answer")


class Look(NamedTuple):
    """What a view holds: how many records, the digest of its rows, and the state that they say, where it was asked for."""

    applied: int
    digest: str
    state: State | None


class View:
    """An open view of one log. `applied` is the offset of the next record to apply."""

    def __init__(
        self, path: str, log_id: bytes, bodies: Bodies, *, writable: bool, create: bool, indexes: bool
    ) -> None:
        self.path, self.log_id, self.writable, self._bodies = path, log_id, writable, bodies
        self._connection = database.connect(path, writable=writable, create=create)
        try:
            if create:
                if not indexes and path != database.MEMORY:
                    database.build_unjournalled(self._connection)
                with self._connection:
                    database.create_tables(self._connection, log_id, indexes=indexes)
            self.applied, self.prev = database.watermark(self._connection, log_id)
        except BaseException as error:
            self._connection.close()
            if isinstance(error, apsw.Error):
                raise self._failed(error) from error
            raise
        self._applied_before = self.applied
        self._execute = self._connection.cursor().execute
        self._indexes = Indexes()
        self.lookup = Lookup(self._connection, self._indexes)
        self._applier = Applier(self._connection, bodies)
        self._apply = self._applier.apply
        if create:  # While it is filled there are no indexes to look it up by.
            self._applier.newest = 0
        # In memory there is one connection for all: a reader waits while a group is written.
        self._only = threading.RLock() if path == database.MEMORY else None
        self._readers = Readers(partial(_connect, path, self._indexes, self._connection, self._only))
        self._inode = 0

    @classmethod
    def create(cls, path: Path | None, log_id: bytes, bodies: Bodies, *, indexes: bool = True) -> View:
        """Make an empty view in a new file, or in memory if `path` is None.

        indexes: False for one that is filled at once, unshared, until `index` is called; a failure leaves it useless.
        """
        name = database.MEMORY if path is None else str(path)
        return cls(name, log_id, bodies, writable=True, create=True, indexes=indexes)

    @classmethod
    def open(cls, folder: Path, log_id: bytes, bodies: Bodies, *, writable: bool = True) -> View:
        """Open the current view in a folder. Raises WrongViewError where there is none of this log."""
        path = database.FILES.current(folder)
        try:
            inode = path.stat().st_ino if path else 0
        except FileNotFoundError:  # Replaced this very moment.
            path = None
        if path is None:
            raise WrongViewError(f"{folder / database.FILES.link}: there is no view")
        view = cls(str(path), log_id, bodies, writable=writable, create=False, indexes=False)
        view._inode = inode
        return view

    def is_current(self, folder: str) -> bool:
        """Tell whether the view has not been replaced since it was opened. `folder` ends in a slash."""
        return self._only is not None or same_file(folder + database.FILES.link, self._inode)

    # Writing: begin, apply ..., commit or rollback ------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a transaction and look how far the view is now: another process may have moved it."""
        if self._only is not None:
            self._only.acquire()
        try:
            self._execute("begin immediate")
            rows: Any = self._execute("select applied, prev from view").fetchall()
            if rows[0][0] != self.applied:  # Another process has put nodes since.
                self._applier.overtaken()
            self.applied, self.prev = rows[0]
            self._applied_before = self.applied
        except BaseException as error:
            if self._only is not None:
                self._only.release()
            if isinstance(error, apsw.Error | IndexError):
                raise self._failed(error) from error
            raise

    def apply(self, entry: Entry) -> None:
        """Turn one record into rows; see Projector."""
        try:
            self._apply(entry)
        except (apsw.FullError, apsw.IOError) as error:  # Of a transaction that outgrows its cache.
            raise self._failed(error) from error

    def commit(self, prev: bytes) -> None:
        """Make the rows visible, and the applied offset with them. prev: of the log at that offset."""
        try:
            self._execute("update view set applied = ?, prev = ?, boot = ?", (self.applied, prev, database.BOOT))
            self._execute("commit")
        except apsw.Error as error:
            self._undo()
            raise self._failed(error) from error
        finally:
            if self._only is not None:
                self._only.release()
        self.prev = prev

    def rollback(self) -> None:
        """Undo what was applied since `begin`."""
        try:
            self._undo()
        finally:
            if self._only is not None:
                self._only.release()

    def _undo(self) -> None:
        self._applier.forget()
        self.applied = self._applied_before
        if self._connection.in_transaction:
            self._connection.execute("rollback")

    def index(self) -> None:
        """Make the indexes of a view that was created without; from here on it can be shared."""
        try:
            with self._connection:
                database.create_indexes(self._connection)
            if self._only is None:
                database.journal(self._connection)
        except apsw.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> ViewError:
        return FullViewError(self.path) if isinstance(error, apsw.FullError) else ViewError(f"{self.path}: {error}")

    # Indexes of properties ------------------------------------------------------------------------------------------

    def index_wanted(self) -> Property | None:
        """Return a property whose filters have cost as much as an index of it does, None where there is none: see `properties`."""
        for wanted in self._indexes.dear():
            if self.ask(lambda lookup: lookup.worth_an_index(wanted)):  # noqa: B023 - asked at once
                return wanted
        return None

    def index_property(self, wanted: Property) -> None:
        """Make the index of a property. Nobody else may be writing."""
        self._indexes.forget(wanted)
        try:
            with self._only or nullcontext(), self._connection:
                properties.create_index(self._connection, wanted)
        except apsw.Error as error:
            raise self._failed(error) from error

    def indexed_properties(self) -> list[Property]:
        """Return the properties that have an index because it paid: see `properties`."""
        return self.ask(Lookup.indexed_properties)

    # Reading --------------------------------------------------------------------------------------------------------

    def ask(self, question: Callable[[Lookup], _Answer], at: int | None = None, held: Lookup | None = None) -> _Answer:
        """Return the answer to a question; threads ask on connections of their own.

        at: as it was after so many records, which the view must have applied; None for now. held: of `held`, asked instead.
        """
        try:
            if held is not None:
                return question(held)
            if self._only is not None and at is None:
                with self._only:
                    return question(self.lookup)
            lookup = self._readers.take(at)
            try:
                return question(lookup)
            finally:
                self._readers.give(at, lookup)
        except apsw.Error as error:
            raise ViewError(f"{self.path}: {error}; `evlog replay` makes the view anew from the log") from error

    @contextmanager
    def held(self) -> Iterator[Lookup | None]:
        """Hold what the view shows now, for several questions that must agree; others write on meanwhile, and it is as fast as now.

        For one thread at a time. None for a view in memory: it has one connection, and who held it would keep others from putting.
        """
        if self._only is not None:
            yield None
            return
        lookup = self._readers.take(None)
        try:
            with lookup.snapshot():
                lookup.applied()  # The first look is what is held.
                yield lookup
        finally:
            self._readers.give(None, lookup)

    def watermark(self) -> int:
        """Return the applied offset as the view holds it now."""
        return self.state(digest=False)[0]

    def digest(self) -> str:
        """Return the digest of the view's state: equal for equal rows, whatever their order in the file."""
        return self.state()[1]

    def state(self, *, digest: bool = True) -> tuple[int, str]:
        """Return applied offset and digest of one moment. Raises ViewError where the file cannot be read."""
        try:
            with self._only or nullcontext(), self._connection:
                applied, _ = database.watermark(self._connection, self.log_id)
                found = state_digest(self._connection) if digest else ""
        except apsw.Error as error:
            raise ViewError(f"{self.path}: {error}; `evlog replay` makes the view anew from the log") from error
        return applied, found

    def look(self, *, deep: bool) -> Look:
        """Return what the view holds, all of one moment; deep: its state too. Raises ViewError where the file cannot be read."""
        try:
            with self._only or nullcontext(), self._connection:
                self._check_pages()
                applied, digest = self.state()
                state = state_of(self._connection, self._bodies) if deep else None
        except (apsw.Error, ValueError) as error:
            raise ViewError(f"{self.path}: {error}; `evlog replay` makes the view anew from the log") from error
        return Look(applied, digest, state)

    def _check_pages(self) -> None:
        """Raise ValueError where the file is not sound: rows may be right, and the indexes, by which they are found, not."""
        [[found], *_] = self._connection.execute("pragma integrity_check(1)").fetchall()
        if found != "ok":
            raise ValueError(" ".join(str(found).split()))

    def close(self) -> None:
        """Close every connection. A closed view is one file, without a write-ahead log beside it."""
        self._readers.close()
        if self.writable and self._only is None:
            with contextlib.suppress(apsw.Error):  # Others may be at work; the last to close it brings it to the disk.
                database.settle(self._connection)
        self._connection.close()

    def abandon(self) -> None:
        """Close every connection and write nothing. Should the machine stop before others settle it, the view is made anew."""
        self._readers.close()
        self._connection.close()


def _connect(
    path: str, indexes: Indexes, writer: apsw.Connection, only: threading.RLock | None, at: int | None
) -> Lookup:
    """Open a connection that reads a view, as of a moment or now. Not a method: a view is let go of when the last thread lets go."""
    if only is None:
        connection = database.connect(path, writable=False)
    else:  # In memory each moment is a copy: only its own connection sees the temporary views that make a moment.
        connection = database.connect(database.MEMORY, writable=True, create=True)
        with only, connection.backup("main", writer, "main") as backup:
            backup.step()
    if at is not None:
        database.look_back(connection, at)
    return Lookup(connection, indexes)


def peek(folder: Path) -> tuple[bytes, int] | None:
    """Return (log id, applied offset) of the view in a folder, None where none can be read: a witness for recovery."""
    path = database.FILES.current(folder)
    if path is None:
        return None
    try:
        connection = database.connect(str(path), writable=False)
    except ViewError:
        return None
    try:
        row = connection.execute("select log_id, applied from view").fetchone()
    except apsw.Error:
        return None
    finally:
        connection.close()
    return row
