"""Changes -> rows. Pure: the same records give the same rows, whoever applies them and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from evlog.records import (
    REMARKS,
    ArtifactPut,
    AssociationPut,
    AttributionPut,
    ContextPut,
    EventPut,
    ExecutionPut,
    NodePut,
    ParentContextPut,
    PersonalDeclared,
    TokenAdded,
    TokenRemoved,
    TypePut,
)
from projections.query import KINDS
from projections.sqlite.order import Order
from projections.sqlite.past import SEQ_BITS
from projections.state import TYPE_KINDS
from projections.values import as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

    from evlog.records import Entry

_json: Final = msgspec.json.Encoder().encode
_msgpack: Final = msgspec.msgpack.Encoder().encode
LANDMARK_STEP: Final = 256


class Bodies(Protocol):
    """What the face gives to the view: the bytes that answer a read of one thing. Pure functions."""

    def type(self, change: TypePut) -> bytes:
        """Return the body of a type."""
        ...

    def node(self, change: NodePut, type_name: str) -> bytes:
        """Return the body of a node; its record does not hold the type's name."""
        ...

    def event(self, change: EventPut) -> bytes:
        """Return the body of an event."""
        ...

    # And back, for who checks a view: each raises ValueError for what is no body.

    def type_of(self, kind: str, body: bytes) -> TypePut:
        """Return the change that a type's body was made of."""
        ...

    def node_of(self, kind: str, body: bytes) -> NodePut:
        """Return the change that a node's body was made of."""
        ...

    def event_of(self, event_id: int, body: bytes) -> EventPut:
        """Return the change that an event's body was made of. event_id: which its answer does not tell."""
        ...


def _upsert(table: str, columns: str, *, unchanging: str = "id type_id create_time") -> str:
    names = columns.split()
    jsonb = {"properties", "custom_properties"}
    values = ", ".join("jsonb(?)" if name in jsonb else "?" for name in names)
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name not in unchanging.split())
    return f"insert into {table} ({', '.join(names)}) values ({values}) on conflict (id) do update set {sets}"


_TYPE = _upsert(
    "type", "id since kind name version external_id description base_type properties body", unchanging="id kind"
)
_SHARED_BEFORE: Final = "id since type_id name external_id "
_SHARED_AFTER: Final = " create_time update_time properties custom_properties body"
# How a node of each kind is put: its table, and the columns that its kind alone has.
_NODES: Final[dict[type, tuple[str, str, Callable[[Any], tuple[Any, ...]]]]] = {
    put: (kind, _upsert(kind, f"{_SHARED_BEFORE} {columns} {_SHARED_AFTER}"), own)
    for put, kind, columns, own in (
        (ArtifactPut, "artifact", "uri state", lambda put: (put.uri, put.state)),
        (ExecutionPut, "execution", "state", lambda put: (put.state,)),
        (ContextPut, "context", "", lambda _: ()),
    )
}
_EVENT = "insert into event (id, artifact_id, execution_id, type, is_output, time, since, body) values (?, ?, ?, ?, ?, ?, ?, ?)"
_ATTRIBUTION = "insert into attribution (context_id, artifact_id, seq) values (?, ?, ?)"
_ASSOCIATION = "insert into association (context_id, execution_id, seq) values (?, ?, ?)"
# Whoever writes to one store through two servers may repeat itself; the first answer stands.
_ANSWERED = "insert into answered (transaction_id, request, response) values (?, ?, ?) on conflict do nothing"
_LANDMARK = "insert into landmark (offset, update_time) values (?, ?)"
# Also of what was replaced: after an import a node may be put again with an earlier time, that of a slower clock.
_NEWEST = f"select max({', '.join(f'coalesce((select max(update_time) from {kind}{past}), 0)' for kind in KINDS for past in ('', '_past'))})"
_PERSONAL = "insert into personal (offset, rules) values (?, ?)"
_PARENT = "insert into parent_context (id, parent_id, child_id, since) values (?, ?, ?, ?)"


