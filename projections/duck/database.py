"""Files and connections of the analytics view. `views/history.duckdb` leads to the file: see `projections.generations`.

DuckDB locks a file that is open for writing against every other process, and one that is open for reading against writers. So nobody
holds it for longer than it takes: who brings the view up opens, catches up and closes, one process at a time (`history.lock`); readers
that come meanwhile try again. Where readers stay, or there is much to do, the work is done on a copy that then takes the old file's
place: a long question never stops the view, nor the view a question.
"""

from __future__ import annotations

import re
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb

from projections.duck import wide
from projections.errors import BusyViewError, ViewError, WrongViewError
from projections.generations import HISTORY, HISTORY_LOCK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Connection = duckdb.DuckDBPyConnection
Relation = duckdb.DuckDBPyRelation
FILES: Final = HISTORY
LOCK: Final = HISTORY_LOCK
SCHEMA_VERSION: Final = 1
MEMORY: Final = ":memory:"
_SCHEMA: Final = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
_MACROS: Final = Path(__file__).with_name("macros.sql").read_text(encoding="utf-8")
_WATERMARK: Final = _SCHEMA[_SCHEMA.index("create table watermark") : _SCHEMA.index("create table records")]
TABLES: Final = tuple(re.findall(r"create table (\w+)", _SCHEMA.replace(_WATERMARK, "")))  # All but the watermark.
_WRITER: Final[dict[str, Any]] = {
    "memory_limit": "1GB",
    "autoinstall_known_extensions": "false",
    "write_buffer_row_group_count": 1,  # Rows are compressed and written as they come, not all in the end.
}
_CONFINED: Final = {"enable_external_access": "false", "lock_configuration": "true"}
# Reads no file but its own, loads nothing, and no SQL can change that.
_READER: Final[dict[str, Any]] = {
    "autoinstall_known_extensions": "false",
    **_CONFINED,  # Before temp_directory: afterwards that could not be set.
    "autoload_known_extensions": "false",
    "temp_directory": "",
}
_PATIENCE_STEP_S: Final = 0.02
_BUSY: Final = ("Could not set lock on file", "different configuration than existing connections")


class Watermark(NamedTuple):
    """What a view says of itself: the log, how many records it shows, and the leaf prefix of that history."""

    log_id: bytes
    applied: int
    prev: bytes


def connect(
    path: str, *, writable: bool, patience_s: float = 0, memory_bytes: int | None = None, confined: bool = True
) -> Connection:
    """Open a file, trying again while somebody else has it. Raises BusyViewError after so long, WrongViewError.

    memory_bytes: what questions may take. confined: see `confine`. All that one process opens for reading has one configuration: DuckDB wants it so.
    """
    config = _WRITER if writable and path != MEMORY else _READER
    if not confined:
        config = {name: value for name, value in config.items() if name not in _CONFINED}
    if memory_bytes is not None:
        config = {**config, "memory_limit": f"{memory_bytes}B"}
    until = time.monotonic() + patience_s
    while True:
        try:
            return duckdb.connect(path, read_only=not writable, config=config)
        except duckdb.Error as error:
            if not any(sign in str(error) for sign in _BUSY):
                raise WrongViewError(f"{path}: {_first_line(error)}") from error
            if time.monotonic() >= until:
                raise BusyViewError(f"{path}: somebody else has it open: {_first_line(error)}") from error
        time.sleep(_PATIENCE_STEP_S)


def confine(connection: Connection, *, may_read: str, may_write: str | None, threads: int | None) -> None:
    """Let a connection that was opened with `confined=False` read one folder besides its own file, and write one file, for good.

    threads: how many may work at once, None for as many as there are cores.
    """
    connection.execute("set allowed_directories = $1", [[may_read]]).fetchall()
    if may_write is not None:
        connection.execute("set allowed_paths = $1", [[may_write]]).fetchall()
    connection.execute("set enable_progress_bar = false").fetchall()
    if threads is not None:
        connection.execute(f"set threads = {threads}").fetchall()
    for name, value in _CONFINED.items():
        connection.execute(f"set {name} = {value}").fetchall()


