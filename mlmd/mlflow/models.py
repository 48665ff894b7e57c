"""Logged models: artifacts of type Model, each with the points of its own metrics."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from mlflow.entities import (
    LifecycleStage,
    LoggedModel,
    LoggedModelParameter,
    LoggedModelStatus,
    LoggedModelTag,
    Metric,
)
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.uri import append_to_uri_path
from mlflow.utils.validation import _validate_logged_model_name

from evlog.records import Struct
from mlmd.convert import properties_of
from mlmd.kinds import ARTIFACT
from mlmd.mlflow import words
from mlmd.mlflow.experiments import experiment_of, id_of, now_ms, refuse_deleted, stage_of, texts_of
from mlmd.mlflow.inputs import no_model
from mlmd.mlflow.nodes import integer, string
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.words import NAME, PARAMETER, TAG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.records import Value
    from mlmd.mlflow.experiments import Experiments
    from mlmd.mlflow.nodes import Nodes

_MODELS, _ARTIFACTS = "models", "artifacts"
_POINTS: Final = "points"


def model_of(artifact: pb.Artifact) -> LoggedModel:
    """Return a logged model as MLflow has it."""
    created_ms = integer(artifact, words.CREATED_MS) or artifact.create_time_since_epoch
    return LoggedModel(
        experiment_id=string(artifact, words.EXPERIMENT),
        model_id=artifact.external_id,
        name=string(artifact, NAME),
        artifact_location=artifact.uri,
        creation_timestamp=created_ms,
        last_updated_timestamp=integer(artifact, words.UPDATED_MS) or created_ms,
        model_type=string(artifact, words.KIND),
        source_run_id=string(artifact, words.SOURCE_RUN),
        status=LoggedModelStatus(string(artifact, words.STATUS) or LoggedModelStatus.READY.value),
        tags=texts_of(artifact, TAG) or None,
        params=texts_of(artifact, PARAMETER) or None,
        metrics=[metric_of(artifact.external_id, point) for point in points_of(artifact)] or None,
    )


def points_of(artifact: pb.Artifact) -> list[list[Any]]:
    """Return the points of a model's metrics as they are kept: see `words.METRICS`."""
    if words.METRICS not in artifact.custom_properties:
        return []
    kept = properties_of({words.METRICS: artifact.custom_properties[words.METRICS]})[words.METRICS]
    return kept.fields.get(_POINTS, []) if isinstance(kept, Struct) else []


def metric_of(model_id: str, point: Sequence[Any]) -> Metric:
    """Return a point as MLflow has it."""
    key, value, time_ms, step, run_id, name, digest = point
    return Metric(
        key,
        float(value),
        int(time_ms),
        int(step),
        model_id=model_id,
        run_id=run_id,
        dataset_name=name,
        dataset_digest=digest,
    )


