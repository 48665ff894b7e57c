"""Facets of ours, beside those of OpenLineage's own classes, and what of a node goes into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from evlog.records import Struct
from mlmd import __version__
from mlmd.convert import properties_of
from mlmd.exchange.openlineage import words
from mlmd.plain import plain, unwrapped
from mlmd.recorder import words as recorded
from projections.errors import MissingLibraryError

try:
    import attr
    from openlineage.client import facet_v2
except ImportError:
    raise MissingLibraryError("openlineage-python", extra="openlineage") from None

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmd.kinds import Node

standard: Final = facet_v2  # Those of the library, for who makes them.
PRODUCER: Final = f"urn:evlog:producer:{__version__}"
_SCHEMAS: Final = "urn:evlog:openlineage:1:"


@attr.define
class CitationFacet(standard.RunFacet):  # type: ignore[misc, unused-ignore]
    """The first `offset` records of a log, and the root of their tree: with it the event can be made again, and compared."""

    log: str
    offset: int
    root: str

    @staticmethod
    def _get_schema() -> str:
        return f"{_SCHEMAS}CitationRunFacet"


@attr.define
class RunNodeFacet(standard.RunFacet):  # type: ignore[misc, unused-ignore]
    """The run as the store has it."""

    execution: int
    type: str
    state: str | None
    tainted: str | None
    properties: dict[str, Any]

    @staticmethod
    def _get_schema() -> str:
        return f"{_SCHEMAS}ExecutionRunFacet"


@attr.define
class ArtifactFacet(standard.DatasetFacet):  # type: ignore[misc, unused-ignore]
    """The artifact as the store has it."""

    artifact: int
    type: str
    state: str | None
    tainted: str | None
    uri: str
    properties: dict[str, Any]

    @staticmethod
    def _get_schema() -> str:
        return f"{_SCHEMAS}ArtifactDatasetFacet"


def kept(held: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the facets that came in with events."""
    value = held.get(key)
    return without_deleted(value.fields) if isinstance(value, Struct) else {}


def without_deleted(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return facets but for those that an event took back."""
    return {
        name: plain(facet)
        for name, facet in given.items()
        if isinstance(facet, dict) and facet.get("_deleted") is not True
    }


def said_of(node: Node) -> dict[str, Any]:
    """Return all properties, but for what came in with events, which has facets of its own."""
    both = properties_of(node.properties) | properties_of(node.custom_properties)
    return {key: plain(value) for key, value in sorted(both.items()) if not key.startswith(words.PREFIX)}


def named(held: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the properties whose names begin with a prefix, without it."""
    return {
        key.removeprefix(prefix): unwrapped(plain(value))
        for key, value in sorted(held.items())
        if key.startswith(prefix)
    }


def tainted(held: Mapping[str, Any]) -> str | None:
    """Return why a node is not to be used, None where it may be."""
    value = held.get(recorded.TAINTED)
    return None if value is None else str(plain(value))
