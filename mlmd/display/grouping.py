"""A lineage through time made smaller: some types alone, many nodes as one, the nearest of too many. Each returns a lineage through time."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from mlmd.display.cells import time_of
from mlmd.display.folding import cut, fans_of, neighbours_of, so_many
from mlmd.display.graph import Edge, Node
from mlmd.display.growth import Life, Version
from mlmd.display.nodes import UNREMARKABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from mlmd.display.growth import Growth

PREFIX: Final = "group:"  # Of the key of a node that stands for many.
_WORK_MAX: Final = 8  # So many nodes an edge are looked at for these.
_JOINED_MAX: Final = 4  # So many edges a node may come of those that lead through what is left out.


class Group(NamedTuple):
    """A node that stands for many. key: how a request names it; label: what they have in common."""

    key: str
    label: str


def folded(growth: Growth, opened: Collection[str] = ()) -> Growth:
    """Return a lineage in which wide fans are one node each, but for those whose keys are in `opened`."""
    group_of: dict[str, Group] = {}
    for fan in fans_of(growth.graph(), stubs=True):
        way = "".join(f"{'>' if inwards else '<'}{role}" for inwards, role in fan.ways)
        group = Group(f"{PREFIX}{fan.members[0].type}{way}{fan.neighbour}", fan.members[0].type)
        group_of |= {node.key: group for node in fan.members}
    return grouped(growth, group_of, opened)


def by_type(growth: Growth) -> dict[str, Group]:
    """Return the group of each node where there is one for each type."""
    return {key: _named(life.node.type) for key, life in growth.lives.items()}


def by_day(growth: Growth) -> dict[str, Group]:
    """Return the group of each node where there is one for each type and day, in UTC."""
    days = {key: time_of(life.node.time_ms) for key, life in growth.lives.items()}
    return {
        key: _named(f"{growth.lives[key].node.type} {day:%Y-%m-%d}") for key, day in days.items() if day is not None
    }


def by_context(growth: Growth, contexts: Mapping[str, str]) -> dict[str, Group]:
    """Return the group of each node where there is one for each type and context. contexts: names by key of node."""
    return {key: _named(f"{life.node.type} {contexts[key]}") for key, life in growth.lives.items() if key in contexts}


def _named(label: str) -> Group:
    return Group(f"{PREFIX}{label}", label)


def grouped(growth: Growth, group_of: Mapping[str, Group], opened: Collection[str] = ()) -> Growth:
    """Return a lineage in which the nodes of each group are one. Roots, groups of one and those whose keys are in `opened` stay as they are."""
    members: dict[Group, list[Life]] = {}
    roots = set(growth.roots)
    for key, life in growth.lives.items():
        if key not in roots and (group := group_of.get(key)) is not None and group.key not in opened:
            members.setdefault(group, []).append(life)
    groups = {group.key: _group(group, lives) for group, lives in members.items() if len(lives) > 1}
    if not groups:
        return growth
    inside = {key: group for group, life in groups.items() for key in life.members}
    lives = {inside.get(key, key): groups.get(inside.get(key, key), life) for key, life in growth.lives.items()}
    edges: dict[Edge, int] = {}
    for edge, born in growth.edges.items():
        moved = Edge(inside.get(edge.source, edge.source), inside.get(edge.target, edge.target), edge.role)
        if moved.source != moved.target:
            edges[moved] = min(born, edges.get(moved, born))
    hidden: Counter[str] = Counter()
    for key, count in growth.hidden.items():
        hidden[inside.get(key, key)] += count
    return replace(growth, lives=lives, edges=edges, hidden=hidden)


def _group(group: Group, lives: Sequence[Life]) -> Life:
    """Return the life of a group: what it counts after each record that changed any of it."""
    changes = sorted(
        (version.offset, at, before, version)
        for at, life in enumerate(lives)
        for before, version in zip((None, *life.versions), life.versions, strict=False)
    )
    states: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    made: dict[int, Version] = {}
    there = 0
    for offset, _, before, version in changes:
        if before is None:
            there += 1
        else:
            states[before.state] -= 1
            flags.subtract(before.flags)
        states[version.state] += 1
        flags.update(version.flags)
        said = [f"{there:,} of {len(lives):,}"] if there < len(lives) else []
        said += [
            f"{number:,} {what}"
            for what, number in (*sorted(flags.items()), *sorted(states.items()))
            if number and what not in UNREMARKABLE
        ]
        made[offset] = Version(offset, ", ".join(said), tuple(sorted(flag for flag, number in flags.items() if number)))
    last = made[changes[-1][0]]
    newest = max(life.node.time_ms for life in lives)
    kind, label = lives[0].node.kind, so_many(group.label, len(lives))
    node = Node(group.key, kind, label, "", last.state, frozenset(last.flags), newest)
    return Life(node, tuple(made.values()), tuple(life.node.key for life in lives))


def only(growth: Growth, types: Collection[str]) -> Growth:
    """Return a lineage of nodes of these types, and its roots; edges lead through what is left out.

    An edge through others is there from when the last record of the first way was put. Where there are very many such ways, those of the
    nodes that come last are left out, which the note says.
    """
    if not types:
        return growth
    roots = set(growth.roots)
    lives = {key: life for key, life in growth.lives.items() if key in roots or life.node.type in types}
    edges = {edge: born for edge, born in growth.edges.items() if edge.source in lives and edge.target in lives}
    onward: dict[str, list[tuple[str, int]]] = {}
    for edge, born in growth.edges.items():
        onward.setdefault(edge.source, []).append((edge.target, born))
    most, work = len(edges) + _JOINED_MAX * len(lives), _WORK_MAX * len(growth.edges)
    note = growth.note
    for key in lives:
        done = _through(key, onward, lives)
        edges |= {Edge(key, target): born for target, born in done.items() if target in lives and target != key}
        work -= len(done)
        if len(edges) > most or work < 0:
            note = "; ".join(filter(None, (note, "there are more ways between these types than are drawn")))
            break
    return replace(growth, lives=lives, edges=edges, note=note)


def _through(start: str, onward: Mapping[str, Iterable[tuple[str, int]]], lives: Collection[str]) -> dict[str, int]:
    """Return what is met on ways through nodes that are left out, each with the offset from which on a whole way was there."""
    done: dict[str, int] = {}
    waiting = [(born, target) for target, born in onward.get(start, ()) if target not in lives]
    heapq.heapify(waiting)
    while waiting:
        born, key = heapq.heappop(waiting)
        if key in done:
            continue
        done[key] = born
        if key not in lives:
            for target, later in onward.get(key, ()):
                if target not in done:
                    heapq.heappush(waiting, (max(born, later), target))
    return done


def nearest(growth: Growth, nodes_max: int, opened: Collection[str] = ()) -> Growth:
    """Return the nodes nearest to the roots, at most so many, and every neighbour of those in `opened`; others are counted."""
    if len(growth.lives) <= nodes_max:
        return growth
    graph = growth.graph()
    near = neighbours_of(graph.edges)
    cut_down = cut(graph, nodes_max)
    kept = {node.key for node in cut_down.nodes}
    kept.update(far for key in kept.intersection(opened) for far in near.get(key, ()))
    lost = {key: sum(far not in kept for far in near.get(key, ())) for key in kept}
    return replace(
        growth,
        lives={key: life for key, life in growth.lives.items() if key in kept},
        edges={edge: born for edge, born in growth.edges.items() if edge.source in kept and edge.target in kept},
        hidden={key: count for key in kept if (count := lost[key] + growth.hidden.get(key, 0))},
        note=cut_down.note if len(kept) == len(cut_down.nodes) else growth.note,
    )
