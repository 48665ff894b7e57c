"""Data set W: a small store whose filters, pages and lineage are worked out by hand in the contract.

`put` makes it in any store through one function, so the reference and we can be given the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable

INT, DOUBLE, STRING, STRUCT, BOOLEAN = pb.INT, pb.DOUBLE, pb.STRING, pb.STRUCT, pb.BOOLEAN
Event: Final = pb.Event

TYPES: Final = service.PutTypesRequest(
    artifact_types=[
        pb.ArtifactType(name="DataSet", properties={"span": INT, "split": STRING, "size": DOUBLE}),
        pb.ArtifactType(
            name="Model",
            properties={"acc": DOUBLE, "framework": STRING, "prod": BOOLEAN, "layers": INT, "conf": STRUCT},
        ),
        pb.ArtifactType(name="Model", version="v2", properties={"acc": DOUBLE}),
    ],
    execution_types=[
        pb.ExecutionType(name="Trainer", properties={"steps": INT, "note": STRING}),
        pb.ExecutionType(name="Eval"),
    ],
    context_types=[
        pb.ContextType(name="Pipeline", properties={"owner": STRING}),
        pb.ContextType(name="Run", properties={"n": INT}),
    ],
)
DATA_SET, MODEL, MODEL_V2, TRAINER, EVAL, PIPELINE, RUN = range(10, 17)


def _filled(message: Any, properties: dict[str, Any], custom: dict[str, Any]) -> Any:
    for values, into in ((properties, message.properties), (custom, message.custom_properties)):
        for key, value in values.items():
            if isinstance(value, bool):
                into[key].bool_value = value
            elif isinstance(value, int):
                into[key].int_value = value
            elif isinstance(value, float):
                into[key].double_value = value
            elif isinstance(value, str):
                into[key].string_value = value
            else:
                into[key].struct_value.update(value)
    return message


def _artifact(properties: dict[str, Any], custom: dict[str, Any], **fields: Any) -> pb.Artifact:
    return _filled(pb.Artifact(**fields), properties, custom)


ARTIFACTS: Final = [
    _artifact(
        {"span": 1, "split": "train", "size": 1.5},
        {"tag": "red", "n": 5},
        type_id=DATA_SET,
        name="d1",
        uri="/data/1",
        state="LIVE",
    ),
    _artifact(
        {"span": 2, "split": "test"},
        {"tag": "blue", "n": 2.5},
        type_id=DATA_SET,
        name="d2",
        uri="/data/2",
        state="PENDING",
    ),
    _artifact({"span": 3}, {}, type_id=DATA_SET, name="d3", uri="/Data/3", external_id="ext-a3"),
    _artifact(
        {"acc": 0.9, "framework": "tf", "prod": True, "layers": 10},
        {"tag": "red"},
        type_id=MODEL,
        name="m1",
        uri="/models/1",
        state="LIVE",
    ),
    _artifact(
        {"acc": 0.5, "framework": "TF", "prod": False, "layers": -3}, {}, type_id=MODEL, name="m2", state="DELETED"
    ),
    _artifact(
        {"acc": 1.0},
        {},
        type_id=MODEL_V2,
        name="m1",
        uri="/models/10%_x",
        state="MARKED_FOR_DELETION",
        external_id="ext-a6",
    ),
    _artifact({}, {"my prop": "x y", "a.b": 7, "Tag": "red"}, type_id=DATA_SET, state="UNKNOWN"),
    _artifact({"conf": {"depth": 3}}, {}, type_id=MODEL, name="it's", uri='it\'s "q"', state="ABANDONED"),
]
EXECUTIONS: Final = [
    _filled(
        pb.Execution(type_id=TRAINER, name="train1", last_known_state="COMPLETE"), {"steps": 100, "note": "ok"}, {}
    ),
    _filled(pb.Execution(type_id=TRAINER, name="train2", last_known_state="FAILED"), {"steps": 200}, {}),
    pb.Execution(type_id=EVAL, name="eval1", last_known_state="RUNNING"),
    pb.Execution(type_id=TRAINER),
    _filled(
        pb.Execution(type_id=EVAL, name="eval2", last_known_state="CACHED", external_id="ext-e5"), {}, {"tag": "red"}
    ),
]
CONTEXTS: Final = [
    _filled(pb.Context(type_id=PIPELINE, name="pipe"), {"owner": "bob"}, {}),
    _filled(pb.Context(type_id=RUN, name="run1"), {"n": 1}, {}),
    _filled(pb.Context(type_id=RUN, name="run2"), {"n": 2}, {}),
    _filled(pb.Context(type_id=PIPELINE, name="empty", external_id="ext-c4"), {}, {"tag": "blue"}),
    pb.Context(type_id=RUN, name="Run1"),
]
PARENTS: Final = [(1, 2), (4, 2), (1, 3), (4, 5)]  # (parent, child)
ATTRIBUTIONS: Final = {1: (1, 2, 4), 2: (1, 4), 3: (2, 5)}  # context -> artifacts
ASSOCIATIONS: Final = {1: (1, 2), 2: (1, 3), 3: (2,)}  # context -> executions
EVENTS: Final = [  # (artifact, type, execution, milliseconds)
    (1, "INPUT", 1, 1000),
    (4, "OUTPUT", 1, 2000),
    (4, "DECLARED_OUTPUT", 1, 2500),
    (2, "INPUT", 2, 3000),
    (1, "DECLARED_INPUT", 2, 3100),
    (5, "OUTPUT", 2, 4000),
    (6, "PENDING_OUTPUT", 2, 4100),
    (4, "INPUT", 3, 5000),
    (2, "INPUT", 3, 5100),
    (8, "OUTPUT", 3, 6000),
    (4, "INTERNAL_INPUT", 5, 7000),
    (7, "INTERNAL_OUTPUT", 5, 8000),
]


def requests() -> list[tuple[str, Any]]:
    """Return the calls that make W, as (method, request)."""
    return [
        ("PutTypes", TYPES),
        ("PutArtifacts", service.PutArtifactsRequest(artifacts=ARTIFACTS)),
        ("PutExecutions", service.PutExecutionsRequest(executions=EXECUTIONS)),
        ("PutContexts", service.PutContextsRequest(contexts=CONTEXTS)),
        (
            "PutParentContexts",
            service.PutParentContextsRequest(
                parent_contexts=[pb.ParentContext(parent_id=parent, child_id=child) for parent, child in PARENTS]
            ),
        ),
        (
            "PutAttributionsAndAssociations",
            service.PutAttributionsAndAssociationsRequest(
                attributions=[
                    pb.Attribution(context_id=context, artifact_id=artifact)
                    for context, artifacts in ATTRIBUTIONS.items()
                    for artifact in artifacts
                ],
                associations=[
                    pb.Association(context_id=context, execution_id=execution)
                    for context, executions in ASSOCIATIONS.items()
                    for execution in executions
                ],
            ),
        ),
        (
            "PutEvents",
            service.PutEventsRequest(
                events=[
                    Event(
                        artifact_id=artifact,
                        execution_id=execution,
                        type=kind,  # type: ignore[arg-type]  # a name is accepted too
                        milliseconds_since_epoch=time_ms,
                    )
                    for artifact, kind, execution, time_ms in EVENTS
                ]
            ),
        ),
    ]


def put(call: Callable[[str, Any], object]) -> None:
    """Make W in an empty store. call: sends one request to it, and raises for a refusal."""
    for method, request in requests():
        call(method, request)
