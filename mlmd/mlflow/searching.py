"""Search for runs: MLflow's filter, order and pages, asked of the store as far as its language has words for them.

A page is read in the order of its first key, and a little beyond, until the runs that share the key of its first and last are all there; those
are put in order here. So the first page costs what it shows, whatever else is in the store. Where a condition has no words, or its words find
too much, what is found is looked at again.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_RUN_NAME
from mlflow.utils.search_utils import SearchUtils

from mlmd.filters.short import marked
from mlmd.finding import Find
from mlmd.mlflow import words
from mlmd.mlflow.clauses import Clause, compare, named, number_clause, text_clause
from mlmd.mlflow.inputs import input_tags
from mlmd.mlflow.metrics import shown
from mlmd.mlflow.nodes import integer, string
from mlmd.mlflow.runs import STATUSES, name_of, status_of
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.words import ENDED_MS, METRIC, NAME, PARAMETER, TAG
from projections.query import Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlflow.entities import Run

    from mlmd.mlflow.experiments import Experiments
    from mlmd.mlflow.inputs import Inputs
    from mlmd.mlflow.nodes import Nodes
    from mlmd.mlflow.runs import Runs

_MORE: Final = 64  # Runs to read beyond a page at first, to find those that share its last key.
_DATASETS_MAX: Final = 1_000  # More of them are not named in a filter.
_PREFIXES: Final = {"metric": METRIC, "parameter": PARAMETER, "tag": TAG}
# Attributes that are custom properties of a run.
_PROPERTIES: Final = {
    "start_time": words.START_MS,
    "end_time": ENDED_MS,
    "user_id": words.USER,
    "artifact_uri": words.ARTIFACT_URI,
}


def metric(key: str, run: pb.Execution) -> float | None:
    """Return a run's metric."""
    name = METRIC + key
    return shown(run.custom_properties[name].double_value) if name in run.custom_properties else None


def run_id(run: pb.Execution) -> str:
    """Return what MLflow calls a run."""
    return run.external_id


class Key(NamedTuple):
    """What to put runs in order by. value: of a run; property: where the store finds it by itself."""

    value: Callable[[pb.Execution], Any]
    ascending: bool
    property: str | None = None

    def rank(self, run: pb.Execution) -> tuple[int, Any]:
        """Return the place of a run: those with a value first, then NaN, then those without, whichever way."""
        value = self.value(run)
        if value is None:
            return (2, 0)
        return (1, 0) if isinstance(value, float) and math.isnan(value) else (0, value)

    def shared(self, run: pb.Execution) -> Any:
        """Return what runs have in common that the store takes for equal."""
        place, value = self.rank(run)
        return value if place == 0 else None


def key_of(kind: str, key: str, *, ascending: bool) -> Key:
    """Return the key of an order. Raises MlflowException for what runs have no order by."""
    if kind == "metric":
        return Key(partial(metric, key), ascending, METRIC + key)
    if kind in _PREFIXES:
        name = _PREFIXES[kind] + key
        return Key(partial(string_of, name), ascending, name)
    if kind != "attribute":
        raise MlflowException.invalid_parameter_value(f"Invalid identifier type '{kind}'")
    if key in _PROPERTIES:
        name = _PROPERTIES[key]
        return Key(partial(integer_of if key in SearchUtils.NUMERIC_ATTRIBUTES else string_of, name), ascending, name)
    return Key({"status": status_of, "run_id": run_id, "run_name": name_of}[key], ascending)


def string_of(name: str, run: pb.Execution) -> str | None:
    """Return a property that is a text."""
    return string(run, name)


def integer_of(name: str, run: pb.Execution) -> int | None:
    """Return a property that is an integer."""
    return integer(run, name)


def keys_of(order_by: Sequence[str] | None) -> list[Key]:
    """Return the keys of an order, those of MLflow's own last. Raises MlflowException."""
    keys: dict[tuple[str, str], Key] = {}
    for clause in order_by or ():
        kind, key, ascending = SearchUtils.parse_order_by_for_search_runs(clause)
        key = SearchUtils.translate_key_alias(key)
        if (kind, key) in keys:
            raise MlflowException(f"`order_by` contains duplicate fields: {order_by}")
        keys[kind, key] = key_of(kind, key, ascending=ascending)
    keys.setdefault(("attribute", "start_time"), key_of("attribute", "start_time", ascending=False))
    return [*keys.values(), Key(run_id, ascending=True)]


def in_order(runs: Sequence[pb.Execution], keys: Sequence[Key]) -> list[pb.Execution]:
    """Return runs in the order of several keys."""
    found = list(runs)
    for key in reversed(keys):  # Each keeps the order of those that it takes for equal.
        found = _sorted(found, key)
    return found


