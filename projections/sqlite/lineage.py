"""One step of a walk through the lineage: the edges of many nodes, the nodes that a filter leaves, the contexts they belong to.

Ids go to SQLite as one JSON array, so a step is one statement, and one look into a covering index for each node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from projections.query import Listing
from projections.sqlite import listing

if TYPE_CHECKING:
    from collections.abc import Collection

    import apsw

    from projections.query import Edge, Filter, Kind, Link
    from projections.sqlite.properties import Indexes

_json: Final = msgspec.json.Encoder().encode
_LINKS: Final = {"artifact": "attribution", "execution": "association"}
_FAR: Final = {"artifact": "execution_id", "execution": "artifact_id"}
_THEN: Final = {"artifact": "e.execution_id", "execution": "e.id"}


def edges(connection: apsw.Connection, kind: Kind, ids: Collection[int], *, outputs: bool | None) -> list[Edge]:
    """Return the events of artifacts or executions, in the order of these.

    A body comes without its first byte, the tag: the caller has another field for it. outputs: True for events that made an artifact, False for those that read one, None for both. Those of one artifact come by
    execution, those of one execution as they were put.
    """
    sql = (
        f"select e.{kind}_id, e.{_FAR[kind]}, substr(e.body, 2) from json_each(?) j cross join event e on e.{kind}_id = j.value"
        f" where e.is_output {'in (0, 1)' if outputs is None else '= ?'} order by e.{kind}_id, {_THEN[kind]}"
    )
    values = (_json(sorted(ids)),) if outputs is None else (_json(sorted(ids)), outputs)
    rows: Any = connection.execute(sql, values).fetchall()
    return rows


def nodes(
    connection: apsw.Connection, wanted: Filter, indexes: Indexes, among: Collection[int] | None = None
) -> list[int]:
    """Return the ids of the nodes that a filter leaves, ascending; among: of these alone. Raises QueryError."""
    return listing.ids(connection, Listing(wanted.kind, filter=wanted), indexes, among)


def links(connection: apsw.Connection, kind: Kind, ids: Collection[int]) -> list[Link]:
    """Return the links of artifacts or executions to contexts, as they were put."""
    sql = f"select l.seq, l.context_id, l.{kind}_id from json_each(?) j cross join {_LINKS[kind]} l on l.{kind}_id = j.value"
    rows: Any = connection.execute(sql, (_json(sorted(ids)),)).fetchall()
    rows.sort()
    return rows
