"""`lineage` and `path`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import rfc3339, show_rows, talk
from mlmd.cli.reading import metadata_of
from mlmd.cli.settings import THING_FORMATS, Number
from mlmd.display import walk
from mlmd.display.folding import NODES_MAX
from mlmd.files import write_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings
    from mlmd.display.graph import Graph, Node

_COLUMNS: Final = ("node", "type", "label", "state", "flags", "created", "inputs", "hidden")
_PICTURES: Final = ("svg", "mermaid", "dot")


def _drawn(function: Callable[..., None]) -> Callable[..., None]:
    """Add what writes a picture to a file."""
    says = {"svg": "a picture", "mermaid": "a flowchart for Markdown", "dot": "a graph for Graphviz"}
    for form in reversed(_PICTURES):
        kind = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
        function = click.option(
            f"--{form}", metavar="FILE", type=kind, help=f"Write {says[form]}; - for standard output."
        )(function)
    return function


@command(looks_back=True, formats=THING_FORMATS)
@with_settings
@click.argument("things", metavar="OBJECT...", nargs=-1, required=True)
@click.option("--up", type=Number(min=0), metavar="N", help="So many hops towards what it was made from.")
@click.option("--down", type=Number(min=0), metavar="N", help="So many hops towards what was made from it.")
@click.option("-n", "--nodes", type=Number(min=1), default=NODES_MAX, show_default=True, help="Of more, the nearest.")
@_drawn
def lineage(
    settings: Settings, things: tuple[str, ...], up: int | None, down: int | None, nodes: int, **pictures: Path | None
) -> None:
    """Show what a thing was made from and what was made from it: taxi:7, taxi@prod, art:ID, run:ID or a URI.

    A hop leads from an artifact to a run or back. With neither --up nor --down both ways are followed to their ends, with one of them
    that way alone. Behind an arrow stands what was made from the thing; (+3 runs) are neighbours that are not shown.

    Examples:
    evlog lineage taxi-model:1 --up 2         the run that made it, and what that read
    evlog lineage art:2 --svg model.svg       a picture, without script, for a browser or a page of Markdown
    evlog lineage art:2 --mermaid -           to paste into Markdown
    evlog --at '#12' lineage art:2            as it was known then
    evlog lineage run:1 -o json               nodes and edges, for a program

    """
    with metadata_of(settings) as store:
        graph = walk.lineage(store, list(things), up=up, down=down, nodes_max=nodes)
    _show(settings, graph, pictures)


@command(looks_back=True, formats=THING_FORMATS)
@with_settings
@click.argument("start", metavar="OBJECT")
@click.argument("stop", metavar="OBJECT")
@_drawn
def path(settings: Settings, start: str, stop: str, **pictures: Path | None) -> None:
    """Show how data came from one thing to another: every shortest way, whichever of the two is the earlier.

    Where neither was made from the other, the ways to both from the nearest thing that both were made from. Exit 1 where there is none.

    Examples:
    evlog path taxi:1 taxi-model:1            how that data came into that model
    evlog path art:1 art:2 --svg way.svg      the same of two others, as a picture

    """
    with metadata_of(settings) as store:
        graph = walk.path(store, start, stop)
    _show(settings, graph, pictures)


def _show(settings: Settings, graph: Graph, pictures: dict[str, Path | None]) -> None:
    """Write the pictures that are asked for; else the lineage itself."""
    wanted = {form: file for form, file in pictures.items() if file is not None}
    for form, file in wanted.items():
        text: str = getattr(graph, form)() + "\n"
        if str(file) == "-":
            click.echo(text, nl=False)
        else:
            write_file(file, text.encode())
            talk(settings, f"{file}: {len(graph.nodes):,} nodes, {len(graph.edges):,} edges {graph.note}".rstrip())
    if wanted:
        return
    if settings.form == "table":
        click.echo(replace(graph, note="").text())
        if graph.note:  # A server tells none.
            talk(settings, graph.note)
    elif settings.form == "json":
        click.echo(json.dumps(graph_row(graph), indent=1, ensure_ascii=False))
    else:
        show_rows(settings, _rows(graph), _COLUMNS, graph.note)


def _rows(graph: Graph) -> list[Row]:
    inputs: dict[str, list[str]] = {}
    for edge in graph.edges:
        inputs.setdefault(edge.target, []).append(edge.source)
    return [
        _row(node) | {"inputs": inputs.get(node.key, []), "hidden": graph.hidden.get(node.key, 0)}
        for node in graph.nodes
    ]


def _row(node: Node) -> Row:
    return {
        "node": node.key,
        "kind": node.kind,
        "type": node.type,
        "label": node.label,
        "state": node.state,
        "flags": sorted(node.flags),
        "created": rfc3339(node.time_ms * 1000),
    }


def graph_row(graph: Graph) -> dict[str, Any]:
    """Return a lineage as one object. complete: nothing that hangs on a node is left out."""
    return {
        "roots": list(graph.roots),
        "nodes": [_row(node) for node in graph.nodes],
        "edges": [{"source": edge.source, "target": edge.target, "role": edge.role or None} for edge in graph.edges],
        "hidden": dict(graph.hidden),
        "complete": not graph.hidden,
        "note": graph.note,
    }
