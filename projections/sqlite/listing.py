"""Pages of nodes: filter by type or context, order, and go on after the page before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from projections.query import Listed, Listing, OrderBy

if TYPE_CHECKING:
    import apsw


def page(connection: apsw.Connection, listing: Listing) -> list[Listed]:
    """Return one page. The order is total: ties are broken by id, so paging neither loops nor skips."""
    kind, order = listing.kind, listing.order_by.value
    source, where, values = f"{kind} n", [], []
    if listing.context_id is not None:
        link = "attribution" if kind == "artifact" else "association"
        source += f" join {link} l on l.{kind}_id = n.id and l.context_id = ?"
        values.append(listing.context_id)
    if listing.type_id is not None:
        where.append("n.type_id = ?")
        values.append(listing.type_id)
    if listing.after is not None:
        condition, after = _after(listing)
        where.append(condition)
        values += after
    direction = "asc" if listing.ascending else "desc"
    # Create times never go back from one id to the next (see schema.sql), so ids are in their order, and need no index.
    ordered = f"n.{order} {direction}, n.id" if listing.order_by is OrderBy.UPDATE_TIME else "n.id"
    sql = f"select n.body, n.id, n.{order} from {source}"
    if where:
        sql += f" where {' and '.join(where)}"
    sql += f" order by {ordered} {direction}"
    if listing.limit is not None:
        sql += " limit ?"
        values.append(listing.limit)
    return [Listed(*row) for row in connection.execute(sql, tuple(values))]


def _after(listing: Listing) -> tuple[str, list[Any]]:
    assert listing.after is not None, "the caller checked"
    sign = ">" if listing.ascending else "<"
    if listing.order_by is OrderBy.ID:
        return f"n.id {sign} ?", [listing.after.id]
    if listing.order_by is OrderBy.CREATE_TIME:
        return f"n.create_time {sign}= ? and n.id {sign} ?", [listing.after.value, listing.after.id]
    return f"(n.update_time, n.id) {sign} (?, ?)", [listing.after.value, listing.after.id]
