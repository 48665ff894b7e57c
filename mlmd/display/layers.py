"""Steps 1 and 2 of a layout: components, the layer of each node, and the bends of edges that pass through layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_BENDS_MAX: Final = 4  # So many bends for each node are in proportion; of edges beyond that the longest go around.
_BENDS_FREE: Final = 2_000
Link = tuple[int, int]


@dataclass(slots=True)
class Component:
    """One connected part. Places 0, 1, ... are its nodes, then its bends.

    nodes: the number of the node at each place. drawn: its edges, as given; backwards: those among them that close a cycle.
    layer: of each place. bends: of a source the place of its first one, the others following, a layer each. steps: edges from one
    layer to the next, by place. around: of a source whose edges go through a lane, the last layer that this passes.
    """

    nodes: list[int]
    drawn: list[Link]
    backwards: frozenset[Link] = frozenset()
    layer: list[int] = field(default_factory=list)
    bends: dict[int, int] = field(default_factory=dict)
    steps: list[Link] = field(default_factory=list)
    lane_edges: frozenset[Link] = frozenset()
    around: dict[int, int] = field(default_factory=dict)


def components(count: int, edges: Iterable[Link]) -> list[Component]:
    """Return the connected parts of nodes 0 to count - 1, in the order of their first nodes."""
    above = list(range(count))

    def top(node: int) -> int:
        while above[node] != node:
            above[node] = node = above[above[node]]
        return node

    edges = list(edges)
    for source, target in edges:
        one, other = top(source), top(target)
        above[max(one, other)] = min(one, other)  # So the top of a part is its first node.
    parts: dict[int, Component] = {}
    at = [0] * count
    for node in range(count):
        part = parts.setdefault(top(node), Component([], []))
        at[node] = len(part.nodes)
        part.nodes.append(node)
    for source, target in edges:
        parts[top(source)].drawn.append((at[source], at[target]))
    for part in parts.values():
        _set_layers(part)
        _set_bends(part)
    return list(parts.values())


def _set_layers(part: Component) -> None:
    part.backwards = _closing(len(part.nodes), part.drawn)
    targets: list[list[int]] = [[] for _ in part.nodes]
    waiting = [0] * len(part.nodes)
    for source, target in _forward(part):
        targets[source].append(target)
        waiting[target] += 1
    layer = [0] * len(part.nodes)
    ready = [node for node, count in enumerate(waiting) if not count]
    for node in ready:  # Grows while it is read: each node after all of its sources.
        for target in targets[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    assert len(ready) == len(part.nodes), "without the edges that close a cycle there is none"
    for node in reversed(ready):
        if targets[node]:
            layer[node] = min(layer[target] for target in targets[node]) - 1
    first = min(layer)
    part.layer = [one - first for one in layer]


def _forward(part: Component) -> list[Link]:
    """Return the edges as they lead from layer to layer, each once."""
    return sorted(
        {(target, source) if (source, target) in part.backwards else (source, target) for source, target in part.drawn}
    )


def _closing(count: int, edges: Sequence[Link]) -> frozenset[Link]:
    """Return edges without which there is no cycle: those that lead back to a node whose descendants are being visited."""
    targets: list[list[int]] = [[] for _ in range(count)]
    has_source = [False] * count
    for source, target in edges:
        targets[source].append(target)
        has_source[target] = True
    state = bytearray(count)  # 0 unseen, 1 above the node at hand, 2 done.
    closing = set()
    for start in sorted(range(count), key=has_source.__getitem__):
        stack = [] if state[start] else [(start, iter(targets[start]))]
        state[start] = state[start] or 1
        while stack:
            node, rest = stack[-1]
            for target in rest:
                if state[target] == 1:
                    closing.add((node, target))
                elif not state[target]:
                    state[target] = 1
                    stack.append((target, iter(targets[target])))
                    break
            else:
                state[node] = 2
                stack.pop()
    return frozenset(closing)


def _set_bends(part: Component) -> None:
    """Give every source a bend in each layer that its edges pass, unless it is one of the longest of too many: these go around."""
    layer = part.layer
    forward = _forward(part)
    last: dict[int, int] = {}  # Of a source: the last layer that its edges pass.
    points: dict[int, int] = {}  # And how many points they have in all.
    for source, target in forward:
        if (span := layer[target] - layer[source]) > 1:
            last[source] = max(last.get(source, 0), layer[target] - 1)
            points[source] = points.get(source, 0) + span
    room = _BENDS_FREE + _BENDS_MAX * len(part.nodes)
    for source in sorted(points, key=lambda source: (points[source], source)):
        room -= points[source]
        if room < 0:
            part.around[source] = last[source]
            continue
        part.bends[source] = len(layer)
        layer.extend(range(layer[source] + 1, last[source] + 1))
    part.lane_edges = frozenset(
        (source, target) for source, target in forward if source in part.around and layer[target] - layer[source] > 1
    )
    for source, target in forward:
        span = layer[target] - layer[source]
        if span == 1:
            part.steps.append((source, target))
        elif source in part.bends:
            part.steps.append((part.bends[source] + span - 2, target))
    for source, first in part.bends.items():
        chain = [source, *range(first, first + last[source] - layer[source])]
        part.steps += pairwise(chain)
    part.steps.sort()
