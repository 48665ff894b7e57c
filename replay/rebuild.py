"""A fresh view beside the old one, then a swap. Readers keep the old one until the new one is complete."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from evlog.personal import erases
from projections.errors import ViewError
from projections.sqlite import database
from projections.sqlite.view import View
from replay.follow import bring_up

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.log import Log
    from projections.sqlite.apply import Bodies
    from projections.sqlite.properties import Property
    from replay.follow import Progress


_LOG: Final = logging.getLogger(__name__)


def build(log: Log, path: Path | None, bodies: Bodies, stop: int, progress: Progress | None = None) -> View:
    """Return a fresh view of the first `stop` records, in a new file or in memory. Indexes are made last: cheaper."""
    view = View.create(path, log.id, bodies, indexes=False)
    try:
        bring_up(log, view, stop, progress)
        view.index()
    except BaseException:
        view.close()
        raise
    return view


def rebuild(log: Log, folder: Path, bodies: Bodies, progress: Progress | None = None) -> int:
    """Make the current view in `folder` anew and swap it in; return the offset it is at.

    Most of the work runs beside writers and readers; the last records and the swap under the writer lock.
    """
    folder.mkdir(exist_ok=True)
    while True:
        path = database.new_file(folder)
        try:
            stop = log.refresh()
            view = build(log, path, bodies, stop, progress)
            for wanted in _indexed_before(log, folder, bodies):
                view.index_property(wanted)
            with log.claim() as group:
                bring_up(log, view, group.end)
                view.close()
                # What was erased meanwhile, this view may have been made of: then it is made once more.
                if published := not erases(log, stop, group.end):
                    database.FILES.publish(folder, path)
        except BaseException:
            _remove(folder, path)
            raise
        if published:
            return view.applied
        _remove(folder, path)


def _remove(folder: Path, path: Path) -> None:
    for leftover in folder.glob(f"{path.name}*"):
        leftover.unlink()


def _indexed_before(log: Log, folder: Path, bodies: Bodies) -> list[Property]:
    """Return the properties that the current view has an index of; none where it cannot be read."""
    try:
        view = View.open(folder, log.id, bodies, writable=False)
    except ViewError:
        return []
    try:
        return view.indexed_properties()
    except ViewError:
        return []
    finally:
        view.close()


class OtherHistoryError(ViewError):
    """The view is of this log, and shows a record as the last one that the log does not hold there."""


def open_current(log: Log, folder: Path, bodies: Bodies, progress: Progress | None = None) -> View:
    """Return the current view of a log, made anew where there is none that fits. It may be behind the log."""
    try:
        return fitting(log, View.open(folder, log.id, bodies))
    except ViewError as error:
        if isinstance(error, OtherHistoryError):
            _LOG.warning("%s; the view is made anew: `evlog verify --since CHECKPOINT` tells about the log", error)
        rebuild(log, folder, bodies, progress)
        return View.open(folder, log.id, bodies)


def fitting(log: Log, view: View) -> View:
    """Return the view if it is one of this log's history. Raises OtherHistoryError, the view closed, if it is not."""
    if view.applied > log.refresh() or log.leaf_prefix(view.applied) != view.prev:
        view.close()
        raise OtherHistoryError(f"{view.path}: {other_history(view.applied)}")
    return view


def other_history(applied: int) -> str:
    """Return what is to be said of a view of so many records that are not those of the log."""
    return f"the {applied} records that the view shows are not the first ones of the log: log or view was replaced, or altered"
