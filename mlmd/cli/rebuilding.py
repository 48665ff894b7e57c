"""`replay`."""

from __future__ import annotations

import time
from threading import Event
from typing import TYPE_CHECKING

import click

from evlog.author import clock_us
from evlog.files import RealFolder
from evlog.log import Log
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import rfc3339, show_one, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store, log_of
from mlmd.cli.stream import RowStream
from mlmd.opening import BODIES, LOG_FOLDER, VIEWS_FOLDER, acknowledged_by
from projections.errors import ViewError
from projections.sqlite.view import View
from replay.rebuild import rebuild

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings
    from replay.follow import Progress

    State = tuple[int, str] | None


@command()
@with_settings
@click.option(
    "--view",
    type=click.Choice(["current", "history"]),
    default="current",
    show_default=True,
    help="current answers the API, history answers SQL.",
)
@click.option(
    "--follow", "following", is_flag=True, help="Bring the history view up instead, and keep it up, until Ctrl-C."
)
def replay(settings: Settings, view: str, following: bool) -> None:
    """Make a view anew from the log, beside the old one, and swap it in. Readers and writers go on meanwhile.

    Examples:
    evlog replay                   and tell whether the new view equals the old one
    evlog replay --view history    the one that `evlog sql` asks
    evlog replay --view history --follow
    evlog -s my-store replay --json

    """
    if following:
        if view != "history":
            raise click.UsageError("--follow is for --view history: whoever puts keeps the other one up")
        _follow(settings)
        return
    place = find_store(settings)
    folder = RealFolder(place / LOG_FOLDER)
    # The old view may be the only witness of records that the log has lost: a new one must not take its place then.
    log = Log.open(folder, acknowledged=acknowledged_by(place / VIEWS_FOLDER, folder))
    started = time.perf_counter()
    try:
        with progress_of(settings, "replaying") as progress:
            row = (_history if view == "history" else _current)(log, place / VIEWS_FOLDER, progress)
    finally:
        log.close()
    took_s = time.perf_counter() - started
    show_one(settings, row)
    talk(settings, f"{took_s:.2f} s, {row['records'] / took_s:,.0f} records/s")


def _current(log: Log, views: Path, progress: Progress | None) -> Row:
    return _row(_state(log, views), rebuild(log, views, BODIES, progress), _state(log, views))


def _history(log: Log, views: Path, progress: Progress | None) -> Row:
    from replay import analytics  # noqa: PLC0415 - DuckDB is slow to import, and need not be there

    return _row(analytics.state(log, views), analytics.rebuild(log, views, progress), analytics.state(log, views))


def _follow(settings: Settings) -> None:
    """Keep the history view up, and tell of each advance."""
    from replay import analytics  # noqa: PLC0415 - as above

    views, stream = find_store(settings) / VIEWS_FOLDER, RowStream(settings, ["time", "records"])
    with log_of(settings) as log:
        with progress_of(settings, "replaying") as progress:
            analytics.bring_up(log, views, progress)
        try:
            told = lambda applied: stream.write([{"time": rfc3339(clock_us()), "records": applied}])  # noqa: E731
            analytics.follow(log, views, told, Event())
        except KeyboardInterrupt:
            stream.end()
            raise


def _row(before: State, records: int, after: State) -> Row:
    equal = None if before is None or after is None or before[0] != after[0] else before == after
    return {"records": records, "digest": after[1] if after else None, "equal_to_the_one_before": equal}


def _state(log: Log, views: Path) -> State:
    """Return applied offset and digest of the current view, None where there is none."""
    try:
        view = View.open(views, log.id, BODIES, writable=False)
    except ViewError:
        return None
    try:
        return view.state()
    except ViewError:
        return None
    finally:
        view.close()
