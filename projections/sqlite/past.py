"""What was put before: the versions that later records replaced, and the tables as they were at a moment.

A row that is put again moves to the table's `_past`, with the offset of the record that replaced it: a trigger does it, so a put that
replaces nothing pays nothing. Looking back is a matter of names: a connection of its own has temporary views that bear the tables'
names, so every query runs unchanged. A version held at a moment if it was put before it (`since`) and not replaced (`until`).

No one reading of the two tables is fast for every query, so a kind has five names: `artifact` for nodes that are found by their id or
read one after the other, `artifact_found` for those found by a value that may have been another (a name, a uri), `artifact_valued` for
those found by a property, which many may share, `artifact_ever` for those that may be what is looked for, `artifact_recent` for the
order of their update. Now all five are the same.

A replaced version has a `number`, id * 2^36 + until: those of a node lie together, in the order of their ends, so the one that
held is one look away. The few ids that leave no room for that have versions with negative numbers, and an index that finds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from projections.query import KINDS
from projections.sqlite.order import ids_as_put

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import apsw

_VERSIONED: Final = ("type", *KINDS)
SEQ_BITS: Final = 24  # No record holds as many changes: each takes more than a byte of its 16 MiB.

_SPAN: Final = 1 << 36  # More records than a log can hold.
_NEAR_END: Final = 1 << 27  # Below are the ids whose versions have numbers in their order.

# What replaced versions are found by; what else an index has lets a version that did not hold be passed over without its row.
_SEARCHED: Final = {
    "until": "(until)",
    "name": "(name, type_id)",
    "update_time": "(update_time, id, until, since)",
    "external_id": "(external_id) where external_id is not null",
}
INDEXES: Final = (
    *(f"create index {table}_past_id on {table}_past (id, until, since)" for table in _VERSIONED),
    *(
        f"create index {kind}_past_{name} on {kind}_past {columns}"
        for kind in KINDS
        for name, columns in _SEARCHED.items()
    ),
    "create index artifact_past_uri on artifact_past (uri)",
)


# What never changes of a row, whatever is put later.
_FIXED: Final[dict[str, set[str]]] = {
    "type": {"id", "kind", "name", "version"},
    **{kind: {"id", "type_id", "create_time"} for kind in KINDS},
}
_FEW: Final = 1_000
_FEW_ROWS: Final = 128  # Each query looks at them.
_A_WHILE: Final = 4_096  # Records.
_TIME_MAX: Final = (1 << 63) - 1


# Versions that were replaced ----------------------------------------------------------------------------------------


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    return [name for name, _ in _declared(connection, table)]


def _declared(connection: apsw.Connection, table: str) -> list[tuple[str, str]]:
    rows: Any = connection.execute("select name, type from pragma_table_info(?)", (table,)).fetchall()
    return rows


def create_tables(connection: apsw.Connection) -> None:
    """Make the tables of replaced versions, empty, the triggers that fill them, and the other names of the nodes."""
    for table in _VERSIONED:
        names = _columns(connection, table)
        declared = ", ".join(f"{name} {form}" for name, form in _declared(connection, table))
        connection.execute(f"create table {table}_past (number integer primary key, {declared}, until integer) strict")
        near = f"old.id >= 0 and old.id < {_NEAR_END}"
        far = f"(select min(0, coalesce(min(number), 0)) - 1 from {table}_past)"
        # Put twice by one record, the first was never to be seen.
        connection.execute(
            f"create trigger {table}_replaced before update on {table} when old.since < new.since begin"
            f" insert into {table}_past (number, {', '.join(names)}, until)"
            f" values (iif({near}, old.id * {_SPAN} + new.since, {far}), {', '.join(f'old.{name}' for name in names)}, new.since); end"
        )
    for kind in KINDS:
        for way in ("found", "valued", "ever", "recent"):
            connection.execute(f"create view {kind}_{way} as select * from {kind}")


# The tables as they were --------------------------------------------------------------------------------------------


def look_at(connection: apsw.Connection, at: int) -> None:
    """Let the tables' names mean, on this connection alone, what they held after the first `at` records."""
    with connection:  # One look at the store.
        views = list(_views(connection, at))
        # CREATE VIEW reads the whole temporary schema anew each time, 0.2 ms; written there at once they are read once.
        connection.execute("pragma writable_schema = on")
        connection.executemany(
            "insert into temp.sqlite_schema values ('view', ?1, ?1, 0, 'create view ' || ?1 || ' as ' || ?2)", views
        )
    connection.execute("pragma writable_schema = reset")


