"""Put a run: when it begins, while it lasts, as it ended; with what it read and made, in one record.

Not an RPC: in process it is a command, decided under the writer's lock from what holds at that moment: what others said of the run stays, a
tag or a taint, and what it made is tainted where it, or what it read, is so by then. Of a server the run is read and put again, and a
server of ours refuses that where anyone put one of the nodes in between (`mlmd.serving.guarding`): then it is done once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from evlog.records import EventPut, ExecutionPut
from mlmd import errors
from mlmd.commands.composite import put_context, put_execution
from mlmd.commands.links import add_event
from mlmd.commands.nodes import put_node
from mlmd.convert import properties_of, set_values
from mlmd.kinds import ARTIFACT, EXECUTION, INPUTS
from mlmd.methods import METHODS, Method
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.recorder import words
from mlmd.recorder.standing import is_tainted, why_tainted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from evlog.records import Properties
    from mlmd.commands.draft import Draft
    from mlmd.kinds import Node

_NEVER: Final = -1  # As `since`: nothing is known of it.
_PUT: Final = METHODS["PutExecution"]


class Linked(NamedTuple):
    """An artifact that a run read or made. made: a new one; else `id` is that of one that is there, with the properties to set.

    back: it is there again, whatever its state was.
    """

    is_output: bool
    roles: Sequence[str] = ()
    made: pb.Artifact | None = None
    id: int = 0
    values: Properties = {}  # noqa: RUF012 - nobody changes it
    back: bool = False


class RunPut(NamedTuple):
    """A run as it is from now on. id: None for one that begins. said: all that it says of itself, as custom properties.

    since, created_ms: what the answer to its last put said: where nobody put it since, nothing of it has to be read.
    """

    id: int | None
    type_id: int
    name: str | None
    state: str
    said: Properties
    links: Sequence[Linked] = ()
    contexts: Sequence[pb.Context] = ()
    since: int = _NEVER
    created_ms: int = 0


class Done(NamedTuple):
    """What was put. since: the record's offset, where the run is there with what it said and nothing else; else -1."""

    id: int
    artifact_ids: Sequence[int]
    context_ids: Sequence[int]
    since: int = _NEVER
    created_ms: int = 0


# In process ---------------------------------------------------------------------------------------------------------


def _put_run(draft: Draft, wanted: RunPut) -> Done:
    """Decide a RunPut."""
    stored = _stored(draft, wanted)
    why = _why(_nodes_behind(draft, stored, wanted.links))
    ids = [_artifact(draft, one, why) for one in wanted.links]
    run = _run(draft, wanted, stored, why)
    for one, artifact_id in zip(wanted.links, ids, strict=True):
        kind = "OUTPUT" if one.is_output else "INPUT"
        add_event(draft, EventPut(draft.next_id("event"), artifact_id, run.id, kind, draft.now_ms, [*one.roles]))
    contexts = []
    for context in wanted.contexts:
        context_id = context.id if context.HasField("id") else put_context(draft, context, reuse=True)
        contexts.append(context_id)
        draft.put_link(EXECUTION, context_id, run.id)
        for artifact_id in ids:
            draft.put_link(ARTIFACT, context_id, artifact_id)
    alone = stored is None and why is None
    return Done(run.id, ids, contexts, draft.offset if alone else _NEVER, run.create_time_ms)


RUN_PUT: Final = Method(_PUT.name, RunPut, Done, _put_run, None)


def _stored(draft: Draft, wanted: RunPut) -> Node | None:
    """Return the run as it is there, None where it begins, or nobody put it since it said the same. Raises InvalidArgumentError."""
    if wanted.id is None or (wanted.since >= 0 and draft.known.since(EXECUTION.name, wanted.id) == wanted.since):
        return None
    stored = draft.node(EXECUTION, wanted.id)
    if stored is None:
        raise _gone(wanted.id)
    return stored


def _nodes_behind(draft: Draft, run: Node | None, links: Sequence[Linked]) -> list[Node]:
    """Return the run, and what it read and was there, as they are now. Raises InvalidArgumentError."""
    read = [_there(draft, one.id) for one in links if one.made is None and not one.is_output]
    return read if run is None else [run, *read]


def _there(draft: Draft, artifact_id: int) -> Node:
    node = draft.node(ARTIFACT, artifact_id)
    if node is None:
        raise errors.InvalidArgumentError(f"there is no art:{artifact_id}")
    return node


def _why(nodes: Iterable[Node]) -> str | None:
    """Return why one of them is tainted, None where none is."""
    return next((why_tainted(node) for node in nodes if is_tainted(node)), None)


def _artifact(draft: Draft, one: Linked, why: str | None) -> int:
    """Put what is new or changes of an artifact; return its id."""
    if one.made is not None:
        return put_node(draft, ARTIFACT, _made(one, why))
    if one.values or one.back:
        now = _there(draft, one.id)
        if _changed(now, one):
            put_node(draft, ARTIFACT, now)
    return one.id


def _made(one: Linked, why: str | None) -> pb.Artifact:
    """Return a new artifact as it is to be put: tainted, where the run that made it is."""
    assert one.made is not None, "the caller checked"
    if why is None or not one.is_output:
        return one.made
    tainted = pb.Artifact()
    tainted.CopyFrom(one.made)
    tainted.custom_properties[words.TAINTED].string_value = why
    return tainted


