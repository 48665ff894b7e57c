"""Connections of the serving view, and what its file says of itself. `views/current.sqlite` leads to the file: see `generations`."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Final

import apsw

from projections.errors import FullViewError, WrongViewError
from projections.generations import CURRENT
from projections.sqlite import past, properties

FILES: Final = CURRENT
SCHEMA_VERSION: Final = 9
_SCHEMA: Final = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
_INDEXES: Final = re.findall(r"create (?:unique )?index [^;]+;", _SCHEMA)
_TABLES: Final = re.sub(r"create (?:unique )?index [^;]+;", "", _SCHEMA)
_BUSY_MS: Final = 10_000
_CACHE_KIB: Final = 32 * 1024
_READER_CACHE_KIB: Final = 2 * 1024  # One for each thread that reads: the kernel keeps the pages once for all.
_PAST_CACHE_KIB: Final = 2 * _READER_CACHE_KIB  # Each node is read in two tables.
_CHECKPOINT_PAGES: Final = 1_000
MEMORY: Final = ":memory:"
CLOSED: Final = ""


def connect(path: str, *, writable: bool, create: bool = False) -> apsw.Connection:
    """Open a database file, or make one. Raises WrongViewError where it cannot be used, FullViewError where there is no room."""
    flags = apsw.SQLITE_OPEN_READWRITE if writable else apsw.SQLITE_OPEN_READONLY
    if create:
        flags |= apsw.SQLITE_OPEN_CREATE
    target = path
    if not writable and path != MEMORY and not _may_write_beside(path):
        # On a read-only medium SQLite cannot make the shared-memory file of a write-ahead log; nobody else can write either.
        target, flags = Path(path).absolute().as_uri() + "?immutable=1", flags | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(target, flags=flags)
        plan_once(connection)
        connection.set_busy_timeout(_BUSY_MS)
        connection.execute(f"pragma cache_size = -{_CACHE_KIB if writable else _READER_CACHE_KIB}")
        if writable:
            connection.execute("pragma journal_mode = wal").fetchall()
            # Nothing is synced: the log is the truth. What a power cut may tear is told by `boot`, and made anew.
            connection.execute("pragma synchronous = off")
            connection.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT_PAGES}").fetchall()
    except apsw.FullError as error:
        raise FullViewError(path) from error
    except apsw.Error as error:
        raise WrongViewError(f"{path}: {error}") from error
    return connection


def look_back(connection: apsw.Connection, at: int) -> None:
    """Let a connection that reads answer as of the first `at` records."""
    connection.execute(f"pragma cache_size = -{_PAST_CACHE_KIB}")
    past.look_at(connection, at)


def plan_once(connection: apsw.Connection) -> None:
    """Keep a statement's plan whatever its parameters: SQLite would make it anew for each value of a join, at 4 to 30 us a time."""
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def build_unjournalled(connection: apsw.Connection) -> None:
    """Write pages once, straight into the file: for one that is nobody's yet, and is thrown away if anything fails."""
    connection.execute("pragma journal_mode = off").fetchall()


def journal(connection: apsw.Connection) -> None:
    """Go back to the write-ahead log."""
    connection.execute("pragma journal_mode = wal").fetchall()


def create_tables(connection: apsw.Connection, log_id: bytes, *, indexes: bool = True) -> None:
    """Make an empty view of a log. Without indexes it fills faster; `create_indexes` then makes them."""
    connection.execute(_TABLES)
    past.create_tables(connection)
    connection.execute(
        "insert into view (schema_version, log_id, applied, prev, boot) values (?, ?, 0, ?, ?)",
        (SCHEMA_VERSION, log_id, bytes(16), BOOT),
    )
    if indexes:
        create_indexes(connection)


def create_indexes(connection: apsw.Connection) -> None:
    """Make every index of the schema."""
    for statement in (*_INDEXES, *past.INDEXES):
        connection.execute(statement)
    for hot in properties.HOT:
        properties.create_index(connection, hot)


def watermark(connection: apsw.Connection, log_id: bytes) -> tuple[int, bytes]:
    """Return the applied offset and the leaf prefix before it. Raises WrongViewError for anything but a view of this log."""
    try:
        row = connection.execute("select schema_version, log_id, applied, prev, boot from view").fetchone()
    except apsw.Error as error:
        raise WrongViewError(f"{connection.filename}: no view: {error}") from error
    if row is None:
        raise WrongViewError(f"{connection.filename}: the view has no watermark")
    schema_version, found_id, applied, prev, boot = row
    if schema_version != SCHEMA_VERSION:
        raise WrongViewError(f"{connection.filename}: made by another release (schema {schema_version})")
    if found_id != log_id:
        raise WrongViewError(f"{connection.filename}: a view of another log")
    if boot not in (CLOSED, BOOT):
        raise WrongViewError(f"{connection.filename}: the machine stopped before the view was on its disk")
    return applied, prev


def settle(connection: apsw.Connection) -> None:
    """Bring a view to the disk, whole, and then note that it is: from there on it survives a power cut.

    Gives up where another process is at work on it: that one will do it.
    """
    if connection.execute("select boot from view").fetchall() == [(CLOSED,)]:
        return
    connection.execute("pragma synchronous = full")
    connection.execute(
        "update view set boot = ?", (BOOT,)
    )  # A checkpoint that has something to write syncs the whole file.
    version = connection.execute("pragma data_version").fetchall()
    if not _checkpointed(connection):
        return
    with connection:
        connection.execute("update view set boot = ?", (CLOSED,))
        if connection.execute("pragma data_version").fetchall() != version:
            connection.execute("update view set boot = ?", (BOOT,))
    _checkpointed(connection)


def _checkpointed(connection: apsw.Connection) -> bool:
    """Move the write-ahead log into the file and sync that; return whether all of it went."""
    ((busy, _, _),) = connection.execute("pragma wal_checkpoint(truncate)").fetchall()
    return not busy


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # Not Linux: every view of a process that was not closed counts as torn.
        return f"process {os.getpid()} {time.time_ns()}"


def new_file(folder: Path) -> Path:
    """Return a new, empty file to build a view in, under a name that nobody else has."""
    path = FILES.new_path(folder)
    path.touch(exist_ok=False)  # Not a temporary file of one's own: whoever may use the store may use the view.
    return path


def _may_write_beside(path: str) -> bool:
    return os.access(Path(path).parent, os.W_OK)


BOOT: Final = _boot()
