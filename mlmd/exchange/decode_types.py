"""Rows of Type, TypeProperty and ParentType -> types, the system types that the database lacks among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format
from msgspec.structs import replace

from mlmd.exchange.kept import NO_NAME, NO_OWNER, SAME_EXTERNAL_ID, Kept, wrong_id
from mlmd.exchange.schema import PARENT_TYPE, TYPE, TYPE_PROPERTY
from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, PROPERTY_TYPES, SYSTEM_TYPES, Kind
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evlog.records import TypePut
    from mlmd.exchange.sources import Row

_TYPE_KINDS: Final[dict[Any, Kind]] = {0: EXECUTION, 1: ARTIFACT, 2: CONTEXT}

NO_SUCH_KIND: Final = "no such kind of type"
SAME_TYPE: Final = "a type of the same name and version has a lower id: this one's version became its id"
EMPTY_EXTERNAL_ID: Final = "an empty external_id of a type: it became none"
NO_PROPERTY_TYPE: Final = "no such type of a property"
NOT_SYSTEM: Final = "a base type that is no system type of this kind, or a second one"
BAD_SIGNATURE: Final = "an input or output type that cannot be read: the type was put without"
EMPTY_VERSION: Final = "an empty version: it became none"


class TypeDecoder:
    """Reads all types once. types: by id, as they will be put."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.types: dict[int, TypePut] = {}

    def read(self, rows: Iterable[Row], properties: Iterable[Row], parents: Iterable[Row]) -> list[TypePut]:
        """Return all types by ascending id, and after them the system types that the database lacks."""
        kinds: dict[int, Kind] = {}
        identities: dict[tuple[str, str, str | None], int] = {}
        external_ids: set[tuple[str, str]] = set()
        for row in rows:
            kind, type_id = _TYPE_KINDS.get(row[2]), row[0]
            why = NO_SUCH_KIND if kind is None else wrong_id(type_id)
            if why is not None:
                self._kept.keep(TYPE, row, why)
                continue
            assert kind is not None, "why says so"
            kinds[type_id] = kind
            self.types[type_id] = self._type(kind, row, identities, external_ids)
        self._declare(properties)
        self._base(kinds, parents)
        for kind, name in SYSTEM_TYPES:
            if (kind.name, name, None) not in identities:
                new_id = max(self.types, default=0) + 1
                self.types[new_id] = kind.type_put(id=new_id, name=name)
        return [self.types[type_id] for type_id in sorted(self.types)]

    def _type(
        self,
        kind: Kind,
        row: Row,
        identities: dict[tuple[str, str, str | None], int],
        external_ids: set[tuple[str, str]],
    ) -> TypePut:
        type_id, name, _, input_type, output_type, version, description, external_id = row
        name, version, description, external_id = (
            self._kept.text(TYPE, row, text) for text in (name, version, description, external_id)
        )
        if name is None:
            self._kept.keep(TYPE, row, NO_NAME)
            name = f"id {type_id}"
        if version == "":
            self._kept.keep(TYPE, row, EMPTY_VERSION)
            version = None
        if (kind.name, name, version) in identities:
            self._kept.keep(TYPE, row, SAME_TYPE)
            version = f"id {type_id}"
        identities[kind.name, name, version] = type_id
        if external_id is not None:
            if (kind.name, external_id) in external_ids or not external_id:
                self._kept.keep(TYPE, row, SAME_EXTERNAL_ID if external_id else EMPTY_EXTERNAL_ID)
                external_id = None
            else:
                external_ids.add((kind.name, external_id))
        own: dict[str, Any] = {}
        if kind is EXECUTION:
            for field, text in (("input_type", input_type), ("output_type", output_type)):
                own[field] = None if text is None else self._signature(row, text)
        return kind.type_put(
            id=type_id, name=name, version=version, description=description, external_id=external_id, **own
        )

    def _signature(self, row: Row, text: Any) -> dict[str, Any] | None:
        try:
            message = json_format.Parse(text, pb.ArtifactStructType())
        except (json_format.ParseError, TypeError, UnicodeDecodeError):
            self._kept.keep(TYPE, row, BAD_SIGNATURE)
            return None
        found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
        return found

    def _declare(self, rows: Iterable[Row]) -> None:
        """Add properties to the types."""
        for row in rows:
            type_id, name, data_type = row
            found, key = self.types.get(type_id), self._kept.text(TYPE_PROPERTY, row, name)
            property_type = PROPERTY_TYPES.get(data_type) if data_type else None
            if found is None or key is None or property_type is None:
                self._kept.keep(TYPE_PROPERTY, row, NO_OWNER if found is None else NO_PROPERTY_TYPE)
                continue
            self.types[type_id] = replace(found, properties={**found.properties, key: property_type})

    def _base(self, kinds: Mapping[int, Kind], rows: Iterable[Row]) -> None:
        """Add base types to the types."""
        for row in rows:
            type_id, parent_id = row
            found, parent, kind = self.types.get(type_id), self.types.get(parent_id), kinds.get(type_id)
            if found is None or parent is None or kind is None:
                self._kept.keep(PARENT_TYPE, row, NO_OWNER)
            elif kinds[parent_id] is not kind or parent.name not in kind.base_types.values() or found.base_type:
                self._kept.keep(PARENT_TYPE, row, NOT_SYSTEM)
            else:
                self.types[type_id] = replace(found, base_type=parent.name)
