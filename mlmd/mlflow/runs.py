"""Runs: executions of their own type, which belong to the context of their experiment."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from mlflow.entities import (
    LifecycleStage,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.uri import append_to_uri_path

from mlmd.kinds import EXECUTION
from mlmd.mlflow import words
from mlmd.mlflow.experiments import experiment_of, id_of, now_ms, refuse_deleted, stage_of
from mlmd.mlflow.inputs import outputs_of
from mlmd.mlflow.metrics import shown
from mlmd.mlflow.nodes import integer, string
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.words import ENDED_MS, METRIC, PARAMETER, TAG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.records import Value
    from mlmd.mlflow.experiments import Experiments
    from mlmd.mlflow.inputs import Inputs
    from mlmd.mlflow.nodes import Nodes

_ARTIFACTS: Final = "artifacts"
STATES: Final = {
    "SCHEDULED": pb.Execution.NEW,
    "RUNNING": pb.Execution.RUNNING,
    "FINISHED": pb.Execution.COMPLETE,
    "FAILED": pb.Execution.FAILED,
    "KILLED": pb.Execution.CANCELED,
}
STATUSES: Final = {**{state: status for status, state in STATES.items()}, pb.Execution.CACHED: "FINISHED"}


def status_of(run: pb.Execution) -> str:
    """Return a run's status."""
    return STATUSES.get(run.last_known_state, "RUNNING")


def name_of(run: pb.Execution) -> str | None:
    """Return a run's name, also one whose tag is gone."""
    return string(run, TAG + MLFLOW_RUN_NAME) or string(run, words.RUN_NAME)


def info_of(run: pb.Execution) -> RunInfo:
    """Return what MLflow says of a run itself."""
    return RunInfo(
        run_id=run.external_id,
        experiment_id=string(run, words.EXPERIMENT),
        user_id=string(run, words.USER),
        status=status_of(run),
        start_time=integer(run, words.START_MS),
        end_time=integer(run, ENDED_MS),
        lifecycle_stage=stage_of(run),
        artifact_uri=string(run, words.ARTIFACT_URI),
        run_name=name_of(run),
    )


def data_of(run: pb.Execution) -> RunData:
    """Return parameters, last values of metrics, and tags of a run."""
    metrics, params, tags = [], [], []
    properties = dict(run.custom_properties)  # Once, because each look into a map of messages costs.
    for name, value in properties.items():
        prefix, key = name[:2], name[2:]
        if prefix == METRIC:
            step, time_ms = properties.get(words.STEP + key), properties.get(words.TIME_MS + key)
            metrics.append(
                Metric(
                    key,
                    shown(value.double_value),
                    0 if time_ms is None else time_ms.int_value,
                    0 if step is None else step.int_value,
                )
            )
        elif prefix == PARAMETER:
            params.append(Param(key, value.string_value))
        elif prefix == TAG:
            tags.append(RunTag(key, value.string_value))
    return RunData(metrics, params, tags)


assert len(METRIC) == len(PARAMETER) == len(TAG) == len("x."), "`data_of` cuts there"


