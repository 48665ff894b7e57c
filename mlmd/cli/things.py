"""Nodes, types, events and records as rows: one code for artifacts, executions and contexts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from mlmd.changes import plain_change
from mlmd.cli.output import Row, rfc3339
from mlmd.cli.refusal import USAGE, Refusal
from mlmd.convert import properties_of, property_types, state_of, text_of
from mlmd.errors import InvalidArgumentError
from mlmd.kinds import ARTIFACT, EVENT_TYPES, EXECUTION, KIND_NAMED, Kind
from mlmd.names import SHORT
from mlmd.plain import plain
from mlmd.recorder.standing import why_tainted
from replay.things import provenance_of

if TYPE_CHECKING:
    from evlog.records import Entry
    from mlmd.display.tables import Table
    from mlmd.kinds import Node, Type
    from mlmd.store import MetadataStore
    from replay.things import Provenance, Thing

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


def thing_named(metadata: MetadataStore, text: str) -> Thing:
    """Return what a text names: art:2, taxi:7, taxi@prod, a URI, type:Trainer. Raises Refusal, NotFoundError."""
    from mlmd.recorder.references import thing_of  # noqa: PLC0415 - what is about records alone names them by number

    try:
        return thing_of(metadata, text)
    except InvalidArgumentError as error:
        raise Refusal(str(error), "evlog artifacts", USAGE) from None


def object_of(metadata: MetadataStore, text: str) -> tuple[Kind, int]:
    """Return kind and id of what names a node. Raises as `thing_named`."""
    kind, number = thing_named(metadata, text)
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


def table_rows(table: Table) -> list[Row]:
    """Return the rows of a table."""
    return [{name: cell(value) for name, value in row.items()} for row in table.records()]


def cell(value: Any) -> Any:
    """Return a value of a table as JSON can hold it: a time as RFC 3339 in UTC."""
    return rfc3339(int(value.timestamp() * 1000) * 1000) if isinstance(value, datetime) else plain(value)
