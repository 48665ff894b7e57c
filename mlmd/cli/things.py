"""Nodes, types, events and records as rows: one code for artifacts, executions and contexts."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from evlog.records import (
    AssociationPut,
    AttributionPut,
    Erased,
    EventPut,
    ForeignRowKept,
    LogRecovered,
    LossAccepted,
    NodePut,
    ParentContextPut,
    PersonalDeclared,
    Repaired,
    Restored,
    TokenAdded,
    TokenRemoved,
    TypePut,
)
from mlmd import names
from mlmd.cli.output import Row, in_words, rfc3339
from mlmd.cli.refusal import USAGE, Refusal
from mlmd.convert import properties_of, property_types, state_of, text_of
from mlmd.errors import InvalidArgumentError
from mlmd.kinds import ARTIFACT, EVENT_TYPES, EXECUTION, KIND_NAMED, Kind
from mlmd.names import SHORT
from mlmd.plain import plain
from mlmd.recorder.standing import why_tainted
from replay.things import kind_of, provenance_of

if TYPE_CHECKING:
    from evlog.records import Change, Entry
    from mlmd.display.tables import Table
    from mlmd.kinds import Node, Type
    from mlmd.store import MetadataStore
    from replay.things import Difference, FieldChange, Provenance, Thing

RECORD_FIELDS: Final = (
    "offset",
    "time",
    "actor",
    "auth",
    "application",
    "host",
    "api",
    "reason",
    "transaction",
    "actor_key",
)
_VALUE_MAX: Final = 40
_UNSET: Final = "unset"


def parse_named(text: str) -> Thing:
    """Return what a name such as art:2 or type:Trainer names. Raises Refusal."""
    try:
        return names.parse(text)
    except ValueError as error:
        raise Refusal(str(error), "evlog artifacts", USAGE) from None


def object_of(metadata: MetadataStore, text: str) -> tuple[Kind, int]:
    """Return kind and id of what names a node: art:2, taxi:7, taxi@prod, a URI. Raises Refusal, NotFoundError."""
    from mlmd.recorder.references import thing_of  # noqa: PLC0415 - what is about records alone names them by number

    try:
        kind, number = thing_of(metadata, text)
    except InvalidArgumentError as error:
        raise Refusal(str(error), "evlog artifacts", USAGE) from None
    found = KIND_NAMED.get(kind)
    if found is None:
        raise Refusal(f"{text}: a type; name an artifact, a run or a context, such as art:2", "evlog artifacts", USAGE)
    return found, int(number)


def node_row(kind: Kind, node: Node) -> Row:
    """Return a node as a row."""
    row: Row = {"id": node.id, "type": node.type, "name": text_of(node, "name")}
    if kind.state_field:
        row["state"] = state_of(kind, node)
        row["tainted"] = why_tainted(node) or None
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
    return provenance_row(provenance_of(entry)) | {"changes": [plain_change(change) for change in entry.record.changes]}


def provenance_row(by: Provenance) -> Row:
    """Return who put a record, when, through what and why, as a row."""
    time, transaction = rfc3339(by.time_us), by.transaction.hex()
    said = (by.offset, time, by.actor, by.auth, by.application, by.host, by.api, by.reason, transaction, by.actor_key)
    return dict(zip(RECORD_FIELDS, said, strict=True))


def plain_change(change: Change) -> Any:
    """Return a change in full as JSON can hold it."""
    return plain(msgspec.to_builtins(change, builtin_types=(bytes, msgspec.msgpack.Ext)))


def difference_row(one: Difference) -> Row:
    """Return what became of a thing as a row: `old` and `new` of each field are null where it was not set."""
    return {
        "what": one.what,
        "kind": str(one.after.__struct_config__.tag),
        "thing": thing_in_short(one.after),
        "fields": [
            {"field": change.field, "old": plain(change.old), "new": plain(change.new)} for change in one.fields
        ],
    }


def difference_in_words(one: Difference) -> list[str]:
    """Return what became of a thing in a few words for each field that changed; at least in one word."""
    if one.what == "linked":
        return [thing_in_short(one.after)]
    if one.what == "added":
        return [f"added {_short(one.after)}"]
    return [field_in_words(change) for change in one.fields] or ["put again, as it was"]


def field_in_words(change: FieldChange) -> str:
    """Return what became of a field in a few words."""
    old, new = _in_words(change.old), _in_words(change.new)
    if old == new:  # 1 and "1" and 1.0: the words hide what differs.
        old, new = json.dumps(plain(change.old)), json.dumps(plain(change.new))
    return f"{change.field} {_cut(old)} → {_cut(new)}"


def _in_words(value: Any) -> str:
    return _UNSET if value is None else in_words("", plain(value)) if value not in ("", [], {}) else json.dumps(value)


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE_MAX else text[: _VALUE_MAX - 1] + "…"


def in_short(changes: list[Change]) -> str:
    """Return what changes say in a few words."""
    shown = 3
    words = [_short(change) for change in changes[:shown]]
    if len(changes) > shown:
        words.append(f"and {len(changes) - shown:,} more")
    return ", ".join(words)


def _short(change: Change) -> str:
    """Return what a change says in a few words: the thing, and of a node its name and state."""
    said = (getattr(change, "name", None), getattr(change, "state", None)) if isinstance(change, NodePut) else ()
    return " ".join(filter(None, (thing_in_short(change), *said)))


def thing_in_short(change: Change) -> str:
    """Return what a change is about: a thing's name, or the two that it links."""
    if isinstance(change, TypePut):
        return names.name_of((names.TYPE, change.name))
    if isinstance(change, NodePut):
        return names.name_of((kind_of(change), change.id))
    if isinstance(change, EventPut):
        arrow = "◀" if change.type.endswith("INPUT") else "▶"
        return f"run:{change.execution_id} {arrow} art:{change.artifact_id}"
    if isinstance(change, AttributionPut):
        return f"art:{change.artifact_id} in ctx:{change.context_id}"
    if isinstance(change, AssociationPut):
        return f"run:{change.execution_id} in ctx:{change.context_id}"
    if isinstance(change, ParentContextPut):
        return f"ctx:{change.child_id} in ctx:{change.parent_id}"
    if isinstance(change, ForeignRowKept):
        return f"kept a row of {change.table}: {change.why}"
    if isinstance(change, Restored):
        return f"restored the first {change.end:,} records from a backup"
    if isinstance(change, Repaired):
        return f"repaired {', '.join(one.file for one in change.mended)}"
    if isinstance(change, LossAccepted):
        return f"accepted the loss of {change.known - change.end:,} records from #{change.end:,} on"
    if isinstance(change, PersonalDeclared):
        return f"declared personal: {', '.join(rule.property for rule in change.rules) or 'nothing'}"
    if isinstance(change, Erased):
        return f"erased {change.subject or 'lost keys'}"
    if isinstance(change, TokenAdded):
        return f"added the token {change.name}, {change.role}"
    if isinstance(change, TokenRemoved):
        return f"removed the token {change.name}"
    assert isinstance(change, LogRecovered), "all others stand above"
    return f"cut {change.size:,} bytes off {change.segment}"


def table_rows(table: Table) -> list[Row]:
    """Return the rows of a table."""
    return [{name: cell(value) for name, value in row.items()} for row in table.records()]


def cell(value: Any) -> Any:
    """Return a value of a table as JSON can hold it: a time as RFC 3339 in UTC."""
    return rfc3339(int(value.timestamp() * 1000) * 1000) if isinstance(value, datetime) else plain(value)