def _views(connection: apsw.Connection, at: int) -> Iterator[tuple[str, str]]:
    """Yield for each name what it selects."""
    for table in _VERSIONED:
        names = _columns(connection, table)
        last = _last(connection, table, at)
        yield table, _one_by_one(table, names, at, last, near=_near(connection, table))
        if table != "type":
            yield f"{table}_found", f"{_now(table, names, at, last)} union all {_then(table, names, at, last)}"
            yield f"{table}_ever", _ever(table, names)
            yield f"{table}_valued", _valued(connection, table, names, at, last)
            yield f"{table}_recent", _recent(connection, table, names, at, last)
    for edge in ("event", "parent_context"):
        in_order = ids_as_put(connection, edge)
        held = _up_to("id", _last(connection, edge, at)) if in_order else f"since < {at}"
        yield edge, f"select * from main.{edge} where {held}"
    for link in ("attribution", "association"):
        yield link, f"select * from main.{link} where seq < {at << SEQ_BITS}"


def _one_by_one(table: str, names: Sequence[str], at: int, last: int, *, near: bool) -> str:
    """Return the select for rows that are found by their id, or by what never changes, or all in their order.

    What held is looked up for each column that is asked for: a join would make every query one, for 5 us. near: all have ids whose
    versions have numbers in their order; those that come later were not there.
    """
    held = _held_near if near else _held
    columns = [
        f"n.{name}"
        if name in _FIXED[table]
        else f"case when n.since < {at} then n.{name} else {held(table, name, at)} end as {name}"
        for name in names
    ]
    # An id that is no higher than the last one was there, unless rows came in another order, perhaps since this view was made.
    in_order = f"not exists (select 1 from main.disorder where tab = '{table}' and col = 'id')"
    there = f"n.since < {at} or {in_order} or {'n.id >= 0 and ' if near else ''}{held(table, 'since', at)} < {at}"
    return f"select {', '.join(columns)} from main.{table} n where {_up_to('n.id', last)} and ({there})"


def _up_to(column: str, last: int) -> str:
    """Return the condition that a column is no higher than a bound of the moment's.

    Of two upper bounds an index can use one, and SQLite takes whichever it believes to leave fewer rows: that of the question, not ours,
    which leaves nearly all. From ours on, a page far down would pass over everything above it.
    """
    return f"likelihood({column} <= {last}, 0.99)"


def _held(table: str, name: str, at: int) -> str:
    """Return a column of the first version of the row `n` that was replaced after a moment."""
    far = f"(select p.{name} from main.{table}_past p where p.id = n.id and p.until >= {at} order by p.until limit 1)"
    return f"iif(n.id >= 0 and n.id < {_NEAR_END}, {_held_near(table, name, at)}, {far})"


def _held_near(table: str, name: str, at: int) -> str:
    """Return that for an id whose versions have numbers in their order."""
    numbers = f"p.number >= n.id * {_SPAN} + {at} and p.number < (n.id + 1) * {_SPAN}"
    return f"(select p.{name} from main.{table}_past p where {numbers} order by p.number limit 1)"


def _near(connection: apsw.Connection, table: str) -> bool:
    """Tell whether every row has an id whose versions have numbers in their order."""
    lowest, highest = (
        _one(connection, f"select coalesce({end}(id), 0) from main.{table}", ()) for end in ("min", "max")
    )
    return lowest >= 0 and highest < _NEAR_END


def _now(table: str, names: Sequence[str], at: int, last: int) -> str:
    """Return the select for what was put by then and has not been replaced."""
    return f"select {', '.join(names)} from main.{table} where since < {at} and {_up_to('id', last)}"


def _then(table: str, names: Sequence[str], at: int, last: int) -> str:
    """Return the select for what held then and was replaced after it."""
    return f"select {', '.join(names)} from main.{table}_past where since < {at} and until >= {at} and {_up_to('id', last)}"


def _ever(table: str, names: Sequence[str]) -> str:
    """Return the select for every version there has been: for searches whose finds are looked at again."""
    listed = ", ".join(names)
    return f"select {listed} from main.{table} union all select {listed} from main.{table}_past"


def _valued(connection: apsw.Connection, table: str, names: Sequence[str], at: int, last: int) -> str:
    """Return the select for rows that a property's value finds, which many may share.

    In the order of their ids, versions that did not hold are passed over until one did: after a late moment that is a long way, and the few
    that were replaced since are looked at instead.
    """
    replaced = f"main.{table}_past"
    held, listed = f"since < {at} and until >= {at}", ", ".join(names)
    in_order = f"since < {at} and +until >= {at} and {_up_to('id', last)}"
    now = _now(table, names, at, last)
    if not _few(connection, table, at, _FEW_ROWS):
        return f"{now} union all select {listed} from {replaced} where {in_order}"
    end = _applied(connection)
    return (
        f"{now} union all select {listed} from {_later(end, replaced)} and {in_order}"
        f" union all select {listed} from {_soon(end, f'{replaced} indexed by {table}_past_until')} and {held}"
    )


