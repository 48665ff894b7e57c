"""GetLineageSubgraph: a walk from artifact to execution and back, one level at a time, each node left once.

Source: the contract of ml-metadata 1.17.1; departures are listed in docs/compatibility.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlmd import errors
from mlmd.convert import retagged, varint
from mlmd.filter_query import filter_query
from mlmd.kinds import EVENT_NUMBERS
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from projections.query import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from projections.query import Edge, Kind
    from projections.sqlite.lookup import Lookup

HOPS_MAX: Final = 100
_Options = pb.LineageSubgraphQueryOptions
_FIELDS: Final = {field.name: field.number for field in pb.LineageGraph.DESCRIPTOR.fields}
_OTHER: Final[dict[Kind, Kind]] = {"artifact": "execution", "execution": "artifact"}
_LINKS: Final[dict[Kind, str]] = {"artifact": "attributions", "execution": "associations"}
# Which events lead on from a node: True for outputs, False for inputs, None for all.
_LEADING: Final[dict[int, dict[Kind, bool | None]]] = {
    _Options.UPSTREAM: {"artifact": True, "execution": False},
    _Options.DOWNSTREAM: {"artifact": False, "execution": True},
    _Options.BIDIRECTIONAL: {"artifact": None, "execution": None},
    _Options.DIRECTION_UNSPECIFIED: {"artifact": None, "execution": None},
}


def get_lineage_subgraph(
    lookup: Lookup, request: service.GetLineageSubgraphRequest
) -> service.GetLineageSubgraphResponse:
    """GetLineageSubgraph: ids of nodes, whole events; what the mask leaves out is not looked up."""
    paths = request.read_mask.paths
    wanted = _FIELDS.keys() & set(paths) if paths else _FIELDS.keys()
    with lookup.snapshot():
        walk = _Walk(lookup, request.lineage_subgraph_query_options)
        walk.run()
        parts = _graph(lookup, walk, wanted)
    graph = b"".join(parts)
    return service.GetLineageSubgraphResponse.FromString(b"\x0a" + varint(len(graph)) + graph)


class _Walk:
    """What has been reached so far. `visited` and `ended` hold ids by kind; `edges` those met while leaving nodes, hop by hop."""

    def __init__(self, lookup: Lookup, options: pb.LineageSubgraphQueryOptions) -> None:
        self._lookup, self._options = lookup, options
        self.visited: dict[Kind, set[int]] = {"artifact": set(), "execution": set()}
        self.ended: dict[Kind, set[int]] = {"artifact": set(), "execution": set()}
        self.edges: list[Edge] = []

    def run(self) -> None:
        """Walk. Raises InvalidArgumentError, and NotFoundError where there is nowhere to start."""
        kind, text = self._asked()
        hops = self._options.max_num_hops if self._options.HasField("max_num_hops") else HOPS_MAX
        if hops < 0:
            raise errors.InvalidArgumentError(f"max_num_hops cannot be negative: max_num_hops = {hops}")
        frontier = self._start(kind, text)
        for _ in range(min(hops, HOPS_MAX)):
            if not frontier:
                break
            kind, frontier = _OTHER[kind], self._hop(kind, frontier)

    def included(self, kind: Kind) -> list[int]:
        """Return the ids of the nodes of a kind that are part of the answer, ascending."""
        ended = self.ended[kind] if self._ending(kind).include_ending_nodes else ()
        return sorted(self.visited[kind].union(ended))

    def _asked(self) -> tuple[Kind, str]:
        """Return the kind of the nodes to start from, and their filter."""
        which = self._options.WhichOneof("starting_nodes")
        if which is None:
            raise errors.InvalidArgumentError("Missing arguments for listing starting nodes.")
        text = getattr(self._options, which).filter_query
        if not text:
            raise errors.InvalidArgumentError("Cannot list starting nodes if `filter_query` is unspecified.")
        return ("artifact" if which == "starting_artifacts" else "execution"), text

    def _start(self, kind: Kind, text: str) -> set[int]:
        found = self._lookup.nodes_where(filter_query(kind, text))
        if not found:
            raise errors.NotFoundError("Cannot find qualified nodes to start the traversal.")
        return self._reach(kind, set(found))

    def _ending(self, kind: Kind) -> pb.LineageSubgraphQueryOptions.EndingNodes:
        return getattr(self._options, f"ending_{kind}s")

    def _reach(self, kind: Kind, new: set[int]) -> set[int]:
        """Note nodes as visited or, where the walk ends, as ended; return those visited."""
        ending = self._ending(kind)
        ends: Collection[int] = ()
        if new and ending.HasField("filter_query"):
            # An empty filter, unlike none, ends the walk everywhere.
            text = ending.filter_query
            ends = self._lookup.nodes_where(filter_query(kind, text), new) if text else new
        self.ended[kind].update(ends)
        visited = new.difference(ends)
        self.visited[kind] |= visited
        return visited

    def _hop(self, kind: Kind, frontier: set[int]) -> set[int]:
        """Leave the nodes of the frontier; return those reached for the first time."""
        edges = self._lookup.edges(kind, frontier, outputs=_LEADING[self._options.direction][kind])
        directed = self._options.direction in (_Options.UPSTREAM, _Options.DOWNSTREAM)
        if kind == "artifact":
            edges.sort(key=lambda edge: (edge.artifact_id, edge.execution_id, EVENT_NUMBERS[edge.type]))
            far = [edge.execution_id for edge in edges]
        else:
            far = [edge.artifact_id for edge in edges]
        other = _OTHER[kind]
        visited, ended = self.visited[other], self.ended[other]
        before = set(visited)
        reached = self._reach(other, set(far) - visited - ended)
        # In both directions an edge to a node that was left before has been met from there.
        keeps_ended = self._ending(other).include_ending_nodes
        self.edges += [
            edge
            for edge, node in zip(edges, far, strict=True)
            if (keeps_ended if node in ended else directed or node not in before)
        ]
        return reached


def _graph(lookup: Lookup, walk: _Walk, wanted: Collection[str]) -> Iterable[bytes]:
    """Yield the fields of a LineageGraph, as bytes."""
    for kind in KINDS:
        if (field := f"{kind}_types") in wanted:
            yield from retagged(lookup.types(kind), _FIELDS[field])
    linked: set[int] = set()
    links = {}
    for kind, field in _LINKS.items():
        if f"{kind}s" in wanted:
            yield from _ids(walk.included(kind), _FIELDS[f"{kind}s"])
        if field in wanted or "contexts" in wanted:
            links[field] = lookup.links(kind, walk.included(kind))
            linked.update(link.context_id for link in links[field])
    if "contexts" in wanted:
        yield from _ids(sorted(linked), _FIELDS["contexts"])
    if "events" in wanted:
        yield from retagged([edge.body for edge in walk.edges], _FIELDS["events"])
    graph = pb.LineageGraph()
    if "attributions" in wanted:
        for context_id, node_id in links["attributions"]:
            graph.attributions.add(artifact_id=node_id, context_id=context_id)
    if "associations" in wanted:
        for context_id, node_id in links["associations"]:
            graph.associations.add(execution_id=node_id, context_id=context_id)
    yield graph.SerializeToString()


def _ids(ids: Iterable[int], field: int) -> Iterable[bytes]:
    """Yield nodes of which only the id is given, as elements of a repeated field. An id is field 1 of its node."""
    tag = bytes([field << 3 | 2])
    for node_id in ids:
        number = varint(node_id)
        yield tag + bytes([len(number) + 1]) + b"\x08" + number
