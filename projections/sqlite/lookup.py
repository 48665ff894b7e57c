"""Single look-ups: what a decision needs to know, and what a read answers with.

Lists of ids go to SQLite as one JSON array, so a statement has one text and one plan whatever their number.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from evlog.records import PersonalRule
from projections.query import KINDS, Edge, Filter, Kind, Link, Listed, Listing
from projections.sqlite import lineage, lives, offsets, properties, texts
from projections.sqlite import listing as listings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import apsw

    from projections.sqlite.lives import Asked, Version
    from projections.sqlite.properties import Indexes, Property

_json: Final = msgspec.json.Encoder().encode
_rules: Final = msgspec.msgpack.Decoder(list[PersonalRule]).decode
_IN = "in (select value from json_each(?))"

_BY_ID: Final = {kind: f"select body from {kind} where id = ?" for kind in KINDS}
_SINCE: Final = {kind: f"select since from {kind} where id = ?" for kind in KINDS}
_BY_IDS: Final = {kind: f"select body from {kind} where id {_IN} order by id" for kind in KINDS}
_TYPES_WITH: Final = f"select substr(body, 2) from type where id {_IN} order by id"
_TYPED: Final = {
    kind: f"select substr(n.body, 2), n.type_id from json_each(?) j cross join {kind} n on n.id = j.value"
    for kind in KINDS
}
_TYPE_IDS: Final = {kind: f"select id, type_id from {kind} where id {_IN}" for kind in KINDS}
_NAMED: Final = {kind: f"select body from {kind}_found where type_id = ? and name = ?" for kind in KINDS}
_ID_NAMED: Final = {kind: f"select id from {kind}_found where type_id = ? and name = ?" for kind in KINDS}
_ID_EXTERNAL: Final = {kind: f"select id from {kind}_found where external_id = ?" for kind in KINDS}
_BY_EXTERNAL: Final = {kind: f"select body from {kind}_found where external_id {_IN} order by id" for kind in KINDS}
_TYPES_NAMED: Final = f"select id from type where kind {_IN} and name = ? order by id"
_LINKS: Final = {"artifact": "attribution", "execution": "association"}
_CONTEXTS_OF: Final = {
    kind: f"select c.body from {link} l join context c on c.id = l.context_id where l.{kind}_id = ? order by c.id"
    for kind, link in _LINKS.items()
}
_LINKED: Final = {kind: f"select 1 from {link} where context_id = ? and {kind}_id = ?" for kind, link in _LINKS.items()}
_EVENTS: Final = {
    "artifact": f"select body from event where artifact_id {_IN} order by artifact_id, execution_id, id",
    "execution": f"select body from event where execution_id {_IN} order by execution_id, id",
}
_RELATIVES: Final = {
    # Parents come in the order of their ids, children in the order in which they were linked.
    "parent": "select l.child_id, c.body from parent_context l join context c on c.id = l.parent_id"
    f" where l.child_id {_IN} order by l.child_id, l.parent_id",
    "child": "select l.parent_id, c.body from parent_context l join context c on c.id = l.child_id"
    f" where l.parent_id {_IN} order by l.parent_id, l.id",
}
_ANCESTORS: Final = """
with recursive up(id) as (select ? union select l.parent_id from up join parent_context l on l.child_id = up.id)
select id from up"""
_ANSWERED: Final = "select request, response from answered where transaction_id = ?"
_TABLES: Final = frozenset({"type", *KINDS, "event", "attribution", "association", "parent_context"})
_LAST_ID: Final = {
    table: f"select coalesce(max(id), 0) from {table}" for table in ("type", *KINDS, "event", "parent_context")
}
# What never changes of a row.
_IDENTITIES: Final[dict[str, str]] = {
    "type": "id, kind, name, version",
    **dict.fromkeys(KINDS, "id, type_id, create_time"),
    "event": "id, artifact_id, execution_id",
}
_AS_PUT: Final = {
    "event": "select id, body from event order by id",
    **{link: f"select context_id, {kind}_id from {link} order by seq" for kind, link in _LINKS.items()},
    "parent_context": "select child_id, parent_id from parent_context order by id",
}
_MEMBERS: Final = {
    kind: f"select context_id, count(*) from {link} where context_id {_IN} group by context_id"
    for kind, link in _LINKS.items()
}
_RUNS_OF: Final = """
select distinct execution_id from event where artifact_id = ? and is_output = ? order by execution_id desc limit ?"""
_NUMBER_OF_RUNS: Final = "select count(distinct execution_id) from event where artifact_id = ? and is_output = ?"
_SHARING: Final = f"""
select f.id, f.newest from (
    select s.context_id as id, max(s.execution_id) as newest
    from association l cross join association s on s.execution_id = l.execution_id
    where l.context_id = ? group by 1
) f cross join context c on c.id = f.id where c.type_id {_IN} order by f.newest desc, f.id desc"""
_STATES_IN: Final = """
select n.create_time / 86400000, n.type_id, coalesce(n.state, ''), count(*), max(n.id)
from association l cross join execution n on n.id = l.execution_id
where l.context_id = ? group by 1, 2, 3 order by 1 desc, 2, 3"""
_COUNT: Final = {table: f"select count(*) from {table}" for table in (*_LAST_ID, *_LINKS.values())}
_COUNT_BY_TYPE: Final = {kind: f"select type_id, count(*) from {kind} group by type_id" for kind in KINDS}


class Lookup:
    """Look-ups on one connection; sees what that connection sees, its own uncommitted rows included."""

    def __init__(self, connection: apsw.Connection, indexes: Indexes) -> None:
        self._connection, self._indexes = connection, indexes
        self._execute = connection.cursor().execute

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Begin a `with` block in which all look-ups see one moment."""
        with self._connection:
            yield

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def page(self, listing: Listing) -> list[Listed]:
        """Return one page of nodes."""
        return listings.page(self._connection, listing, self._indexes)

    def number(self, listing: Listing) -> int:
        """Return how many nodes there are in a listing, on all its pages together."""
        return listings.count(self._connection, listing, self._indexes)

    def containing(self, kind: Kind, text: str, *, but: Sequence[str], limit: int) -> list[bytes]:
        """Return the bodies of the nodes with a text in any of their words, best first: see `texts`."""
        return texts.containing(self._connection, kind, text, but=but, limit=limit)

    def worth_an_index(self, wanted: Property) -> bool:
        """Tell whether filters by a property have cost as much as an index of it."""
        return properties.worth_an_index(self._connection, wanted, self._indexes.seconds(wanted))

    def indexed_properties(self) -> list[Property]:
        """Return the properties that have an index because filters by them have cost as much: every view has the others."""
        return [one for kind in KINDS for one in properties.paid(self._connection, kind)]

    def applied(self) -> int:
        """Return the offset of the next record to apply, whatever moment is looked at."""
        return self._one("select applied from view", ())

    # Nodes ----------------------------------------------------------------------------------------------------------

    def node(self, kind: Kind, node_id: int) -> bytes | None:
        """Return a node's body."""
        return self._one(_BY_ID[kind], (node_id,))

    def since(self, kind: Kind, node_id: int) -> int | None:
        """Return the offset of the record that put a node last."""
        return self._one(_SINCE[kind], (node_id,))

    def nodes(self, kind: Kind, ids: Sequence[int]) -> list[bytes]:
        """Return the bodies of those that exist, by ascending id, each once."""
        if len(ids) == 1:
            return self._all(_BY_ID[kind], (ids[0],))
        return self._all(_BY_IDS[kind], (_json(list(ids)),))

    def typed_nodes(self, kind: Kind, ids: Sequence[int]) -> list[tuple[bytes, int]]:
        """Return the bodies, without tags, of those that exist, each with the id of its type, in the order asked."""
        rows: list[Any] = self._execute(_TYPED[kind], (_json(ids),)).fetchall()
        return rows

    def type_ids(self, kind: Kind, ids: Collection[int]) -> dict[int, int]:
        """Return the id of the type of each of those that exist."""
        rows: list[Any] = self._execute(_TYPE_IDS[kind], (_json(list(ids)),)).fetchall()
        return dict(rows)

    def node_named(self, kind: Kind, type_id: int, name: str) -> bytes | None:
        """Return the body of the node of a type with a name."""
        return self._one(_NAMED[kind], (type_id, name))

    def id_named(self, kind: Kind, type_id: int, name: str) -> int | None:
        """Return the id of the node of a type with a name."""
        return self._one(_ID_NAMED[kind], (type_id, name))

    def id_external(self, kind: Kind, external_id: str) -> int | None:
        """Return the id of the node with an external id."""
        return self._one(_ID_EXTERNAL[kind], (external_id,))

    def nodes_external(self, kind: Kind, external_ids: Sequence[str]) -> list[bytes]:
        """Return the bodies of the nodes with these external ids, by ascending id, each once."""
        return self._all(_BY_EXTERNAL[kind], (_json(list(external_ids)),))

    def artifacts_at(self, uri: str) -> list[bytes]:
        """Return the bodies of the artifacts with a uri, by ascending id."""
        return self._all("select body from artifact_found where uri = ? order by id", (uri,))

    # Types ----------------------------------------------------------------------------------------------------------

    def type(self, kind: Kind, type_id: int) -> bytes | None:
        """Return the body of a type of this kind."""
        return self._one("select body from type where id = ? and kind = ?", (type_id, kind))

    def type_named(self, kind: Kind, name: str, version: str) -> bytes | None:
        """Return the body of a type; `version` is "" for the one without."""
        return self._one("select body from type where kind = ? and name = ? and version = ?", (kind, name, version))

    def type_id_named(self, kind: Kind, name: str, version: str) -> int | None:
        """Return the id of a type."""
        return self._one("select id from type where kind = ? and name = ? and version = ?", (kind, name, version))

    def types(self, kind: Kind) -> list[bytes]:
        """Return the bodies of all types of a kind, by ascending id."""
        return self._all("select body from type where kind = ? order by id", (kind,))

    def types_with(self, ids: Collection[int]) -> list[bytes]:
        """Return the bodies, without tags, of the types with these ids, ascending."""
        return self._all(_TYPES_WITH, (_json(list(ids)),))

    def type_id_external(self, kind: Kind, external_id: str) -> int | None:
        """Return the id of the type with an external id."""
        return self._one("select id from type where kind = ? and external_id = ?", (kind, external_id))

    def types_external(self, kind: Kind, external_ids: Sequence[str]) -> list[bytes]:
        """Return the bodies of the types with these external ids, in the order of those."""
        return self._all(
            f"select body from type where kind = ? and external_id {_IN} order by external_id",
            (kind, _json(list(external_ids))),
        )

    def types_named(self, name: str) -> list[int]:
        """Return the ids of the types with a name, of all kinds and versions, ascending."""
        return self._all(_TYPES_NAMED, (_json(KINDS), name))

    def type_names(self, kind: Kind | None = None) -> dict[int, str]:
        """Return the name of every type, or of every one of a kind, by its id."""
        rows: list[Any] = self._execute("select id, name from type where ?1 is null or kind = ?1", (kind,)).fetchall()
        return dict(rows)

    # Events and links -----------------------------------------------------------------------------------------------

    def events_of(self, kind: Kind, ids: Sequence[int]) -> list[bytes]:
        """Return the bodies of the events of artifacts or executions, by that id; then by the other, or as they were put."""
        return self._all(_EVENTS[kind], (_json(list(ids)),))

    def has_event(self, artifact_id: int, execution_id: int, event_type: str) -> bool:
        """Tell whether an event is there."""
        sql = "select 1 from event where artifact_id = ? and is_output = ? and execution_id = ? and type = ?"
        is_output = not event_type.endswith("INPUT")
        return self._one(sql, (artifact_id, is_output, execution_id, event_type)) is not None

    def edges(self, kind: Kind, ids: Collection[int], *, outputs: bool | None) -> list[Edge]:
        """Return the events of artifacts or executions, all or only outputs or inputs: see `lineage.edges`."""
        return lineage.edges(self._connection, kind, ids, outputs=outputs)

    def nodes_where(self, wanted: Filter, among: Collection[int] | None = None) -> list[int]:
        """Return the ids of the nodes that a filter leaves, ascending; among: of these alone. Raises QueryError."""
        return lineage.nodes(self._connection, wanted, self._indexes, among)

    def runs_of(self, artifact_id: int, *, outputs: bool, limit: int) -> tuple[list[int], int]:
        """Return the ids of the newest executions that made (outputs) or read an artifact, the newest first, and how many there are in all."""
        ids = self._all(_RUNS_OF, (artifact_id, outputs, limit))
        return ids, self._one(_NUMBER_OF_RUNS, (artifact_id, outputs))

    def links(self, kind: Kind, ids: Collection[int]) -> list[Link]:
        """Return the links of artifacts or executions to contexts, as they were put."""
        return lineage.links(self._connection, kind, ids)

    def contexts_of(self, kind: Kind, node_id: int) -> list[bytes]:
        """Return the bodies of the contexts of an artifact or execution, by ascending id."""
        return self._all(_CONTEXTS_OF[kind], (node_id,))

    def has_link(self, kind: Kind, context_id: int, node_id: int) -> bool:
        """Tell whether an artifact or execution belongs to a context."""
        return self._one(_LINKED[kind], (context_id, node_id)) is not None

    def members(self, kind: Kind, context_ids: Collection[int]) -> dict[int, int]:
        """Return how many artifacts or executions there are in each context that has any."""
        rows: list[Any] = self._execute(_MEMBERS[kind], (_json(list(context_ids)),)).fetchall()
        return dict(rows)

    def sharing(self, context_id: int, type_ids: Collection[int]) -> list[tuple[int, int]]:
        """Return (id, newest shared execution) of the contexts of these types that share executions with a context, the newest first."""
        rows: list[Any] = self._execute(_SHARING, (context_id, _json(list(type_ids)))).fetchall()
        return rows

    def states_in(self, context_id: int) -> list[tuple[int, int, str, int, int]]:
        """Return (day since 1970, type id, state, how many, the newest id) of the executions of a context, the newest day first."""
        rows: list[Any] = self._execute(_STATES_IN, (context_id,)).fetchall()
        return rows

    def relatives(self, relation: str, context_ids: Sequence[int]) -> list[tuple[int, bytes]]:
        """Return (context id, body) for each "parent" or "child" of the contexts."""
        rows: list[Any] = self._execute(_RELATIVES[relation], (_json(list(context_ids)),)).fetchall()
        return rows

    def has_parent(self, child_id: int, parent_id: int) -> bool:
        """Tell whether a parent link is there."""
        sql = "select 1 from parent_context where child_id = ? and parent_id = ?"
        return self._one(sql, (child_id, parent_id)) is not None

    def ancestors(self, context_id: int) -> list[int]:
        """Return the ids of all contexts above a context, its own first."""
        return self._all(_ANCESTORS, (context_id,))

    def answered(self, transaction: bytes) -> tuple[bytes, bytes] | None:
        """Return (hash of the request, response) of a put whose caller chose the transaction, None where there was none."""
        rows: Any = self._execute(_ANSWERED, (transaction,)).fetchall()
        return rows[0] if rows else None

    # Offsets --------------------------------------------------------------------------------------------------------

    def personal(self) -> list[PersonalRule]:
        """Return the rules that say which properties are personal, as declared last."""
        rules = self._one("select rules from personal", ())
        return [] if rules is None else _rules(rules)

    def tokens(self) -> list[str]:
        """Return the names of the tokens that were added and not removed, in order."""
        return self._all("select name from token order by name", ())

    def put_at(self, table: str, ids: Collection[int], before: int) -> dict[int, list[int]]:
        """Return the offsets of the records that put types or nodes: see `offsets.of_versions`."""
        return offsets.of_versions(self._connection, table, ids, before)

    def last_put_at(self, table: str, ids: Collection[int], before: int) -> dict[int, int]:
        """Return the offset of the last of these records: see `offsets.of_last_versions`."""
        return offsets.of_last_versions(self._connection, table, ids, before)

    def linked_at(self, kind: str, node_id: int) -> set[int]:
        """Return the offsets of the records that linked a node to others: see `offsets.of_edges`."""
        return offsets.of_edges(self._connection, kind, node_id)

    def versions(self, kind: Kind, ids: Collection[int], before: int, asked: Sequence[Asked] = ()) -> list[Version]:
        """Return every version of nodes with the offset that put it: see `lives.versions`."""
        return lives.versions(self._connection, kind, ids, before, asked)

    def versions_of_type(self, kind: Kind, type_id: int, before: int, asked: Sequence[Asked] = ()) -> list[Version]:
        """Return that for every node of a type."""
        return lives.versions_of_type(self._connection, kind, type_id, before, asked)

    def newest_neighbours(
        self, kind: Kind, ids: Collection[int], *, outputs: bool, most: int, in_all: int
    ) -> list[tuple[int, int]]:
        """Return the other ends of events, of each node the newest: see `lives.newest_neighbours`."""
        return lives.newest_neighbours(self._connection, kind, ids, outputs=outputs, most=most, in_all=in_all)

    def neighbour_counts(self, kind: Kind, ids: Collection[int]) -> dict[int, int]:
        """Return how many others each artifact or execution shares events with."""
        return lives.neighbour_counts(self._connection, kind, ids)

    def edges_among(
        self, artifacts: Collection[int], executions: Collection[int]
    ) -> list[tuple[int, int, bool, int, bytes]]:
        """Return the events between nodes, each with the offset that put it: see `lives.edges_among`."""
        return lives.edges_among(self._connection, artifacts, executions)

    def contexts_named(self, kind: Kind, ids: Collection[int]) -> list[tuple[int, int, str]]:
        """Return the contexts of artifacts or executions by name: see `lives.contexts_named`."""
        return lives.contexts_named(self._connection, kind, ids)

    # Ids ------------------------------------------------------------------------------------------------------------

    def count(self, table: str, type_id: int | None = None) -> int:
        """Return the number of rows of a table, or of the nodes of one type."""
        assert table in _TABLES, "a table of the schema"
        if type_id is None:
            return self._one(f"select count(*) from {table}", ())
        return self._one(f"select count(*) from {table} where type_id = ?", (type_id,))

    def last_id(self, table: str) -> int:
        """Return the highest id in a table: type, artifact, execution, context, event or parent_context."""
        return self._one(_LAST_ID[table], ())

    def identities(self, table: str, low: int, high: int) -> list[tuple[Any, ...]]:
        """Return what never changes of the rows with ids from `low` to `high`, ascending: the id and, of a type, kind, name and version, of a node type id and create time, of an event its ends."""
        sql = f"select {_IDENTITIES[table]} from {table} where id between ? and ? order by id"
        rows: list[Any] = self._execute(sql, (low, high)).fetchall()
        return rows

    def as_put(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield all rows in the order in which they were put: id and body of events, context and node of links, child and parent of contexts.

        The caller holds `snapshot`, and nothing else is asked of this object until it has read them all.
        """
        rows: Iterator[tuple[Any, ...]] = self._execute(_AS_PUT[table])
        return rows

    def count_by_type(self, kind: Kind) -> dict[int, int]:
        """Return how many nodes there are of each type that has any."""
        rows: list[Any] = self._execute(_COUNT_BY_TYPE[kind]).fetchall()
        return dict(rows)

    def _one(self, sql: str, values: tuple[Any, ...]) -> Any:
        # To the end, always: a statement left half-read holds its snapshot, and the write-ahead log grows behind it.
        rows = self._execute(sql, values).fetchall()
        return rows[0][0] if rows else None

    def _all(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        return [row[0] for row in self._execute(sql, values).fetchall()]
