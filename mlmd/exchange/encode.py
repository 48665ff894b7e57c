"""Messages -> rows of an MLMD database, schema version 10. What ML Metadata cannot hold is noted, and left out if it would poison reads."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
from google.protobuf import json_format

from mlmd.exchange.values import NULL_TEXT, STRUCT_PREFIX
from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlmd.exchange.sources import Row
    from mlmd.kinds import Node, Type
    from mlmd.proto import metadata_store_pb2 as pb

    Note = Callable[[str, str], None]
    """Told (what it is about, what is wrong)."""

_json: Final = msgspec.json.Encoder(order="sorted").encode
KIND_NUMBERS: Final = {EXECUTION.name: 0, ARTIFACT.name: 1, CONTEXT.name: 2}
_DIGITS: Final = 15  # Of a double, when ML Metadata reads it.

NAN: Final = "a NaN, for which a database has no number: left out"
SENTINEL: Final = f"the text {NULL_TEXT}, which makes ML Metadata fail: left out"
LOOKS_LIKE_STRUCT: Final = f"a text that begins with {STRUCT_PREFIX}, which ML Metadata takes for a struct: left out"
NO_TYPE_URL: Final = "a proto without type_url, which makes ML Metadata fail: left out"
DIGITS: Final = f"a double of which ML Metadata reads {_DIGITS} digits: written in full"
ZERO: Final = "a negative zero, which SQLite keeps as a zero: written so"
NUL: Final = "a text with a NUL, at which ML Metadata ends it: written in full"
NULL_FIELD: Final = f"the text {NULL_TEXT}, which ML Metadata reads as not set: written as it is"


def type_row(kind: Kind, message: Type, note: Note) -> Row:
    """Return a row of Type."""
    signatures: list[str | None] = [None, None]
    if kind is EXECUTION:
        signatures = [
            _json(json_format.MessageToDict(getattr(message, field))).decode() if message.HasField(field) else None
            for field in ("input_type", "output_type")
        ]
    texts = {field: _field(message, field, note) for field in ("name", "version", "description", "external_id")}
    return (
        message.id, texts["name"], texts["version"], KIND_NUMBERS[kind.name], texts["description"], *signatures, texts["external_id"],
    )  # fmt: skip


def node_row(kind: Kind, message: Node, note: Note) -> Row:
    """Return a row of Artifact, Execution or Context: id, type, uri of an artifact, state but of a context, name, external id, times."""
    own: list[Any] = []
    if kind is ARTIFACT:
        own.append(_text(message.uri, "uri", note))
    if kind.state_field:
        own.append(getattr(message, kind.state_field) if message.HasField(kind.state_field) else None)
    return (
        message.id,
        message.type_id,
        *own,
        _field(message, "name", note),
        _field(message, "external_id", note),
        message.create_time_since_epoch,
        message.last_update_time_since_epoch,
    )


def property_rows(message: Node, note: Note) -> Iterator[Row]:
    """Yield the rows of a node's properties: id, key, custom or not, int, double, string, byte, proto, bool."""
    maps: tuple[tuple[int, Mapping[str, pb.Value]], ...] = ((0, message.properties), (1, message.custom_properties))
    for is_custom, values in maps:
        for key in sorted(values):
            columns = _columns(values[key], f"property {key}", note)
            if columns is not None:
                yield (message.id, key, is_custom, *columns)


def _columns(value: pb.Value, about: str, note: Note) -> Row | None:
    """Return the columns int, double, string, byte, proto and bool; None where ML Metadata could not read them."""
    match value.WhichOneof("value"):
        case "int_value":
            return (value.int_value, None, None, None, None, None)
        case "double_value":
            return _double(value.double_value, about, note)
        case "string_value":
            return _string(value.string_value, about, note)
        case "struct_value":
            data = value.struct_value.SerializeToString(deterministic=True)
            return (None, None, STRUCT_PREFIX + base64.b64encode(data).decode(), None, None, None)
        case "proto_value":
            if not value.proto_value.type_url:
                note(about, NO_TYPE_URL)
                return None
            data = value.proto_value.SerializeToString(deterministic=True)
            return (None, None, None, None, base64.b64encode(data).decode(), None)
        case _:
            return (None, None, None, None, None, int(value.bool_value))


def _double(value: float, about: str, note: Note) -> Row | None:
    if math.isnan(value):
        note(about, NAN)
        return None
    if float(f"{value:.{_DIGITS}g}") != value:
        note(about, DIGITS)
    elif value == 0 and math.copysign(1, value) < 0:
        note(about, ZERO)
    return (None, value, None, None, None, None)


def _string(value: str, about: str, note: Note) -> Row | None:
    if value == NULL_TEXT or value.startswith(STRUCT_PREFIX):
        note(about, SENTINEL if value == NULL_TEXT else LOOKS_LIKE_STRUCT)
        return None
    return (None, None, _text(value, about, note), None, None, None)


def _field(message: Any, field: str, note: Note) -> str | None:
    return _text(getattr(message, field), field, note) if message.HasField(field) else None


def _text(text: str, about: str, note: Note) -> str:
    """Return a text as it is; note what ML Metadata makes of it."""
    if text == NULL_TEXT:
        note(about, NULL_FIELD)
    elif "\0" in text:
        note(about, NUL)
    return text


def path_rows(event_id: int, event: pb.Event) -> Iterator[Row]:
    """Yield the rows of an event's path."""
    for step in event.path.steps:
        is_index = step.HasField("index")
        yield (event_id, int(is_index), step.index if is_index else None, None if is_index else step.key)
