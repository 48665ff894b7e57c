"""History -> Parquet: what a range of records put, one file of each table. Every engine reads the files alike.

A VARIANT is DuckDB's own, so properties become map<string, struct<int_value, double_value, string_value, bool_value, struct_value,
proto_value>>, of which one field is set: names as MLMD spells them. That a version was replaced is known only later, so there is no
`valid_to` in a file that never changes: the last version of an id that was put by a moment is the one that held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb

from projections.duck.reading import open_view
from projections.duck.wide import literal
from projections.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

    from projections.duck.database import Connection

MEMORY_BYTES: Final = 2 << 30
FILE_RECORDS: Final = 1_000_000  # No file holds more of them, so that engines share the work, and progress shows.

# From JSON text, because a lambda cannot look into a VARIANT. A proto is an array [type url, base64], which no other value is.
_JSON: Final = "coalesce({column}::json, '{{}}')::map(varchar, json)"
_MAP: Final = """map(map_keys({json}), list_transform(
    list_transform(map_values({json}), lambda json: {{json: json, type: json_type(json)}}),
    lambda value: {{
        int_value: case when value.type in ('BIGINT', 'UBIGINT') then value.json::varchar::bigint end,
        double_value: case when value.type = 'DOUBLE' then value.json::varchar::double end,
        string_value: case when value.type = 'VARCHAR' then value.json ->> '$' end,
        bool_value: case when value.type = 'BOOLEAN' then value.json::boolean end,
        struct_value: case when value.type = 'OBJECT' then value.json::varchar end,
        proto_value: case when value.type = 'ARRAY'
            then {{type_url: value.json ->> 0, value: from_base64(value.json ->> 1)}} end
    }})) as {column}"""


def _map(column: str) -> str:
    return _MAP.format(json=_JSON.format(column=column), column=column)


_NODE: Final = (
    "id, type, type_id, name, external_id, {own}create_time, update_time, {maps}, valid_from_offset, valid_from"
)
_MAPS: Final = f"{_map('properties')}, {_map('custom_properties')}"
_LINK: Final = "valid_from_offset, valid_from"
# Of each table the columns of its files, and that of the offset by which a row belongs to a range.
TABLES: Final[dict[str, tuple[str, str]]] = {
    "artifacts": (_NODE.format(own="uri, state, ", maps=_MAPS), "valid_from_offset"),
    "executions": (_NODE.format(own="state, ", maps=_MAPS), "valid_from_offset"),
    "contexts": (_NODE.format(own="", maps=_MAPS), "valid_from_offset"),
    "types": (
        (
            "id, kind, name, version, description, external_id, base_type, properties,"
            f" input_type::json::varchar as input_type, output_type::json::varchar as output_type, {_LINK}"
        ),
        "valid_from_offset",
    ),
    "events": (
        f"id, artifact_id, execution_id, type, is_output, time, time_ms, path::json::varchar as path, {_LINK}",
        "valid_from_offset",
    ),
    "attributions": (f"context_id, artifact_id, {_LINK}", "valid_from_offset"),
    "associations": (f"context_id, execution_id, {_LINK}", "valid_from_offset"),
    "parent_contexts": (f"id, parent_id, child_id, {_LINK}", "valid_from_offset"),
    "records": (
        (
            '"offset", time, actor, auth, application, host, pid, api, reason,'
            " transaction_id::varchar as transaction_id, changes"
        ),
        '"offset"',
    ),
}


def write(connection: Connection, query: str, file: Path) -> int:
    """Write what a query answers as one file; return how many rows. Raises ExportError, such as for a full disk."""
    sql = f"copy ({query}) to {literal(str(file))} (format parquet, compression zstd)"
    try:
        counted: list[Any] = connection.execute(sql).fetchall()
    except duckdb.Error as error:
        raise ExportError(f"{file}: {str(error).splitlines()[0]}") from error
    count: int = counted[0][0]
    return count


class Stretch(NamedTuple):
    """The records [start, stop), all put in one month (UTC): "2026-03"."""

    month: str
    start: int
    stop: int


class Exporter:
    """Writes files of what a history view shows. It holds the file open for reading; close it soon."""

    def __init__(self, views: Path, *, patience_s: float = 0) -> None:
        """Open the current view in a folder. Raises BusyViewError for one that others hold longer than they are waited for."""
        self._connection = open_view(views, patience_s=patience_s, memory_bytes=MEMORY_BYTES, confined=False).connection

    def close(self) -> None:
        """Let go of the view."""
        self._connection.close()

    def stretches(self, start: int, stop: int) -> list[Stretch]:
        """Return the records [start, stop) cut where a month ends, and at every FILE_RECORDS."""
        sql = (
            "select strftime(time at time zone 'UTC', '%Y-%m') as month, min(\"offset\"), max(\"offset\") + 1 from records"
            f' where "offset" >= ? and "offset" < ? group by month, "offset" // {FILE_RECORDS} order by 2'
        )
        rows: list[Any] = self._connection.execute(sql, [start, stop]).fetchall()
        return [Stretch(*row) for row in rows]

    def write(self, table: str, stretch: Stretch, file: Path) -> int:
        """Write the rows of a table that a stretch of records put; return how many. Raises ExportError, such as for a full disk."""
        columns, offset = TABLES[table]
        # In the order in which they lie, which is that of the records: sorting would hold a whole file in memory.
        rows = f"select {columns} from {table} where {offset} >= {stretch.start} and {offset} < {stretch.stop}"
        return write(self._connection, rows, file)
