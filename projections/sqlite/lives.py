"""How many nodes came to be what they are: every version of each, and the edges between them, with the records that put them.

As in `offsets`, a row tells the offset that put it, and its table's `_past` those of the versions before. Edges are those of the moment
that the connection looks at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import apsw

    from projections.query import Kind

_json: Final = msgspec.json.Encoder().encode
_FAR: Final[dict[Kind, str]] = {"artifact": "execution_id", "execution": "artifact_id"}
_LINKS: Final[dict[Kind, str]] = {"artifact": "attribution", "execution": "association"}

Version = tuple[Any, ...]
"""id, offset, type id, name, uri, state, time of creation, time of update (milliseconds since 1970), then the values asked for."""
Asked = tuple[str, str]
"""A column, properties or custom_properties, and the name of a property."""


def versions(
    connection: apsw.Connection, kind: Kind, ids: Collection[int], before: int, asked: Sequence[Asked]
) -> list[Version]:
    """Return every version of these nodes that a record below `before` put, by id and offset. asked: of which properties the values."""
    values = [f"json_extract(t.{column}, ?{number})" for number, (column, _) in enumerate(asked, start=3)]
    uri = "t.uri" if kind == "artifact" else "null"
    state = "null" if kind == "context" else "t.state"
    columns = ["t.id", "t.since", "t.type_id", "t.name", uri, state, "t.create_time", "t.update_time", *values]
    sql = " union all ".join(
        f"select {', '.join(columns)} from json_each(?1) j cross join main.{table} t on t.id = j.value where t.since < ?2"
        for table in (kind, f"{kind}_past")
    )
    paths = [f'$."{name}"' for _, name in asked]
    rows: Any = connection.execute(f"{sql} order by 1, 2", (_json(sorted(ids)), before, *paths)).fetchall()
    return rows


def versions_of_type(
    connection: apsw.Connection, kind: Kind, type_id: int, before: int, asked: Sequence[Asked]
) -> list[Version]:
    """Return that for every node of a type."""
    rows: Any = connection.execute(f"select id from main.{kind} where type_id = ?", (type_id,)).fetchall()
    return versions(connection, kind, [row[0] for row in rows], before, asked)


def newest_neighbours(
    connection: apsw.Connection, kind: Kind, ids: Collection[int], *, outputs: bool, most: int, in_all: int
) -> list[tuple[int, int]]:
    """Return (id, id of the other end) for the events of artifacts or executions, outputs or inputs: of each the `most` newest others.

    in_all: of more than so many, those of the lowest ids.
    """
    far = _FAR[kind]
    sql = (
        f"select j.value, e.{far} from json_each(?) j cross join event e on e.id in"
        f" (select i.id from event i where i.{kind}_id = j.value and i.is_output = ? order by i.{far} desc limit ?)"
        " limit ?"
    )
    rows: Any = connection.execute(sql, (_json(sorted(ids)), outputs, most, in_all)).fetchall()
    return rows


def edges_among(
    connection: apsw.Connection, artifacts: Collection[int], executions: Collection[int]
) -> list[tuple[int, int, bool, int, bytes]]:
    """Return (artifact, execution, whether it is an output, offset, body) of each event between these, as they were put."""
    sql = (
        "select e.artifact_id, e.execution_id, e.is_output, e.since, e.body from json_each(?1) j"
        " cross join event e on e.execution_id = j.value"
        " where e.artifact_id in (select value from json_each(?2)) order by e.id"
    )
    rows: Any = connection.execute(sql, (_json(sorted(executions)), _json(sorted(artifacts)))).fetchall()
    return rows


def neighbour_counts(connection: apsw.Connection, kind: Kind, ids: Collection[int]) -> dict[int, int]:
    """Return how many others each artifact or execution shares events with; those that have none are left out."""
    sql = (
        f"select e.{kind}_id, count(distinct e.{_FAR[kind]}) from json_each(?) j"
        f" cross join event e on e.{kind}_id = j.value group by 1"
    )
    rows: Any = connection.execute(sql, (_json(sorted(ids)),)).fetchall()
    return dict(rows)


def contexts_named(connection: apsw.Connection, kind: Kind, ids: Collection[int]) -> list[tuple[int, int, str]]:
    """Return (id, type id, name) of each context of these artifacts or executions, as they were linked."""
    sql = (
        f"select l.{kind}_id, c.type_id, c.name from json_each(?) j cross join {_LINKS[kind]} l on l.{kind}_id = j.value"
        " cross join context c on c.id = l.context_id order by l.seq"
    )
    rows: Any = connection.execute(sql, (_json(sorted(ids)),)).fetchall()
    return rows
