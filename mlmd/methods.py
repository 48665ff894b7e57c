"""One table of MLMD's 52 methods: what each takes, what it answers, and the command or query behind it.

The Python store, the gRPC server and the command all go through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlmd import lineage, queries
from mlmd.commands.composite import put_execution, put_lineage_subgraph
from mlmd.commands.links import put_attributions_and_associations, put_events, put_parent_contexts
from mlmd.commands.nodes import put_nodes
from mlmd.commands.types import create_system_types, put_type, put_types
from mlmd.kinds import ARTIFACT, CONTEXT, KINDS
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.sqlite.lookup import Lookup


class Method(NamedTuple):
    """One RPC. Exactly one of command(draft, request) and query(lookup, request) is there; a query may answer in bytes."""

    name: str
    request: type[Any]
    response: type[Any]
    command: Callable[[Any, Any], Any] | None
    query: Callable[[Any, Any], Any] | None

    def ask(self, lookup: Lookup, request: Any) -> Any:
        """Return the message that a get answers with."""
        assert self.query is not None, "a get"
        return self.message(self.query(lookup, request))

    def message(self, answer: Any) -> Any:
        """Return an answer as a message, if it is in bytes."""
        return self.response.FromString(answer) if answer.__class__ is bytes else answer


def _commands() -> dict[str, Callable[[Any, Any], Any]]:
    table: dict[str, Callable[[Any, Any], Any]] = {
        "PutTypes": put_types,
        "PutEvents": put_events,
        "PutExecution": put_execution,
        "PutLineageSubgraph": put_lineage_subgraph,
        "PutAttributionsAndAssociations": put_attributions_and_associations,
        "PutParentContexts": put_parent_contexts,
    }
    for kind in KINDS:
        table[f"Put{kind.name.capitalize()}Type"] = put_type(kind)
        table[f"Put{kind.plural.capitalize()}"] = put_nodes(kind)
    return table


def _queries() -> dict[str, Callable[[Any, Any], Any]]:
    table: dict[str, Callable[[Any, Any], Any]] = {
        "GetArtifactsByURI": queries.get_artifacts_by_uri,
        "GetLineageGraph": queries.get_lineage_graph,
        "GetLineageSubgraph": lineage.get_lineage_subgraph,
        "GetParentContextsByContext": queries.get_relatives("parent", "Parent"),
        "GetChildrenContextsByContext": queries.get_relatives("child", "Children"),
        "GetParentContextsByContexts": queries.get_relatives_of_many("parent", "Parent"),
        "GetChildrenContextsByContexts": queries.get_relatives_of_many("child", "Children"),
    }
    for kind in KINDS:
        one, many = kind.name.capitalize(), kind.plural.capitalize()
        table[f"Get{one}Type"] = queries.get_type(kind)
        table[f"Get{one}Types"] = queries.get_types(kind)
        table[f"Get{one}TypesByID"] = queries.get_types_by_id(kind)
        table[f"Get{one}TypesByExternalIds"] = queries.get_types_by_external_ids(kind)
        table[f"Get{many}"] = queries.get_nodes(kind)
        table[f"Get{many}ByType"] = queries.get_nodes_by_type(kind)
        table[f"Get{many}ByID"] = queries.get_artifacts_by_id if kind is ARTIFACT else queries.get_nodes_by_id(kind)
        table[f"Get{one}ByTypeAndName"] = queries.get_node_by_type_and_name(kind)
        table[f"Get{many}ByExternalIds"] = queries.get_nodes_by_external_ids(kind)
        if kind is not CONTEXT:
            table[f"Get{many}ByContext"] = queries.get_nodes_by_context(kind)
            table[f"GetContextsBy{one}"] = queries.get_contexts_of(kind)
            table[f"GetEventsBy{one}IDs"] = queries.get_events(kind)
    return table


def _methods() -> dict[str, Method]:
    commands_by_name, queries_by_name = _commands(), _queries()
    methods = {}
    for descriptor in service.DESCRIPTOR.services_by_name["MetadataStoreService"].methods:
        name = descriptor.name
        request, response = getattr(service, descriptor.input_type.name), getattr(service, descriptor.output_type.name)
        methods[name] = Method(name, request, response, commands_by_name.get(name), queries_by_name.get(name))
    return methods


METHODS: Final = _methods()
assert all((method.command is None) != (method.query is None) for method in METHODS.values()), (
    "each method is one of two"
)

# Not an RPC: how a new store gets its system types, as a record like any other.
CREATE_STORE: Final = Method("CreateStore", type(None), type(None), lambda draft, _: create_system_types(draft), None)

# Not an RPC: the Python client's get_lineage_subgraph in one step, for a store in process.
WHOLE_LINEAGE: Final = Method(
    "GetWholeLineageSubgraph",
    service.GetLineageSubgraphRequest,
    pb.LineageGraph,
    None,
    lineage.get_whole_lineage_subgraph,
)
