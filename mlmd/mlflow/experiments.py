"""Experiments: contexts of their own type, whose name is theirs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from mlflow.entities import Experiment, ExperimentTag, LifecycleStage, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes
from mlflow.utils.uri import append_to_uri_path, resolve_uri_if_local
from mlflow.utils.validation import (
    _parse_experiment_id,
    _validate_experiment_artifact_location_length,
    _validate_experiment_name,
    _validate_experiment_tag,
)

from mlmd.kinds import CONTEXT, EXECUTION
from mlmd.mlflow import words
from mlmd.mlflow.nodes import doubles, integer, string
from mlmd.recorder.words import TAG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.records import Value
    from mlmd.mlflow.nodes import Nodes
    from mlmd.proto import metadata_store_pb2 as pb

_RUNS_AT_ONCE: Final = 1_000  # Of an experiment that is deleted: so many in one record.
_DEFAULT_EXTERNAL: Final = f"{words.EXPERIMENT_TYPE}/{words.DEFAULT_ID}"


def now_ms() -> int:
    """Return the time, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def texts_of(node: Any, prefix: str) -> dict[str, str]:
    """Return the tags of a node, or its parameters, by key. prefix: what their properties begin with."""
    properties = node.custom_properties
    return {
        key.removeprefix(prefix): properties[key].string_value for key in sorted(properties) if key.startswith(prefix)
    }


def stage_of(node: Any) -> str:
    """Return whether an experiment, run or model is active or deleted."""
    return string(node, words.STAGE) or LifecycleStage.ACTIVE


def id_of(context: pb.Context) -> str:
    """Return what MLflow calls an experiment: 0 is the one that everybody has."""
    return words.DEFAULT_ID if context.external_id == _DEFAULT_EXTERNAL else str(context.id)


def experiment_of(context: pb.Context) -> Experiment:
    """Return an experiment as MLflow has it."""
    root = string(context, words.ARTIFACT_ROOT) or ""
    return Experiment(
        experiment_id=id_of(context),
        name=context.name,
        artifact_location=string(context, words.ARTIFACT_LOCATION) or append_to_uri_path(root, id_of(context)),
        lifecycle_stage=stage_of(context),
        tags=[ExperimentTag(key, value) for key, value in texts_of(context, TAG).items()],
        creation_time=context.create_time_since_epoch,
        last_update_time=integer(context, words.UPDATED_MS) or context.create_time_since_epoch,
    )


def refuse_deleted(experiment: Experiment) -> None:
    """Raise MlflowException where an experiment was deleted."""
    if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        raise MlflowException.invalid_parameter_value(
            f"The experiment {experiment.experiment_id} must be in the 'active' state."
            f" Current state is {experiment.lifecycle_stage}."
        )