class Models:
    """The logged models of a store."""

    def __init__(self, nodes: Nodes, experiments: Experiments) -> None:
        self._nodes, self._experiments = nodes, experiments

    def create(
        self,
        experiment_id: str,
        name: str | None,
        source_run_id: str | None,
        tags: Sequence[LoggedModelTag] | None,
        params: Sequence[LoggedModelParameter] | None,
        model_type: str | None,
    ) -> LoggedModel:
        """Make a model that is pending."""
        _validate_logged_model_name(name)
        context = self._experiments.context(experiment_id)
        experiment = experiment_of(context)
        refuse_deleted(experiment)
        model_id = f"m-{uuid.uuid4().hex}"
        created_ms = now_ms()
        optional = {words.SOURCE_RUN: source_run_id, words.KIND: model_type}
        values: dict[str, Value] = {
            NAME: name or _generate_random_name(),
            words.EXPERIMENT: id_of(context),
            words.STAGE: LifecycleStage.ACTIVE,
            words.STATUS: LoggedModelStatus.PENDING.value,
            words.CREATED_MS: created_ms,
            words.UPDATED_MS: created_ms,
            **{key: value for key, value in optional.items() if value is not None},
            **{TAG + tag.key: str(tag.value) for tag in tags or ()},
            **{PARAMETER + param.key: str(param.value) for param in params or ()},
        }
        location = append_to_uri_path(experiment.artifact_location, _MODELS, model_id, _ARTIFACTS)
        artifact = self._nodes.new(
            ARTIFACT, words.MODEL_TYPE, values, external_id=model_id, uri=location, state=pb.Artifact.PENDING
        )
        self._nodes.belong(self._nodes.make(ARTIFACT, [artifact]), context.id)
        return model_of(artifact)

    def artifact(self, model_id: str) -> pb.Artifact:
        """Return the artifact of a model, deleted or not. Raises MlflowException: RESOURCE_DOES_NOT_EXIST."""
        found = self._nodes.external(ARTIFACT, words.MODEL_TYPE, model_id) if isinstance(model_id, str) else None
        if found is None:
            raise no_model(model_id)
        return found

    def get(self, model_id: str, *, allow_deleted: bool) -> LoggedModel:
        """Return a model."""
        artifact = self.artifact(model_id)
        if stage_of(artifact) != LifecycleStage.ACTIVE and not allow_deleted:
            raise no_model(model_id)
        return model_of(artifact)

    def delete(self, model_id: str) -> None:
        """Mark a model as deleted, for everybody."""
        values: dict[str, Value | None] = {words.STAGE: LifecycleStage.DELETED, words.UPDATED_MS: now_ms()}
        self._nodes.update(ARTIFACT, [self.artifact(model_id).id], values, state=pb.Artifact.MARKED_FOR_DELETION)

    def finalize(self, model_id: str, status: LoggedModelStatus) -> LoggedModel:
        """Say what became of a model."""
        values: dict[str, Value | None] = {words.STATUS: status.value, words.UPDATED_MS: now_ms()}
        artifact = self.artifact(model_id)
        ready = {LoggedModelStatus.READY: pb.Artifact.LIVE, LoggedModelStatus.FAILED: pb.Artifact.ABANDONED}
        state = artifact.state if stage_of(artifact) != LifecycleStage.ACTIVE else ready.get(status, artifact.state)
        self._nodes.update(ARTIFACT, [artifact.id], values, state=state)
        return model_of(self.artifact(model_id))

    def set_tags(self, model_id: str, tags: Sequence[LoggedModelTag]) -> None:
        """Set tags of a model."""
        artifact = self.artifact(model_id)
        if tags:
            self._nodes.update(ARTIFACT, [artifact.id], {TAG + tag.key: str(tag.value) for tag in tags})

    def delete_tag(self, model_id: str, key: str) -> None:
        """Remove a tag of a model."""
        artifact = self.artifact(model_id)
        if f"{TAG}{key}" not in artifact.custom_properties:
            raise MlflowException(
                f"No tag with key {key!r} found for model with ID {model_id!r}.", codes.RESOURCE_DOES_NOT_EXIST
            )
        self._nodes.update(ARTIFACT, [artifact.id], {TAG + key: None})

    def log_params(self, model_id: str, params: Sequence[LoggedModelParameter]) -> None:
        """Add parameters to a model. Raises MlflowException for one that it has."""
        with self._nodes.alone(model_id):
            artifact = self.artifact(model_id)
            for param in params:
                if f"{PARAMETER}{param.key}" in artifact.custom_properties:
                    raise MlflowException(f"The model {model_id} has the parameter {param.key!r}", codes.BAD_REQUEST)
            if params:
                self._nodes.update(ARTIFACT, [artifact.id], {PARAMETER + one.key: str(one.value) for one in params})

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Log values of metrics of models, that a run measured. The same once more changes nothing."""
        for model_id in dict.fromkeys(metric.model_id for metric in metrics):
            with self._nodes.alone(model_id):
                artifact = self.artifact(model_id)
                points = points_of(artifact)
                known = {repr(point) for point in points}
                for one in metrics:
                    if one.model_id != model_id:
                        continue
                    # Integers as texts: a number of a struct is a double.
                    point = [
                        one.key,
                        float(one.value),
                        str(int(one.timestamp)),
                        str(int(one.step)),
                        run_id,
                        one.dataset_name,
                        one.dataset_digest,
                    ]
                    if repr(point) not in known:
                        known.add(repr(point))
                        points.append(point)
                self._nodes.update(ARTIFACT, [artifact.id], {words.METRICS: Struct({_POINTS: points})})
