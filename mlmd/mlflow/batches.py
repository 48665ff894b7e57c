"""What is logged to a run: metrics, parameters and tags, one put a call, whatever it holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_MODELS, MLFLOW_RUN_NAME
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_metric,
    _validate_param,
    _validate_param_keys_unique,
    _validate_run_id,
    _validate_tag,
)

from mlmd.kinds import EXECUTION
from mlmd.mlflow.metrics import Point, logged
from mlmd.mlflow.nodes import string
from mlmd.recorder.words import PARAMETER, TAG

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlflow.entities import Metric, Param, RunTag

    from evlog.records import Value
    from mlmd.mlflow.models import Models
    from mlmd.mlflow.nodes import Nodes
    from mlmd.mlflow.runs import Runs
    from mlmd.proto import metadata_store_pb2 as pb


class Batches:
    """Logs to the runs of a store."""

    def __init__(self, nodes: Nodes, runs: Runs, models: Models) -> None:
        self._nodes, self._runs, self._models = nodes, runs, models

    def log(self, run_id: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]) -> None:
        """Log many things: all or nothing. Raises MlflowException."""
        _validate_run_id(run_id)
        metrics, params, tags = _validate_batch_log_data(metrics, params, tags)
        _validate_batch_log_limits(metrics, params, tags)
        _validate_param_keys_unique(params)
        self._put(run_id, metrics, params, tags)

    def log_metric(self, run_id: str, metric: Metric) -> None:
        """Log one value of a metric."""
        _validate_metric(metric.key, metric.value, metric.timestamp, metric.step)
        self._put(run_id, metrics=[metric])

    def log_param(self, run_id: str, param: Param) -> None:
        """Log one parameter."""
        self._put(run_id, params=[_validate_param(param.key, param.value)])

    def set_tag(self, run_id: str, tag: RunTag) -> None:
        """Set one tag."""
        self._put(run_id, tags=[_validate_tag(tag.key, tag.value)])

    def record_model(self, run_id: str, model: Model) -> None:
        """Add a model to those that a tag of the run lists: how MLflow 2 noted it."""
        if not isinstance(model, Model):
            raise TypeError(f"Argument 'mlflow_model' should be mlflow.models.Model, got '{type(model)}'")
        with self._nodes.alone(run_id):
            run = self._runs.active(run_id)
            listed = json.loads(string(run, TAG + MLFLOW_LOGGED_MODELS) or "[]")
            tag = _validate_tag(MLFLOW_LOGGED_MODELS, json.dumps([*listed, model.get_tags_dict()]))
            self._nodes.update(EXECUTION, [run.id], {TAG + tag.key: tag.value})

    def _put(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
    ) -> None:
        with self._nodes.alone(run_id):
            run = self._runs.active(run_id)
            values = self._params(run, params) if params else {}
            for tag in tags:
                # An empty name is none: the run keeps its own.
                if (tag.key != MLFLOW_RUN_NAME or tag.value) and string(run, f"{TAG}{tag.key}") != str(tag.value):
                    values[TAG + tag.key] = str(tag.value)
            if metrics:
                values |= logged(run, points_of(metrics))
            if values:
                self._nodes.update(EXECUTION, [run.id], values)
        self._models.log_metrics(run_id, [metric for metric in metrics if metric.model_id is not None])

    def _params(self, run: pb.Execution, params: Sequence[Param]) -> dict[str, Value | None]:
        """Return the new parameters. Raises MlflowException for one that has another value already."""
        values: dict[str, Value | None] = {}
        changed = []
        for param in params:
            value, before = str(param.value), string(run, f"{PARAMETER}{param.key}")
            if before is None:
                values[PARAMETER + param.key] = value
            elif before != value:
                changed.append({"key": param.key, "old_value": before, "new_value": value})
        if changed:
            raise MlflowException.invalid_parameter_value(
                f"Changing param values is not allowed. Params were already logged='{changed}' for run"
                f" ID='{run.external_id}'."
            )
        return values


def points_of(metrics: Iterable[Metric]) -> dict[str, list[Point]]:
    """Return the points of metrics by key, each once. Raises MlflowException for a number that is none of 64 bits."""
    points: dict[str, dict[Point, None]] = {}
    for metric in metrics:
        try:
            point = Point(int(metric.step), int(metric.timestamp), float(metric.value))
        except (TypeError, ValueError, OverflowError) as error:
            raise MlflowException.invalid_parameter_value(f"metric {metric.key!r}: {error}") from error
        points.setdefault(metric.key, {})[point] = None
    return {key: list(some) for key, some in points.items()}
