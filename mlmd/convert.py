"""Messages <-> records, and the bodies that a view keeps: messages ready to be joined into an answer.

A body is a message framed as field 1 of the response that will hold it (tag, length, bytes): every list of nodes, types
or events in MLMD's responses is field 1, so an answer is the bodies, joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from google.protobuf import json_format, struct_pb2
from google.protobuf.message import DecodeError, Message

from evlog.records import (
    ArtifactPut,
    EventPut,
    ExecutionPut,
    ExecutionTypePut,
    NodePut,
    Properties,
    Proto,
    Struct,
    TypePut,
    Value,
)
from mlmd.kinds import ARTIFACT, EVENT_NUMBERS, EVENT_TYPES, EXECUTION, KIND_NAMED, KINDS, PROPERTY_TYPES, Kind
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlmd.kinds import Node, Type

ARMS: Final = {  # PropertyType name -> the field of Value that holds it.
    "INT": "int_value",
    "DOUBLE": "double_value",
    "STRING": "string_value",
    "STRUCT": "struct_value",
    "PROTO": "proto_value",
    "BOOLEAN": "bool_value",
}
_PLAIN_ARMS: Final[dict[type, str]] = {
    int: "int_value",
    float: "double_value",
    str: "string_value",
    bool: "bool_value",
}
_UNSET: Final = msgspec.msgpack.Ext(0, b"")  # A Value inside a Struct that holds nothing, not even null.

_KIND_OF_PUT: Final[dict[type, Kind]] = {put: kind for kind in KINDS for put in (kind.put, kind.type_put)}


# Values --------------------------------------------------------------------------------------------------------------


def value_of(message: pb.Value, arm: str) -> Value:
    """Return the value in one arm of a Value message."""
    value: Any = getattr(message, arm)
    if arm == "struct_value":
        return Struct(_plain_struct(value))
    return Proto(value.type_url, value.value) if arm == "proto_value" else text(value)


def text(value: Any) -> Any:
    """Return a value as it is. Raises UnicodeDecodeError for bytes: what protobuf hands out for a text that is no UTF-8."""
    return value.decode() if value.__class__ is bytes else value


def texts(values: Iterable[Any]) -> list[str]:
    """Return those that are UTF-8: nothing is stored under the others, so looking for them finds nothing."""
    return [value for value in values if value.__class__ is str]


def set_values(messages: Any, values: Properties) -> None:
    """Fill a map of Value messages."""
    for key, value in values.items():
        arm = _PLAIN_ARMS.get(value.__class__)
        if arm is not None:
            setattr(messages[key], arm, value)
        elif isinstance(value, Struct):
            messages[key].struct_value.SetInParent()
            fill_struct(messages[key].struct_value, value.fields)
        elif isinstance(value, Proto):
            messages[key].proto_value.SetInParent()
            messages[key].proto_value.type_url, messages[key].proto_value.value = value.type_url, value.value


def _plain_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    return {key: _plain(struct.fields[key]) for key in sorted(struct.fields)}


def _plain(value: struct_pb2.Value) -> Any:
    arm = value.WhichOneof("kind")
    if arm is None:
        return _UNSET
    if arm == "null_value":
        return None
    if arm == "struct_value":
        return _plain_struct(value.struct_value)
    if arm == "list_value":
        return [_plain(item) for item in value.list_value.values]
    return getattr(value, arm)


def fill_struct(struct: struct_pb2.Struct, fields: Mapping[str, Any]) -> None:
    """Fill a struct with values of Python."""
    for key, item in fields.items():
        _fill(struct.fields[key], item)


def _fill(value: struct_pb2.Value, item: Any) -> None:
    if item is None:
        value.null_value = struct_pb2.NULL_VALUE
    elif isinstance(item, bool):
        value.bool_value = item
    elif isinstance(item, str):
        value.string_value = item
    elif isinstance(item, dict):
        value.struct_value.SetInParent()
        fill_struct(value.struct_value, item)
    elif isinstance(item, list):
        value.list_value.SetInParent()
        for child in item:
            _fill(value.list_value.values.add(), child)
    elif not isinstance(item, msgspec.msgpack.Ext):
        value.number_value = item


def properties_of(message: Mapping[str, pb.Value]) -> Properties:
    """Return the properties of a stored message: every value has an arm."""
    return {key: value_of(message[key], message[key].WhichOneof("value") or "") for key in message}


# Nodes ---------------------------------------------------------------------------------------------------------------


def state_of(kind: Kind, message: Node) -> str | None:
    """Return the name of a node's state, None where it is unset."""
    field = kind.state_field
    return kind.states[getattr(message, field)] if field and message.HasField(field) else None


