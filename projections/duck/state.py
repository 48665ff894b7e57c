"""The state of a store as its analytics view gives it, from columns alone. See `projections.state`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import duckdb

from projections.duck import database
from projections.errors import ViewError
from projections.query import KINDS
from projections.state import TABLES, VERSIONED, State, canonical, row

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS_AT_ONCE: Final = 2_000
_OWN: Final = {"artifact": ["uri", "state"], "execution": ["state"], "context": []}


def _time(column: str) -> str:
    """Return a time in milliseconds; infinite ones as the last and the first that there are."""
    late = f"if({column} > '2000-01-01'::timestamptz, {(1 << 63) - 1}, {-(1 << 63)})"
    return f"if(isfinite({column}), epoch_ms({column}), {late}::bigint)"


def _nodes(kind: str) -> list[str]:
    times = [_time("create_time"), _time("update_time")]
    maps = ["properties::json", "custom_properties::json"]
    return ["id", "type_id", "name", "external_id", *_OWN[kind], *times, *maps]


# The fields of a row in the order of docs/format.md, but for the offset that put it; trees as JSON text.
_FIELDS: Final[dict[str, list[str]]] = {
    "types": [
        *("id", "kind", "name", "coalesce(version, '')", "description", "external_id", "base_type"),
        *("properties::json", "input_type::json", "output_type::json"),
    ],
    **{f"{kind}s": _nodes(kind) for kind in KINDS},
    "events": ["id", "artifact_id", "execution_id", "type", "time_ms", "path::json"],
    "attributions": ["context_id", "artifact_id"],
    "associations": ["context_id", "execution_id"],
    "parent_contexts": ["id", "parent_id", "child_id"],
}
assert tuple(_FIELDS) == TABLES, "the state has these tables"
# What stands for a tree that is not there.
_ABSENT: Final[dict[str, Any]] = {"properties::json": {}, "custom_properties::json": {}, "path::json": []}


def state_of(connection: duckdb.DuckDBPyConnection) -> State:
    """Return the state that a view shows, or the temporary views of `reading.look_at`. Raises ViewError."""
    state = State()
    for table in TABLES:
        try:
            for fields, since, until in _rows(connection, table):
                found = row(table, *fields, since)
                if until is None:
                    state.add(found)
                else:
                    state.end(found, until)
        except duckdb.Error as error:
            raise database.failed(table, error) from error
        except ValueError as error:  # A tree that is no JSON.
            raise ViewError(f"{table}: {error}") from error
    return state


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> Iterator[tuple[list[Any], int, int | None]]:
    """Yield the fields of each row, the offset that put it and the one that replaced it."""
    fields = _FIELDS[table]
    trees = [(at, _ABSENT.get(name)) for at, name in enumerate(fields) if name.endswith("::json")]
    until = "valid_to_offset" if table in VERSIONED else "null"
    cursor = connection.execute(f"select {', '.join(fields)}, valid_from_offset, {until} from {table}")
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        for *values, since, ended in rows:
            for at, absent in trees:
                text = values[at]
                found = json.loads(text) if text is not None else None
                values[at] = absent if found is None else canonical(found)
            yield values, since, ended
