"""The store of a moment: a read-only view of the first records of the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from evlog.errors import FutureError
from evlog.now import Now
from replay.rebuild import build

if TYPE_CHECKING:
    from evlog.log import Log
    from projections.sqlite.apply import Bodies
    from projections.sqlite.view import View
    from replay.follow import Progress

Moment = int | datetime
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def as_of(log: Log, moment: Moment, bodies: Bodies, progress: Progress | None = None) -> View:
    """Return a view in memory of the store as it was at a moment; the caller closes it.

    moment: an offset (how many records had been put), or a datetime with a zone. Raises FutureError for one that the log has
    not reached, ValueError for a datetime without zone.
    """
    return build(log, None, bodies, offset_of(log, moment), progress)


def offset_of(log: Log, moment: Moment) -> int:
    """Return the offset that names the state of a moment."""
    end = log.refresh()
    if isinstance(moment, int):
        if not 0 <= moment <= end:
            raise FutureError(asked=moment, end=end)
        return moment
    if isinstance(moment, Now):
        return end
    if moment.tzinfo is None:
        message = f"{moment.isoformat()} has no time zone: it names no moment"
        raise ValueError(message)
    if moment > datetime.now(UTC):
        raise FutureError(asked=moment, end=end)
    return log.offset_at((moment - _EPOCH) // _MICROSECOND)


def first_since(log: Log, moment: Moment) -> int:
    """Return the offset of the first record that was put since a moment. Raises as `offset_of`."""
    # An offset counts the records up to a time, and what was put at that very time was put since then.
    return offset_of(log, moment if isinstance(moment, int) else moment - _MICROSECOND)
