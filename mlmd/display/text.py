"""A lineage as text: a tree for a terminal, and the languages of Mermaid and Graphviz."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mlmd.display.cells import printable
from mlmd.display.folding import folded
from mlmd.display.nodes import TAINTED, hidden_in_words, remarks, title, unfinished

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlmd.display.graph import Edge, Graph, Node

_PLAIN: Final = re.compile(r"(art|run):[0-9]+")
_HARMLESS: Final = " .,:_-+@/\N{MIDDLE DOT}\N{MULTIPLICATION SIGN}"
Steps = dict[str, list[tuple[str, str]]]  # Of a node: those one step further on, each with the role of the edge.


def tree(graph: Graph) -> str:
    """Return a tree of text: below each root what it was made from, then, behind an arrow, what was made from it.

    A node that comes again is only named; what hangs on no root follows as roots of its own.
    """
    nodes = {node.key: node for node in graph.nodes}
    up, down = _steps(graph, nodes)
    lines: list[str] = []
    seen: set[str] = set()
    ends = [key for key in nodes if not down.get(key)]
    for root in [*graph.roots, *ends, *nodes]:
        if root in nodes and root not in seen:
            seen.add(root)
            lines.append(_line(graph, nodes[root], ""))
            _grow(graph, nodes, root, {"": up, "▶": down}, seen, lines)
    return "\n".join([*lines, *([printable(graph.note)] if graph.note else [])])


def _steps(graph: Graph, nodes: Mapping[str, Node]) -> tuple[Steps, Steps]:
    up: Steps = {}
    down: Steps = {}
    for edge in graph.edges:
        if edge.source in nodes and edge.target in nodes:
            up.setdefault(edge.target, []).append((edge.source, edge.role))
            down.setdefault(edge.source, []).append((edge.target, edge.role))
    for steps in (up, down):
        for near in steps.values():
            near.sort(key=lambda step: (nodes[step[0]].time_ms, len(step[0]), step))
    return up, down


def _grow(
    graph: Graph, nodes: Mapping[str, Node], root: str, ways: Mapping[str, Steps], seen: set[str], lines: list[str]
) -> None:
    """Add the branches of a root. A stack, not recursion: a chain of warm starts is as deep as its store is old."""
    first = [(arrow, key, role) for arrow, steps in ways.items() for key, role in steps.get(root, ())]
    stack = [("", arrow, key, role, at == len(first)) for at, (arrow, key, role) in enumerate(first, 1)][::-1]
    while stack:
        indent, arrow, key, role, last = stack.pop()
        again = key in seen
        seen.add(key)
        lines.append(f"{indent}{'└' if last else '├'}{arrow} {_line(graph, nodes[key], role, again=again)}")
        if not again:
            below = ways[arrow].get(key, ())
            deeper = f"{indent}{' ' if last else '│'}{' ' * (1 + len(arrow))}"
            stack += [(deeper, arrow, one, why, at == len(below)) for at, (one, why) in enumerate(below, 1)][::-1]


def _line(graph: Graph, node: Node, role: str, *, again: bool = False) -> str:
    named = title(node) if printable(node.label) == node.key else f"{title(node)}  {printable(node.key)}"
    if again:
        return f"{named}  (above)"
    words = [named, *remarks(node), *([printable(role)] if role else [])]
    if count := graph.hidden.get(node.key):
        words.append(f"({hidden_in_words(node, count)})")
    return "  ".join(words)


def mermaid(graph: Graph) -> str:
    """Return a flowchart of Mermaid, such as stands in a Markdown file of GitHub; folded as a picture is: it draws no more than 500 edges."""
    graph = folded(graph)
    names = _names(graph)
    lines = ["flowchart LR"]
    for node in graph.nodes:
        left, right = ("([", "])") if node.kind == "artifact" else ("[", "]")
        label = "<br/>".join(_mermaid(text) for text in _lines(graph, node))
        classes = [
            name for name, said in (("tainted", TAINTED in node.flags), ("unfinished", unfinished(node))) if said
        ]
        lines.append(f'  {names[node.key]}{left}"{label}"{right}{":::" if classes else ""}{"_".join(classes)}')
    for edge in _within(graph, names):
        role = f'|"{_mermaid(printable(edge.role))}"|' if edge.role else ""
        lines.append(f"  {names[edge.source]} -->{role} {names[edge.target]}")
    lines += [
        "  classDef tainted stroke-width:4px",
        "  classDef unfinished stroke-dasharray:5 3",
        "  classDef tainted_unfinished stroke-width:4px,stroke-dasharray:5 3",
    ]
    return "\n".join(lines)


def dot(graph: Graph) -> str:
    """Return a digraph of Graphviz."""
    names = _names(graph)
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    for node in graph.nodes:
        styles = [name for name, said in (("rounded", node.kind == "artifact"), ("dashed", unfinished(node))) if said]
        label = r"\n".join(_dot(text) for text in _lines(graph, node))
        style = f', style="{",".join(styles)}"' if styles else ""
        lines.append(
            f'  {names[node.key]} [label="{label}"{style}{", peripheries=2" if TAINTED in node.flags else ""}];'
        )
    for edge in _within(graph, names):
        role = f' [label="{_dot(printable(edge.role))}"]' if edge.role else ""
        lines.append(f"  {names[edge.source]} -> {names[edge.target]}{role};")
    return "\n".join([*lines, "}"])


def _names(graph: Graph) -> dict[str, str]:
    """Return for each node a name that every such language takes."""
    return {
        node.key: node.key.replace(":", "_") if _PLAIN.fullmatch(node.key) else f"node_{at}"
        for at, node in enumerate(graph.nodes)
    }


def _within(graph: Graph, names: Mapping[str, str]) -> Sequence[Edge]:
    return [edge for edge in graph.edges if edge.source in names and edge.target in names]


def _lines(graph: Graph, node: Node) -> list[str]:
    lines = [title(node), " · ".join(remarks(node))]
    if count := graph.hidden.get(node.key):
        lines.append(hidden_in_words(node, count))
    return [line for line in lines if line]


def _mermaid(text: str) -> str:
    """Return a text of which Mermaid takes nothing for its own: all but letters, digits and a few signs as numbers."""
    return "".join(char if char.isalnum() or char in _HARMLESS else f"#{ord(char)};" for char in text)


def _dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
