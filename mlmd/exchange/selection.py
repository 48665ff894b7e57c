"""What goes out into a document: all that a store holds at a moment, or what one thing was made from and what was made from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlmd.convert import unframed
from mlmd.display.cells import calendar_time
from mlmd.exchange.citation import Citation, cite
from mlmd.exchange.errors import NothingError
from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, KINDS
from mlmd.methods import WHOLE_LINEAGE
from mlmd.names import name_of
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from projections.query import After, Listing
from replay.things import provenance_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evlog.log import Log
    from mlmd.kinds import Kind, Node
    from projections.sqlite.lookup import Lookup
    from projections.sqlite.view import View
    from replay.follow import Progress
    from replay.things import Provenance, Thing

_PAGE: Final = 1_000
_REPORT: Final = 1_000
_TIME_MIN_MS: Final = -62_135_596_800_000  # 0001-01-01 and 9999-12-31.
_TIME_MAX_MS: Final = 253_402_300_799_999
_WAYS: Final = (pb.LineageSubgraphQueryOptions.UPSTREAM, pb.LineageSubgraphQueryOptions.DOWNSTREAM)


@dataclass
class Selection:
    """Nodes by id, and what links them; pairs are (context, artifact), (context, execution), (child, parent).

    puts: of each node the records that put it, the first one first.
    """

    citation: Citation
    artifacts: dict[int, pb.Artifact] = field(default_factory=dict)
    executions: dict[int, pb.Execution] = field(default_factory=dict)
    contexts: dict[int, pb.Context] = field(default_factory=dict)
    events: list[pb.Event] = field(default_factory=list)
    attributions: list[tuple[int, int]] = field(default_factory=list)
    associations: list[tuple[int, int]] = field(default_factory=list)
    parents: list[tuple[int, int]] = field(default_factory=list)
    puts: dict[Thing, list[Provenance]] = field(default_factory=dict)

    def nodes(self, kind: Kind) -> dict[int, Any]:
        """Return the nodes of a kind by id."""
        found: dict[int, Any] = getattr(self, kind.plural)
        return found

    def add(self, kind: Kind, nodes: Iterable[Node]) -> None:
        """Add nodes of a kind."""
        self.nodes(kind).update((node.id, node) for node in nodes)


def select(log: Log, view: View, end: int, thing: Thing | None = None, progress: Progress | None = None) -> Selection:
    """Return what the store held after its first `end` records; thing: an artifact or a run, for its lineage alone, both ways.

    Raises NothingError for a thing that was not there, or has no lineage.
    """
    found = Selection(cite(log, end))
    put_at: dict[Thing, list[int]] = {}

    def question(lookup: Lookup) -> None:
        with lookup.snapshot():
            _everything(lookup, found) if thing is None else _lineage(lookup, found, thing)
            for kind in KINDS:
                offsets = lookup.put_at(kind.name, found.nodes(kind), end)
                put_at.update({(kind.name, node_id): at for node_id, at in offsets.items()})

    view.ask(question, end)
    offsets = sorted({offset for at in put_at.values() for offset in at})
    by: dict[int, Provenance] = {}
    for number, entry in enumerate(log.read_each(offsets)):
        by[entry.offset] = provenance_of(entry)
        if progress is not None and number % _REPORT == 0:
            progress(number, len(offsets))
    found.puts = {one: [by[offset] for offset in at] for one, at in put_at.items()}
    return found


def _everything(lookup: Lookup, found: Selection) -> None:
    for kind in KINDS:
        after: After | None = None
        while page := lookup.page(Listing(kind.name, after=after, limit=_PAGE)):
            found.add(kind, (kind.message.FromString(unframed(one.body)) for one in page))
            after = After(page[-1].value, page[-1].id)
    found.events = [pb.Event.FromString(unframed(body)) for _, body in lookup.as_put("event")]
    found.attributions = [(context, node) for context, node in lookup.as_put("attribution")]
    found.associations = [(context, node) for context, node in lookup.as_put("association")]
    found.parents = [(child, parent) for child, parent in lookup.as_put("parent_context")]


def _lineage(lookup: Lookup, found: Selection, thing: Thing) -> None:
    """Walk up and down, each way by itself: what else was made from the same data is not of this thing."""
    word, number = thing
    kind = next((one for one in (ARTIFACT, EXECUTION) if one.name == word), None)
    if kind is None:
        raise NothingError(f"{name_of(thing)} has no lineage: name an artifact or a run, such as art:2 or run:1")
    if lookup.node(kind.name, int(number)) is None:
        raise NothingError(f"there is no {name_of(thing)}")
    edges: dict[bytes, pb.Event] = {}
    for way in _WAYS:
        request = service.GetLineageSubgraphRequest()
        options = request.lineage_subgraph_query_options
        getattr(options, f"starting_{kind.plural}").filter_query = f"id = {number}"
        options.direction = way
        graph = WHOLE_LINEAGE.ask(lookup, request)
        for one in KINDS:
            found.add(one, getattr(graph, one.plural))
        edges |= {event.SerializeToString(deterministic=True): event for event in graph.events}
        found.attributions += [(link.context_id, link.artifact_id) for link in graph.attributions]
        found.associations += [(link.context_id, link.execution_id) for link in graph.associations]
    found.events = list(edges.values())
    found.attributions = sorted(set(found.attributions))
    found.associations = sorted(set(found.associations))
    contexts = sorted(found.contexts)
    parents = lookup.relatives("parent", contexts)
    found.add(CONTEXT, (pb.Context.FromString(unframed(body)) for _, body in parents))
    found.parents = [(child, pb.Context.FromString(unframed(body)).id) for child, body in parents]


def time_text(time_ms: int) -> str:
    """Return a time as RFC 3339; one that no calendar holds as the nearest that one does."""
    held = min(max(time_ms, _TIME_MIN_MS), _TIME_MAX_MS)
    time = calendar_time(held * 1000)
    assert time is not None, "the bounds are those of the calendar"
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
