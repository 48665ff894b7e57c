"""Puts of several things at once: an execution with what it read and made, a piece of lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmd import errors
from mlmd.commands.links import put_event
from mlmd.commands.nodes import put_node, typed
from mlmd.errors import InvalidArgumentError
from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, Kind
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mlmd.commands.draft import Draft
    from mlmd.kinds import Node


def put_execution(draft: Draft, request: service.PutExecutionRequest) -> service.PutExecutionResponse:
    """PutExecution: artifacts, then the execution, then events, then contexts."""
    if not request.HasField("execution"):
        raise InvalidArgumentError("No execution is found")
    options = request.options
    reuse = options.reuse_artifact_if_already_exist_by_external_id
    pairs = request.artifact_event_pairs
    made = [
        _put_pair_artifact(draft, pair.artifact, reuse=reuse) if pair.HasField("artifact") else None for pair in pairs
    ]
    execution_id = put_node(draft, EXECUTION, request.execution, force=options.force_update_time)
    artifact_ids = [
        _put_pair_event(draft, pair.event, artifact_id, execution_id) if pair.HasField("event") else artifact_id
        for pair, artifact_id in zip(pairs, made, strict=True)
    ]
    named = [artifact_id for artifact_id in artifact_ids if artifact_id is not None]
    context_ids = []
    for context in request.contexts:
        if context.HasField("id") and options.force_reuse_context:
            if not draft.has_node(CONTEXT, context.id):
                raise errors.NotFoundError(_missing("context", [context.id], [context.id]))
            context_id = context.id
        else:
            context_id = put_context(draft, context, reuse=options.reuse_context_if_already_exist)
        context_ids.append(context_id)
        draft.put_link(EXECUTION, context_id, execution_id)
        for artifact_id in named:
            draft.put_link(ARTIFACT, context_id, artifact_id)
    return service.PutExecutionResponse(
        execution_id=execution_id,
        artifact_ids=[-1 if artifact_id is None else artifact_id for artifact_id in artifact_ids],
        context_ids=context_ids,
    )


def _put_pair_artifact(draft: Draft, artifact: pb.Artifact, *, reuse: bool) -> int:
    """Put an artifact; with `reuse`, one without id takes that of the artifact with its external id."""
    if reuse and not artifact.HasField("id") and artifact.external_id:
        known_id = draft.id_external(ARTIFACT, artifact.external_id)
        if known_id is not None:
            return _update_as(draft, artifact, known_id)
    return put_node(draft, ARTIFACT, artifact)


def _update_as(draft: Draft, artifact: pb.Artifact, artifact_id: int) -> int:
    known = pb.Artifact()
    known.CopyFrom(artifact)
    known.id = artifact_id
    return put_node(draft, ARTIFACT, known)


def _put_pair_event(draft: Draft, event: pb.Event, artifact_id: int | None, execution_id: int) -> int:
    """Put the event of a pair; return the artifact's id, which the event alone may name."""
    if event.HasField("execution_id") and event.execution_id != execution_id:
        raise InvalidArgumentError(
            f"Request's event.execution_id does not match with the given execution: {event.execution_id}, {execution_id}"
        )
    if artifact_id is None:
        if not event.HasField("artifact_id"):
            raise InvalidArgumentError("If no artifact is present, given event must have an artifact_id")
        artifact_id = event.artifact_id
    elif event.HasField("artifact_id") and event.artifact_id != artifact_id:
        raise InvalidArgumentError(
            f"Given event.artifact_id is not aligned with the artifact: {event.artifact_id}, the artifact is {artifact_id}"
        )
    put_event(draft, event, artifact_id, execution_id)
    return artifact_id


def put_context(draft: Draft, context: pb.Context, *, reuse: bool) -> int:
    """Put a context; with `reuse`, one that bears the name already is taken as it is."""
    if not context.HasField("type_id"):
        raise InvalidArgumentError("Context is missing a type_id")
    if not context.HasField("name"):
        raise InvalidArgumentError("Context is missing a name")
    if context.HasField("id"):
        return put_node(draft, CONTEXT, context)
    if reuse:
        known_id = draft.id_named(CONTEXT, context.type_id, context.name)
        if known_id is not None:
            return known_id
    try:
        return put_node(draft, CONTEXT, context)
    except errors.AlreadyExistsError as error:
        if not reuse:
            raise
        raise errors.AbortedError(
            f"Concurrent creation of the same context at the first time. Retry the transaction to reuse the context: {error}"
        ) from error


