"""A change of a record, in a few words or in full: for the command, for cards, for whatever shows what was put."""

from __future__ import annotations

import json
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
from mlmd.display.cells import apart, as_listed
from mlmd.plain import plain
from replay.things import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.records import Change
    from replay.things import Difference, FieldChange

_VALUE_MAX: Final = 40
_UNSET: Final = "unset"
UNCHANGED: Final = "put again, no field that can be read differs"  # What was erased may.


def plain_change(change: Change) -> Any:
    """Return a change in full as JSON can hold it."""
    return plain(msgspec.to_builtins(change, builtin_types=(bytes, msgspec.msgpack.Ext)))


def difference_row(one: Difference) -> dict[str, Any]:
    """Return what became of a thing as JSON holds it: `old` and `new` of each field are null where it was not set."""
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
        return [f"added {change_in_short(one.after)}"]
    return [field_in_words(change) for change in one.fields] or [UNCHANGED]


def field_in_words(change: FieldChange) -> str:
    """Return what became of a field in a few words."""
    old, new = _in_words(change.old), _in_words(change.new)
    if old == new:  # 1 and "1" and 1.0: the words hide what differs.
        old, new = json.dumps(plain(change.old)), json.dumps(plain(change.new))
    old, new = apart([old, new], _VALUE_MAX)
    return f"{change.field} {old} → {new}"


def _in_words(value: Any) -> str:
    return _UNSET if value is None else as_listed(plain(value)) if value not in ("", [], {}) else json.dumps(value)


def in_short(changes: Sequence[Change]) -> str:
    """Return what changes say in a few words."""
    shown = 3
    words = [change_in_short(change) for change in changes[:shown]]
    if len(changes) > shown:
        words.append(f"and {len(changes) - shown:,} more")
    return ", ".join(words)


def change_in_short(change: Change) -> str:
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
