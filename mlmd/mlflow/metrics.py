"""Points of metrics: each put has its own in `evlog.points`, so a history is that of the versions and nothing is written twice.

The last value of a metric is that of the highest (step, time, value), as MLflow has it. MLflow keeps an infinity as the largest double, and
compares a NaN as 0; the log has what was given.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlflow.entities import Metric

from evlog.records import ExecutionPut, Struct
from mlmd.mlflow import words
from mlmd.mlflow.nodes import integer, refusals
from mlmd.recorder.words import METRIC, POINTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evlog.records import Value
    from mlmd.mlflow.nodes import Nodes
    from mlmd.proto import metadata_store_pb2 as pb

_LARGEST: Final = sys.float_info.max
_EXACT: Final = 2**53  # A number of a struct is a double.


class Point(NamedTuple):
    """One value of a metric, as it was given."""

    step: int
    time_ms: int
    value: float

    @property
    def rank(self) -> tuple[int, int, float]:
        """By this one point is later than another."""
        return (self.step, self.time_ms, compared(self.value))

    def metric(self, key: str) -> Metric:
        """Return the point as MLflow has it."""
        return Metric(key, shown(self.value), self.time_ms, self.step)


def shown(value: float) -> float:
    """Return a value as MLflow shows it."""
    return value if math.isnan(value) else min(max(value, -_LARGEST), _LARGEST)


def compared(value: float) -> float:
    """Return a value as MLflow compares it."""
    return 0.0 if math.isnan(value) else shown(value)


def logged(run: pb.Execution, points: Mapping[str, Iterable[Point]]) -> dict[str, Value | None]:
    """Return the properties that points of some metrics set of a run."""
    values: dict[str, Value | None] = {}
    for key, some in points.items():
        last = max(some, key=lambda point: point.rank)
        before = last_of(run, key)
        if before is None or last.rank > before.rank:
            values[METRIC + key] = last.value
            values[words.STEP + key] = last.step or None
            values[words.TIME_MS + key] = last.time_ms
    values[POINTS] = Struct({key: [_numbers(point) for point in some] for key, some in points.items()})
    return values


def last_of(run: pb.Execution, key: str) -> Point | None:
    """Return the last value of a metric of a run."""
    if METRIC + key not in run.custom_properties:
        return None
    value = run.custom_properties[METRIC + key].double_value
    return Point(integer(run, words.STEP + key) or 0, integer(run, words.TIME_MS + key) or 0, value)


def _numbers(point: Point) -> list[Any]:
    """Return a point as a struct has it; an integer that no double is as a text."""
    return [*(one if -_EXACT <= one <= _EXACT else str(one) for one in point[:2]), point.value]


def history(nodes: Nodes, run: pb.Execution, key: str) -> list[Point]:
    """Return every value that a run's metric ever had, each once, by time, step and value."""
    found: dict[tuple[int, int, float, bool], Point] = {}
    with refusals():
        versions = nodes.metadata.history(f"run:{run.id}")
    for version in versions:
        if not isinstance(version.after, ExecutionPut):
            continue
        points = version.after.custom_properties.get(POINTS)
        for step, time_ms, value in points.fields.get(key, ()) if isinstance(points, Struct) else ():
            point = Point(int(step), int(time_ms), float(value))
            found[point.time_ms, point.step, compared(point.value), math.isnan(point.value)] = point
    return [found[rank] for rank in sorted(found)]
