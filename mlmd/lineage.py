"""GetLineageSubgraph: a walk from artifact to execution and back, one level at a time, each node left once.

Source: the contract of ml-metadata 1.17.1; departures are listed in docs/compatibility.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlmd import errors
from mlmd.convert import unframed, varint
from mlmd.filters.query import filter_query
from mlmd.kinds import KINDS as NODE_KINDS
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from projections.query import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from projections.query import Edge, Kind, Link
    from projections.sqlite.lookup import Lookup

HOPS_MAX: Final = 100
_Options = pb.LineageSubgraphQueryOptions
_FIELDS: Final = {field.name: field.number for field in pb.LineageGraph.DESCRIPTOR.fields}
_OTHER: Final[dict[Kind, Kind]] = {"artifact": "execution", "execution": "artifact"}
_PLURALS: Final[dict[Kind, str]] = {kind.name: kind.plural for kind in NODE_KINDS}
_LINKS: Final[dict[Kind, str]] = {"artifact": "attributions", "execution": "associations"}
# Which events lead on from a node: True for outputs, False for inputs, None for all.
_LEADING: Final[dict[int, dict[Kind, bool | None]]] = {
    _Options.UPSTREAM: {"artifact": True, "execution": False},
    _Options.DOWNSTREAM: {"artifact": False, "execution": True},
    _Options.BIDIRECTIONAL: {"artifact": None, "execution": None},
    _Options.DIRECTION_UNSPECIFIED: {"artifact": None, "execution": None},
}


def get_lineage_subgraph(lookup: Lookup, request: service.GetLineageSubgraphRequest) -> bytes:
    """GetLineageSubgraph: ids of nodes, whole events, all types there are; what the mask leaves out is not looked up."""
    with lookup.snapshot():
        answer = _Answer(lookup, request)
        for kind in KINDS:
            if answer.wants(f"{kind}_types"):
                answer.add(f"{kind}_types", (body[1:] for body in lookup.types(kind)))
            if answer.wants(_PLURALS[kind]):
                answer.add(_PLURALS[kind], map(_id_alone, answer.ids(kind)))
        answer.add_edges()
    graph = answer.graph()
    return b"\x0a" + varint(len(graph)) + graph


def get_whole_lineage_subgraph(lookup: Lookup, request: service.GetLineageSubgraphRequest) -> bytes:
    """Return what MLMD's Python client makes of GetLineageSubgraph and five more calls: whole nodes, and the types they have."""
    with lookup.snapshot():
        answer = _Answer(lookup, request)
        for kind in KINDS:
            if answer.wants(f"{kind}_types", _PLURALS[kind]):
                nodes = lookup.typed_nodes(kind, answer.ids(kind))
                answer.add(f"{kind}_types", lookup.types_with({type_id for _, type_id in nodes}))
                answer.add(_PLURALS[kind], (body for body, _ in nodes))
        answer.add_edges()
    return answer.graph()


class _Answer:
    """A LineageGraph that grows as bytes: the fields that the mask asks for, each once."""

    def __init__(self, lookup: Lookup, request: service.GetLineageSubgraphRequest) -> None:
        self._lookup, self._walk = lookup, _Walk(lookup, request.lineage_subgraph_query_options)
        self._walk.run()
        paths = request.read_mask.paths
        self._wanted = _FIELDS.keys() & set(paths) if paths else _FIELDS.keys()
        self._ids: dict[Kind, list[int]] = {}
        self._links: dict[Kind, list[Link]] = {}
        self._parts: list[bytes] = []

    def graph(self) -> bytes:
        """Return the graph so far."""
        return b"".join(self._parts)

    def wants(self, *fields: str) -> bool:
        """Tell whether any of the fields is wanted."""
        return not self._wanted.isdisjoint(fields)

    def add(self, field: str, bodies: Iterable[bytes]) -> None:
        """Add the elements of a field, framed but for their tags, if it is wanted."""
        if field in self._wanted:
            tag = bytes([_FIELDS[field] << 3 | 2])
            self._parts.append(tag.join((b"", *bodies)))

    def add_edges(self) -> None:
        """Add events and links, where they are wanted."""
        self.add("events", (body for _, _, body in self._walk.edges))
        for kind, field in _LINKS.items():
            if self.wants(field):
                self.add(field, _links(self.links(kind)))

    def ids(self, kind: Kind) -> list[int]:
        """Return the ids of the nodes of a kind in the answer, ascending."""
        if kind not in self._ids:
            if kind == "context":
                self._ids[kind] = sorted({context_id for kind in _OTHER for _, context_id, _ in self.links(kind)})
            else:
                self._ids[kind] = self._walk.included(kind)
        return self._ids[kind]

    def links(self, kind: Kind) -> list[Link]:
        """Return the links of the artifacts or executions in the answer, as they were put."""
        if kind not in self._links:
            self._links[kind] = self._lookup.links(kind, self.ids(kind))
        return self._links[kind]


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
        if kind == "artifact" and len({(near, far) for near, far, _ in edges}) < len(edges):
            edges.sort(key=lambda edge: (edge[0], edge[1], _type_number(edge[2])))
        far = [edge[1] for edge in edges]
        other = _OTHER[kind]
        directed = self._options.direction in (_Options.UPSTREAM, _Options.DOWNSTREAM)
        # In both directions an edge to a node that was left before has been met from there.
        met = () if directed else set(self.visited[other])
        reached = self._reach(other, set(far) - self.visited[other] - self.ended[other])
        ended, keeps_ended = self.ended[other], self._ending(other).include_ending_nodes
        if directed and not ended:
            self.edges += edges
        else:
            self.edges += [
                edge
                for edge, node in zip(edges, far, strict=True)
                if (keeps_ended if node in ended else node not in met)
            ]
        return reached


def _type_number(body: bytes) -> int:
    """Return the number of an event's type: between two nodes it decides which comes first."""
    return pb.Event.FromString(unframed(b"\x0a" + body)).type


def _links(links: Iterable[Link]) -> list[bytes]:
    """Return attributions or associations, framed but for their tags. The node's id is field 1 of either, the context's field 2."""
    nodes, contexts = _Fields(b"\x08"), _Fields(b"\x10")
    return [
        _SIZES[len(node) + len(context)] + node + context
        for node, context in [(nodes[node_id], contexts[context_id]) for _, context_id, node_id in links]
    ]


_SIZES: Final = [bytes((size,)) for size in range(0x80)]


class _Fields(dict[int, bytes]):
    """Numbers as a field of a message, each made once."""

    def __init__(self, tag: bytes) -> None:
        super().__init__()
        self._tag = tag

    def __missing__(self, number: int) -> bytes:
        made = self[number] = self._tag + varint(number)
        return made


def _id_alone(node_id: int) -> bytes:
    """Return a node of which only the id is given, framed but for its tag. An id is field 1 of its node."""
    number = varint(node_id)
    return bytes((len(number) + 1, 8)) + number