class Applier:
    """Applies changes on one connection."""

    def __init__(self, connection: apsw.Connection, bodies: Bodies) -> None:
        self._execute = connection.cursor().execute
        self._bodies = bodies
        self._order = Order(connection)
        self._offset = 0
        self._seq = 0
        self.newest: int | None = None  # The highest update time of all nodes, None if that has to be looked up.
        self._type_names: dict[int, str] = {}  # A type's name never changes, so it may be kept across writers.
        self._appliers: dict[type, Callable[[Any], None]] = {
            **dict.fromkeys(TYPE_KINDS, self._type),
            ArtifactPut: self._node,
            ExecutionPut: self._node,
            ContextPut: self._node,
            EventPut: self._event,
            AttributionPut: self._attribution,
            AssociationPut: self._association,
            ParentContextPut: self._parent,
            **dict.fromkeys(REMARKS, lambda _change: None),
            PersonalDeclared: self._personal,
            TokenAdded: self._token,
            TokenRemoved: self._no_token,
        }

    def apply(self, entry: Entry) -> None:
        """Turn the changes of a record into rows."""
        appliers = self._appliers
        if entry.offset % LANDMARK_STEP == 0:
            self._landmark(entry.offset)
        self._offset = entry.offset
        self._seq = entry.offset << SEQ_BITS
        for change in entry.record.changes:
            appliers[change.__class__](change)
        answered = entry.record.envelope.answered
        if answered is not None:
            self._execute(_ANSWERED, (entry.record.envelope.transaction, answered.request, answered.response))

    def forget(self) -> None:
        """Drop what was learned from rows that a rollback took back."""
        self._type_names.clear()
        self.overtaken()

    def overtaken(self) -> None:
        """Drop what was learned of the last rows: another process has put some since."""
        self._order.forget()
        self.newest = None

    def _landmark(self, offset: int) -> None:
        if self.newest is None:
            rows: Any = self._execute(_NEWEST).fetchall()
            self.newest = rows[0][0]
        self._execute(_LANDMARK, (offset, self.newest))

    def _type_name(self, type_id: int) -> str:
        name = self._type_names.get(type_id)
        if name is None:
            rows: Any = self._execute("select name from type where id = ?", (type_id,)).fetchall()
            name = self._type_names[type_id] = rows[0][0]
        return name

    def _type(self, change: TypePut) -> None:
        look_again = self._order.before("type", change.id)
        self._execute(
            _TYPE,
            (
                change.id,
                self._offset,
                TYPE_KINDS[type(change)],
                change.name,
                change.version or "",
                change.external_id,
                change.description,
                change.base_type,
                _json(change.properties),
                self._bodies.type(change),
            ),
        )
        if look_again:
            self._order.after("type", change.id)
        self._type_names[change.id] = change.name

    def _node(self, change: NodePut) -> None:
        kind, sql, own = _NODES[change.__class__]
        look_again = self._order.before(kind, change.id, change.create_time_ms)
        if self.newest is not None and change.update_time_ms > self.newest:
            self.newest = change.update_time_ms
        self._execute(
            sql,
            (
                change.id,
                self._offset,
                change.type_id,
                change.name,
                change.external_id,
                *own(change),
                change.create_time_ms,
                change.update_time_ms,
                as_json(change.properties),
                as_json(change.custom_properties),
                self._bodies.node(change, self._type_name(change.type_id)),
            ),
        )
        if look_again:
            self._order.after(kind, change.id)

    def _personal(self, change: PersonalDeclared) -> None:
        self._execute("delete from personal")
        self._execute(_PERSONAL, (self._offset, _msgpack(change.rules)))

    def _token(self, change: TokenAdded) -> None:
        self._execute("insert or replace into token (name) values (?)", (change.name,))

    def _no_token(self, change: TokenRemoved) -> None:
        self._execute("delete from token where name = ?", (change.name,))

    def _event(self, change: EventPut) -> None:
        is_output = not change.type.endswith("INPUT")
        look_again = self._order.before("event", change.id)
        self._execute(
            _EVENT,
            (
                change.id,
                change.artifact_id,
                change.execution_id,
                change.type,
                is_output,
                change.time_ms,
                self._offset,
                self._bodies.event(change),
            ),
        )
        if look_again:
            self._order.after("event", change.id)

    def _attribution(self, change: AttributionPut) -> None:
        self._seq += 1
        self._execute(_ATTRIBUTION, (change.context_id, change.artifact_id, self._seq))

    def _association(self, change: AssociationPut) -> None:
        self._seq += 1
        self._execute(_ASSOCIATION, (change.context_id, change.execution_id, self._seq))

    def _parent(self, change: ParentContextPut) -> None:
        look_again = self._order.before("parent_context", change.id)
        self._execute(_PARENT, (change.id, change.parent_id, change.child_id, self._offset))
        if look_again:
            self._order.after("parent_context", change.id)
