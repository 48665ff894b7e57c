"""Step 4 of a layout: how high each place is, in the order of its layer, as near to its neighbours as there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlmd.display.ordering import mean, neighbours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmd.display.layers import Component

NODE_ROOM: Final = 44.0  # Pixels from one node to the next.
BEND_ROOM: Final = 10.0
_PASSES: Final = 12
_STIFFNESS: Final = 8.0  # How much more a bend wants to be level with its neighbours than a node does.


def placed(part: Component, rows: Sequence[Sequence[int]]) -> list[float]:
    """Return the height of each place, centres, the highest node at half of its room. rows: the places of each layer in order."""
    count = len(part.nodes)
    befores, afters = neighbours(len(part.layer), part.steps)
    both = [before + after for before, after in zip(befores, afters, strict=True)]
    weights = [1.0 if place < count else _STIFFNESS for place in range(len(part.layer))]
    heights = [0.0] * len(part.layer)
    offsets = [_offsets(row, count) for row in rows]
    for row, offset in zip(rows, offsets, strict=True):
        for place, height in zip(row, offset, strict=True):
            heights[place] = height
    for turn in range(_PASSES):
        forth = turn % 2 == 0
        links = both if turn >= _PASSES - 2 else befores if forth else afters
        for layer in range(len(rows)) if forth else range(len(rows) - 1, -1, -1):
            _settle(rows[layer], offsets[layer], heights, links, weights)
    top = min(heights[place] - (NODE_ROOM if place < count else BEND_ROOM) / 2 for place in range(len(heights)))
    return [height - top for height in heights]


def _offsets(row: Sequence[int], count: int) -> list[float]:
    """Return how far below the first place of a layer each can be at least."""
    offsets, below = [], 0.0
    for place in row:
        room = NODE_ROOM if place < count else BEND_ROOM
        offsets.append(below + room / 2)
        below += room
    return offsets


def _settle(
    row: Sequence[int],
    offsets: Sequence[float],
    heights: list[float],
    links: Sequence[Sequence[int]],
    weights: Sequence[float],
) -> None:
    """Move a layer's places to the mean of their neighbours, as far as order and room allow: least squares, by pooling violators."""
    if len(row) == 1:
        heights[row[0]] = mean(heights, links[row[0]], heights[row[0]])
        return
    blocks: list[tuple[float, float, int]] = []  # Height, weight, number of places: those pushed together.
    for place, offset in zip(row, offsets, strict=True):
        height = mean(heights, links[place], heights[place]) - offset
        weight, number = weights[place], 1
        while blocks and blocks[-1][0] > height:
            before, heavy, many = blocks.pop()
            height = (height * weight + before * heavy) / (weight + heavy)
            weight, number = weight + heavy, number + many
        blocks.append((height, weight, number))
    at = 0
    for height, _, number in blocks:
        for index in range(at, at + number):
            heights[row[index]] = height + offsets[index]
        at += number
