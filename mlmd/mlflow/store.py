"""The tracking store that MLflow loads for `evlog://...`: each method hands on to the part that knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow.entities import LifecycleStage, ViewType
from mlflow.entities.metric import MetricWithRunId
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_MAX_RESULTS_DEFAULT
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.search_utils import SearchUtils
from mlflow.utils.uri import resolve_uri_if_local
from mlflow.utils.validation import _validate_dataset_inputs, _validate_run_id

from mlmd.mlflow import words
from mlmd.mlflow.address import address_of
from mlmd.mlflow.batches import Batches
from mlmd.mlflow.experiments import Experiments
from mlmd.mlflow.inputs import Inputs
from mlmd.mlflow.metrics import Point, history
from mlmd.mlflow.models import Models
from mlmd.mlflow.nodes import Nodes, string
from mlmd.mlflow.runs import Runs
from mlmd.mlflow.searching import Search
from mlmd.mlflow.searching_experiments import search_experiments
from mlmd.mlflow.searching_models import search_models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mlflow.entities import (
        DatasetInput,
        Experiment,
        ExperimentTag,
        LoggedModel,
        LoggedModelInput,
        LoggedModelOutput,
        LoggedModelParameter,
        LoggedModelStatus,
        LoggedModelTag,
        Metric,
        Param,
        Run,
        RunInfo,
        RunTag,
    )

# What works as AbstractStore has it. All else that it has and we have not is for what an evlog store does not keep.
_INHERITED: Final = (
    "search_runs",
    "filter_active_experiment_ids",
    "log_batch_async",
    "log_metric_async",
    "log_param_async",
    "set_tag_async",
    "end_async_logging",
    "flush_async_logging",
    "shut_down_async_logging",
)


class TrackingStore(AbstractStore):
    """Experiments, runs, datasets and logged models of MLflow, as nodes of ML Metadata: see docs/mlflow.md."""

    def __init__(self, store_uri: str | None = None, artifact_uri: str | None = None) -> None:
        """Open what a URI names. artifact_uri: the folder for files; beside the store by default. Raises MlflowException."""
        super().__init__()
        address = address_of(store_uri or "")
        self._nodes = nodes = Nodes(address)
        self._experiments = Experiments(nodes, resolve_uri_if_local(artifact_uri or str(address.artifacts)))
        self._experiments.make_default()
        self._inputs = Inputs(nodes)
        self._models = Models(nodes, self._experiments)
        self._runs = Runs(nodes, self._experiments, self._inputs)
        self._batches = Batches(nodes, self._runs, self._models)
        self._search = Search(nodes, self._experiments, self._runs, self._inputs)

    # Experiments ------------------------------------------------------------------------------------------------------

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = SEARCH_MAX_RESULTS_DEFAULT,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """See AbstractStore."""
        return search_experiments(self._experiments, view_type, max_results, filter_string, order_by, page_token)

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: list[ExperimentTag] | None = None
    ) -> str:
        """See AbstractStore."""
        return self._experiments.create(name, artifact_location, tags)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """See AbstractStore."""
        return self._experiments.get(experiment_id)

    def get_experiment_by_name(self, experiment_name: str) -> Experiment | None:
        """See AbstractStore."""
        return self._experiments.named(experiment_name)

    def delete_experiment(self, experiment_id: str) -> None:
        """See AbstractStore."""
        self._experiments.delete(experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        """See AbstractStore."""
        self._experiments.restore(experiment_id)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """See AbstractStore."""
        self._experiments.rename(experiment_id, new_name)

    def set_experiment_tag(self, experiment_id: str, tag: ExperimentTag) -> None:
        """See AbstractStore."""
        self._experiments.set_tag(experiment_id, tag)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """See AbstractStore."""
        self._experiments.delete_tag(experiment_id, key)

    # Runs -------------------------------------------------------------------------------------------------------------

    def create_run(
        self, experiment_id: str, user_id: str, start_time: int, tags: list[RunTag], run_name: str | None
    ) -> Run:
        """See AbstractStore."""
        return self._runs.create(experiment_id, user_id, start_time, tags, run_name)

    def get_run(self, run_id: str) -> Run:
        """See AbstractStore."""
        return self._runs.get(run_id)

    def update_run_info(
        self, run_id: str, run_status: int | None, end_time: int | None, run_name: str | None
    ) -> RunInfo:
        """See AbstractStore."""
        return self._runs.update(run_id, run_status, end_time, run_name)

    def delete_run(self, run_id: str) -> None:
        """See AbstractStore."""
        self._runs.stage(run_id, LifecycleStage.DELETED)

    def restore_run(self, run_id: str) -> None:
        """See AbstractStore."""
        self._runs.stage(run_id, LifecycleStage.ACTIVE)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag of a run."""
        self._runs.delete_tag(run_id, key)

    def _search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str | None,
        run_view_type: int,
        max_results: int | None,
        order_by: list[str] | None,
        page_token: str | None,
    ) -> tuple[list[Run], str | None]:
        return self._search.runs(experiment_ids, filter_string, run_view_type, max_results, order_by, page_token)

    # Logging ----------------------------------------------------------------------------------------------------------

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
    ) -> None:
        """See AbstractStore."""
        self._batches.log(run_id, metrics, params, tags)

    def log_metric(self, run_id: str, metric: Metric) -> None:
        """See AbstractStore."""
        self._batches.log_metric(run_id, metric)

    def log_param(self, run_id: str, param: Param) -> None:
        """See AbstractStore."""
        self._batches.log_param(run_id, param)

    def set_tag(self, run_id: str, tag: RunTag) -> None:
        """See AbstractStore."""
        self._batches.set_tag(run_id, tag)

    def record_logged_model(self, run_id: str, mlflow_model: Any) -> None:
        """See AbstractStore."""
        self._batches.record_model(run_id, mlflow_model)

    def log_inputs(
        self,
        run_id: str,
        datasets: list[DatasetInput] | None = None,
        models: list[LoggedModelInput] | None = None,
    ) -> None:
        """See AbstractStore."""
        _validate_run_id(run_id)
        if datasets is not None:
            if not isinstance(datasets, list):
                raise TypeError(f"Argument 'datasets' should be a list, got '{type(datasets)}'")
            _validate_dataset_inputs(datasets)
        with self._nodes.alone(run_id):
            run = self._runs.active(run_id)
            experiment = self._experiments.context(string(run, words.EXPERIMENT))
            self._inputs.log(run, experiment.id, datasets or [], models or [])

    def log_outputs(self, run_id: str, models: list[LoggedModelOutput]) -> None:
        """See AbstractStore."""
        with self._nodes.alone(run_id):
            self._inputs.log_outputs(self._runs.active(run_id), models)

    # Histories of metrics ---------------------------------------------------------------------------------------------

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> PagedList[Metric]:
        """See AbstractStore."""
        points = self._history(run_id, metric_key)
        offset = SearchUtils.parse_start_offset_from_page_token(page_token)
        stop = None if max_results is None else offset + max_results
        token = SearchUtils.create_page_token(stop) if stop is not None and len(points) > stop else None
        return PagedList([point.metric(metric_key) for point in points[offset:stop]], token)

    def get_metric_history_bulk(
        self, run_ids: Iterable[str], metric_key: str, max_results: int
    ) -> list[MetricWithRunId]:
        """Return the histories of several runs, by the run's id, `max_results` values at most."""
        found: list[MetricWithRunId] = []
        for run_id in sorted(set(run_ids)):
            points = self._history(run_id, metric_key)
            found += _of_run(run_id, metric_key, points[: max_results - len(found)])
        return found

    def get_metric_history_bulk_interval_from_steps(
        self, run_id: str, metric_key: str, steps: Iterable[int], max_results: int
    ) -> list[MetricWithRunId]:
        """See AbstractStore."""
        wanted = set(steps)
        points = [point for point in self._history(run_id, metric_key) if point.step in wanted]
        return _of_run(run_id, metric_key, _by_step(points)[:max_results])

    def get_metric_history_bulk_interval(
        self,
        run_ids: list[str],
        metric_key: str,
        max_results: int,
        start_step: int | None,
        end_step: int | None,
    ) -> list[MetricWithRunId]:
        """See AbstractStore."""
        if (start_step is None) != (end_step is None):
            raise MlflowException.invalid_parameter_value("Give both start_step and end_step, or neither")
        found: list[MetricWithRunId] = []
        for run_id in run_ids:
            points = _by_step(self._history(run_id, metric_key))
            if start_step is not None and end_step is not None:
                points = [point for point in points if start_step <= point.step <= end_step]
            found += _of_run(run_id, metric_key, sampled(points, max(1, max_results)))
        return found

    def get_max_step_for_metric(self, run_id: str, metric_key: str) -> int:
        """Return the highest step of a metric's values, 0 where there is none."""
        return max((point.step for point in self._history(run_id, metric_key)), default=0) or 0

    def _history(self, run_id: str, metric_key: str) -> list[Point]:
        """Return a metric's points; none of a run that is not there, as MLflow's database has it."""
        run = self._runs.found(run_id)
        return [] if run is None else history(self._nodes, run, metric_key)

    # Logged models ----------------------------------------------------------------------------------------------------

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: list[LoggedModelTag] | None = None,
        params: list[LoggedModelParameter] | None = None,
        model_type: str | None = None,
    ) -> LoggedModel:
        """See AbstractStore."""
        return self._models.create(experiment_id, name, source_run_id, tags, params, model_type)

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> LoggedModel:
        """See AbstractStore."""
        return self._models.get(model_id, allow_deleted=allow_deleted)

    def search_logged_models(
        self,
        experiment_ids: list[str],
        filter_string: str | None = None,
        datasets: list[dict[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: list[dict[str, Any]] | None = None,
        page_token: str | None = None,
    ) -> PagedList[LoggedModel]:
        """See AbstractStore."""
        return search_models(self._nodes, experiment_ids, filter_string, datasets, max_results, order_by, page_token)

    def finalize_logged_model(self, model_id: str, status: LoggedModelStatus) -> LoggedModel:
        """See AbstractStore."""
        return self._models.finalize(model_id, status)

    def set_logged_model_tags(self, model_id: str, tags: list[LoggedModelTag]) -> None:
        """See AbstractStore."""
        self._models.set_tags(model_id, tags)

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """See AbstractStore."""
        self._models.delete_tag(model_id, key)

    def log_logged_model_params(self, model_id: str, params: list[LoggedModelParameter]) -> None:
        """Add parameters to a model."""
        self._models.log_params(model_id, params)

    def delete_logged_model(self, model_id: str) -> None:
        """See AbstractStore."""
        self._models.delete(model_id)


def _by_step(points: list[Point]) -> list[Point]:
    return sorted(points, key=lambda point: point.rank)


def _of_run(run_id: str, key: str, points: Iterable[Point]) -> list[MetricWithRunId]:
    return [MetricWithRunId(run_id=run_id, metric=point.metric(key)) for point in points]


def sampled(points: Sequence[Point], count: int) -> list[Point]:
    """Return `count` points, evenly spread, the last one among them; all where there are no more."""
    if len(points) <= count:
        return list(points)
    # The first of each of `count` parts, the longer ones first, as SQL's `ntile` makes them.
    size, longer = divmod(len(points), count)
    chosen = [points[part * size + min(part, longer)] for part in range(count)]
    if chosen[-1] != points[-1]:
        chosen[-1] = points[-1]
    return chosen


def _absent(name: str) -> Callable[..., Any]:
    """Return the method that refuses a call."""

    def method(*_arguments: object, **_options: object) -> Any:
        raise MlflowException(
            f"{name}: an evlog store keeps experiments, runs, datasets and logged models; for traces, evaluation, and the"
            " gateway take a database of MLflow",
            codes.NOT_IMPLEMENTED,
        )

    return method


def absent() -> list[str]:
    """Return the methods of AbstractStore that are refused."""
    known = {*vars(TrackingStore), *_INHERITED}
    names = (name for name in dir(AbstractStore) if not name.startswith(("_", "supports_")))
    return [name for name in names if name not in known and callable(getattr(AbstractStore, name))]


ABSENT: Final = tuple(absent())
for _name in ABSENT:
    setattr(TrackingStore, _name, _absent(_name))
