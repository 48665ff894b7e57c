"""Nodes, types, events and records as rows: one code for artifacts, executions and contexts."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from evlog.records import (
    AssociationPut,
    AttributionPut,
    EventPut,
    ForeignRowKept,
    LogRecovered,
    NodePut,
    ParentContextPut,
    Proto,
    Struct,
    TypePut,
)
from mlmd.cli.output import Row, rfc3339
from mlmd.cli.refusal import Refusal
from mlmd.convert import properties_of, property_types, state_of, text_of
from mlmd.kinds import ARTIFACT, CONTEXT, EVENT_TYPES, EXECUTION, Kind

if TYPE_CHECKING:
    from evlog.records import Change, Entry
    from mlmd.kinds import Node, Type

SHORT: Final = {"artifact": "art", "execution": "run", "context": "ctx"}
_KINDS: Final = {
    "art": ARTIFACT,
    "artifact": ARTIFACT,
    "run": EXECUTION,
    "execution": EXECUTION,
    "ctx": CONTEXT,
    "context": CONTEXT,
}

_ID_MAX: Final = 2**63 - 1
Named = tuple[str, int | str]
"""A thing: (kind, id), or ("type", name)."""


def parse_named(text: str) -> Named:
    """Return what a name such as art:2 or type:Trainer names. Raises Refusal."""
    if text.startswith("type:"):
        return ("type", text.removeprefix("type:"))
    kind, number = parse_object(text)
    return (kind.name, number)


def parse_object(text: str) -> tuple[Kind, int]:
    """Return kind and id of a name such as art:2. Raises Refusal."""
    word, _, number = text.partition(":")
    kind = _KINDS.get(word)
    if kind is None or not number.isdecimal() or int(number) > _ID_MAX:
        raise Refusal(f"{text!r} names nothing: write art:ID, run:ID, ctx:ID or type:NAME", "evlog artifacts", 2)
    return kind, int(number)


def node_row(kind: Kind, node: Node) -> Row:
    """Return a node as a row."""
    row: Row = {"id": node.id, "type": node.type, "name": text_of(node, "name")}
    if kind.state_field:
        row["state"] = state_of(kind, node)
    if kind is ARTIFACT:
        row["uri"] = node.uri
    row["external_id"] = text_of(node, "external_id")
    row["properties"] = {key: plain(value) for key, value in sorted(properties_of(node.properties).items())}
    row["custom_properties"] = {
        key: plain(value) for key, value in sorted(properties_of(node.custom_properties).items())
    }
    row["created"] = rfc3339(node.create_time_since_epoch * 1000)
    row["updated"] = rfc3339(node.last_update_time_since_epoch * 1000)
    return row


def type_row(kind: Kind, message: Type) -> Row:
    """Return a type as a row."""
    return {
        "id": message.id,
        "kind": kind.name,
        "name": message.name,
        "version": text_of(message, "version"),
        "base_type": kind.base_types.get(message.base_type),
        "external_id": text_of(message, "external_id"),
        "description": text_of(message, "description"),
        "properties": dict(sorted(property_types(message).items())),
    }


def event_row(event: Any, other: Kind) -> Row:
    """Return an event as a row; other: the kind at the far end."""
    far = event.execution_id if other is EXECUTION else event.artifact_id
    return {
        "event": EVENT_TYPES[event.type],
        other.name: f"{SHORT[other.name]}:{far}",
        "time": rfc3339(event.milliseconds_since_epoch * 1000),
    }


def record_row(entry: Entry) -> Row:
    """Return a record as a row, its changes in full."""
    envelope = entry.record.envelope
    return {
        "offset": entry.offset,
        "time": rfc3339(entry.time_us),
        "actor": envelope.actor,
        "auth": envelope.auth,
        "application": envelope.application,
        "host": envelope.host,
        "api": envelope.api,
        "reason": envelope.reason,
        "transaction": envelope.transaction.hex(),
        "changes": [
            plain(msgspec.to_builtins(change, builtin_types=(bytes, msgspec.msgpack.Ext)))
            for change in entry.record.changes
        ],
    }


def in_short(changes: list[Change]) -> str:
    """Return what changes say in a few words."""
    shown = 3
    words = [_short(change) for change in changes[:shown]]
    if len(changes) > shown:
        words.append(f"and {len(changes) - shown:,} more")
    return ", ".join(words)


def names_of(change: Change) -> set[Named]:
    """Return the things that a change is about."""
    if isinstance(change, TypePut):
        return {("type", change.name)}
    kind = type(change).__name__.removesuffix("Put").lower()
    if isinstance(change, NodePut):
        return {(kind, change.id)}
    if isinstance(change, EventPut):
        return {("artifact", change.artifact_id), ("execution", change.execution_id)}
    if isinstance(change, AttributionPut):
        return {("context", change.context_id), ("artifact", change.artifact_id)}
    if isinstance(change, AssociationPut):
        return {("context", change.context_id), ("execution", change.execution_id)}
    if isinstance(change, ParentContextPut):
        return {("context", change.parent_id), ("context", change.child_id)}
    return set()


def _short(change: Change) -> str:
    if isinstance(change, TypePut):
        return f"type:{change.name}"
    if isinstance(change, NodePut):
        kind = type(change).__name__.removesuffix("Put").lower()
        state = getattr(change, "state", None)
        return " ".join(filter(None, (f"{SHORT[kind]}:{change.id}", change.name, state)))
    if isinstance(change, EventPut):
        arrow = "◀" if change.type.endswith("INPUT") else "▶"
        return f"run:{change.execution_id} {arrow} art:{change.artifact_id}"
    if isinstance(change, LogRecovered):
        return f"cut {change.size:,} bytes off {change.segment}"
    if isinstance(change, ForeignRowKept):
        return f"kept a row of {change.table}: {change.why}"
    ends = sorted(names_of(change), key=lambda end: end[0] == "context")
    return " in ".join(f"{SHORT[kind]}:{number}" for kind, number in ends)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what JSON has no number for becomes its name."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Struct):
        return plain(value.fields)
    if isinstance(value, Proto):
        return {"type_url": value.type_url, "value": plain(value.value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if isinstance(value, msgspec.msgpack.Ext) else value
