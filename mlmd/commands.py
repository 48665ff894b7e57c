"""Decide: what a put request becomes, given what is known. Pure: ids, times and every check are settled here.

Each command takes a Draft and a request, adds changes to the draft, and returns the response; a refusal is a StatusError and
leaves the draft to be thrown away. The order of checks is MLMD's, because the first failing one decides the status.
Source: the behavioural contract of ml-metadata 1.17.1; departures are listed in docs/compatibility.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from evlog.records import (
    EventPut,
    ParentContextPut,
    Properties,
)
from mlmd import errors
from mlmd.convert import node_put, path_of, property_types, stored_put, text_of, type_put, value_of
from mlmd.kinds import ARTIFACT, CONTEXT, EVENT_TYPES, EXECUTION, SYSTEM_TYPES, Kind
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mlmd.draft import Draft, StoredType
    from mlmd.kinds import Node, Type

Invalid = errors.InvalidArgumentError
_UNKNOWN: Final = "UNKNOWN"


# Types ---------------------------------------------------------------------------------------------------------------


def create_system_types(draft: Draft) -> None:
    """Put the nine types that every store holds from the start, unless another process was faster."""
    if draft.known.last_id("type"):
        return
    for kind, name in SYSTEM_TYPES:
        draft.put_type(kind, kind.type_put(id=draft.next_id("type"), name=name))


def put_type(kind: Kind) -> Callable[[Draft, Any], Any]:
    """Return the command of Put{Artifact,Execution,Context}Type."""
    response = getattr(service, f"Put{kind.name.capitalize()}TypeResponse")

    def command(draft: Draft, request: Any) -> Any:
        _refuse_partial_match(request)
        put = _TypesPut(draft, can_add=request.can_add_fields, can_omit=request.can_omit_fields)
        return response(type_id=put.one(kind, getattr(request, f"{kind.name}_type")))

    return command


def put_types(draft: Draft, request: service.PutTypesRequest) -> service.PutTypesResponse:
    """PutTypes: artifact types, then execution types, then context types."""
    _refuse_partial_match(request)
    put = _TypesPut(draft, can_add=request.can_add_fields, can_omit=request.can_omit_fields)
    return service.PutTypesResponse(
        artifact_type_ids=[put.one(ARTIFACT, message) for message in request.artifact_types],
        execution_type_ids=[put.one(EXECUTION, message) for message in request.execution_types],
        context_type_ids=[put.one(CONTEXT, message) for message in request.context_types],
    )


def _refuse_partial_match(request: Any) -> None:
    if not request.all_fields_match:
        raise errors.UnimplementedError("Must match all fields.")


class _TypesPut:
    """The types of one request. Each is compared with the type as it was before the request, or as first made in it."""

    def __init__(self, draft: Draft, *, can_add: bool, can_omit: bool) -> None:
        self._draft, self._can_add, self._can_omit = draft, can_add, can_omit
        self._first_seen: dict[tuple[str, str, str], StoredType] = {}

    def one(self, kind: Kind, message: Type) -> int:
        """Create or extend one type; return its id."""
        if not message.name:
            raise Invalid("No type name is specified.")
        key = (kind.name, message.name, message.version)
        stored = self._draft.type_named(kind, message.name, message.version)
        if stored is None:
            self._first_seen[key] = created = self._create(kind, message)
            return created.id
        self._extend(kind, message, self._first_seen.setdefault(key, stored), stored)
        return stored.id

    def _create(self, kind: Kind, message: Type) -> StoredType:
        draft, external_id = self._draft, message.external_id or None
        self._refuse_taken(kind, external_id, type_id=None)
        properties = property_types(message)
        for key, property_type in properties.items():
            if property_type == _UNKNOWN:
                raise Invalid(f"Property {key} is UNKNOWN.")
        change = type_put(
            kind,
            message,
            id=draft.next_id("type"),
            external_id=external_id,
            properties=properties,
            base_type=self._base_type(kind, message, stored=None),
        )
        return draft.put_type(kind, change)

    def _extend(self, kind: Kind, message: Type, before: StoredType, now: StoredType) -> None:
        added = self._added(message, before, now)
        external_id = message.external_id or text_of(now.message, "external_id")
        self._refuse_taken(kind, external_id, type_id=now.id)
        base_type = self._base_type(kind, message, stored=now)
        unchanged = (text_of(now.message, "external_id"), kind.base_types.get(now.message.base_type))
        if not added and (external_id, base_type) == unchanged:
            return
        change = type_put(
            kind,
            now.message,
            id=now.id,
            external_id=external_id,
            properties={**now.properties, **added},
            base_type=base_type,
        )
        self._draft.put_type(kind, change)

    def _added(self, message: Type, before: StoredType, now: StoredType) -> dict[str, str]:
        """Return the properties to add. Raises AlreadyExistsError where the types do not go together."""
        given = property_types(message)
        if not self._can_omit and (omitted := before.properties.keys() - given.keys()):
            raise _different("can_omit_fields is false while the stored type has more properties", omitted)
        added: dict[str, str] = {}
        for key, property_type in given.items():
            stored_type = before.properties.get(key)
            if stored_type is not None:
                if stored_type != property_type:
                    raise _different("Conflicting property value type found in stored and given types", [key])
            elif not self._can_add:
                raise _different("can_add_fields is false while the given type has more properties", [key])
            else:
                added[key] = property_type
        for key, property_type in added.items():
            if property_type == _UNKNOWN:
                raise Invalid(f"Property:{key} type should not be UNKNOWN.")
            if now.properties.get(key, property_type) != property_type:
                raise errors.AlreadyExistsError(f"Property:{key} type is different from the existing type: {now.name}")
        return {key: value for key, value in added.items() if key not in now.properties}

    def _refuse_taken(self, kind: Kind, external_id: str | None, *, type_id: int | None) -> None:
        if external_id is not None and self._draft.type_external(kind, external_id) not in (None, type_id):
            raise errors.AlreadyExistsError(
                f"Conflict of external_id: {external_id} Found already existing {kind.name} type with the same external_id"
            )

    def _base_type(self, kind: Kind, message: Type, *, stored: StoredType | None) -> str | None:
        """Return the name of the system type that a type is based on from now on."""
        known = kind.base_types.get(stored.message.base_type) if stored else None
        if not message.HasField("base_type"):
            return known
        if not message.base_type:
            raise errors.UnimplementedError("base_type deletion is not supported yet")
        base = kind.base_types[message.base_type]
        if known is not None:
            if base != known:
                raise errors.UnimplementedError("base_type update is not supported yet")
            return known
        above: str | None = base
        while above is not None:
            if (above, "") == (message.name, message.version):
                raise Invalid("There is a cycle detected of the given relationship.")
            system = self._draft.type_named(kind, above, "")
            above = kind.base_types.get(system.message.base_type) if system else None
        return base


def _different(reason: str, keys: Iterable[str]) -> errors.AlreadyExistsError:
    listed = ", ".join(sorted(keys))
    return errors.AlreadyExistsError(f"Type already exists with different properties: {reason}: {listed}")


# Nodes ---------------------------------------------------------------------------------------------------------------


def put_nodes(kind: Kind) -> Callable[[Draft, Any], Any]:
    """Return the command of Put{Artifacts,Executions,Contexts}."""
    response = getattr(service, f"Put{kind.plural.capitalize()}Response")

    def command(draft: Draft, request: Any) -> Any:
        mask = request.update_mask.paths
        guarded = kind is ARTIFACT and request.options.abort_if_latest_updated_time_changed
        ids = [put_node(draft, kind, node, mask=mask, guarded=guarded) for node in getattr(request, kind.plural)]
        return response(**{f"{kind.name}_ids": ids})

    return command


def put_node(
    draft: Draft, kind: Kind, node: Node, *, mask: Sequence[str] = (), guarded: bool = False, force: bool = False
) -> int:
    """Create a node without id, update one with it; return its id."""
    if node.HasField("id"):
        return _update(draft, kind, node, mask=mask, guarded=guarded, force=force)
    return _create(draft, kind, node)


def _create(draft: Draft, kind: Kind, node: Node) -> int:
    """Create a node; the draft refuses a name or external id that is another's."""
    if not node.HasField("type_id"):
        raise Invalid("Type id is missing.")
    stored_type = draft.type(kind, node.type_id)
    if stored_type is None:
        raise errors.NotFoundError(
            f"Cannot find type for the {kind.name}: No type found for query, type_id: {node.type_id}"
        )
    properties = _typed(node.properties, stored_type.arms)
    custom_properties = _untyped(node.custom_properties)
    if kind is CONTEXT and not node.name:
        raise Invalid("Context name should not be empty")
    node_id = draft.next_id(kind.name)
    draft.make_node(
        kind,
        node_put(
            kind,
            node,
            id=node_id,
            type_id=node.type_id,
            name=text_of(node, "name"),
            create_time_ms=draft.now_ms,
            update_time_ms=draft.now_ms,
            properties=properties,
            custom_properties=custom_properties,
        ),
    )
    return node_id


