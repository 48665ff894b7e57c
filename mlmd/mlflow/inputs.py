"""What goes into a run and comes out of it: datasets and logged models, as artifacts with events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    RunInputs,
)
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from mlmd.kinds import ARTIFACT
from mlmd.mlflow import words
from mlmd.mlflow.nodes import doubles, string
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.words import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlmd.mlflow.nodes import Nodes

_INPUTS: Final = (pb.Event.INPUT, pb.Event.DECLARED_INPUT)
_OUTPUTS: Final = (pb.Event.OUTPUT, pb.Event.DECLARED_OUTPUT)


def external_id_of(dataset: Dataset) -> str:
    """Return what a dataset is found by: the same name and content is the same artifact."""
    return f"{words.DATASET_TYPE}/{dataset.name}/{dataset.digest}"


def uri_of(dataset: Dataset) -> str:
    """Return where a dataset came from, where its source says it by a URI."""
    try:
        source = json.loads(dataset.source)
    except ValueError:
        return ""
    uri = source.get("uri") if isinstance(source, dict) else None
    return uri if isinstance(uri, str) else ""


def dataset_of(artifact: pb.Artifact) -> Dataset:
    """Return a dataset as MLflow has it."""
    return Dataset(
        name=string(artifact, NAME),
        digest=string(artifact, words.DATASET_DIGEST),
        source_type=string(artifact, words.SOURCE_TYPE),
        source=string(artifact, words.SOURCE),
        schema=string(artifact, words.SCHEMA),
        profile=string(artifact, words.PROFILE),
    )


def path_of(tags: Sequence[InputTag]) -> list[str | int]:
    """Return the tags of an input as the path of its event: its context, 0 for none, then key and value of each other tag."""
    by_key = {tag.key: tag.value for tag in tags}
    context: str | int = by_key.pop(MLFLOW_DATASET_CONTEXT, 0)
    others = [text for tag in by_key.items() for text in tag]
    return [context, *others] if tags else []


def input_tags(event: pb.Event) -> dict[str, str]:
    """Return the tags of an input."""
    if not event.path.steps:
        return {}
    first, *others = event.path.steps
    keys = [step.key for step in others]
    tags = dict(zip(keys[::2], keys[1::2], strict=False))
    return {MLFLOW_DATASET_CONTEXT: first.key, **tags} if first.HasField("key") else tags


def outputs_of(events: Iterable[pb.Event], artifacts: Mapping[int, pb.Artifact]) -> list[LoggedModelOutput]:
    """Return the logged models that a run made, each with the step at which it did."""
    return [
        LoggedModelOutput(
            artifacts[event.artifact_id].external_id, event.path.steps[0].index if event.path.steps else 0
        )
        for event in events
        if event.type in _OUTPUTS and event.artifact_id in artifacts
        if artifacts[event.artifact_id].type == words.MODEL_TYPE
    ]


def no_model(model_id: str) -> MlflowException:
    """Return the refusal of a logged model that is not there."""
    return MlflowException(f"Logged model with ID '{model_id}' not found.", codes.RESOURCE_DOES_NOT_EXIST)


class Inputs:
    """The datasets and models that runs read and made."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def artifacts(self, events: Iterable[pb.Event]) -> dict[int, pb.Artifact]:
        """Return the artifacts of events, by id, as far as MLflow knows their types."""
        found = self._nodes.of_ids(ARTIFACT, sorted({event.artifact_id for event in events}))
        return {one.id: one for one in found if one.type in (words.DATASET_TYPE, words.MODEL_TYPE) and one.external_id}

    def inputs_of(self, events: Iterable[pb.Event], artifacts: Mapping[int, pb.Artifact], *, models: bool) -> RunInputs:
        """Return what a run read; models: logged models too."""
        read, read_models = [], []
        for event in events:
            artifact = artifacts.get(event.artifact_id)
            if artifact is None or event.type not in _INPUTS:
                continue
            if artifact.type == words.MODEL_TYPE:
                read_models += [LoggedModelInput(artifact.external_id)] if models else []
            elif string(artifact, words.DATASET_DIGEST) is not None:
                tags = [InputTag(key, value) for key, value in input_tags(event).items()]
                read.append(DatasetInput(dataset_of(artifact), tags))
        return RunInputs(dataset_inputs=read, model_inputs=read_models)

    def log(
        self,
        run: pb.Execution,
        experiment_id: int,
        datasets: Sequence[DatasetInput],
        models: Sequence[LoggedModelInput],
    ) -> None:
        """Note what a run read. The same dataset or model once more changes nothing."""
        wanted: dict[str, DatasetInput] = {}
        for one in datasets:
            wanted.setdefault(external_id_of(one.dataset), one)
        known = {one.external_id: one.id for one in self._nodes.externals(ARTIFACT, list(wanted))}
        there = self._linked(run, _INPUTS)
        new: list[pb.Artifact] = []
        edges: list[tuple[int | None, pb.Event]] = []
        for external_id, one in wanted.items():
            if known.get(external_id) in there:
                continue
            path = path_of(one.tags)
            if external_id in known:
                edges.append((None, _event(run, pb.Event.INPUT, path, known[external_id])))
            else:
                edges.append((len(new), _event(run, pb.Event.INPUT, path)))
                new.append(self._new(one.dataset))
        ids = self.model_ids([one.model_id for one in models])
        edges += [(None, _event(run, pb.Event.INPUT, (), one)) for one in ids if one not in there]
        if edges:
            self._nodes.belong(self._link(new, edges), experiment_id)

    def log_outputs(self, run: pb.Execution, models: Sequence[LoggedModelOutput]) -> None:
        """Note which models a run made. The same model once more changes nothing."""
        there = self._linked(run, _OUTPUTS)
        steps = {one.model_id: one.step for one in models}
        ids = dict(zip(self.model_ids(list(steps)), steps.values(), strict=True))
        edges: list[tuple[int | None, pb.Event]] = [
            (None, _event(run, pb.Event.OUTPUT, [step] if step else (), model_id))
            for model_id, step in ids.items()
            if model_id not in there
        ]
        if edges:
            self._link([], edges)

    def _link(self, artifacts: Sequence[pb.Artifact], edges: Sequence[Any]) -> list[int]:
        with doubles("another process logged the same just now: log it again", codes.TEMPORARILY_UNAVAILABLE):
            return self._nodes.link(artifacts, edges)

    def _linked(self, run: pb.Execution, types: Sequence[int]) -> set[int]:
        return {event.artifact_id for event in self._nodes.events_of_runs([run.id]) if event.type in types}

    def _new(self, dataset: Dataset) -> pb.Artifact:
        values = {
            NAME: dataset.name,
            words.DATASET_DIGEST: dataset.digest,
            words.SOURCE_TYPE: dataset.source_type,
            words.SOURCE: dataset.source,
            words.SCHEMA: dataset.schema,
            words.PROFILE: dataset.profile,
        }
        return self._nodes.new(
            ARTIFACT,
            words.DATASET_TYPE,
            {key: value for key, value in values.items() if value is not None},
            external_id=external_id_of(dataset),
            uri=uri_of(dataset),
            state=pb.Artifact.LIVE,
        )

    def model_ids(self, model_ids: Sequence[str]) -> list[int]:
        """Return the ids of the artifacts of logged models. Raises MlflowException: RESOURCE_DOES_NOT_EXIST."""
        found = {
            one.external_id: one.id
            for one in self._nodes.externals(ARTIFACT, model_ids)
            if one.type == words.MODEL_TYPE
        }
        for model_id in model_ids:
            if model_id not in found:
                raise no_model(model_id)
        return [found[model_id] for model_id in model_ids]


def _event(run: pb.Execution, kind: Any, path: Sequence[str | int], artifact_id: int | None = None) -> pb.Event:
    event = pb.Event(execution_id=run.id, type=kind, artifact_id=artifact_id)
    for step in path:
        if isinstance(step, str):
            event.path.steps.add(key=step)
        else:
            event.path.steps.add(index=step)
    return event
