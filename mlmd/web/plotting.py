"""Filters of templates that draw: places of points in a picture, as the `points` of a line of SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


def ways(lines: Sequence[dict[str, Any]], width: float, height: float) -> list[dict[str, Any]]:
    """Return lines of a metric, on one scale, as {"run", "points": text, "dot": where the only point is, or None}."""
    there = [(step, value) for line in lines for step, _, value in line["points"] if None not in (step, value)]
    low_x, high_x = min((x for x, _ in there), default=0), max((x for x, _ in there), default=0)
    low_y, high_y = min((y for _, y in there), default=0), max((y for _, y in there), default=0)
    wide, high = (high_x - low_x) or 1, (high_y - low_y) or 1
    found = []
    for line in lines:
        points = [
            ((step - low_x) / wide * width, height - (value - low_y) / high * height)
            for step, _, value in line["points"]
            if None not in (step, value)
        ]
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dot = tuple(f"{one:.1f}" for one in points[0]) if len(points) == 1 else None
        found.append({"run": line["run"], "points": text, "dot": dot})
    return found


def across(places: Sequence[float | None], step: float, height: float) -> str:
    """Return the line of a run across parallel axes; it leaves out an axis on which it has no place."""
    return " ".join(f"{step * at:g},{height * (1 - one):.1f}" for at, one in enumerate(places) if one is not None)


def spread(some: Sequence[Any], most: int) -> Sequence[Any]:
    """Return at most so many of some values, evenly, the first and the last among them."""
    if len(some) <= most:
        return some
    return [some[round(at * (len(some) - 1) / (most - 1))] for at in range(most)]


def without(some: Sequence[Any], one: Any) -> list[Any]:
    """Return values without one of them."""
    return [other for other in some if other != one]


FILTERS: Final = {"ways": ways, "across": across, "spread": spread, "without": without}
