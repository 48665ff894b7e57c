"""Lineages through time, and what the store itself says of each of their moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmd.display.growing import Wanted, growth_around
from mlmd.display.nodes import UNBORN
from mlmd.display.walk import among, known
from mlmd.names import parse

if TYPE_CHECKING:
    import mlmd
    from mlmd.display.graph import Graph
    from mlmd.display.growth import Growth


def growth(
    store: mlmd.MetadataStore,
    *roots: Any,
    up: int | None = None,
    down: int | None = None,
    nodes_max: int = 1_000,
    opened: tuple[Any, ...] = (),
) -> Growth:
    """Return the lineage of some roots through time."""
    wanted = Wanted(tuple(known(store, roots)), up, down, nodes_max, tuple(known(store, opened)))
    return store._backend.review(
        lambda _log, view, end: view.ask(lambda lookup: growth_around(lookup, end, wanted), end)
    )


def there(graph: Graph) -> tuple[set[Any], set[Any]]:
    """Return the nodes and edges of a moment that are there."""
    return (
        {node for node in graph.nodes if UNBORN not in node.flags},
        {(edge.source, edge.target, edge.role) for edge in graph.edges if edge.flag != UNBORN},
    )


def as_it_was(store: mlmd.MetadataStore, found: Growth, offset: int) -> tuple[set[Any], set[Any]]:
    """Return the same, as the store of that moment answers it."""
    graph = among(store.as_of(offset), [], [parse(key) for key in found.lives])
    return set(graph.nodes), {(edge.source, edge.target, edge.role) for edge in graph.edges}
