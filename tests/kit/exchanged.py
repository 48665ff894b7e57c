"""A store of what an export may meet: every kind of value, odd names, a failed and a cached run, taint, contexts in contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stores import opened

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd import MetadataStore

ODD = 'ünï "quoted" \\ / % # 𝄞 ../../etc/passwd \u2028 <b>'
DATA, MODEL, NAMELESS = 1, 2, 3
TRAINED, FAILED, CACHED = 1, 2, 3
OUTER, INNER = 1, 2


def odd_store(place: Path) -> MetadataStore:
    """Make the store, and return it open."""
    store = opened(place)
    data = store.put_artifact_type(pb.ArtifactType(name="Dataset"))
    model = store.put_artifact_type(pb.ArtifactType(name="Model", properties={"acc": pb.DOUBLE, ODD: pb.STRING}))
    trainer = store.put_execution_type(pb.ExecutionType(name="Trainer"))
    group = store.put_context_type(pb.ContextType(name="Experiment"))
    outer, inner = (pb.Context(type_id=group, name=name) for name in (ODD, "inner"))
    store.put_contexts([outer, inner])
    store.put_parent_contexts([pb.ParentContext(parent_id=OUTER, child_id=INNER)])
    with store.acting(actor="ana@example.org"):
        run = pb.Execution(type_id=trainer, last_known_state=pb.Execution.RUNNING)
        run.custom_properties["p.lr"].double_value = 0.1
        run.custom_properties["p.deep"].struct_value.update({"a": [1, None, {"b": ODD}]})
        [run_id] = store.put_executions([run])
    assert run_id == TRAINED
    run.id, run.last_known_state = TRAINED, pb.Execution.COMPLETE
    run.custom_properties["m.loss"].double_value = float("nan")
    run.custom_properties[words.ENDED_MS].int_value = 1_700_000_000_123
    taxi = pb.Artifact(type_id=data, uri="s3://b/taxi/7", name="taxi:7", external_id="Dataset/taxi/7")
    taxi.custom_properties[words.NAME].string_value = "taxi"
    taxi.custom_properties[words.VERSION].int_value = 7
    taxi.custom_properties[words.TAINTED].string_value = "label leak"
    made = pb.Artifact(type_id=model, uri=f"../{ODD}", state=pb.Artifact.LIVE)
    made.properties["acc"].double_value = float("inf")
    made.properties[ODD].string_value = ODD
    made.custom_properties["big"].int_value = 2**62
    made.custom_properties["flag"].bool_value = True
    made.custom_properties["any"].proto_value.type_url = "type.example/x"
    made.custom_properties[""].string_value = ""
    read = pb.Event(type=pb.Event.INPUT)
    read.path.steps.add(key="examples")
    wrote = pb.Event(type=pb.Event.OUTPUT, milliseconds_since_epoch=-(2**60))
    wrote.path.steps.add(index=0)
    kept = pb.Context(id=INNER, type_id=group, name="inner")
    store.put_execution(run, [(taxi, read), (made, wrote)], [kept])
    lost = pb.Execution(type_id=trainer, last_known_state=pb.Execution.FAILED)
    lost.custom_properties[words.ERROR].string_value = f"Traceback\nValueError: {ODD}"
    pending = pb.Event(type=pb.Event.PENDING_OUTPUT)
    store.put_execution(lost, [(pb.Artifact(type_id=model), pending)], [])
    store.put_events([pb.Event(artifact_id=DATA, execution_id=FAILED, type=pb.Event.DECLARED_INPUT)])
    again = pb.Execution(type_id=trainer, last_known_state=pb.Execution.CACHED)
    again.custom_properties[words.REUSES].int_value = TRAINED
    store.put_execution(again, [(None, pb.Event(artifact_id=DATA, type=pb.Event.INPUT))], [])
    return store
