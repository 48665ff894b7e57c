"""The lineage that a page shows: looked up, made small enough, laid out; kept for whoever asks the same of the same records.

A picture is a function of what was asked and of the log's first records, so it is made once. It is kept with the view that it came
from, and goes with it: after an erasure there is a new view.
"""

from __future__ import annotations

import gc
from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from mlmd import names
from mlmd.display import grouping, walk
from mlmd.display.growing import Wanted, growth_around, growth_of
from mlmd.display.layout import NODE_HEIGHT, NODE_WIDTH
from mlmd.display.nodes import LOST
from mlmd.errors import InvalidArgumentError
from mlmd.recorder.things import is_lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from evlog.log import Log
    from mlmd.display.graph import Kind
    from mlmd.display.growth import Growth, Life, Version
    from mlmd.display.layout import Layout, Point
    from mlmd.display.walk import Thing
    from mlmd.store import MetadataStore
    from projections.sqlite.lookup import Lookup
    from projections.sqlite.view import View

FAN, NONE, TYPE, DAY, CONTEXT = "fan", "none", "type", "day", "context:"
_ENDS: Final = 2
_KEPT: Final = 16
_KEPT_NODES: Final = 30_000  # Together: a node takes about 2 KB.


class Asked(NamedTuple):
    """What of a lineage. up, down: hops; by: FAN, NONE, TYPE, DAY or CONTEXT and the name of a type; opened: keys of nodes and groups.

    stop: the other end, where the way from the one root to it is asked for instead.
    """

    roots: tuple[Thing, ...]
    up: int
    down: int
    nodes_max: int
    types: tuple[str, ...] = ()
    by: str = FAN
    opened: tuple[str, ...] = ()
    stop: Thing | None = None


class _Node(msgspec.Struct, omit_defaults=True):
    """A node for the browser. versions: [offset, state, flags]; born is the offset of the first; x, y: its centre."""

    key: str
    kind: str
    type: str
    label: str
    x: float
    y: float
    time_ms: int
    versions: tuple[Version, ...]
    level: int | None = None
    hidden: int = 0
    members: tuple[str, ...] = ()


class _Edge(msgspec.Struct, omit_defaults=True):
    """An edge for the browser: numbers of nodes, the offset from which on it is there, points [x, y, ...] where it does more than lead from right to left side."""

    source: int
    target: int
    born: int
    role: str = ""
    points: list[float] | None = None


@dataclass(frozen=True)
class Drawing:
    """A lineage through time with its one layout. types: how many nodes of each kind and type there are, shown or not."""

    growth: Growth
    layout: Layout
    types: Mapping[tuple[Kind, str], int]
    context_types: list[str]

    @cached_property
    def encoded(self) -> bytes:
        """Return what the browser draws, as JSON."""
        growth, drawn = self.growth, self.layout
        numbers = {key: number for number, key in enumerate(growth.lives)}
        levels = growth.levels
        nodes = [
            _node(life, drawn.places[key], levels.get(key), growth.hidden.get(key, 0))
            for key, life in growth.lives.items()
        ]
        edges = [
            _Edge(numbers[edge.source], numbers[edge.target], born, edge.role, _bends(points))
            for edge, born in growth.edges.items()
            if (points := drawn.routes.get((edge.source, edge.target))) is not None
        ]
        told = {
            "width": drawn.width,
            "height": drawn.height,
            "node_width": NODE_WIDTH,
            "node_height": NODE_HEIGHT,
            "nodes": nodes,
            "edges": edges,
            "ticks": growth.ticks,
        }
        return msgspec.json.encode(told)


def _node(life: Life, place: Point, level: int | None, hidden: int) -> _Node:
    node = life.node
    return _Node(
        node.key, node.kind, node.type, node.label, *place, node.time_ms, life.versions, level, hidden, life.members
    )


def _bends(points: Sequence[Point]) -> list[float] | None:
    """Return the points of a route one after the other, None for one straight from the right side of its source to its target."""
    straight = len(points) == _ENDS and points[0][0] < points[1][0]
    return None if straight else [one for point in points for one in point]


_drawings: WeakKeyDictionary[View, OrderedDict[tuple[Asked, int], Drawing]] = WeakKeyDictionary()
_lock = Lock()  # Held for the above.
_making = Lock()


