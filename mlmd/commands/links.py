"""Events, attributions, associations, parents of contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evlog.records import EventPut, ParentContextPut
from mlmd import errors
from mlmd.convert import path_of
from mlmd.errors import InvalidArgumentError
from mlmd.kinds import ARTIFACT, CONTEXT, EVENT_TYPES, EXECUTION, UNKNOWN, Kind
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from mlmd.commands.draft import Draft


def put_events(draft: Draft, request: service.PutEventsRequest) -> service.PutEventsResponse:
    """PutEvents."""
    for event in request.events:
        put_event(draft, event, event.artifact_id, event.execution_id)
    return service.PutEventsResponse()


def put_event(draft: Draft, event: pb.Event, artifact_id: int, execution_id: int) -> None:
    """Put an event between two nodes; their ids in the message may be unset where the request implies them."""
    if not artifact_id and not event.HasField("artifact_id"):
        raise InvalidArgumentError("No artifact id is specified.")
    if not execution_id and not event.HasField("execution_id"):
        raise InvalidArgumentError("No execution id is specified.")
    event_type = EVENT_TYPES[event.type]
    if event_type == UNKNOWN:
        raise InvalidArgumentError("No event type is specified.")
    for kind, node_id in ((ARTIFACT, artifact_id), (EXECUTION, execution_id)):
        if not draft.has_node(kind, node_id):
            raise InvalidArgumentError(f"No {kind.name} with the given id {node_id}")
    change = EventPut(
        id=draft.next_id("event"),
        artifact_id=artifact_id,
        execution_id=execution_id,
        type=event_type,
        time_ms=event.milliseconds_since_epoch if event.HasField("milliseconds_since_epoch") else draft.now_ms,
        path=path_of(event),
    )
    add_event(draft, change)


def add_event(draft: Draft, change: EventPut) -> None:
    """Put an event between two nodes that are there. Raises AlreadyExistsError."""
    if not draft.put_event(change):
        raise errors.AlreadyExistsError(
            f"Given event already exists: artifact {change.artifact_id}, execution {change.execution_id}, {change.type}"
        )


def put_attributions_and_associations(
    draft: Draft, request: service.PutAttributionsAndAssociationsRequest
) -> service.PutAttributionsAndAssociationsResponse:
    """PutAttributionsAndAssociations: repeats are fine."""
    for attribution in request.attributions:
        _refuse_unknown(draft, CONTEXT, attribution.context_id)
        _refuse_unknown(draft, ARTIFACT, attribution.artifact_id)
        draft.put_link(ARTIFACT, attribution.context_id, attribution.artifact_id)
    for association in request.associations:
        _refuse_unknown(draft, CONTEXT, association.context_id)
        _refuse_unknown(draft, EXECUTION, association.execution_id)
        draft.put_link(EXECUTION, association.context_id, association.execution_id)
    return service.PutAttributionsAndAssociationsResponse()


def _refuse_unknown(draft: Draft, kind: Kind, node_id: int) -> None:
    if not draft.has_node(kind, node_id):
        raise InvalidArgumentError(f"{kind.name.capitalize()} id not found.")


def put_parent_contexts(draft: Draft, request: service.PutParentContextsRequest) -> service.PutParentContextsResponse:
    """PutParentContexts: repeats and cycles are refused."""
    for link in request.parent_contexts:
        if not link.HasField("parent_id") or not link.HasField("child_id"):
            raise InvalidArgumentError("Missing parent / child id in the parent_context")
        child_id, parent_id = link.child_id, link.parent_id
        if child_id == parent_id or not (draft.has_node(CONTEXT, parent_id) and draft.has_node(CONTEXT, child_id)):
            raise InvalidArgumentError(
                f"Given parent / child id in the parent_context cannot be found: {parent_id} / {child_id}"
            )
        if draft.is_ancestor(child_id, parent_id):
            raise InvalidArgumentError("There is a cycle detected of the given relationship.")
        change = ParentContextPut(draft.next_id("parent_context"), parent_id, child_id)
        if not draft.put_parent(change):
            raise errors.AlreadyExistsError(f"Given parent_context already exists: {parent_id} / {child_id}")
    return service.PutParentContextsResponse()