def put_lineage_subgraph(
    draft: Draft, request: service.PutLineageSubgraphRequest
) -> service.PutLineageSubgraphResponse:
    """PutLineageSubgraph: every check that needs no write first; then contexts, artifacts, executions, links, events."""
    for edge in request.event_edges:
        _check_edge(request, edge)
    for kind in (ARTIFACT, EXECUTION, CONTEXT):
        _check_nodes(draft, kind, getattr(request, kind.plural))
    options = request.options
    context_ids = [
        put_context(draft, context, reuse=options.reuse_context_if_already_exist) for context in request.contexts
    ]
    artifact_ids = _put_subgraph_artifacts(
        draft, request.artifacts, reuse=options.reuse_artifact_if_already_exist_by_external_id
    )
    execution_ids = [put_node(draft, EXECUTION, execution) for execution in request.executions]
    for context_id in context_ids:
        for execution_id in execution_ids:
            draft.put_link(EXECUTION, context_id, execution_id)
        for artifact_id in artifact_ids:
            draft.put_link(ARTIFACT, context_id, artifact_id)
    for edge in request.event_edges:
        event = edge.event
        artifact_id = artifact_ids[edge.artifact_index] if edge.HasField("artifact_index") else event.artifact_id
        execution_id = execution_ids[edge.execution_index] if edge.HasField("execution_index") else event.execution_id
        put_event(draft, event, artifact_id, execution_id)
    return service.PutLineageSubgraphResponse(
        execution_ids=execution_ids, artifact_ids=artifact_ids, context_ids=context_ids
    )


def _put_subgraph_artifacts(draft: Draft, artifacts: Sequence[pb.Artifact], *, reuse: bool) -> list[int]:
    # External ids are looked up once, before any artifact is put: two new ones that share one clash.
    known_ids = [
        draft.id_external(ARTIFACT, artifact.external_id)
        if reuse and artifact.external_id and not artifact.HasField("id")
        else None
        for artifact in artifacts
    ]
    return [
        put_node(draft, ARTIFACT, artifact) if known_id is None else _update_as(draft, artifact, known_id)
        for artifact, known_id in zip(artifacts, known_ids, strict=True)
    ]


def _check_edge(request: service.PutLineageSubgraphRequest, edge: Any) -> None:
    if not edge.HasField("event"):
        raise InvalidArgumentError("No event found for event_edge")
    for kind, article in ((EXECUTION, "an execution"), (ARTIFACT, "an artifact")):
        nodes, index_field, id_field = getattr(request, kind.plural), f"{kind.name}_index", f"{kind.name}_id"
        event_id = getattr(edge.event, id_field) if edge.event.HasField(id_field) else None
        if not edge.HasField(index_field):
            if event_id is None:
                raise InvalidArgumentError(
                    f"Event_edge is missing {article}. Could not find either an {index_field} or an event.{id_field}"
                )
            continue
        index = getattr(edge, index_field)
        if not 0 <= index < len(nodes):
            raise errors.OutOfRangeError(
                f"The event_edge has an {index_field} {index} that is outside the bounds of the request's"
                f" {kind.plural} list, [0, {len(nodes)})"
            )
        if event_id is None:
            continue
        if not nodes[index].HasField("id"):
            raise InvalidArgumentError(
                f"Missing {kind.name} ID. The referenced {kind.name} at {index_field} {index} does not have an ID"
                f" even though the event_edge specifies an event.{id_field} of {event_id}"
            )
        if nodes[index].id != event_id:
            raise InvalidArgumentError(
                f"{kind.name.capitalize()} ID mismatch. The referenced {kind.name} at {index_field} {index} has an ID"
                f" of {nodes[index].id} that does not match the event_edge's event.{id_field} of {event_id}"
            )


def _check_nodes(draft: Draft, kind: Kind, nodes: Sequence[Node]) -> None:
    """Check the nodes of one kind as MLMD does before it writes: type ids, then types, then properties."""
    if any(not node.HasField("type_id") for node in nodes):
        raise InvalidArgumentError("Type id is missing.")
    types = {type_id: draft.type(kind, type_id) for type_id in dict.fromkeys(node.type_id for node in nodes)}
    missing = [type_id for type_id, found in types.items() if found is None]
    if missing:
        raise errors.NotFoundError(_missing(f"{kind.name} type", types, missing))
    for node in nodes:
        stored_type = types[node.type_id]
        assert stored_type is not None, "checked above"
        typed(node.properties, stored_type.arms)


def _missing(what: str, asked: Iterable[int], missing: Collection[int]) -> str:
    """Return MLMD's words for ids of which some are of nothing: first all that were asked for, then those found."""
    listed, found = (",".join(map(str, ids)) for ids in (asked, [one for one in asked if one not in missing]))
    return f"Results missing for ids: {{{listed}}}. Found results for {{{found}}}: there is no such {what}"
