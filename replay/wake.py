"""What wakes a follower when a log grows. A wake-up is only a hint: whoever gets it looks how far the log goes now.

Where the system tells of changed files, watchfiles waits for that, and looks anyway every 50 ms; elsewhere (a network file system, no
watchfiles, no more watches to be had, a log in memory) the log is looked at after pauses of 1 to 50 ms, longer the longer nothing comes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from evlog import storage
from evlog.files import RealFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from threading import Event

    from evlog.log import Log

_LOG: Final = logging.getLogger(__name__)
# watchfiles looks every STEP_MS whether the system told of something, and gives it when nothing more came in the last of them, or
# after DEBOUNCE_MS. A step of 2 ms costs 0.9 % of a core while nothing comes, and half of it is waited for after each commit; one of
# 1 ms costs 1.5 to 2.4 % and saves 1 ms.
STEP_MS: Final = 2
DEBOUNCE_MS: Final = 10
LOOK_MS: Final = 50
PAUSE_MIN_S: Final = 0.001
PAUSE_MAX_S: Final = 0.05
_LONGER: Final = 1.25


def wakes(log: Log, stop_event: Event) -> Iterator[None]:
    """Yield at once, then whenever the log may have grown, and now and then, until `stop_event` is set. log: open for reading."""
    folder = log.folder
    if not stop_event.is_set():
        yield
    if isinstance(folder, RealFolder) and storage.tells_of_changes(folder.path):
        yield from _told(folder.path, stop_event)
    yield from _looked(log, stop_event)


def _told(path: Path, stop_event: Event) -> Iterator[None]:
    """Yield when the system tells of a change in a folder; return where it cannot."""
    try:
        from watchfiles import watch  # noqa: PLC0415 - it need not be there, and only followers pay for its import
    except ImportError:
        _LOG.info("watchfiles is not installed: %s is looked at instead", path)
        return
    try:
        for _ in watch(
            path,
            watch_filter=None,
            step=STEP_MS,
            debounce=DEBOUNCE_MS,
            # Also for what came before the watch was set, and where the folder is not the one it was set on.
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            stop_event=stop_event,
            recursive=False,
        ):
            yield
    except (OSError, RuntimeError) as error:  # Its own errors are RuntimeErrors.
        _LOG.warning("%s cannot be watched (%s): it is looked at instead", path, error)


def _looked(log: Log, stop_event: Event) -> Iterator[None]:
    """Yield after pauses, short ones while the log grows."""
    pause_s, end = PAUSE_MIN_S, log.end
    while not stop_event.wait(pause_s):
        pause_s = PAUSE_MIN_S if log.refresh() > end else min(pause_s * _LONGER, PAUSE_MAX_S)
        end = log.end
        yield