def create_tables(connection: Connection, log_id: bytes) -> None:
    """Make an empty view of a log: tables, macros, and the comment of each."""
    connection.execute("begin").fetchall()
    connection.execute(_SCHEMA).fetchall()
    _begin(connection, log_id)
    connection.execute(";\n".join(comments("table", TABLES))).fetchall()
    create_macros(connection)
    connection.execute("commit").fetchall()


def create_watermark(connection: Connection, log_id: bytes) -> None:
    """Make the one table of a view whose others are elsewhere."""
    connection.execute(_WATERMARK).fetchall()
    _begin(connection, log_id)


def _begin(connection: Connection, log_id: bytes) -> None:
    row = [SCHEMA_VERSION, log_id, 0, bytes(16)]
    connection.execute("insert into watermark values ($1, $2, $3, $4)", row).fetchall()
    connection.execute(";\n".join(comments("table", ["watermark"]))).fetchall()


def create_macros(connection: Connection) -> None:
    """Make the macros, and their comments, once there is what they read."""
    connection.execute(_MACROS).fetchall()
    made = re.findall(r"^-- (.+)\ncreate macro (\w+)\([^)]*\) as (table|\()", _MACROS, re.MULTILINE)
    for comment, macro, form in made:
        kind = "macro table" if form == "table" else "macro"
        connection.execute(f"comment on {kind} {macro} is {wide.literal(comment)}").fetchall()


def comments(kind: str, tables: Collection[str]) -> Iterator[str]:
    """Yield what makes COMMENTs of the comments on some tables. kind: what bears their names, "table" or "view"."""
    table = ""
    for line in _SCHEMA.splitlines():
        if match := re.match(r"create table (\w+) \( +-- (.+)", line):
            table = match[1]
            if table in tables:
                yield f"comment on {kind} {table} is {wide.literal(match[2])}"
        elif table in tables and (match := re.match(r' +("?\w+"?) .*?,? +-- (.+)', line)):
            yield f"comment on column {table}.{match[1]} is {wide.literal(match[2])}"


def watermark(connection: Connection) -> Watermark:
    """Return what a view says of itself. Raises WrongViewError where this release cannot use it."""
    try:
        rows: list[Any] = connection.execute("select schema_version, log_id, applied, prev from watermark").fetchall()
    except duckdb.Error as error:
        raise WrongViewError(f"no history view: {_first_line(error)}") from error
    if len(rows) != 1 or rows[0][0] != SCHEMA_VERSION:
        raise WrongViewError("the history view was made by another release")
    return Watermark(*rows[0][1:])


def digest(connection: Connection) -> str:
    """Return the digest of a view's rows: equal for equal rows, whatever their order, by one release of DuckDB. Raises ViewError."""
    found = sha256()
    for table in ("watermark", *TABLES):
        try:
            rows = f"select hash({', '.join(_hashable(connection, table))}) as row from {table}"
            state = connection.execute(f"select count(*), bit_xor(row), sum(row::hugeint) from ({rows})").fetchall()
        except duckdb.Error as error:
            raise failed(table, error) from error
        found.update(repr(state).encode())
    return found.hexdigest()


def _hashable(connection: Connection, table: str) -> Iterator[str]:
    """Yield what stands for each column: a variant as JSON, for it has no text where two of its keys differ in upper and lower case alone."""
    for name, form in connection.execute(f"select column_name, column_type from (describe {table})").fetchall():
        yield f"{wide.quoted(name)}::json" if form == "VARIANT" else wide.quoted(name)


def peek(path: Path, patience_s: float) -> Watermark:
    """Return what the view in a file says of itself. Raises BusyViewError, WrongViewError."""
    connection = connect(str(path), writable=False, patience_s=patience_s)
    try:
        return watermark(connection)
    finally:
        connection.close()


def failed(path: str, error: Exception) -> ViewError:
    """Return what to raise for an error of DuckDB, or of what it was to be fed with."""
    return ViewError(f"{path}: {_first_line(error)}; `evlog replay --view history` makes the view anew from the log")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
