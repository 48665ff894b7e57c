"""The state of a store as two digests that any view of it gives, whatever its tables: docs/format.md says how they are computed.

Each row has one canonical form, in MessagePack. The state is the sum of an expanded hash of each row that holds, so the order of rows
plays no part and a row can be taken out again; the history is that of each version that was replaced, with the offset at which it was.
256 bytes, because in a sum of 32 an attacker could look for other rows with the same one.
"""

from __future__ import annotations

import math
from base64 import b64encode
from hashlib import sha256, shake_256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from evlog.records import (
    ArtifactPut,
    ArtifactTypePut,
    AssociationPut,
    AttributionPut,
    ContextPut,
    ContextTypePut,
    EventPut,
    ExecutionPut,
    ExecutionTypePut,
    NodePut,
    ParentContextPut,
    Proto,
    Struct,
    TypePut,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evlog.records import Change

TABLES: Final = (
    "types",
    "artifacts",
    "executions",
    "contexts",
    "events",
    "attributions",
    "associations",
    "parent_contexts",
)
VERSIONED: Final = TABLES[:4]
TIME_MS_MAX: Final = 9_223_372_000_000_000  # What lies beyond counts as one time, after all others, and so before them.
_LATE, _EARLY = (1 << 63) - 1, -(1 << 63)
_SUM_BYTES: Final = 256
_MODULUS: Final = 1 << 8 * _SUM_BYTES
_U64_BYTES: Final = 8
_encode: Final = msgspec.msgpack.Encoder(order="deterministic").encode
TYPE_KINDS: Final[dict[type, str]] = {
    ArtifactTypePut: "artifact",
    ExecutionTypePut: "execution",
    ContextTypePut: "context",
}
_TABLE: Final[dict[type, str]] = {
    **dict.fromkeys(TYPE_KINDS, "types"),
    ArtifactPut: "artifacts",
    ExecutionPut: "executions",
    ContextPut: "contexts",
    EventPut: "events",
    AttributionPut: "attributions",
    AssociationPut: "associations",
    ParentContextPut: "parent_contexts",
}
_OWN: Final = {"artifacts": ("uri", "state"), "executions": ("state",), "contexts": ()}
_PLAIN: Final = frozenset({int, str, bool})


class Row(NamedTuple):
    """A row of one table: the hash of its canonical form."""

    table: str
    hash: bytes


class State:
    """What holds at an offset, and what held before it, as sums. Grows a row at a time, in any order."""

    __slots__ = ("_holds", "_replaced")

    def __init__(self) -> None:
        self._holds = dict.fromkeys(TABLES, 0)
        self._replaced = dict.fromkeys(VERSIONED, 0)

    def add(self, row: Row) -> None:
        """Take in a row that holds."""
        self._holds[row.table] += _expanded(row.hash)

    def end(self, row: Row, until: int) -> None:
        """Take in a version that the record at an offset replaced."""
        self._replaced[row.table] += _expanded(row.hash + until.to_bytes(_U64_BYTES, "little"))

    def remove(self, row: Row) -> None:
        """Take out a row that was added."""
        self._holds[row.table] -= _expanded(row.hash)

    def copy(self) -> State:
        """Return a state that grows apart from this one."""
        twin = State()
        twin._holds, twin._replaced = self._holds.copy(), self._replaced.copy()
        return twin

    @property
    def digest(self) -> str:
        """Return the digest of what holds, 64 hexadecimal digits."""
        return _digest(self._holds)

    @property
    def history(self) -> str:
        """Return the digest of the versions that were replaced."""
        return _digest(self._replaced)

    def differing(self, other: State) -> list[str]:
        """Return the tables in which two states differ, now or in what was replaced."""
        return [
            table
            for table in TABLES
            if (self._holds[table] - other._holds[table]) % _MODULUS
            or (self._replaced.get(table, 0) - other._replaced.get(table, 0)) % _MODULUS
        ]


def _expanded(data: bytes) -> int:
    return int.from_bytes(shake_256(data).digest(_SUM_BYTES), "little")


def _digest(sums: Mapping[str, int]) -> str:
    return sha256(b"".join((one % _MODULUS).to_bytes(_SUM_BYTES, "little") for one in sums.values())).hexdigest()


# Rows -----------------------------------------------------------------------------------------------------------------


def row(table: str, *fields: Any) -> Row:
    """Return the row with these fields, plain values in the order of docs/format.md."""
    return Row(table, sha256(_encode((table, *fields))).digest())


def row_of(change: Change | TypePut | NodePut, since: int) -> Row | None:
    """Return the row that a change puts, None for a remark, which puts none. since: the offset of its record."""
    table = _TABLE.get(change.__class__)
    if table is None:
        return None
    match change:
        case NodePut():
            own = [getattr(change, name) for name in _OWN[table]]
            times = (clipped(change.create_time_ms), clipped(change.update_time_ms))
            maps = (canonical(change.properties), canonical(change.custom_properties))
            return row(table, change.id, change.type_id, change.name, change.external_id, *own, *times, *maps, since)
        case TypePut():
            about = (change.name, change.version or "", change.description, change.external_id, change.base_type)
            forms = (
                (canonical(change.input_type), canonical(change.output_type))
                if isinstance(change, ExecutionTypePut)
                else (None, None)
            )
            return row(table, change.id, TYPE_KINDS[change.__class__], *about, change.properties, *forms, since)
        case EventPut():
            ends = (change.artifact_id, change.execution_id)
            return row(table, change.id, *ends, change.type, change.time_ms, change.path, since)
    return row(table, *(getattr(change, name) for name in change.__struct_fields__), since)


def clipped(time_ms: int) -> int:
    """Return a time, one beyond every calendar as the last or first there is."""
    if -TIME_MS_MAX <= time_ms <= TIME_MS_MAX:
        return time_ms
    return _LATE if time_ms > 0 else _EARLY


def canonical(value: Any) -> Any:
    """Return a value in plain form: a struct is a map, a proto [type url, base64]; one NaN stands for all, nil for no value."""
    if isinstance(value, float):
        return value if value == value else math.nan  # noqa: PLR0124 - what NaN is not
    if isinstance(value, dict):
        return {key: item if item.__class__ in _PLAIN else canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, Struct):
        return canonical(value.fields)
    if isinstance(value, Proto):
        return [value.type_url, b64encode(value.value).decode()]
    return None if isinstance(value, msgspec.msgpack.Ext) else value
