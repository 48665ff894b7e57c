"""When the records of a log were put: how many in each hour, day or week. Reads a few frames for each; what is past is remembered."""

from __future__ import annotations

from bisect import bisect_left
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from mlmd.display.cells import calendar_time

if TYPE_CHECKING:
    from evlog.log import Log

BARS_MAX: Final = 62
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(weeks=1)
_HOURS_MAX: Final = 48
_MONDAY: Final = 4  # Days from 1970-01-01, a Thursday, to the first Monday.
_US: Final = timedelta(microseconds=1)
_KNOWN_MAX: Final = 10_000


class Calendar:
    """The calendar of a log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known: dict[int, int] = {}  # How many records were put before a time that is over. Held by `_lock`.
        self._lock = Lock()

    def bars(self, stop: int) -> dict[str, Any]:
        """Return the first `stop` records by time: {"each": "hour", "most": N, "bars": [{"start", "records", "offset"}]}.

        start: when a bar begins, UTC; offset: how many records there were at its end. Bars without a record are there too. Raises what
        reading the log does.
        """
        if not stop:
            return {"each": "day", "most": 0, "bars": []}
        first_us, last_us = self._time(0), self._time(stop - 1)
        each, step_us, start_us = _steps(first_us, last_us)
        bars: list[dict[str, Any]] = []
        before = 0
        with self._lock:
            if len(self._known) > _KNOWN_MAX:
                self._known.clear()
            for edge_us in range(start_us, last_us + 1, step_us):
                after = self._before(edge_us + step_us, before, stop, last_us)
                bars.append({"start": calendar_time(edge_us), "records": after - before, "offset": after})
                before = after
        return {"each": each, "most": max(bar["records"] for bar in bars), "bars": bars}

    def _before(self, edge_us: int, low: int, stop: int, last_us: int) -> int:
        """Return how many of the first `stop` records were put before a time, `low` at least."""
        if edge_us > last_us:
            return stop
        if edge_us not in self._known:  # The records up to it are all there, and stay as they are.
            self._known[edge_us] = bisect_left(range(stop), edge_us, lo=low, key=self._time)
        return self._known[edge_us]

    def _time(self, offset: int) -> int:
        return self._log.frame(offset).time_us


def _steps(first_us: int, last_us: int) -> tuple[str, int, int]:
    """Return what a bar is, how long it is, and when the first one begins."""
    span = (last_us - first_us) * _US
    weeks = 1 + span // _WEEK // (BARS_MAX - 1)
    if span < _HOUR * _HOURS_MAX:
        each, step, shift = "hour", _HOUR, 0
    elif span < _DAY * (BARS_MAX - 1):
        each, step, shift = "day", _DAY, 0
    else:
        each, step, shift = "week" if weeks == 1 else f"{weeks} weeks", weeks * _WEEK, _MONDAY * (_DAY // _US)
    step_us = step // _US
    return each, step_us, (first_us - shift) // step_us * step_us + shift
