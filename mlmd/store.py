"""MetadataStore: MLMD's Python client, in process or of a server. One method is one RPC of `methods`, a few page through several."""

from __future__ import annotations

import enum
import logging
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlmd import errors
from mlmd.backed import Backed, at_of
from mlmd.engine import Engine
from mlmd.methods import WHOLE_LINEAGE
from mlmd.opening import open_config
from mlmd.past import Past
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlmd.moment import At

MAX_NUM_RESULT: Final = 100
_PAIR: Final = 2
_SCHEMA_VERSION: Final = 10  # Of MLMD; the log has a format of its own.
_LOG: Final = logging.getLogger(__name__)


def _past(config: pb.ConnectionConfig, at: At) -> Past:
    """Open what a config names for reading, as of a moment. Raises OpenError, StatusError."""
    readonly = pb.ConnectionConfig()
    readonly.CopyFrom(config)
    if readonly.WhichOneof("config") == "sqlite" and readonly.sqlite.filename_uri:
        readonly.sqlite.connection_mode = readonly.sqlite.READONLY
    engine = Engine(open_config(readonly))
    try:
        return Past(engine, at, owns=True)
    except BaseException:
        engine.close()
        raise


def _given(**fields: Any) -> dict[str, Any]:
    """Return the fields of a request. Raises TypeError for None, as MLMD does: messages take it for unset without a word."""
    for name, value in fields.items():
        if value is None:
            raise TypeError(f"{name} must be given, not None")
    return fields


class OrderByField(enum.Enum):
    """What a listing is ordered by."""

    CREATE_TIME = pb.ListOperationOptions.OrderByField.CREATE_TIME
    UPDATE_TIME = pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME
    ID = pb.ListOperationOptions.OrderByField.ID


@dataclass
class ListOptions:
    """What to list: at most `limit` nodes (None or 0: all), in an order, those that a filter leaves."""

    limit: int | None = None
    order_by: OrderByField | None = None
    is_asc: bool = True
    filter_query: str | None = None


@dataclass
class ExtraOptions:
    """Accepted by every method, without effect. euc: a placeholder, as in MLMD."""

    euc: Any = None


