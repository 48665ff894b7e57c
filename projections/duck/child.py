"""The child of `console`: waits for one task, limits itself, answers, ends."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import re
import resource
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import msgspec

from projections.duck import database
from projections.duck.console import SqlError, Task
from projections.duck.frozen import FILES
from projections.duck.reading import open_view
from projections.duck.wide import different, quoted
from projections.errors import ViewError

if TYPE_CHECKING:
    from projections.duck.reading import Reader

_ROWS_AT_ONCE: Final = 1_000
_ROW_BYTES_MAX: Final = 16 << 20  # Whoever reads the answer holds a row in memory.
_OWN_BYTES: Final = 1 << 30  # Of address space and stacks, for Python and the library itself.
_FILES_MAX: Final = 256
_LINES_MAX: Final = 8  # Of a message: DuckDB lists every function that might have been meant.
_INT_MAX: Final = 1 << 63
_UNFIT: Final = "an answer holds what cannot be shown as it is: cast it to text, as in  select value::varchar"
# Where the answer goes: what a library prints of its own accord, such as DuckDB's progress bar, goes to standard error.
_answers: Final = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
_OUTPUT: Final = f"/dev/fd/{_answers.fileno()}"
_encode: Final = msgspec.json.Encoder().encode


def limit(task: Task) -> None:
    """Let the kernel stop this process at its limits of memory and processor time, and let it write no file."""
    cpu_s = math.ceil(task.timeout_s) * (os.cpu_count() or 1) + 1
    memory = task.memory_bytes + _OWN_BYTES
    limits = {
        "RLIMIT_CPU": cpu_s,
        "RLIMIT_DATA": memory,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_NOFILE": _FILES_MAX,
        "RLIMIT_CORE": 0,
    }
    # Where a system knows one of these limits by name only, the parent's clock and DuckDB's own limit are left.
    for name, value in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))


def answer(task: Task) -> None:
    """Write the answer to standard output."""
    try:
        os.chdir(task.views)  # A view over files names them relative to its folder.
        reader = open_view(
            Path(), at=task.at, patience_s=task.patience_s, memory_bytes=task.memory_bytes, confined=False
        )
        may_write = _OUTPUT if task.parquet else None
        database.confine(reader.connection, may_read=FILES, may_write=may_write, threads=task.threads)
        _answer(reader, task)
    except SqlError as error:
        _refuse(task, str(error), usage=error.usage)
    except (ViewError, OSError) as error:
        _refuse(task, str(error))
    except duckdb.OutOfMemoryException:
        _refuse(task, task.too_much_memory(), limit=True)
    except duckdb.Error as error:
        told = str(error)
        lines = told.split("\n\nLINE", 1)[0].rstrip().splitlines()
        message = "\n".join([*lines[:_LINES_MAX], *(["..."] if len(lines) > _LINES_MAX else [])])
        usage = isinstance(error, duckdb.ParserException)
        _refuse(task, message, usage=usage, position=_position(task.query, told))
    except (ValueError, OverflowError, RecursionError):  # Of dates that Python has not, and of trees without end.
        _refuse(task, _UNFIT)


def _position(query: str, told: str) -> int | None:
    """Return the character of a question that a message of DuckDB points at: a line of it, cut at its ends, and a caret below."""
    pointed = re.search(r"^LINE (\d+): (.*)\n( *)\^", told, re.MULTILINE)
    lines = query.split("\n")
    if pointed is None or not 0 < (number := int(pointed[1])) <= len(lines):
        return None
    shown, column = pointed[2], len(pointed[3]) - len(f"LINE {number}: ")
    if shown.startswith("..."):
        shown, column = shown[3:], column - 3
    found = lines[number - 1].find(shown.removesuffix("..."))
    if found < 0 or column < 0:
        return None
    return min(sum(len(line) + 1 for line in lines[: number - 1]) + found + column, len(query))


def _answer(reader: Reader, task: Task) -> None:
    connection, offset = reader
    query, columns, variants = _understood(connection, task)
    if task.parquet:
        named = [
            f"{value} as {quoted(name)}" for value, name in zip(_selected(variants), different(columns), strict=True)
        ]
        wrapped = f"select {', '.join(named)} from ({query}\n) as answer({_names(columns)})"
        _tell({"columns": columns, "offset": offset})
        _answers.flush()
        copy = f"copy ({wrapped}) to '{_OUTPUT}' (format parquet, compression zstd)"
        connection.execute(copy, task.params or None).fetchall()
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
    """Return a question without its semicolon, its columns, and which of them are variants; none known but of a SELECT.

    Whatever else DuckDB takes, it is refused here: COPY and EXPORT would open a file for writing, and so cut it, in a folder that may be read.
    """
    query, kind = _single(connection, task.query)
    if kind == duckdb.StatementType.MULTI:  # A PIVOT, or a COPY of one. In parentheses only the first is understood.
        query, kind = _single(connection, f"select * from ({query}\n)")
        if kind == duckdb.StatementType.MULTI and not task.parquet:
            return query, [], []
    if kind == duckdb.StatementType.EXPLAIN and not task.parquet:
        _, explained = _single(connection, _EXPLAIN.sub("", query))
        if explained == duckdb.StatementType.SELECT:
            return query, [], []
    if kind != duckdb.StatementType.SELECT:
        what = "SELECT as Parquet" if task.parquet else "SELECT, FROM, WITH, PIVOT, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN"
        name = str(kind).rpartition(".")[2]
        raise SqlError(f"{name} is no question: only {what} is answered, and nothing is changed", usage=task.parquet)
    try:
        relation = connection.sql(query, params=task.params or None)
    except duckdb.Error:
        connection.execute(query, task.params or None)  # Which fails alike, and says where.
        raise
    return query, relation.columns, ["VARIANT" in str(form) for form in relation.types]


_EXPLAIN: Final = re.compile(r"^explain\s+(analyze\s+)?(\([^()]*\)\s*)?", re.IGNORECASE)


def _single(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[str, duckdb.StatementType]:
    """Return the one statement of a text, and what it is. Raises SqlError."""
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise SqlError(f"{len(statements)} statements were given: write one", usage=True)
    return statements[0].query.strip().rstrip(";"), statements[0].type


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


def _refuse(task: Task, error: str, *, usage: bool = False, limit: bool = False, position: int | None = None) -> None:
    """Say why there is no answer, or no more of it."""
    told = _encode({"error": error, "usage": usage, "limit": limit, "position": position})
    if not task.parquet:
        _answers.write(told + b"\n")
        return
    _answers.flush()
    sys.exit(told.decode())


def _tell(line: dict[str, Any]) -> None:
    told = _encode(line)
    if len(told) > _ROW_BYTES_MAX:
        raise SqlError(
            f"a row of it has {len(told):,} bytes, {_ROW_BYTES_MAX:,} at most: take less, as in  left(value, 1000)"
        )
    _answers.write(told + b"\n")


def main() -> None:
    """Read a task, answer it."""
    line = sys.stdin.buffer.readline()
    if not line:  # Nobody asked.
        return
    task = msgspec.json.decode(line, type=Task)
    limit(task)
    try:
        answer(task)
    except MemoryError:
        sys.exit("out of memory")
    _answers.flush()


if __name__ == "__main__":
    main()
