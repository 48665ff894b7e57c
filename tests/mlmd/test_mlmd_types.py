"""System types: names and numbers for `base_type`, without a store."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mlmd import errors
from mlmd.metadata_store import mlmd_types
from mlmd.proto import metadata_store_pb2 as pb

ARTIFACT_TYPES = [
    (mlmd_types.Dataset, 1, "mlmd.Dataset"),
    (mlmd_types.Model, 2, "mlmd.Model"),
    (mlmd_types.Metrics, 3, "mlmd.Metrics"),
    (mlmd_types.Statistics, 4, "mlmd.Statistics"),
]
EXECUTION_TYPES = [
    (mlmd_types.Train, 1, "mlmd.Train"),
    (mlmd_types.Transform, 2, "mlmd.Transform"),
    (mlmd_types.Process, 3, "mlmd.Process"),
    (mlmd_types.Evaluate, 4, "mlmd.Evaluate"),
    (mlmd_types.Deploy, 5, "mlmd.Deploy"),
]


@pytest.mark.parametrize(("cls", "number", "name"), ARTIFACT_TYPES + EXECUTION_TYPES)
def test_a_ready_class_knows_its_number_and_its_name(cls, number, name):
    assert (cls().system_type, cls().name) == (number, name)


@pytest.mark.parametrize(
    ("base", "classes"),
    [(mlmd_types.ArtifactType, ARTIFACT_TYPES), (mlmd_types.ExecutionType, EXECUTION_TYPES)],
)
def test_the_general_class_takes_any_number_of_its_enum(base, classes):
    for cls, number, name in classes:
        assert isinstance(cls(), base)
        assert (base(number).system_type, base(system_type=number).name) == (number, name)


@pytest.mark.parametrize(
    ("base", "enum"),
    [
        (mlmd_types.ArtifactType, pb.ArtifactType.SystemDefinedBaseType),
        (mlmd_types.ExecutionType, pb.ExecutionType.SystemDefinedBaseType),
    ],
)
def test_unset_is_not_found_and_a_number_outside_the_enum_is_a_key_error(base, enum):
    with pytest.raises(errors.NotFoundError, match="is not found"):
        base(enum.Value("UNSET"))
    for number in (-1, max(enum.values()) + 1):
        with pytest.raises(KeyError):
            base(number)


def test_every_value_of_the_enums_but_unset_has_a_ready_class():
    for kind, classes in ((pb.ArtifactType, ARTIFACT_TYPES), (pb.ExecutionType, EXECUTION_TYPES)):
        assert [number for _, number, _ in classes] == kind.SystemDefinedBaseType.values()[1:]


def test_a_system_type_is_the_base_of_a_type():
    assert pb.ArtifactType(base_type=mlmd_types.Model().system_type).base_type == pb.ArtifactType.MODEL


def test_the_names_are_known_to_protobuf_in_pure_python_too():
    code = "from mlmd.metadata_store import mlmd_types; assert mlmd_types.Deploy().name == 'mlmd.Deploy'"
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