def _sorted(runs: list[pb.Execution], key: Key) -> list[pb.Execution]:
    places: dict[int, list[tuple[Any, pb.Execution]]] = {0: [], 1: [], 2: []}
    for run in runs:
        place, value = key.rank(run)
        places[place].append((value, run))
    places[0].sort(key=lambda one: one[0], reverse=not key.ascending)
    return [run for place in places.values() for _, run in place]


class Search:
    """Searches the runs of a store."""

    def __init__(self, nodes: Nodes, experiments: Experiments, runs: Runs, inputs: Inputs) -> None:
        self._nodes, self._experiments, self._runs, self._inputs = nodes, experiments, runs, inputs

    def runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None,
        view_type: int,
        max_results: int | None,
        order_by: Sequence[str] | None,
        page_token: str | None,
    ) -> tuple[list[Run], str | None]:
        """Return a page of runs, and the token of the next one. Raises MlflowException."""
        check_max_results(max_results, optional=True)
        comparisons = SearchUtils.parse_search_filter(filter_string)
        keys = keys_of(order_by)
        clauses = [self._clause(one) for one in comparisons]
        offset = SearchUtils.parse_start_offset_from_page_token(page_token)
        experiments = self._experiments.found(experiment_ids)
        stages = LifecycleStage.view_type_to_stages(view_type)
        if not experiments or not stages:
            return [], None
        condition = _condition([one.id for one in experiments], stages, clauses)
        loose = [one.passes for one in clauses if not one.exact]
        count = None if max_results is None else max_results + 1
        found = _Window(self._nodes, condition, loose, keys).page(offset, count)
        more = count is not None and len(found) == count
        token = SearchUtils.create_page_token(offset + count - 1) if more and count is not None else None
        return self._runs.whole(found[:max_results], model_inputs=False), token

    def _clause(self, comparison: dict[str, Any]) -> Clause:
        """Return the clause of a comparison. Raises MlflowException for what MLflow refuses."""
        kind, wanted = comparison["type"], comparison["value"]
        key, comparator = SearchUtils.translate_key_alias(comparison["key"]), comparison["comparator"].upper()
        if SearchUtils.is_string_attribute(kind, key, comparator):
            return self._attribute(key, comparator, wanted)
        if SearchUtils.is_numeric_attribute(kind, key, comparator):
            name = _PROPERTIES[key]
            return number_clause(partial(integer_of, name), f"custom_properties.`{name}`.int_value", comparator, wanted)
        if SearchUtils.is_metric(kind, comparator):
            return number_clause(partial(metric, key), named(METRIC, key), comparator, float(wanted))
        if SearchUtils.is_param(kind, comparator):
            return text_clause(partial(string_of, PARAMETER + key), named(PARAMETER, key), comparator, wanted)
        if SearchUtils.is_tag(kind, comparator):
            return text_clause(partial(string_of, TAG + key), named(TAG, key), comparator, wanted)
        if SearchUtils.is_dataset(kind, comparator):
            return self._dataset(key, comparator, wanted)
        raise MlflowException.invalid_parameter_value(f"Invalid search expression type '{kind}'")

    def _attribute(self, key: str, comparator: str, wanted: Any) -> Clause:
        if key == "run_id":
            return text_clause(run_id, "external_id", comparator, wanted)
        if key == "run_name":  # The tag, so a run whose tag is gone is not found.
            return text_clause(
                partial(string_of, TAG + MLFLOW_RUN_NAME), named(TAG, MLFLOW_RUN_NAME), comparator, wanted
            )
        if key == "status":
            return _status_clause(comparator, wanted)
        name = _PROPERTIES[key]
        return text_clause(partial(string_of, name), f"custom_properties.`{name}`.string_value", comparator, wanted)

    def _dataset(self, key: str, comparator: str, wanted: Any) -> Clause:
        """Return the clause of the datasets that a run read: one of them has to pass."""

        def passes(run: pb.Execution) -> bool:
            events = self._nodes.events_of_runs([run.id])
            artifacts = self._inputs.artifacts(events)
            return any(
                compare(_of_dataset(key, artifacts[event.artifact_id], event), comparator, wanted)
                for event in events
                if event.type == pb.Event.INPUT and event.artifact_id in artifacts
            )

        if key == "context":
            return Clause(passes)
        text = text_clause(
            lambda _: None, "evlog.name" if key == "name" else f"`{words.DATASET_DIGEST}`", comparator, wanted
        )
        query = marked(f"type = '{words.DATASET_TYPE}' AND {text.words}")
        found = self._nodes.found(Find("artifact", query, limit=_DATASETS_MAX + 1))
        if not found:
            return Clause(lambda _: False, "id < 0", exact=True)
        ids = ", ".join(str(one.id) for one in found)
        return Clause(passes, f"events_read.artifact_id IN ({ids})" if len(found) <= _DATASETS_MAX else "")


