"""Mark many nodes in one record: tainted and everything made from them, or to be deleted.

Not an RPC: in process each is a command, decided under the writer's lock from what holds at that moment, so that no put of others is lost and
nothing that was made meanwhile is missed. Of a server the nodes are read and put again, in one record too; a server of ours refuses that where
anyone put one of them in between (`mlmd.serving.guarding`), and then it is done once more. What was made in between is marked by a further record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlmd import errors
from mlmd.commands.nodes import put_nodes
from mlmd.convert import unframed
from mlmd.kinds import ARTIFACT, KIND_NAMED
from mlmd.methods import METHODS, Method
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.reaching import Reach, asking, nodes_of, reach_by_events, walked
from mlmd.recorder import words
from projections.query import Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from mlmd.commands.draft import Draft
    from mlmd.kinds import Kind, Node
    from mlmd.reaching import Ids
    from projections.query import Kind as KindName
    from projections.sqlite.lookup import Lookup


class Taint(NamedTuple):
    """What to taint, by kind and id, and why; because None: take the mark away, from what bears the same one as they do.

    downstream: everything made from it too.
    """

    things: tuple[tuple[KindName, int], ...]
    because: str | None
    downstream: bool = True


class Tainted(NamedTuple):
    """What was marked, or no longer is, by kind; already: how many there were of which nothing had to change."""

    artifacts: tuple[int, ...]
    executions: tuple[int, ...]
    already: int


def _taint(draft: Draft, wanted: Taint) -> Tainted:
    """Decide a Taint."""
    known: Any = draft.known
    found = _things(wanted, lambda reach: walked(asking(known, downstream=True), reach))
    nodes = {
        kind: [node for one in ids if (node := draft.node(KIND_NAMED[kind], one)) is not None]
        for kind, ids in found.items()
    }
    changed, answer = _changed(wanted, nodes)
    for kind, some in changed.items():
        put_nodes(KIND_NAMED[kind])(draft, _put_request(KIND_NAMED[kind], some))
    return answer


TAINT: Final = Method("Taint", Taint, Tainted, _taint, None)


def _foretell(lookup: Lookup, wanted: Taint) -> Tainted:
    """Answer what a Taint would do."""
    with lookup.snapshot():
        found = _things(wanted, lambda reach: walked(asking(lookup, downstream=True), reach))
        read = {kind: KIND_NAMED[kind].message.FromString for kind in found}
        nodes = {
            kind: [read[kind](unframed(body)) for body in lookup.nodes(kind, list(ids))] for kind, ids in found.items()
        }
    return _changed(wanted, nodes)[1]


FORETELL: Final = Method("ForetellTaint", Taint, Tainted, None, _foretell)


def foretell_by_gets(send: Callable[[Method, Any], Any], wanted: Taint) -> Tainted:
    """Return what FORETELL answers, from a server. send: sends one request."""
    return _changed_of_server(send, wanted)[1]


def taint_by_put(send: Callable[[Method, Any], Any], wanted: Taint) -> Tainted:
    """Do with a server what TAINT does in process. send: sends one request, guarded. Raises AbortedError: to be done again."""
    done = Tainted((), (), 0)
    while True:
        changed, answer = _changed_of_server(send, wanted)
        if not any(changed.values()):
            already = answer.already - len(done.artifacts) - len(done.executions)
            return done._replace(already=already)
        request = service.PutLineageSubgraphRequest(artifacts=changed["artifact"], executions=changed["execution"])
        send(METHODS["PutLineageSubgraph"], request)
        done = Tainted(done.artifacts + answer.artifacts, done.executions + answer.executions, 0)


def _changed_of_server(send: Callable[[Method, Any], Any], wanted: Taint) -> tuple[dict[KindName, list[Node]], Tainted]:
    def walk(reach: Reach) -> Ids:
        found = reach_by_events(send, reach)
        return {"artifact": dict.fromkeys(found.artifacts), "execution": dict.fromkeys(found.executions)}

    found = _things(wanted, walk)
    return _changed(wanted, {kind: list(nodes_of(send, kind, list(ids))) for kind, ids in found.items()})


def _things(wanted: Taint, walk: Callable[[Reach], Ids]) -> Ids:
    """Return the ids of what is spoken of, by kind: the things, and what was made from them."""
    found: dict[KindName, dict[int, None]] = {"artifact": {}, "execution": {}}
    for kind, own in found.items():
        ids = tuple(dict.fromkeys(one for named, one in wanted.things if named == kind))
        own.update(dict.fromkeys(ids))
        if ids and wanted.downstream:
            for far, more in walk(Reach(kind, ids)).items():
                found[far].update(more)
    return found


def _changed(wanted: Taint, nodes: dict[KindName, list[Node]]) -> tuple[dict[KindName, list[Node]], Tainted]:
    """Mark those nodes that have to change; return them, and the answer. Raises NotFoundError where one of the things is not there."""
    by_id = {(kind, node.id): node for kind, some in nodes.items() for node in some}
    for kind, one in wanted.things:
        if (kind, one) not in by_id:
            raise errors.NotFoundError(f"there is no {'art' if kind == 'artifact' else 'run'}:{one}")
    reasons = {_reason(by_id[thing]) for thing in wanted.things}
    changed = {kind: [node for node in some if _marked(node, wanted.because, reasons)] for kind, some in nodes.items()}
    ids = [tuple(node.id for node in some) for some in changed.values()]
    return changed, Tainted(ids[0], ids[1], len(by_id) - sum(map(len, ids)))


def _reason(node: Node) -> str | None:
    marks = node.custom_properties
    return marks[words.TAINTED].string_value if words.TAINTED in marks else None


def _marked(node: Node, because: str | None, reasons: Iterable[str | None]) -> bool:
    """Mark one node, or take its mark away; return whether that changed it. One that is marked keeps the reason that it has."""
    known = _reason(node)
    if because is None:
        if known is None or known not in reasons:
            return False
        del node.custom_properties[words.TAINTED]
        return True
    if known is not None:
        return False
    node.custom_properties[words.TAINTED].string_value = because
    return True


def _put_request(kind: Kind, nodes: list[Node]) -> Any:
    return METHODS[f"Put{kind.plural.capitalize()}"].request(**{kind.plural: nodes})


# Retention -------------------------------------------------------------------------------------------------------------


class Retire(NamedTuple):
    """Artifacts to mark for deletion, each with the update time that it had when that was decided."""

    artifacts: tuple[tuple[int, int], ...]


def _retire(draft: Draft, wanted: Retire) -> int:
    """Decide a Retire; return how many were marked. Raises FailedPreconditionError where the store has moved on."""
    known: Any = draft.known
    aliased = _aliased(known)
    kept = {
        *aliased,
        *walked(asking(known, downstream=False), Reach("artifact", aliased, downstream=False))["artifact"],
    }
    _refuse_moved(wanted, kept, lambda one: draft.node(ARTIFACT, one))
    put_nodes(ARTIFACT)(draft, _retiring(wanted))
    return len(wanted.artifacts)


def _refuse_moved(wanted: Retire, kept: Collection[int], node_of: Callable[[int], Node | None]) -> None:
    """Raise FailedPreconditionError where the store has moved on. kept: what an alias stands for, and what that was made from."""
    for one, update_time in wanted.artifacts:
        node = node_of(one)
        if one in kept or node is None or node.last_update_time_since_epoch != update_time:
            what = "an alias stands for it, or for what was made from it" if one in kept else "it was put again"
            raise errors.FailedPreconditionError(f"art:{one}: {what} since this was planned: plan again")


def _aliased(known: Any) -> tuple[int, ...]:
    """Return the ids of the artifacts that an alias stands for."""
    type_id = known.type_id_named("context", words.ALIAS_TYPE, "")
    listed = known.page(Listing("context", type_id=type_id)) if type_id is not None else []
    return aliased_of(pb.Context.FromString(unframed(one.body)) for one in listed)


def aliased_of(contexts: Iterable[pb.Context]) -> tuple[int, ...]:
    """Return the ids of the artifacts that these aliases stand for."""
    values = (one.properties[words.ALIAS_ARTIFACT] for one in contexts if words.ALIAS_ARTIFACT in one.properties)
    return tuple(dict.fromkeys(value.int_value for value in values))


def _retiring(wanted: Retire) -> service.PutArtifactsRequest:
    going = [pb.Artifact(id=one, state=pb.Artifact.MARKED_FOR_DELETION) for one, _ in wanted.artifacts]
    request = service.PutArtifactsRequest(artifacts=going)
    request.update_mask.paths.append("state")
    return request


RETIRE: Final = Method("Retire", Retire, int, _retire, None)


def retire_by_put(send: Callable[[Method, Any], Any], wanted: Retire) -> int:
    """Do with a server what RETIRE does in process. send: sends one request, guarded. Raises AbortedError: to be done again.

    An alias that moves between the look and the put is not noticed.
    """
    method = METHODS["GetContextsByType"]
    aliased = aliased_of(send(method, method.request(type_name=words.ALIAS_TYPE)).contexts)
    kept = {*aliased, *reach_by_events(send, Reach("artifact", aliased, downstream=False)).artifacts}
    nodes = {node.id: node for node in nodes_of(send, "artifact", [one for one, _ in wanted.artifacts])}
    _refuse_moved(wanted, kept, nodes.get)
    return len(send(METHODS["PutArtifacts"], _retiring(wanted)).artifact_ids)
