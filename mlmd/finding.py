"""Find nodes by a filter, in the order of a property too, any page of them, and count them all.

Not an RPC: a store in process answers from its view, now or as of a moment. Of a server the pages are asked that the wire has, and what it
has no words for is done here: every match is read then, and as many are kept as are wanted.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from evlog.records import Proto, Struct
from mlmd.convert import unframed, value_of
from mlmd.filters.query import filter_query
from mlmd.kinds import KIND_NAMED
from mlmd.methods import METHODS, Method
from mlmd.proto import metadata_store_pb2 as pb
from projections.query import Kind, Listing, OrderBy, Variable
from projections.values import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlmd.kinds import Node
    from projections.sqlite.lookup import Lookup

_FIELDS: Final = {
    OrderBy.ID: pb.ListOperationOptions.OrderByField.ID,
    OrderBy.CREATE_TIME: pb.ListOperationOptions.OrderByField.CREATE_TIME,
    OrderBy.UPDATE_TIME: pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME,
}
_PAGE: Final = 100  # No server gives more.


class Find(NamedTuple):
    """What to find. filter: in MLMD's language or, marked, in the short one; "" for all. counted: say how many there are in all."""

    kind: Kind
    filter: str = ""
    by: OrderBy | Variable = OrderBy.ID
    ascending: bool = True
    skip: int = 0
    limit: int | None = None
    counted: bool = False


class Found(NamedTuple):
    """A page. total: of what passes the filter, on all pages; None where that was neither asked for nor had for nothing.

    everything: how many there are without the filter, where it was counted in process.
    """

    nodes: list[Node]
    total: int | None
    everything: int | None = None


def _find(lookup: Lookup, wanted: Find) -> Found:
    parsed = filter_query(wanted.kind, wanted.filter) if wanted.filter else None
    listing = Listing(
        wanted.kind,
        order_by=wanted.by,
        ascending=wanted.ascending,
        limit=wanted.limit,
        filter=parsed,
        skip=wanted.skip,
    )
    with lookup.snapshot():
        page = lookup.page(listing) if wanted.limit != 0 else []
        total = lookup.number(listing) if wanted.counted else None
        everything = lookup.count(wanted.kind) if wanted.counted else None
    read = KIND_NAMED[wanted.kind].message.FromString
    return Found([read(unframed(one.body)) for one in page], total, everything)


FIND: Final = Method("Find", Find, Found, None, _find)


# Of a server -----------------------------------------------------------------------------------------------------------


def find_by_pages(send: Callable[[Method, Any], Any], wanted: Find) -> Found:
    """Return what FIND answers, from a server. send: sends one request."""
    stop = None if wanted.limit is None else wanted.skip + wanted.limit
    by = wanted.by
    if stop == 0:
        return Found([], sum(1 for _ in nodes_by_pages(send, wanted)) if wanted.counted else None)
    if isinstance(by, Variable):
        nodes = _Counter(nodes_by_pages(send, wanted))
        best = _sorted(nodes, by, ascending=wanted.ascending, stop=stop)
        return Found(best[wanted.skip :], nodes.count)
    if not wanted.counted:
        return Found(list(nodes_by_pages(send, wanted, by, stop))[wanted.skip :], None)
    nodes = _Counter(nodes_by_pages(send, wanted, by))
    kept = [node for at, node in enumerate(nodes) if at >= wanted.skip and (stop is None or at < stop)]
    return Found(kept, nodes.count)


class _Counter:
    """Counts what is read through it."""

    def __init__(self, nodes: Iterator[Node]) -> None:
        self._nodes = nodes
        self.count = 0

    def __iter__(self) -> Iterator[Node]:
        for self.count, node in enumerate(self._nodes, 1):  # noqa: B020 - it is the count
            yield node


def nodes_by_pages(
    send: Callable[[Method, Any], Any], wanted: Find, by: OrderBy = OrderBy.ID, stop: int | None = None
) -> Iterator[Node]:
    """Yield what a server finds, in an order of its own; stop: how many are enough."""
    plural = KIND_NAMED[wanted.kind].plural
    method = METHODS[f"Get{plural.capitalize()}"]
    request = method.request()
    options = request.options
    options.filter_query = wanted.filter
    options.order_by_field.field, options.order_by_field.is_asc = _FIELDS[by], wanted.ascending
    seen = 0
    while stop is None or seen < stop:
        options.max_result_size = _PAGE if stop is None else min(_PAGE, stop - seen)
        response = send(method, request)
        nodes = getattr(response, plural)
        yield from nodes
        seen += len(nodes)
        if not response.next_page_token:
            return
        options.next_page_token = response.next_page_token


def _sorted(nodes: _Counter, by: Variable, *, ascending: bool, stop: int | None) -> list[Node]:
    """Return nodes in the order of a property: see `projections.query.Listing`. stop: how many are enough."""

    def key(node: Node) -> tuple[bool, int, Any, int]:
        place = sort_key(node, by)
        return ((place is None) == ascending, *(place or (0, 0)), node.id)

    if stop is None:
        return sorted(nodes, key=key, reverse=not ascending)
    return (heapq.nsmallest if ascending else heapq.nlargest)(stop, nodes, key=key)


def sort_key(node: Node, by: Variable) -> tuple[int, Any] | None:
    """Return the place of a node in the order of a property, as databases see it: numbers before texts, None for no value."""
    properties = getattr(node, by.relation)
    if by.name not in properties:
        return None
    message = properties[by.name]
    value = value_of(message, message.WhichOneof("value") or "")
    if isinstance(value, Struct | Proto):
        text = as_json({"": value})
        assert text is not None, "there is one"
        return (1, text[len('{"":') : -1].decode())
    if isinstance(value, str):
        return (1, value)
    return None if isinstance(value, float) and math.isnan(value) else (0, value)
