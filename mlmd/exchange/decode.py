"""Rows of nodes and of what links them -> changes. What cannot be put as it is is kept, whole, with what is wrong.

What MLMD itself reads otherwise than it stands is taken as MLMD reads it, so that a store answers as the database did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from evlog.records import AssociationPut, AttributionPut, EventPut, NodePut, Properties, TypePut
from mlmd.exchange.kept import NO_NAME, NO_OWNER, SAME_EXTERNAL_ID, Kept, wrong_id
from mlmd.exchange.schema import (
    ASSOCIATION,
    ATTRIBUTION,
    EVENT,
    EVENT_PATH,
    NODES,
    PARENT_CONTEXT,
    PROPERTIES,
    Table,
)
from mlmd.exchange.values import NULL_TEXT, STRUCT_PREFIX, stored_value
from mlmd.kinds import ARTIFACT, CONTEXT, EVENT_TYPES, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlmd.exchange.sources import Row

_ONE_VALUE: Final = 5  # Columns of a property that are null where just one holds the value.
_NONE: Final[tuple[Properties, Properties]] = ({}, {})

NO_TIME: Final = "a time that is no integer"
SAME_NAME: Final = (
    "a node of the same type and name has a lower id: this one was put without the name, a context with its id added"
)
NO_URI: Final = "no uri: it became the empty one"
NO_TYPE: Final = "there is no such type of this kind"
NO_STATE: Final = "no such state: it was put without"
UNDECLARED: Final = "its type does not declare such a property: it was taken as it is"
OTHER_TYPE: Final = "its type declares another type of value: it was taken as it is"
TWICE: Final = "there twice"
NO_EVENT_TYPE: Final = "no such type of event"
NO_EVENT_TIME: Final = "no time: it became 0"
BAD_STEP: Final = "a step of a path without index or key"
DANGLING: Final = "one of its ends is not there, or could not be put"
TO_ITSELF: Final = "a context that is its own parent"

_ARMS: Final = {int: "INT", float: "DOUBLE", str: "STRING", bool: "BOOLEAN"}


class Decoder:
    """Turns rows into changes: nodes of all kinds first, then what links them. types: by id, as they are put."""

    def __init__(self, kept: Kept, types: Mapping[int, TypePut], *, proto_in_base64: bool) -> None:
        self._kept, self._types = kept, types
        self._proto_in_base64 = proto_in_base64
        self._left_out: dict[str, set[Any]] = {kind: set() for kind in NODES}  # Nodes that could not be put.
        self._parents: set[Row] = set()  # Pairs that were put.

    # Nodes ----------------------------------------------------------------------------------------------------------

    def nodes(
        self,
        kind: Kind,
        rows: Sequence[Row],
        properties: Iterable[Row],
        same_names: Mapping[Row, int],
        same_external_ids: Mapping[Row, int],
    ) -> list[NodePut]:
        """Return the nodes in rows with their properties; rows that share a name or an external id by `Database.duplicates`."""
        table, make, types = NODES[kind.name], kind.put, self._types
        belonging = self._properties(kind, properties)
        found = []
        for row in rows:
            node_id, type_id, name, external_id, create_time, update_time = row[:6]
            own_type = types.get(type_id)
            if not self._may_be_put(kind, table, row, own_type):
                self._left_out[kind.name].add(node_id)
                belonging.pop(node_id, None)  # Kept below, row by row.
                continue
            if not (name is None or name.__class__ is str) or name == NULL_TEXT:
                name = self._kept.text(table, row, name)
            if not (external_id is None or external_id.__class__ is str) or external_id == NULL_TEXT:
                external_id = self._kept.text(table, row, external_id)
            if same_names and name is not None and same_names.get((type_id, name), node_id) != node_id:
                self._kept.keep(table, row, SAME_NAME)
                name = f"{name} (id {node_id})" if kind is CONTEXT else None
            if same_external_ids and same_external_ids.get((external_id,), node_id) != node_id:
                self._kept.keep(table, row, SAME_EXTERNAL_ID)
                external_id = None
            if kind is CONTEXT and not name:
                self._kept.keep(table, row, NO_NAME)
                name = f"id {node_id}"
            typed, custom = belonging.pop(node_id, _NONE)
            if typed:
                assert own_type is not None, "it may be put"
                self._check_declared(kind, node_id, typed, own_type.properties)
            found.append(
                make(
                    node_id,
                    type_id,
                    create_time,
                    update_time,
                    name,
                    external_id,
                    typed,
                    custom,
                    **self._own_fields(kind, table, row),
                )
            )
        self._keep_unowned(kind, properties, belonging)
        return found

    def _may_be_put(self, kind: Kind, table: Table, row: Row, own_type: TypePut | None) -> bool:
        if (wrong := wrong_id(row[0])) is not None:
            self._kept.keep(table, row, wrong)
        elif own_type.__class__ is not kind.type_put:
            self._kept.keep(table, row, NO_TYPE)
        elif row[4].__class__ is not int or row[5].__class__ is not int:
            self._kept.keep(table, row, NO_TIME)
        else:
            return True
        return False

    def _own_fields(self, kind: Kind, table: Table, row: Row) -> dict[str, Any]:
        """Return the fields that not every kind has."""
        if kind is CONTEXT:
            return {}
        state = row[6]
        fields = {"state": None if state is None else kind.states.get(state)}
        if state is not None and fields["state"] is None:
            self._kept.keep(table, row, NO_STATE)
        if kind is ARTIFACT:
            uri = row[7]
            if uri.__class__ is not str or uri == NULL_TEXT:
                if uri is None:
                    self._kept.keep(table, row, NO_URI)
                uri = self._kept.text(table, row, uri) or ""
            fields["uri"] = uri
        return fields

    def _properties(self, kind: Kind, rows: Iterable[Row]) -> dict[int, tuple[Properties, Properties]]:
        """Return the properties and custom properties of each node that has any."""
        table = PROPERTIES[kind.name]
        found: dict[int, tuple[Properties, Properties]] = {}
        for row in rows:
            node_id, key, is_custom, integer, double, string, *_ = row
            value: Any = None
            if row.count(None) == _ONE_VALUE:
                if integer.__class__ is int:
                    value = integer
                elif double.__class__ is float:
                    value = double
                elif string.__class__ is str and not string.startswith(STRUCT_PREFIX) and string != NULL_TEXT:
                    value = string
            if value is None or key.__class__ is not str:
                key, value = self._odd_property(table, row)
                if value is None:
                    continue
            maps = found.get(node_id)
            if maps is None:
                maps = found[node_id] = ({}, {})
            own = maps[1 if is_custom else 0]
            if key in own:
                self._kept.keep(table, row, TWICE)
            else:
                own[key] = value
        return found

    def _odd_property(self, table: Table, row: Row) -> tuple[str, Any]:
        """Return key and value of a property that is not plain; no value where none can be taken."""
        key = row[1]
        if key.__class__ is not str:
            key = self._kept.text(table, row, key)
            if key is None:
                return "", None
        value, wrong = stored_value(row[3:], proto_in_base64=self._proto_in_base64)
        if wrong is not None:
            self._kept.keep(table, row, wrong)
        return key, value

    def _check_declared(self, kind: Kind, node_id: int, typed: Properties, declared: Mapping[str, str]) -> None:
        """Keep the properties that a type does not have so. Their rows are told by what they hold."""
        for key, value in typed.items():
            held = _ARMS.get(value.__class__) or value.__class__.__name__.upper()
            if declared.get(key) != held:
                shown: Any = value if held in _ARMS.values() else repr(value)
                row = {f"{kind.name}_id": node_id, "name": key, "is_custom_property": 0, "value": shown}
                why = OTHER_TYPE if key in declared else UNDECLARED
                self._kept.keep_as(PROPERTIES[kind.name], row, why)

    def _keep_unowned(self, kind: Kind, rows: Iterable[Row], belonging: Mapping[Any, Any]) -> None:
        """Keep the properties of nodes that are not there, or were left out."""
        left_out = self._left_out[kind.name]
        if belonging or left_out:
            for row in rows:
                if row[0] in belonging or row[0] in left_out:
                    self._kept.keep(PROPERTIES[kind.name], row, NO_OWNER)

    # Events and links -----------------------------------------------------------------------------------------------

    def events(self, rows: Iterable[Row], steps: Iterable[Row], same: Mapping[Row, int]) -> list[EventPut]:
        """Return events with their paths. A row ends with the ids of its nodes, null where there is none."""
        paths = self._paths(steps)
        found = []
        for row in rows:
            event_id, _, _, number, time_ms, artifact, execution = row
            if (why := self._why_no_event(row, same)) is not None:
                self._kept.keep(EVENT, row, why)
                for step in paths.pop(event_id, ()):
                    self._kept.keep_as(EVENT_PATH, {"event_id": event_id, "step": step}, NO_OWNER)
                continue
            if time_ms.__class__ is not int:
                self._kept.keep(EVENT, row, NO_EVENT_TIME)
                time_ms = 0
            found.append(EventPut(event_id, artifact, execution, EVENT_TYPES[number], time_ms, paths.pop(event_id, [])))
        for event_id, path in paths.items():
            for step in path:
                self._kept.keep_as(EVENT_PATH, {"event_id": event_id, "step": step}, NO_OWNER)
        return found

    def _why_no_event(self, row: Row, same: Mapping[Row, int]) -> str | None:
        event_id, artifact_id, execution_id, number, _, artifact, execution = row
        if (wrong := wrong_id(event_id)) is not None:
            return wrong
        if not self._is_put("artifact", artifact) or not self._is_put("execution", execution):
            return DANGLING
        if not number or number not in EVENT_TYPES:
            return NO_EVENT_TYPE
        return TWICE if same.get((artifact_id, execution_id, number), event_id) != event_id else None

    def _is_put(self, kind: str, node_id: Any) -> bool:
        return node_id is not None and node_id not in self._left_out[kind]

    def _paths(self, rows: Iterable[Row]) -> dict[Any, list[int | str]]:
        found: dict[Any, list[int | str]] = {}
        for row in rows:
            event_id, is_index, index, key = row
            step = index if is_index else self._kept.text(EVENT_PATH, row, key)
            if step.__class__ is not (int if is_index else str):
                self._kept.keep(EVENT_PATH, row, BAD_STEP)
            else:
                found.setdefault(event_id, []).append(step)
        return found

    def links(self, kind: Kind, rows: Iterable[Row], same: Mapping[Row, int]) -> list[AttributionPut | AssociationPut]:
        """Return the links of artifacts or executions to contexts. A row ends with the ids of context and node, null where there is none."""
        table, put = (ATTRIBUTION, AttributionPut) if kind is ARTIFACT else (ASSOCIATION, AssociationPut)
        found: list[AttributionPut | AssociationPut] = []
        for row in rows:
            link_id, _, _, context_id, node_id = row
            if not self._is_put("context", context_id) or not self._is_put(kind.name, node_id):
                self._kept.keep(table, row, DANGLING)
            elif same and same.get((context_id, node_id), link_id) != link_id:
                self._kept.keep(table, row, TWICE)
            else:
                found.append(put(context_id, node_id))
        return found

    def parents(self, rows: Iterable[Row], contexts: set[int]) -> list[tuple[int, int]]:
        """Return (parent, child) of links between contexts, of which these are there."""
        found = []
        for row in rows:
            child_id, parent_id = row
            ends = [one for one in row if one in contexts and self._is_put("context", one)]
            if len(ends) != len(row):
                self._kept.keep(PARENT_CONTEXT, row, DANGLING)
            elif child_id == parent_id:
                self._kept.keep(PARENT_CONTEXT, row, TO_ITSELF)
            elif row in self._parents:
                self._kept.keep(PARENT_CONTEXT, row, TWICE)
            else:
                self._parents.add(row)
                found.append((parent_id, child_id))
        return found