def _recent(connection: apsw.Connection, table: str, names: Sequence[str], at: int, last: int) -> str:
    """Return the select for rows in the order of their update.

    Few versions were replaced after a late moment: those are put in order once, and those that are replaced from now on each time. At an
    early one most that were put last still held: they are read in their order, from the last one on that was put by then.
    """
    newest = _newest(connection, table, at)
    replaced = f"main.{table}_past indexed by {table}_past"
    listed, in_order = "update_time, id, number", f"since < {at} and until >= {at} and {_up_to('update_time', newest)}"
    if _few(connection, table, at, _FEW):
        end = _applied(connection)
        columns = "update_time integer, id integer, number integer"
        connection.execute(f"create temp table {table}_held ({columns}, primary key (update_time, id)) without rowid")
        since = f"select {listed} from {replaced}_until where since < {at} and until >= {at} and until < {end}"
        connection.execute(f"insert into temp.{table}_held {since}")
        held = [
            f"select {listed} from {_soon(end, f'temp.{table}_held')}",
            f"select {listed} from {_soon(end, f'{replaced}_until')} and since < {at} and until >= {end}",
            f"select {listed} from {_later(end, f'{replaced}_update_time')} and {in_order}",
        ]
    else:
        held = [f"select {listed} from {replaced}_update_time where {in_order}"]
    columns = ", ".join(f"h.{name}" if name in ("update_time", "id") else f"p.{name}" for name in names)
    return f"{_now(table, names, at, last)} and {_up_to('update_time', newest)}" + "".join(
        f" union all select {columns} from ({versions}) h cross join main.{table}_past p on p.number = h.number"
        for versions in held
    )


def _few(connection: apsw.Connection, table: str, at: int, most: int) -> bool:
    """Tell whether fewer versions than `most` were replaced after a moment."""
    replaced = f"select count(*) from (select 1 from main.{table}_past where until >= {at} limit {most})"
    count: int = _one(connection, replaced, ())
    return count < most


def _soon(end: int, table: str) -> str:
    """Return what to select from, up to its conditions: a table, until the store has gone on for a while after `end` records.

    Each query asks the one row of `view`, first: where that has it the other way the table is not looked at.
    """
    return f"main.view v cross join {table} where v.rowid = 1 and v.applied < {end + _A_WHILE}"


def _later(end: int, table: str) -> str:
    """Return what to select from once `_soon` has nothing any more."""
    return f"main.view v cross join {table} where v.rowid = 1 and v.applied >= {end + _A_WHILE}"


def _applied(connection: apsw.Connection) -> int:
    applied: int = _one(connection, "select applied from main.view", ())
    return applied


def _newest(connection: apsw.Connection, table: str, at: int) -> int:
    """Return the highest update time of the nodes that had been put; the next landmark is no lower, so the search begins there."""
    sql = "select update_time from main.landmark where offset >= ? order by offset limit 1"
    bound = _one(connection, sql, (at,))
    highest = [
        _one(
            connection,
            f"select update_time from main.{name} where since < ? and update_time <= ? order by update_time desc limit 1",
            (at, _TIME_MAX if bound is None else bound),
        )
        for name in (table, f"{table}_past")
    ]
    return max(one or 0 for one in highest)


def _last(connection: apsw.Connection, table: str, at: int) -> int:
    """Return an id above which nothing was there: the highest that was, 0 for none, where each look halves those that are left."""
    low, high = 0, _one(connection, f"select coalesce(max(id), 0) from main.{table}", ())
    if not ids_as_put(connection, table):
        return high
    look = f"select id, since < ? from main.{table} where id >= ? order by id limit 1"
    look_before = f"select 1 from main.{table}_past where id = ? and since < ?"
    while low < high:
        middle = (low + high + 1) // 2
        found: Any = connection.execute(look, (at, middle)).fetchall()
        there_id, there = found[0]
        if there or (table in _VERSIONED and _one(connection, look_before, (there_id, at)) is not None):
            low = there_id
        else:
            high = middle - 1
    return low


def _one(connection: apsw.Connection, sql: str, values: tuple[Any, ...]) -> Any:
    rows: Any = connection.execute(sql, values).fetchall()
    return rows[0][0] if rows else None
