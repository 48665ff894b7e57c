"""Every invariant of a store that holds at all times, whatever was put."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlmd.convert import unframed
from mlmd.kinds import EVENT_TYPES, KINDS
from mlmd.opening import BODIES
from mlmd.proto import metadata_store_pb2 as pb
from replay.rebuild import build
from replay.verify import verify_log

if TYPE_CHECKING:
    import apsw

    from mlmd import MetadataStore
    from mlmd.engine import Engine
    from mlmd.kinds import Kind

DENSE: Final = ("type", "artifact", "execution", "context", "event", "parent_context")


def check_store(store: MetadataStore | Engine, *, imported: bool = False) -> None:
    """Fail unless log and view are sound, and say the same. imported: ids and times are another store's, in any order."""
    engine: Engine = getattr(store, "_backend", store)
    log, view = engine.log, engine.view
    assert view.watermark() == log.end == log.refresh()
    report = verify_log(log.folder)
    assert report.sound, report.findings
    assert report.records == log.end
    check_records(engine)
    fresh = build(log, None, BODIES, log.end)
    try:
        assert view.digest() == fresh.digest(), "the view differs from a replay"
        check_rows(fresh._connection, imported=imported)
    finally:
        fresh.close()


def check_records(engine: Engine) -> None:
    """Fail unless offsets are dense and times go up."""
    entries = list(engine.log.read(0))
    assert [entry.offset for entry in entries] == list(range(engine.log.end))
    times = [entry.time_us for entry in entries]
    assert times == sorted(set(times))


def check_rows(connection: apsw.Connection, *, imported: bool = False) -> None:
    """Fail unless the rows of a view agree with each other and with their bodies."""
    for table in () if imported else DENSE:
        ids = [row[0] for row in connection.execute(f"select id from {table} order by id")]
        assert ids == list(range(1, len(ids) + 1)), table
    types = {row["id"]: row for row in _rows(connection, "type")}
    for kind in KINDS:
        last_create_time = 0
        for row in _rows(connection, kind.name):
            check_node(kind, row, types[row["type_id"]], imported=imported)
            assert imported or last_create_time <= row["create_time"] <= row["update_time"]
            last_create_time = row["create_time"]
    for row in types.values():
        check_type(row)
    for row in _rows(connection, "event"):
        check_event(row)
    orphans = connection.execute("""
        select 'event', id from event where artifact_id not in (select id from artifact)
            or execution_id not in (select id from execution)
        union all select 'attribution', context_id from attribution where artifact_id not in (select id from artifact)
            or context_id not in (select id from context)
        union all select 'association', context_id from association where execution_id not in (select id from execution)
            or context_id not in (select id from context)
        union all select 'parent', id from parent_context where parent_id not in (select id from context)
            or child_id not in (select id from context)""").fetchall()
    assert not orphans


def _rows(connection: apsw.Connection, table: str) -> list[dict[str, Any]]:
    columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
    shown = ", ".join(f"json({name}) as {name}" if name.endswith("properties") else name for name in columns)
    return [
        dict(zip(columns, row, strict=True)) for row in connection.execute(f"select {shown} from {table} order by id")
    ]


def check_node(kind: Kind, row: dict[str, Any], row_of_type: dict[str, Any], *, imported: bool = False) -> None:
    """Fail unless the columns of a node say what its body says. imported: it may have what its type does not declare."""
    node = kind.message.FromString(unframed(row["body"]))
    assert row_of_type["kind"] == kind.name
    assert (node.id, node.type_id, node.type) == (row["id"], row["type_id"], row_of_type["name"])
    assert (node.create_time_since_epoch, node.last_update_time_since_epoch) == (row["create_time"], row["update_time"])
    for field in ("name", "external_id", "uri"):
        if field in row:
            assert (getattr(node, field) if node.HasField(field) else None) == row[field], field
    if kind.state_field:
        state = kind.states[getattr(node, kind.state_field)] if node.HasField(kind.state_field) else None
        assert state == row["state"]
    declared = json.loads(row_of_type["properties"])
    assert imported or set(node.properties) <= set(declared)
    for field in ("properties", "custom_properties"):
        shown = json.loads(row[field]) if row[field] is not None else {}
        assert set(getattr(node, field)) == set(shown), field
        for key, value in getattr(node, field).items():
            if value.WhichOneof("value") in ("int_value", "bool_value"):
                assert shown[key] == getattr(value, value.WhichOneof("value"))


def check_type(row: dict[str, Any]) -> None:
    """Fail unless the columns of a type say what its body says."""
    (kind,) = [kind for kind in KINDS if kind.name == row["kind"]]
    message = kind.type_message.FromString(unframed(row["body"]))
    assert (message.id, message.name, message.version) == (row["id"], row["name"], row["version"])
    for field in ("external_id", "description"):
        assert (getattr(message, field) if message.HasField(field) else None) == row[field]
    assert kind.base_types.get(message.base_type) == row["base_type"]
    properties = {key: pb.PropertyType.Name(number) for key, number in message.properties.items()}
    assert properties == json.loads(row["properties"])


def check_event(row: dict[str, Any]) -> None:
    """Fail unless the columns of an event say what its body says."""
    event = pb.Event.FromString(unframed(row["body"]))
    assert (event.artifact_id, event.execution_id) == (row["artifact_id"], row["execution_id"])
    assert (EVENT_TYPES[event.type], event.milliseconds_since_epoch) == (row["type"], row["time"])
    assert row["is_output"] == (event.type in (1, 4, 6, 7))
