"""Which records put a thing, by offset: the records themselves are in the log.

A row tells the offset that put it, and its table's `_past` those of the versions before. So the life of a node is two index look-ups,
however long the log. Every version there is counts, whatever moment a connection looks at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from projections.sqlite.past import SEQ_BITS

if TYPE_CHECKING:
    from collections.abc import Collection

    import apsw

_json: Final = msgspec.json.Encoder().encode
# The edges of a node, by kind: table, column that names the node, and how a row tells the offset that put it.
_BY_SEQ: Final = f"seq >> {SEQ_BITS}"
_EDGES: Final = {
    "artifact": (("event", "artifact_id", "since"), ("attribution", "artifact_id", _BY_SEQ)),
    "execution": (("event", "execution_id", "since"), ("association", "execution_id", _BY_SEQ)),
    "context": (
        ("attribution", "context_id", _BY_SEQ),
        ("association", "context_id", _BY_SEQ),
        ("parent_context", "parent_id", "since"),
        ("parent_context", "child_id", "since"),
    ),
    "type": (),
}


def of_versions(connection: apsw.Connection, table: str, ids: Collection[int], before: int) -> dict[int, list[int]]:
    """Return for each id in "type" or a kind's table the offsets below `before` that put it, ascending; none is left out."""
    found: dict[int, list[int]] = {}
    for one_id, offset in connection.execute(f"{_put(table)} order by 1, 2", (_json(sorted(ids)), before)):
        found.setdefault(one_id, []).append(offset)
    return found


def of_last_versions(connection: apsw.Connection, table: str, ids: Collection[int], before: int) -> dict[int, int]:
    """Return of the same offsets the last one of each id."""
    sql = f"select id, max(since) from ({_put(table)}) group by id"
    rows: Any = connection.execute(sql, (_json(sorted(ids)), before)).fetchall()
    return dict(rows)


def _put(table: str) -> str:
    return " union all ".join(
        f"select t.id, t.since from json_each(?1) j cross join main.{name} t on t.id = j.value where t.since < ?2"
        for name in (table, f"{table}_past")
    )


def of_edges(connection: apsw.Connection, kind: str, node_id: int) -> set[int]:
    """Return the offsets that put an event or a link of a node."""
    found: set[int] = set()
    for table, column, offset in _EDGES[kind]:
        sql = f"select {offset} from main.{table} where {column} = ?"
        rows: Any = connection.execute(sql, (node_id,)).fetchall()
        found.update(row[0] for row in rows)
    return found
