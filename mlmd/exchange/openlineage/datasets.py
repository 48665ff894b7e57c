"""Artifacts as datasets of OpenLineage: what they are called there, and what facets say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from evlog.records import Struct
from mlmd.convert import properties_of, state_of, text_of
from mlmd.exchange.openlineage import words
from mlmd.exchange.openlineage.facets import PRODUCER, ArtifactFacet, kept, said_of, standard, tainted
from mlmd.kinds import ARTIFACT
from mlmd.recorder import words as recorded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmd.proto import metadata_store_pb2 as pb


def dataset_of(node: pb.Artifact, namespace: str) -> tuple[tuple[str, str], dict[str, Any]]:
    """Return namespace and name of an artifact, and its facets. namespace: of what has none of its own."""
    held = properties_of(node.custom_properties)
    names = _names(node, held, namespace)
    dataset_type = standard.dataset_type_dataset.DatasetTypeDatasetFacet(datasetType=node.type, producer=PRODUCER)
    made: dict[str, Any] = {"datasetType": dataset_type}
    version = next((held[key] for key in (recorded.VERSION, recorded.DIGEST, words.VERSION) if key in held), None)
    if version is not None:
        made["version"] = standard.dataset_version_dataset.DatasetVersionDatasetFacet(
            datasetVersion=str(version), producer=PRODUCER
        )
    place = _place(node.uri)
    if place is not None and place != names:
        link = standard.symlinks_dataset.Identifier(*place, type="LOCATION")
        made["symlinks"] = standard.symlinks_dataset.SymlinksDatasetFacet(identifiers=[link], producer=PRODUCER)
    if (schema := _schema(held.get("schema"))) is not None:
        made["schema"] = schema
    state = state_of(ARTIFACT, node)
    ours = ArtifactFacet(node.id, node.type, state, tainted(held), node.uri, said_of(node), producer=PRODUCER)
    return names, made | kept(held, words.FACETS) | {"evlog_artifact": ours}


def _names(node: pb.Artifact, held: Mapping[str, Any], namespace: str) -> tuple[str, str]:
    """Return namespace and name of a dataset: those it came in with, its own name, its place, or its id. A version is no part of it."""
    came = held.get(words.NAMESPACE), held.get(words.NAME)
    if isinstance(came[0], str) and isinstance(came[1], str):
        return came[0], came[1]
    own = held.get(recorded.NAME) or text_of(node, "name")
    if isinstance(own, str) and own:
        return namespace, f"{node.type}/{own}"
    return _place(node.uri) or (namespace, f"{node.type}/{node.id}")


def _place(uri: str) -> tuple[str, str] | None:
    """Return namespace and name of what lies at a URI, by OpenLineage's conventions; None where it is no address."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    path = uri.split("://", 1)[-1][len(parts.netloc) :].lstrip("/")
    if parts.scheme == "file" or (not parts.scheme and uri.startswith("/")):
        return "file", f"/{path}" if parts.scheme else uri
    return (f"{parts.scheme}://{parts.netloc}", path) if parts.scheme and parts.netloc and path else None


def _schema(value: Any) -> Any:
    """Return the schema facet of a struct {column: type}, None for any other value."""
    columns = value.fields if isinstance(value, Struct) else {}
    if not columns or not all(isinstance(one, str) for one in columns.values()):
        return None
    made = [standard.schema_dataset.SchemaDatasetFacetFields(name=key, type=told) for key, told in columns.items()]
    return standard.schema_dataset.SchemaDatasetFacet(fields=made, producer=PRODUCER)
