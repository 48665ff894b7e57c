"""Artifacts, executions and contexts differ in a few fields only: one table, so that nothing is written three times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from evlog.records import (
    ArtifactPut,
    ArtifactTypePut,
    ContextPut,
    ContextTypePut,
    ExecutionPut,
    ExecutionTypePut,
    NodePut,
    TypePut,
)
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from projections.query import Kind as KindName

# A message of the kind at hand: protobuf's classes share no static type that knows the fields.
Node: TypeAlias = Any
Type: TypeAlias = Any


class Kind(NamedTuple):
    """One kind of node and of type."""

    name: KindName
    plural: str
    message: type[Any]
    type_message: type[Any]
    put: type[NodePut]
    type_put: type[TypePut]
    state_field: str | None
    states: Mapping[int, str]
    state_numbers: Mapping[str, int]
    base_types: Mapping[int, str]  # Enum number -> name of the system type; 0, UNSET, is no type.


def _states(enum: Any) -> dict[int, str]:
    return {number: name for name, number in enum.items()}


def _base_types(message: Any) -> dict[int, str]:
    # MLMD names the system type behind an enum value, DATASET say, mlmd.Dataset.
    return {number: f"mlmd.{name.capitalize()}" for name, number in message.SystemDefinedBaseType.items() if number}


ARTIFACT: Final = Kind(
    "artifact",
    "artifacts",
    pb.Artifact,
    pb.ArtifactType,
    ArtifactPut,
    ArtifactTypePut,
    "state",
    _states(pb.Artifact.State),
    dict(pb.Artifact.State.items()),
    _base_types(pb.ArtifactType),
)
EXECUTION: Final = Kind(
    "execution",
    "executions",
    pb.Execution,
    pb.ExecutionType,
    ExecutionPut,
    ExecutionTypePut,
    "last_known_state",
    _states(pb.Execution.State),
    dict(pb.Execution.State.items()),
    _base_types(pb.ExecutionType),
)
CONTEXT: Final = Kind(
    "context",
    "contexts",
    pb.Context,
    pb.ContextType,
    ContextPut,
    ContextTypePut,
    None,
    {},
    {},
    _base_types(pb.ContextType),
)
KINDS: Final = (ARTIFACT, EXECUTION, CONTEXT)
KIND_NAMED: Final[dict[str, Kind]] = {kind.name: kind for kind in KINDS}

# The nine types that every store holds from the start, in the order of their ids.
SYSTEM_TYPES: Final = [(kind, name) for kind in KINDS for _, name in sorted(kind.base_types.items())]
SYSTEM_TYPE_NAMES: Final = frozenset(name for _, name in SYSTEM_TYPES)

EVENT_TYPES: Final = _states(pb.Event.Type)
UNKNOWN: Final = "UNKNOWN"  # What a type of a property or an event is called that was not set.
INPUTS: Final = frozenset({pb.Event.INPUT, pb.Event.DECLARED_INPUT, pb.Event.INTERNAL_INPUT})
OUTPUTS: Final = frozenset(
    {pb.Event.OUTPUT, pb.Event.DECLARED_OUTPUT, pb.Event.INTERNAL_OUTPUT, pb.Event.PENDING_OUTPUT}
)
EVENT_NUMBERS: Final = dict(pb.Event.Type.items())
PROPERTY_TYPES: Final = _states(pb.PropertyType)
ENDED: Final = frozenset({"COMPLETE", "FAILED", "CANCELED", "CACHED"})  # States of an execution that is over.
