"""Hypothesis strategies for requests beyond those of `strategies`: filters, lineage, tokens of other pages, and odd bytes.

The model of the store answers none of these; they are for comparing with the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from filters import filters
from hypothesis import strategies as st
from strategies import INT64_MAX, Call, Walk, list_requests, options

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

    Strategy = st.SearchStrategy[Any]


class Cut(NamedTuple):
    """A request of which only the first bytes arrive."""

    call: Call
    size: int


class Resume(NamedTuple):
    """A listing that goes on from a page seen before: `page` counts them. same_order: in the order of that page."""

    method: str
    request: Message
    page: int
    same_order: bool


_SELDOM: Final = st.sampled_from([False] * 9 + [True])

# Listings ------------------------------------------------------------------------------------------------------------


@st.composite
def filtered_lists(draw: Callable[..., Any]) -> Call:
    """Draw a listing with a filter."""
    kind, method, request = draw(list_requests())
    if draw(_SELDOM):
        request.options.CopyFrom(draw(options(walk=False)))
    request.options.filter_query = draw(filters(kind))
    return Call(method, request)


@st.composite
def filtered_walks(draw: Callable[..., Any]) -> Walk:
    """Draw a listing with a filter, to follow to its end."""
    kind, method, request = draw(list_requests())
    request.options.CopyFrom(draw(options(walk=True)))
    request.options.filter_query = draw(filters(kind))
    return Walk(method, request)


@st.composite
def resumes(draw: Callable[..., Any]) -> Resume:
    """Draw a listing that takes up the token of another."""
    _, method, request = draw(list_requests())
    request.options.CopyFrom(draw(options(walk=True)))
    return Resume(method, request, draw(st.integers(0, 5)), draw(st.sampled_from([True, True, True, False])))


# Lineage -------------------------------------------------------------------------------------------------------------

_SIMPLE: Final = [
    *("id = 1", "id = 2", "id IN (1, 2)", "id > 0", "id = 3", "id > 2", "true", "name = 'a'", "uri = 'u'", "id = 99"),
    *("contexts_a.name = 'a'", "events_a.type = INPUT", "events_0.type = OUTPUT", "properties.i.int_value = 1"),
]
_LINEAGE_PATHS: Final = [field.name for field in pb.LineageGraph.DESCRIPTOR.fields]
_MASKS: Final = st.one_of(
    st.just([]),
    st.just([]),
    st.lists(st.sampled_from([*_LINEAGE_PATHS, "nope", "artifacts.id", ""]), min_size=1, max_size=4),
)


@st.composite
def _start(draw: Callable[..., Any], kind: str) -> str | None:
    which = draw(st.integers(0, 11))
    if which == 11:
        return draw(st.sampled_from([None, "", "id", "nope = 1"]))
    return draw(filters(kind)) if which == 10 else draw(st.sampled_from(_SIMPLE))


@st.composite
def lineages(draw: Callable[..., Any]) -> Call:
    """Draw GetLineageSubgraph."""
    request = service.GetLineageSubgraphRequest()
    asked = request.lineage_subgraph_query_options
    if not draw(_SELDOM):
        kind = draw(st.sampled_from(["artifact", "execution"]))
        starting = getattr(asked, f"starting_{kind}s")
        starting.SetInParent()
        if (text := draw(_start(kind))) is not None:
            starting.filter_query = text
    for kind in ("artifact", "execution"):
        if draw(st.integers(0, 3)) == 0:
            ending = getattr(asked, f"ending_{kind}s")
            ending.SetInParent()
            if (text := draw(_start(kind))) is not None:
                ending.filter_query = text
            if (included := draw(st.sampled_from([None, True, True, False]))) is not None:
                ending.include_ending_nodes = included
    if (hops := draw(st.sampled_from([None, None, 1, 2, 3, 4, 0, 100, 101, INT64_MAX, -1]))) is not None:
        asked.max_num_hops = hops
    if (direction := draw(st.sampled_from([None, 1, 2, 3, 0]))) is not None:
        asked.direction = direction
    request.read_mask.paths.extend(draw(_MASKS))
    return Call("GetLineageSubgraph", request)


@st.composite
def webs(draw: Callable[..., Any]) -> Call:
    """Draw a put that is never refused: new artifacts and executions with events between them, and perhaps a context."""
    request = service.PutLineageSubgraphRequest()
    for kind, type_id in (("artifact", 10), ("execution", 13)):
        for _ in range(draw(st.integers(1, 4))):
            node = getattr(request, f"{kind}s").add(type_id=type_id)
            if draw(st.booleans()):
                node.properties["i"].int_value = draw(st.integers(0, 2))
    if draw(st.booleans()):
        request.contexts.add(type_id=15, name="web")
        request.options.reuse_context_if_already_exist = True
    seen = set()
    for _ in range(draw(st.integers(1, 10))):
        edge = (
            draw(st.integers(0, len(request.artifacts) - 1)),
            draw(st.integers(0, len(request.executions) - 1)),
            draw(st.sampled_from([3, 4, 3, 4, 1, 2, 5, 6, 7])),
        )
        if edge not in seen:
            seen.add(edge)
            request.event_edges.add(artifact_index=edge[0], execution_index=edge[1], event={"type": edge[2]})
    return Call("PutLineageSubgraph", request)


@st.composite
def bridges(draw: Callable[..., Any]) -> Call:
    """Draw events between nodes of different webs."""
    request = service.PutEventsRequest()
    for _ in range(draw(st.integers(1, 4))):
        request.events.add(
            artifact_id=draw(st.integers(1, 6)),
            execution_id=draw(st.integers(1, 6)),
            type=draw(st.sampled_from([3, 4, 1, 2, 5, 6, 7])),
        )
    return Call("PutEvents", request)


# Odd bytes -----------------------------------------------------------------------------------------------------------

_UNKNOWN_FIELDS: Final = [b"\xf8\x7c\x07", b"\xfa\x7c\x03abc", b"\xfd\x7c\x01\x02\x03\x04", b"\xf8\x7c\x00\xf8\x7c\x01"]
_UNKNOWN_NUMBER: Final = 77


def _messages(message: Message) -> Iterator[Message]:
    """Yield a message and those below it, entries of maps left out."""
    yield message
    for field, value in message.ListFields():
        if field.message_type and not field.message_type.GetOptions().map_entry:
            for one in [value] if hasattr(value, "ListFields") else value:
                yield from _messages(one)


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + _varint(number >> 7)


def _unknown_numbers(message: Message) -> list[bytes]:
    """Return for each enum of a message the bytes that set it to a number it does not have."""
    found = []
    for field in message.DESCRIPTOR.fields:
        if field.enum_type:
            found.append(_varint(field.number << 3) + bytes([_UNKNOWN_NUMBER]))
        elif field.name == "properties" and field.message_type.fields_by_name["value"].enum_type:
            entry = b"\x0a\x01i\x10" + bytes([_UNKNOWN_NUMBER])
            found.append(_varint(field.number << 3 | 2) + bytes([len(entry)]) + entry)
    return found


@st.composite
def odd_bytes(draw: Callable[..., Any], calls: Strategy) -> Call:
    """Draw a request with something in it that its messages do not know: a field, or a number of an enum."""
    method, request = draw(calls)
    copy = type(request)()
    copy.CopyFrom(request)
    for _ in range(draw(st.integers(1, 2))):
        message = draw(st.sampled_from(list(_messages(copy))))
        message.MergeFromString(draw(st.sampled_from([*_unknown_numbers(message), *_UNKNOWN_FIELDS])))
    if draw(st.booleans()) and "transaction_options" in copy.DESCRIPTOR.fields_by_name:
        copy.transaction_options.tag = draw(st.sampled_from(["", "t", "größe 🙂"]))
    return Call(method, copy)


@st.composite
def cuts(draw: Callable[..., Any], calls: Strategy) -> Cut:
    """Draw a request that is cut off somewhere."""
    call = draw(calls)
    return Cut(call, draw(st.integers(0, call.request.ByteSize())))


URI_RETIRED: Final = service.GetArtifactsByURIRequest.FromString(b"\x0a\x01u")


def asks() -> Strategy:
    """Return the strategy of every question that is none of `strategies.reads`."""
    return st.one_of(
        filtered_lists(),
        filtered_lists(),
        lineages(),
        lineages(),
        filtered_walks(),
        resumes(),
        st.just(Call("GetArtifactsByURI", URI_RETIRED)),
        st.builds(lambda: Call("GetLineageGraph", service.GetLineageGraphRequest())),
    )
