"""Artifacts and executions of a store as the nodes of a picture: what they are called, and what is to be said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlmd import errors
from mlmd.display.graph import Edge, Node
from mlmd.display.nodes import CACHED, LIVE, LOST, TAINTED
from mlmd.kinds import ARTIFACT, OUTPUTS
from mlmd.names import name_of
from mlmd.recorder import words
from mlmd.recorder.things import Run, roles_of
from mlmd.store import ListOptions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mlmd.proto import metadata_store_pb2 as pb
    from mlmd.store import MetadataStore

_TAIL_MAX: Final = 40


def nodes_of(store: MetadataStore, things: Collection[tuple[str, int]]) -> list[Node]:
    """Return artifacts and executions as nodes, by time and id; what is not there is left out. Three calls, however many there are."""
    ids = {kind: sorted(number for one, number in things if one == kind) for kind in ("artifact", "execution")}
    artifacts = store.get_artifacts_by_id(ids["artifact"]) if ids["artifact"] else []
    executions = store.get_executions_by_id(ids["execution"]) if ids["execution"] else []
    live = _live(store, ids["artifact"]) if artifacts else frozenset()
    nodes = [
        *(artifact_node(one, live=one.id in live) for one in artifacts),
        *(execution_node(store, one) for one in executions),
    ]
    return sorted(nodes, key=lambda node: (node.time_ms, len(node.key), node.key))


def artifact_node(artifact: pb.Artifact, *, live: bool = False) -> Node:
    """Return an artifact as a node. live: an alias stands for it."""
    flags = {flag for flag, on in ((TAINTED, words.TAINTED in artifact.custom_properties), (LIVE, live)) if on}
    key, state = name_of(("artifact", artifact.id)), ARTIFACT.states.get(artifact.state, "")
    label = label_of(key, artifact.name, artifact.uri)
    return Node(key, "artifact", label, artifact.type, state, frozenset(flags), artifact.create_time_since_epoch)


def execution_node(store: MetadataStore, execution: pb.Execution) -> Node:
    """Return an execution as a node: one whose process has gone is lost."""
    state = Run(store, execution).state
    said = (
        (TAINTED, words.TAINTED in execution.custom_properties),
        (CACHED, state == CACHED.upper()),
        (LOST, state == LOST.upper()),
    )
    flags = frozenset(flag for flag, on in said if on)
    key = name_of(("execution", execution.id))
    return Node(
        key, "execution", execution.name or key, execution.type, state, flags, execution.create_time_since_epoch
    )


def edges_of(events: Iterable[pb.Event]) -> list[Edge]:
    """Return events as edges in the direction of data, each once, in order."""
    return list(dict.fromkeys(map(_edge, events)))


def _edge(event: pb.Event) -> Edge:
    artifact, run = name_of(("artifact", event.artifact_id)), name_of(("execution", event.execution_id))
    role = role_of(event)
    return Edge(run, artifact, role) if event.type in OUTPUTS else Edge(artifact, run, role)


def label_of(key: str, name: str | None, uri: str | None) -> str:
    """Return what a node is called: by its name, else the end of its URI, else its key."""
    return name or _tail(uri or "") or key


def role_of(event: pb.Event) -> str:
    """Return the role of an event, or several in one text."""
    return ", ".join(roles_of(event))


def _tail(uri: str) -> str:
    """Return the end of a URI: what people tell one path from another by."""
    tail = uri.rstrip("/").rpartition("/")[2]
    return tail if len(tail) <= _TAIL_MAX else f"…{tail[1 - _TAIL_MAX :]}"


def _live(store: MetadataStore, ids: Sequence[int]) -> frozenset[int]:
    """Return those of the artifacts that an alias stands for."""
    wanted = (
        f"type = '{words.ALIAS_TYPE}' AND properties.{words.ALIAS_ARTIFACT}.int_value IN ({', '.join(map(str, ids))})"
    )
    try:
        found = store.get_contexts(ListOptions(filter_query=wanted))
    except errors.InvalidArgumentError:  # A server of MLMD's own, or one that takes no list so long.
        return frozenset()
    return frozenset(context.properties[words.ALIAS_ARTIFACT].int_value for context in found)
