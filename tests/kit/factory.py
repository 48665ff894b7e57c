"""Two weeks of a small model factory, told by a clock: what docs/sql.md asks about.

Taxi is trained every week and pushed. The second week's data had a label leak: its model was pushed, found bad, and taken back, and the
next one was trained on what was sound. Churn was trained on the bad data too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import mlmd
from evlog.author import Author
from evlog.log import Log
from mlmd.engine import Engine
from mlmd.opening import BODIES, Opened
from mlmd.proto import metadata_store_pb2 as pb
from replay.rebuild import open_current

if TYPE_CHECKING:
    from pathlib import Path


Event: Final = pb.Event
TYPES: Final = (
    (pb.ArtifactType, "DataSet", {"day": pb.INT, "split": pb.STRING}),
    (pb.ArtifactType, "Model", {"accuracy": pb.DOUBLE, "stage": pb.STRING}),
    (pb.ExecutionType, "Trainer", {"learning_rate": pb.DOUBLE, "epochs": pb.INT}),
    (pb.ExecutionType, "Pusher", {}),
    (pb.ContextType, "PipelineRun", {"pipeline": pb.STRING}),
    (pb.ContextType, "Experiment", {}),
)


class Factory:
    """A store with a clock of its own, and those who put into it."""

    def __init__(self, place: Path) -> None:
        self._now_us = 0
        log = Log.open(place / "log", create=True, clock=lambda: self._now_us)
        opened = Opened(log, open_current(log, place / "views", BODIES), writable=True, views=f"{place / 'views'}/")
        self.at("2026-03-01T08:00", "setup", "admin.py")
        self.engine = Engine(opened, self.author)
        self.store = object.__new__(mlmd.MetadataStore)
        self.store._backend, self.store._max_num_retries = self.engine, 1
        puts = (self.store.put_artifact_type, self.store.put_execution_type, self.store.put_context_type)
        kinds = (pb.ArtifactType, pb.ExecutionType, pb.ContextType)
        self.types = {
            name: puts[kinds.index(kind)](kind(name=name, properties=properties)) for kind, name, properties in TYPES
        }

    def at(self, time: str, actor: str, application: str = "pipeline.py", reason: str | None = None) -> None:
        """Let it be a time, and somebody at work."""
        self._now_us = int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()) * 1_000_000
        self.author = Author(actor=actor, application=application, reason=reason)
        if hasattr(self, "engine"):
            self.engine.author = self.author

    def artifact(
        self, type_name: str, name: str, custom: dict[str, Any] | None = None, **properties: Any
    ) -> pb.Artifact:
        node = pb.Artifact(type_id=self.types[type_name], name=name, uri=f"s3://{type_name.lower()}/{name}")
        [node.id] = self.store.put_artifacts([_filled(node, properties, custom or {})])
        return node

    def change(self, node: pb.Artifact, custom: dict[str, Any] | None = None, **properties: Any) -> None:
        self.store.put_artifacts([_filled(node, properties, custom or {})])

    def context(self, type_name: str, name: str, **properties: Any) -> pb.Context:
        node = pb.Context(type_id=self.types[type_name], name=name)
        [node.id] = self.store.put_contexts([_filled(node, properties, {})])
        return node

    def begin(
        self, type_name: str, reads: list[pb.Artifact], contexts: list[pb.Context], library: str = "", **properties: Any
    ) -> pb.Execution:
        """Put a run that has begun, with what it reads."""
        run = pb.Execution(type_id=self.types[type_name], last_known_state=pb.Execution.RUNNING)
        _filled(run, properties, {"library": library} if library else {})
        pairs = [(artifact, Event(type=Event.INPUT)) for artifact in reads]
        run.id, _, _ = self.store.put_execution(run, pairs, contexts)
        return run

    def end(self, run: pb.Execution, state: str, makes: list[pb.Artifact], contexts: list[pb.Context]) -> None:
        """Put the run's end, with what it made."""
        run.last_known_state = pb.Execution.State.Value(state)
        self.store.put_execution(run, [(artifact, Event(type=Event.OUTPUT)) for artifact in makes], contexts)


