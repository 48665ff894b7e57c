"""Answer: what a get request reads. Every query takes a Lookup and a request, and returns the response, as bytes or as a message.

Lists of nodes, types and events are the view's bodies joined (see `convert`): a server sends them as they are. Source: the contract of ml-metadata 1.17.1;
departures are listed in docs/compatibility.md.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.unknown_fields import UnknownFieldSet

from mlmd import errors
from mlmd.convert import texts
from mlmd.kinds import ARTIFACT, CONTEXT, SYSTEM_TYPE_NAMES, Kind
from mlmd.paging import page
from mlmd.proto import metadata_store_service_pb2 as service
from projections.query import Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from projections.sqlite.lookup import Lookup

    Query = Callable[[Lookup, Any], Any]
    """What it returns is bytes where they are at hand, else the message."""

_EMPTY_EXTERNAL_ID: Final = "Invalid argument because at least one empty external_id exists."


def _response(name: str) -> type[Any]:
    found: type[Any] = getattr(service, f"{name}Response")
    return found


# Types ---------------------------------------------------------------------------------------------------------------


def get_type(kind: Kind) -> Query:
    """Return the query of Get{Artifact,Execution,Context}Type."""

    def query(lookup: Lookup, request: Any) -> bytes:
        body = lookup.type_named(kind.name, request.type_name, request.type_version)
        if body is None:
            version = request.type_version or "nullopt"
            raise errors.NotFoundError(f"No type found for query, name: `{request.type_name}`, version: `{version}`")
        return body

    return query


def get_types(kind: Kind) -> Query:
    """Return the query of Get{Artifact,Execution,Context}Types. System types are hidden, by name, but not of contexts."""
    name = f"Get{kind.name.capitalize()}Types"
    response_class, field = _response(name), f"{kind.name}_types"

    def query(lookup: Lookup, _request: Any) -> Any:
        bodies = b"".join(lookup.types(kind.name))
        if kind is CONTEXT:
            return bodies
        response = response_class.FromString(bodies)
        types = getattr(response, field)
        shown = [message for message in types if message.name not in SYSTEM_TYPE_NAMES]
        del types[:]
        types.extend(shown)
        return response

    return query


def get_types_by_id(kind: Kind) -> Query:
    """Return the query of Get{Artifact,Execution,Context}TypesByID: in the order asked, repeats repeated."""

    def query(lookup: Lookup, request: Any) -> bytes:
        with lookup.snapshot():
            bodies = _types(lookup, kind, request.type_ids)
        return b"".join(bodies)

    return query


def _types(lookup: Lookup, kind: Kind, type_ids: Iterable[int]) -> list[bytes]:
    return [body for type_id in type_ids if (body := lookup.type(kind.name, type_id)) is not None]


def get_types_by_external_ids(kind: Kind) -> Query:
    """Return the query of Get{Artifact,Execution,Context}TypesByExternalIds."""

    def query(lookup: Lookup, request: Any) -> bytes:
        return b"".join(_external(request.external_ids, "types", lambda ids: lookup.types_external(kind.name, ids)))

    return query


def _external(external_ids: Sequence[str], what: str, find: Callable[[Sequence[str]], list[bytes]]) -> list[bytes]:
    if "" in external_ids:
        raise errors.InvalidArgumentError(_EMPTY_EXTERNAL_ID)
    bodies = find(texts(external_ids))
    if external_ids and not bodies:
        raise errors.NotFoundError(f"No {what} found for external_ids.")
    return bodies


# Nodes ---------------------------------------------------------------------------------------------------------------


def get_nodes(kind: Kind) -> Query:
    """Return the query of Get{Artifacts,Executions,Contexts}."""
    response, candidates = _response(f"Get{kind.plural.capitalize()}"), Listing(kind.name)

    def query(lookup: Lookup, request: Any) -> bytes:
        return _list(lookup, response, candidates, request)

    return query


def get_nodes_by_type(kind: Kind) -> Query:
    """Return the query of Get{Artifacts,Executions,Contexts}ByType."""
    response = _response(f"Get{kind.plural.capitalize()}ByType")

    def query(lookup: Lookup, request: Any) -> bytes:
        type_id = lookup.type_id_named(kind.name, request.type_name, request.type_version)
        if type_id is None:
            return b""
        return _list(lookup, response, Listing(kind.name, type_id=type_id), request, last_token="")

    return query


def get_nodes_by_context(kind: Kind) -> Query:
    """Return the query of Get{Artifacts,Executions}ByContext."""
    response = _response(f"Get{kind.plural.capitalize()}ByContext")

    def query(lookup: Lookup, request: Any) -> bytes:
        return _list(lookup, response, Listing(kind.name, context_id=request.context_id), request)

    return query


def _list(
    lookup: Lookup, response: type[Any], candidates: Listing, request: Any, *, last_token: str | None = None
) -> bytes:
    """Return the candidates, or the page of them that the request's options ask for.

    last_token: what the response's token is on the last page; None leaves it unset.
    """
    if not request.HasField("options"):
        return b"".join([listed.body for listed in lookup.page(candidates)])
    with lookup.snapshot():
        everything = candidates.type_id is None and candidates.context_id is None
        if not everything and not lookup.page(candidates._replace(limit=1)):
            return b""  # As in MLMD, options of an empty candidate set are not even looked at.
        found = page(candidates, request.options, lookup.page)
    token = last_token if found.token is None else found.token
    # Messages one after the other are read as one.
    last = b"" if token is None else response(next_page_token=token).SerializeToString()
    return b"".join(found.bodies) + last


def get_nodes_by_id(kind: Kind) -> Query:
    """Return the query of Get{Artifacts,Executions,Contexts}ByID: by ascending id, each once."""
    field = f"{kind.name}_ids"

    def query(lookup: Lookup, request: Any) -> bytes:
        return b"".join(lookup.nodes(kind.name, getattr(request, field)))

    return query


def get_artifacts_by_id(lookup: Lookup, request: service.GetArtifactsByIDRequest) -> Any:
    """GetArtifactsByID: with the types of the artifacts, in the order of their first use, if asked."""
    if not request.populate_artifact_types:
        return _ARTIFACTS_BY_ID(lookup, request)
    with lookup.snapshot():
        response = service.GetArtifactsByIDResponse.FromString(_ARTIFACTS_BY_ID(lookup, request))
        type_ids = dict.fromkeys(artifact.type_id for artifact in response.artifacts)
        types = service.GetArtifactTypesByIDResponse.FromString(b"".join(_types(lookup, ARTIFACT, type_ids)))
    response.artifact_types.extend(types.artifact_types)
    return response


_ARTIFACTS_BY_ID: Final = get_nodes_by_id(ARTIFACT)


def get_node_by_type_and_name(kind: Kind) -> Query:
    """Return the query of Get{Artifact,Execution,Context}ByTypeAndName: the node, or nothing."""
    field = f"{kind.name}_name"

    def query(lookup: Lookup, request: Any) -> bytes:
        type_id = lookup.type_id_named(kind.name, request.type_name, request.type_version)
        body = None if type_id is None else lookup.node_named(kind.name, type_id, getattr(request, field))
        return body or b""

    return query


def get_nodes_by_external_ids(kind: Kind) -> Query:
    """Return the query of Get{Artifacts,Executions,Contexts}ByExternalIds."""

    def query(lookup: Lookup, request: Any) -> bytes:
        return b"".join(_external(request.external_ids, kind.plural, lambda ids: lookup.nodes_external(kind.name, ids)))

    return query


def get_artifacts_by_uri(lookup: Lookup, request: service.GetArtifactsByURIRequest) -> bytes:
    """GetArtifactsByURI: uri by uri in the order asked, each once."""
    unknown: Any = UnknownFieldSet(request)
    if any(field.field_number == 1 for field in unknown):
        raise errors.InvalidArgumentError(
            "The request contains deprecated field `uri`. Please upgrade the client library version above 0.21.0."
        )
    uris = dict.fromkeys(texts(request.uris))
    with lookup.snapshot() if len(uris) > 1 else nullcontext():
        bodies = [body for uri in uris for body in lookup.artifacts_at(uri)]
    return b"".join(bodies)


# Events and links ----------------------------------------------------------------------------------------------------


def get_events(kind: Kind) -> Query:
    """Return the query of GetEventsBy{Artifact,Execution}IDs."""
    field = f"{kind.name}_ids"

    def query(lookup: Lookup, request: Any) -> Any:
        bodies = b"".join(lookup.events_of(kind.name, getattr(request, field)))
        if kind is not ARTIFACT:
            return bodies
        # Between two nodes the number of the event's type decides, not the order of the puts.
        response = service.GetEventsByArtifactIDsResponse.FromString(bodies)
        response.events.sort(key=lambda event: (event.artifact_id, event.execution_id, event.type))
        return response

    return query


def get_contexts_of(kind: Kind) -> Query:
    """Return the query of GetContextsBy{Artifact,Execution}."""
    field = f"{kind.name}_id"

    def query(lookup: Lookup, request: Any) -> bytes:
        node_id = getattr(request, field)
        bodies = lookup.contexts_of(kind.name, node_id)
        if not bodies:
            raise errors.NotFoundError(f"No contexts found for {field}: {node_id}")
        return b"".join(bodies)

    return query


def get_relatives(relation: str, many: str) -> Query:
    """Return the query of Get{Parent,Children}ContextsByContext. relation: "parent" or "child"."""
    response_class = _response(f"Get{many}ContextsByContext")

    def query(lookup: Lookup, request: Any) -> Any:
        response = response_class.FromString(
            b"".join(body for _, body in lookup.relatives(relation, [request.context_id]))
        )
        response.contexts.sort(key=lambda context: context.id)
        return response

    return query


def get_relatives_of_many(relation: str, many: str) -> Query:
    """Return the query of Get{Parent,Children}ContextsByContexts: a map with an entry for each context that has any."""
    response_class = _response(f"Get{many}ContextsByContexts")
    field = f"{'parent' if relation == 'parent' else 'children'}_contexts"

    def query(lookup: Lookup, request: Any) -> Any:
        if not request.context_ids:
            raise errors.InvalidArgumentError("context_ids is empty")
        response = response_class()
        for context_id, body in lookup.relatives(relation, request.context_ids):
            (context,) = service.GetContextsResponse.FromString(body).contexts
            getattr(response.contexts[context_id], field).append(context)
        return response

    return query


def get_lineage_graph(_lookup: Lookup, _request: Any) -> Any:
    """GetLineageGraph, retired by MLMD."""
    raise errors.UnimplementedError("GetLineageGraph is not implemented: use GetLineageSubgraph")
