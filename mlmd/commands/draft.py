"""What one request is going to put: the changes so far, and the store as it would be with them.

Later items of a request see the effects of earlier ones, and a refusal must leave no trace; so a decision writes here, and only
a draft that was decided to its end becomes a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from evlog.records import AssociationPut, AttributionPut
from mlmd import errors
from mlmd.convert import ARMS, node_message, property_types, text_of, type_message, unframed
from mlmd.kinds import KIND_NAMED, KINDS, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evlog.records import EventPut, NodePut, ParentContextPut, TypePut
    from mlmd.kinds import Node, Type
    from projections.query import Kind as KindName


class Known(Protocol):
    """What a decision may ask of the view: see `projections.sqlite.lookup.Lookup`."""

    def node(self, kind: KindName, node_id: int) -> bytes | None:
        """Return a node's body."""
        ...

    def since(self, kind: KindName, node_id: int) -> int | None:
        """Return the offset of the record that put a node last."""
        ...

    def id_named(self, kind: KindName, type_id: int, name: str) -> int | None:
        """Return the id of the node of a type with a name."""
        ...

    def id_external(self, kind: KindName, external_id: str) -> int | None:
        """Return the id of the node with an external id."""
        ...

    def type(self, kind: KindName, type_id: int) -> bytes | None:
        """Return a type's body."""
        ...

    def type_id_named(self, kind: KindName, name: str, version: str) -> int | None:
        """Return the id of a type; `version` is "" for none."""
        ...

    def type_id_external(self, kind: KindName, external_id: str) -> int | None:
        """Return the id of the type with an external id."""
        ...

    def has_event(self, artifact_id: int, execution_id: int, event_type: str) -> bool:
        """Tell whether an event is there."""
        ...

    def has_link(self, kind: KindName, context_id: int, node_id: int) -> bool:
        """Tell whether a node belongs to a context."""
        ...

    def has_parent(self, child_id: int, parent_id: int) -> bool:
        """Tell whether a parent link is there."""
        ...

    def ancestors(self, context_id: int) -> Sequence[int]:
        """Return a context's id and those of all above it."""
        ...

    def last_id(self, table: str) -> int:
        """Return the highest id in a table."""
        ...


class StoredType:
    """A type as the store knows it: what checking a node needs, read once."""

    __slots__ = ("arms", "id", "message", "name", "properties")

    def __init__(self, message: Type) -> None:
        self.message = message
        self.id, self.name = message.id, message.name
        self.properties: Mapping[str, str] = property_types(message)
        self.arms = {key: ARMS[property_type] for key, property_type in self.properties.items()}

    @property
    def identity(self) -> tuple[str, str]:
        """Return name and version, "" for none."""
        return self.name, self.message.version


TypeCache = dict[tuple["KindName", int], StoredType]