def _of_dataset(key: str, artifact: pb.Artifact, event: pb.Event) -> str | None:
    if artifact.type != words.DATASET_TYPE:
        return None
    if key == "context":
        return input_tags(event).get(MLFLOW_DATASET_CONTEXT)
    return string(artifact, NAME if key == "name" else words.DATASET_DIGEST)


def _status_clause(comparator: str, wanted: Any) -> Clause:
    """Return the clause of a status: the store is asked for the states whose names pass."""

    def passes(run: pb.Execution) -> bool:
        return compare(status_of(run), comparator, wanted)

    states = [pb.Execution.State.Name(state) for state, name in STATUSES.items() if compare(name, comparator, wanted)]
    if not states:
        return Clause(passes, "id < 0", exact=True)
    return Clause(passes, "(" + " OR ".join(f"state = {state}" for state in states) + ")", exact=True)


def check_max_results(max_results: int | None, *, optional: bool = False) -> None:
    """Raise MlflowException for a size of a page that MLflow refuses."""
    if (max_results is None and not optional) or (max_results is not None and max_results < 1):
        raise MlflowException.invalid_parameter_value(
            f"Invalid value {max_results} for parameter 'max_results' supplied. It must be a positive integer"
        )
    if max_results is not None and max_results > SEARCH_MAX_RESULTS_THRESHOLD:
        raise MlflowException(
            f"Invalid value {max_results} for parameter 'max_results' supplied. It must be at most"
            f" {SEARCH_MAX_RESULTS_THRESHOLD}",
            codes.INVALID_PARAMETER_VALUE,
        )


def _condition(experiments: Sequence[int], stages: Sequence[str], clauses: Sequence[Clause]) -> str:
    """Return what the store is asked for."""
    parts = [f"type = '{words.RUN_TYPE}'", f"contexts_of.id IN ({', '.join(map(str, experiments))})"]
    if len(stages) == 1:
        parts.append(f"custom_properties.`{words.STAGE}`.string_value = '{stages[0]}'")
    parts += [one.words for one in clauses if one.words]
    return marked(" AND ".join(parts))


class _Window:
    """Reads runs in the order of the first key, as far as a page needs them.

    loose: what the store's condition leaves to be checked.
    """

    def __init__(
        self,
        nodes: Nodes,
        condition: str,
        loose: Sequence[Callable[[pb.Execution], bool]],
        keys: Sequence[Key],
    ) -> None:
        self._nodes, self._condition, self._loose, self._keys = nodes, condition, loose, keys

    def page(self, offset: int, count: int | None) -> list[pb.Execution]:
        """Return `count` runs after the first `offset`, in the order of all keys."""
        first = self._keys[0]
        if count is None or first.property is None:
            runs = in_order([run for run in self._read(0, None) if self._passes(run)], self._keys)
            return runs[offset:] if count is None else runs[offset : offset + count]
        start = 0 if self._loose else self._start(offset)
        stop = offset - start + count
        found: dict[int, pb.Execution] = {}  # By id: one that is put meanwhile moves others to the next read.
        last = None
        for run in self._from(start, stop + _MORE):
            # Beyond the page, and past all that share the key of its last.
            if len(found) >= stop and first.shared(run) != last:
                break
            if self._passes(run):
                found[run.id] = run
                last = first.shared(run) if len(found) <= stop else last
        return in_order(list(found.values()), self._keys)[offset - start : stop]

    def _passes(self, run: pb.Execution) -> bool:
        return all(passes(run) for passes in self._loose)

    def _start(self, offset: int) -> int:
        """Return where the runs begin that share the key of the first one of a page."""
        start, step = offset, 1
        while start > 0:
            before = max(0, start - step)
            runs = self._read(before, start - before + 1)
            if len(runs) <= start - before:  # The page lies behind the last run.
                return start
            shared = self._keys[0].shared(runs[-1])
            others = [place for place, run in enumerate(runs) if self._keys[0].shared(run) != shared]
            if others:
                return before + others[-1] + 1
            start, step = before, step * 4
        return 0

    def _from(self, start: int, size: int) -> Iterator[pb.Execution]:
        while True:
            runs = self._read(start, size)
            yield from runs
            if len(runs) < size:
                return
            start, size = start + size, size * 4

    def _read(self, skip: int, limit: int | None) -> list[pb.Execution]:
        key = self._keys[0]
        wanted = Find("execution", self._condition, skip=skip, limit=limit)
        if key.property is not None and limit is not None:
            by = Variable("custom_properties", key.property, exact=True)
            wanted = wanted._replace(by=by, ascending=key.ascending)
        return self._nodes.found(wanted)
