"""The life of one thing: every version with the record that put it, and for each field the record that set it.

The view knows which records those are, so the log is read at these offsets alone.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from evlog.records import NodePut, TypePut
from replay.reading import stretches
from replay.things import Difference, fields_of, key_of, provenance_of, things_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evlog.log import Log
    from evlog.records import Change, Entry
    from projections.sqlite.lookup import Lookup
    from projections.sqlite.view import View
    from replay.follow import Progress
    from replay.things import Key, Provenance, Thing


_REPORT_RECORDS: Final = 100


@dataclass(frozen=True, slots=True)
class Blame:
    """One field of a type or node, its value, and the record in which it got it. id: of the type or node."""

    id: int
    field: str
    value: Any
    by: Provenance


class _Life(NamedTuple):
    """Offsets at which a thing was put, ascending, by id (a name may be that of several types), and at which it was linked, at any time."""

    put: dict[int, list[int]]
    linked: set[int]


def was_there(view: View, thing: Thing, stop: int) -> bool:
    """Tell whether a thing was there after the first `stop` records."""
    return bool(_life(view, thing, stop, links=False).put)


def history(
    log: Log,
    view: View,
    thing: Thing,
    stop: int,
    *,
    start: int = 0,
    links: bool = True,
    newest_first: bool = False,
    progress: Progress | None = None,
) -> Iterator[Difference]:
    """Yield what the records [start, stop) made of a thing: each version beside the one before it, each event and link.

    stop: at most what the view has applied. progress: told (records read, records to read) as they are yielded. links: False for versions alone. Nothing is yielded for a thing that was not there.
    """
    life = _life(view, thing, stop, links=links)
    offsets = sorted(offset for offset in life.linked.union(*life.put.values()) if start <= offset < stop)
    pieces = stretches(len(offsets)) if newest_first else [(0, len(offsets))]
    read = 0
    for first, last in pieces:
        found = _differences(log, thing, life, offsets[first:last], links=links)
        for one in reversed(list(found)) if newest_first else found:
            yield one
            read += 1
            if progress is not None and read % _REPORT_RECORDS == 0:
                progress(min(read, len(offsets)), len(offsets))


def blame(log: Log, view: View, thing: Thing, stop: int, progress: Progress | None = None) -> list[Blame]:
    """Return for each field of a thing, as it was after the first `stop` records, the record in which it last changed.

    Fields that were not set, or set and cleared again, are not there. Several types of one name come by ascending id. Empty for a
    thing that was not there.
    """
    states: dict[Key, dict[str, Any]] = {}
    found: dict[tuple[Key, str], Provenance] = {}
    expected = len(_life(view, thing, stop, links=False).put)
    for version in history(log, view, thing, stop, links=False, newest_first=True, progress=progress):
        key = key_of(version.after)
        fields = states.setdefault(key, fields_of(version.after))
        for change in version.fields:
            if change.field in fields:
                found.setdefault((key, change.field), version.by)
        if len(states) == expected and len(found) == sum(map(len, states.values())):
            break
    return [
        Blame(key[1], field, value, found[key, field])
        for key, fields in sorted(states.items())
        for field, value in fields.items()
    ]


def _life(view: View, thing: Thing, stop: int, *, links: bool) -> _Life:
    kind, name = thing

    def question(lookup: Lookup) -> _Life:
        if isinstance(name, str):
            return _Life(lookup.put_at("type", lookup.types_named(name), stop), set())
        return _Life(lookup.put_at(kind, [name], stop), lookup.linked_at(kind, name) if links else set())

    return view.ask(question)


def _differences(log: Log, thing: Thing, life: _Life, offsets: Sequence[int], *, links: bool) -> Iterator[Difference]:
    """Yield what the records at some offsets made of a thing, in order."""
    if not offsets:
        return
    # The versions that these records changed, put by earlier ones.
    before = {put[at - 1] for put in life.put.values() if (at := bisect_left(put, offsets[0]))}
    state: dict[Key, Any] = {}
    for entry in log.read_each(sorted(before.union(offsets))):
        for key, change in _about(entry, thing, links=links).items():
            if entry.offset >= offsets[0]:
                yield Difference(state.get(key), change, provenance_of(entry))
            state[key] = change


def _about(entry: Entry, thing: Thing, *, links: bool) -> dict[Key, Change]:
    """Return what a record puts of a thing. Put twice by one record, the first was never to be seen."""
    return {
        key_of(change): change
        for change in entry.record.changes
        if (links or isinstance(change, TypePut | NodePut)) and thing in things_of(change)
    }