def _update(draft: Draft, kind: Kind, node: Node, *, mask: Sequence[str], guarded: bool, force: bool) -> int:
    """Update a node: in full, or the fields that the mask names. Nothing is put where nothing differs."""
    stored = draft.node(kind, node.id)
    if stored is None:
        raise Invalid(f"Cannot find the given id {node.id}")
    if guarded and node.last_update_time_since_epoch != stored.last_update_time_since_epoch:
        raise errors.FailedPreconditionError(
            "`abort_if_latest_updated_time_changed` is set, and the stored artifact with id = "
            f"{node.id} has a different last_update_time_since_epoch: {stored.last_update_time_since_epoch}"
            f" from the one in the given artifact: {node.last_update_time_since_epoch}"
        )
    if not force and node == stored:
        return stored.id  # What a get answered, put back: the common case, and nothing to check.
    if node.HasField("type_id") and node.type_id != stored.type_id:
        raise Invalid(f"Given type_id {node.type_id} is different from the one known before: {stored.type_id}")
    stored_type = draft.type(kind, stored.type_id)
    assert stored_type is not None, "a stored node has a type"
    whole = force and not mask  # All of it is put, whatever there was.
    before = stored_put(kind, stored) if not whole else None
    properties = _merged(
        before.properties if before is not None else {},
        node.properties,
        _masked_keys("properties", mask),
        lambda values: _typed(values, stored_type.arms),
    )
    custom_properties = _merged(
        before.custom_properties if before is not None else {},
        node.custom_properties,
        _masked_keys("custom_properties", mask),
        _untyped,
    )
    same = (
        before is not None
        and _same_values(properties, before.properties)
        and _same_values(custom_properties, before.custom_properties)
        and _same_plain_fields(node, stored)
    )
    if same and not force:
        return stored.id
    after = _masked_fields(kind, node, stored, mask)
    if kind is CONTEXT and not after.name:
        raise Invalid("Context name should not be empty")
    draft.put_node(
        kind,
        node_put(
            kind,
            after,
            id=stored.id,
            type_id=stored.type_id,
            # Artifacts and executions keep the name they were created with, whatever a put says.
            name=text_of(after if kind is CONTEXT else stored, "name"),
            create_time_ms=stored.create_time_since_epoch,
            update_time_ms=max(draft.now_ms, stored.last_update_time_since_epoch + 1) if guarded else draft.now_ms,
            properties=properties,
            custom_properties=custom_properties,
        ),
    )
    return stored.id


