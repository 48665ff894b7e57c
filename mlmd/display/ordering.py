"""Step 3 of a layout: the order within each layer, so that few edges cross."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmd.display.layers import Component, Link

_SWEEPS: Final = 8

Neighbours = list[list[int]]


def ordered(part: Component) -> list[list[int]]:
    """Return the places of each layer in order: of those that the sweeps come by, the one with the fewest crossings."""
    befores, afters = neighbours(len(part.layer), part.steps)
    rows = _depth_first(part, befores, afters)
    best, fewest = [row[:] for row in rows], _crossings(rows, afters)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        forth = sweep % 2 == 0
        _sweep(rows, befores if forth else afters, forth=forth)
        count = _crossings(rows, afters)
        if count < fewest:
            best, fewest = [row[:] for row in rows], count
    return best


def neighbours(count: int, steps: Sequence[Link]) -> tuple[Neighbours, Neighbours]:
    """Return of each place those it is linked to in the layer before, and in the layer after."""
    befores: Neighbours = [[] for _ in range(count)]
    afters: Neighbours = [[] for _ in range(count)]
    for source, target in steps:
        afters[source].append(target)
        befores[target].append(source)
    return befores, afters


def crossings(rows: Sequence[Sequence[int]], steps: Sequence[Link]) -> int:
    """Return how many pairs of steps cross, drawn straight between layers in this order."""
    return _crossings(rows, neighbours(sum(map(len, rows)), steps)[1])


def _crossings(rows: Sequence[Sequence[int]], afters: Neighbours) -> int:
    """Count inversions: for each end, the ends already seen that lie beyond it.

    The ends seen are kept sorted by binary insertion. A Fenwick tree has the better bound; in Python this is faster up to a hundred
    thousand edges between two layers, and most pairs of layers have no crossing at all.
    """
    place = _places(rows)
    total = 0
    for row in rows:
        ends = [end for node in row for end in sorted([place[after] for after in afters[node]])]
        if ends == sorted(ends):
            continue
        seen: list[int] = []
        for end in ends:
            at = bisect_right(seen, end)
            total += len(seen) - at
            seen.insert(at, end)
    return total


def _places(rows: Sequence[Sequence[int]]) -> list[int]:
    place = [0] * sum(map(len, rows))
    for row in rows:
        for at, node in enumerate(row):
            place[node] = at
    return place


def _depth_first(part: Component, befores: Neighbours, afters: Neighbours) -> list[list[int]]:
    """Return layers in the order of a walk along edges, either way: what hangs together comes together."""
    rows: list[list[int]] = [[] for _ in range(max(part.layer) + 1)]
    seen = bytearray(len(part.layer))
    for start in sorted(range(len(part.layer)), key=lambda place: (part.layer[place], place)):
        stack = [start]
        while stack:
            node = stack.pop()
            if seen[node]:
                continue
            seen[node] = 1
            rows[part.layer[node]].append(node)
            stack += reversed([*afters[node], *befores[node]])
    return rows


def _sweep(rows: list[list[int]], links: Neighbours, *, forth: bool) -> None:
    """Sort each layer by where its neighbours in the one before it lie; what has none there keeps its place."""
    place = [float(at) for at in _places(rows)]
    order = range(1, len(rows)) if forth else range(len(rows) - 2, -1, -1)
    for layer in order:
        row = rows[layer]
        if len(row) == 1:
            continue
        key = {node: mean(place, links[node], place[node]) for node in row}
        row.sort(key=key.__getitem__)
        for at, node in enumerate(row):
            place[node] = at


def mean(place: Sequence[float], nodes: Sequence[int], default: float) -> float:
    """Return the mean place of some nodes, most often of one; the default of none."""
    if len(nodes) == 1:
        return place[nodes[0]]
    return sum([place[node] for node in nodes]) / len(nodes) if nodes else default
