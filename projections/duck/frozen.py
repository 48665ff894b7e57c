"""The history as Parquet files that never change, and a small database of views over them: what many may ask while the log grows.

    folder/
      history.duckdb                                    a link to the newest of history.<number>.duckdb, as `projections.generations` says
      files/artifacts-<start>-<stop>.parquet            rows that the records [start, stop) put, as they stood after `stop`
      files/artifacts-<start>-<stop>-ended.parquet      of rows put before `start`: those that the records [start, stop) replaced, and which did
      files/executions-...  and so on, for each table; none where there would be no row in it

The database holds no row but the watermark: its tables are views over the files, and there are the macros, the wide views and all comments.
So whoever opens the folder by `reading.open_view` finds a history view like any other. The views name the files relative to the folder:
who asks works in it. A file is never written again, so no question waits for the log to grow, and none stops it.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb

from projections.duck import database
from projections.duck.parquet import write
from projections.duck.reading import VERSIONED, open_view
from projections.duck.wide import make_views
from projections.errors import ViewError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from projections.duck.database import Connection, Watermark

FILES: Final = "files"
MEMORY_BYTES: Final = 1 << 30
RETIRED_S: Final = 3_600.0  # A file that is of no use any more stays so long: who began to read it, reads on.
_ENDED: Final = "ended"
_LISTED: Final = """
create schema if not exists frozen;
create or replace table frozen.files ("table" varchar, part varchar, start bigint, stop bigint, path varchar, bytes bigint);
comment on table frozen.files is 'The files that the views of this database show.';
"""


class File(NamedTuple):
    """One file: rows of a table that the records [start, stop) put, or of older ones that they ended. path: below the folder."""

    table: str
    part: str
    start: int
    stop: int
    path: str
    bytes: int


class Frozen(NamedTuple):
    """What a folder holds: how far it goes, and its files. path: of the database."""

    path: Path
    mark: Watermark
    files: list[File]

    def before(self, start: int) -> list[File]:
        """Return the files that hold the records before `start`, which is where one of them begins."""
        return [file for file in self.files if file.stop <= start]


def look(folder: Path) -> Frozen | None:
    """Return what a folder holds, None where there is nothing whole that this release can use."""
    path = database.FILES.current(folder)
    if path is None:
        return None
    try:
        with closing(database.connect(str(path), writable=False)) as connection:
            mark = database.watermark(connection)
            rows: list[Any] = connection.execute("from frozen.files").fetchall()
    except (ViewError, duckdb.Error):
        return None
    files = [File(*row) for row in rows]
    return Frozen(path, mark, files) if all(_size(folder / file.path) == file.bytes for file in files) else None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def source(views: Path, patience_s: float) -> Connection:
    """Open the history view in a folder, to copy from it. Raises BusyViewError, WrongViewError."""
    return open_view(views, patience_s=patience_s, memory_bytes=MEMORY_BYTES, confined=False).connection


def copy(history: Connection, folder: Path, start: int, stop: int) -> list[File]:
    """Write the files of the records [start, stop); `stop` is how many the history shows. Raises ExportError, such as for a full disk."""
    (folder / FILES).mkdir(parents=True, exist_ok=True)
    return list(_copied(history, folder, start, stop))


def _copied(history: Connection, folder: Path, start: int, stop: int) -> Iterator[File]:
    for table in database.TABLES:
        offset = '"offset"' if table == "records" else "valid_from_offset"
        # The first file is written even if it is empty: a view cannot be made of none.
        if found := _write(history, folder, f"from {table} where {offset} >= {start}", (table, "", start, stop)):
            yield found
        if table in VERSIONED and start:
            ended = f"valid_to_offset >= {start} and valid_from_offset < {start}"
            query = f"select id, valid_from_offset, valid_to_offset, valid_to from {table} where {ended}"
            if found := _write(history, folder, query, (table, _ENDED, start, stop)):
                yield found


def _write(history: Connection, folder: Path, query: str, what: tuple[str, str, int, int]) -> File | None:
    """Write a file; None where it would have no rows and another one has its columns."""
    table, part, start, stop = what
    if start:
        ((count,),) = history.execute(f"select count(*) from ({query})").fetchall()
        if not count:
            return None
    path = f"{FILES}/{table}-{start:020d}-{stop:020d}{'-' if part else ''}{part}.parquet"
    write(history, query, folder / path)
    return File(table, part, start, stop, path, (folder / path).stat().st_size)


def publish(folder: Path, mark: Watermark, files: Sequence[File], before: Frozen | None) -> None:
    """Make a database of views over files the current one, in one step, and remove files that nobody can be reading any more.

    before: what the folder holds, None where nothing of that is to be used. Raises ViewError.
    """
    listed = {file.path for file in files}
    for file in before.files if before else ():
        if file.path not in listed:
            os.utime(folder / file.path)  # It is retired from here on.
    path = database.FILES.new_path(folder)
    try:
        if before is not None:
            path.write_bytes(before.path.read_bytes())  # With the wide views that need not be made again.
        with closing(database.connect(str(path), writable=True)) as connection:
            _fill(connection, folder, mark, files, before)
        database.FILES.publish(folder, path)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, duckdb.Error):
            raise database.failed(str(folder), error) from error
        raise
    for path in (folder / FILES).iterdir():
        if f"{FILES}/{path.name}" not in listed and (before is None or time.time() - path.stat().st_mtime > RETIRED_S):
            path.unlink()


def _fill(connection: Connection, folder: Path, mark: Watermark, files: Sequence[File], before: Frozen | None) -> None:
    connection.execute("set file_search_path = $1", [str(folder)]).fetchall()
    connection.execute("begin").fetchall()
    if before is None:
        database.create_watermark(connection, mark.log_id)
    _list(connection, mark, files, before.files if before else [])
    if before is None:
        database.create_macros(connection)
    make_views(connection, before.mark.applied if before else 0)
    connection.execute("commit").fetchall()
    connection.execute("checkpoint").fetchall()


def _list(connection: Connection, mark: Watermark, files: Sequence[File], before: Sequence[File]) -> None:
    """Let the names of the tables mean the files, and say so. before: what they meant."""
    connection.execute(_LISTED).fetchall()
    connection.executemany("insert into frozen.files values ($1, $2, $3, $4, $5, $6)", [list(file) for file in files])
    connection.execute("update watermark set applied = $1, prev = $2", [mark.applied, mark.prev]).fetchall()
    changed = [table for table in database.TABLES if _of(table, files) != _of(table, before)]
    for table in changed:
        connection.execute(f"create or replace view {table} as {_shown(table, files)}").fetchall()
    if changed:
        connection.execute(";\n".join(database.comments("view", changed))).fetchall()


def _of(table: str, files: Sequence[File]) -> list[File]:
    return [file for file in files if file.table == table]


def _shown(table: str, files: Sequence[File]) -> str:
    """Return the question that a view is: the rows of a table, with what later files say of earlier rows."""
    rows, ended = (
        ", ".join(f"'{file.path}'" for file in _of(table, files) if file.part == part) for part in ("", _ENDED)
    )
    if not ended:
        return f"select * from read_parquet([{rows}])"
    return f"""select row.* replace (
        coalesce(row.valid_to_offset, later.valid_to_offset) as valid_to_offset,
        coalesce(row.valid_to, later.valid_to) as valid_to,
        row.is_current and later.id is null as is_current)
    from read_parquet([{rows}]) row left join read_parquet([{ended}]) later
        on later.id = row.id and later.valid_from_offset = row.valid_from_offset"""
