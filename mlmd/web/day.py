"""A day of the log in numbers: its first and last record, who put how many, and the checkpoint that stands for them."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from evlog import codec
from evlog.errors import FutureError
from evlog.frame import unpack_body
from evlog.tlog.archive import CHECKPOINTS, sizes
from evlog.tlog.shelf import FolderShelf
from mlmd.errors import InvalidArgumentError
from mlmd.opening import TLOG_FOLDER
from mlmd.web.evidence import checkpoint_facts
from mlmd.web.page import Page
from replay.asof import first_since

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.log import Log
    from mlmd.web.view import View

COUNTED_MAX: Final = 5_000  # Records that are read to count them: some 50 ms.
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_FIRST: Final = date(1970, 1, 1)  # Records bear no time before.
_LAST: Final = date(9998, 12, 31)


def day_page(view: View) -> Page:
    """Return the page of a day, in UTC."""
    day = _named(view.named["day"])
    facts = view.review(lambda log, _, end: _facts(view, log, end, day)) | {
        "day": str(day),
        "day_before": str(day - timedelta(1)) if day > _FIRST else None,
        "day_after": str(day + timedelta(1)) if day < _LAST else None,
    }
    facts["checkpoint"] = _covering(view.site.place, facts["last"])
    command = view.command("log", "--since", f"{day}T00:00Z", "--until", f"{day + timedelta(1)}T00:00Z", "-n", "0")
    first = facts["first"] or 0
    python = view.python(f".metadata.log.read({first}, {first + facts['records']})", "")
    return Page("day.html", f"Records of {day}", facts, command=command, python=python)


def _named(name: str) -> date:
    try:
        if _DAY.fullmatch(name) and _FIRST <= (day := date.fromisoformat(name)) <= _LAST:
            return day
    except ValueError:
        pass
    raise InvalidArgumentError(f"{name[:40]!r} is no day: write it as 2026-03-03, from {_FIRST} on")


def _facts(view: View, log: Log, end: int, day: date) -> dict[str, Any]:
    start, stop = (_first_since(log, end, one) for one in (day, day + timedelta(1)))
    counted = min(stop, start + COUNTED_MAX)
    actors: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for one in view.readable(log.frames, start, counted):
        envelope, _ = unpack_body(one.body, one.changes)
        said = codec.decode_envelope(envelope, offset=one.offset)
        actors[said.actor] += 1
        calls[said.api] += 1
    return {
        "records": stop - start,
        "first": start if start < stop else None,
        "last": stop - 1 if start < stop else None,
        "counted": counted - start,
        "actors": [{"actor": name, "records": count} for name, count in actors.most_common()],
        "calls": [{"api": name, "records": count} for name, count in calls.most_common()],
    }


def _first_since(log: Log, end: int, day: date) -> int:
    """Return the offset of the first record since a day began, `end` where there is none of the first `end`."""
    try:
        return min(end, first_since(log, datetime(day.year, day.month, day.day, tzinfo=UTC)))
    except FutureError:
        return end


def _covering(place: Path | None, last: int | None) -> dict[str, Any] | None:
    """Return the smallest checkpoint that is over a record, None where there is none."""
    if place is None or last is None:
        return None
    shelf = FolderShelf(place / TLOG_FOLDER)
    size = next((size for size in sizes(shelf) if size > last), None)
    if size is None:
        return None
    note = (shelf.read(f"{CHECKPOINTS}/{size}") or b"").decode(errors="replace")
    return checkpoint_facts(shelf, size) | {"note": note}