def text_of(message: Node | Type, field: str) -> str | None:
    """Return a text field, None where it is unset."""
    return text(getattr(message, field)) if message.HasField(field) else None


def node_put(kind: Kind, message: Node, **settled: Any) -> NodePut:
    """Return the record of a node: the fields of a message that a put may set, and those settled by the decision."""
    if kind is ARTIFACT:
        settled["uri"] = text(message.uri)
    if kind.state_field:
        settled["state"] = state_of(kind, message)
    return kind.put(external_id=text_of(message, "external_id"), **settled)


def stored_put(kind: Kind, message: Node) -> NodePut:
    """Return the record that a stored node's message was made from."""
    return node_put(
        kind,
        message,
        id=message.id,
        type_id=message.type_id,
        name=text_of(message, "name"),
        create_time_ms=message.create_time_since_epoch,
        update_time_ms=message.last_update_time_since_epoch,
        properties=properties_of(message.properties),
        custom_properties=properties_of(message.custom_properties),
    )


def node_message(change: NodePut, type_name: str) -> Node:
    """Return a node as a Get answers it."""
    kind = _KIND_OF_PUT[change.__class__]
    message = kind.message(
        id=change.id,
        type_id=change.type_id,
        type=type_name,
        create_time_since_epoch=change.create_time_ms,
        last_update_time_since_epoch=change.update_time_ms,
    )
    if change.name is not None:
        message.name = change.name
    if change.external_id is not None:
        message.external_id = change.external_id
    if change.__class__ is ArtifactPut:
        message.uri = change.uri
        if change.state is not None:
            message.state = kind.state_numbers[change.state]
    elif change.__class__ is ExecutionPut and change.state is not None:
        message.last_known_state = kind.state_numbers[change.state]
    set_values(message.properties, change.properties)
    set_values(message.custom_properties, change.custom_properties)
    return message


# Types ---------------------------------------------------------------------------------------------------------------


def type_message(change: TypePut) -> Type:
    """Return a type as a Get answers it."""
    kind = _KIND_OF_PUT[change.__class__]
    message = kind.type_message(id=change.id, name=change.name)
    for field in ("version", "description", "external_id"):
        if (text := getattr(change, field)) is not None:
            setattr(message, field, text)
    for key, property_type in change.properties.items():
        message.properties[key] = pb.PropertyType.Value(property_type)
    for number, name in kind.base_types.items():
        if name == change.base_type:
            message.base_type = number
    if isinstance(change, ExecutionTypePut):
        for field in ("input_type", "output_type"):
            if (form := getattr(change, field)) is not None:
                getattr(message, field).SetInParent()
                json_format.ParseDict(form, getattr(message, field))
    return message


def type_put(kind: Kind, message: Type, **settled: Any) -> TypePut:
    """Return the record of a type: the fields of a message that only its creation sets, and those settled."""
    settled.setdefault("description", text_of(message, "description"))
    settled.setdefault("version", text_of(message, "version") or None)
    if kind is EXECUTION:
        for field in ("input_type", "output_type"):
            if message.HasField(field):
                _refuse_bytes(getattr(message, field))
                settled[field] = json_format.MessageToDict(getattr(message, field), preserving_proto_field_name=True)
    return kind.type_put(name=message.name, **settled)


