"""The reference's process answers as the published library does, and says plainly when it cannot."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))

from client import AbsentMethodError, DiedError, OpenRefusedError, OracleError, Reference, TimedOutError
from environment import python_of_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("mlmd.proto")

from mlmd import errors
from mlmd.proto import metadata_store_pb2 as messages
from mlmd.proto import metadata_store_service_pb2 as requests

FAKE = messages.ConnectionConfig(fake_database=messages.FakeDatabaseConfig()).SerializeToString()
FIRST_USER_TYPE = 10  # The nine system types come before it.


@pytest.fixture(scope="module")
def python() -> Path:
    found = python_of_reference()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def reference(python: Path) -> Iterator[Reference]:
    with Reference(python) as running:
        yield running


def put_artifact(reference: Reference, store: int, artifact: messages.Artifact) -> None:
    request = requests.PutArtifactsRequest(artifacts=[artifact])
    code, message, response = reference.call(store, "PutArtifacts", request.SerializeToString())
    assert (code, message) == (errors.OK, "")
    assert list(requests.PutArtifactsResponse.FromString(response).artifact_ids) == [1]


def get_artifact(reference: Reference, store: int) -> messages.Artifact:
    request = requests.GetArtifactsByIDRequest(artifact_ids=[1])
    code, _, response = reference.call(store, "GetArtifactsByID", request.SerializeToString())
    assert code == errors.OK
    (artifact,) = requests.GetArtifactsByIDResponse.FromString(response).artifacts
    return artifact


def put_type(reference: Reference, store: int, name: str) -> int:
    request = requests.PutArtifactTypeRequest(artifact_type={"name": name, "properties": {"span": messages.INT}})
    code, message, response = reference.call(store, "PutArtifactType", request.SerializeToString())
    assert (code, message) == (errors.OK, "")
    return requests.PutArtifactTypeResponse.FromString(response).type_id


def type_names(reference: Reference, store: int) -> list[str]:
    code, _, response = reference.call(store, "GetArtifactTypes", b"")
    assert code == errors.OK
    return [each.name for each in requests.GetArtifactTypesResponse.FromString(response).artifact_types]


def test_what_is_put_by_raw_requests_is_read_back(reference: Reference):
    store = reference.open(FAKE)
    assert put_type(reference, store, "DataSet") == FIRST_USER_TYPE
    artifact = messages.Artifact(type_id=FIRST_USER_TYPE, uri="file:/x", state=messages.Artifact.LIVE)
    artifact.properties["span"].int_value = 7

    put_artifact(reference, store, artifact)
    got = get_artifact(reference, store)
    assert (got.type, got.uri, got.properties["span"].int_value) == ("DataSet", "file:/x", 7)
    assert got.create_time_since_epoch == got.last_update_time_since_epoch > 0


def test_stores_that_are_open_at_once_know_nothing_of_each_other(reference: Reference):
    one, other = reference.open(FAKE), reference.open(FAKE)
    put_type(reference, one, "OnlyHere")
    assert type_names(reference, one) == ["OnlyHere"]
    assert type_names(reference, other) == []

    reference.close(one)
    assert type_names(reference, other) == []
    with pytest.raises(OracleError, match="not open"):
        reference.call(one, "GetArtifactTypes", b"")


def test_a_refusal_comes_with_its_code_and_message(reference: Reference):
    store = reference.open(FAKE)
    code, message, _ = reference.call(store, "PutArtifactType", b"")
    assert (code, message) == (errors.INVALID_ARGUMENT, "No type name is specified.")
    code, message, _ = reference.call(store, "GetArtifacts", b"\xff")
    assert (code, message) == (errors.INVALID_ARGUMENT, "Could not parse proto")


def test_a_request_larger_than_a_pipe_gets_through_and_comes_back(reference: Reference):
    store = reference.open(FAKE)
    put_type(reference, store, "Big")
    uri = "x" * 5_000_000
    put_artifact(reference, store, messages.Artifact(type_id=FIRST_USER_TYPE, uri=uri))
    assert get_artifact(reference, store).uri == uri


def test_a_config_that_does_not_open_leaves_the_other_stores_alone(reference: Reference):
    store = reference.open(FAKE)
    with pytest.raises(OpenRefusedError, match="Unset"):
        reference.open(b"")
    assert type_names(reference, store) == []


@pytest.mark.parametrize("method", ["GetLineageGraph", "GetParentContextsByContexts", "GetChildrenContextsByContexts"])
def test_an_rpc_that_the_binding_lacks_is_named(reference: Reference, method: str):
    store = reference.open(FAKE)
    with pytest.raises(AbsentMethodError, match=method):
        reference.call(store, method, b"")
    assert type_names(reference, store) == []


def test_every_other_rpc_answers(reference: Reference):
    store = reference.open(FAKE)
    service = requests.DESCRIPTOR.services_by_name["MetadataStoreService"]
    absent = []
    for method in service.methods:
        try:
            code, _, _ = reference.call(store, method.name, b"")
        except AbsentMethodError:
            absent.append(method.name)
        else:
            assert code in {errors.OK, errors.INVALID_ARGUMENT, errors.NOT_FOUND}, method.name
    assert sorted(absent) == ["GetChildrenContextsByContexts", "GetLineageGraph", "GetParentContextsByContexts"]


def test_a_request_that_kills_the_reference_is_named_and_a_new_store_can_be_opened(reference: Reference):
    store = reference.open(FAKE)
    put_type(reference, store, "T")
    deadly = requests.PutArtifactsRequest(artifacts=[messages.Artifact(type_id=FIRST_USER_TYPE)])
    deadly.artifacts[0].custom_properties["no value"].SetInParent()

    with pytest.raises(DiedError, match=r"SIGABRT in PutArtifacts: .*Unexpected oneof"):
        reference.call(store, "PutArtifacts", deadly.SerializeToString())
    with pytest.raises(OracleError, match="not open"):
        reference.call(store, "GetArtifacts", b"")
    assert type_names(reference, reference.open(FAKE)) == []


def test_a_call_without_an_answer_ends_in_time(python: Path):
    with Reference(python, timeout_s=30) as reference:
        store = reference.open(FAKE)
        process = reference.pid
        assert process
        os.kill(process, signal.SIGSTOP)
        reference.timeout_s = 0.2
        with pytest.raises(TimedOutError, match="GetArtifacts"):
            reference.call(store, "GetArtifacts", b"")
        assert reference.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
