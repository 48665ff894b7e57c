"""Search for logged models: those of the experiments are read, then MLflow's filter and order are applied to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from mlflow.entities import LifecycleStage, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT
from mlflow.utils.search_utils import SearchLoggedModelsPaginationToken
from mlflow.utils.validation import _parse_experiment_ids

from mlmd.finding import Find
from mlmd.mlflow import words
from mlmd.mlflow.clauses import compare
from mlmd.mlflow.experiments import stage_of
from mlmd.mlflow.metrics import compared
from mlmd.mlflow.models import model_of
from mlmd.recorder.values import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow.entities import LoggedModel

    from mlmd.mlflow.nodes import Nodes

_ATTRIBUTES: Final[dict[str, Callable[[LoggedModel], Any]]] = {
    "model_id": lambda model: model.model_id,
    "name": lambda model: model.name,
    "experiment_id": lambda model: int(model.experiment_id),
    "artifact_location": lambda model: model.artifact_location,
    "creation_timestamp_ms": lambda model: model.creation_timestamp,
    "last_updated_timestamp_ms": lambda model: model.last_updated_timestamp,
    "model_type": lambda model: model.model_type,
    "source_run_id": lambda model: model.source_run_id,
    "status_message": lambda model: model.status_message,
    "status": lambda model: model.status.to_int(),
    "lifecycle_stage": lambda _: LifecycleStage.ACTIVE,
}
_ALIASES: Final = {
    "creation_time": "creation_timestamp_ms",
    "creation_timestamp": "creation_timestamp_ms",
    "last_updated_timestamp": "last_updated_timestamp_ms",
}
_STATUS: Final = ("=", "!=", "IN", "NOT IN")
Datasets: TypeAlias = Sequence[Mapping[str, Any]]


class _Key(NamedTuple):
    value: Callable[[LoggedModel], Any]
    ascending: bool


def search_models(
    nodes: Nodes,
    experiment_ids: Sequence[str],
    filter_string: str | None,
    datasets: Datasets | None,
    max_results: int | None,
    order_by: Sequence[dict[str, Any]] | None,
    page_token: str | None,
) -> PagedList[LoggedModel]:
    """Return a page of models. Raises MlflowException."""
    # Here, because it needs SQLAlchemy, which a client without a database may lack.
    from mlflow.utils.search_logged_model_utils import parse_filter_string  # noqa: PLC0415

    if datasets and not all(one.get("dataset_name") for one in datasets):
        raise MlflowException.invalid_parameter_value("`dataset_name` in the `datasets` clause must be specified.")
    offset = _offset(page_token, experiment_ids, filter_string, order_by)
    comparisons = parse_filter_string(filter_string)
    passing = [_clause(one, datasets) for one in comparisons]
    if datasets and not any(one.entity.type.value == "metrics" for one in comparisons):
        passing.append(lambda model: any(_measured_on(metric, datasets) for metric in model.metrics or ()))
    keys = _keys(order_by, datasets)
    found = [one for one in _of_experiments(nodes, experiment_ids) if all(passes(one) for passes in passing)]
    for key in reversed(keys):
        with_value = [(value, one) for one in found if (value := key.value(one)) is not None]
        with_value.sort(key=lambda one: one[0], reverse=not key.ascending)
        found = [one for _, one in with_value] + [one for one in found if key.value(one) is None]
    stop = offset + (max_results or SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT)
    token = None
    if len(found) > stop:
        token = SearchLoggedModelsPaginationToken(
            offset=stop, experiment_ids=experiment_ids, filter_string=filter_string, order_by=order_by
        ).encode()
    return PagedList(found[offset:stop], token=token)


def _offset(token: str | None, experiment_ids: Any, filter_string: str | None, order_by: Any) -> int:
    if not token:
        return 0
    decoded = SearchLoggedModelsPaginationToken.decode(token)
    decoded.validate(experiment_ids, filter_string, order_by)
    return decoded.offset


def _of_experiments(nodes: Nodes, experiment_ids: Sequence[str]) -> list[LoggedModel]:
    ids = ", ".join(quoted(str(one)) for one in _parse_experiment_ids(experiment_ids))
    if not ids:
        return []
    query = f"type = '{words.MODEL_TYPE}' AND custom_properties.`{words.EXPERIMENT}`.string_value IN ({ids})"
    return [model_of(one) for one in nodes.found(Find("artifact", query)) if stage_of(one) != LifecycleStage.DELETED]


def _clause(comparison: Any, datasets: Datasets | None) -> Callable[[LoggedModel], bool]:
    """Return the check of a comparison. Raises MlflowException for what MLflow refuses."""
    kind, key = comparison.entity.type.value, comparison.entity.key
    comparator, wanted = comparison.op, comparison.value
    if kind == "metrics":
        return lambda model: compare(_last(model, key, datasets), comparator, wanted)
    if kind == "params":
        return lambda model: compare(model.params.get(key), comparator, wanted)
    if kind == "tags":
        return lambda model: compare(model.tags.get(key), comparator, wanted)
    if key == "status":
        wanted = _statuses(comparator, wanted)
    value = _attribute(key)
    return lambda model: compare(value(model), comparator, wanted)


def _attribute(name: str) -> Callable[[LoggedModel], Any]:
    found = _ATTRIBUTES.get(_ALIASES.get(name, name))
    if found is None:
        raise MlflowException.invalid_parameter_value(f"Logged models have no attribute {name!r}")
    return found


def _statuses(comparator: str, wanted: Any) -> Any:
    if comparator not in _STATUS:
        raise MlflowException.invalid_parameter_value(f"Invalid comparison operator for status: {comparator}")
    many = comparator in ("IN", "NOT IN")
    try:
        numbers = [LoggedModelStatus(one).to_int() for one in (wanted if many else (wanted,))]
    except ValueError as error:
        raise MlflowException.invalid_parameter_value(f"Unknown model status in filter: {wanted!r}") from error
    return numbers if many else numbers[0]


def _measured_on(metric: Any, datasets: Datasets | None) -> bool:
    return not datasets or any(
        metric.dataset_name == one["dataset_name"]
        and ("dataset_digest" not in one or metric.dataset_digest == one["dataset_digest"])
        for one in datasets
    )


def _last(model: LoggedModel, key: str, *wanted: Datasets | None) -> float | None:
    """Return the last value of a model's metric, of what was measured on these datasets."""
    points = [
        (metric.step, metric.timestamp, compared(metric.value))
        for metric in model.metrics or ()
        if metric.key == key and all(_measured_on(metric, datasets) for datasets in wanted)
    ]
    return max(points)[-1] if points else None


def _keys(order_by: Sequence[dict[str, Any]] | None, datasets: Datasets | None) -> list[_Key]:
    keys, named = [], set()
    for one in order_by or ():
        name, ascending = one.get("field_name") or "", one.get("ascending", True)
        if "." not in name:
            keys.append(_Key(_attribute(name), ascending))
            named.add(_ALIASES.get(name, name))
            continue
        entity, key = name.split(".", 1)
        if entity != "metrics":
            raise MlflowException.invalid_parameter_value(
                f"Invalid order by field name: {name}. Only metrics are supported."
            )
        keys.append(_Key(_metric_of(key, one, datasets), ascending))
    for name, ascending in (("creation_timestamp_ms", False), ("model_id", True)):
        if name not in named:
            keys.append(_Key(_attribute(name), ascending))
    return keys


def _metric_of(key: str, order: Mapping[str, Any], datasets: Datasets | None) -> Callable[[LoggedModel], Any]:
    own = {name: order[name] for name in ("dataset_name", "dataset_digest") if order.get(name)}
    wanted = [own] if "dataset_name" in own else None
    return lambda model: _last(model, key, datasets, wanted)
