"""A lineage as plain values: nodes, edges in the direction of data, and what of it is not shown. Its forms are made when asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlmd.display.cells import time_of
from mlmd.display.tables import Table, library

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["artifact", "execution"]
Part = Literal["nodes", "edges"]


@dataclass(frozen=True, slots=True)
class Node:
    """An artifact or an execution. key: art:3 or run:5; time_ms: when it was made.

    flags: of tainted, cached, lost, live, "only run:5"; of two moments: added, changed, gone, "not yet".
    """

    key: str
    kind: Kind
    label: str
    type: str = ""
    state: str = ""
    flags: frozenset[str] = frozenset()
    time_ms: int = 0


@dataclass(frozen=True, slots=True)
class Edge:
    """Data that flows: from an input artifact to a run, from a run to an output artifact.

    source, target: keys of nodes. flag: of two moments: added, "not yet".
    """

    source: str
    target: str
    role: str = ""
    flag: str = ""


@dataclass(frozen=True)
class Graph:
    """Nodes and the edges between them.

    roots: keys of the nodes that were asked about. hidden: of a node that is shown, how many neighbours are not. note: a line that
    says where it comes from, and what is lacking.
    """

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    roots: Sequence[str] = ()
    hidden: Mapping[str, int] = field(default_factory=dict)
    note: str = ""

    def __len__(self) -> int:
        """Return how many nodes there are here."""
        return len(self.nodes)

    def __str__(self) -> str:
        """Return a tree of text."""
        return self.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return a picture of SVG, without script, for a notebook; a wide one can be scrolled."""
        return f'<div style="overflow:auto;margin:.5em 0">{self.svg()}</div>'

    def svg(self) -> str:
        """Return a picture: pills are artifacts, boxes executions."""
        from mlmd.display.svg import picture  # noqa: PLC0415 - a graph is made where none is shown

        return picture(self)

    def text(self) -> str:
        """Return a tree, each root with what it was made from below it, then what was made from it."""
        from mlmd.display.text import tree  # noqa: PLC0415 - as above

        return tree(self)

    def mermaid(self) -> str:
        """Return a flowchart of Mermaid, which GitHub draws."""
        from mlmd.display.text import mermaid  # noqa: PLC0415 - as above

        return mermaid(self)

    def dot(self) -> str:
        """Return a graph of Graphviz."""
        from mlmd.display.text import dot  # noqa: PLC0415 - as above

        return dot(self)

    def networkx(self) -> Any:
        """Return a networkx.DiGraph, whose nodes are keys with the fields of `Node`. Raises MissingLibraryError."""
        graph = library("networkx").DiGraph()
        for record in self.table().records():
            graph.add_node(record.pop("key"), **record)
        for edge in self.edges:
            graph.add_edge(edge.source, edge.target, role=edge.role)
        return graph

    def table(self, part: Part = "nodes") -> Table:
        """Return the nodes, or the edges, as a table."""
        if part == "edges":
            return Table(("source", "target", "role"), [(edge.source, edge.target, edge.role) for edge in self.edges])
        columns = ("key", "kind", "type", "label", "state", "flags", "time")
        return Table(columns, [_row(node) for node in self.nodes], self.note)

    def df(self, part: Part = "nodes") -> Any:
        """Return the nodes, or the edges, as a pandas.DataFrame. Raises MissingLibraryError."""
        return self.table(part).df()

    def arrow(self, part: Part = "nodes") -> Any:
        """Return the nodes, or the edges, as a pyarrow.Table. Raises MissingLibraryError."""
        return self.table(part).arrow()

    def polars(self, part: Part = "nodes") -> Any:
        """Return the nodes, or the edges, as a polars.DataFrame. Raises MissingLibraryError."""
        return self.table(part).polars()


def _row(node: Node) -> tuple[Any, ...]:
    flags = ",".join(sorted(node.flags))
    return (node.key, node.kind, node.type, node.label, node.state, flags, time_of(node.time_ms))
