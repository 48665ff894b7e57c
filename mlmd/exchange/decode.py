"""Rows of an MLMD database -> changes. What cannot be put as it is goes to `kept`, whole, with what is wrong; nothing is dropped.

What MLMD itself reads otherwise than it stands is taken as MLMD reads it, so that a store answers as the database did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format

from evlog.records import (
    AssociationPut,
    AttributionPut,
    EventPut,
    ForeignRowKept,
    NodePut,
    Properties,
    TypePut,
)
from mlmd.exchange.schema import (
    ASSOCIATION,
    ATTRIBUTION,
    EVENT,
    EVENT_PATH,
    NODES,
    PARENT_CONTEXT,
    PARENT_TYPE,
    PROPERTIES,
    TYPE,
    TYPE_PROPERTY,
    Table,
)
from mlmd.exchange.values import NOT_OF_COLUMN, NOT_UTF8, NULL_TEXT, STRUCT_PREFIX, stored_value
from mlmd.kinds import ARTIFACT, CONTEXT, EVENT_TYPES, EXECUTION, PROPERTY_TYPES, SYSTEM_TYPES, Kind
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlmd.exchange.sources import Row

_TYPE_KINDS: Final[dict[Any, Kind]] = {0: EXECUTION, 1: ARTIFACT, 2: CONTEXT}
_ONE_VALUE: Final = 5  # Columns of a property that are null where just one holds the value.
_NONE: Final[tuple[Properties, Properties]] = ({}, {})
_ID_MAX: Final = 2**63 - 1

NO_SUCH_KIND: Final = "no such kind of type"
NO_ID: Final = "an id that is not a positive integer"
NO_TIME: Final = "a time that is no integer"
NO_NAME: Final = "no name"
SAME_TYPE: Final = "a type of the same name and version has a lower id: this one's version became its id"
SAME_NAME: Final = (
    "a node of the same type and name has a lower id: this one was put without the name, a context with its id added"
)
SAME_EXTERNAL_ID: Final = "the external_id is that of a lower id: this one was put without"
EMPTY_EXTERNAL_ID: Final = "an empty external_id of a type: it became none"
NULL_FIELD: Final = f"{NULL_TEXT}, which ML Metadata reads as not set"
NO_URI: Final = "no uri: it became the empty one"
NO_TYPE: Final = "there is no such type of this kind"
NO_STATE: Final = "no such state: it was put without"
NO_PROPERTY_TYPE: Final = "no such type of a property"
NO_OWNER: Final = "what it belongs to is not there, or could not be put"
UNDECLARED: Final = "its type does not declare such a property: it was taken as it is"
OTHER_TYPE: Final = "its type declares another type of value: it was taken as it is"
TWICE: Final = "there twice"
NOT_SYSTEM: Final = "a base type that is no system type of this kind, or a second one"
BAD_SIGNATURE: Final = "an input or output type that cannot be read: the type was put without"
EMPTY_VERSION: Final = "an empty version: it became none"
NO_EVENT_TYPE: Final = "no such type of event"
NO_EVENT_TIME: Final = "no time: it became 0"
BAD_STEP: Final = "a step of a path without index or key"
DANGLING: Final = "one of its ends is not there, or could not be put"
TO_ITSELF: Final = "a context that is its own parent"

_ARMS: Final = {int: "INT", float: "DOUBLE", str: "STRING", bool: "BOOLEAN"}


class Decoder:
    """Turns rows into changes, types first, then nodes, then what links them. kept: of the rows since it was last emptied."""

    def __init__(self, *, proto_in_base64: bool) -> None:
        self.kept: list[ForeignRowKept] = []
        self.types: dict[int, TypePut] = {}
        self._proto_in_base64 = proto_in_base64
        self._left_out: dict[str, set[Any]] = {kind: set() for kind in NODES}  # Nodes that could not be put.
        self._parents: set[Row] = set()  # Pairs that were put.

    def keep(self, table: Table, row: Row, why: str) -> None:
        """Keep a row whole."""
        self.kept.append(
            ForeignRowKept(table.name, {one.name: value for one, value in zip(table.columns, row, strict=False)}, why)
        )

    def take_kept(self) -> list[ForeignRowKept]:
        """Return what was kept, and begin anew."""
        kept, self.kept = self.kept, []
        return kept

    # Types ----------------------------------------------------------------------------------------------------------

    def read_types(self, rows: Iterable[Row], properties: Iterable[Row], parents: Iterable[Row]) -> list[TypePut]:
        """Return all types by ascending id, and after them the system types that the database lacks."""
        kinds: dict[int, Kind] = {}
        identities: dict[tuple[str, str, str | None], int] = {}
        external_ids: set[tuple[str, str]] = set()
        for row in rows:
            kind, type_id = _TYPE_KINDS.get(row[2]), row[0]
            if kind is None or not _is_id(type_id):
                self.keep(TYPE, row, NO_SUCH_KIND if kind is None else NO_ID)
                continue
            kinds[type_id] = kind
            self.types[type_id] = self._type(kind, row, identities, external_ids)
        self._declare(properties)
        self._base(kinds, parents)
        for kind, name in SYSTEM_TYPES:
            if (kind.name, name, None) not in identities:
                new_id = max(self.types, default=0) + 1
                self.types[new_id] = kind.type_put(id=new_id, name=name)
        return [self.types[type_id] for type_id in sorted(self.types)]

    def _type(
        self,
        kind: Kind,
        row: Row,
        identities: dict[tuple[str, str, str | None], int],
        external_ids: set[tuple[str, str]],
    ) -> TypePut:
        type_id, name, _, input_type, output_type, version, description, external_id = row
        name, version, description, external_id = (
            self._text(TYPE, row, text) for text in (name, version, description, external_id)
        )
        if name is None:
            self.keep(TYPE, row, NO_NAME)
            name = f"id {type_id}"
        if version == "":
            self.keep(TYPE, row, EMPTY_VERSION)
            version = None
        if (kind.name, name, version) in identities:
            self.keep(TYPE, row, SAME_TYPE)
            version = f"id {type_id}"
        identities[kind.name, name, version] = type_id
        if external_id is not None:
            if (kind.name, external_id) in external_ids or not external_id:
                self.keep(TYPE, row, SAME_EXTERNAL_ID if external_id else EMPTY_EXTERNAL_ID)
                external_id = None
            else:
                external_ids.add((kind.name, external_id))
        own: dict[str, Any] = {}
        if kind is EXECUTION:
            for field, text in (("input_type", input_type), ("output_type", output_type)):
                own[field] = None if text is None else self._signature(row, text)
        return kind.type_put(
            id=type_id, name=name, version=version, description=description, external_id=external_id, **own
        )

    def _signature(self, row: Row, text: Any) -> dict[str, Any] | None:
        try:
            message = json_format.Parse(text, pb.ArtifactStructType())
        except (json_format.ParseError, TypeError, UnicodeDecodeError):
            self.keep(TYPE, row, BAD_SIGNATURE)
            return None
        found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
        return found

    def _declare(self, rows: Iterable[Row]) -> None:
        """Add properties to the types."""
        for row in rows:
            type_id, name, data_type = row
            found, key = self.types.get(type_id), self._text(TYPE_PROPERTY, row, name)
            property_type = PROPERTY_TYPES.get(data_type) if data_type else None
            if found is None or key is None or property_type is None:
                self.keep(TYPE_PROPERTY, row, NO_OWNER if found is None else NO_PROPERTY_TYPE)
                continue
            self.types[type_id] = _with(found, properties={**found.properties, key: property_type})

    def _base(self, kinds: Mapping[int, Kind], rows: Iterable[Row]) -> None:
        """Add base types to the types."""
        for row in rows:
            type_id, parent_id = row
            found, parent, kind = self.types.get(type_id), self.types.get(parent_id), kinds.get(type_id)
            if found is None or parent is None or kind is None:
                self.keep(PARENT_TYPE, row, NO_OWNER)
            elif kinds[parent_id] is not kind or parent.name not in kind.base_types.values() or found.base_type:
                self.keep(PARENT_TYPE, row, NOT_SYSTEM)
            else:
                self.types[type_id] = _with(found, base_type=parent.name)

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
        table, make, types = NODES[kind.name], kind.put, self.types
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
                name = self._text(table, row, name)
            if not (external_id is None or external_id.__class__ is str) or external_id == NULL_TEXT:
                external_id = self._text(table, row, external_id)
            if same_names and name is not None and same_names.get((type_id, name), node_id) != node_id:
                self.keep(table, row, SAME_NAME)
                name = f"{name} (id {node_id})" if kind is CONTEXT else None
            if same_external_ids and same_external_ids.get((external_id,), node_id) != node_id:
                self.keep(table, row, SAME_EXTERNAL_ID)
                external_id = None
            if kind is CONTEXT and not name:
                self.keep(table, row, NO_NAME)
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
        if not _is_id(row[0]):
            self.keep(table, row, NO_ID)
        elif own_type.__class__ is not kind.type_put:
            self.keep(table, row, NO_TYPE)
        elif row[4].__class__ is not int or row[5].__class__ is not int:
            self.keep(table, row, NO_TIME)
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
            self.keep(table, row, NO_STATE)
        if kind is ARTIFACT:
            uri = row[7]
            if uri.__class__ is not str or uri == NULL_TEXT:
                if uri is None:
                    self.keep(table, row, NO_URI)
                uri = self._text(table, row, uri) or ""
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
                self.keep(table, row, TWICE)
            else:
                own[key] = value
        return found

    def _odd_property(self, table: Table, row: Row) -> tuple[str, Any]:
        """Return key and value of a property that is not plain; no value where none can be taken."""
        key = row[1]
        if key.__class__ is not str:
            key = self._text(table, row, key)
            if key is None:
                return "", None
        value, wrong = stored_value(row[3:], proto_in_base64=self._proto_in_base64)
        if wrong is not None:
            self.keep(table, row, wrong)
        return key, value

    def _check_declared(self, kind: Kind, node_id: int, typed: Properties, declared: Mapping[str, str]) -> None:
        """Keep the properties that a type does not have so. Their rows are told by what they hold."""
        for key, value in typed.items():
            held = _ARMS.get(value.__class__) or value.__class__.__name__.upper()
            if declared.get(key) != held:
                shown: Any = value if held in _ARMS.values() else repr(value)
                row = {f"{kind.name}_id": node_id, "name": key, "is_custom_property": 0, "value": shown}
                why = OTHER_TYPE if key in declared else UNDECLARED
                self.kept.append(ForeignRowKept(PROPERTIES[kind.name].name, row, why))

    def _keep_unowned(self, kind: Kind, rows: Iterable[Row], belonging: Mapping[Any, Any]) -> None:
        """Keep the properties of nodes that are not there, or were left out."""
        left_out = self._left_out[kind.name]
        if belonging or left_out:
            for row in rows:
                if row[0] in belonging or row[0] in left_out:
                    self.keep(PROPERTIES[kind.name], row, NO_OWNER)

    # Events and links -----------------------------------------------------------------------------------------------

    def events(self, rows: Iterable[Row], steps: Iterable[Row], same: Mapping[Row, int]) -> list[EventPut]:
        """Return events with their paths. A row ends with the ids of its nodes, null where there is none."""
        paths = self._paths(steps)
        found = []
        for row in rows:
            event_id, _, _, number, time_ms, artifact, execution = row
            if (why := self._why_no_event(row, same)) is not None:
                self.keep(EVENT, row, why)
                for step in paths.pop(event_id, ()):
                    self.kept.append(ForeignRowKept(EVENT_PATH.name, {"event_id": event_id, "step": step}, NO_OWNER))
                continue
            if time_ms.__class__ is not int:
                self.keep(EVENT, row, NO_EVENT_TIME)
                time_ms = 0
            found.append(EventPut(event_id, artifact, execution, EVENT_TYPES[number], time_ms, paths.pop(event_id, [])))
        for event_id, path in paths.items():
            for step in path:
                self.kept.append(ForeignRowKept(EVENT_PATH.name, {"event_id": event_id, "step": step}, NO_OWNER))
        return found

    def _why_no_event(self, row: Row, same: Mapping[Row, int]) -> str | None:
        event_id, artifact_id, execution_id, number, _, artifact, execution = row
        if not _is_id(event_id):
            return NO_ID
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
            step = index if is_index else self._text(EVENT_PATH, row, key)
            if step.__class__ is not (int if is_index else str):
                self.keep(EVENT_PATH, row, BAD_STEP)
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
                self.keep(table, row, DANGLING)
            elif same and same.get((context_id, node_id), link_id) != link_id:
                self.keep(table, row, TWICE)
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
                self.keep(PARENT_CONTEXT, row, DANGLING)
            elif child_id == parent_id:
                self.keep(PARENT_CONTEXT, row, TO_ITSELF)
            elif row in self._parents:
                self.keep(PARENT_CONTEXT, row, TWICE)
            else:
                self._parents.add(row)
                found.append((parent_id, child_id))
        return found

    def _text(self, table: Table, row: Row, text: Any) -> str | None:
        """Return a text as MLMD reads it, None for none; what is wrong with it is kept."""
        if text is None or (text.__class__ is str and text != NULL_TEXT):
            return text
        if text == NULL_TEXT:
            self.keep(table, row, NULL_FIELD)
            return None
        if isinstance(text, bytes):
            self.keep(table, row, NOT_UTF8)
            return text.decode(errors="backslashreplace")
        self.keep(table, row, NOT_OF_COLUMN)
        return str(text)


def _is_id(value: Any) -> bool:
    return value.__class__ is int and 0 < value <= _ID_MAX


def _with(change: TypePut, **fields: Any) -> TypePut:
    """Return a type with some fields replaced."""
    kept = {name: getattr(change, name) for name in change.__struct_fields__}
    return change.__class__(**(kept | fields))
