"""Which nodes are in a listing, found in the history: those of a type, of a context, those that a filter leaves, as of any offset."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import duckdb

from projections.compiler import Sql
from projections.duck.expressions import DuckCompiler
from projections.errors import QueryError
from projections.query import Filter, Listing, OrderBy

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPILED_FILTERS: Final = 256
_HELD: Final = "valid_from_offset < {at} and (valid_to_offset is null or valid_to_offset >= {at})"
_LINKED: Final = "valid_from_offset < {at}"
_NODE: Final = (
    "id, type_id, name, external_id, {own} epoch_ms(create_time) as create_time, epoch_ms(update_time) as update_time,"
    " properties, custom_properties"
)
# The tables that a filter speaks of, as they were at a moment: what of which table, and when a row counts.
_TABLES: Final = {
    "type": ("id, kind, name", "types", _HELD),
    "artifact": (_NODE.format(own="uri, state,"), "artifacts", _HELD),
    "execution": (_NODE.format(own="state,"), "executions", _HELD),
    "context": (_NODE.format(own=""), "contexts", _HELD),
    "event": ("artifact_id, execution_id, type, time_ms as time", "events", _LINKED),
    "attribution": ("context_id, artifact_id", "attributions", _LINKED),
    "association": ("context_id, execution_id", "associations", _LINKED),
    "parent_context": ("parent_id, child_id", "parent_contexts", _LINKED),
}


def find(connection: duckdb.DuckDBPyConnection, listing: Listing, at: int) -> list[int]:
    """Return the ids of the nodes in a listing as they were after the first `at` records, in its order. Raises QueryError."""
    conditions = list(_conditions(listing))
    where = f" where {' and '.join(condition.text for condition in conditions)}" if conditions else ""
    direction = "asc" if listing.ascending else "desc"
    order = f"n.id {direction}"
    if listing.order_by is not OrderBy.ID:
        order = f"n.{listing.order_by} {direction}, {order}"
    limit = "" if listing.limit is None else f" limit {listing.limit}"
    sql = f"{_tables_at(at)} select n.id from {listing.kind} n{where} order by {order}{limit}"
    values = [value for condition in conditions for value in condition.values]
    try:
        rows: list[tuple[Any, ...]] = connection.execute(sql, values).fetchall()
    except duckdb.Error as error:  # Not of the view: of the filter, such as an overflow.
        reason = str(error).splitlines()[0]
        raise QueryError(f"Error when executing query: {reason}") from error
    return [row[0] for row in rows]


def _tables_at(at: int) -> str:
    names = [
        f"{name} as (select {columns} from {table} where {rows.format(at=at)})"
        for name, (columns, table, rows) in _TABLES.items()
    ]
    return f"with {', '.join(names)}"


def _conditions(listing: Listing) -> Iterator[Sql]:
    if listing.type_id is not None:
        yield Sql("n.type_id = ?", (listing.type_id,))
    if listing.context_id is not None:
        link = "attribution" if listing.kind == "artifact" else "association"
        yield Sql(f"n.id in (select l.{listing.kind}_id from {link} l where l.context_id = ?)", (listing.context_id,))
    if listing.after is not None:
        sign = ">" if listing.ascending else "<"
        if listing.order_by is OrderBy.ID:
            yield Sql(f"n.id {sign} ?", (listing.after.id,))
        else:
            yield Sql(f"(n.{listing.order_by}, n.id) {sign} (?, ?)", listing.after)
    if listing.filter is not None:
        yield _compiled(listing.filter)


@lru_cache(COMPILED_FILTERS)
def _compiled(wanted: Filter) -> Sql:
    """Return a filter as a condition on `n`."""
    condition, _ = DuckCompiler(wanted.kind, wanted.variables).whole(wanted)
    return condition
