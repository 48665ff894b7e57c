"""The child of `console`: limits itself, answers one task, ends."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import resource
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from projections.duck.console import SqlError, Task
from projections.duck.wide import different, literal, quoted
from projections.errors import ViewError

if TYPE_CHECKING:
    import duckdb

    from projections.duck.reading import Reader

_ROWS_AT_ONCE: Final = 1_000
_OWN_BYTES: Final = 1 << 30  # Of address space and stacks, for Python and the library itself.
_INT_MAX: Final = 1 << 63
_encode: Final = msgspec.json.Encoder().encode


def limit(task: Task) -> None:
    """Let the kernel stop this process at its limits of memory and processor time."""
    cpu_s = math.ceil(task.timeout_s) * (os.cpu_count() or 1) + 1
    # Where a system knows one of these limits by name only, the parent's clock and DuckDB's own limit are left.
    for name, value in ((resource.RLIMIT_CPU, cpu_s), (resource.RLIMIT_DATA, task.memory_bytes + _OWN_BYTES)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(name, (value, value))


def answer(task: Task) -> None:
    """Write the answer to standard output."""
    import duckdb  # noqa: PLC0415 - after the limits are set

    from projections.duck.reading import open_view  # noqa: PLC0415 - as above

    try:
        reader = open_view(
            Path(task.views),
            at=task.at,
            patience_s=task.patience_s,
            memory_bytes=task.memory_bytes,
            may_write=task.parquet,
        )
        _answer(reader, task)
    except ViewError as error:
        _tell({"error": str(error), "usage": isinstance(error, SqlError) and error.usage})
    except duckdb.OutOfMemoryException:
        _tell({"error": task.too_much_memory(), "usage": False})
    except duckdb.Error as error:
        usage = isinstance(error, duckdb.ParserException)
        _tell({"error": str(error).split("\n\nLINE", 1)[0], "usage": usage})


def _answer(reader: Reader, task: Task) -> None:
    connection, offset = reader
    query, columns, variants = _understood(connection, task)
    if task.parquet is not None:
        named = [
            f"{value} as {quoted(name)}" for value, name in zip(_selected(variants), different(columns), strict=True)
        ]
        wrapped = f"select {', '.join(named)} from ({query}\n) as answer({_names(columns)})"
        copy = f"copy ({wrapped}) to {literal(task.parquet)} (format parquet, compression zstd)"
        ((count,),) = connection.execute(copy, task.params or None).fetchall()
        _tell({"columns": columns, "offset": offset})
        _tell({"rows": count})
        return
    if any(variants):  # As JSON: the library's own way to Python loses keys that are empty or hold a NUL.
        query = f"select {', '.join(_selected(variants))} from ({query}\n) as answer({_names(columns)})"
    cursor, count = connection.execute(query, task.params or None), 0
    _tell({"columns": different(columns or [column[0] for column in cursor.description]), "offset": offset})
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        count += len(rows)
        for row in rows:
            _tell({"row": [_plain(value, tree=tree) for value, tree in zip_longest(row, variants)]})
    _tell({"rows": count})


def _understood(connection: duckdb.DuckDBPyConnection, task: Task) -> tuple[str, list[str], list[bool]]:
    """Return a question without its semicolon, its columns, and which of them are variants; none known but of a SELECT."""
    import duckdb  # noqa: PLC0415 - after the limits are set

    statements = connection.extract_statements(task.query)
    if len(statements) != 1:
        raise SqlError(f"{len(statements)} statements were given: write one", usage=True)
    query = statements[0].query.strip().rstrip(";")
    if statements[0].type != duckdb.StatementType.SELECT:
        if task.parquet is not None:
            raise SqlError("only the answer to a SELECT can be written as Parquet", usage=True)
        return query, [], []
    relation = connection.sql(query, params=task.params or None)
    return query, relation.columns, ["VARIANT" in str(form) for form in relation.types]


def _names(columns: list[str]) -> str:
    return ", ".join(f"c{number}" for number in range(len(columns)))


def _selected(variants: list[bool]) -> list[str]:
    return [f"c{number}::json" if tree else f"c{number}" for number, tree in enumerate(variants)]


def _plain(value: Any, *, tree: bool | None = False) -> Any:
    """Return a value as JSON can hold it; what it has no word for becomes text. tree: the value is JSON text."""
    match value:
        case None | bool() | int() | str():
            if tree and isinstance(value, str):
                return _plain(json.loads(value))
            return value if not isinstance(value, int) or -_INT_MAX <= value < _INT_MAX else str(value)
        case float():
            return value if math.isfinite(value) else repr(value)
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() and not value.as_tuple().exponent else float(value)
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return str(value)


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.buffer.write(_encode(line) + b"\n")


def main() -> None:
    """Read a task, answer it."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    limit(task)
    try:
        answer(task)
    except MemoryError:
        sys.exit("out of memory")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
