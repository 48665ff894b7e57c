"""`replay`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from evlog.files import RealFolder
from evlog.log import Log
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import show_one, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.opening import BODIES, LOG_FOLDER, VIEWS_FOLDER, acknowledged_by
from projections.errors import ViewError
from projections.sqlite.view import View
from replay.rebuild import rebuild

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.cli.settings import Settings


@command()
@with_settings
def replay(settings: Settings) -> None:
    """Make the view anew from the log, beside the old one, and swap it in. Readers and writers go on meanwhile.

    Examples:
    evlog replay                 and tell whether the new view equals the old one
    evlog -s my-store replay --json

    """
    place = find_store(settings)
    folder = RealFolder(place / LOG_FOLDER)
    # The old view may be the only witness of records that the log has lost: a new one must not take its place then.
    log = Log.open(folder, acknowledged=acknowledged_by(place / VIEWS_FOLDER, folder))
    try:
        before = _state(log, place / VIEWS_FOLDER)
        started = time.perf_counter()
        with progress_of(settings, "replaying") as progress:
            records = rebuild(log, place / VIEWS_FOLDER, BODIES, progress)
        took_s = time.perf_counter() - started
        after = _state(log, place / VIEWS_FOLDER)
    finally:
        log.close()
    equal = None if before is None or after is None or before[0] != after[0] else before == after
    row = {"records": records, "digest": after[1] if after else None, "equal_to_the_one_before": equal}
    show_one(settings, row)
    talk(settings, f"{took_s:.2f} s, {records / took_s:,.0f} records/s")


def _state(log: Log, views: Path) -> tuple[int, str] | None:
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
