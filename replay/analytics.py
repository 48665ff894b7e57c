"""The analytics view brought up to the log: opened, caught up, closed. Any process may ask for it, one at a time does it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog.errors import LostRecordsError
from evlog.files import RealFolder
from projections.duck import database
from projections.duck.reading import open_view
from projections.duck.state import state_of
from projections.duck.view import HistoryView
from projections.errors import BusyViewError, ViewError
from replay.follow import bring_up as apply_up_to
from replay.gathering import fill
from replay.verify import Finding, compare_state, differs, lost_beside
from replay.wake import wakes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from threading import Event

    from evlog.log import Log
    from projections.duck.database import Watermark
    from projections.state import State
    from replay.follow import Progress

READER_PATIENCE_S: Final = 10.0  # For whoever brings the view up; in the file itself that is a matter of moments.
REST_S: Final = 0.5  # Of a follower, between two advances.
_WRITER_PATIENCE_S: Final = 0.2  # For readers; those who stay longer keep the old file, and the work is done on a copy.
_IN_PLACE_RECORDS: Final = 50_000  # More than that, and readers would notice: a copy it is.


class Shown(NamedTuple):
    """The analytics view as it can be read: its file, how many records it shows, how many the log lacks it."""

    path: Path
    applied: int
    behind: int


def bring_up(log: Log, views: Path, progress: Progress | None = None) -> Shown:
    """Bring the analytics view in `views` up to the log, made anew where it does not fit; return what can be read now.

    In a folder that cannot be written, what is there is returned, behind or not. Raises ViewError where there is nothing.
    """
    found = shown(log, views)
    if found is not None and found.behind == 0:
        return found
    if not writable(views):
        if found is None:
            raise ViewError(
                f"{views}: there is no history view of this log, and none can be made: the folder cannot be written"
            )
        return found
    with writing(views):
        return _advance(log, views, _end(log), progress)


def follow(log: Log, views: Path, told: Callable[[int], object], stop_event: Event) -> None:
    """Keep the analytics view up with a log that others append to, until `stop_event` is set. It is open while it is advanced, only.

    log: open for reading. told: called with the offset after each advance; there is a pause of REST_S then, for readers, and so that
    under load one advance takes many records. Raises ViewError where nothing can be written, and what `Log.refresh` raises.
    """
    applied = -1
    for _ in wakes(log, stop_event):
        if log.refresh() == applied:
            continue
        try:
            shown = bring_up(log, views)
        except BusyViewError:  # Whoever brings it up takes long: the next look will find it free.
            continue
        if shown.behind:
            raise ViewError(f"{views}: the history view is at #{shown.applied}, and the folder cannot be written")
        applied = shown.applied
        told(applied)
        stop_event.wait(REST_S)


def rebuild(log: Log, views: Path, progress: Progress | None = None) -> int:
    """Make the analytics view anew beside the old one and swap it in; return the offset it is at."""
    views.mkdir(exist_ok=True)
    with writing(views):
        return make_anew(log, views, progress)


def make_anew(log: Log, views: Path, progress: Progress | None = None) -> int:
    """Do what `rebuild` does, for who holds `writing`."""
    return _replace(log, views, None, _end(log), progress).applied


class Look(NamedTuple):
    """What the current view holds: its file, how many records, the digest of its rows, and the state that they say, if it was asked for."""

    path: Path
    applied: int
    digest: str
    state: State | None


def state(log: Log, views: Path) -> tuple[int, str] | None:
    """Return applied offset and digest of the current view, None where there is none of this log."""
    found = look(log, views)
    return (found.applied, found.digest) if isinstance(found, Look) else None


def look(log: Log, views: Path, *, deep: bool = False) -> Look | Finding:
    """Return what the current view holds, or why that cannot be said. deep: its state too.

    That there is none of this log is a note: the next question makes one. That there is one and it cannot be read is damage.
    """
    path = database.FILES.current(views)
    none = "no history view of this log to check; the next question in SQL makes one"
    try:
        connection = open_view(views, patience_s=READER_PATIENCE_S).connection
    except BusyViewError as error:
        return Finding("note", f"the history view was not checked: {error}", str(path))
    except ViewError as error:
        return Finding("note", f"{none}: {error}", str(views))
    try:
        mark = database.watermark(connection)
        if path is None or mark.log_id != log.id:
            return Finding("note", none, str(views))
        _end(log)
        log.reach(mark.applied)
        return Look(path, mark.applied, database.digest(connection), state_of(connection) if deep else None)
    except ViewError as error:
        what = f"the history view cannot be read: {error}; `evlog replay --view history` makes it anew"
        return Finding("damage", what, str(path))
    except LostRecordsError as error:
        return lost_beside(str(path), mark.applied, error)
    finally:
        connection.close()


def verify_view(
    log: Log, found: Look | Finding, states: Mapping[int, State], progress: Progress | None = None
) -> list[Finding]:
    """Compare the current view with a replay of as many records, by the digest of rows.

    found: what it holds; states: those of a replay, by offset, for the one that it says.
    """
    if isinstance(found, Finding):
        return [found]
    name, path, mend = "the history view", str(found.path), "evlog replay --view history"
    if findings := compare_state(found.applied, found.state, states, name, path, mend):
        return findings
    with tempfile.TemporaryDirectory() as folder:
        fresh = HistoryView(Path(folder) / "fresh.duckdb", log.id, create=True)
        try:
            apply_up_to(log, fresh, found.applied, progress)
            same = database.digest(fresh.connection) == found.digest
        finally:
            fresh.close()
    return [] if same else [differs(name, found.applied, path, mend)]


def in_memory(log: Log, stop: int | None = None, progress: Progress | None = None) -> HistoryView:
    """Return an analytics view in memory of the first `stop` records, all if None; the caller closes it."""
    stop = _end(log) if stop is None else stop
    view = HistoryView(None, log.id, create=True)
    try:
        apply_up_to(log, view, stop, progress)
    except BaseException:
        view.close()
        raise
    return view


def _end(log: Log) -> int:
    """Return how many records there are now, whoever put them. A writer learns of others' only by its lock."""
    if not log.writable:
        return log.refresh()
    with log.claim() as group:
        return group.end


