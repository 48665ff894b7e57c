"""The frozen copy of the history (`projections.duck.frozen`) brought up to the log: by what was put since, in few files.

A run copies the records [start, end) of the history view. `start` is where the copy ends, or where a file begins that is small beside what
is new: that one is written again as part of a larger one. So each record is copied a few times, and there are few files however often it runs.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from evlog.records import Erased
from projections.duck import database, frozen
from projections.generations import FROZEN_FOLDER
from replay import analytics

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.log import Log
    from projections.duck.frozen import Frozen
    from replay.follow import Progress

_FACTOR: Final = 4  # A stretch of files is written again with what is new, unless it is so many times as long,
_SMALL_RECORDS: Final = (
    4_096  # and in any case while it is short: that takes no longer than to write the new records alone.
)
_ERASED: Final = Erased.__struct_config__.tag
_ERASURES: Final = """
select count(*) from records
where "offset" >= $1 and list_contains(list_transform(changes, lambda change: change.kind), $2)
"""


def freeze(log: Log, views: Path, progress: Progress | None = None) -> tuple[Path, int]:
    """Bring the frozen copy beside the history view in `views` up to the log; return its folder, and how many records it shows.

    In a folder that cannot be written it is as far as it is. Raises ViewError where there is none and it cannot be made.
    """
    folder = views.resolve() / FROZEN_FOLDER
    applied = analytics.bring_up(log, views, progress).applied
    found = _of_log(log, folder)
    if found is not None and (found.mark.applied >= applied or not analytics.writable(views)):
        return folder, found.mark.applied
    with analytics.writing(views):
        if database.FILES.current(folder) != (found.path if found is not None else None):
            found = _of_log(log, folder)  # Another process was at it meanwhile.
        if found is not None and _erases(views, found.mark.applied):
            analytics.make_anew(log, views, progress)  # So that what was erased is nowhere, whoever erased it.
            found = None
        return folder, _copy(views, folder, found)


def _copy(views: Path, folder: Path, found: Frozen | None) -> int:
    """Copy what is new; return how many records there are then."""
    with closing(frozen.source(views, analytics.READER_PATIENCE_S)) as history:
        mark = database.watermark(history)
        if found is not None and found.mark.applied >= mark.applied:
            return found.mark.applied
        start = _start(found, mark.applied) if found is not None else 0
        kept = found.before(start) if found is not None else []
        frozen.publish(folder, mark, [*kept, *frozen.copy(history, folder, start, mark.applied)], found)
    return mark.applied


def _start(found: Frozen, stop: int) -> int:
    """Return the first record to copy: none of a stretch that stays is short beside what is written."""
    start = found.mark.applied
    for begun in sorted({file.start for file in found.files}, reverse=True):
        if start - begun >= max(_FACTOR * (stop - start), _SMALL_RECORDS):
            break
        start = begun
    return start


def _of_log(log: Log, folder: Path) -> Frozen | None:
    found = frozen.look(folder)
    return found if found is not None and analytics.fits(log, found.mark) else None


def _erases(views: Path, start: int) -> bool:
    """Tell whether a record from `start` on took values away for good."""
    with closing(frozen.source(views, analytics.READER_PATIENCE_S)) as history:
        ((count,),) = history.execute(_ERASURES, [start, _ERASED]).fetchall()
    return bool(count)
