"""Where the nodes and edges of a picture go: layers from left to right in the direction of data. Plain values in and out.

One layout for notebook, command and web. It is a function of the graph alone: the order in which nodes and edges are given does not
matter, so the same lineage is the same picture. Cycles are drawn, one edge of each going backwards. Times linear but for sorting:
tests/bench/drawing.py measures them.

The steps, after Sugiyama, Tagawa and Toda (1981):

| 1 layer  | longest path from the sources; then every node that has consumers as late as possible, so that edges are short          |
| 2 chain  | an edge over several layers goes through a bend in each; edges of one source share theirs                                |
| 3 order  | depth first, then sweeps of barycentres to and fro; the order with the fewest crossings stays                            |
| 4 place  | each layer as near to its neighbours as order and sizes allow: isotonic regression                                       |
| 5 route  | level through a layer, curved between two: where a bend has its room no edge comes over a node                           |
| 6 pack   | components side by side on shelves, the tallest first                                                                    |

The longest edges of a graph that has too many bends go through lanes below its component instead, around everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlmd.display.layers import Component, components
from mlmd.display.ordering import ordered
from mlmd.display.placing import placed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NODE_WIDTH: Final = 168.0  # All of these: pixels.
NODE_HEIGHT: Final = 32.0
GAP: Final = 64.0  # Between two layers: room for curves, and for the role of an edge.
MARGIN: Final = 12.0
_LANE: Final = 8.0
_LANES_MAX: Final = 24
_BETWEEN: Final = 28.0  # Components.
_ASPECT: Final = 1.8
_PITCH: Final = NODE_WIDTH + GAP

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture's geometry. places: the centre of each node; routes: of each edge its points.

    A route leaves its source and enters its target in the middle of a side. Between two points of one height it is a straight line,
    between others a curve that is level at both.
    """

    width: float
    height: float
    places: Mapping[str, Point]
    routes: Mapping[tuple[str, str], Sequence[Point]]


def layout(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> Layout:
    """Return where everything goes. nodes: keys; edges: source and target, repeats ignored, and what leads nowhere or to itself."""
    keys = sorted(set(nodes), key=_by_number)
    numbers = {key: at for at, key in enumerate(keys)}
    known = {(numbers[source], numbers[target]) for source, target in edges if source in numbers and target in numbers}
    links = sorted((source, target) for source, target in known if source != target)
    boxes = [_box(part) for part in components(len(keys), links)]
    width, height, corners = _packed([(box.width, box.height) for box in boxes])
    places: dict[str, Point] = {}
    routes: dict[tuple[str, str], Sequence[Point]] = {}
    for box, (left, top) in zip(boxes, corners, strict=True):
        for node, (x, y) in box.places.items():
            places[keys[node]] = (round(left + x, 1), round(top + y, 1))
        for (source, target), points in box.routes.items():
            routes[keys[source], keys[target]] = [(round(left + x, 1), round(top + y, 1)) for x, y in points]
    return Layout(width, height, places, routes)


def _by_number(key: str) -> tuple[int, str]:
    """Order art:9 before art:10."""
    return (len(key), key)


@dataclass(frozen=True, slots=True)
class _Box:
    """A component in its own coordinates, from (0, 0)."""

    width: float
    height: float
    places: dict[int, Point]
    routes: dict[tuple[int, int], list[Point]]


def _box(part: Component) -> _Box:
    rows = ordered(part)
    heights = placed(part, rows)
    bottom = max(heights) + NODE_HEIGHT / 2
    lanes = _lanes(part, bottom)
    places = {node: (part.layer[at] * _PITCH + NODE_WIDTH / 2, heights[at]) for at, node in enumerate(part.nodes)}
    routes = {
        (part.nodes[source], part.nodes[target]): _route(part, heights, lanes, source, target)
        for source, target in part.drawn
    }
    width = len(rows) * _PITCH - GAP
    return _Box(width, max([bottom, *(lane + _LANE / 2 for lane in lanes.values())]), places, routes)


def _lanes(part: Component, bottom: float) -> dict[int, float]:
    """Return the height of the lane of each source that has one. Those that overlap are below each other, as far as that goes."""
    ends: list[int] = []
    lanes = {}
    for source, last in sorted(part.around.items(), key=lambda item: (part.layer[item[0]], item)):
        free = next((at for at, end in enumerate(ends[:_LANES_MAX]) if end < part.layer[source]), len(ends))
        ends[free : free + 1] = [last]
        lanes[source] = bottom + _LANE * (1 + free % _LANES_MAX)
    return lanes


def _route(
    part: Component, heights: Sequence[float], lanes: Mapping[int, float], source: int, target: int
) -> list[Point]:
    """Return the points of an edge, in the direction of data, which is not that of the layers where the edge closes a cycle."""
    backwards = (source, target) in part.backwards
    start, stop = (target, source) if backwards else (source, target)
    first, last = part.layer[start], part.layer[stop]
    points = [(first * _PITCH + NODE_WIDTH, heights[start])]
    if (start, stop) in part.lane_edges:
        points += [((first + 1) * _PITCH, lanes[start]), ((last - 1) * _PITCH + NODE_WIDTH, lanes[start])]
    else:
        for layer in range(first + 1, last):
            level = heights[part.bends[start] + layer - first - 1]
            points += [(layer * _PITCH, level), (layer * _PITCH + NODE_WIDTH, level)]
    points.append((last * _PITCH, heights[stop]))
    return points[::-1] if backwards else points


def _packed(sizes: Sequence[tuple[float, float]]) -> tuple[float, float, list[Point]]:
    """Return width and height of all boxes on shelves, and the upper left corner of each."""
    area = sum((width + _BETWEEN) * (height + _BETWEEN) for width, height in sizes)
    wide = max([(area * _ASPECT) ** 0.5, *(width for width, _ in sizes)])
    corners: list[Point] = [(0.0, 0.0)] * len(sizes)
    x = y = MARGIN
    right = shelf = 0.0
    for at in sorted(range(len(sizes)), key=lambda at: (-sizes[at][1], at)):
        width, height = sizes[at]
        if x > MARGIN and x + width > wide + MARGIN:
            x, y, shelf = MARGIN, y + shelf + _BETWEEN, 0.0
        corners[at] = (x, y)
        x += width + _BETWEEN
        right, shelf = max(right, x - _BETWEEN), max(shelf, height)
    return round(right + MARGIN, 1), round(y + shelf + MARGIN, 1), corners
