"""Metrics over steps, few enough points to look at: of many, the first and the last, and of each stretch the lowest and the highest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmd.recorder.things import Point, Run

POINTS_MAX: Final = 400
METRICS_MAX: Final = 24
RUNS_MAX: Final = 20
_TWO: Final = 2


def of_run(run: Run) -> list[dict[str, Any]]:
    """Return the metrics that have several points, as {"metric", "points": how many, "lines": [{"run", "points": [[step, time_ms, value], ...]}]}."""
    return _curves([(run.label, run.histories())])


def of_runs(runs: Sequence[tuple[str, Run]]) -> list[dict[str, Any]]:
    """Return those of several runs, each under its label, as `of_run`. Of the first RUNS_MAX: more lines are not told apart."""
    return _curves([(label, run.histories()) for label, run in runs[:RUNS_MAX]])


def _curves(runs: Sequence[tuple[str, dict[str, list[Point]]]]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for _, own in runs for name, points in own.items() if len(points) >= _TWO)
    return [
        {
            "metric": name,
            "points": sum(len(own.get(name, ())) for _, own in runs),
            "lines": [
                {"run": label, "points": [[_finite(one) for one in point] for point in thinned(own[name])]}
                for label, own in runs
                if name in own
            ],
        }
        for name in sorted(names)[:METRICS_MAX]
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def thinned(points: Sequence[Point], most: int = POINTS_MAX) -> list[Point]:
    """Return points in order of their steps, at most so many: no peak is lost."""
    points = sorted(points)
    if len(points) <= most:
        return points
    stretch = math.ceil((len(points) - _TWO) / ((most - _TWO) // _TWO))
    kept = [points[0]]
    for start in range(1, len(points) - 1, stretch):
        part = [one for one in points[start : min(start + stretch, len(points) - 1)] if one.value == one.value]
        if part:
            ends = {min(part, key=lambda one: one.value), max(part, key=lambda one: one.value)}
            kept += sorted(ends)
    return [*kept, points[-1]]