class Runs:
    """The runs of a store."""

    def __init__(self, nodes: Nodes, experiments: Experiments, inputs: Inputs) -> None:
        self._nodes, self._experiments, self._inputs = nodes, experiments, inputs

    def create(
        self,
        experiment_id: str,
        user_id: str | None,
        start_ms: int | None,
        tags: Sequence[RunTag] | None,
        name: str | None,
    ) -> Run:
        """Begin a run."""
        context = self._experiments.context(experiment_id)
        experiment = experiment_of(context)
        refuse_deleted(experiment)
        values: dict[str, Value] = {TAG + tag.key: str(tag.value) for tag in tags or ()}
        tagged = values.get(TAG + MLFLOW_RUN_NAME)
        if name and tagged and name != tagged:
            raise MlflowException.invalid_parameter_value(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values"
                f" (run_name='{name}', mlflow.runName='{tagged}')."
            )
        values[TAG + MLFLOW_RUN_NAME] = name or tagged or _generate_random_name()
        run_id = uuid.uuid4().hex
        values |= {
            words.EXPERIMENT: id_of(context),
            words.STAGE: LifecycleStage.ACTIVE,
            words.ARTIFACT_URI: append_to_uri_path(experiment.artifact_location, run_id, _ARTIFACTS),
        }
        values |= {
            key: value for key, value in ((words.USER, user_id), (words.START_MS, start_ms)) if value is not None
        }
        run = self._nodes.new(
            EXECUTION, words.RUN_TYPE, values, external_id=run_id, last_known_state=pb.Execution.RUNNING
        )
        self._nodes.make_run(run, context.id)
        return Run(info_of(run), data_of(run), RunInputs(dataset_inputs=[]))

    def found(self, run_id: str) -> pb.Execution | None:
        """Return the execution of a run, None where there is none."""
        return self._nodes.external(EXECUTION, words.RUN_TYPE, run_id) if isinstance(run_id, str) else None

    def execution(self, run_id: str) -> pb.Execution:
        """Return the execution of a run. Raises MlflowException: RESOURCE_DOES_NOT_EXIST."""
        found = self.found(run_id)
        if found is None:
            raise MlflowException(f"Run with id={run_id} not found", codes.RESOURCE_DOES_NOT_EXIST)
        return found

    def active(self, run_id: str) -> pb.Execution:
        """Return the execution of a run that was not deleted, which alone may change. Raises MlflowException."""
        run = self.execution(run_id)
        if stage_of(run) != LifecycleStage.ACTIVE:
            raise MlflowException.invalid_parameter_value(
                f"The run {run_id} must be in the 'active' state. Current state is {stage_of(run)}."
            )
        return run

    def get(self, run_id: str) -> Run:
        """Return a run, with its inputs and outputs."""
        return self.whole([self.execution(run_id)])[0]

    def whole(self, executions: Sequence[pb.Execution], *, model_inputs: bool = True) -> list[Run]:
        """Return runs, with their inputs and outputs, in the order given. model_inputs: MLflow's search leaves these out."""
        events: dict[int, list[pb.Event]] = {run.id: [] for run in executions}
        for event in self._nodes.events_of_runs(list(events)):
            events[event.execution_id].append(event)
        artifacts = self._inputs.artifacts(event for some in events.values() for event in some)
        return [
            Run(
                info_of(run),
                data_of(run),
                self._inputs.inputs_of(events[run.id], artifacts, models=model_inputs),
                RunOutputs(outputs_of(events[run.id], artifacts)),
            )
            for run in executions
        ]

    def update(self, run_id: str, status: int | None, end_ms: int | None, name: str | None) -> RunInfo:
        """Change the status, end or name of a run, as far as they are given."""
        with self._nodes.alone(run_id):
            run = self.active(run_id)
            values: dict[str, Value | None] = {}
            fields: dict[str, Any] = {}
            if status is not None:
                fields["last_known_state"] = STATES[RunStatus.to_string(status)]
            if end_ms is not None:
                values[ENDED_MS] = end_ms
            if name:
                values[TAG + MLFLOW_RUN_NAME] = name
            if values or fields:
                self._nodes.update(EXECUTION, [run.id], values, **fields)
                run = self.execution(run_id)
        return info_of(run)

    def stage(self, run_id: str, stage: str) -> None:
        """Mark a run as deleted, or take it back."""
        deleted_ms = now_ms() if stage == LifecycleStage.DELETED else None
        self._nodes.update(EXECUTION, [self.execution(run_id).id], {words.STAGE: stage, words.DELETED_MS: deleted_ms})

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag. A run keeps the name that its tag had."""
        with self._nodes.alone(run_id):
            run = self.active(run_id)
            value = string(run, f"{TAG}{key}")
            if value is None:
                raise MlflowException(f"No tag with name: {key} in run with id {run_id}", codes.RESOURCE_DOES_NOT_EXIST)
            values: dict[str, Value | None] = {TAG + key: None}
            if key == MLFLOW_RUN_NAME:
                values[words.RUN_NAME] = value
            self._nodes.update(EXECUTION, [run.id], values)