def _filled(node: Any, properties: dict[str, Any], custom: dict[str, Any]) -> Any:
    for values, into in ((properties, node.properties), (custom, node.custom_properties)):
        for key, value in values.items():
            field = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
            setattr(into[key], field, value)
    return node


def config(place: Path) -> pb.ConnectionConfig:
    """Return what opens the store."""
    return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))


def record(place: Path) -> mlmd.MetadataStore:
    """Tell the story in a new store; return it."""
    f = Factory(place)
    taxi = f.context("Experiment", "taxi")
    f.at("2026-03-02T09:00", "ana")
    run1 = f.context("PipelineRun", "taxi-1", pipeline="taxi")
    data1 = f.artifact("DataSet", "trips-1", day=1, split="train")
    trainer = f.begin("Trainer", [data1], [run1, taxi], "tensorflow 2.19", learning_rate=0.1, epochs=3)
    f.at("2026-03-02T09:40", "ana")
    model1 = f.artifact("Model", "taxi-1", accuracy=0.91)
    f.end(trainer, "COMPLETE", [model1], [run1, taxi])
    f.at("2026-03-02T10:00", "ana")
    pusher = f.begin("Pusher", [model1], [run1])
    f.change(model1, stage="production")
    f.end(pusher, "COMPLETE", [], [run1])

    f.at("2026-03-09T09:00", "ben")
    run2 = f.context("PipelineRun", "taxi-2", pipeline="taxi")
    data2 = f.artifact("DataSet", "trips-2", day=8, split="train")
    trainer = f.begin("Trainer", [data2, model1], [run2, taxi], "tensorflow 2.20", learning_rate=0.05, epochs=5)
    f.at("2026-03-09T09:55", "ben")
    model2 = f.artifact("Model", "taxi-2", accuracy=0.97)
    f.end(trainer, "COMPLETE", [model2], [run2, taxi])
    f.at("2026-03-09T10:30", "ben")
    pusher = f.begin("Pusher", [model2], [run2])
    f.change(model1, stage="archived")
    f.change(model2, stage="production")
    f.end(pusher, "COMPLETE", [], [run2])
    f.at("2026-03-10T14:00", "cleo", "notebook")
    churn = f.begin("Trainer", [data2], [], "tensorflow 2.20", learning_rate=0.2, epochs=1)
    f.at("2026-03-10T14:05", "cleo", "notebook")
    f.end(churn, "COMPLETE", [f.artifact("Model", "churn-1", accuracy=0.88)], [])

    f.at("2026-03-12T16:20", "ana", "notebook", "ticket 81: label leak")
    f.change(data2, {"bad": "label leak"})
    f.change(model2, stage="failed")
    f.change(model1, stage="production")

    f.at("2026-03-13T09:00", "ben")
    run3 = f.context("PipelineRun", "taxi-3", pipeline="taxi")
    data3 = f.artifact("DataSet", "trips-3", day=12, split="train")
    f.artifact("DataSet", "trips-3-test", day=12, split="test")
    first = f.begin("Trainer", [data3], [run3, taxi], "tensorflow 2.20", learning_rate=0.5, epochs=5)
    f.at("2026-03-13T09:10", "ben")
    f.end(first, "FAILED", [], [run3, taxi])
    trainer = f.begin("Trainer", [data3, model1], [run3, taxi], "tensorflow 2.20", learning_rate=0.05, epochs=5)
    f.at("2026-03-13T10:00", "ben")
    model3 = f.artifact("Model", "taxi-3", accuracy=0.93)
    f.end(trainer, "COMPLETE", [model3], [run3, taxi])
    f.at("2026-03-13T10:20", "ben")
    pusher = f.begin("Pusher", [model3], [run3])
    f.change(model1, stage="archived")
    f.change(model3, stage="production")
    f.end(pusher, "COMPLETE", [], [run3])
    return f.store
