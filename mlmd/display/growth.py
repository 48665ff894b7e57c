"""A lineage through time: everything it ever was, each part with the record that put it, so that one picture shows every moment.

A log only grows, so what a lineage is now holds what it was before: the layout is of this union, and nothing moves from one moment to
another. What a node was at a moment follows from its versions. The offset of a moment is how many records had been put: record n is
seen at n + 1.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from mlmd.display.graph import Edge, Graph, Node
from mlmd.display.layout import Layout, layout
from mlmd.display.nodes import ADDED, CHANGED, GONE, UNBORN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LEFT: Final = frozenset({"DELETED", "MARKED_FOR_DELETION", "ABANDONED"})  # States of what is no longer to be had.

Status = Literal["", "added", "changed", "gone", "not yet"]


class Version(NamedTuple):
    """What became of a node. offset: of the record that put it; flags: of tainted, cached, live, sorted."""

    offset: int
    state: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Life:
    """A node, as it is in the end, and its versions, at least one, by offset. members: keys of the nodes that a group stands for."""

    node: Node
    versions: tuple[Version, ...]
    members: tuple[str, ...] = ()

    @property
    def born(self) -> int:
        """Return the offset of the record that put it first."""
        return self.versions[0].offset

    def at(self, end: int) -> Version | None:
        """Return the version that held after the first `end` records, None before the first one."""
        index = bisect_left(self.versions, end, key=lambda version: version.offset)
        return self.versions[index - 1] if index else None

    def status(self, since: int, until: int) -> Status:
        """Return what became of it between two moments; "" for nothing."""
        then, now = self.at(since), self.at(until)
        if now is None:
            return "not yet"
        if now.state in _LEFT and (then is None or then.state not in _LEFT):
            return "gone"
        if then is None:
            return "added"
        return "" if then is now else "changed"


@dataclass(frozen=True)
class Growth:
    """The union of a lineage over time, up to the first `end` records.

    lives: by key, by birth. edges: each with the offset of the record that put it first. hidden: of a node, how many neighbours are not
    here. times: milliseconds since 1970 by offset, of the records that put any of it. note: what is lacking.
    """

    end: int
    roots: Sequence[str]
    lives: Mapping[str, Life]
    edges: Mapping[Edge, int]
    hidden: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[int, int] = field(default_factory=dict)
    note: str = ""

    def layout(self) -> Layout:
        """Return where everything goes, at every moment."""
        return layout(self.lives, ((edge.source, edge.target) for edge in self.edges))

    @cached_property
    def ticks(self) -> list[tuple[int, int, int]]:
        """Return (offset, milliseconds since 1970, how many nodes and edges it put) of each record that put any of this, by offset."""
        counts: dict[int, int] = {}
        versions = (version.offset for life in self.lives.values() for version in life.versions)
        for offset in chain(versions, self.edges.values()):
            counts[offset] = counts.get(offset, 0) + 1
        return [(offset, self.times.get(offset, 0), counts[offset]) for offset in sorted(counts)]

    def graph(self) -> Graph:
        """Return the union itself, as it is in the end."""
        return Graph([life.node for life in self.lives.values()], list(self.edges), self.roots, self.hidden, self.note)

    def at(self, until: int, since: int | None = None) -> Graph:
        """Return the picture of a moment: what was not there yet is flagged so. since: and what was not so at that one."""
        nodes = [_shown(life, until, since) for life in self.lives.values()]
        edges = [_edge_shown(edge, born, until, since) for edge, born in self.edges.items()]
        return Graph(nodes, edges, self.roots, self.hidden, self.note)

    @cached_property
    def levels(self) -> dict[str, int]:
        """Return how many hops each node is from the roots: fewer than 0 for what they were made from. Others are left out."""
        levels = dict.fromkeys(self.roots, 0)
        for ends, way in (((1, 0), -1), ((0, 1), 1)):
            steps: dict[str, list[str]] = {}
            for edge in self.edges:
                pair = (edge.source, edge.target)
                steps.setdefault(pair[ends[0]], []).append(pair[ends[1]])
            waiting = [root for root in self.roots if root in self.lives]
            met = set(waiting)
            for key in waiting:  # Grows while it is read.
                for further in steps.get(key, ()):
                    if further not in met:
                        met.add(further)
                        levels.setdefault(further, levels[key] + way)
                        waiting.append(further)
        return levels


def _shown(life: Life, until: int, since: int | None) -> Node:
    version = life.at(until)
    if version is None:
        return replace(life.node, state="", flags=frozenset({UNBORN}))
    flags = {*version.flags}
    if since is not None and (status := life.status(since, until)):
        flags.add(status)
    return replace(life.node, state=version.state, flags=frozenset(flags))


def _edge_shown(edge: Edge, born: int, until: int, since: int | None) -> Edge:
    flag = UNBORN if born >= until else ADDED if since is not None and born >= since else ""
    return replace(edge, flag=flag) if flag else edge


assert {ADDED, CHANGED, GONE, UNBORN} == {"added", "changed", "gone", "not yet"}, "a status is a flag"
