"""The audit trail: records by who, when, through which call, why, of which type or thing; the newest first, a page at a time.

There is no index of who put a record or why, so a search reads records backwards. It reads so many at most, and tells where it stopped:
whoever wants more goes on from there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from evlog.errors import CorruptLogError, FutureError
from mlmd import marks, moment, names
from mlmd.changes import difference_row, in_short, plain_change
from mlmd.display.cells import calendar_time, printable
from mlmd.errors import InvalidArgumentError, NotFoundError
from mlmd.recorder import words
from projections.sqlite.lookup import Lookup
from replay.asof import first_since, offset_of
from replay.differences import of_record, records_of_types
from replay.reading import Gap, readable_backward
from replay.things import provenance_of, things_of
from replay.versions import history, was_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from evlog.log import Log
    from evlog.records import Entry, Envelope
    from projections.sqlite.view import View
    from replay.things import Difference, Thing

SCANNED_MAX: Final = 4_096  # Records that one page reads: some 100 ms.
_CHANGES_MAX: Final = 3  # Of a record, in a list; its own page has them all.
_ENDS: Final = ("artifact_id", "execution_id", "context_id", "parent_id", "child_id")


@dataclass(frozen=True)
class Wanted:
    """Which records: those that fit all of it; "" for any. object: art:2, type:Trainer. since, until: moments. before: an offset, None for the end."""

    by: str = ""
    api: str = ""
    reason: str = ""
    type: str = ""
    object: str = ""
    since: str = ""
    until: str = ""
    before: int | None = None

    def fits(self, said: Envelope | Any) -> bool:
        """Tell whether a record of an envelope, or a provenance, is wanted."""
        stated = not self.reason or self.reason.casefold() in (said.reason or "").casefold()
        return stated and self.by in ("", said.actor) and self.api in ("", said.api)


@dataclass(frozen=True)
class Trail:
    """Records, the newest first, and in the place of those that damage hides a row that says so.

    scanned: how many were read for it; go_on: the offset before which there may be more, None where there are none.
    """

    rows: list[dict[str, Any]]
    scanned: int
    go_on: int | None


def trail(log: Log, view: View, end: int, wanted: Wanted, limit: int) -> Trail:
    """Return the records that are wanted of the first `end`, `limit` at most. Raises InvalidArgumentError, NotFoundError."""
    start, stop = _range(log, view, end, wanted)
    thing = _thing(wanted.object) if wanted.object else None
    if thing is not None:
        # Where a version cannot be read, its life is not known as a whole, but record by record.
        with contextlib.suppress(CorruptLogError):
            return _life(log, view, start, stop, wanted, limit, thing)
    if wanted.type and wanted.type not in view.ask(Lookup.type_names).values():
        raise NotFoundError(f"there is no type {wanted.type!r}")
    scan = _Scan(log, max(start, stop - SCANNED_MAX), stop)
    asked = (entry for entry in scan.read() if wanted.fits(entry.record.envelope) and _is_about(entry, thing))
    found = records_of_types(view, asked, [wanted.type]) if wanted.type else asked
    rows: list[dict[str, Any]] = []
    for entry in found:
        rows += scan.gaps_after(entry.offset)
        rows.append(record_facts(log, view, entry, _CHANGES_MAX))
        if len(rows) >= limit:
            return Trail(rows, scan.read_to, entry.offset if entry.offset > start else None)
    rows += scan.gaps_after(-1)
    return Trail(rows, scan.read_to, scan.start if scan.start > start else None)


class _Scan:
    """Records [start, stop) read backwards; read_to: how many so far."""

    def __init__(self, log: Log, start: int, stop: int) -> None:
        self._log, self.start, self._stop, self.read_to = log, start, stop, 0
        self._gaps: list[Gap] = []  # Met, and not told yet.

    def read(self) -> Iterator[Entry]:
        for one in readable_backward(self._log, self.start, max(self.start, self._stop)):
            if isinstance(one, Gap):
                self._meet(one)
            else:
                self.read_to += 1
                yield one

    def _meet(self, gap: Gap) -> None:
        if self._gaps and self._gaps[-1].start == gap.stop and self._gaps[-1].damage.offset == gap.damage.offset:
            gap = gap._replace(stop=self._gaps.pop().stop)
        self._gaps.append(gap)

    def gaps_after(self, offset: int) -> Iterator[dict[str, Any]]:
        """Yield a row for each gap behind a record that was not told yet."""
        while self._gaps and self._gaps[0].start > offset:
            yield _gap_facts(self._gaps.pop(0))


def _is_about(entry: Entry, thing: Thing | None) -> bool:
    """Tell whether a record puts or links a thing; of any, where it is None."""
    return thing is None or any(thing in things_of(change) for change in entry.record.changes)


def _life(log: Log, view: View, start: int, stop: int, wanted: Wanted, limit: int, thing: Thing) -> Trail:
    """Return the records that put or linked a thing: the view knows which they are."""
    if not was_there(view, thing, stop):
        raise NotFoundError(f"there is no {wanted.object} among the first {stop:,} records")
    rows: list[dict[str, Any]] = []
    scanned = 0
    for offset, group in groupby(
        history(log, view, thing, stop, start=start, newest_first=True), lambda one: one.by.offset
    ):
        differences = list(group)[::-1]
        if scanned == SCANNED_MAX or len(rows) == limit:
            return Trail(rows, scanned, offset + 1)
        scanned += 1
        by = differences[0].by
        if wanted.fits(by):
            changes = [one.after for one in differences]
            rows.append(_facts(by) | {"changes": None, "what": in_short(changes), **_shown(differences, _CHANGES_MAX)})
    return Trail(rows, scanned, None)


def _thing(name: str) -> Thing:
    try:
        return names.parse(name)
    except ValueError as error:
        raise InvalidArgumentError(f"object: {error}") from None


def _range(log: Log, view: View, end: int, wanted: Wanted) -> tuple[int, int]:
    start, stop = 0, end if wanted.before is None else min(end, wanted.before)
    if wanted.until:
        with contextlib.suppress(FutureError):  # Nothing was put in the future: until then is until now.
            stop = min(stop, offset_of(log, _moment(view, "until", wanted.until)))
    if wanted.since:
        start = min(first_since(log, _moment(view, "since", wanted.since)), stop)
    return start, stop


def _moment(view: View, name: str, text: str) -> int | datetime:
    try:
        found = moment.parse(text)
    except ValueError as error:
        raise InvalidArgumentError(f"{name}: {error}") from None
    return view.ask(lambda lookup: marks.settled(lookup, found.at))


# Records as pages show them ------------------------------------------------------------------------------------------


def entry_facts(entry: Entry) -> dict[str, Any]:
    """Return a record in short."""
    return _facts(provenance_of(entry)) | {"changes": len(entry.record.changes), "what": in_short(entry.record.changes)}


def record_facts(log: Log, view: View, entry: Entry, most: int | None = None) -> dict[str, Any]:
    """Return a record as JSON holds it: its envelope, what it made of what it put, field by field. most: changes of which that is told.

    Where damage hides what was there before, what it put in short.
    """
    try:
        shown = _shown(of_record(log, view, entry, most), most, len(entry.record.changes))
    except CorruptLogError:
        shown = _shown([], most)
    return entry_facts(entry) | shown


def _gap_facts(gap: Gap) -> dict[str, Any]:
    """Return the row that stands for records that cannot be read. hidden: how many."""
    hidden = gap.stop - gap.start
    which = f"record {gap.start:,}" if hidden == 1 else f"records {gap.start:,} to {gap.stop - 1:,}"
    return dict.fromkeys(("time", "actor", "auth", "application", "host", "api", "reason"), "") | {
        "offset": gap.start,
        "changes": None,
        "what": f"{which} cannot be read: {gap.damage}",
        "hidden": hidden,
        **_shown([], None),
    }


def whole_facts(log: Log, view: View, entry: Entry) -> dict[str, Any]:
    """Return all of a record."""
    envelope = entry.record.envelope
    return record_facts(log, view, entry) | {
        "transaction": envelope.transaction.hex(),
        "actor_key": provenance_of(entry).actor_key,
        "pid": envelope.pid,
        "wall_us": envelope.wall_us,
        "version": envelope.v,
        "sealed": envelope.sealed,
        "stored": [plain_change(change) for change in entry.record.changes],
    }


def _facts(by: Any) -> dict[str, Any]:
    """Return who put a record, when, through what and why. Texts are as a page writes them: see `evidence/examine.ts`, which compares them."""
    time = calendar_time(by.time_us)
    return {
        "offset": by.offset,
        "time": time.isoformat().replace("+00:00", "Z") if time is not None else f"{by.time_us} us",
        **{
            name: printable(getattr(by, name) or "")
            for name in ("actor", "auth", "application", "host", "api", "reason")
        },
    }


def _shown(differences: list[Difference], most: int | None, there: int | None = None) -> dict[str, Any]:
    """Return the first `most` differences, without what the recorder notes for itself, or all of all; left_out: how many more there are."""
    rows = [difference_row(one) for one in differences[:most]]
    if most is not None:
        for row in rows:
            row["fields"] = [one for one in row["fields"] if _is_for_people(one["field"])]
    there = len(differences) if there is None else there
    return {"differences": rows, "left_out": max(0, there - len(rows))}


def _is_for_people(field: str) -> bool:
    """Tell whether a list shows a field: not what the recorder notes, nor the ends of a link, which its name says."""
    own = f"custom_properties.{words.OURS}"
    return field not in _ENDS and (not field.startswith(own) or field == f"custom_properties.{words.TAINTED}")
