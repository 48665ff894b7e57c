"""The filters that TFX 1.21 sends, each as its code writes it: answers that the published library gave, and gives where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from client import Reference
from environment import python_of_reference
from raw import RawStore

from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    Call = Callable[[str, bytes], tuple[int, str, bytes]]

# The store: examples 1 (live) and 2 (deleted), models 3 (live) and 4 (marked for deletion), a blessing 5 (live); trainings 1
# (complete) and 2 (running) of the node `taxi.Train`, the first in run 1 and the second in run 2, 1 from example 1 to model 3.
LATE = 4102444800000  # The year 2100.
ARTIFACTS = {
    'id IN (1,2,3) AND (type="Examples")': [1, 2],
    "id IN (1)": [1],
    'uri = "gs://models/3"': [3],
    "id = 1 AND state IN (2)": [1],
    'id IN (1,3,5) AND (type = "Model" OR type = "Examples")': [1, 3],
    'id IN (1,2,3) AND (name IN ("a3","a1","a9"))': [1, 3],
    'id IN (1,2,3,4,5) AND (type IN ("ModelBlessing", "Model") AND state IN (2, 3, 4))': [3, 4, 5],
    'id IN (1,2,3,4,5) AND (id IN (1,4) AND type IN ("Model", "Examples") AND state IN (2, 3, 4))': [1, 4],
    'id IN (3,4) AND (type IN ("Model") AND state IN (2)'
    ' AND contexts_a.name IN ("taxi.Train") AND contexts_a.type = "node")': [3],
    '(contexts_0.type = "node") AND (contexts_0.name = "taxi.Train") AND (state = LIVE)': [3],
    '(contexts_0.type = "node") AND (contexts_0.name = "taxi.Train") AND (state = LIVE)'
    ' AND (contexts_1.type = "pipeline_run") AND (contexts_1.name = "run-1")': [],
}
EXECUTIONS = {
    "last_known_state = COMPLETE": [1],
    "contexts_0.id = 1": [1, 2],
    "(contexts_0.id = 1) AND (contexts_1.id = 2)": [1],
    "(contexts_0.id = 1) AND (contexts_1.id = 2) AND (contexts_2.id = 3)": [],
    "events_0.artifact_id = 1 AND events_0.type = INPUT": [1],
    '(contexts_0.type = "node") AND (contexts_0.name = "taxi.Train")': [1, 2],
    '(contexts_0.type = "node") AND (contexts_0.name = "not-exist.Train")': [],
    '(contexts_0.type = "node") AND (contexts_0.name = "taxi.Train") AND (last_known_state IN (COMPLETE,CACHED,FAILED))'
    " AND (last_update_time_since_epoch >= 1)": [1],
    '(contexts_0.type = "node") AND (contexts_0.name = "taxi.Train") AND (contexts_1.type = "pipeline_run")'
    f' AND (contexts_1.name = "run-2") AND (last_update_time_since_epoch >= {LATE})': [],
    '(contexts_0.type = "node") AND (contexts_0.name = "taxi.Train")'
    " AND (last_known_state IN (RUNNING,COMPLETE,FAILED,CACHED,CANCELED))": [1, 2],
}


def fill(call: Call) -> None:
    """Put what the comment above describes. The first type of a user has id 10."""

    def put(method: str, request: Message) -> None:
        assert call(method, request.SerializeToString())[0] == errors.OK

    artifact_types = [pb.ArtifactType(name=name) for name in ("Examples", "Model", "ModelBlessing")]
    context_types = [pb.ContextType(name=name) for name in ("node", "pipeline_run")]
    execution_types = [pb.ExecutionType(name="Train")]
    put(
        "PutTypes",
        service.PutTypesRequest(
            artifact_types=artifact_types, execution_types=execution_types, context_types=context_types
        ),
    )
    types = service.GetArtifactTypesResponse.FromString(call("GetArtifactTypes", b"")[2]).artifact_types
    type_ids = {kind.name: kind.id for kind in types}
    contexts = service.GetContextTypesResponse.FromString(call("GetContextTypes", b"")[2]).context_types
    type_ids |= {kind.name: kind.id for kind in contexts}
    trains = service.GetExecutionTypesResponse.FromString(call("GetExecutionTypes", b"")[2]).execution_types
    type_ids |= {kind.name: kind.id for kind in trains}
    made = [("Examples", 2), ("Examples", 4), ("Model", 2), ("Model", 3), ("ModelBlessing", 2)]
    artifacts = [
        pb.Artifact(type_id=type_ids[name], name=f"a{number}", uri=f"gs://models/{number}", state=state)
        for number, (name, state) in enumerate(made, 1)
    ]
    put("PutArtifacts", service.PutArtifactsRequest(artifacts=artifacts))
    states = (pb.Execution.COMPLETE, pb.Execution.RUNNING)
    put(
        "PutExecutions",
        service.PutExecutionsRequest(
            executions=[pb.Execution(type_id=type_ids["Train"], last_known_state=state) for state in states]
        ),
    )
    names = [("node", "taxi.Train"), ("pipeline_run", "run-1"), ("pipeline_run", "run-2")]
    put(
        "PutContexts",
        service.PutContextsRequest(contexts=[pb.Context(type_id=type_ids[kind], name=name) for kind, name in names]),
    )
    put(
        "PutEvents",
        service.PutEventsRequest(
            events=[
                pb.Event(artifact_id=1, execution_id=1, type=pb.Event.INPUT),
                pb.Event(artifact_id=3, execution_id=1, type=pb.Event.OUTPUT),
            ]
        ),
    )
    pairs = [(1, 1), (1, 2), (2, 1), (3, 2)]
    put(
        "PutAttributionsAndAssociations",
        service.PutAttributionsAndAssociationsRequest(
            attributions=[pb.Attribution(context_id=1, artifact_id=3)],
            associations=[pb.Association(context_id=context, execution_id=execution) for context, execution in pairs],
        ),
    )


def answers(call: Call) -> tuple[dict[str, object], dict[str, object]]:
    """Return the ids that each filter finds, or the refusal."""
    fill(call)
    artifacts: dict[str, object] = {}
    for text in ARTIFACTS:
        options = pb.ListOperationOptions(filter_query=text)
        code, message, response = call("GetArtifacts", service.GetArtifactsRequest(options=options).SerializeToString())
        nodes = service.GetArtifactsResponse.FromString(response).artifacts
        artifacts[text] = message if code else [node.id for node in nodes]
    executions: dict[str, object] = {}
    for text in EXECUTIONS:
        options = pb.ListOperationOptions(filter_query=text)
        code, message, response = call(
            "GetExecutions", service.GetExecutionsRequest(options=options).SerializeToString()
        )
        runs = service.GetExecutionsResponse.FromString(response).executions
        executions[text] = message if code else [run.id for run in runs]
    return artifacts, executions


def test_every_filter_of_tfx_is_answered() -> None:
    store = RawStore()
    assert answers(store.call) == (ARTIFACTS, EXECUTIONS)
    store.close()


def test_the_published_library_answers_them_so() -> None:
    python = python_of_reference()
    if isinstance(python, str):
        pytest.skip(python)
    fake = pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()).SerializeToString()
    with Reference(python) as reference:
        handle = reference.open(fake)
        found = answers(lambda method, request: reference.call(handle, method, request))
        assert found == (ARTIFACTS, EXECUTIONS)
