"""Types: put, extended, refused where they contradict what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmd import errors
from mlmd.convert import property_types, text_of, type_put
from mlmd.errors import InvalidArgumentError
from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, SYSTEM_TYPES, UNKNOWN, Kind
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mlmd.commands.draft import Draft, StoredType
    from mlmd.kinds import Type


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
            raise InvalidArgumentError("No type name is specified.")
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
            if property_type == UNKNOWN:
                raise InvalidArgumentError(f"Property {key} is UNKNOWN.")
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
        given, stored = property_types(message), before.properties
        if not self._can_omit and (omitted := stored.keys() - given.keys()):
            raise _different("can_omit_fields is false while the stored type has more properties", omitted)
        if conflicting := {key for key in given.keys() & stored.keys() if given[key] != stored[key]}:
            raise _different("Conflicting property value type found in stored and given types", conflicting)
        added = {key: property_type for key, property_type in given.items() if key not in stored}
        if added and not self._can_add:
            raise _different("can_add_fields is false while the given type has more properties", added)
        for key, property_type in added.items():
            if property_type == UNKNOWN:
                raise InvalidArgumentError(f"Property:{key} type should not be UNKNOWN.")
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
                raise InvalidArgumentError("There is a cycle detected of the given relationship.")
            system = self._draft.type_named(kind, above, "")
            above = kind.base_types.get(system.message.base_type) if system else None
        return base


def _different(reason: str, keys: Iterable[str]) -> errors.AlreadyExistsError:
    listed = ", ".join(sorted(keys))
    return errors.AlreadyExistsError(f"Type already exists with different properties: {reason}: {listed}")
