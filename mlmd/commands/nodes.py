"""Artifacts, executions and contexts: created, updated, merged under a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlmd import errors
from mlmd.convert import node_put, stored_put, text_of, value_of
from mlmd.errors import InvalidArgumentError
from mlmd.kinds import ARTIFACT, CONTEXT, Kind
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from replay.things import same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from evlog.records import Properties
    from mlmd.commands.draft import Draft
    from mlmd.kinds import Node


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
        raise InvalidArgumentError("Type id is missing.")
    stored_type = draft.type(kind, node.type_id)
    if stored_type is None:
        raise errors.NotFoundError(
            f"Cannot find type for the {kind.name}: No type found for query, type_id: {node.type_id}"
        )
    properties = typed(node.properties, stored_type.arms)
    custom_properties = _untyped(node.custom_properties)
    if kind is CONTEXT and not node.name:
        raise InvalidArgumentError("Context name should not be empty")
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
        raise InvalidArgumentError(f"Cannot find the given id {node.id}")
    if guarded and node.last_update_time_since_epoch != stored.last_update_time_since_epoch:
        raise errors.FailedPreconditionError(
            "`abort_if_latest_updated_time_changed` is set, and the stored artifact with id = "
            f"{node.id} has a different last_update_time_since_epoch: {stored.last_update_time_since_epoch}"
            f" from the one in the given artifact: {node.last_update_time_since_epoch}"
        )
    if not force and _bits(node) == _bits(stored):  # Not ==: to protobuf, 0.0 is -0.0.
        return stored.id  # What a get answered, put back: the common case, and nothing to check.
    if node.HasField("type_id") and node.type_id != stored.type_id:
        raise InvalidArgumentError(
            f"Given type_id {node.type_id} is different from the one known before: {stored.type_id}"
        )
    stored_type = draft.type(kind, stored.type_id)
    assert stored_type is not None, "a stored node has a type"
    whole = force and not mask  # All of it is put, whatever there was.
    before = stored_put(kind, stored) if not whole else None
    properties = _merged(
        before.properties if before is not None else {},
        node.properties,
        _masked_keys("properties", mask),
        lambda values: typed(values, stored_type.arms),
    )
    custom_properties = _merged(
        before.custom_properties if before is not None else {},
        node.custom_properties,
        _masked_keys("custom_properties", mask),
        _untyped,
    )
    unchanged = (
        before is not None
        and same(properties, before.properties)
        and same(custom_properties, before.custom_properties)
        and _same_plain_fields(node, stored)
    )
    if unchanged and not force:
        return stored.id
    after = _masked_fields(kind, node, stored, mask)
    if kind is CONTEXT and not after.name:
        raise InvalidArgumentError("Context name should not be empty")
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


def typed(values: Mapping[str, pb.Value], arms: Mapping[str, str]) -> Properties:
    """Return values that fit a type's declared properties. arms: the field of Value that each property has its value in."""
    properties: Properties = {}
    for key in sorted(values):  # A map has no order of its own: the same request is the same record.
        value, arm = values[key], arms.get(key)
        if arm is None:
            raise InvalidArgumentError(f"Found unknown property: {key}")
        if not value.HasField(arm):  # type: ignore[arg-type] # A field of the one oneof there is.
            raise InvalidArgumentError(f"Found unmatched property type: {key}")
        properties[key] = value_of(value, arm)
    return properties


def _untyped(values: Mapping[str, pb.Value]) -> Properties:
    """Return values of any type; each must have one."""
    properties: Properties = {}
    for key in sorted(values):  # A map has no order of its own: the same request is the same record.
        value = values[key]
        arm = value.WhichOneof("value")
        if arm is None:
            raise InvalidArgumentError(f"Found unmatched property type: {key}")
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


def _same_plain_fields(node: Node, stored: Node) -> bool:
    """Tell whether two messages agree in all but what is compared elsewhere; unset differs from empty."""
    plain = []
    for message in (node, stored):
        copy = type(message)()
        copy.CopyFrom(message)
        for field in _COMPARED_ELSEWHERE:
            copy.ClearField(field)
        plain.append(_bits(copy))
    return plain[0] == plain[1]


def _bits(message: Node) -> bytes:
    return message.SerializeToString(deterministic=True)


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
