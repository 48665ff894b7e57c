"""Files and connections of the serving view.

`views/current.sqlite` is a symbolic link to `views/current.<generation>.sqlite`. A rebuild makes the next generation beside it
and moves the link in one step. Renaming a database file itself would be wrong: SQLite names the write-ahead log by the path,
so a process that still has the old file open would delete or replay the new one's. Those processes notice by `same_file` and
open anew; until then they read the old generation, whole.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import apsw

from projections.errors import WrongViewError

LINK: Final = "current.sqlite"
SCHEMA_VERSION: Final = 1
_SCHEMA: Final = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
_INDEXES: Final = re.findall(r"create (?:unique )?index [^;]+;", _SCHEMA)
_TABLES: Final = re.sub(r"create (?:unique )?index [^;]+;", "", _SCHEMA)
_GENERATION: Final = re.compile(r"current\.(\d{6})\.sqlite")
_BUSY_MS: Final = 10_000
_CACHE_KIB: Final = 32 * 1024
_CHECKPOINT_PAGES: Final = 4_000
MEMORY: Final = ":memory:"


def connect(path: str, *, writable: bool) -> apsw.Connection:
    """Open a database file that exists, or a new one in memory. Raises WrongViewError where it cannot be used."""
    flags = apsw.SQLITE_OPEN_READWRITE if writable else apsw.SQLITE_OPEN_READONLY
    if path == MEMORY:
        flags |= apsw.SQLITE_OPEN_CREATE
    target = path
    if not writable and path != MEMORY and not _may_write_beside(path):
        # On a read-only medium SQLite cannot make the shared-memory file of a write-ahead log; nobody else can write either.
        target, flags = Path(path).absolute().as_uri() + "?immutable=1", flags | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(target, flags=flags)
        connection.set_busy_timeout(_BUSY_MS)
        connection.execute(f"pragma cache_size = -{_CACHE_KIB}")
        if writable:
            connection.execute("pragma journal_mode = wal").fetchall()
            connection.execute(
                "pragma synchronous = normal"
            )  # OFF could tear the file; what NORMAL loses, the log replays.
            connection.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT_PAGES}").fetchall()
    except apsw.Error as error:
        raise WrongViewError(f"{path}: {error}") from error
    return connection


def create_tables(connection: apsw.Connection, log_id: bytes, *, indexes: bool = True) -> None:
    """Make an empty view of a log. Without indexes it fills faster; `create_indexes` then makes them."""
    connection.execute(_TABLES)
    connection.execute(
        "insert into view (schema_version, log_id, applied, prev) values (?, ?, 0, ?)",
        (SCHEMA_VERSION, log_id, bytes(16)),
    )
    if indexes:
        create_indexes(connection)


def create_indexes(connection: apsw.Connection) -> None:
    """Make every index of the schema."""
    for statement in _INDEXES:
        connection.execute(statement)


def watermark(connection: apsw.Connection, log_id: bytes) -> tuple[int, bytes]:
    """Return the applied offset and the leaf prefix before it. Raises WrongViewError for anything but a view of this log."""
    try:
        row = connection.execute("select schema_version, log_id, applied, prev from view").fetchone()
    except apsw.Error as error:
        raise WrongViewError(f"{connection.filename}: no view: {error}") from error
    if row is None:
        raise WrongViewError(f"{connection.filename}: the view has no watermark")
    schema_version, found_id, applied, prev = row
    if schema_version != SCHEMA_VERSION:
        raise WrongViewError(f"{connection.filename}: made by another release (schema {schema_version})")
    if found_id != log_id:
        raise WrongViewError(f"{connection.filename}: a view of another log")
    return applied, prev


def current(folder: Path) -> Path | None:
    """Return the file that the link leads to, None where there is none."""
    link = folder / LINK
    return link.resolve() if link.exists() else None


def next_generation(folder: Path) -> Path:
    """Return a new, empty file for a view, under a name that no other process has or gets."""
    while True:
        taken = [int(match[1]) for entry in folder.iterdir() if (match := _GENERATION.match(entry.name))]
        path = folder / f"current.{max(taken, default=0) + 1:06d}.sqlite"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return path


def publish(folder: Path, file: Path) -> None:
    """Make `file` the current view in one step, and remove older generations. The caller holds the log's writer lock.

    Where `file` is gone, another process has published a newer one meanwhile; that one stays.
    """
    if not file.exists():
        return
    temporary = folder / f"{LINK}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(file.name)
    temporary.replace(folder / LINK)
    for entry in folder.iterdir():
        match = _GENERATION.match(entry.name)
        if match and entry.name.split("-")[0] < file.name:
            entry.unlink(missing_ok=True)


def same_file(link: str, inode: int) -> bool:
    """Tell whether the link still leads to the file with this inode."""
    try:
        return os.stat(link).st_ino == inode  # noqa: PTH116 - before every read: a Path costs more than the call
    except OSError:
        return False


def _may_write_beside(path: str) -> bool:
    return os.access(Path(path).parent, os.W_OK)
