"""Pages of nodes: of a type, of a context, those that a filter leaves; in an order, going on after the page before.

In the order of a property an index of it is walked along, where there is one; where there is none all are sorted, and the time goes towards
making one: see `properties`. At a past moment there is none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw
import msgspec

from projections.compiler import Sql
from projections.errors import QueryError
from projections.query import After, Listed, Listing, OrderBy, Variable
from projections.sqlite.expressions import property_expression
from projections.sqlite.filters import Compiled, Driver, compiled
from projections.sqlite.order import ids_as_created

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from projections.query import Kind
    from projections.sqlite.properties import Indexes

_json: Final = msgspec.json.Encoder().encode

# A search may be driven by the nodes that one of its conditions finds, or go through all in the order asked until the page is full.
# Which is better depends on how many pass each condition; so we count, a little and then more, and in between try the next nodes.
FEW: Final = (100, 1_000)
MANY: Final = (10_000, 100_000)
TRIED_NODES: Final = 5_000
_ALL: Final = Compiled(Sql("1"), ())


class _Select(NamedTuple):
    """A listing as SQL: `columns` of the nodes `n` that meet the conditions, in the order of `first`, then of the ids."""

    listing: Listing
    columns: str
    conditions: tuple[Sql, ...] = ()
    first: str = ""

    @property
    def by_id(self) -> bool:
        """Tell whether the order asked is that of the ids."""
        return not self.first

    def rows(self, connection: apsw.Connection, driver: Driver | None = None, *more: Sql) -> list[Any]:
        """Return the page; driver: where to begin."""
        listing = self.listing
        source, node_id = self.source(driver)
        conditions = [*self.conditions, *more]
        if driver is not None and driver.of_node:
            conditions.insert(0, driver.sql)
        if listing.type_id is not None:  # The plus: a driver drives, and a context.
            plus = "" if driver is None and listing.context_id is None else "+"
            conditions.append(Sql(f"{plus}n.type_id = ?", (listing.type_id,)))
        if listing.after is not None:
            conditions.append(_after(listing.after, self, node_id))
        sql = f"select {self.columns} from {source.text}"
        if conditions:
            sql += f" where {' and '.join(condition.text for condition in conditions)}"
        values = [value for part in (source, *conditions) for value in part.values]
        sql += f" order by {self.first}{node_id} {_direction(listing)}"
        if listing.limit is not None or listing.skip:
            sql += " limit ? offset ?"
            values += [-1 if listing.limit is None else listing.limit, listing.skip]
        return connection.execute(sql, tuple(values)).fetchall()

    def source(self, driver: Driver | None) -> tuple[Sql, str]:
        """Return what to select from, and the column in which the ids come. CROSS JOIN: in this order."""
        kind, context_id = self.listing.kind, self.listing.context_id
        link = "attribution" if kind == "artifact" else "association"
        if driver is None and context_id is not None:
            of_context = f"(select {kind}_id as id from {link} where context_id = ?) l"
            return Sql(f"{of_context} cross join {kind} n on n.id = l.id", (context_id,)), "l.id"
        if driver is None:
            return Sql(f"{kind}_recent n" if self.listing.order_by is OrderBy.UPDATE_TIME else f"{kind} n"), "n.id"
        if driver.of_node:
            source, node_id = Sql(f"{driver.table(kind)} n"), "n.id"
        else:
            ids = driver.sql.text if driver.ascending else f"select distinct id from ({driver.sql.text})"
            source, node_id = Sql(f"({ids}) d cross join {kind} n on n.id = d.id", driver.sql.values), "d.id"
        if context_id is None:
            return source, node_id
        linked = f"cross join {link} l on l.{kind}_id = {node_id} and l.context_id = ?"
        return Sql(f"{source.text} {linked}", (*source.values, context_id)), node_id


def page(connection: apsw.Connection, listing: Listing, indexes: Indexes) -> list[Listed]:
    """Return one page. The order is total: ties are broken by id, so paging neither loops nor skips.

    indexes: told how long a search took that an index on a property would have driven. Raises QueryError.
    """
    by, direction = listing.order_by, _direction(listing)
    by_id = by is OrderBy.ID or (by is OrderBy.CREATE_TIME and ids_as_created(connection, listing.kind))
    value = _value(by) if isinstance(by, Variable) else f"n.{by}"
    first = (
        "" if by_id else f"{value} {direction} nulls last, " if isinstance(by, Variable) else f"{value} {direction}, "
    )
    select = _Select(listing, f"n.body, n.id, {value}", first=first)
    return [Listed(*row) for row in _rows(connection, select, indexes)]


def count(connection: apsw.Connection, listing: Listing, indexes: Indexes) -> int:
    """Return how many nodes there are in a listing, on all its pages together. Raises QueryError."""
    whole = listing._replace(order_by=OrderBy.ID, after=None, limit=None, skip=0)
    rows = _rows(connection, _Select(whole, "count(*)"), indexes)
    return rows[0][0] if rows else 0


def ids(
    connection: apsw.Connection, listing: Listing, indexes: Indexes, among: Collection[int] | None = None
) -> list[int]:
    """Return the ids of the nodes in a listing; among: of these alone. Raises QueryError."""
    given = None if among is None else Driver(Sql("select value as id from json_each(?)", (_json(list(among)),)))
    return [row[0] for row in _rows(connection, _Select(listing, "n.id"), indexes, given)]


def _direction(listing: Listing) -> str:
    return "asc" if listing.ascending else "desc"


def _value(by: Variable) -> str:
    """Return the SQL of a property of the node, as an index of it has it."""
    return f"({property_expression(f'n.{by.relation}', by.name)})"


def _rows(connection: apsw.Connection, select: _Select, indexes: Indexes, given: Driver | None = None) -> list[Any]:
    wanted = select.listing.filter
    if wanted is None and not isinstance(select.listing.order_by, Variable):
        return select.rows(connection, given)
    found = _ALL if wanted is None else compiled(wanted)
    select = select._replace(conditions=(found.condition,))
    try:
        return _searched(connection, select, found, indexes) if given is None else select.rows(connection, given)
    except apsw.SQLError as error:  # Not of the view: of the filter, such as an overflow.
        raise QueryError(f"Error when executing query: {error}") from error


def _searched(connection: apsw.Connection, select: _Select, found: Compiled, indexes: Indexes) -> list[Any]:
    """Return the page of a filter, driven by whatever finds the fewest nodes, or by the order."""
    started = time.perf_counter()
    by = select.listing.order_by
    asked = [driver.property for driver in found.drivers if driver.property is not None]
    if isinstance(by, Variable):
        asked.append((by.relation, by.name))
    have = indexes.known(connection, select.listing.kind) if asked else ()
    drivers = [driver for driver in found.drivers if driver.property is None or driver.property in have]
    lacking = [one for one in dict.fromkeys(asked) if one not in have]
    if isinstance(by, Variable) and (by.relation, by.name) in have:
        rows = _walked(connection, select, by, drivers)
    else:
        rows = _driven(connection, select, drivers)
    if lacking:
        indexes.add(select.listing.kind, lacking, time.perf_counter() - started)
    return rows


def _driven(connection: apsw.Connection, select: _Select, drivers: list[Driver]) -> list[Any]:
    for number, driver in enumerate(drivers):
        if driver.far is not None:
            far: Any = connection.execute(driver.far.text + " limit 2", driver.far.values).fetchall()
            if not far:
                return []
            if len(far) == 1:
                drivers[number] = driver.by_one(far[0][0])
    in_order = [driver for driver in drivers if driver.ascending and select.by_id]
    if len(drivers) == len(in_order) == 1:
        return select.rows(connection, drivers[0])
    chosen = _smallest(connection, select.listing.kind, drivers, FEW)
    if chosen is None and in_order:
        chosen = min(in_order, key=lambda one: _density(connection, select.listing.kind, one))
    if chosen is None and drivers:
        if (tried := _tried(connection, select)) is not None:
            return tried
        chosen = _smallest(connection, select.listing.kind, drivers, MANY)
    return select.rows(connection, chosen)


def _walked(connection: apsw.Connection, select: _Select, by: Variable, drivers: list[Driver]) -> list[Any]:
    """Return the page in the order of a property that has an index: along that, unless a condition finds few nodes."""
    listing = select.listing
    if listing.type_id is not None or listing.context_id is not None:
        return _driven(connection, select, drivers)
    if (few := _smallest(connection, listing.kind, drivers, FEW)) is not None:
        return select.rows(connection, few)
    value, direction = _value(by), _direction(listing)
    there = Sql(f"{value} is not null")
    within = [one.within for one in drivers if one.property == (by.relation, by.name) and one.within is not None]
    rows = select._replace(first=f"{value} {direction}, ").rows(connection, None, there, *within)
    if within or len(rows) == listing.limit:
        return rows
    past = 0 if rows or not listing.skip else listing.skip - _number(connection, select, there)
    limit = None if listing.limit is None else listing.limit - len(rows)
    rest = select._replace(listing=listing._replace(skip=past, limit=limit), first="")
    return [*rows, *rest.rows(connection, None, Sql(f"{value} is null"))]


def _number(connection: apsw.Connection, select: _Select, condition: Sql) -> int:
    """Return how many nodes meet a condition too."""
    whole = select._replace(columns="count(*)", listing=select.listing._replace(limit=None, skip=0), first="")
    found: int = whole.rows(connection, None, condition)[0][0]
    return found


def _smallest(connection: apsw.Connection, kind: Kind, drivers: list[Driver], limits: Iterable[int]) -> Driver | None:
    """Return the driver that finds the fewest nodes, None where each finds more than the last of the limits."""
    for limit in limits:
        counts = [_counted(connection, kind, driver, limit)[0] for driver in drivers]
        if counts and min(counts) < limit:
            return drivers[counts.index(min(counts))]
    return None


def _density(connection: apsw.Connection, kind: Kind, driver: Driver) -> float:
    """Return how many of the nodes a driver finds, by the first of them; it finds more than those."""
    count, first, last = _counted(connection, kind, driver, FEW[-1])
    return count / (last - first + 1)


def _counted(connection: apsw.Connection, kind: Kind, driver: Driver, limit: int) -> tuple[int, int, int]:
    """Return the number of ids that a driver finds, `limit` at most, and the lowest and highest of those."""
    found = f"select id from {driver.table(kind)} n where {driver.sql.text}" if driver.of_node else driver.sql.text
    sql = f"select count(*), min(id), max(id) from (select id from ({found}) limit ?)"
    rows: Any = connection.execute(sql, (*driver.sql.values, limit)).fetchall()
    return rows[0]


def _tried(connection: apsw.Connection, select: _Select) -> list[Any] | None:
    """Return the page if it is full after the next few nodes in the order asked, or there are no more; None where that is not known."""
    listing = select.listing
    if listing.limit is None or not select.by_id:
        return None
    last: Any = connection.execute(f"select id from {listing.kind} order by id desc limit 1").fetchall()
    newest = last[0][0] if last else 0
    if listing.ascending:
        start = listing.after.id if listing.after is not None else 0
        nodes, rest = Sql("n.id between ? and ?", (start, min(newest, start + TRIED_NODES))), newest - start
    else:
        start = min(newest, listing.after.id) if listing.after is not None else newest
        nodes, rest = Sql("n.id between ? and ?", (start - TRIED_NODES, start)), start
    rows = select.rows(connection, None, nodes)
    return rows if len(rows) == listing.limit or rest <= TRIED_NODES else None


def _after(after: After, select: _Select, node_id: str) -> Sql:
    """Return the condition that a node comes after the page before. node_id: the column in which the ids come."""
    order, sign = select.listing.order_by, ">" if select.listing.ascending else "<"
    if order is OrderBy.ID:
        return Sql(f"{node_id} {sign} ?", (after.id,))
    if select.by_id:
        return Sql(f"n.{order} {sign}= ? and {node_id} {sign} ?", after)
    return Sql(f"(n.{order}, n.id) {sign} (?, ?)", after)
