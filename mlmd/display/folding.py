"""A lineage small enough to be looked at: wide fans folded by type, the rest cut off far from the roots, and both said."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from mlmd.display.graph import Edge, Graph, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NODES_MAX: Final = 300
_FAN_MAX: Final = 12  # So many nodes of one type that hang on the same neighbour alone are still worth a place each.


def folded(graph: Graph, nodes_max: int = NODES_MAX) -> Graph:
    """Return a lineage of at most so many nodes: itself, where it is no larger."""
    return graph if len(graph.nodes) <= nodes_max else cut(_grouped(graph), nodes_max)


def neighbours_of(edges: Iterable[Edge]) -> dict[str, dict[str, None]]:
    """Return of each node those it shares an edge with, in the order of the edges."""
    found: dict[str, dict[str, None]] = {}
    for edge in edges:
        found.setdefault(edge.source, {})[edge.target] = None
        found.setdefault(edge.target, {})[edge.source] = None
    return found


class Fan(NamedTuple):
    """Many nodes that differ in nothing but themselves: of one type, with the same single neighbour and roles."""

    neighbour: str
    ways: tuple[tuple[bool, str], ...]  # Of each edge: whether it leads to them, its role.
    members: list[Node]


def fans_of(graph: Graph, *, stubs: bool = False) -> list[Fan]:
    """Return the fans that are too wide to be looked at. Roots are in none; with `stubs` what has neighbours that are not shown may be."""
    near = neighbours_of(graph.edges)
    roots = set(graph.roots)
    only = {
        node.key: next(iter(near[node.key]))
        for node in graph.nodes
        if node.key not in roots and len(near.get(node.key, ())) == 1
    }
    links: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        for end in (edge.source, edge.target):
            if end in only:
                links.setdefault(end, []).append(edge)
    fans: dict[tuple[object, ...], Fan] = {}
    for node in graph.nodes:
        if node.key in only and (stubs or node.key not in graph.hidden):
            ways = tuple(sorted((edge.target == node.key, edge.role) for edge in links[node.key]))
            fan = Fan(only[node.key], ways, [])
            fans.setdefault((only[node.key], node.kind, node.type, ways), fan).members.append(node)
    return [fan for fan in fans.values() if len(fan.members) > _FAN_MAX]


def _grouped(graph: Graph) -> Graph:
    """Make one node of each wide fan."""
    groups = [(_group(fan.members), fan.members) for fan in fans_of(graph)]
    group_of = {node.key: group for group, members in groups for node in members}
    inside = {key: group.key for key, group in group_of.items()}
    nodes = {node.key: node for node in (group_of.get(node.key, node) for node in graph.nodes)}
    edges = {
        Edge(inside.get(edge.source, edge.source), inside.get(edge.target, edge.target), edge.role): None
        for edge in graph.edges
    }
    return replace(graph, nodes=list(nodes.values()), edges=list(edges))


def _group(members: Sequence[Node]) -> Node:
    first = members[0]
    flags = Counter(flag for node in members for flag in node.flags)
    states = Counter(node.state for node in members if node.state)
    said = ", ".join(f"{count:,} {what}" for what, count in [*sorted(flags.items()), *states.most_common()])
    return Node(
        f"group of {first.key}",
        first.kind,
        so_many(first.type or first.kind, len(members)),
        "",
        said,
        frozenset(flags),
        max(node.time_ms for node in members),
    )


def so_many(what: str, count: int) -> str:
    """Return how a node that stands for many is called."""
    return f"{what} × {count:,}"  # noqa: RUF001 - so many times


def cut(graph: Graph, nodes_max: int) -> Graph:
    """Keep the nodes nearest to the roots; count of each the neighbours that it loses."""
    near = neighbours_of(graph.edges)
    keys = [node.key for node in graph.nodes]
    kept: dict[str, None] = {}
    there = set(keys)
    waiting = deque(graph.roots or keys[:1])
    rest = iter(keys)
    while len(kept) < nodes_max:
        key = waiting.popleft() if waiting else next(rest, None)
        if key is None:
            break
        if key in there and key not in kept:
            kept[key] = None
            waiting.extend(near.get(key, ()))
    lost = {key: sum(one not in kept for one in near.get(key, ())) for key in kept}
    hidden = {key: count for key in kept if (count := lost[key] + graph.hidden.get(key, 0))}
    at_least = "at least " if graph.hidden else ""  # Neighbours of what is there were not read.
    left_out = f"{at_least}{len(keys) - len(kept):,} more nodes are not shown"
    return (
        replace(
            graph,
            nodes=[node for node in graph.nodes if node.key in kept],
            edges=[edge for edge in graph.edges if edge.source in kept and edge.target in kept],
            hidden=hidden,
            note=f"{graph.note}; {left_out}" if graph.note else left_out,
        )
        if len(kept) < len(keys)
        else graph
    )
