"""Rows of plain values -> one file of Parquet. A column has one type; what has none of DuckDB's in common is JSON text."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from projections.duck.parquet import write
from projections.duck.wide import different, literal, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INT64: Final = range(-(2**63), 2**63)


def write_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], file: Path) -> None:
    """Write a row for each mapping, its values by the names of columns. Raises ExportError, such as for a full disk.

    Names that a database holds for one, such as acc and ACC, get a number; an empty one becomes "column". A value is None, bool, int, float, str, or anything that JSON holds.
    """
    columns = list(dict.fromkeys(columns))
    types = [_type_of([row.get(name) for row in rows]) for name in columns]
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(":memory:") as connection:
        source = Path(folder) / "rows.jsonl"
        with source.open("w", encoding="utf-8") as lines:
            for row in rows:
                told = {
                    f"c{at}": _plain(row.get(name), form)
                    for at, (name, form) in enumerate(zip(columns, types, strict=True))
                }
                lines.write(json.dumps(told, ensure_ascii=False) + "\n")
        typed = ", ".join(f"c{at}: {literal(form)}" for at, form in enumerate(types))
        named = ", ".join(f"c{at} as {quoted(name)}" for at, name in enumerate(different(columns)))
        read = f"read_json({literal(str(source))}, format = 'newline_delimited', columns = {{{typed}}})"
        write(connection, f"select {named} from {read}", file)


def _type_of(values: list[Any]) -> str:
    types = {type(value) for value in values} - {type(None)}
    if types == {bool}:
        return "boolean"
    if types == {int} and all(value is None or value in _INT64 for value in values):
        return "bigint"
    return "double" if types and types <= {int, float} else "varchar"


def _plain(value: Any, form: str) -> Any:
    if form != "varchar" or value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