def shown(log: Log, views: Path) -> Shown | None:
    """Return what the current view shows, None where there is none of this log's history. Raises BusyViewError."""
    path = database.FILES.current(views)
    if path is None:
        return None
    try:
        mark = database.peek(path, READER_PATIENCE_S)
    except BusyViewError:
        raise
    except ViewError:  # Damaged, of another release, or replaced this very moment.
        return None
    stop = _end(log)  # Now, because another process may have brought the view up a moment ago.
    return Shown(path, mark.applied, max(0, stop - mark.applied)) if fits(log, mark, stop) else None


def fits(log: Log, mark: Watermark, stop: int | None = None) -> bool:
    """Tell whether a view is of the log's history. stop: how many records the log has, where that is known.

    Raises LostRecordsError for one that knows of records which the log does not hold: it is the evidence that they are lost.
    """
    if mark.log_id != log.id:
        return False
    if mark.applied > (_end(log) if stop is None else stop):
        log.reach(mark.applied)
    return log.leaf_prefix(mark.applied) == mark.prev


def _advance(log: Log, views: Path, stop: int, progress: Progress | None) -> Shown:
    """Apply the records up to `stop`: in the current file if that is short work and nobody reads it, else in a new one."""
    path = database.FILES.current(views)
    if path is None:
        return _replace(log, views, None, stop, progress)
    try:
        view = HistoryView(path, log.id, create=False, patience_s=_WRITER_PATIENCE_S)
    except BusyViewError:
        return _replace(log, views, path if shown(log, views) else None, stop, progress)
    except ViewError:
        return _replace(log, views, None, stop, progress)
    ours, behind = fits(log, view.mark, stop), stop - view.applied
    if ours and behind <= _IN_PLACE_RECORDS:
        _follow_and_close(view, log, stop, progress)
        return Shown(path, stop, 0)
    view.close()
    return _replace(log, views, path if ours else None, stop, progress)


def _replace(log: Log, views: Path, source: Path | None, stop: int, progress: Progress | None) -> Shown:
    """Put a new file in the current one's place: a copy of `source` brought up to the log, or one made from nothing."""
    path = database.FILES.new_path(views)
    try:
        if source is not None:
            _copy(source, path)
        _follow_and_close(HistoryView(path, log.id, create=source is None), log, stop, progress)
        return Shown(database.FILES.publish(views, path), stop, 0)
    except BaseException:
        for leftover in views.glob(f"{path.name}*"):
            leftover.unlink()
        raise


def _follow_and_close(view: HistoryView, log: Log, stop: int, progress: Progress | None) -> None:
    try:
        fill(log, view, stop, progress)
    finally:
        view.close()


def _copy(source: Path, target: Path) -> None:
    """Copy a view that nobody writes.

    By another process: DuckDB's locks are the kind that a process loses when it closes the file, however it had opened it, and this
    one may be reading it.
    """
    for end in ("", ".wal"):
        if source.with_name(source.name + end).exists():
            command = ["cp", "--", f"{source}{end}", f"{target}{end}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - paths of our own
            if done.returncode != 0:
                raise ViewError(f"{source}{end}: cannot be copied: {done.stderr.strip()}")


@contextmanager
def writing(views: Path) -> Iterator[None]:
    """Hold the lock of those who write the view."""
    lock = RealFolder(views).lock(database.LOCK)
    try:
        lock.acquire()
        try:
            yield
        finally:
            lock.release()
    finally:
        lock.close()


def writable(views: Path) -> bool:
    """Tell whether views can be made in a folder, which is made where it is not there."""
    if not views.exists():
        try:
            views.mkdir()
        except OSError:
            return False
    return os.access(views, os.W_OK)