def _typed(values: Mapping[str, pb.Value], arms: Mapping[str, str]) -> Properties:
    """Return values that fit a type's declared properties. arms: the field of Value that each property has its value in."""
    properties: Properties = {}
    for key in sorted(values):  # A map has no order of its own: the same request is the same record.
        value, arm = values[key], arms.get(key)
        if arm is None:
            raise Invalid(f"Found unknown property: {key}")
        if not value.HasField(arm):  # type: ignore[arg-type] # A field of the one oneof there is.
            raise Invalid(f"Found unmatched property type: {key}")
        properties[key] = value_of(value, arm)
    return properties


def _untyped(values: Mapping[str, pb.Value]) -> Properties:
    """Return values of any type; each must have one."""
    properties: Properties = {}
    for key in sorted(values):  # A map has no order of its own: the same request is the same record.
        value = values[key]
        arm = value.WhichOneof("value")
        if arm is None:
            raise Invalid(f"Found unmatched property type: {key}")
        properties[key] = value_of(value, arm)
    return properties


def _masked_keys(field: str, mask: Sequence[str]) -> set[str] | None:
    """Return the keys of a property map that a mask names, None for the whole map."""
    if not mask or field in mask:
        return None
    prefix = field + "."
    return {path[len(prefix) :] for path in mask if path.startswith(prefix)}