class Experiments:
    """The experiments of a store. artifact_root: the folder of the files of those that name none."""

    def __init__(self, nodes: Nodes, artifact_root: str) -> None:
        self._nodes, self._root = nodes, artifact_root

    def make_default(self) -> None:
        """Make the experiment that everybody has, unless it is there."""
        if self._nodes.past or self._nodes.externals(CONTEXT, [_DEFAULT_EXTERNAL]):
            return
        try:
            self._make(Experiment.DEFAULT_EXPERIMENT_NAME, {}, external_id=_DEFAULT_EXTERNAL)
        except MlflowException:  # By another process at the same time.
            if not self._nodes.externals(CONTEXT, [_DEFAULT_EXTERNAL]):
                raise

    def create(self, name: str, artifact_location: str | None, tags: Sequence[ExperimentTag] | None) -> str:
        """Make an experiment and return its id."""
        _validate_experiment_name(name)
        values: dict[str, Value] = {}
        if artifact_location:
            values[words.ARTIFACT_LOCATION] = resolve_uri_if_local(artifact_location)
            _validate_experiment_artifact_location_length(values[words.ARTIFACT_LOCATION])
        for tag in tags or ():
            _validate_experiment_tag(tag.key, tag.value)
            values[TAG + tag.key] = str(tag.value)
        return str(self._make(name, values))

    def _make(self, name: str, values: dict[str, Value], **fields: Any) -> int:
        values = {words.ARTIFACT_ROOT: self._root, **values, words.STAGE: LifecycleStage.ACTIVE}
        if words.ARTIFACT_LOCATION in values:
            del values[words.ARTIFACT_ROOT]
        context = self._nodes.new(CONTEXT, words.EXPERIMENT_TYPE, values, name=name, **fields)
        told = f"Experiment(name={name}) already exists: take another name, or restore it if it was deleted"
        with doubles(told, codes.RESOURCE_ALREADY_EXISTS):
            return self._nodes.make(CONTEXT, [context])[0]

    def context(self, experiment_id: str | int | None, view_type: int = ViewType.ALL) -> pb.Context:
        """Return the context of an experiment. Raises MlflowException: RESOURCE_DOES_NOT_EXIST."""
        number = _parse_experiment_id(experiment_id or words.DEFAULT_ID)
        found = self._found(number)
        if found is None or stage_of(found) not in LifecycleStage.view_type_to_stages(view_type):
            raise MlflowException(f"No Experiment with id={number} exists", codes.RESOURCE_DOES_NOT_EXIST)
        return found

    def _found(self, number: int) -> pb.Context | None:
        if number == int(words.DEFAULT_ID):
            return self._nodes.external(CONTEXT, words.EXPERIMENT_TYPE, _DEFAULT_EXTERNAL)
        if not 0 < number < 2**63:
            return None
        found = self._nodes.of_ids(CONTEXT, [number])
        return found[0] if found and found[0].type == words.EXPERIMENT_TYPE and id_of(found[0]) != "0" else None

    def found(self, experiment_ids: Sequence[str]) -> list[pb.Context]:
        """Return the contexts of those that exist. Raises MlflowException for what is no id."""
        numbers = dict.fromkeys(_parse_experiment_id(one) for one in experiment_ids)
        return [context for number in numbers if (context := self._found(number)) is not None]

    def all(self) -> list[pb.Context]:
        """Return the contexts of all experiments."""
        return self._nodes.experiments()

    def get(self, experiment_id: str | None) -> Experiment:
        """Return an experiment."""
        return experiment_of(self.context(experiment_id))

    def named(self, name: str) -> Experiment | None:
        """Return the experiment with a name, deleted or not."""
        context = self._nodes.named(name) if isinstance(name, str) else None
        return None if context is None else experiment_of(context)

    def rename(self, experiment_id: str, name: str) -> None:
        """Give an experiment another name."""
        _validate_experiment_name(name)
        context = self.context(experiment_id)
        if stage_of(context) != LifecycleStage.ACTIVE:
            raise MlflowException("Cannot rename a non-active experiment.", codes.INVALID_STATE)
        with doubles(
            f"There is an experiment {name!r} already", codes.BAD_REQUEST
        ):  # As MLflow answers a database's refusal.
            self._nodes.update(CONTEXT, [context.id], {words.UPDATED_MS: now_ms()}, name=name)

    def delete(self, experiment_id: str) -> None:
        """Mark an experiment and its runs as deleted."""
        self._stage(self.context(experiment_id, ViewType.ACTIVE_ONLY), LifecycleStage.DELETED)

    def restore(self, experiment_id: str) -> None:
        """Take an experiment and its runs back."""
        self._stage(self.context(experiment_id, ViewType.DELETED_ONLY), LifecycleStage.ACTIVE)

    def _stage(self, context: pb.Context, stage: str) -> None:
        """Mark the runs first: who is interrupted begins again."""
        deleted_ms = now_ms() if stage == LifecycleStage.DELETED else None
        runs = [run.id for run in self._nodes.runs_of(context.id) if stage_of(run) != stage]
        for start in range(0, len(runs), _RUNS_AT_ONCE):
            some = runs[start : start + _RUNS_AT_ONCE]
            self._nodes.update(EXECUTION, some, {words.STAGE: stage, words.DELETED_MS: deleted_ms})
        self._nodes.update(CONTEXT, [context.id], {words.STAGE: stage, words.UPDATED_MS: now_ms()})

    def set_tag(self, experiment_id: str, tag: ExperimentTag) -> None:
        """Set a tag."""
        _validate_experiment_tag(tag.key, tag.value)
        context = self.context(experiment_id)
        refuse_deleted(experiment_of(context))
        self._nodes.update(CONTEXT, [context.id], {TAG + tag.key: str(tag.value)})

    def delete_tag(self, experiment_id: str, key: str) -> None:
        """Remove a tag."""
        context = self.context(experiment_id)
        refuse_deleted(experiment_of(context))
        if f"{TAG}{key}" not in context.custom_properties:
            raise MlflowException(
                f"No tag with name: {key} in experiment with id {experiment_id}", codes.RESOURCE_DOES_NOT_EXIST
            )
        self._nodes.update(CONTEXT, [context.id], {TAG + key: None})
