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


ALL: Final = [1, 2, 3, 4, 5, 6, 7, 8]
# (number, of what, filter, ids)
FOUND: Final = [
    (1, "A", "id = 1", [1]),
    (2, "A", "id IN (1, 3, 99)", [1, 3]),
    (3, "A", "id NOT BETWEEN 2 AND 6", [1, 7, 8]),
    (4, "A", "id < 2.5", [1, 2]),
    (5, "A", "type = 'DataSet'", [1, 2, 3, 7]),
    (6, "A", "type = 'Model' AND type_id = 11", [4, 5, 8]),
    (7, "A", "type LIKE 'dataset'", [1, 2, 3, 7]),
    (8, "A", "type = 'dataset'", []),
    (9, "A", "name = 'm1'", [4, 6]),
    (10, "A", 'name = "it\'s"', [8]),
    (11, "A", "name LIKE '_1'", [1, 4, 6]),
    (12, "A", "name != 'm1'", [1, 2, 3, 5, 8]),
    (13, "A", "NOT (name = 'm1')", [1, 2, 3, 5, 8]),
    (14, "A", "name NOT IN ('d1', NULL)", []),
    (15, "A", "uri = '' OR id = 1", [1, 5, 7]),
    (16, "A", "uri IS NULL OR id = 1", [1]),
    (17, "A", "uri LIKE '/data/%'", [1, 2, 3]),
    (18, "A", "uri LIKE '%10__x'", [6]),
    (19, "A", "external_id IS NULL AND id > 2", [4, 5, 7, 8]),
    (20, "A", "external_id = 'ext-a3' OR external_id = 'ext-a6'", [3, 6]),
    (21, "A", "create_time_since_epoch + 1 > last_update_time_since_epoch", ALL),
    (22, "A", "state = LIVE OR 2 = state", [1, 4]),
    (23, "A", "state != LIVE AND id < 4", [2, 3]),
    (24, "A", "NOT state = LIVE AND id < 4", [2]),
    (25, "A", "NOT state != LIVE", [1, 4]),
    (26, "A", "state IN (LIVE, PENDING)", [1, 2, 4]),
    (27, "A", "state NOT IN (LIVE, DELETED)", [2, 3, 6, 7, 8]),
    (28, "A", "NOT state IN (LIVE)", [2, 5, 6, 7, 8]),
    (29, "A", "state = UNKNOWN OR state IS NULL", [3, 7]),
    (30, "A", "state >= 2", [1, 4, 5, 6, 8]),
    (31, "A", "state = LIVE AND state = LIVE", [1, 4]),  # The published library refuses it.
    (32, "A", "state = ABANDONED OR id = 1", [1, 8]),  # The published library refuses it.
    (33, "E", "last_known_state != FAILED", [1, 3, 4, 5]),
    (34, "E", "last_known_state IN (FAILED, RUNNING, CACHED)", [2, 3, 5]),
    (36, "A", "properties.span.int_value = 1", [1]),
    (37, "A", "properties.span.int_value != 1", [2, 3]),
    (38, "A", "NOT properties.span.int_value = 1", [2, 3]),
    (39, "A", "properties.span.double_value IS NULL", [1, 2, 3]),
    (40, "A", "properties.span.int_value = 1.0", [1]),
    (41, "A", "properties.acc.double_value >= 0.5 AND properties.acc.double_value < 1", [4, 5]),
    (42, "A", "properties.prod.bool_value", [4]),
    (43, "A", "NOT properties.prod.bool_value AND id > 0", [5]),
    (44, "A", "properties.framework.string_value = 'tf' OR properties.layers.int_value < 5", [4, 5]),
    (45, "A", "properties.split.string_value = 'train' OR id = 4", [1]),
    (46, "A", "properties.conf.string_value IS NOT NULL", [8]),
    (47, "A", "custom_properties.tag.string_value = 'red'", [1, 4]),
    (48, "A", "custom_properties.TAG.string_value = 'red' AND id > 1", [4]),
    (49, "A", "custom_properties.n.int_value > 0 OR custom_properties.n.double_value > 0", [1, 2]),
    (50, "A", "custom_properties.n.int_value IS NULL", [2]),
    (51, "A", "custom_properties.`my prop`.string_value = 'x y'", [7]),
    (52, "A", "custom_properties.`a.b`.int_value = 7", [7]),
    (53, "A", "custom_properties.nope.int_value = 7 OR true", []),
    (54, "A", "custom_properties.n.int_value = id + 4", [1]),
    (55, "E", "properties.steps.int_value >= 100 AND contexts_a.name = 'pipe'", [1, 2]),
    (56, "C", "properties.n.int_value = 1 OR properties.n.int_value = 2", [2, 3]),
    (57, "C", "custom_properties.tag.string_value = 'blue' OR properties.owner.string_value = 'bob'", []),
    (58, "A", "contexts_a.name = 'pipe'", [1, 2, 4]),
    (59, "A", "contexts_a.name = 'pipe' AND contexts_b.name = 'run1'", [1, 4]),
    (60, "A", "contexts_a.name = 'pipe' AND contexts_a.name = 'run1'", []),
    (61, "A", "contexts_a.name = 'pipe' OR contexts_b.name = 'run1'", [1, 2, 4]),
    (62, "A", "NOT contexts_a.name = 'pipe'", [1, 2, 4, 5]),
    (63, "A", "contexts_a.type = 'Run' AND NOT contexts_a.name = 'run2'", [1, 4]),
    (64, "A", "contexts_a.id IS NULL OR id = 3", []),
    (65, "A", "id = 3 OR (false AND contexts_a.id = 1)", []),
    (66, "E", "contexts_a.type = 'Pipeline' AND last_known_state = FAILED", [2]),
    (67, "A", "events_a.type = INPUT", [1, 2, 4]),
    (68, "A", "events_a.type = INPUT AND events_b.type = OUTPUT", [4]),
    (69, "A", "events_a.type = INPUT AND events_a.execution_id = 1", [1]),
    (70, "A", "events_a.type != INPUT", [1, 4, 5, 6, 7, 8]),
    (71, "A", "events_a.milliseconds_since_epoch BETWEEN 1000 AND 2000", [1, 4]),
    (72, "A", "7 = events_a.type AND id > 0", [6]),
    (73, "A", "events_a.type = OUTPUT AND events_b.type = OUTPUT", [4, 5, 8]),  # The published library refuses it.
    (74, "E", "events_a.artifact_id = 4 AND events_a.type = INPUT", [3]),
    (75, "E", "events_0.artifact_id = 1 AND events_1.artifact_id = 2", [2]),
    (76, "C", "parent_contexts_a.name = 'pipe'", [2, 3]),
    (77, "C", "parent_contexts_a.id = 1 AND parent_contexts_b.id = 4", [2]),
    (78, "C", "child_contexts_a.name = 'run1'", [1, 4]),
    (79, "C", "child_contexts_a.id = 5 AND parent_contexts_a.id > 0", []),
    (80, "C", "artifacts_a.state = LIVE AND artifacts_b.state = PENDING", [1]),
    (81, "C", "artifacts_a.name = 'd1' AND executions_a.name = 'train2'", [1]),
    (82, "C", "executions_a.last_known_state = RUNNING", [2]),
    (83, "C", "artifacts_a.state != LIVE AND id > 0", [1, 3]),  # The published library refuses it.
    (84, "C", "artifacts_a.external_id = 'ext-a3'", []),  # The published library refuses it.
    (85, "A", "id = 1 OR name = 'm1' AND type_id = 12", [1, 6]),
    (86, "A", "(id = 1 OR name = 'm1') AND type_id = 12", [6]),
    (87, "A", "NOT id = 1 OR id = 1", ALL),
    (89, "A", "(id < 3) = true", [1, 2]),
    (90, "A", "id / 2 = 1.5", [3]),
    (91, "A", "id & 1 = 1", [1, 3, 5, 7]),
    (92, "A", "id = 1 + 1 * 2", [3]),
    (93, "A", "LOWER(properties.framework.string_value) = 'tf'", [4, 5]),
    (94, "A", "COALESCE(external_id, '-') = '-' AND id < 4", [1, 2]),
    (95, "A", "CASE WHEN id < 3 THEN true ELSE false END", [1, 2]),
    (96, "A", "STARTS_WITH(name, 'd')", [1, 2, 3]),  # The published library refuses it.
]