def drawing_of(store: MetadataStore, asked: Asked) -> Drawing:
    """Return the lineage through time, up to the moment of a store in process. Raises NotFoundError, InvalidArgumentError."""

    def question(_log: Log, view: View, end: int) -> Drawing:
        key = (asked, end)
        with _lock:
            kept = _drawings.setdefault(view, OrderedDict())
            if key in kept:
                kept.move_to_end(key)
                return kept[key]
        with _uncollected():
            made = view.ask(lambda lookup: _made(store, lookup, end, asked), end)
            made.encoded  # noqa: B018 - made while nothing is collected
        with _lock:
            kept[key] = made
            while len(kept) > _KEPT or (len(kept) > 1 and _size(kept) > _KEPT_NODES):
                kept.popitem(last=False)
        return made

    found: Drawing = store._backend.review(question)  # noqa: SLF001 - one face of the same house
    return found if store.is_past else _with_lost(store, found)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let one thread at a time make very many objects, none of them garbage: looking for that again and again is half of the work."""
    with _making:
        was_on = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was_on:
                gc.enable()


def _size(kept: OrderedDict[tuple[Asked, int], Drawing]) -> int:
    return sum(len(drawing.growth.lives) for drawing in kept.values())


def _made(store: MetadataStore, lookup: Lookup, end: int, asked: Asked) -> Drawing:
    if asked.stop is not None:
        way = walk.path(store, names.name_of(asked.roots[0]), names.name_of(asked.stop))
        things = [(kind, int(number)) for kind, number in (names.parse(node.key) for node in way.nodes)]
        growth = growth_of(lookup, end, [*asked.roots, asked.stop], things)
        growth = replace(growth, note=way.note)
    else:
        opened = tuple(thing for key in asked.opened if (thing := _node_named(key)) is not None)
        growth = growth_around(lookup, end, Wanted(asked.roots, asked.up, asked.down, asked.nodes_max, opened))
    types = Counter((life.node.kind, life.node.type) for life in growth.lives.values())
    growth = grouping.only(growth, asked.types)
    growth = _grouping(asked.by, lookup)(growth, asked.opened)
    growth = grouping.nearest(growth, asked.nodes_max, asked.opened)
    contexts = [name for name in _context_types(lookup).values() if not name.startswith(("mlmd.", "evlog."))]
    return Drawing(growth, growth.layout(), types, sorted(set(contexts)))


def _node_named(key: str) -> Thing | None:
    """Return the artifact or run that a key names, None for that of a group."""
    try:
        kind, number = names.parse(key)
    except ValueError:
        if key.startswith(grouping.PREFIX):
            return None
        raise InvalidArgumentError(f"open={key!r} names no node: write art:ID, run:ID, or the key of a group") from None
    if kind not in ("artifact", "execution") or not isinstance(number, int):
        raise InvalidArgumentError(f"open={key!r} has no lineage: artifacts and runs have")
    return kind, number


def _grouping(by: str, lookup: Lookup) -> Callable[[Growth, tuple[str, ...]], Growth]:
    """Return what makes groups. Raises InvalidArgumentError."""
    match by:
        case "fan":
            return grouping.folded
        case "none":
            return lambda growth, _: growth
        case "type":
            return lambda growth, opened: grouping.grouped(growth, grouping.by_type(growth), opened)
        case "day":
            return lambda growth, opened: grouping.grouped(growth, grouping.by_day(growth), opened)
    if by.startswith(CONTEXT):
        return partial(_by_context, lookup, by.removeprefix(CONTEXT))
    raise InvalidArgumentError(f"by={by!r}: one of {FAN}, {NONE}, {TYPE}, {DAY}, {CONTEXT}NAME, a type of contexts")


def _by_context(lookup: Lookup, type_name: str, growth: Growth, opened: tuple[str, ...]) -> Growth:
    wanted = {number for number, name in _context_types(lookup).items() if name == type_name}
    if not wanted:
        raise InvalidArgumentError(f"by={CONTEXT}{type_name}: there is no type of contexts of that name")
    contexts: dict[str, str] = {}
    for kind in ("artifact", "execution"):
        ids = [int(names.parse(key)[1]) for key, life in growth.lives.items() if life.node.kind == kind]
        for number, type_id, name in lookup.contexts_named(kind, ids):
            if type_id in wanted:
                contexts[names.name_of((kind, number))] = name
    return grouping.grouped(growth, grouping.by_context(growth, contexts), opened)


def _context_types(lookup: Lookup) -> dict[int, str]:
    return lookup.type_names("context")


def _with_lost(store: MetadataStore, drawing: Drawing) -> Drawing:
    """Return a lineage that says which of its running runs have been left by their process: that is known of now alone, and not kept."""
    lives = dict(drawing.growth.lives)
    running = [
        int(names.parse(key)[1])
        for key, life in lives.items()
        if life.node.kind == "execution" and not life.members and life.node.state == "RUNNING"
    ]
    lost = [one for one in store.get_executions_by_id(running) if is_lost(one)] if running else []
    for one in lost:
        life = lives[key := names.name_of(("execution", one.id))]
        last = life.versions[-1]
        version = last._replace(state=LOST.upper(), flags=tuple(sorted({*last.flags, LOST})))
        node = replace(life.node, state=version.state, flags=frozenset(version.flags))
        lives[key] = replace(life, node=node, versions=(*life.versions[:-1], version))
    return replace(drawing, growth=replace(drawing.growth, lives=lives)) if lost else drawing
