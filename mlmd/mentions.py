"""Nodes that mention a text: in their name, uri or properties, best first.

Not an RPC: a store in process looks at every node in its view, now or as of a moment; a server is asked for them all, a page at a time.
"""

from __future__ import annotations

import heapq
from itertools import chain
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlmd.convert import unframed
from mlmd.finding import Find, nodes_by_pages
from mlmd.kinds import KINDS
from mlmd.methods import Method
from mlmd.recorder import words
from mlmd.recorder.values import python_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlmd.kinds import Kind, Node
    from projections.query import Kind as KindName
    from projections.sqlite.lookup import Lookup

_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_UNSEEN: Final = (words.POINTS,)  # Numbers by the thousand.
_MORE: Final = 50  # What the view finds by punctuation alone is dropped.
_LAST: Final = 5


class Mention(NamedTuple):
    """A node, and where the text was found: a field, or a property by its name."""

    kind: KindName
    node: Node
    field: str


class Mentioning(NamedTuple):
    """What to look for, ASCII letters of either case, and how many are enough."""

    text: str
    limit: int


def _mentions(lookup: Lookup, wanted: Mentioning) -> list[Mention]:
    def candidates(kind: Kind) -> Iterator[Node]:
        bodies = lookup.containing(kind.name, wanted.text, but=_UNSEEN, limit=wanted.limit + _MORE)
        return (kind.message.FromString(unframed(body)) for body in bodies)

    return _best(wanted, candidates)


MENTIONS: Final = Method("Mentions", Mentioning, list, None, _mentions)


def mentions_by_pages(send: Callable[[Method, Any], Any], wanted: Mentioning) -> list[Mention]:
    """Return what MENTIONS answers, from a server. send: sends one request."""
    return _best(wanted, lambda kind: nodes_by_pages(send, Find(kind.name)))


def _best(wanted: Mentioning, candidates: Callable[[Kind], Iterable[Node]]) -> list[Mention]:
    needle = wanted.text.translate(_LOWER)
    found = chain.from_iterable(_ranked(kind, candidates(kind), needle) for kind in KINDS)
    best = heapq.nsmallest(wanted.limit, found, key=lambda one: one[0])
    return [mention for _, mention in best]


def _ranked(kind: Kind, nodes: Iterable[Node], needle: str) -> Iterator[tuple[tuple[int, int, str, int], Mention]]:
    for node in nodes:
        places = [(rank, field) for field, rank in _places(node, needle)]
        if places:
            rank, field = min(places)
            # Of equal rank the newest: ids of several kinds cannot be compared, times can.
            yield (rank, -node.create_time_since_epoch, kind.name, -node.id), Mention(kind.name, node, field)


def _places(node: Node, needle: str) -> Iterator[tuple[str, int]]:
    """Yield the fields of a node that have a text in them, each with its rank, 0 the best."""
    name = node.name.translate(_LOWER)
    if needle in name:
        yield "name", 0 if name == needle else 1 if name.startswith(needle) else 2
    for field in ("uri", "external_id"):
        if needle in getattr(node, field, "").translate(_LOWER):
            yield field, 3 if field == "uri" else 4
    for values in (node.properties, node.custom_properties):
        for key in values:
            if key not in _UNSEEN and (
                needle in key.translate(_LOWER) or needle in _text(values[key]).translate(_LOWER)
            ):
                yield key, _LAST


def _text(value: Any) -> str:
    found = python_of(value)
    return str(found).lower() if isinstance(found, bool) else str(found)
