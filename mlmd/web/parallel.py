"""Parallel coordinates: an axis for each parameter and metric that differs, a line for each run. Places from 0, the lowest, to 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmd.recorder.compare import Comparison

AXES_MAX: Final = 12
_SECTIONS: Final = ("param", "metric")  # From what was told to what came of it.
_TICKS_MAX: Final = 8
_TWO: Final = 2


def axes_of(compared: Comparison) -> dict[str, Any] | None:
    """Return {"axes": [{"name", "ticks": [{"place", "value"}]}], "lines": [{"run", "places": [0..1 or None]}]}; None for fewer than two axes."""
    rows = [one for section in _SECTIONS for one in compared.differences if one.section == section][:AXES_MAX]
    axes = [_axis(f"{one.section[0]}.{one.key}", one.values) for one in rows]
    if len(axes) < _TWO:
        return None
    lines = [
        {"run": label, "places": [axis["places"][at] for axis in axes]} for at, label in enumerate(compared.labels)
    ]
    return {"axes": [{"name": axis["name"], "ticks": axis["ticks"]} for axis in axes], "lines": lines}


def _axis(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return an axis: of numbers by their size, of anything else one place for each value."""
    there = [one for one in values if one is not None]
    if all(isinstance(one, int | float) and not isinstance(one, bool) for one in there):
        numbers = [float(one) for one in there if math.isfinite(one)]
        low, high = min(numbers, default=0.0), max(numbers, default=0.0)
        width = (high - low) or 1.0
        places = [(float(one) - low) / width if one is not None and math.isfinite(one) else None for one in values]
        return {"name": name, "places": places, "ticks": [{"place": 0.0, "value": low}, {"place": 1.0, "value": high}]}
    kinds = sorted({str(one) for one in there})
    place_of = {kind: at / max(1, len(kinds) - 1) for at, kind in enumerate(kinds)}
    ticks = [{"place": place, "value": kind} for kind, place in place_of.items()]
    return {
        "name": name,
        "places": [None if one is None else place_of[str(one)] for one in values],
        "ticks": ticks if len(ticks) <= _TICKS_MAX else [ticks[0], ticks[-1]],
    }
