"""A pipeline as a matrix: its runs down, its components across, in each cell how that ended. And its template: which component feeds which.

A component is a type of executions. A run is a context: a child of the pipeline's, or, where it has none, one that shares its executions
and is smaller; where there is neither, a day. Whatever is shown is bounded: so many rows, so many executions in each.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlmd.convert import unframed
from mlmd.kinds import CONTEXT, EXECUTION, OUTPUTS
from mlmd.recorder.standing import why_tainted
from mlmd.recorder.things import Run
from mlmd.recorder.words import ALIAS_TYPE, MARK_TYPE
from projections.query import After, Listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlmd.kinds import Node
    from mlmd.store import MetadataStore
    from projections.sqlite.lookup import Lookup

DAY: Final = "day"
_SAMPLE: Final = 500  # Of the newest executions, to see what other contexts they are in.
_IN_ROW_MAX: Final = 300
_CELL_RUNS_MAX: Final = 4
_COMPONENTS_MAX: Final = 60
_EVENTS_OF_MAX: Final = 500
_FAILED: Final = "FAILED"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Group(NamedTuple):
    """A row before its cells are made: a run of the pipeline, or a day. context: None for a day.

    executions: the newest, all where `whole`; runs: how many there are, as far as is known.
    """

    title: str
    context: Node | None
    executions: list[Node]
    runs: int
    whole: bool


class Rows(NamedTuple):
    """A page of rows. ways: what the rows may be: types of contexts, and "day"; by: which they are."""

    by: str
    ways: list[str]
    groups: list[Group]
    total: int


def rows_of(lookup: Lookup, context_id: int, by: str, skip: int, limit: int) -> Rows:
    """Return a page of the rows of a pipeline, the newest first. by: what they are, "" for what fits best."""
    with lookup.snapshot():
        children = _read(lookup.relatives("child", [context_id]))
        shared = {} if children else _sharing(lookup, context_id)
        ways = [*dict.fromkeys([*(one.type for one in children), *shared]), DAY]
        chosen = by if by in ways else _best(children, shared)
        if chosen == DAY:
            groups, total = _days(lookup, context_id, skip, limit)
        elif children:
            mine = sorted((one for one in children if one.type == chosen), key=lambda one: -one.id)
            groups, total = _groups(lookup, mine[skip : skip + limit], None), len(mine)
        else:
            some, total = _sharers(lookup, context_id, chosen, skip, limit)
            groups = _groups(lookup, some, context_id)
    return Rows(chosen, ways, groups, total)


def _best(children: Sequence[Node], shared: dict[str, bool]) -> str:
    """Return what rows are best: the type that is called a run, else the one that most children have; of sharers the first that is smaller."""
    types = Counter(one.type for one in children)
    if types:
        return max(types, key=lambda name: ("run" in name.lower(), types[name], name))
    return next((name for name, smaller in shared.items() if smaller), DAY)


def _read(rows: Iterable[tuple[int, bytes]]) -> list[Node]:
    return [CONTEXT.message.FromString(unframed(body)) for _, body in rows]


def _sharing(lookup: Lookup, context_id: int) -> dict[str, bool]:
    """Return the types of the other contexts that the newest executions are in, and whether these are smaller: parts of this one."""
    newest = Listing("execution", context_id=context_id, ascending=False, limit=_SAMPLE)
    ids = [one.id for one in lookup.page(newest)]
    others = {context for _, context, _ in lookup.links("execution", ids)} - {context_id}
    names, size = lookup.type_names(), lookup.members("execution", [*others, context_id])
    found: dict[str, list[int]] = {}
    for other, type_id in sorted(lookup.type_ids("context", others).items()):
        if names[type_id] not in (ALIAS_TYPE, MARK_TYPE):
            found.setdefault(names[type_id], []).append(other)
    own = size.get(context_id, 0)
    smaller = {name: all(size.get(one, 0) < own for one in some) for name, some in found.items()}
    return dict(sorted(smaller.items(), key=lambda item: (not item[1], -len(found[item[0]]), item[0])))


def _sharers(lookup: Lookup, context_id: int, type_name: str, skip: int, limit: int) -> tuple[list[Node], int]:
    """Return the contexts of a type that share executions with this one, that of the newest execution first, and how many there are."""
    types = [type_id for type_id, name in lookup.type_names().items() if name == type_name]
    found = [one for one, _ in lookup.sharing(context_id, types) if one != context_id]
    ids = found[skip : skip + limit]
    by_id = {one.id: one for one in _read((0, body) for body in lookup.nodes("context", ids))}
    return [by_id[one] for one in ids], len(found)


def _groups(lookup: Lookup, contexts: Sequence[Node], within: int | None) -> list[Group]:
    """Return contexts as rows, each with its executions. within: only those that are in this context too."""
    groups, size = [], lookup.members("execution", [one.id for one in contexts])
    for context in contexts:
        listed = lookup.page(Listing("execution", context_id=context.id, ascending=False, limit=_IN_ROW_MAX))
        nodes, runs = [EXECUTION.message.FromString(unframed(one.body)) for one in listed], size.get(context.id, 0)
        groups.append(Group(context.name, context, nodes, runs, len(nodes) == runs))
    if within is None:
        return groups
    ids = [one.id for group in groups for one in group.executions]
    mine = {execution for _, context, execution in lookup.links("execution", ids) if context == within}
    kept = [[one for one in group.executions if one.id in mine] for group in groups]
    return [group._replace(executions=some, runs=len(some)) for group, some in zip(groups, kept, strict=True)]


def _days(lookup: Lookup, context_id: int, skip: int, limit: int) -> tuple[list[Group], int]:
    """Return days as rows; of a day the newest executions."""
    newest: dict[int, int] = {}
    runs: Counter[int] = Counter()
    for day, _, _, count, last in lookup.states_in(context_id):
        newest[day] = max(newest.get(day, 0), last)
        runs[day] += count
    groups = []
    for day in list(newest)[skip : skip + limit]:
        until = After(0, newest[day] + 1)
        listed = lookup.page(
            Listing("execution", context_id=context_id, ascending=False, after=until, limit=_IN_ROW_MAX)
        )
        nodes = [EXECUTION.message.FromString(unframed(one.body)) for one in listed]
        nodes = [one for one in nodes if one.create_time_since_epoch // 86_400_000 == day]
        title = f"{_EPOCH + timedelta(days=day):%Y-%m-%d}"
        groups.append(Group(title, None, nodes, runs[day], len(nodes) == runs[day]))
    return groups, len(newest)


# Cells ---------------------------------------------------------------------------------------------------------------


def matrix_of(store: MetadataStore, groups: Sequence[Group]) -> dict[str, Any]:
    """Return rows and columns as plain values. Of each cell: how many runs, and the newest of them."""
    components = _in_order(groups)
    rows = [
        {
            "row": group.title,
            "context": None if group.context is None else group.context.id,
            "runs": group.runs,
            "shown": len(group.executions),
            "whole": group.whole,
            "cells": {name: cell for name in components if (cell := _cell(store, name, group.executions)) is not None},
        }
        for group in groups
    ]
    return {"components": components, "rows": rows}


def _in_order(groups: Sequence[Group]) -> list[str]:
    """Return the components in the order in which they run, as the rows have it on the whole."""
    places: dict[str, list[float]] = {}
    for group in groups:
        first: dict[str, int] = {}
        for one in sorted(group.executions, key=lambda one: one.id):
            first.setdefault(one.type, len(first))
        for name, at in first.items():
            places.setdefault(name, []).append(at)
    return sorted(places, key=lambda name: (sum(places[name]) / len(places[name]), name))[:_COMPONENTS_MAX]


def _cell(store: MetadataStore, component: str, executions: Sequence[Node]) -> dict[str, Any] | None:
    mine = [one for one in executions if one.type == component]
    if not mine:
        return None
    shown = [
        {"id": one.id, "state": Run(store, one).state, "tainted": why_tainted(one) or None}
        for one in mine[:_CELL_RUNS_MAX]
    ]
    return {"count": len(mine), "failed": sum(_state(one) == _FAILED for one in mine), "runs": shown}


def _state(execution: Node) -> str:
    return EXECUTION.states[execution.last_known_state]


# The template --------------------------------------------------------------------------------------------------------


def components_of(lookup: Lookup, context_id: int) -> list[dict[str, Any]]:
    """Return the components of a pipeline with how many runs each has had, by state. Every execution of the context counts."""
    with lookup.snapshot():
        names, counts = lookup.type_names(), dict[str, Counter[str]]()
        for _, type_id, state, count, _ in lookup.states_in(context_id):
            counts.setdefault(names[type_id], Counter())[state or "UNKNOWN"] += count
    return [
        {
            "component": name,
            "runs": sum(states.values()),
            "failed": states[_FAILED],
            "cached": states["CACHED"],
            "states": dict(sorted(states.items())),
        }
        for name, states in sorted(counts.items())
    ]


def flows_of(store: MetadataStore, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return which component feeds which, with which types of artifacts, as the shown rows have it. across: from an earlier row, such as a warm start."""
    row_of = {one.id: at for at, group in enumerate(groups) for one in group.executions}
    type_of = {one.id: one.type for group in groups for one in group.executions}
    ids = list(row_of)[:_EVENTS_OF_MAX]
    events = store.get_events_by_execution_ids(ids) if ids else []
    makers: dict[int, list[int]] = {}
    for event in events:
        if event.type in OUTPUTS:
            makers.setdefault(event.artifact_id, []).append(event.execution_id)
    read = {event.artifact_id for event in events if event.type not in OUTPUTS and event.artifact_id in makers}
    types = {one.id: one.type for one in store.get_artifacts_by_id(sorted(read))} if read else {}
    found: dict[tuple[str, str, bool], Counter[str]] = {}
    for event in events:
        if event.type in OUTPUTS or event.artifact_id not in makers:
            continue
        reader = event.execution_id
        near = [one for one in makers[event.artifact_id] if row_of[one] == row_of[reader]]
        for maker in near or makers[event.artifact_id][-1:]:
            flow = (type_of[maker], type_of[reader], not near)
            found.setdefault(flow, Counter())[types[event.artifact_id]] += 1
    return [
        {"source": source, "target": target, "across": across, "types": dict(sorted(counts.items()))}
        for (source, target, across), counts in sorted(found.items())
    ]
