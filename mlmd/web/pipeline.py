"""One context: as a pipeline, with its template and the matrix of its runs and components; whatever it is, its properties and its life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlmd.display.graph import Edge, Graph, Node
from mlmd.display.svg import picture
from mlmd.display.tables import Table
from mlmd.errors import NotFoundError
from mlmd.kinds import CONTEXT
from mlmd.names import name_of
from mlmd.recorder.values import quoted
from mlmd.web.contexts import rows_of
from mlmd.web.matrix import components_of, flows_of, matrix_of
from mlmd.web.matrix import rows_of as matrix_rows
from mlmd.web.page import Page
from mlmd.web.records import blamed, puts_of
from mlmd.web.view import Param, is_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmd.store import MetadataStore
    from mlmd.web.view import View

PARAMS: Final = (
    Param("by", "What a row is: a type of contexts, or day; what fits best where it is not given."),
    Param("skip", "How many rows to pass over.", 0, most=10_000_000),
    Param("n", "How many rows to show.", 50, least=1, most=200),
)
_RELATIVES_SHOWN: Final = 50
_LEAST: Final = 0.01  # What failed at all is not said to be none.
_LEGEND: Final = (
    "box: a component, with its runs",
    "line: what one makes and the other reads, as the runs shown below have it",
)


def context_page(view: View) -> Page:
    """Return the page."""
    metadata, named = view.store.metadata, view.named["id"]
    found = metadata.get_contexts_by_id([int(named)]) if is_id(named) else []
    if not found:
        raise NotFoundError(f"there is no ctx:{named}")
    [context] = found
    thing = (CONTEXT.name, context.id)
    shown = view.ask(lambda lookup: matrix_rows(lookup, context.id, view["by"], view["skip"], view["n"]))
    components = view.ask(lambda lookup: components_of(lookup, context.id))
    flows = flows_of(metadata, shown.groups)
    graph = template_of(components, flows)
    matrix = matrix_of(metadata, shown.groups)
    facts = {
        **rows_of(view, [context])[0],
        "thing": name_of(thing),
        "by": shown.by,
        "ways": shown.ways,
        "total": shown.total,
        "matrix": matrix,
        "components": components,
        "flows": flows,
        "parents": _relatives(metadata, context.id, "parent"),
        "children": _relatives(metadata, context.id, "children"),
        "links": _lists(context),
        "fields": blamed(view, thing, context),
        "puts": puts_of(view, thing),
    }
    return Page(
        "context.html",
        f"{context.type} {context.name}",
        facts,
        table=_table(matrix),
        graph=graph if graph.nodes else None,
        picture=(lambda: picture(graph, link=lambda node: _link(view, facts, node), legend=_legend(flows)))
        if graph.nodes
        else None,
        command=view.command("show", name_of(thing)),
        python=view.python(f".metadata.get_executions_by_context({context.id})"),
    )


def template_of(components: Sequence[dict[str, Any]], flows: Sequence[dict[str, Any]]) -> Graph:
    """Return the template as a graph: a node for each component, what it says below its name, and an edge where one feeds the other."""
    keys = {one["component"]: f"component:{at}" for at, one in enumerate(components)}
    nodes = [Node(keys[one["component"]], "execution", one["component"], state=_said(one)) for one in components]
    edges = [
        Edge(keys[flow["source"]], keys[flow["target"]], ", ".join(flow["types"]))
        for flow in flows
        if not flow["across"] and flow["source"] in keys and flow["target"] in keys
    ]
    return Graph(nodes, edges)


def _said(one: dict[str, Any]) -> str:
    said = [f"{one['runs']:,} run{'' if one['runs'] == 1 else 's'}"]
    if one["failed"]:
        said.append(f"{max(one['failed'] / one['runs'], _LEAST):.0%} failed")
    if one["cached"]:
        said.append(f"{one['cached']:,} cached")
    return " · ".join(said)


def _legend(flows: Sequence[dict[str, Any]]) -> list[str]:
    across = [f"{one['source']} to {one['target']} ({', '.join(one['types'])})" for one in flows if one["across"]]
    return [*_LEGEND, *([f"from earlier runs: {'; '.join(across)}"] if across else [])]


def _link(view: View, facts: dict[str, Any], node: Node) -> str:
    """Return the link from a component of the template: its runs in this context."""
    return view.link("/runs", type=node.label, q=facts["links"]["filter"])


def _lists(context: Any) -> dict[str, str]:
    """Return the filter that lists of runs and artifacts take for what is in a context."""
    return {"filter": f"contexts_a.type = {quoted(context.type)} AND contexts_a.name = {quoted(context.name)}"}


def _relatives(metadata: MetadataStore, context_id: int, relation: str) -> list[dict[str, Any]]:
    ask = metadata.get_parent_contexts_by_context if relation == "parent" else metadata.get_children_contexts_by_context
    found = sorted(ask(context_id), key=lambda one: -one.id)
    return [{"id": one.id, "context": one.name, "type": one.type} for one in found[:_RELATIVES_SHOWN]]


def _table(matrix: dict[str, Any]) -> Table:
    """Return the matrix as a table: in each cell the state of the newest run."""
    names = [one if one not in ("row", "runs") else f"component {one}" for one in matrix["components"]]
    rows = [
        [row["row"], row["runs"], *(_newest(row["cells"].get(name)) for name in matrix["components"])]
        for row in matrix["rows"]
    ]
    return Table(("row", "runs", *names), rows)


def _newest(cell: dict[str, Any] | None) -> str | None:
    return None if cell is None else cell["runs"][0]["state"]