def _changed(now: pb.Artifact, one: Linked) -> bool:
    """Let an artifact be as its run says; return whether that is another one than it was."""
    before = now.SerializeToString(deterministic=True)
    _say(now.custom_properties, one.values)
    if one.back:
        now.state = pb.Artifact.LIVE
    return now.SerializeToString(deterministic=True) != before


def _run(draft: Draft, wanted: RunPut, stored: Node | None, why: str | None) -> ExecutionPut:
    """Put the run itself."""
    said = wanted.said if why is None else {**wanted.said, words.TAINTED: why}
    if wanted.id is None:
        change = _execution(wanted, draft.next_id(EXECUTION.name), said, draft.now_ms, draft.now_ms)
        draft.make_node(EXECUTION, change)
        return change
    if stored is None:
        change = _execution(wanted, wanted.id, said, wanted.created_ms, draft.now_ms)
    else:
        others = properties_of(stored.custom_properties)
        others.pop(words.POINTS, None)  # Those of the put before.
        change = ExecutionPut(
            wanted.id,
            stored.type_id,
            stored.create_time_since_epoch,
            draft.now_ms,
            stored.name if stored.HasField("name") else None,
            stored.external_id if stored.HasField("external_id") else None,
            properties_of(stored.properties),
            dict(sorted({**others, **said}.items())),
            wanted.state,
        )
    draft.put_node(EXECUTION, change)
    return change


def _execution(wanted: RunPut, run_id: int, said: Properties, created_ms: int, now_ms: int) -> ExecutionPut:
    # A map has no order of its own: the same run is the same record.
    ordered = dict(sorted(said.items()))
    return ExecutionPut(
        run_id, wanted.type_id, created_ms, now_ms, wanted.name, custom_properties=ordered, state=wanted.state
    )


def _gone(run_id: int) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(f"there is no run:{run_id}: is this the store in which it began?")


# Of a server ----------------------------------------------------------------------------------------------------------


def put_execution_guarded(draft: Draft, request: service.PutExecutionRequest) -> service.PutExecutionResponse:
    """PutExecution of a run: it and what it made are tainted as above."""
    read = [
        pair.event.artifact_id
        for pair in request.artifact_event_pairs
        if pair.event.type in INPUTS and not pair.HasField("artifact")
    ]
    found = [node for one in read if (node := draft.node(ARTIFACT, one)) is not None]
    why = _why([request.execution, *found])
    if why is not None:
        request.execution.custom_properties[words.TAINTED].string_value = why
        for pair in request.artifact_event_pairs:
            if pair.event.type not in INPUTS and pair.HasField("artifact") and not pair.artifact.HasField("id"):
                pair.artifact.custom_properties[words.TAINTED].string_value = why
    return put_execution(draft, request)


def put_run_by_calls(send: Callable[[Method, Any], Any], wanted: RunPut) -> Done:
    """Do with a server what RUN_PUT does in process. send: sends one request, guarded. Raises AbortedError: to be done again."""
    request = service.PutExecutionRequest(execution=_execution_message(send, wanted), contexts=wanted.contexts)
    request.options.force_update_time = True
    request.options.reuse_context_if_already_exist = request.options.force_reuse_context = True
    ids = {one.id for one in wanted.links if one.made is None}
    there = (
        {node.id: node for node in _read(send, "GetArtifactsByID", artifact_ids=sorted(ids)).artifacts} if ids else {}
    )
    why = _why([request.execution, *(there[one.id] for one in wanted.links if not one.is_output and one.id in there)])
    if why is not None:
        request.execution.custom_properties[words.TAINTED].string_value = why
    for one in wanted.links:
        pair = request.artifact_event_pairs.add()
        pair.event.type = pb.Event.OUTPUT if one.is_output else pb.Event.INPUT
        for role in one.roles:
            pair.event.path.steps.add(key=role)
        if one.made is not None:
            pair.artifact.CopyFrom(_made(one, why))
            continue
        pair.event.artifact_id = one.id
        if (one.values or one.back) and one.id in there and _changed(there[one.id], one):
            pair.artifact.CopyFrom(there[one.id])
    response = send(_PUT, request)
    return Done(response.execution_id, response.artifact_ids, response.context_ids)


def _execution_message(send: Callable[[Method, Any], Any], wanted: RunPut) -> pb.Execution:
    """Return the run as it is to be put: as it was read, and what it says of itself. Raises InvalidArgumentError."""
    execution = pb.Execution(type_id=wanted.type_id)
    if wanted.id is not None:
        found = _read(send, "GetExecutionsByID", execution_ids=[wanted.id]).executions
        if not found:
            raise _gone(wanted.id)
        [execution] = found
        execution.custom_properties.pop(words.POINTS, None)
    elif wanted.name is not None:
        execution.name = wanted.name
    execution.last_known_state = EXECUTION.state_numbers[wanted.state]  # type: ignore[assignment] # A number of the enum.
    _say(execution.custom_properties, wanted.said)
    return execution


def _read(send: Callable[[Method, Any], Any], name: str, **fields: Any) -> Any:
    return send(METHODS[name], METHODS[name].request(**fields))


def _say(messages: Any, values: Properties) -> None:
    """Set properties to these values, whatever they were."""
    for key in values:
        messages.pop(key, None)
    set_values(messages, values)
