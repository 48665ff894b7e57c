"""Lineage: what a thing was made from and what was made from it, at any moment, and what became of it between two.

The picture is of everything there ever was, so that nothing moves when another moment is looked at: `until` says which one, `since` with
which it is compared. `at`, as on every page, says up to where the log is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, overload

import msgspec

from mlmd import moment, names
from mlmd.display.cells import printable, time_of
from mlmd.display.facts import artifact_node
from mlmd.display.folding import NODES_MAX
from mlmd.display.grouping import PREFIX
from mlmd.display.growing import NODES_LIMIT
from mlmd.display.nodes import UNBORN, title
from mlmd.display.svg import picture
from mlmd.display.tables import Table
from mlmd.display.walk import known
from mlmd.errors import InvalidArgumentError
from mlmd.past import Past
from mlmd.store import ListOptions, MetadataStore, OrderByField
from mlmd.web.drawing import CONTEXT, DAY, FAN, NONE, TYPE, Asked, Drawing, drawing_of
from mlmd.web.page import Page
from mlmd.web.view import Param, object_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd.display.graph import Graph, Node
    from mlmd.display.growth import Growth, Life
    from mlmd.web.view import View

HOPS: Final = 4
HOPS_MAX: Final = 1_000
_FILTERS_MAX: Final = 500
_NEWEST: Final = 30
_COLUMNS: Final = ("level", "node", "type", "name", "state", "flags", "change", "born", "made_by", "hidden")

PARAMS: Final = (
    Param("up", "hops towards what it was made from; one is from an artifact to a run or back", HOPS, most=HOPS_MAX),
    Param("down", "hops towards what was made from it", HOPS, most=HOPS_MAX),
    Param("nodes", "of more, the nearest", NODES_MAX, least=1, most=NODES_LIMIT),
    Param("type", "types to show; all where none is named", (), most=_FILTERS_MAX),
    Param("by", f"many nodes as one: {FAN}, {NONE}, {TYPE}, {DAY}, or {CONTEXT}NAME for a type of contexts", FAN),
    Param("open", "nodes whose every neighbour is shown, and groups that are not", (), most=_FILTERS_MAX),
    Param("until", "the moment that is shown; the newest where none is named", moment=True),
    Param("since", "the moment that it is compared with", moment=True),
    Param("to", "another object: the way that data took between the two"),
)
START_PARAMS: Final = (Param("object", "an artifact or run: taxi:7, taxi@prod, art:3, run:5, a URI"), *PARAMS)


@dataclass(frozen=True)
class _Shown:
    """A drawing at a moment."""

    drawing: Drawing
    until: int
    since: int | None

    @property
    def growth(self) -> Growth:
        return self.drawing.growth

    def graph(self) -> Graph:
        """Return the picture: flags say what there is to say of the two moments."""
        graph = self.growth.at(self.until, self.since)
        compared = "" if self.since is None else f", compared with #{self.since:,}"
        return replace(graph, note="; ".join(filter(None, (graph.note, f"as of #{self.until:,}{compared}"))))


def start_page(view: View) -> Page:
    """Return the lineage of what was asked for; without, what one could ask for."""
    if view["object"]:
        return _page(view, view["object"])
    return Page("lineages.html", "Lineage", {"newest": _newest(view.store.metadata)}, command="evlog lineage OBJECT")


def lineage_page(view: View) -> Page:
    """Return the page of one object."""
    return _page(view, view.named["object"])


def _page(view: View, text: str) -> Page:
    store = view.store.metadata
    root = known(store, [text])[0]
    stop = known(store, [view["to"]])[0] if view["to"] else None
    asked = Asked((root,), view["up"], view["down"], view["nodes"], view["type"], view["by"], view["open"], stop)
    until, since = _moment(view, "until"), _moment(view, "since")
    end = view.offset if until is None else until
    if since is not None:
        since, end = min(since, end), max(since, end)
    shown = _Shown(drawing_of(store, asked), end, since)
    growth = shown.growth
    label = title(growth.lives[names.name_of(root)].node)
    said = f"Way from {label} to {title(growth.lives[names.name_of(stop)].node)}" if stop else f"Lineage of {label}"
    return Page(
        "lineage.html",
        said,
        _facts(shown, asked) | {"object": names.name_of(root), "label": label, "at": view.at},
        table=_table(shown),
        picture=lambda: _svg(view, shown),
        command=_command(view, asked, end),
        python=_python(view, asked, end),
        islands=("lineage",),
    )


def _moment(view: View, name: str) -> int | None:
    """Return the offset of a moment that was asked for. Raises InvalidArgumentError, OutOfRangeError."""
    if not view[name]:
        return None
    try:
        when = moment.parse(view[name])
    except ValueError as error:
        raise InvalidArgumentError(f"{name}: {error}") from None
    offset = Past(view.site.engine, when.at).offset
    if offset > view.offset:
        raise InvalidArgumentError(f"{name}: #{offset:,} comes after #{view.offset:,}, as of which the store is shown")
    return offset


def _facts(shown: _Shown, asked: Asked) -> dict[str, Any]:
    growth = shown.growth
    changes = [life.status(shown.since or 0, shown.until) for life in growth.lives.values()]
    return {
        "roots": list(growth.roots),
        "to": names.name_of(asked.stop) if asked.stop else None,
        "up": asked.up,
        "down": asked.down,
        "nodes_max": asked.nodes_max,
        "by": asked.by,
        "groupings": [FAN, NONE, TYPE, DAY, *(f"{CONTEXT}{name}" for name in shown.drawing.context_types)],
        "types": [
            {"type": name, "kind": kind, "count": count, "shown": not asked.types or name in asked.types}
            for (kind, name), count in sorted(shown.drawing.types.items())
        ],
        "opened": list(asked.opened),
        "until": shown.until,
        "since": shown.since,
        "changes": {name: changes.count(name) for name in ("added", "changed", "gone") if shown.since is not None},
        "there": sum(change != UNBORN for change in changes),
        "nodes": len(growth.lives),
        "edges": len(growth.edges),
        "note": growth.note,
        "end": growth.end,
        "graph": msgspec.Raw(shown.drawing.encoded),
    }


def _svg(view: View, shown: _Shown) -> str:
    def link(node: Node) -> str:
        if node.key.startswith(PREFIX):
            return view.here(open=[*view["open"], node.key])
        kind, number = names.parse(node.key)
        return view.link(object_path(kind, int(number)))

    return picture(shown.graph(), drawn=shown.drawing.layout, link=link)


def _table(shown: _Shown) -> Table:
    """Return the same as a list: what things were made from, the farthest first, then they, then what was made from them."""
    return Table(_COLUMNS, _Rows(shown), shown.growth.note)


class _Rows(Sequence[tuple[Any, ...]]):
    """The rows of that list. Each is made when it is asked for: there may be ten thousand, and a page shows few."""

    def __init__(self, shown: _Shown) -> None:
        self._shown = shown

    def __len__(self) -> int:
        return len(self._shown.growth.lives)

    @overload
    def __getitem__(self, at: int) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, at: slice) -> list[tuple[Any, ...]]: ...
    def __getitem__(self, at: int | slice) -> tuple[Any, ...] | list[tuple[Any, ...]]:
        if isinstance(at, slice):
            return [tuple(self._row(life)) for life in self._lives[at]]
        return tuple(self._row(self._lives[at]))

    @cached_property
    def _lives(self) -> list[Life]:
        growth = self._shown.growth

        def place(life: Life) -> tuple[int, int, int, str]:
            key = life.node.key
            return (growth.levels.get(key, HOPS_MAX), life.born, len(key), key)

        return sorted(growth.lives.values(), key=place)

    @cached_property
    def _sources(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for edge in self._shown.growth.edges:
            found.setdefault(edge.target, []).append(edge.source)
        return found

    def _row(self, life: Life) -> Iterator[Any]:
        shown, growth, key = self._shown, self._shown.growth, life.node.key
        version = life.at(shown.until)
        yield growth.levels.get(key)
        yield key
        yield life.node.type or life.node.kind
        yield printable(life.node.label)
        yield version.state if version else UNBORN
        yield list(version.flags) if version else []
        yield life.status(shown.since, shown.until) if shown.since is not None else None
        yield time_of(growth.times.get(life.born, 0))
        yield self._sources.get(key, [])
        yield growth.hidden.get(key, 0)


def _newest(store: MetadataStore) -> list[dict[str, Any]]:
    """Return the artifacts that were made last."""
    found = store.get_artifacts(ListOptions(limit=_NEWEST, order_by=OrderByField.ID, is_asc=False))
    return [
        {"key": node.key, "type": node.type, "name": node.label, "made": time_of(node.time_ms)}
        for node in map(artifact_node, found)
    ]


def _command(view: View, asked: Asked, until: int) -> str:
    start, at = names.name_of(asked.roots[0]), f"#{until}"
    if asked.stop:
        return view.command("path", start, names.name_of(asked.stop), at=at)
    return view.command(
        "lineage", start, "--up", str(asked.up), "--down", str(asked.down), "--nodes", str(asked.nodes_max), at=at
    )


def _python(view: View, asked: Asked, until: int) -> str:
    start, at = names.name_of(asked.roots[0]), f"#{until}"
    if asked.stop:
        return view.python(f".path({start!r}, {names.name_of(asked.stop)!r})", at)
    return view.python(f".lineage({start!r}, up={asked.up}, down={asked.down}, nodes_max={asked.nodes_max})", at)
