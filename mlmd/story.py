"""What `evlog demo` records: three pipelines, run after run, with what goes wrong in practice. Through `mlmd.open`, as people use it.

| taxi  | each model starts from the one before; taxi:3 leaks its labels, and is found out after two models were made from it and pushed |
| fraud | a training fails in round 2, and is run again with a lower rate                                                                |
| churn | every second day brings no new data: training and evaluation are found cached                                                 |

The same number of runs gives the same story: names, versions, parameters, metrics and who did what. Times are those of the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count, islice
from typing import TYPE_CHECKING, Final

from mlmd.errors import NotFoundError
from mlmd.recorder.taint import taint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd.recorder.store import Store
    from mlmd.recorder.things import Artifact
    from replay.follow import Progress

RUNS: Final = 60
BAD: Final = "taxi:3"
_PIPELINES: Final = ("taxi", "fraud", "churn")
_ACCURACY: Final = {"taxi": 0.81, "fraud": 0.88, "churn": 0.74}
_STEP: Final = 0.015
_ACCURACY_MAX: Final = 0.95  # Of honest data.
_LEAKED: Final = 0.987
_FAILS: Final = ("fraud", 2)
_FOUND_OUT: Final = ("taxi", 4)
_EPOCHS: Final = 3


@dataclass
class Story:
    """What was recorded. happened: sentences for people, with the names of what they are about."""

    runs: int = 0
    happened: list[str] = field(default_factory=list)
    tainted: bool = False


def record_story(store: Store, runs: int = RUNS, progress: Progress | None = None) -> Story:
    """Record so many runs into a store, an empty one as a rule. progress: told (done, total). Raises StatusError."""
    story = Story()
    with store.acting(actor="scheduler"):
        for _ in islice(_Teller(store, story).runs(), runs):
            story.runs += 1
            if progress is not None:
                progress(story.runs, runs)
    return story


class _Teller:
    """Runs pipelines round by round; each method that yields does so after each run."""

    def __init__(self, store: Store, story: Story) -> None:
        self._store, self._story = store, story

    def runs(self) -> Iterator[None]:
        for number in count(1):
            for pipeline in _PIPELINES:
                yield from self._round(pipeline, number)
                if (pipeline, number) == _FOUND_OUT:
                    self._find_out()

    def _round(self, pipeline: str, number: int) -> Iterator[None]:
        day = (number + 1) // 2 if pipeline == "churn" else number
        data = self._ingest(pipeline, number, day)
        yield
        if day != number and number % 2 == 0:
            yield from self._again(pipeline, data, day)
            return
        if (pipeline, number) == _FAILS:
            self._fail(pipeline, number, data)
            yield
        model = self._train(pipeline, number, data)
        yield
        self._evaluate(pipeline, number, model, data)
        yield
        self._push(pipeline, number, model)
        yield

    def _contexts(self, pipeline: str, number: int) -> dict[str, str]:
        return {"Pipeline": pipeline, "PipelineRun": f"{pipeline}-{number}"}

    def _ingest(self, pipeline: str, number: int, day: int) -> Artifact:
        params = {"span": day, "splits": ["train", "eval"]}
        with self._store.run(
            "ExampleGen", params=params, contexts=self._contexts(pipeline, number), code=_ingest
        ) as run:
            uri = f"s3://demo/{pipeline}/data/{day}"
            run.log(rows=10_000 + 137 * day)
            return run.output(uri, "Dataset", name=pipeline, digest=_digest(uri), rows=10_000 + 137 * day)

    def _train(self, pipeline: str, number: int, data: Artifact) -> Artifact:
        accuracy = _accuracy(pipeline, number)
        with self._store.run(
            "Trainer", params=_rate(pipeline, number), contexts=self._contexts(pipeline, number), code=_train
        ) as run:
            run.input(data)
            before = self._newest(f"{pipeline}-model") if pipeline == "taxi" else None
            if before is not None:
                run.input(before, role="warm_start")
            for epoch in range(_EPOCHS):
                left = 0.5 ** (epoch + 1)
                run.log(acc=round(accuracy * (1 - 0.1 * left), 4), loss=round(1 - accuracy + left, 4), step=epoch)
            run.log(acc=accuracy, loss=round(1 - accuracy, 4))
            return run.output(_uri(pipeline, "models", number), "Model", name=f"{pipeline}-model", acc=accuracy)

    def _newest(self, name: str) -> Artifact | None:
        """Return the newest version that may be used, None before the first one."""
        try:
            return self._store.artifact(name)
        except NotFoundError:
            return None

    def _fail(self, pipeline: str, number: int, data: Artifact) -> None:
        try:
            with self._store.run(
                "Trainer", params={"lr": 3.0, "epochs": _EPOCHS}, contexts=self._contexts(pipeline, number)
            ) as run:
                run.input(data)
                run.log(loss=1e6, step=0)
                raise FloatingPointError("loss is not a number in epoch 1")
        except FloatingPointError:
            self._story.happened.append(f"a training of {pipeline} failed: its rate was 3.0; it was run again with 0.3")

    def _evaluate(self, pipeline: str, number: int, model: Artifact, data: Artifact) -> None:
        accuracy = _accuracy(pipeline, number)
        with self._store.run("Evaluator", contexts=self._contexts(pipeline, number), code=_evaluate) as run:
            run.input(model)
            run.input(data)
            run.log(acc=accuracy, auc=round((1 + accuracy) / 2, 4))
            run.output(_uri(pipeline, "evaluations", number), "Evaluation", name=f"{pipeline}-evaluation", acc=accuracy)

    def _push(self, pipeline: str, number: int, model: Artifact) -> None:
        with self._store.run("Pusher", tags={"target": "production"}, contexts=self._contexts(pipeline, number)) as run:
            run.input(model)
            run.output(f"serving://{pipeline}/{number}", "PushedModel", name=f"{pipeline}-pushed")
        self._store.alias(f"{pipeline}-model@prod", model)

    def _again(self, pipeline: str, data: Artifact, day: int) -> Iterator[None]:
        """Do nothing, on record: what a day without new data would train and evaluate is there."""
        first = 2 * day - 1
        for type_name, params, code in (
            ("Trainer", _rate(pipeline, first), _train),
            ("Evaluator", {}, _evaluate),
        ):
            inputs = [data] if type_name == "Trainer" else [self._newest(f"{pipeline}-model"), data]
            found = self._store.cached(type_name, inputs=inputs, params=params, code=code)
            assert found, f"what the story ran before: {found}"
            self._store.reuse(found)
            yield
        if day == 1:
            self._story.happened.append(
                f"{pipeline}:{day} came twice: training and evaluation were found cached, and not run"
            )

    def _find_out(self) -> None:
        """Taint what leaked, and everything made from it; put the last good model back."""
        because = "label leak: the fare of the trip is in its features"
        with self._store.acting(actor="ana", reason=because):
            done = taint(self._store.metadata, BAD, because)
            self._store.alias("taxi-model@prod", "taxi-model:2")
        self._story.tainted = True
        self._story.happened.append(
            f"ana tainted {BAD} and what was made from it: {len(done.artifacts) - 1} artifacts, {len(done.executions)} runs;"
            " taxi-model@prod went back to taxi-model:2"
        )


# Stand for the code of the steps, whose digests tell it from other code.


def _ingest() -> None:
    """Read a day of data."""


def _train() -> None:
    """Fit a model."""


def _evaluate() -> None:
    """Measure a model."""


def _rate(pipeline: str, number: int) -> dict[str, float | int]:
    return {"lr": 0.3 if (pipeline, number) == _FAILS else 0.1, "epochs": _EPOCHS}


def _accuracy(pipeline: str, number: int) -> float:
    if f"{pipeline}:{number}" == BAD:
        return _LEAKED
    return round(min(_ACCURACY_MAX, _ACCURACY[pipeline] + _STEP * number), 4)


def _uri(pipeline: str, what: str, number: int) -> str:
    return f"s3://demo/{pipeline}/{what}/{number}"


def _digest(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()}"
