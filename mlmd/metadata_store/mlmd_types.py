"""System types: the types every store holds from the start, to be named as the base of one's own.

    metadata_store_pb2.ArtifactType(name="Classifier", base_type=mlmd_types.Model().system_type)

None of this needs a store. The names stand in the wire contract, as an option on each value of the enums
ArtifactType.SystemDefinedBaseType and ExecutionType.SystemDefinedBaseType.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from google.protobuf import descriptor_pb2

from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.descriptor import EnumDescriptor

_Number = TypeVar("_Number", bound=int)
_ArtifactBase = pb.ArtifactType.SystemDefinedBaseType
_ExecutionBase = pb.ExecutionType.SystemDefinedBaseType


class _SystemType(Generic[_Number]):
    """One value of a SystemDefinedBaseType enum, with the name of the type behind it."""

    def __init__(self, enum: EnumDescriptor, system_type: _Number) -> None:
        self._name = _type_name(enum, system_type)
        self._system_type = system_type

    @property
    def name(self) -> str:
        """Name of the type in the store, such as `mlmd.Model`."""
        return self._name

    @property
    def system_type(self) -> _Number:
        """Number of the enum value, to be given as `base_type`."""
        return self._system_type


def _type_name(enum: EnumDescriptor, number: int) -> str:
    """Return the type name behind an enum value.

    Raises KeyError if the enum has no such value, NotFoundError for UNSET, which stands for no type.
    """
    # Protobuf in pure Python parsed these options before it knew our extension, so they are parsed once more.
    parsed = descriptor_pb2.EnumValueOptions.FromString(enum.values_by_number[number].GetOptions().SerializeToString())
    name = parsed.Extensions[pb.system_type_extension].type_name
    if name.startswith("unset_"):
        raise errors.NotFoundError(f"Type name: {name} is not found")
    return name


class ArtifactType(_SystemType[_ArtifactBase.ValueType]):
    """A system type of artifacts. Raises KeyError for a number outside the enum, NotFoundError for UNSET."""

    def __init__(self, system_type: _ArtifactBase.ValueType) -> None:
        super().__init__(_ArtifactBase.DESCRIPTOR, system_type)


class ExecutionType(_SystemType[_ExecutionBase.ValueType]):
    """A system type of executions. Raises KeyError for a number outside the enum, NotFoundError for UNSET."""

    def __init__(self, system_type: _ExecutionBase.ValueType) -> None:
        super().__init__(_ExecutionBase.DESCRIPTOR, system_type)


class Dataset(ArtifactType):
    """Data to learn from or to judge by."""

    def __init__(self) -> None:
        super().__init__(_ArtifactBase.DATASET)


class Model(ArtifactType):
    """What was learnt."""

    def __init__(self) -> None:
        super().__init__(_ArtifactBase.MODEL)


class Metrics(ArtifactType):
    """Numbers that judge a model."""

    def __init__(self) -> None:
        super().__init__(_ArtifactBase.METRICS)


class Statistics(ArtifactType):
    """Numbers that describe data."""

    def __init__(self) -> None:
        super().__init__(_ArtifactBase.STATISTICS)


class Train(ExecutionType):
    """Makes a model from data."""

    def __init__(self) -> None:
        super().__init__(_ExecutionBase.TRAIN)


class Transform(ExecutionType):
    """Makes data from data."""

    def __init__(self) -> None:
        super().__init__(_ExecutionBase.TRANSFORM)


class Process(ExecutionType):
    """Any other step of computing."""

    def __init__(self) -> None:
        super().__init__(_ExecutionBase.PROCESS)


class Evaluate(ExecutionType):
    """Judges a model."""

    def __init__(self) -> None:
        super().__init__(_ExecutionBase.EVALUATE)


class Deploy(ExecutionType):
    """Puts a model to use."""

    def __init__(self) -> None:
        super().__init__(_ExecutionBase.DEPLOY)
