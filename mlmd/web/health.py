"""How a store is now: its log on the disk, how far its view is behind, what was signed, and what is kept elsewhere."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from evlog.errors import LogError
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, anchored_size, newest_checkpoint
from projections.sqlite.lookup import Lookup

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.log import Log
    from mlmd.web.site import Site
    from projections.sqlite.view import View


def health_of(site: Site) -> dict[str, Any]:
    """Return what there is to know without reading records. Of a store in memory there is no disk."""

    def question(log: Log, view: View, _end: int) -> tuple[int, int]:
        return log.refresh(), view.ask(Lookup.applied)

    end, applied = site.engine.review(question)
    told: dict[str, Any] = {"records": end, "view_behind": max(0, end - applied)}
    if (place := site.place) is None:
        return told
    signed = newest_checkpoint(place / TLOG_FOLDER)
    ours = signed is not None and signed.origin == site.engine.log.origin
    return told | {
        "log_bytes": _size(place / LOG_FOLDER),
        "views_bytes": _size(place / VIEWS_FOLDER),
        "free_bytes": shutil.disk_usage(place).free,
        "signed_records": signed.size if signed is not None and ours else None,
        "elsewhere_records": _anchored(place),
    }


def _anchored(place: Path) -> int | None:
    try:
        return anchored_size(place) or None
    except LogError:  # The chip of the evidence says so, and the page of the audit.
        return None


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # It was replaced just now.
            total += path.stat().st_size if path.is_file() else 0
    return total
