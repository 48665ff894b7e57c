"""A lineage through time, as the view tells it: which nodes, their versions, their edges, each with the record that put it.

A few questions to the view for many nodes, whatever their number; the log is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlmd.convert import unframed
from mlmd.display.facts import label_of, role_of
from mlmd.display.graph import Edge, Node
from mlmd.display.growth import Growth, Life, Version
from mlmd.display.nodes import CACHED, LIVE, TAINTED
from mlmd.display.walk import DOWNSTREAM, UPSTREAM, nearest, reached
from mlmd.names import name_of
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from mlmd.display.graph import Kind
    from mlmd.display.walk import Ask, Thing
    from projections.sqlite.lives import Version as Row
    from projections.sqlite.lookup import Lookup

NODES_LIMIT: Final = 10_000
_OVER: Final = 4  # So many times what is shown is looked at, so that wide fans can be folded.
_EDGES_MAX: Final = 200_000  # Of one level: so that no question takes long, whatever the store is like.
_OTHER: Final[dict[Kind, Kind]] = {"artifact": "execution", "execution": "artifact"}
UNKNOWN: Final = "UNKNOWN"  # What MLMD calls the state of what has none.
_TAINT: Final = (("custom_properties", words.TAINTED),)
_ALIASED: Final = (("properties", words.ALIAS_ARTIFACT),)


class Wanted(NamedTuple):
    """What to look at. roots: (kind, id), all of them there; up, down: hops, None for all; opened: of these every neighbour, too."""

    roots: tuple[Thing, ...]
    up: int | None
    down: int | None
    nodes_max: int
    opened: tuple[Thing, ...] = ()


def growth_around(lookup: Lookup, end: int, wanted: Wanted) -> Growth:
    """Return the lineage of some roots through time. lookup: of the moment `end`.

    Of more nodes than four times `nodes_max`, which leaves room for folding, or than 10,000: those nearest to the roots, the newest of a
    wide fan first; what is not among them is counted.
    """
    most = max(wanted.nodes_max, min(_OVER * wanted.nodes_max, NODES_LIMIT))
    ask = _asking(lookup, most)
    ways = ((UPSTREAM, wanted.up), (DOWNSTREAM, wanted.down))
    found = [reached(ask, wanted.roots, direction, hops, enough=_OVER * most) for direction, hops in ways]
    kept = nearest(wanted.roots, found, most)
    for thing in wanted.opened:
        if len(kept) >= NODES_LIMIT:
            break
        for direction in (UPSTREAM, DOWNSTREAM):
            kept.update((far, None) for _, far in ask([thing], direction, 1))
    return growth_of(lookup, end, wanted.roots, [*kept][: max(most, NODES_LIMIT)])


def growth_of(lookup: Lookup, end: int, roots: Iterable[Thing], things: Iterable[Thing]) -> Growth:
    """Return the lineage of things that are there, and the edges between them, through time. lookup: of the moment `end`."""
    things = list(things)
    ids: dict[Kind, list[int]] = {
        "artifact": [number for kind, number in things if kind == "artifact"],
        "execution": [number for kind, number in things if kind == "execution"],
    }
    names = lookup.type_names()
    times: dict[int, int] = {}
    live = _live(lookup, ids["artifact"], end, names, times)
    lives = [
        life
        for kind, numbers in ids.items()
        for life in _lives(kind, lookup.versions(kind, numbers, end, _TAINT), names, live, times)
    ]
    lives.sort(key=lambda life: (life.born, len(life.node.key), life.node.key))
    edges: dict[Edge, int] = {}
    for artifact, run, is_output, offset, body in lookup.edges_among(ids["artifact"], ids["execution"]):
        ends = (f"art:{artifact}", f"run:{run}")
        edges.setdefault(Edge(*(ends[::-1] if is_output else ends), _role(body)), offset)
    by_key = {life.node.key: life for life in lives}
    return Growth(end, [name_of(root) for root in roots], by_key, edges, _hidden(lookup, ids, edges), times)


def _asking(lookup: Lookup, most: int) -> Ask:
    """Return what asks a view for the edges that are met within some hops, of each node the newest ones."""

    def ask(frontier: Sequence[Thing], direction: int, hops: int) -> list[tuple[Thing, Thing]]:
        found: list[tuple[Thing, Thing]] = []
        kind: Kind = "artifact" if frontier[0][0] == "artifact" else "execution"
        level, seen = {int(number) for _, number in frontier}, {"artifact": set[int](), "execution": set[int]()}
        for _ in range(hops):
            if not level:
                break
            seen[kind] |= level
            outputs = (kind == "execution") == (direction == DOWNSTREAM)
            pairs = lookup.newest_neighbours(kind, level, outputs=outputs, most=most, in_all=_EDGES_MAX)
            far = _OTHER[kind]
            found += [((kind, near_id), (far, far_id)) for near_id, far_id in pairs]
            kind, level = far, {far_id for _, far_id in pairs} - seen[far]
        return found

    return ask


def _lives(
    kind: Kind,
    rows: Sequence[Row],
    names: Mapping[int, str],
    live: Mapping[int, Sequence[tuple[int, bool]]],
    times: dict[int, int],
) -> list[Life]:
    """Return the lives that versions, in order, tell. times: takes when each was put."""
    lives: list[Life] = []
    count = len(rows)
    start = 0
    for at, (number, offset, *_) in enumerate(rows):
        times[offset] = rows[at][7]
        if at + 1 < count and rows[at + 1][0] == number:
            continue
        versions = tuple(_version(row) for row in rows[start : at + 1])
        type_id, name, uri, created = rows[at][2], rows[at][3], rows[at][4], rows[at][6]
        start = at + 1
        if kind == "artifact" and number in live:
            versions = _with_live(versions, live[number])
        key = f"art:{number}" if kind == "artifact" else f"run:{number}"
        last = versions[-1]
        label = label_of(key, name, uri)
        lives.append(Life(Node(key, kind, label, names[type_id], last.state, frozenset(last.flags), created), versions))
    return lives


def _version(row: Row) -> Version:
    state = row[5] or UNKNOWN
    flags = () if row[8] is None else (TAINTED,)
    return Version(row[1], state, (CACHED, *flags) if state == "CACHED" else flags)


def _with_live(versions: Sequence[Version], moves: Sequence[tuple[int, bool]]) -> tuple[Version, ...]:
    """Return versions, and those that moves of aliases make: from these offsets on at least one stands for it, or none does."""
    offsets = sorted({version.offset for version in versions} | {offset for offset, _ in moves})
    life = Life(Node("", "artifact", ""), tuple(versions))
    on = dict(moves)
    made, is_live = [], False
    for offset in offsets:
        is_live = on.get(offset, is_live)
        if version := life.at(offset + 1):
            flags = tuple(sorted({*version.flags, LIVE})) if is_live else version.flags
            made.append(Version(offset, version.state, flags))
    return tuple(made)


def _live(
    lookup: Lookup, artifacts: Collection[int], end: int, names: Mapping[int, str], times: dict[int, int]
) -> dict[int, list[tuple[int, bool]]]:
    """Return for each artifact the offsets from which on an alias stands for it, or none does any more."""
    alias_types = [number for number, name in names.items() if name == words.ALIAS_TYPE]
    wanted: set[int | None] = set(artifacts)
    rows = [row for one in alias_types for row in lookup.versions_of_type("context", one, end, _ALIASED)]
    counts: dict[int | None, int] = {}
    moves: dict[Any, dict[int, bool]] = {}
    changes: list[tuple[int, int | None, int]] = []  # Offset, artifact, one alias more or less.
    before: dict[int, int | None] = {}
    for row in rows:
        number, offset, artifact = row[0], row[1], row[8]
        for one, more in ((before.get(number), -1), (artifact, 1)):
            if one in wanted:
                changes.append((offset, one, more))
                times.setdefault(offset, row[7])
        before[number] = artifact
    for offset, artifact, more in sorted(changes, key=lambda change: change[0]):
        counts[artifact] = counts.get(artifact, 0) + more
        moves.setdefault(artifact, {})[offset] = counts[artifact] > 0
    return {artifact: list(found.items()) for artifact, found in moves.items()}


def _role(body: bytes) -> str:
    return role_of(pb.Event.FromString(unframed(body)))


def _hidden(lookup: Lookup, ids: Mapping[Kind, Sequence[int]], edges: Iterable[Edge]) -> dict[str, int]:
    """Return of each node how many neighbours are not among the others."""
    inside: dict[str, set[str]] = {}
    for edge in edges:
        inside.setdefault(edge.source, set()).add(edge.target)
        inside.setdefault(edge.target, set()).add(edge.source)
    found = {}
    for kind, numbers in ids.items():
        for number, count in lookup.neighbour_counts(kind, numbers).items():
            key = name_of((kind, number))
            if (left := count - len(inside.get(key, ()))) > 0:
                found[key] = left
    return found
