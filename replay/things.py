"""What records say of one thing: which thing it is, its fields by name, and how two states of it differ. Plain data, no look-ups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from sys import intern
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from evlog import actors
from evlog.records import (
    REMARKS,
    AssociationPut,
    AttributionPut,
    Change,
    EventPut,
    NodePut,
    ParentContextPut,
    TypePut,
)

if TYPE_CHECKING:
    from evlog.records import Entry

Thing = tuple[str, int | str]
"""A node, as (kind, id), or all types of a name, as ("type", name)."""
Key = tuple[Any, ...]
"""Names one row of the store: what a change puts, and the id or ids under which it does."""

_encode: Final = msgspec.msgpack.Encoder(order="deterministic").encode
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAPS: Final = ("properties", "custom_properties")
# Not fields that anyone sets: a name for the row, and the clock. Every put moves the time of update, whatever else it says.
_SETTLED: Final = frozenset({"id", "type_id", "create_time_ms", "update_time_ms"})
# The view's table of each kind of change that puts a row. Looked up for every change of the log, which is why it is kept.
_TABLES: Final[dict[type, str]] = {
    one: "type" if issubclass(one, TypePut) else one.__struct_config__.tag
    for one in get_args(Change)
    if not issubclass(one, REMARKS)
}


class Provenance(msgspec.Struct, frozen=True, gc=False):
    """The record that put something: its place in the log, when, who, through what, why. See `evlog.records.Envelope`."""

    offset: int
    time_us: int
    actor: str
    auth: str
    application: str
    host: str
    api: str
    reason: str | None
    transaction: bytes
    actor_key: str | None

    @property
    def time(self) -> datetime:
        """Return when it was put, in UTC."""
        return _EPOCH + timedelta(microseconds=self.time_us)


class FieldChange(msgspec.Struct, frozen=True, gc=False):
    """One field, before and after; None where it was not set. field: a name, or properties.NAME, custom_properties.NAME."""

    field: str
    old: Any
    new: Any


class Difference(msgspec.Struct, frozen=True, gc=False):
    """What became of one thing. before: None where it was not there; by: the record that put it as it is after."""

    before: TypePut | NodePut | None
    after: Change
    by: Provenance

    @property
    def what(self) -> str:
        """Return "added" or "changed" of a type or node; "linked" of an event or link, which is never changed."""
        if not isinstance(self.after, TypePut | NodePut):
            return "linked"
        return "added" if self.before is None else "changed"

    @property
    def fields(self) -> list[FieldChange]:
        """Return the fields that differ, those of a new thing all; times of creation and update are none."""
        new = fields_of(self.after)
        if self.before is None:
            return [FieldChange(name, None, value) for name, value in new.items()]
        old = fields_of(self.before)
        return [
            FieldChange(name, old.get(name), new.get(name))
            for name in (*new, *(gone for gone in old if gone not in new))
            if name not in old or name not in new or not same(old[name], new[name])
        ]


def provenance_of(entry: Entry) -> Provenance:
    """Return who put a record, when, through what and why. What many records say alike is held once."""
    said = entry.record.envelope
    return Provenance(
        entry.offset,
        entry.time_us,
        intern(said.actor),
        intern(said.auth),
        intern(said.application),
        intern(said.host),
        intern(said.api),
        said.reason,
        said.transaction,
        actors.signer_of(said),
    )


def same(left: Any, right: Any) -> bool:
    """Tell whether two values, or mappings of such, are one: of the same type and bits.

    Python holds 1, 1.0 and True equal, 0.0 and -0.0 too, and no NaN equal to itself.
    """
    return _encode(left) == _encode(right)


def fields_of(change: Change | TypePut | NodePut) -> dict[str, Any]:
    """Return the fields of a state that are set, properties each for itself; without ids of its own and times of the clock."""
    found: dict[str, Any] = {}
    for name in change.__struct_fields__:
        value = getattr(change, name)
        if name in _MAPS:
            found |= {f"{name}.{key}": value[key] for key in sorted(value)}
        elif name not in _SETTLED and value is not None and not (name == "uri" and not value):
            found[name] = value
    return found


def kind_of(change: Change | TypePut | NodePut) -> str:
    """Return the view's table of what a change puts: type, artifact, execution, context, event, attribution, ..."""
    return _TABLES[type(change)]


def puts_a_row(change: Change) -> bool:
    """Tell whether a change is about the store: not a fact about the log, and nothing that an import merely kept."""
    return type(change) in _TABLES


def key_of(change: Change | TypePut | NodePut) -> Key:
    """Return the row that a change puts; one of which `puts_a_row` is true."""
    if isinstance(change, AttributionPut):
        return ("attribution", change.context_id, change.artifact_id)
    if isinstance(change, AssociationPut):
        return ("association", change.context_id, change.execution_id)
    return (_TABLES[type(change)], change.id)  # type: ignore[union-attr] # a remark has no table


def things_of(change: Change) -> set[Thing]:
    """Return the things that a change is about."""
    if isinstance(change, TypePut):
        return {("type", change.name)}
    if isinstance(change, NodePut):
        return {(kind_of(change), change.id)}
    if isinstance(change, EventPut):
        return {("artifact", change.artifact_id), ("execution", change.execution_id)}
    if isinstance(change, AttributionPut):
        return {("context", change.context_id), ("artifact", change.artifact_id)}
    if isinstance(change, AssociationPut):
        return {("context", change.context_id), ("execution", change.execution_id)}
    if isinstance(change, ParentContextPut):
        return {("context", change.parent_id), ("context", change.child_id)}
    return set()