def _merged(
    before: Properties,
    given: Mapping[str, pb.Value],
    keys: set[str] | None,
    check: Callable[[Mapping[str, pb.Value]], Properties],
) -> Properties:
    """Return a property map with the masked keys replaced, or removed where they are not given."""
    if keys is None:
        return check(given)
    kept = {key: value for key, value in before.items() if key not in keys}
    return kept | check({key: given[key] for key in keys if key in given})


def _same_values(left: Properties, right: Properties) -> bool:
    # Python holds 1, 1.0 and True equal, and a NaN different from itself; here a value is its type and its bits.
    return len(left) == len(right) and all(
        key in right and type(value) is type(right[key]) and (value == right[key] or repr(value) == repr(right[key]))
        for key, value in left.items()
    )


def _same_plain_fields(node: Node, stored: Node) -> bool:
    """Tell whether two messages agree in all but what is compared elsewhere; unset differs from empty."""
    plain = []
    for message in (node, stored):
        copy = type(message)()
        copy.CopyFrom(message)
        for field in _COMPARED_ELSEWHERE:
            copy.ClearField(field)
        plain.append(copy.SerializeToString(deterministic=True))
    return plain[0] == plain[1]


_COMPARED_ELSEWHERE: Final = (
    "type_id",
    "properties",
    "custom_properties",
    "create_time_since_epoch",
    "last_update_time_since_epoch",
)


def _masked_fields(kind: Kind, node: Node, stored: Node, mask: Sequence[str]) -> Node:
    """Return a message whose plain fields are the request's where the mask allows, else the stored ones."""
    if not mask:
        return node
    after = type(stored)()
    after.CopyFrom(stored)
    for field in ("name", "uri", "external_id", kind.state_field or "name"):
        if field in mask and field in stored.DESCRIPTOR.fields_by_name:
            if node.HasField(field):
                setattr(after, field, getattr(node, field))
            else:
                after.ClearField(field)
    return after


# Events and links ----------------------------------------------------------------------------------------------------


def put_events(draft: Draft, request: service.PutEventsRequest) -> service.PutEventsResponse:
    """PutEvents."""
    for event in request.events:
        _put_event(draft, event, event.artifact_id, event.execution_id)
    return service.PutEventsResponse()


def _put_event(draft: Draft, event: pb.Event, artifact_id: int, execution_id: int) -> None:
    """Put an event between two nodes; their ids in the message may be unset where the request implies them."""
    if not artifact_id and not event.HasField("artifact_id"):
        raise Invalid("No artifact id is specified.")
    if not execution_id and not event.HasField("execution_id"):
        raise Invalid("No execution id is specified.")
    event_type = EVENT_TYPES[event.type]
    if event_type == _UNKNOWN:
        raise Invalid("No event type is specified.")
    for kind, node_id in ((ARTIFACT, artifact_id), (EXECUTION, execution_id)):
        if not draft.has_node(kind, node_id):
            raise Invalid(f"No {kind.name} with the given id {node_id}")
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
        raise Invalid(f"{kind.name.capitalize()} id not found.")