def _refuse_bytes(message: Any) -> None:
    """Raise UnicodeDecodeError where a text in a message, or below it, is no UTF-8."""
    for field, value in message.ListFields():
        if field.message_type is None:
            text(value)
        elif field.message_type.GetOptions().map_entry:
            for one in value.values():  # A key that is no UTF-8 is refused by the map itself.
                if field.message_type.fields_by_name["value"].message_type is not None:
                    _refuse_bytes(one)
        else:
            for one in [value] if isinstance(value, Message) else value:
                _refuse_bytes(one)


def stored_type_put(kind: Kind, message: Type) -> TypePut:
    """Return the record that a stored type's message was made from."""
    return type_put(
        kind,
        message,
        id=message.id,
        external_id=text_of(message, "external_id"),
        properties=property_types(message),
        base_type=kind.base_types.get(message.base_type),
    )


def property_types(message: Type) -> dict[str, str]:
    """Return a type's properties by the names of their types."""
    return {key: PROPERTY_TYPES[number] for key, number in sorted(message.properties.items())}


# Events --------------------------------------------------------------------------------------------------------------


def event_message(change: EventPut) -> pb.Event:
    """Return an event as a Get answers it."""
    message = pb.Event(
        artifact_id=change.artifact_id,
        execution_id=change.execution_id,
        type=EVENT_NUMBERS[change.type],
        milliseconds_since_epoch=change.time_ms,
    )
    for step in change.path:
        if isinstance(step, str):
            message.path.steps.add(key=step)
        else:
            message.path.steps.add(index=step)
    return message


def path_of(message: pb.Event) -> list[int | str]:
    """Return the steps of an event's path; steps without a value are dropped."""
    arms = ((step, step.WhichOneof("value")) for step in message.path.steps)
    return [text(getattr(step, arm)) for step, arm in arms if arm is not None]


# Bodies --------------------------------------------------------------------------------------------------------------


def framed(message: Any, tag: bytes = b"\x0a") -> bytes:
    """Return a message framed as a repeated field, field 1 unless `tag` says otherwise."""
    data = message.SerializeToString(deterministic=True)
    return tag + varint(len(data)) + data


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it, seven bits a byte, lowest first."""
    if number < 1 << 7:
        return bytes((number,))
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    if number < 1 << 21:
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    return bytes((number & 0x7F | 0x80,)) + varint(number >> 7)


def unframed(body: bytes) -> bytes:
    """Return the message's bytes in a body."""
    at = 1
    while body[at] & 0x80:
        at += 1
    return body[at + 1 :]


class Bodies:
    """What the face gives to the view: see `projections.sqlite.apply.Bodies`."""

    def type(self, change: TypePut) -> bytes:
        """Return a type, framed."""
        return framed(type_message(change))

    def node(self, change: NodePut, type_name: str) -> bytes:
        """Return a node, framed."""
        return framed(node_message(change, type_name))

    def event(self, change: EventPut) -> bytes:
        """Return an event, framed."""
        return framed(event_message(change))

    def type_of(self, kind: str, body: bytes) -> TypePut:
        """Return the record that a type was made from."""
        if kind not in KIND_NAMED:
            raise ValueError(f"a type is of no kind, but {kind!r}")
        return stored_type_put(KIND_NAMED[kind], _parsed(KIND_NAMED[kind].type_message, body))

    def node_of(self, kind: str, body: bytes) -> NodePut:
        """Return the record that a node was made from."""
        message = _parsed(KIND_NAMED[kind].message, body)
        try:
            return stored_put(KIND_NAMED[kind], message)
        except AttributeError as error:  # Of no field: that of a property which holds none.
            raise ValueError("a body has a property without a value") from error

    def event_of(self, event_id: int, body: bytes) -> EventPut:
        """Return the record that an event was made from."""
        message = _parsed(pb.Event, body)
        return EventPut(
            event_id,
            message.artifact_id,
            message.execution_id,
            EVENT_TYPES[message.type],
            message.milliseconds_since_epoch,
            path_of(message),
        )


def _parsed(form: type[Any], body: bytes) -> Any:
    """Return the message in a body. Raises ValueError for what is none."""
    try:
        return form.FromString(unframed(body))
    except (DecodeError, IndexError) as error:
        raise ValueError(f"a body is no {form.DESCRIPTOR.name}: {error}") from error
