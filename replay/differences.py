"""What happened between two moments: which types, nodes, events and links are there that were not, which are not what they were.

The records between the two are read, and of what they put again the version before: the rest of the log is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from evlog.records import NodePut, TypePut
from replay.things import Difference, key_of, provenance_of, puts_a_row, things_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from evlog.log import Log
    from evlog.records import Change, Entry
    from projections.sqlite.view import View
    from replay.follow import Progress
    from replay.things import Key, Provenance, Thing

_ORDER: Final = ("type", "artifact", "execution", "context", "event", "attribution", "association", "parent_context")
_REPLACED: Final = _ORDER[:4]  # Whatever else is put stays as it is.
_REPORT_RECORDS: Final = 1_000
_BATCH_RECORDS: Final = 256


@dataclass(frozen=True, slots=True)
class Diff:
    """The net effect of the records [start, stop), and how many things they put that are as they were before: `restored`.

    differences: types, artifacts, executions, contexts, events, attributions, associations, links between contexts; each by id.
    """

    start: int
    stop: int
    differences: list[Difference]
    restored: int


def diff(
    log: Log,
    view: View,
    start: int,
    stop: int,
    *,
    types: Collection[str] | None = None,
    progress: Progress | None = None,
) -> Diff:
    """Return what differs between the store of the first `start` records and that of the first `stop`.

    start <= stop, both at most what the view has applied. types: names, to get only the types of these names, their nodes, and the
    events and links that one of these nodes has. Every record between is read, 30 us each, and the version
    before of what they changed.
    """
    last = _last_put(log, start, stop, progress)
    if types is not None:
        last = _of_types(view, last, types)
    before = _states_before(log, view, start, last)
    net, put = [], len(last)
    for key in sorted(last, key=_place):
        found = Difference(before.pop(key, None), *last.pop(key))
        if found.before is None or found.fields:
            net.append(found)
    return Diff(start, stop, net, put - len(net))


def of_record(log: Log, view: View, entry: Entry, most: int | None = None) -> list[Difference]:
    """Return what a record made of each thing that it put, in its order, beside the version before; `most` of them at most.

    The view has applied the record. What a record says about the log itself puts nothing.
    """
    by = provenance_of(entry)
    puts = {
        key_of(change): change for change in entry.record.changes if puts_a_row(change)
    }  # Put twice, the last counts.
    wanted = dict(islice(puts.items(), most))
    before = _states_before(log, view, entry.offset, wanted)
    return [Difference(before.get(key), change, by) for key, change in wanted.items()]


def _place(key: Key) -> tuple[Any, ...]:
    return (_ORDER.index(key[0]), *key[1:])


def _last_put(log: Log, start: int, stop: int, progress: Progress | None) -> dict[Key, tuple[Change, Provenance]]:
    """Return what the records put, as the last of them put it."""
    last: dict[Key, tuple[Change, Provenance]] = {}
    for entry in log.read(start, stop):
        by = provenance_of(entry)
        for change in entry.record.changes:
            if puts_a_row(change):
                last[key_of(change)] = (change, by)
        if progress is not None and entry.offset % _REPORT_RECORDS == 0:
            progress(entry.offset - start, stop - start)
    if progress is not None:
        progress(stop - start, stop - start)
    return last


def _of_types(
    view: View, last: dict[Key, tuple[Change, Provenance]], types: Collection[str]
) -> dict[Key, tuple[Change, Provenance]]:
    """Return what concerns types of some names, or nodes of these types."""
    of_types = _things_of_types(view, (change for change, _ in last.values()), types)
    return {key: put for key, put in last.items() if not of_types.isdisjoint(things_of(put[0]))}


def records_of_types(view: View, entries: Iterable[Entry], types: Collection[str]) -> Iterator[Entry]:
    """Yield the records that put types of some names, nodes of such types, or what links one of these."""
    waiting = iter(entries)
    while batch := list(islice(waiting, _BATCH_RECORDS)):
        of_types = _things_of_types(view, (change for entry in batch for change in entry.record.changes), types)
        for entry in batch:
            if any(not of_types.isdisjoint(things_of(change)) for change in entry.record.changes):
                yield entry


def _things_of_types(view: View, changes: Iterable[Change], types: Collection[str]) -> set[Thing]:
    """Return the types of some names, and of the things that changes are about the nodes of such types."""
    wanted = {type_id for type_id, name in view.ask(lambda lookup: lookup.type_names()).items() if name in types}
    ends = {thing for change in changes for thing in things_of(change)}
    return _nodes_of(view, wanted, ends) | {("type", name) for name in types}


def _nodes_of(view: View, type_ids: Collection[int], among: Iterable[Thing]) -> set[Thing]:
    """Return the nodes that are of some types."""
    found: set[Thing] = set()
    ids: dict[str, list[Any]] = {}
    for kind, name in among:
        ids.setdefault(kind, []).append(name)
    for kind in ("artifact", "execution", "context"):
        typed = view.ask(lambda lookup, kind=kind: lookup.type_ids(kind, ids.get(kind, ())))  # type: ignore[misc]
        found |= {(kind, node_id) for node_id, type_id in typed.items() if type_id in type_ids}
    return found


def _states_before(log: Log, view: View, start: int, keys: Iterable[Key]) -> dict[Key, TypePut | NodePut]:
    """Return types and nodes as they were after the first `start` records; those that were not there yet are left out."""
    ids: dict[str, list[int]] = {}
    for kind, *rest in keys:
        if kind in _REPLACED:
            ids.setdefault(kind, []).append(rest[0])
    put_at: dict[Key, int] = {}
    for kind, wanted in ids.items():
        last = view.ask(lambda lookup, kind=kind, wanted=wanted: lookup.last_put_at(kind, wanted, start))  # type: ignore[misc]
        put_at |= {(kind, one_id): offset for one_id, offset in last.items()}
    states: dict[Key, TypePut | NodePut] = {}
    for entry in log.read_each(sorted(set(put_at.values()))):
        for change in entry.record.changes:
            if isinstance(change, TypePut | NodePut) and put_at.get(key := key_of(change)) == entry.offset:
                states[key] = change
    return states