def put_parent_contexts(draft: Draft, request: service.PutParentContextsRequest) -> service.PutParentContextsResponse:
    """PutParentContexts: repeats and cycles are refused."""
    for link in request.parent_contexts:
        if not link.HasField("parent_id") or not link.HasField("child_id"):
            raise Invalid("Missing parent / child id in the parent_context")
        child_id, parent_id = link.child_id, link.parent_id
        if child_id == parent_id or not (draft.has_node(CONTEXT, parent_id) and draft.has_node(CONTEXT, child_id)):
            raise Invalid(f"Given parent / child id in the parent_context cannot be found: {parent_id} / {child_id}")
        if draft.is_ancestor(child_id, parent_id):
            raise Invalid("There is a cycle detected of the given relationship.")
        change = ParentContextPut(draft.next_id("parent_context"), parent_id, child_id)
        if not draft.put_parent(change):
            raise errors.AlreadyExistsError(f"Given parent_context already exists: {parent_id} / {child_id}")
    return service.PutParentContextsResponse()


# Composite puts ------------------------------------------------------------------------------------------------------


def put_execution(draft: Draft, request: service.PutExecutionRequest) -> service.PutExecutionResponse:
    """PutExecution: artifacts, then the execution, then events, then contexts."""
    if not request.HasField("execution"):
        raise Invalid("No execution is found")
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
                raise errors.NotFoundError(f"Results missing for ids: {{{context.id}}}. Found results for {{}}")
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
        raise Invalid(
            f"Request's event.execution_id does not match with the given execution: {event.execution_id}, {execution_id}"
        )
    if artifact_id is None:
        if not event.HasField("artifact_id"):
            raise Invalid("If no artifact is present, given event must have an artifact_id")
        artifact_id = event.artifact_id
    elif event.HasField("artifact_id") and event.artifact_id != artifact_id:
        raise Invalid(
            f"Given event.artifact_id is not aligned with the artifact: {event.artifact_id}, the artifact is {artifact_id}"
        )
    _put_event(draft, event, artifact_id, execution_id)
    return artifact_id


def put_context(draft: Draft, context: pb.Context, *, reuse: bool) -> int:
    """Put a context; with `reuse`, one that bears the name already is taken as it is."""
    if not context.HasField("type_id"):
        raise Invalid("Context is missing a type_id")
    if not context.HasField("name"):
        raise Invalid("Context is missing a name")
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
        _put_event(draft, event, artifact_id, execution_id)
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
        raise Invalid("No event found for event_edge")
    for kind, article in ((EXECUTION, "an execution"), (ARTIFACT, "an artifact")):
        nodes, index_field, id_field = getattr(request, kind.plural), f"{kind.name}_index", f"{kind.name}_id"
        event_id = getattr(edge.event, id_field) if edge.event.HasField(id_field) else None
        if not edge.HasField(index_field):
            if event_id is None:
                raise Invalid(
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
            raise Invalid(
                f"Missing {kind.name} ID. The referenced {kind.name} at {index_field} {index} does not have an ID"
                f" even though the event_edge specifies an event.{id_field} of {event_id}"
            )
        if nodes[index].id != event_id:
            raise Invalid(
                f"{kind.name.capitalize()} ID mismatch. The referenced {kind.name} at {index_field} {index} has an ID"
                f" of {nodes[index].id} that does not match the event_edge's event.{id_field} of {event_id}"
            )


def _check_nodes(draft: Draft, kind: Kind, nodes: Sequence[Node]) -> None:
    """Check the nodes of one kind as MLMD does before it writes: type ids, then types, then properties."""
    if any(not node.HasField("type_id") for node in nodes):
        raise Invalid("Type id is missing.")
    types = {type_id: draft.type(kind, type_id) for type_id in dict.fromkeys(node.type_id for node in nodes)}
    missing = [type_id for type_id, found in types.items() if found is None]
    if missing:
        raise errors.NotFoundError(f"Results missing for ids: {missing}: there is no such {kind.name} type")
    for node in nodes:
        stored_type = types[node.type_id]
        assert stored_type is not None, "checked above"
        _typed(node.properties, stored_type.arms)
