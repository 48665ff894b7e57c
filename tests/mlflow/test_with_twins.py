"""Random calls to MLflow's own SQLite store and to ours: the same answers and the same refusals."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, currently_in_test_context, given, note, settings
from hypothesis import strategies as st
from mlflow.entities import (
    Dataset,
    DatasetInput,
    ExperimentTag,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelParameter,
    LoggedModelStatus,
    LoggedModelTag,
    Metric,
    Param,
    RunStatus,
    RunTag,
    ViewType,
)
from twins import Twins

from mlmd.mlflow import searching

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS_MAX = 30
KEYS = st.sampled_from(["a", "A", "b", "x/y", "k.1", "two words"])
TEXTS = st.sampled_from(["", "1", "v", "V", "väl", "100%", "a_b", "it's", "back\\slash", "two\nlines", "1e3"])
NUMBERS = st.sampled_from([0.0, -1.0, 1.0, 0.5, 2.0, 1e-7, 1e300, float("nan"), float("inf"), -float("inf"), 7])
STEPS = st.sampled_from([0, 0, 0, 1, 2, 5, -3, 2**53 + 1])
TIMES = st.sampled_from([0, 1, 10, 1_700_000_000_000])
STARTS = st.sampled_from([0, 1, 2, 1_700_000_000_000])
VIEWS = st.sampled_from([ViewType.ACTIVE_ONLY, ViewType.ACTIVE_ONLY, ViewType.ALL, ViewType.DELETED_ONLY])
RUNS = st.integers(0, 7)
EXPERIMENTS = st.integers(0, 2)
DATASETS = [
    Dataset("taxi", "d1", "local", '{"uri": "s3://b/taxi"}', "int a", "rows 3"),
    Dataset("taxi", "d2", "local", '{"uri": "s3://b/taxi"}', None, None),
    Dataset("Taxi", "d1", "code", "{}", "", "{}"),
    Dataset("it's", "d3", "code", "no json", None, None),
]

metrics = st.builds(Metric, KEYS, NUMBERS, TIMES, STEPS)
params = st.builds(Param, KEYS, TEXTS)
tags = st.builds(RunTag, KEYS | st.just("mlflow.runName"), TEXTS)
bad_metrics = st.sampled_from(
    [
        Metric("", 1.0, 0, 0),
        Metric("k" * 251, 1.0, 0, 0),
        Metric("..", 1, 0, 0),
        Metric("a", "x", 0, 0),
        Metric("a", 1.0, -1, 0),
        Metric("a", None, 0, 0),
        Metric("a?", 1.0, 0, 0),
    ]
)
bad_params = st.sampled_from([Param("", "v"), Param("k" * 251, "v"), Param("a", "v" * 6001), Param("/a", "v")])
bad_tags = st.sampled_from([RunTag("", "v"), RunTag("a", "v" * 8001), RunTag("k" * 251, "v")])
input_tags = st.lists(
    st.builds(
        InputTag,
        st.sampled_from(["mlflow.data.context", "other", "more"]),
        st.sampled_from(["train", "Train", "test", ""]),
    ),
    max_size=2,
    unique_by=lambda tag: tag.key,
)
dataset_inputs = st.lists(st.builds(DatasetInput, st.sampled_from(DATASETS), input_tags), max_size=3)


def some(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *arguments)


comparators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
text_comparators = st.sampled_from(["=", "!=", "LIKE", "ILIKE", "like"])
patterns = TEXTS | st.sampled_from(["%", "v%", "V_l", "%\\%", "_", "%o%", "RUN%", "taxi"])


def literal(text: str) -> str:
    return '"' + text + '"' if "'" in text else "'" + text + "'"


@st.composite
def clauses(draw: st.DrawFn) -> str:
    kind = draw(
        st.sampled_from(
            [
                "metrics",
                "metrics",
                "params",
                "tags",
                "attributes",
                "number",
                "name",
                "null",
                "dataset",
                "dataset",
                "status",
                "run",
                "bad",
            ]
        )
    )
    key = draw(KEYS)
    if kind == "metrics":
        number = draw(st.sampled_from(["0", "1", "0.5", "-1", "1e-7", "2", "1e300", "1e400", "7"]))
        return f"metrics.`{key}` {draw(comparators)} {number}"
    if kind in ("params", "tags"):
        return f"{kind}.`{key}` {draw(text_comparators)} {literal(draw(patterns))}"
    if kind == "null":
        return (
            f"{draw(st.sampled_from(['params', 'tags']))}.`{key}` {draw(st.sampled_from(['IS NULL', 'IS NOT NULL']))}"
        )
    if kind == "status":
        return f"attributes.status {draw(text_comparators)} '{draw(st.sampled_from(['FINISHED', 'RUNNING', 'KILLED', 'F%', 'f%', 'nothing']))}'"
    if kind == "number":
        return f"attributes.{draw(st.sampled_from(['start_time', 'end_time', 'created']))} {draw(comparators)} {draw(st.sampled_from(['0', '1', '2', '1.5', '1700000000000']))}"
    if kind == "name":
        return f"{draw(st.sampled_from(['run_name', 'attributes.`Run name`', 'attributes.user_id']))} {draw(text_comparators)} {literal(draw(patterns))}"
    if kind == "run":
        return draw(
            st.sampled_from(
                [
                    "attributes.run_id IN ({run}, {other})",
                    "attributes.run_id NOT IN ({run})",
                    "run_id = {run}",
                    "run_id != {run}",
                    "run_id LIKE '%a%'",
                    "run_id IN ('none')",
                ]
            )
        )
    if kind == "dataset":
        field = draw(st.sampled_from(["name", "digest", "context"]))
        if draw(st.booleans()):
            return f"dataset.{field} {draw(st.sampled_from(['IN', 'NOT IN']))} ('taxi', 'd1', 'train')"
        return f"datasets.{field} {draw(text_comparators)} '{draw(st.sampled_from(['taxi', 'Taxi', 't%', 'd1', 'D_', 'train', 'nothing']))}'"
    return draw(
        st.sampled_from(
            [
                "metrics.a = 'x'",
                "params.a = 1",
                "nothing",
                "tags.a > 'v'",
                "attributes.x = 'y'",
                "metrics.a LIKE 1",
                "dataset.size = '1'",
                "metrics.a > 1 OR metrics.a < 0",
                "status = FINISHED",
                "attributes.start_time = 'x'",
                "user_id IN ('a')",
                "run_id IN (1)",
                "metrics.a IS NULL",
            ]
        )
    )


filters = (
    st.none()
    | st.just("")
    | st.lists(clauses(), min_size=1, max_size=3).map(" AND ".join)
    | st.lists(clauses(), min_size=1, max_size=1).map(" and ".join)
)
orders = st.lists(
    st.builds(
        lambda what, key, way: f"{what.format(key=key)}{way}",
        st.sampled_from(
            [
                "metrics.`{key}`",
                "metrics.`{key}`",
                "params.`{key}`",
                "tags.`{key}`",
                "attributes.start_time",
                "end_time",
                "status",
                "run_id",
                "run_name",
                "attributes.artifact_uri",
                "user_id",
                "created",
                "dataset.name",
                "bad",
            ]
        ),
        KEYS,
        st.sampled_from(["", " ASC", " DESC", " desc"]),
    ),
    max_size=3,
)
experiment_clauses = st.sampled_from(
    [
        None,
        "name LIKE '%1'",
        "name ILIKE 'E%'",
        "tags.a = 'v'",
        "tags.`A` != 'v'",
        "tags.a IS NULL",
        "tags.a IS NOT NULL",
        "tags.a LIKE 'V%'",
        "tags.a ILIKE 'V%'",
        "attribute.name = 'nothing'",
        "creation_time > 0",
        "last_update_time <= 0",
        "experiment_id IN ('x')",
        "name > 'a'",
        "tags.a > 'v'",
        "creation_time = 'x'",
        "creation_time > 1.5",
        "bad",
        "experiment_id != '-1'",
    ]
)
experiment_orders = st.lists(
    st.sampled_from(
        [
            "name",
            "name DESC",
            "experiment_id",
            "experiment_id desc",
            "creation_time ASC",
            "last_update_time DESC",
            "tags.a",
            "nothing",
        ]
    ),
    max_size=2,
)
model_clauses = st.sampled_from(
    [
        None,
        "name = 'm1'",
        "name LIKE 'm%'",
        "params.`a` = 'v'",
        "tags.`a` = 'v'",
        "tags.a ILIKE 'V%'",
        "metrics.`a` > 0",
        "metrics.a <= 1 AND metrics.b != 3",
        "status = 'READY'",
        "status IN ('PENDING', 'FAILED')",
        "status != 'x'",
        "model_type = 'agent'",
        "source_run_id = 'x'",
        "creation_timestamp > 0",
        "nothing",
        "metrics.a LIKE 'x'",
        "params.a > '1'",
        "model_type != 'agent'",
    ]
)
model_orders = st.lists(
    st.sampled_from(
        [
            {"field_name": "name"},
            {"field_name": "name", "ascending": False},
            {"field_name": "metrics.a"},
            {"field_name": "metrics.a", "ascending": False},
            {"field_name": "metrics.a", "dataset_name": "taxi", "dataset_digest": "d1"},
            {"field_name": "model_type"},
            {"field_name": "params.a"},
            {"field_name": "nothing"},
            {"field_name": "creation_timestamp", "ascending": True},
        ]
    ),
    max_size=2,
)
model_datasets = st.sampled_from(
    [None, [{"dataset_name": "taxi"}], [{"dataset_name": "taxi", "dataset_digest": "d2"}], [{"dataset_digest": "d2"}]]
)
model_metrics = st.builds(
    lambda key, value, time_ms, step, dataset: (key, value, time_ms, step, dataset),
    KEYS,
    st.sampled_from([0.0, 1.0, 2.5, -1.0]),
    TIMES,
    st.sampled_from([0, 1, 5]),
    st.sampled_from([None, DATASETS[0], DATASETS[1]]),
)

puts = st.one_of(
    some(
        "create_run",
        EXPERIMENTS,
        STARTS,
        st.lists(tags, max_size=2, unique_by=lambda tag: tag.key),
        st.sampled_from([None, "", "run", "other"]),
    ),
    some("log_metric", RUNS, metrics | metrics | bad_metrics),
    some("log_metric", RUNS, metrics),
    some("log_batch", RUNS, st.lists(metrics, max_size=6), st.lists(params, max_size=3), st.lists(tags, max_size=3)),
    some(
        "log_batch",
        RUNS,
        st.lists(bad_metrics, max_size=1),
        st.lists(bad_params, max_size=1),
        st.lists(bad_tags, max_size=1),
    ),
    some("log_param", RUNS, params | bad_params),
    some("set_tag", RUNS, tags | bad_tags),
    some("delete_tag", RUNS, KEYS | st.just("mlflow.runName")),
    some(
        "update_run_info",
        RUNS,
        st.none()
        | st.sampled_from(
            [RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED, RunStatus.SCHEDULED, RunStatus.RUNNING]
        ),
        st.none() | TIMES,
        st.none() | TEXTS,
    ),
    some("delete_run", RUNS),
    some("restore_run", RUNS),
    some("log_inputs", RUNS, dataset_inputs),
    some(
        "model",
        EXPERIMENTS,
        st.sampled_from([None, "m1", "m2", "bad/name", ""]),
        RUNS,
        st.lists(st.builds(LoggedModelTag, KEYS, TEXTS), max_size=2, unique_by=lambda tag: tag.key),
        st.lists(st.builds(LoggedModelParameter, KEYS, TEXTS), max_size=2, unique_by=lambda one: one.key),
        st.sampled_from([None, "agent"]),
    ),
    some("finalize_logged_model", RUNS, st.sampled_from(LoggedModelStatus)).filter(
        lambda call: call[2].value != "UNSPECIFIED"
    ),
    some("set_logged_model_tags", RUNS, st.lists(st.builds(LoggedModelTag, KEYS, TEXTS), max_size=2)),
    some("delete_logged_model_tag", RUNS, KEYS),
    some("delete_logged_model", RUNS),
    some("model_output", RUNS, RUNS, st.sampled_from([0, 3])),
    some("model_input", RUNS, RUNS),
    some("model_metric", RUNS, RUNS, model_metrics),
    some("set_experiment_tag", EXPERIMENTS, st.builds(ExperimentTag, KEYS | st.just("k" * 251), TEXTS)),
    some("delete_experiment_tag", EXPERIMENTS, KEYS),
    some("delete_experiment", EXPERIMENTS),
    some("restore_experiment", EXPERIMENTS),
    some("rename_experiment", EXPERIMENTS, st.sampled_from(["E0", "e1", "new", "", "n" * 501])),
    some("create_experiment", st.sampled_from(["E0", "again", " ", "", "n" * 501])),
)
reads = st.one_of(
    some("get_run", RUNS),
    some("history", RUNS, KEYS, st.none() | st.integers(1, 3)),
    some("bulk", KEYS, st.integers(1, 10)),
    some("interval", RUNS, KEYS, st.integers(0, 4), st.sampled_from([(None, None), (0, 2), (1, None), (-5, 5)])),
    some("steps", RUNS, KEYS, st.lists(STEPS, max_size=3), st.integers(1, 3)),
    some("search_runs", filters, VIEWS, orders, st.none() | st.integers(1, 5) | st.sampled_from([0, 100, 50_001])),
    some("search_runs", filters, VIEWS, orders, st.integers(1, 3)),
    some("search_experiments", experiment_clauses, VIEWS, experiment_orders, st.integers(1, 3) | st.just(0)),
    some("search_models", model_clauses, model_orders, model_datasets, st.none() | st.integers(1, 3)),
    some("get_model", RUNS, st.booleans()),
)
calls = st.lists(puts | puts | reads, min_size=1, max_size=CALLS_MAX)
NUMBER = itertools.count()


class Script:
    """One example: its own experiments in the two stores."""

    def __init__(self, twins: Twins) -> None:
        self.twins, self.prefix = twins, f"{next(NUMBER)}-"
        self.experiments = [
            twins.experiment(f"{self.prefix}{name}", tags=[ExperimentTag("a", "v")]) for name in ("E0", "e1")
        ]
        self.runs: list[str] = []
        self.models: list[str] = []
        self.linked: set[tuple[Any, ...]] = set()
        for start_ms in (1, 1, 2):
            self.create_run(0, start_ms, [], None)
        # Something for every filter and order to find.
        for run, values in enumerate(
            ([Metric("a", 1.0, 1, 0)], [Metric("a", float("nan"), 1, 0), Metric("A", 0.5, 1, 1)])
        ):
            params, tags = [Param("a", "v"), Param("b", str(run))], [RunTag("A", "V"), RunTag("a", "v")]
            self.do(("log_batch", run, values, params[: 2 - run], tags[run:]))
            self.do(("log_inputs", run, [DatasetInput(DATASETS[run], [InputTag("mlflow.data.context", "train")])]))
        self.model(0, "m1", 0, [LoggedModelTag("a", "v")], [LoggedModelParameter("a", "v")], None)
        self.model_metric(0, 0, ("a", 1.0, 1, 1, DATASETS[0]))

    def id_of(self, number: int, which: int) -> str:
        if number >= len(self.experiments):
            return "987654"
        found = self.experiments[number]
        assert found is not None
        return self.twins.experiments[found][which]

    def run(self, number: int) -> str:
        return self.runs[number] if number < len(self.runs) else "0" * 32

    def model_id(self, number: int) -> str:
        return self.models[number] if number < len(self.models) else "m-none"

    def do(self, call: tuple[Any, ...]) -> None:
        if currently_in_test_context():
            note(repr(call))
        name, *arguments = call
        own = getattr(self, name, None)
        if own is not None:
            own(*arguments)
        elif name.endswith(("experiment", "experiment_tag")):
            self.twins.same(
                name, lambda store, which: getattr(store, name)(self.id_of(arguments[0], which), *arguments[1:])
            )
        elif "logged_model" in name:
            self.twins.same(name, lambda store, _: getattr(store, name)(self.model_id(arguments[0]), *arguments[1:]))
        else:
            self.twins.same(name, lambda store, _: getattr(store, name)(self.run(arguments[0]), *arguments[1:]))

    def create_experiment(self, name: str) -> None:
        number = self.twins.experiment(self.prefix + name if name.strip() else name)
        if number is not None:
            self.experiments.append(number)

    def rename_experiment(self, number: int, name: str) -> None:
        self.twins.same(
            "rename",
            lambda store, which: store.rename_experiment(
                self.id_of(number, which), self.prefix + name if name else name
            ),
        )

    def create_run(self, number: int, start_ms: int, tags: list[RunTag], name: str | None) -> None:
        # MLflow's store fails within on an empty name in a tag, as it has another one to put; ours takes that.
        tags = [tag for tag in tags if tag.key != "mlflow.runName" or tag.value]
        made = self.twins.same(
            "create_run", lambda store, which: store.create_run(self.id_of(number, which), "user", start_ms, tags, name)
        )
        if made is not None:
            self.runs.append(made.info.run_id)

    def model(self, number: int, name: str | None, run: int, tags: Any, params: Any, kind: str | None) -> None:
        made = self.twins.same(
            "create_logged_model",
            lambda store, which: store.create_logged_model(
                self.id_of(number, which), name, self.run(run), tags, params, kind
            ),
        )
        if made is not None:
            self.models.append(made.model_id)

    def model_output(self, run: int, model: int, step: int) -> None:
        if model < len(self.models) and self._first("out", run, model):
            self.twins.same(
                "log_outputs",
                lambda store, _: store.log_outputs(self.run(run), [LoggedModelOutput(self.models[model], step)]),
            )

    def model_input(self, run: int, model: int) -> None:
        if model < len(self.models) and self._first("in", run, model):
            self.twins.same(
                "log_inputs",
                lambda store, _: store.log_inputs(self.run(run), models=[LoggedModelInput(self.models[model])]),
            )

    def _first(self, what: str, run: int, model: int) -> bool:
        """Tell whether MLflow would note this for the first time: a second time it lists the same model twice."""
        key = (what, self.run(run), self.models[model])
        return key not in self.linked and (self.linked.add(key) is None)

    def model_metric(self, run: int, model: int, point: Any) -> None:
        if model >= len(self.models):
            return
        key, value, time_ms, step, dataset = point
        place = ("metric", self.run(run), self.models[model], key, time_ms, step)
        if place in self.linked:  # MLflow's table has room for one value there, and refuses another.
            return
        self.linked.add(place)
        metric = Metric(
            key,
            value,
            time_ms,
            step,
            model_id=self.models[model],
            dataset_name=dataset and dataset.name,
            dataset_digest=dataset and dataset.digest,
        )
        self.twins.same("log_metric of a model", lambda store, _: store.log_metric(self.run(run), metric))

    def get_model(self, model: int, allow_deleted: bool) -> None:
        self.twins.same(
            "get_logged_model", lambda store, _: store.get_logged_model(self.model_id(model), allow_deleted)
        )

    def history(self, run: int, key: str, count: int | None) -> None:
        tokens: list[Any] = [None, None]
        while True:

            def ask(store: Any, which: int) -> Any:
                found = store.get_metric_history(self.run(run), key, count, tokens[which])
                tokens[which] = found.token
                return found

            if self.twins.same("get_metric_history", ask) is None or tokens[1] is None:
                return

    def bulk(self, key: str, count: int) -> None:
        self.twins.same(
            "get_metric_history_bulk", lambda store, _: store.get_metric_history_bulk([*self.runs, "none"], key, count)
        )

    def interval(self, run: int, key: str, count: int, steps: tuple[int | None, int | None]) -> None:
        self.twins.same(
            "get_metric_history_bulk_interval",
            lambda store, _: store.get_metric_history_bulk_interval([self.run(run)], key, count, *steps),
        )

    def steps(self, run: int, key: str, steps: list[int], count: int) -> None:
        self.twins.same(
            "..._from_steps",
            lambda store, _: store.get_metric_history_bulk_interval_from_steps(self.run(run), key, steps, count),
        )

    def search_runs(self, wanted: str | None, view: int, order: list[str], count: int | None) -> None:
        text = wanted and wanted.replace("{run}", repr(self.run(0))).replace("{other}", repr(self.run(2)))

        def ask(store: Any, which: int) -> Any:
            ids = [self.id_of(number, which) for number in range(len(self.experiments))]
            found = store.search_runs([*ids, "987654"], text, view, count, order, tokens[which])
            tokens[which] = found.token
            return found

        tokens: list[Any] = [None, None]
        while self.twins.same(f"search_runs {text!r} {order} {count}", ask) is not None and tokens[1] is not None:
            pass

    def search_experiments(self, wanted: str | None, view: int, order: list[str], count: int) -> None:
        text = f"name LIKE '{self.prefix}%'" + (f" AND {wanted}" if wanted else "")
        tokens: list[Any] = [None, None]

        def ask(store: Any, which: int) -> Any:
            found = store.search_experiments(view, count, text, order, tokens[which])
            tokens[which] = found.token
            return found

        while self.twins.same(f"search_experiments {text!r} {order}", ask) is not None and tokens[1] is not None:
            pass

    def search_models(self, wanted: str | None, order: list[Any], datasets: Any, count: int | None) -> None:
        tokens: list[Any] = [None, None]

        def ask(store: Any, which: int) -> Any:
            ids = [self.id_of(number, which) for number in range(len(self.experiments))]
            found = store.search_logged_models(ids, wanted, datasets, count, order, tokens[which])
            tokens[which] = found.token
            return found

        while (
            self.twins.same(f"search_logged_models {wanted!r} {order} {datasets}", ask) is not None
            and tokens[1] is not None
        ):
            pass


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    return Twins(tmp_path_factory.mktemp("twins"))


def check(twins: Twins, script: list[tuple[Any, ...]]) -> None:
    run = Script(twins)
    for call in script:
        run.do(call)
    for number in range(len(run.runs)):
        run.do(("get_run", number))
    for key in ("a", "A", "x/y"):
        run.do(("history", 0, key, None))
    run.search_runs(None, ViewType.ALL, [], 2)


def fill(run: Script, seed: int) -> None:
    """Make runs that have much in common, so that filters find some of them and orders have ties."""
    chance = random.Random(seed)
    keys, texts, numbers = (
        ["a", "A", "x/y"],
        ["v", "V", "a_b", "100%", "it's", "1e3"],
        [0.0, 1.0, 0.5, -1.0, math.nan, math.inf],
    )
    for number in range(3, 18):
        run.create_run(
            number % 3,
            chance.randrange(4),
            [RunTag(chance.choice(keys), chance.choice(texts))],
            chance.choice([None, "run", "other"]),
        )
    for number in range(len(run.runs)):
        for _ in range(chance.randrange(4)):
            points = [
                Metric(chance.choice(keys), chance.choice(numbers), chance.randrange(3), chance.randrange(3))
                for _ in range(3)
            ]
            run.do(("log_batch", number, points, [], [RunTag(chance.choice(keys), chance.choice(texts))]))
        for key in chance.sample(keys, chance.randrange(3)):
            run.do(("log_param", number, Param(key, chance.choice(texts))))
        if chance.random() < 0.5:
            tags = [InputTag("mlflow.data.context", chance.choice(["train", "Train", "test"]))][: chance.randrange(3)]
            run.do(("log_inputs", number, [DatasetInput(chance.choice(DATASETS), tags)]))
        if chance.random() < 0.5:
            run.do(
                (
                    "update_run_info",
                    number,
                    chance.choice([RunStatus.FINISHED, RunStatus.KILLED]),
                    chance.randrange(3),
                    None,
                )
            )
        if chance.random() < 0.2:
            run.do(("delete_run", number))
    for number in range(10):
        kind = chance.choice([None, "agent"])
        run.model(
            number % 2,
            chance.choice(["m1", "m2"]),
            number,
            [LoggedModelTag("a", chance.choice(texts))],
            [LoggedModelParameter("a", "v")],
            kind,
        )
        for _ in range(chance.randrange(4)):
            dataset = chance.choice([None, DATASETS[0], DATASETS[1]])
            point = (
                chance.choice(["a", "b"]),
                chance.choice([0.0, 1.0, 2.5]),
                chance.randrange(3),
                chance.randrange(3),
                dataset,
            )
            run.model_metric(number, number, point)
        run.do(("finalize_logged_model", number, chance.choice([LoggedModelStatus.READY, LoggedModelStatus.FAILED])))
    for number in range(len(run.runs)):
        run.do(("get_run", number))
        for key in keys:
            run.do(("history", number, key, None))


# A call takes some ten milliseconds, most of them MLflow's: none is shrunk, which would take the hour, and of whole scripts there are fewer.
FEWER = 4
MANY = 2_000
OPTIONS = {
    "phases": [Phase.generate],
    "report_multiple_bugs": False,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
}


@pytest.fixture(scope="module", params=[1, 2])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    run = Script(Twins(tmp_path_factory.mktemp("filled")))
    fill(run, request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "_MORE", 1)  # Runs that share a key come with several reads.
        yield run


@given(
    wanted=filters,
    view=VIEWS,
    order=orders,
    count=st.none() | st.integers(1, 6),
    models=st.tuples(model_clauses, model_orders, model_datasets),
    experiments=st.tuples(experiment_clauses, VIEWS, experiment_orders, st.integers(1, 2)),
)
@settings(**OPTIONS)
def test_a_search_finds_and_refuses_what_mlflows_own_store_does(
    filled: Script,
    wanted: str | None,
    view: int,
    order: list[str],
    count: int | None,
    models: tuple[Any, ...],
    experiments: tuple[Any, ...],
) -> None:
    filled.search_runs(wanted, view, order, count)
    filled.search_models(*models, count)
    filled.search_experiments(*experiments)


@given(script=calls)
@settings(max_examples=settings.default.max_examples // FEWER, **OPTIONS)
def test_every_call_answers_and_refuses_as_mlflows_own_store(twins: Twins, script: list[tuple[Any, ...]]) -> None:
    check(twins, script)


@pytest.mark.deep
@given(script=calls)
@settings(max_examples=MANY, **OPTIONS)
def test_every_call_answers_and_refuses_as_mlflows_own_store_in_long(
    twins: Twins, script: list[tuple[Any, ...]]
) -> None:
    check(twins, script)
