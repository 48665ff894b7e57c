"""Texts that are no UTF-8, in every text field of every request: nothing of them is stored, and nothing fails.

protobuf hands out `bytes` for a proto2 string that is no UTF-8, so each field that is forgotten would be a crash or a bad record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from raw import RawStore
from strategies import FIRST_CALLS

from mlmd import errors
from mlmd.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

pytestmark = pytest.mark.slow

MARK: Final = "@@@@"
SPOILED: Final = b"\xff\xfe\xc0z"  # As long as MARK, so that it can take its place in serialized bytes.

IGNORED: Final = {
    "tag",
    "type",
}  # What is never stored: the output-only name of a node's type, and the options of transactions.
LOOKED_UP: Final = {
    "uris",
    "external_ids",
    "type_name",
    "type_version",
    "artifact_name",
    "execution_name",
    "context_name",
}
UNIQUE: Final = {
    "artifacts": {"type_id": 10},
    "executions": {"type_id": 13},
    "contexts": {"type_id": 15, "name": "new"},
}


def text_fields(message: Any, above: list[FieldDescriptor], seen: tuple[str, ...]) -> Iterator[list[FieldDescriptor]]:
    """Yield the path to each text field; a message inside its own kind is entered once."""
    for field in message.fields:
        if field.type == field.TYPE_STRING:
            yield [*above, field]
        elif field.message_type and seen.count(field.message_type.full_name) < 2:
            yield from text_fields(field.message_type, [*above, field], (*seen, field.message_type.full_name))


def valid(name: str) -> Message:
    """Return a request that is answered with OK, or as near to it as a mere shape is."""
    request = METHODS[name].request()
    event = {"artifact_id": 2, "execution_id": 2, "type": 3}
    for field in request.DESCRIPTOR.fields_by_name:
        if field in UNIQUE:
            getattr(request, field).add(**UNIQUE[field])
        elif field == "execution":
            request.execution.type_id = 13
        elif field.endswith("_types") and name == "PutTypes":
            getattr(request, field).add(name="T")
        elif field.endswith("_type") and name.startswith("Put"):
            getattr(request, field).name = "T"
        elif field == "events":
            request.events.add(**event)
        elif field == "artifact_event_pairs":
            request.artifact_event_pairs.add(artifact={"type_id": 10}, event={"type": 3})
        elif field == "event_edges":
            request.event_edges.add(event=event)
        elif field == "context_id":
            request.context_id = 1
        elif field == "type_name":
            request.type_name = "Data"
    return request


def mark(message: Any, path: list[FieldDescriptor]) -> None:
    """Write MARK into the field at the end of a path."""
    field, *below = path
    target = getattr(message, field.name)
    if field.message_type and field.message_type.GetOptions().map_entry:
        mark_entry(target, *below)
    elif not below and hasattr(target, "append"):
        target.append(MARK)
    elif not below:
        setattr(message, field.name, MARK)
    elif hasattr(target, "add"):
        mark(target[0] if target else target.add(), below)
    else:
        target.SetInParent()
        mark(target, below)


def mark_entry(entries: Any, part: FieldDescriptor, *below: FieldDescriptor) -> None:
    if below:
        mark(entries["s"], list(below))
    elif part.name == "value":
        entries["s"] = MARK
    elif hasattr(entries, "get_or_create"):
        fill = entries[MARK]
        if "int_value" in fill.DESCRIPTOR.fields_by_name:
            fill.int_value = 1
        else:
            fill.SetInParent()
    else:
        entries[MARK] = 1


def answer(name: str, data: bytes) -> tuple[int, bool]:
    """Return the status of a request to a new store, and whether it wrote anything."""
    store = RawStore()
    for call in FIRST_CALLS:
        assert store.call(call.method, call.request.SerializeToString())[0] == errors.OK
    end = store.engine.log.end
    code, _, _ = store.call(name, data)
    wrote = store.engine.log.end > end
    store.close()
    return code, wrote


@pytest.mark.parametrize("name", sorted(METHODS))
def test_no_text_that_is_no_utf_8_is_stored_or_breaks_a_call(name):
    for path in text_fields(METHODS[name].request.DESCRIPTOR, [], ()):
        where = ".".join(field.name for field in path)
        request = valid(name)
        mark(request, path)
        data = request.SerializeToString()
        assert MARK.encode() in data, where
        usual, found = answer(name, data), answer(name, data.replace(MARK.encode(), SPOILED))
        if path[-1].name in IGNORED:
            assert found == usual, where
        elif path[-1].name in LOOKED_UP and name.startswith("Get"):
            assert found[0] in (errors.OK, errors.NOT_FOUND), where
        elif usual[0] == errors.UNIMPLEMENTED:  # Whatever it says.
            assert found in (usual, (errors.INVALID_ARGUMENT, False)), where
        else:
            assert found == (errors.INVALID_ARGUMENT, False), where
