"""Search for experiments: all are read, because there are few."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils
from mlflow.utils.validation import _parse_experiment_id

from mlmd.mlflow.clauses import compare
from mlmd.mlflow.experiments import experiment_of
from mlmd.mlflow.searching import check_max_results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlflow.entities import Experiment

    from mlmd.mlflow.experiments import Experiments

_DEFAULT_ORDER: Final = ("creation_time DESC", "experiment_id ASC")
_TEXT: Final = ("=", "!=", "LIKE", "ILIKE")
_NUMBER: Final = ("=", "!=", "<", "<=", ">", ">=")
_IDS: Final = ("=", "!=", "IN", "NOT IN")


def search_experiments(
    experiments: Experiments,
    view_type: int,
    max_results: int,
    filter_string: str | None,
    order_by: Sequence[str] | None,
    page_token: str | None,
) -> PagedList[Experiment]:
    """Return a page of experiments. Raises MlflowException."""
    check_max_results(max_results)
    passing = [_clause(one) for one in SearchExperimentsUtils.parse_search_filter(filter_string)]
    keys = _keys(order_by)
    offset = SearchUtils.parse_start_offset_from_page_token(page_token)
    stages = LifecycleStage.view_type_to_stages(view_type)
    found = [one for context in experiments.all() if (one := experiment_of(context)).lifecycle_stage in stages]
    found = [one for one in found if all(passes(one) for passes in passing)]
    for key, ascending in reversed(keys):
        found.sort(key=partial(_value, key), reverse=not ascending)
    stop = offset + max_results
    return PagedList(found[offset:stop], SearchUtils.create_page_token(stop) if len(found) > stop else None)


def _value(key: str, experiment: Experiment) -> Any:
    value = getattr(experiment, key)
    return int(value) if key == "experiment_id" else value


def _keys(order_by: Sequence[str] | None) -> list[tuple[str, bool]]:
    keys = []
    for clause in order_by or _DEFAULT_ORDER:
        kind, key, ascending = SearchExperimentsUtils.parse_order_by_for_search_experiments(clause)
        if kind != "attribute":
            raise MlflowException.invalid_parameter_value(f"Invalid order_by entity: {kind}")
        keys.append((key, ascending))
    if all(key != "experiment_id" for key, _ in keys):
        keys.append(("experiment_id", False))
    return keys


def _clause(comparison: dict[str, Any]) -> Callable[[Experiment], bool]:
    """Return the check of a comparison. Raises MlflowException for what MLflow refuses."""
    kind, key, wanted = comparison["type"], comparison["key"], comparison["value"]
    comparator = comparison["comparator"].upper()
    if kind == "tag":
        if not comparator.startswith("IS "):
            _refuse_other(comparator, _TEXT, "tag")
        return lambda one: compare(one.tags.get(key), comparator, wanted)
    if kind != "attribute":
        raise MlflowException.invalid_parameter_value(f"Invalid token type: {kind}")
    if key == "experiment_id":
        _refuse_other(comparator, _IDS, "experiment_id")
        wanted = tuple(map(_parse_experiment_id, wanted)) if isinstance(wanted, tuple) else _parse_experiment_id(wanted)
    elif SearchExperimentsUtils.is_numeric_attribute(kind, key, comparator):
        _refuse_other(comparator, _NUMBER, "numeric attribute")
        wanted = _integer(key, wanted)
    elif SearchExperimentsUtils.is_string_attribute(kind, key, comparator):
        _refuse_other(comparator, _TEXT, "string attribute")
    return lambda one: compare(_value(key, one), comparator, wanted)


def _refuse_other(comparator: str, known: Sequence[str], what: str) -> None:
    if comparator not in known:
        raise MlflowException.invalid_parameter_value(f"Invalid comparator for {what}: {comparator}")


def _integer(key: str, value: Any) -> int:
    try:
        if not isinstance(value, float):
            return int(value)
    except (TypeError, ValueError):
        pass
    raise MlflowException.invalid_parameter_value(f"Invalid value for numeric attribute '{key}': {str(value)!r}")
