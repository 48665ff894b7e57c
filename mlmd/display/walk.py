"""Questions of lineage to a store: what a thing was made from and what was made from it, and how data came from one to another.

They are asked by MLMD's own calls, a few for many nodes, so a store in process, one of a server and one of a past moment answer alike.
One hop is from an artifact to an execution, or back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mlmd import errors
from mlmd.display.facts import edges_of, nodes_of
from mlmd.display.folding import NODES_MAX
from mlmd.display.graph import Graph
from mlmd.kinds import OUTPUTS
from mlmd.names import name_of
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.references import thing_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from mlmd.store import MetadataStore

_Options: Final = pb.LineageSubgraphQueryOptions
UPSTREAM: Final = _Options.UPSTREAM
DOWNSTREAM: Final = _Options.DOWNSTREAM
_CALL_HOPS_MAX: Final = 64
_ARTIFACT: Final = name_of(("artifact", ""))
_SEARCH: Final = 4  # So many times what is shown is looked at before it is chosen.
_FANS: Final = 6  # The neighbours of one node fill such a part of a picture before others get their turn.

Thing = tuple[str, int]  # Kind and id of an artifact or an execution.
Steps = dict[Thing, dict[Thing, None]]  # Of a thing: those one hop further on.
Ask = Callable[[Sequence[Thing], int, int], Iterable[tuple[Thing, Thing]]]
"""Things of one kind, a direction, so many hops -> the edges met, as the walk goes along them."""


def lineage(
    store: MetadataStore, roots: Any, *, up: int | None = None, down: int | None = None, nodes_max: int = NODES_MAX
) -> Graph:
    """Return what things were made from, and what was made from them.

    roots: one thing or several: "taxi:7", "taxi@prod", "art:3", "run:5", a URI, what was read or recorded. up, down: hops against and
    along the flow of data; all where neither is given, none where the other is. nodes_max: of more, those nearest to the roots, the
    newest of a wide fan first; what is not shown is counted. Raises NotFoundError for a root that is not there, InvalidArgumentError
    for what names no artifact or run.
    """
    if nodes_max < 1 or min(up or 0, down or 0) < 0:
        raise errors.InvalidArgumentError("up and down are 0 or more, nodes_max is 1 or more")
    things = known(store, _several(roots))
    if not things:
        raise errors.InvalidArgumentError("the lineage of what? name an artifact or a run")
    if up is None and down is None:
        ways: list[tuple[Any, int | None]] = [(UPSTREAM, None), (DOWNSTREAM, None)]
    else:
        ways = [(UPSTREAM, up or 0), (DOWNSTREAM, down or 0)]
    ask = partial(_events, store)
    found = [reached(ask, things, direction, hops, enough=_SEARCH * nodes_max) for direction, hops in ways]
    kept = nearest(things, found, nodes_max)
    met = {thing for steps in found for near, far in steps.items() for thing in (near, *far)}
    graph = among(store, things, kept)
    note = f"the nearest {len(kept):,} of {len(met):,} or more" if len(met) > len(kept) else ""
    return replace(graph, note=_joined(note, graph.note))


def path(store: MetadataStore, start: Any, stop: Any) -> Graph:
    """Return every shortest way that data took from one thing to the other, whichever is the earlier.

    Where neither was made from the other: the ways to both from the nearest thing that both were made from. start, stop: as the roots of
    `lineage`. Raises NotFoundError where they have nothing in common.
    """
    [one, *rest] = known(store, [start, stop])
    other = rest[0] if rest else one
    ask = partial(_events, store)
    up = reached(ask, [other], UPSTREAM, until=one)
    found, note = _between(up, other, one), ""
    if not found:
        back = reached(ask, [one], UPSTREAM, until=other)
        found = _between(back, one, other)
    if not found:
        far, far_back = _distances(up, other), _distances(back, one)
        common = far.keys() & far_back.keys()
        if not common:
            raise errors.NotFoundError(
                f"{name_of(one)} and {name_of(other)} have nothing in common: neither was made from the other, nor both from the same"
            )
        nearest = min(common, key=lambda thing: (far[thing] + far_back[thing], thing))
        found = _between(up, other, nearest) | _between(back, one, nearest)
        note = f"neither was made from the other: both were made from {name_of(nearest)}"
    graph = among(store, [one, other], found)
    return replace(graph, note=_joined(note, graph.note))


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _several(roots: Any) -> list[Any]:
    return list(roots) if isinstance(roots, list | tuple | set | frozenset) else [roots]


def known(store: MetadataStore, values: Iterable[Any]) -> list[Thing]:
    """Return the artifacts and runs that are named, each once; all are there. Raises InvalidArgumentError, NotFoundError."""
    things: dict[Thing, None] = {}
    for kind, number in (thing_of(store, value) for value in values):
        if kind not in ("artifact", "execution") or not isinstance(number, int):
            raise errors.InvalidArgumentError(f"{name_of((kind, number))} has no lineage: artifacts and runs have")
        things[kind, number] = None
    artifacts, runs = ([number for one, number in things if one == kind] for kind in ("artifact", "execution"))
    there = {("artifact", one.id) for one in (store.get_artifacts_by_id(artifacts) if artifacts else ())}
    there |= {("execution", one.id) for one in (store.get_executions_by_id(runs) if runs else ())}
    if absent := [name_of(thing) for thing in things if thing not in there]:
        raise errors.NotFoundError(f"there is no {', '.join(absent)}")
    return list(things)


def reached(
    ask: Ask,
    roots: Sequence[Thing],
    direction: Any,
    hops: int | None = None,
    *,
    enough: int | None = None,
    until: Thing | None = None,
) -> Steps:
    """Return the steps in one direction from everything that is reached.

    ask: the edges within some hops of things of one kind. hops: None for all. enough, until: where so many are reached, or that one, no further call is made. Each call goes twice as far as
    the one before, from where that ended: few calls for a deep lineage, and not all of a wide one for its first part.
    """
    steps: Steps = {}
    for kind in ("artifact", "execution"):
        frontier = [thing for thing in roots if thing[0] == kind]
        seen, left, stride = set(frontier), hops, 1
        while frontier and left != 0 and (enough is None or len(seen) < enough) and until not in seen:
            stride = stride if left is None else min(stride, left)
            for source, target in ask(frontier, direction, stride):
                steps.setdefault(source, {})[target] = None
            frontier = _further(steps, frontier, stride, seen)
            left = None if left is None else left - stride
            stride = min(2 * stride, _CALL_HOPS_MAX)
    return steps


def _events(store: MetadataStore, frontier: Sequence[Thing], direction: Any, hops: int) -> list[tuple[Thing, Thing]]:
    """Return the edges that are met within so many hops, each as the walk goes along it."""
    options = _Options(direction=direction, max_num_hops=hops)
    start = options.starting_artifacts if frontier[0][0] == "artifact" else options.starting_executions
    start.filter_query = f"id IN ({', '.join(str(number) for _, number in frontier)})"
    found = []
    for event in store.get_lineage_subgraph(options, ["events"]).events:
        ends: list[Thing] = [("artifact", event.artifact_id), ("execution", event.execution_id)]
        if (event.type in OUTPUTS) != (direction == UPSTREAM):
            ends.reverse()
        found.append((ends[0], ends[1]))
    return found


def _further(steps: Steps, frontier: Iterable[Thing], stride: int, seen: set[Thing]) -> list[Thing]:
    """Return what is so many hops from a frontier and no nearer: its own steps are not known yet. seen: takes all that is met."""
    level = list(frontier)
    for _ in range(stride):
        met = dict.fromkeys(target for thing in level for target in steps.get(thing, ()))
        level = [thing for thing in met if thing not in seen]
        seen.update(level)
    return level


def nearest(roots: Sequence[Thing], ways: Sequence[Steps], nodes_max: int) -> dict[Thing, None]:
    """Return the things nearest to the roots, at most so many. A wide fan leaves room for others, if there are others."""
    kept = dict.fromkeys(roots[:nodes_max])
    for fan in (max(1, nodes_max // _FANS), None):
        seen, waiting = set(roots), deque(roots)
        while waiting:
            thing = waiting.popleft()
            for steps in ways:
                for near in _newest(steps.get(thing, ()), fan):
                    if near not in seen and (near in kept or len(kept) < nodes_max):
                        seen.add(near)
                        kept[near] = None
                        waiting.append(near)
    return kept


def _newest(things: Collection[Thing], most: int | None) -> Iterable[Thing]:
    return sorted(things, key=_newest_first)[:most] if len(things) > 1 else things


def _newest_first(thing: Thing) -> tuple[int, str]:
    return (-thing[1], thing[0])


def among(store: MetadataStore, roots: Iterable[Thing], things: Collection[Thing]) -> Graph:
    """Return things and the events between them; of each, how many neighbours are not among them. What is not there is left out."""
    artifacts, runs = ([number for one, number in things if one == kind] for kind in ("artifact", "execution"))
    events = store.get_events_by_execution_ids(runs) if runs else []
    nodes, edges = nodes_of(store, things), edges_of(events)
    shown = {node.key for node in nodes}
    outside: dict[str, set[Any]] = {}
    for edge in edges:  # Every artifact of these runs.
        for near, far in ((edge.source, edge.target), (edge.target, edge.source)):
            if near in shown and far not in shown:
                outside.setdefault(near, set()).add(far)
    known = set(runs)
    for event in store.get_events_by_artifact_ids(artifacts) if artifacts else ():  # Of a hub there are very many.
        if (run := event.execution_id) not in known:
            outside.setdefault(f"{_ARTIFACT}{event.artifact_id}", set()).add(run)
    inside = [edge for edge in edges if edge.source in shown and edge.target in shown]
    hidden = {node.key: len(outside[node.key]) for node in nodes if node.key in outside}
    return Graph(nodes, inside, [name_of(root) for root in roots], hidden, moment_of(store))


def moment_of(store: MetadataStore) -> str:
    """Return as of which offset a store answers, in words; nothing of a server, which does not say."""
    try:
        end: int = store._backend.review(lambda _log, _view, end: end)  # noqa: SLF001 - one face of the same house
    except errors.UnimplementedError:
        return ""
    return f"as of #{end:,}"


def _distances(steps: Steps, start: Thing) -> dict[Thing, int]:
    """Return how many hops each thing is from the start."""
    far = {start: 0}
    waiting = deque([start])
    while waiting:
        thing = waiting.popleft()
        for further in steps.get(thing, ()):
            if further not in far:
                far[further] = far[thing] + 1
                waiting.append(further)
    return far


def _between(steps: Steps, start: Thing, stop: Thing) -> dict[Thing, None]:
    """Return everything on a shortest way along the steps from start to stop; nothing where there is no way."""
    far = _distances(steps, start)
    if stop not in far:
        return {}
    back: Steps = {}
    for thing, near in steps.items():
        for further in near:
            if thing in far and far.get(further) == far[thing] + 1:
                back.setdefault(further, {})[thing] = None
    return dict.fromkeys(_distances(back, stop))
