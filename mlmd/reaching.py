"""Everything that was made from a thing, or that it was made from: ids and types, nearest first, however far that is.

Not an RPC: a store in process answers from its view, now or as of a moment; of a server events are asked, a level at a time. What is held is
ids alone, so a walk over a million nodes takes some hundred megabytes and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlmd.kinds import INPUTS, KIND_NAMED
from mlmd.methods import METHODS, Method

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from projections.query import Kind
    from projections.sqlite.lookup import Lookup

    Ask = Callable[[Kind, Sequence[int]], Iterable[int]]
    """Ids of artifacts or executions -> those of the other kind that they lead to."""
    Ids = dict[Kind, dict[int, None]]
    """Ids of nodes by kind, in an order."""

CHUNK: Final = 10_000
_PAGE: Final = 500  # Of ids that a server is asked for at once.
_OTHER: Final[dict[Kind, Kind]] = {"artifact": "execution", "execution": "artifact"}


class Reach(NamedTuple):
    """From where, and which way. hops: how far, None for all the way; one hop is artifact to execution or back.

    enough: where so many are reached, or more, it goes no further.
    """

    kind: Kind
    ids: tuple[int, ...]
    downstream: bool = True
    hops: int | None = None
    enough: int | None = None


class Reached(NamedTuple):
    """The names of the types of what was reached, by id, nearest first; what it began with is not among them."""

    artifacts: dict[int, str]
    executions: dict[int, str]


def walked(ask: Ask, wanted: Reach) -> Ids:
    """Return the ids of what is reached, by kind, nearest first. ask: the next level."""
    start = dict.fromkeys(wanted.ids)
    found: Ids = {"artifact": {}, "execution": {}}
    kind, frontier, hops = wanted.kind, list(start), 0
    while frontier and (wanted.hops is None or hops < wanted.hops):
        if wanted.enough is not None and sum(map(len, found.values())) >= wanted.enough:
            break
        far, hops = _OTHER[kind], hops + 1
        seen = found[far]
        new: dict[int, None] = {}
        for part in parts(frontier, CHUNK):
            new.update((one, None) for one in ask(kind, part) if one not in seen)
        if far == wanted.kind:
            new = {one: None for one in new if one not in start}
        seen.update(new)
        kind, frontier = far, list(new)
    return found


def parts(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Yield ids, so many at a time."""
    return (ids[at : at + size] for at in range(0, len(ids), size))


def asking(lookup: Lookup, *, downstream: bool) -> Ask:
    """Return what asks a view for the next level."""
    return lambda kind, ids: (far for _, far, _ in lookup.edges(kind, ids, outputs=(kind == "execution") == downstream))


def _reach(lookup: Lookup, wanted: Reach) -> Reached:
    with lookup.snapshot():
        found = walked(asking(lookup, downstream=wanted.downstream), wanted)
        names = lookup.type_names()
    return Reached(*(dict(_typed(lookup, kind, list(ids), names)) for kind, ids in found.items()))


def _typed(lookup: Lookup, kind: Kind, ids: list[int], names: dict[int, str]) -> Iterator[tuple[int, str]]:
    for part in parts(ids, CHUNK):
        type_ids = lookup.type_ids(kind, part)
        yield from ((one, names[type_ids[one]]) for one in part)


REACH: Final = Method("Reach", Reach, Reached, None, _reach)


# Of a server -----------------------------------------------------------------------------------------------------------


def reach_by_events(send: Callable[[Method, Any], Any], wanted: Reach) -> Reached:
    """Return what REACH answers, from a server. send: sends one request."""

    def ask(kind: Kind, ids: Sequence[int]) -> Iterator[int]:
        method, field = METHODS[f"GetEventsBy{kind.capitalize()}IDs"], f"{_OTHER[kind]}_id"
        outputs = (kind == "execution") == wanted.downstream
        for part in parts(ids, _PAGE):
            for event in send(method, method.request(**{f"{kind}_ids": part})).events:
                if (event.type in INPUTS) != outputs:
                    yield getattr(event, field)

    found = walked(ask, wanted)
    return Reached(*(types_of(send, kind, list(ids)) for kind, ids in found.items()))


def types_of(send: Callable[[Method, Any], Any], kind: str, ids: Sequence[int]) -> dict[int, str]:
    """Return the name of the type of each node, in the order of the ids."""
    names = {node.id: node.type for node in nodes_of(send, kind, ids)}
    return {one: names[one] for one in ids if one in names}


def nodes_of(send: Callable[[Method, Any], Any], kind: str, ids: Sequence[int]) -> Iterator[Any]:
    """Yield the nodes with these ids, a page at a time."""
    plural = KIND_NAMED[kind].plural
    method = METHODS[f"Get{plural.capitalize()}ByID"]
    for part in parts(ids, _PAGE):
        yield from getattr(send(method, method.request(**{f"{kind}_ids": part})), plural)
