"""The analytics view, open for reading: as it is, or every name as it was known at a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from projections.duck import database
from projections.duck.wide import quoted
from projections.errors import WrongViewError

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

VERSIONED: Final = ("types", "artifacts", "executions", "contexts")
_LINKS: Final = ("events", "attributions", "associations", "parent_contexts")


class Reader(NamedTuple):
    """A connection that reads a view, and after how many records it sees the store."""

    connection: duckdb.DuckDBPyConnection
    offset: int


def open_view(
    views: Path, *, at: int | None = None, patience_s: float = 0, memory_bytes: int | None = None, confined: bool = True
) -> Reader:
    """Open the current view in a folder. It reads no other file and changes nothing. Raises BusyViewError, WrongViewError.

    at: look at it as it was after so many records. confined: False where the questions are our own, so that they may write any file, or
    where `database.confine` is to follow.
    """
    connection = _open(views, patience_s, memory_bytes, confined=confined)
    try:
        applied = database.watermark(connection).applied
        if at is None:
            return Reader(connection, applied)
        if at > applied:
            raise WrongViewError(f"the history view shows {applied:,} records, so not what was known at #{at:,}")
        look_at(connection, at)
        return Reader(connection, at)
    except BaseException:
        connection.close()
        raise


def _open(views: Path, patience_s: float, memory_bytes: int | None, *, confined: bool) -> duckdb.DuckDBPyConnection:
    while True:
        path = database.FILES.current(views)
        if path is None:
            raise WrongViewError(f"{views / database.FILES.link}: there is no history view")
        try:
            return database.connect(
                str(path), writable=False, patience_s=patience_s, memory_bytes=memory_bytes, confined=confined
            )
        except WrongViewError:
            if database.FILES.current(views) == path:  # Else it was replaced this very moment.
                raise


def look_at(connection: duckdb.DuckDBPyConnection, at: int) -> None:
    """Let every name mean, on this connection alone, what it meant after the first `at` records.

    Temporary views bear the tables' names, and those names win, in the views and macros of the file too. A version that was
    replaced later is current, as it was then.
    """
    ((catalog,),) = connection.execute("select current_database()").fetchall()
    tables = f"{quoted(catalog)}.main"
    held = f"valid_to_offset < {at}"
    ended = f"if({held}, valid_to_offset, null) as valid_to_offset, if({held}, valid_to, null) as valid_to"
    current = f"coalesce(valid_to_offset >= {at}, true) as is_current"
    for table in VERSIONED:
        _name(connection, table, f"* replace ({ended}, {current}) from {tables}.{table} where valid_from_offset < {at}")
    for table in _LINKS:
        _name(connection, table, f"* from {tables}.{table} where valid_from_offset < {at}")
    _name(connection, "records", f'* from {tables}.records where "offset" < {at}')
    _name(connection, "watermark", f"* replace ({at}::bigint as applied) from {tables}.watermark")


def _name(connection: duckdb.DuckDBPyConnection, name: str, selected: str) -> None:
    connection.execute(f"create temp view {name} as select {selected}").fetchall()


class Described(NamedTuple):
    """What can be asked: a table with its columns (name, type, comment), or a macro, which has none. call: how it is named in a question."""

    call: str
    about: str
    columns: list[tuple[str, str, str]]


_COLUMNS: Final = """
select table_name, column_name, data_type, coalesce(comment, '') from duckdb_columns()
where not internal and schema_name = 'main' order by column_index
"""
_NAMES: Final = """
select table_name, comment from duckdb_tables()
union all select view_name, comment from duckdb_views() where not internal
order by 1
"""
_MACROS: Final = """
select function_name, parameters, comment from duckdb_functions()
where not internal and schema_name = 'main' and function_type like '%macro' order by 1
"""


def described(connection: duckdb.DuckDBPyConnection) -> list[Described]:
    """Return the tables and wide views of a view, then its macros, by name."""
    columns: dict[str, list[tuple[str, str, str]]] = {}
    for table, name, form, about in connection.execute(_COLUMNS).fetchall():
        columns.setdefault(table, []).append((name, form, about))
    tables = [
        Described(table, about or "", columns[table])
        for table, about in connection.execute(_NAMES).fetchall()
        if table in columns
    ]
    macros = [
        Described(f"{name}({', '.join(parameters)})", about or "", [])
        for name, parameters, about in connection.execute(_MACROS).fetchall()
    ]
    return tables + macros
