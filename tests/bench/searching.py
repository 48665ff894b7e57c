"""Runs filtered and ordered by a metric, first 100 of 10,000: what a list page asks."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from stores import opened
from three import run, run_type

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.search import runs

if TYPE_CHECKING:
    from pathlib import Path

RUNS: Final = 10_000
PAGE: Final = 100
ROUNDS: Final = 30
FILTER: Final = "m.m0 > 0.5 and p.p0 = 0.1"
"""As `metrics.m0 > 0.5 and params.p0 = "0.1"` is for MLflow: every fourth run passes."""
_PARAMETERS: Final = (0.1, 0.3)


def fill(folder: Path, number: int = RUNS) -> None:
    """Put runs with 5 parameters, 5 metrics and 3 tags each."""
    chance = random.Random(7)
    store = opened(folder)
    type_id = run_type(store)
    for first in range(0, number, 1_000):
        store.put_executions(
            [
                run(
                    type_id,
                    {f"p.p{at}": chance.choice(_PARAMETERS) for at in range(5)}
                    | {f"m.m{at}": chance.random() for at in range(5)}
                    | {f"t.t{at}": f"value {chance.randrange(10)}" for at in range(3)},
                    last_known_state=pb.Execution.COMPLETE,
                )
                for _ in range(min(1_000, number - first))
            ]
        )
    store.close()


def ours(folder: Path, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return what one page costs in ms, the median of many: with the true total, and without; at a moment of the past; the first time."""
    store = opened(folder)
    first = _cost(lambda: runs(store, FILTER, sort="-m.m0")[:PAGE])
    while not store._backend.view.indexed_properties():  # type: ignore[union-attr]
        _cost(lambda: runs(store, FILTER, sort="-m.m0")[:PAGE])
    then = store.as_of("now")
    asked = {
        "page": lambda: runs(store, FILTER, sort="-m.m0")[:PAGE],
        "page_up": lambda: runs(store, FILTER, sort="m.m0")[:PAGE],
        "page_and_total": lambda: (len(found := runs(store, FILTER, sort="-m.m0")), found[:PAGE]),
        "table": lambda: runs(store, FILTER, sort="-m.m0").table(PAGE),
        "filter_alone": lambda: runs(store, FILTER)[:PAGE],
        "then": lambda: runs(then, FILTER, sort="-m.m0")[:PAGE],
    }
    found: dict[str, Any] = {"first_ms": round(first, 2)}
    for name, question in asked.items():
        question()
        found[f"{name}_ms"] = round(median(_cost(question) for _ in range(rounds)), 2)
    found["matching"] = len(runs(store, FILTER))
    store.close()
    return found


def _cost(question: Any) -> float:
    started = time.perf_counter()
    question()
    return (time.perf_counter() - started) * 1000