class MetadataStore(Backed):
    """A store of types, artifacts, executions, contexts and their links.

    Drop-in for `ml_metadata.MetadataStore`: same calls, same answers, same errors (`mlmd.errors`), and every put is durable, and a
    record in the log, when it returns. Safe for many threads and many processes. Every method takes `extra_options`, ignored.
    """

    def __init__(
        self,
        config: pb.ConnectionConfig | pb.MetadataStoreClientConfig,
        enable_upgrade_migration: bool = False,
        as_of: At | str | None = None,
    ) -> None:
        """Open what the config names: see docs/compatibility.md. Raises RuntimeError where it cannot be opened.

        A MetadataStoreClientConfig names a server, which is not asked before the first call. enable_upgrade_migration: without
        effect, there is no older schema; ValueError for a server, which is not ours to migrate. as_of: open it for reading, as it
        was then: see the method.
        """
        if isinstance(config, pb.MetadataStoreClientConfig):
            if enable_upgrade_migration:
                message = "enable_upgrade_migration is not for a client: start the server with it"
                raise ValueError(message)
            from mlmd.client import Remote  # noqa: PLC0415 - a store in process needs no gRPC

            self._backend = Remote(config, None if as_of is None else at_of(as_of))
        elif isinstance(config, pb.ConnectionConfig):
            if config.HasField("retry_options"):
                self._max_num_retries = config.retry_options.max_num_retries
            self._backend = _past(config, at_of(as_of)) if as_of is not None else Engine(open_config(config))
        else:
            message = (
                f"MetadataStore is expecting either a ConnectionConfig or a MetadataStoreClientConfig, not {config!r}"
            )
            raise ValueError(message)  # noqa: TRY004 - as MLMD does
        # MLMD's store has no `close`, so its users drop stores, TFX several for each component.
        weakref.finalize(self, self._backend.abandon).atexit = False

    def _pages(self, name: str, request: Any, field: str, options: ListOptions | None) -> list[Any]:
        """Return the nodes of all pages that the options ask for; without options, of one call without any."""
        if options is None:
            return list(getattr(self._call(name, request), field))
        limit = options.limit
        if limit is not None and limit < 0:
            raise errors.InvalidArgumentError(f"Invalid list_options.limit value passed. {limit}: must not be negative")
        wanted = request.options
        wanted.SetInParent()
        wanted.order_by_field.is_asc = options.is_asc
        if options.order_by is not None:
            wanted.order_by_field.field = options.order_by.value
        if options.filter_query:
            wanted.filter_query = options.filter_query
        found: list[Any] = []
        while True:
            wanted.max_result_size = min(limit - len(found), MAX_NUM_RESULT) if limit else MAX_NUM_RESULT
            response = self._call(name, request)
            found.extend(getattr(response, field))
            if not response.next_page_token or (limit and len(found) >= limit):
                return found
            wanted.next_page_token = response.next_page_token

    # Types ----------------------------------------------------------------------------------------------------------

    def put_artifact_type(
        self,
        artifact_type: pb.ArtifactType,
        can_add_fields: bool = False,
        can_omit_fields: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> int:
        """Create an artifact type, or extend it as the flags allow; return its id.

        Raises AlreadyExistsError where its properties do not fit the stored type's, InvalidArgumentError for a type without name.
        """
        request = service.PutArtifactTypeRequest(
            artifact_type=artifact_type, can_add_fields=can_add_fields, can_omit_fields=can_omit_fields
        )
        return self._call("PutArtifactType", request).type_id

    def put_execution_type(
        self,
        execution_type: pb.ExecutionType,
        can_add_fields: bool = False,
        can_omit_fields: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> int:
        """Create an execution type, or extend it as the flags allow; return its id.

        Raises AlreadyExistsError where its properties do not fit the stored type's, InvalidArgumentError for a type without name.
        """
        request = service.PutExecutionTypeRequest(
            execution_type=execution_type, can_add_fields=can_add_fields, can_omit_fields=can_omit_fields
        )
        return self._call("PutExecutionType", request).type_id

    def put_context_type(
        self,
        context_type: pb.ContextType,
        can_add_fields: bool = False,
        can_omit_fields: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> int:
        """Create a context type, or extend it as the flags allow; return its id.

        Raises AlreadyExistsError where its properties do not fit the stored type's, InvalidArgumentError for a type without name.
        """
        request = service.PutContextTypeRequest(
            context_type=context_type, can_add_fields=can_add_fields, can_omit_fields=can_omit_fields
        )
        return self._call("PutContextType", request).type_id

    def get_artifact_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> pb.ArtifactType:
        """Return one type. Raises NotFoundError where there is none."""
        request = service.GetArtifactTypeRequest(**_given(type_name=type_name), type_version=type_version or None)
        return self._call("GetArtifactType", request).artifact_type

    def get_artifact_types(self, extra_options: ExtraOptions | None = None) -> list[pb.ArtifactType]:
        """Return all types, by id; system types are left out."""
        return list(self._call("GetArtifactTypes", service.GetArtifactTypesRequest()).artifact_types)

    def get_artifact_types_by_id(
        self, type_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.ArtifactType]:
        """Return the types that exist, in the order asked."""
        request = service.GetArtifactTypesByIDRequest(**_given(type_ids=type_ids))
        return list(self._call("GetArtifactTypesByID", request).artifact_types)

    def get_artifact_types_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.ArtifactType]:
        """Return the types with these external ids. Raises NotFoundError where there is none of them."""
        request = service.GetArtifactTypesByExternalIdsRequest(external_ids=external_ids)
        return list(self._call("GetArtifactTypesByExternalIds", request).artifact_types)

    def get_execution_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> pb.ExecutionType:
        """Return one type. Raises NotFoundError where there is none."""
        request = service.GetExecutionTypeRequest(**_given(type_name=type_name), type_version=type_version or None)
        return self._call("GetExecutionType", request).execution_type

    def get_execution_types(self, extra_options: ExtraOptions | None = None) -> list[pb.ExecutionType]:
        """Return all types, by id; system types are left out."""
        return list(self._call("GetExecutionTypes", service.GetExecutionTypesRequest()).execution_types)

    def get_execution_types_by_id(
        self, type_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.ExecutionType]:
        """Return the types that exist, in the order asked."""
        request = service.GetExecutionTypesByIDRequest(**_given(type_ids=type_ids))
        return list(self._call("GetExecutionTypesByID", request).execution_types)

    def get_execution_types_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.ExecutionType]:
        """Return the types with these external ids. Raises NotFoundError where there is none of them."""
        request = service.GetExecutionTypesByExternalIdsRequest(external_ids=external_ids)
        return list(self._call("GetExecutionTypesByExternalIds", request).execution_types)

    def get_context_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> pb.ContextType:
        """Return one type. Raises NotFoundError where there is none."""
        request = service.GetContextTypeRequest(**_given(type_name=type_name), type_version=type_version or None)
        return self._call("GetContextType", request).context_type

    def get_context_types(self, extra_options: ExtraOptions | None = None) -> list[pb.ContextType]:
        """Return all types, by id."""
        return list(self._call("GetContextTypes", service.GetContextTypesRequest()).context_types)

    def get_context_types_by_id(
        self, type_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.ContextType]:
        """Return the types that exist, in the order asked."""
        request = service.GetContextTypesByIDRequest(**_given(type_ids=type_ids))
        return list(self._call("GetContextTypesByID", request).context_types)

    def get_context_types_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.ContextType]:
        """Return the types with these external ids. Raises NotFoundError where there is none of them."""
        request = service.GetContextTypesByExternalIdsRequest(external_ids=external_ids)
        return list(self._call("GetContextTypesByExternalIds", request).context_types)

    # Nodes ----------------------------------------------------------------------------------------------------------

    def put_artifacts(
        self,
        artifacts: Iterable[pb.Artifact],
        field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[int]:
        """Create artifacts without id, update those with one; return the ids in the same order.

        field_mask_paths: which fields an update writes; all if None. All or nothing. Raises InvalidArgumentError,
        NotFoundError for an unknown type, AlreadyExistsError where a name or external id is taken.
        """
        request = service.PutArtifactsRequest(**_given(artifacts=artifacts))
        if field_mask_paths:
            request.update_mask.paths.extend(field_mask_paths)
        return list(self._call("PutArtifacts", request).artifact_ids)

    def get_artifacts(
        self, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Artifact]:
        """Return artifacts: all by id, or those that the options ask for."""
        return self._pages("GetArtifacts", service.GetArtifactsRequest(), "artifacts", list_options)

    def get_artifacts_by_id(
        self, artifact_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.Artifact]:
        """Return the artifacts that exist, by id, each once."""
        return list(
            self._call(
                "GetArtifactsByID", service.GetArtifactsByIDRequest(**_given(artifact_ids=artifact_ids))
            ).artifacts
        )

    def get_artifacts_by_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Artifact]:
        """Return the artifacts of a type, by id; none where the type is unknown."""
        request = service.GetArtifactsByTypeRequest(**_given(type_name=type_name), type_version=type_version or None)
        return list(self._call("GetArtifactsByType", request).artifacts)

    def get_artifact_by_type_and_name(
        self,
        type_name: str,
        artifact_name: str,
        type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> pb.Artifact | None:
        """Return the artifact of a type with a name, or None."""
        request = service.GetArtifactByTypeAndNameRequest(
            **_given(type_name=type_name, artifact_name=artifact_name), type_version=type_version or None
        )
        response = self._call("GetArtifactByTypeAndName", request)
        return response.artifact if response.HasField("artifact") else None

    def get_artifacts_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.Artifact]:
        """Return the artifacts with these external ids. Raises NotFoundError where there is none of them."""
        request = service.GetArtifactsByExternalIdsRequest(external_ids=external_ids)
        return list(self._call("GetArtifactsByExternalIds", request).artifacts)

    def put_executions(
        self,
        executions: Iterable[pb.Execution],
        field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[int]:
        """Create executions without id, update those with one; return the ids in the same order.

        field_mask_paths: which fields an update writes; all if None. All or nothing. Raises InvalidArgumentError,
        NotFoundError for an unknown type, AlreadyExistsError where a name or external id is taken.
        """
        request = service.PutExecutionsRequest(**_given(executions=executions))
        if field_mask_paths:
            request.update_mask.paths.extend(field_mask_paths)
        return list(self._call("PutExecutions", request).execution_ids)

    def get_executions(
        self, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Execution]:
        """Return executions: all by id, or those that the options ask for."""
        return self._pages("GetExecutions", service.GetExecutionsRequest(), "executions", list_options)

    def get_executions_by_id(
        self, execution_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.Execution]:
        """Return the executions that exist, by id, each once."""
        return list(
            self._call(
                "GetExecutionsByID", service.GetExecutionsByIDRequest(**_given(execution_ids=execution_ids))
            ).executions
        )

    def get_executions_by_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Execution]:
        """Return the executions of a type, by id; none where the type is unknown."""
        request = service.GetExecutionsByTypeRequest(**_given(type_name=type_name), type_version=type_version or None)
        return list(self._call("GetExecutionsByType", request).executions)

    def get_execution_by_type_and_name(
        self,
        type_name: str,
        execution_name: str,
        type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> pb.Execution | None:
        """Return the execution of a type with a name, or None."""
        request = service.GetExecutionByTypeAndNameRequest(
            **_given(type_name=type_name, execution_name=execution_name), type_version=type_version or None
        )
        response = self._call("GetExecutionByTypeAndName", request)
        return response.execution if response.HasField("execution") else None

    def get_executions_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.Execution]:
        """Return the executions with these external ids. Raises NotFoundError where there is none of them."""
        request = service.GetExecutionsByExternalIdsRequest(external_ids=external_ids)
        return list(self._call("GetExecutionsByExternalIds", request).executions)

    def put_contexts(
        self,
        contexts: Iterable[pb.Context],
        field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[int]:
        """Create contexts without id, update those with one; return the ids in the same order.

        field_mask_paths: which fields an update writes; all if None. All or nothing. Raises InvalidArgumentError,
        NotFoundError for an unknown type, AlreadyExistsError where a name or external id is taken.
        """
        request = service.PutContextsRequest(**_given(contexts=contexts))
        if field_mask_paths:
            request.update_mask.paths.extend(field_mask_paths)
        return list(self._call("PutContexts", request).context_ids)

    def get_contexts(
        self, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """Return contexts: all by id, or those that the options ask for."""
        return self._pages("GetContexts", service.GetContextsRequest(), "contexts", list_options)

    def get_contexts_by_id(
        self, context_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """Return the contexts that exist, by id, each once."""
        return list(
            self._call("GetContextsByID", service.GetContextsByIDRequest(**_given(context_ids=context_ids))).contexts
        )

    def get_contexts_by_type(
        self, type_name: str, type_version: str | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """Return the contexts of a type, by id; none where the type is unknown."""
        request = service.GetContextsByTypeRequest(**_given(type_name=type_name), type_version=type_version or None)
        return list(self._call("GetContextsByType", request).contexts)

    def get_context_by_type_and_name(
        self,
        type_name: str,
        context_name: str,
        type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> pb.Context | None:
        """Return the context of a type with a name, or None."""
        request = service.GetContextByTypeAndNameRequest(
            **_given(type_name=type_name, context_name=context_name), type_version=type_version or None
        )
        response = self._call("GetContextByTypeAndName", request)
        return response.context if response.HasField("context") else None

    def get_contexts_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """Return the contexts with these external ids. Raises NotFoundError where there is none of them."""
        request = service.GetContextsByExternalIdsRequest(external_ids=external_ids)
        return list(self._call("GetContextsByExternalIds", request).contexts)

    def get_artifacts_and_types_by_artifact_ids(
        self, artifact_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> tuple[list[pb.Artifact], list[pb.ArtifactType]]:
        """Return the artifacts that exist, by id, and their types in the order of first use."""
        request = service.GetArtifactsByIDRequest(artifact_ids=artifact_ids, populate_artifact_types=True)
        response = self._call("GetArtifactsByID", request)
        return list(response.artifacts), list(response.artifact_types)

    def get_artifacts_by_uri(self, uri: str, extra_options: ExtraOptions | None = None) -> list[pb.Artifact]:
        """Return the artifacts with a uri, by id; "" finds those without."""
        return list(self._call("GetArtifactsByURI", service.GetArtifactsByURIRequest(uris=[uri])).artifacts)

    # Events and links -----------------------------------------------------------------------------------------------

    def put_events(self, events: Iterable[pb.Event], extra_options: ExtraOptions | None = None) -> None:
        """Put events. Raises InvalidArgumentError for an unknown node, AlreadyExistsError for an event that is there."""
        self._call("PutEvents", service.PutEventsRequest(**_given(events=events)))

    def get_events_by_execution_ids(
        self, execution_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.Event]:
        """Return the events of executions, in the order in which they were put."""
        request = service.GetEventsByExecutionIDsRequest(**_given(execution_ids=execution_ids))
        return list(self._call("GetEventsByExecutionIDs", request).events)

    def get_events_by_artifact_ids(
        self, artifact_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[pb.Event]:
        """Return the events of artifacts, by artifact, execution and type."""
        request = service.GetEventsByArtifactIDsRequest(**_given(artifact_ids=artifact_ids))
        return list(self._call("GetEventsByArtifactIDs", request).events)

    def put_attributions_and_associations(
        self,
        attributions: Iterable[pb.Attribution],
        associations: Iterable[pb.Association],
        extra_options: ExtraOptions | None = None,
    ) -> None:
        """Let artifacts and executions belong to contexts; repeats are fine. Raises InvalidArgumentError for an unknown id."""
        request = service.PutAttributionsAndAssociationsRequest(
            **_given(attributions=attributions, associations=associations)
        )
        self._call("PutAttributionsAndAssociations", request)

    def put_parent_contexts(
        self, parent_contexts: Iterable[pb.ParentContext], extra_options: ExtraOptions | None = None
    ) -> None:
        """Link contexts. Raises InvalidArgumentError for an unknown context or a cycle, AlreadyExistsError for a repeat."""
        self._call("PutParentContexts", service.PutParentContextsRequest(**_given(parent_contexts=parent_contexts)))

    def get_contexts_by_artifact(self, artifact_id: int, extra_options: ExtraOptions | None = None) -> list[pb.Context]:
        """Return the contexts of an artifact, by id. Raises NotFoundError where there is none."""
        request = service.GetContextsByArtifactRequest(**_given(artifact_id=artifact_id))
        return list(self._call("GetContextsByArtifact", request).contexts)

    def get_contexts_by_execution(
        self, execution_id: int, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """Return the contexts of an execution, by id. Raises NotFoundError where there is none."""
        request = service.GetContextsByExecutionRequest(**_given(execution_id=execution_id))
        return list(self._call("GetContextsByExecution", request).contexts)

    def get_artifacts_by_context(
        self, context_id: int, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Artifact]:
        """Return the artifacts of a context: all by id, or those that the options ask for."""
        request = service.GetArtifactsByContextRequest(**_given(context_id=context_id))
        return self._pages("GetArtifactsByContext", request, "artifacts", list_options)

    def get_executions_by_context(
        self, context_id: int, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[pb.Execution]:
        """Return the executions of a context: the newest first, or those that the options ask for."""
        request = service.GetExecutionsByContextRequest(**_given(context_id=context_id))
        newest_first = ListOptions(order_by=OrderByField.CREATE_TIME, is_asc=False)
        return self._pages("GetExecutionsByContext", request, "executions", list_options or newest_first)

    def get_parent_contexts_by_context(
        self, context_id: int, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """Return the direct parents of a context, by id."""
        request = service.GetParentContextsByContextRequest(**_given(context_id=context_id))
        return list(self._call("GetParentContextsByContext", request).contexts)

    def get_children_contexts_by_context(
        self, context_id: int, extra_options: ExtraOptions | None = None
    ) -> list[pb.Context]:
        """Return the direct children of a context, by id."""
        request = service.GetChildrenContextsByContextRequest(**_given(context_id=context_id))
        return list(self._call("GetChildrenContextsByContext", request).contexts)

    # Several at once ------------------------------------------------------------------------------------------------

    def put_execution(
        self,
        execution: pb.Execution,
        artifact_and_events: Sequence[tuple[pb.Artifact | None] | tuple[pb.Artifact | None, pb.Event | None]],
        contexts: Sequence[pb.Context] | None,
        reuse_context_if_already_exist: bool = False,
        reuse_artifact_if_already_exist_by_external_id: bool = False,
        force_reuse_context: bool = False,
        force_update_time: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> tuple[int, list[int], list[int]]:
        """Put an execution with its artifacts, events and contexts, as one record; return their ids.

        artifact_and_events: (artifact,), (artifact, event or None) or (None, event); falsy entries are skipped.
        """
        request = service.PutExecutionRequest(
            execution=execution,
            contexts=contexts,
            options=service.PutExecutionRequest.Options(
                reuse_context_if_already_exist=reuse_context_if_already_exist,
                reuse_artifact_if_already_exist_by_external_id=reuse_artifact_if_already_exist_by_external_id,
                force_reuse_context=force_reuse_context,
                force_update_time=force_update_time,
            ),
        )
        for entry in artifact_and_events:
            if entry:
                artifact, event = entry if len(entry) == _PAIR else (entry[0], None)
                request.artifact_event_pairs.add(artifact=artifact, event=event)
        response = self._call("PutExecution", request)
        return response.execution_id, list(response.artifact_ids), list(response.context_ids)

    def put_lineage_subgraph(
        self,
        executions: Sequence[pb.Execution],
        artifacts: Sequence[pb.Artifact],
        contexts: Sequence[pb.Context],
        event_edges: Sequence[tuple[int | None, int | None, pb.Event]],
        reuse_context_if_already_exist: bool = False,
        reuse_artifact_if_already_exist_by_external_id: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> tuple[list[int], list[int], list[int]]:
        """Put a whole subgraph as one record; return the ids of executions, artifacts and contexts.

        event_edges: (index of the execution or None, index of the artifact or None, event). Raises OutOfRangeError for a bad index.
        """
        request = service.PutLineageSubgraphRequest(
            executions=executions,
            artifacts=artifacts,
            contexts=contexts,
            options=service.PutLineageSubgraphRequest.Options(
                reuse_context_if_already_exist=reuse_context_if_already_exist,
                reuse_artifact_if_already_exist_by_external_id=reuse_artifact_if_already_exist_by_external_id,
            ),
        )
        for execution_index, artifact_index, event in event_edges:
            request.event_edges.add(execution_index=execution_index, artifact_index=artifact_index, event=event)
        response = self._call("PutLineageSubgraph", request)
        return list(response.execution_ids), list(response.artifact_ids), list(response.context_ids)

    def get_lineage_subgraph(
        self,
        query_options: pb.LineageSubgraphQueryOptions,
        field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> pb.LineageGraph:
        """Walk the lineage from the nodes that a filter finds; return the subgraph with whole nodes and the types they have.

        query_options: where to start and to end, which way, how far. field_mask_paths: the fields of LineageGraph to fill, all if
        None. Raises NotFoundError where no node is found to start from, InvalidArgumentError for a wrong filter.
        """
        request = service.GetLineageSubgraphRequest(lineage_subgraph_query_options=query_options)
        request.read_mask.paths.extend(field_mask_paths or ())
        return self.answer(WHOLE_LINEAGE, request)

    @property
    def pipeline_asset(self) -> None:
        """Nothing: a placeholder of MLMD's."""
        _LOG.warning("pipeline_asset is not supported")


def downgrade_schema(config: pb.ConnectionConfig, downgrade_to_schema_version: int) -> None:
    """Refuse, or do nothing: the store has one schema, MLMD's version 10, and its log is never rewritten.

    Raises InvalidArgumentError for a version that MLMD never had, RuntimeError where a store would have to change or is empty.
    """
    if downgrade_to_schema_version < 0:
        raise errors.InvalidArgumentError("downgrade_to_schema_version not specified")
    if downgrade_to_schema_version > _SCHEMA_VERSION:
        raise errors.InvalidArgumentError(
            f"MLMD cannot be downgraded to schema_version: {downgrade_to_schema_version}. The target version should be"
            f" greater or equal to 0, and less than the current library version: {_SCHEMA_VERSION}"
        )
    if not config.sqlite.filename_uri:
        message = "Empty database is given. Downgrade operation is not needed."
        raise RuntimeError(message)
    open_config(config).close()
    if downgrade_to_schema_version < _SCHEMA_VERSION:
        message = f"An evlog store is never rewritten: it cannot be downgraded to schema version {downgrade_to_schema_version}."
        raise RuntimeError(message)