class Draft:
    """Changes of one request over what is known.

    types, last_ids: kept across requests as long as nobody else changes the store; the draft adds to `types` what it reads, and
    `last_ids` is its own copy, to be kept if the request is not refused. offset: that of the record that it becomes.
    """

    def __init__(
        self,
        known: Known,
        types: TypeCache,
        now_ms: int,
        last_ids: Mapping[str, int] | None = None,
        offset: int = -1,
    ) -> None:
        self.known, self.now_ms, self.offset = known, now_ms, offset
        self.last_ids = dict(last_ids or {})
        self.changes: list[Any] = []  # Of Change.
        self._types = types
        self._new_types: dict[tuple[KindName, int], StoredType] = {}
        self._nodes: dict[KindName, dict[int, NodePut]] = {kind.name: {} for kind in KINDS}
        self._names: dict[tuple[KindName, int, str], int] = {}
        self._externals: dict[tuple[KindName, str], int] = {}
        self._links: set[tuple[object, ...]] = set()
        self._parents: dict[int, list[int]] = {}
        self._found: set[tuple[KindName, int]] = set()  # Nodes that are there.
        self._made: set[tuple[KindName, int]] = set()  # Nodes that this request creates: nothing links to them yet.

    def next_id(self, table: str) -> int:
        """Return the id of the next row of a table; a refused request uses none up."""
        last = self.last_ids.get(table)
        self.last_ids[table] = new = (self.known.last_id(table) if last is None else last) + 1
        return new

    # Types ----------------------------------------------------------------------------------------------------------

    def type(self, kind: Kind, type_id: int) -> StoredType | None:
        """Return a type of this kind by id."""
        key = (kind.name, type_id)
        found = self._new_types.get(key) or self._types.get(key)
        if found is None:
            body = self.known.type(kind.name, type_id)
            if body is None:
                return None
            found = self._types[key] = StoredType(kind.type_message.FromString(unframed(body)))
        return found

    def type_name(self, kind: str, type_id: int) -> str:
        """Return the name of the type of a node that is put."""
        found = self.type(KIND_NAMED[kind], type_id)
        assert found is not None, "a node has a type"
        return found.name

    def type_named(self, kind: Kind, name: str, version: str) -> StoredType | None:
        """Return a type of this kind by identity; `version` is "" for none."""
        for (kind_name, _), new in self._new_types.items():
            if kind_name == kind.name and new.identity == (name, version):
                return new
        type_id = self.known.type_id_named(kind.name, name, version)
        return None if type_id is None else self.type(kind, type_id)

    def type_external(self, kind: Kind, external_id: str) -> int | None:
        """Return the id of the type of this kind with an external id."""
        for (kind_name, type_id), new in self._new_types.items():
            if kind_name == kind.name and text_of(new.message, "external_id") == external_id:
                return type_id
        stored_id = self.known.type_id_external(kind.name, external_id)
        return None if stored_id is None or (kind.name, stored_id) in self._new_types else stored_id

    def put_type(self, kind: Kind, change: TypePut) -> StoredType:
        """Add a type's new state."""
        self.changes.append(change)
        stored = self._new_types[kind.name, change.id] = StoredType(type_message(change))
        return stored

    @property
    def puts_types(self) -> bool:
        """Tell whether a type changes."""
        return bool(self._new_types)

    # Nodes ----------------------------------------------------------------------------------------------------------

    def node(self, kind: Kind, node_id: int) -> Node | None:
        """Return a node as a Get would answer it."""
        change = self._nodes[kind.name].get(node_id)
        if change is not None:
            stored_type = self.type(kind, change.type_id)
            assert stored_type is not None, "a node has a type"
            return node_message(change, stored_type.name)
        body = self.known.node(kind.name, node_id)
        if body is None:
            return None
        self._found.add((kind.name, node_id))
        return kind.message.FromString(unframed(body))

    def has_node(self, kind: Kind, node_id: int) -> bool:
        """Tell whether there is a node."""
        key = (kind.name, node_id)
        if key not in self._found and node_id not in self._nodes[kind.name]:
            if self.known.node(kind.name, node_id) is None:
                return False
            self._found.add(key)
        return True

    def make_node(self, kind: Kind, change: NodePut) -> None:
        """Add a new node; see put_node."""
        self.put_node(kind, change)
        self._made.add((kind.name, change.id))

    def id_named(self, kind: Kind, type_id: int, name: str) -> int | None:
        """Return the id of the node of a type with a name."""
        node_id = self._names.get((kind.name, type_id, name))
        if node_id is None:
            node_id = self.known.id_named(kind.name, type_id, name)
            if node_id in self._nodes[kind.name]:  # Renamed by this request, or it would have been found above.
                return None
        return node_id

    def id_external(self, kind: Kind, external_id: str) -> int | None:
        """Return the id of the node with an external id."""
        node_id = self._externals.get((kind.name, external_id))
        if node_id is None:
            node_id = self.known.id_external(kind.name, external_id)
            if node_id in self._nodes[kind.name]:
                return None
        return node_id

    def put_node(self, kind: Kind, change: NodePut) -> None:
        """Add a node's new state. Raises AlreadyExistsError where its name or external id is another's."""
        name, external_id = change.name, change.external_id
        if name is not None and self.id_named(kind, change.type_id, name) not in (None, change.id):
            raise _taken(kind, change, f"the name {name!r} of type {change.type_id}")
        if external_id is not None and self.id_external(kind, external_id) not in (None, change.id):
            raise _taken(kind, change, f"the external_id {external_id!r}")
        nodes = self._nodes[kind.name]
        before = nodes.get(change.id)
        if before is not None:
            if before.name is not None:
                self._names.pop((kind.name, before.type_id, before.name), None)
            if before.external_id is not None:
                self._externals.pop((kind.name, before.external_id), None)
        nodes[change.id] = change
        if name is not None:
            self._names[kind.name, change.type_id, name] = change.id
        if external_id is not None:
            self._externals[kind.name, external_id] = change.id
        self.changes.append(change)

    # Events and links -----------------------------------------------------------------------------------------------

    def put_event(self, change: EventPut) -> bool:
        """Add an event unless it is there already; return whether it was added."""
        artifact_id, execution_id = change.artifact_id, change.execution_id
        key = (artifact_id, execution_id, change.type)
        if key in self._links or (
            ("artifact", artifact_id) not in self._made
            and ("execution", execution_id) not in self._made
            and self.known.has_event(*key)
        ):
            return False
        self._links.add(key)
        self.changes.append(change)
        return True

    def put_link(self, kind: Kind, context_id: int, node_id: int) -> None:
        """Let an artifact or execution belong to a context, unless it does already."""
        key = (kind.name, context_id, node_id)
        if key in self._links or (
            (kind.name, node_id) not in self._made
            and ("context", context_id) not in self._made
            and self.known.has_link(*key)
        ):
            return
        self._links.add(key)
        put = AttributionPut if kind.name == "artifact" else AssociationPut
        self.changes.append(put(context_id, node_id))

    def put_parent(self, change: ParentContextPut) -> bool:
        """Add a parent link unless it is there already; return whether it was added."""
        child_id, parent_id = change.child_id, change.parent_id
        above = self._parents.setdefault(child_id, [])
        if parent_id in above or self.known.has_parent(child_id, parent_id):
            return False
        above.append(parent_id)
        self.changes.append(change)
        return True

    def is_ancestor(self, ancestor_id: int, context_id: int) -> bool:
        """Tell whether one context is above another, or the same, counting the links of this request."""
        seen: set[int] = set()
        waiting = [context_id]
        while waiting:
            for current in self.known.ancestors(waiting.pop()):  # Itself included.
                if current == ancestor_id:
                    return True
                if current not in seen:
                    seen.add(current)
                    waiting += self._parents.get(current, ())
        return False


def _taken(kind: Kind, change: NodePut, what: str) -> errors.AlreadyExistsError:
    return errors.AlreadyExistsError(f"Given node already exists: {kind.name} {change.id}: {what} is taken")
