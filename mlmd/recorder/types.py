"""Types, registered when they are first used: their ids, remembered for each store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from mlmd import errors
from mlmd.recorder.values import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmd.kinds import Kind
    from mlmd.store import MetadataStore

# A type keeps its id for ever, so what two threads find out at once is the same.
_KNOWN: Final[WeakKeyDictionary[MetadataStore, dict[tuple[str, str], int]]] = WeakKeyDictionary()


def id_of(metadata: MetadataStore, kind: Kind, name: str, properties: Mapping[str, int] | None = None) -> int:
    """Return the id of a type, which is put where there is none. Raises InvalidArgumentError.

    properties: those that it must have, by name: numbers of PropertyType.
    """
    known = _KNOWN.setdefault(metadata, {})
    found = known.get((kind.name, name))
    if found is None:
        text_of(name, f"type of {kind.name}")
        found = known[kind.name, name] = _found(metadata, kind, name, properties or {})
    return found


def _found(metadata: MetadataStore, kind: Kind, name: str, properties: Mapping[str, int]) -> int:
    wanted = kind.type_message(name=name, properties=properties)
    try:
        stored = getattr(metadata, f"get_{kind.name}_type")(name)
    except errors.NotFoundError:
        stored = None
    if stored is not None and all(stored.properties.get(key) == value for key, value in properties.items()):
        return stored.id
    # Whoever is first makes it; the others are told its id.
    return getattr(metadata, f"put_{kind.name}_type")(wanted, can_add_fields=True, can_omit_fields=True)
