"""MetadataStore: MLMD's Python client, in process or of a server. One method is one RPC of `methods`, a few page through several."""

from __future__ import annotations

import enum
import logging
import random
import time
import weakref
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import replay
from mlmd import errors, names
from mlmd import moment as moments
from mlmd.acting import acting
from mlmd.engine import Engine
from mlmd.marks import settled
from mlmd.methods import METHODS, WHOLE_LINEAGE
from mlmd.opening import open_config
from mlmd.past import Past
from mlmd.personal import DECLARE, checked
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from replay.asof import offset_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from evlog.log import Log
    from evlog.records import PersonalRule
    from mlmd.client import Remote
    from mlmd.methods import Method
    from mlmd.moment import At
    from projections.sqlite.view import View

_Told = TypeVar("_Told")
MAX_NUM_RESULT: Final = 100
_RETRIES: Final = 5
_RETRY_MEAN_S: Final = 2.0
_PAIR: Final = 2
_SCHEMA_VERSION: Final = 10  # Of MLMD; the log has a format of its own.
_LOG: Final = logging.getLogger(__name__)


def _at(moment: At | str) -> At:
    """Return a moment that a caller names. Raises InvalidArgumentError."""
    try:
        return moments.at(moment)
    except ValueError as error:
        raise errors.InvalidArgumentError(str(error)) from None


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


class MetadataStore:
    """A store of types, artifacts, executions, contexts and their links.

    Drop-in for `ml_metadata.MetadataStore`: same calls, same answers, same errors (`mlmd.errors`), and every put is durable, and a
    record in the log, when it returns. Safe for many threads and many processes. Every method takes `extra_options`, ignored.
    """

    _of: MetadataStore | None = None  # Whose past this is.

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
        self._max_num_retries = _RETRIES
        if isinstance(config, pb.MetadataStoreClientConfig):
            if enable_upgrade_migration:
                message = "enable_upgrade_migration is not for a client: start the server with it"
                raise ValueError(message)
            from mlmd.client import Remote  # noqa: PLC0415 - a store in process needs no gRPC

            self._backend: Engine | Past | Remote = Remote(config, None if as_of is None else _at(as_of))
        elif isinstance(config, pb.ConnectionConfig):
            if config.HasField("retry_options"):
                self._max_num_retries = config.retry_options.max_num_retries
            self._backend = _past(config, _at(as_of)) if as_of is not None else Engine(open_config(config))
        else:
            message = (
                f"MetadataStore is expecting either a ConnectionConfig or a MetadataStoreClientConfig, not {config!r}"
            )
            raise ValueError(message)  # noqa: TRY004 - as MLMD does
        # MLMD's store has no `close`, so its users drop stores, TFX several for each component.
        weakref.finalize(self, self._backend.abandon).atexit = False

    @classmethod
    def over(cls, backend: Engine | Past | Remote, of: MetadataStore | None = None) -> MetadataStore:
        """Return the methods over what is open already, which whoever opened it closes. of: the store whose past this is."""
        store = object.__new__(cls)
        store._max_num_retries = _RETRIES if of is None else of._max_num_retries  # noqa: SLF001 - one of us
        store._backend = backend
        store._of = of  # Its engine answers: who keeps the past keeps the store.
        return store

    def as_of(self, moment: At | str) -> MetadataStore:
        """Return the store as it was at a moment: the same gets, filters, pages and lineage, answered as they would have been then.

        moment: an offset (how many records had been put), a datetime with a zone, or a text: "2026-03-01T09:30Z", "yesterday",
        "3 days ago", "#31907". Before the first record the store is empty. Any number of them live side by side with this store,
        which goes on; a put is a FailedPreconditionError. Raises InvalidArgumentError for what is no moment, OutOfRangeError for one
        that is yet to come (a server says so when it is first asked).
        """
        backend = self._backend
        at = _at(moment)
        return MetadataStore.over(Past(backend, at) if isinstance(backend, Engine) else backend.at(at), of=self)

    @property
    def log(self) -> Log:
        """The log of the store, every record in order, for `replay`. Raises UnimplementedError for a store of a server and a past one."""
        if not isinstance(self._backend, Engine):
            raise errors.UnimplementedError(
                "only an open store of this machine has its log at hand: open the store itself"
            )
        return self._backend.log

    @property
    def is_past(self) -> bool:
        """Tell whether this is a store as it was, which cannot change."""
        return self._backend.is_past

    def diff(self, since: At | str, until: At | str = "now", types: Collection[str] | None = None) -> replay.Diff:
        """Return what happened between two moments, in either order: what was added, changed field by field, linked, and by whom.

        since, until: as of `as_of`; "now" is the end of this store, its moment where it is one of the past. types: names, to get
        these types, their nodes and what links them. What was changed and changed back is no difference. Raises
        InvalidArgumentError, OutOfRangeError; UnimplementedError for a server's store.
        """
        first, last = _at(since), _at(until)

        def question(log: Log, view: View, end: int) -> replay.Diff:
            settles = [view.ask(partial(settled, at=at)) for at in (first, last)]
            start, stop = sorted(min(offset_of(log, moment), end) for moment in settles)
            return replay.diff(log, view, start, stop, types=[types] if isinstance(types, str) else types)

        return self._backend.review(question)

    def history(self, thing: Any) -> list[replay.Difference]:
        """Return every version, event and link of a thing, the first one first, each with the record that put it.

        thing: "art:2", "run:1", "ctx:7", "type:Trainer", or a node or type that was read. Raises InvalidArgumentError for what names
        nothing, NotFoundError for what is not there; UnimplementedError for a server's store.
        """
        return self._found(thing, lambda log, view, named, end: list(replay.history(log, view, named, end)))

    def blame(self, thing: Any) -> list[replay.Blame]:
        """Return for each field and property of a thing, named as for `history`, the record that set it. Raises as `history`."""
        return self._found(thing, replay.blame)

    def acting(
        self,
        *,
        actor: str | None = None,
        reason: str | None = None,
        subject: str | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> AbstractContextManager[None]:
        """Say who acts and why for every put into this store in the `with` block, in place of EVLOG_ACTOR and EVLOG_REASON.

        Blocks nest: what the inner one does not say stays. It is for the thread or asyncio task that runs it, and for the tasks and
        `asyncio.to_thread` calls begun in it. The actor is "asserted": nobody checked. A server believes it, unless a certificate
        says who calls. subject: a pseudonym, whose personal values are put (docs/erasure.md).
        Raises InvalidArgumentError for a text that is none, empty, or over 1,024 characters.

        key: the file of an actor's key (`evlog keys new --actor NAME`). That actor acts, and signs each record: its transaction, changes
        and reason. Only in process: a server settles ids, so its callers cannot know what they would sign.
        """
        return acting(self._backend, actor=actor, reason=reason, subject=subject, key=key)

    def declare_personal(self, rules: Sequence[PersonalRule | Mapping[str, str]]) -> None:
        """Say which properties hold personal values from here on, in place of what was said before: see docs/erasure.md.

        rules: mappings with `property` (a name, or a pattern such as "patient_*"), and, as needed, `kind`, `type`, and
        `subject_property` or `subject`. Raises InvalidArgumentError; UnimplementedError for a server's store and a past one.
        """
        self._engine("what is personal").call(DECLARE, checked(rules))

    def erase(self, subject: str, *, basis: str | None = None, copies: Sequence[str | Path] = ()) -> replay.Erasure:
        """Erase every personal value of a subject, for good: its keys are destroyed, views and snapshots made anew. On the record.

        The reason is that of `acting` or EVLOG_REASON. basis: the legal one. copies: folders of snapshots that the store does not
        know of. Returns what was done, and what is left to do by hand. Raises NotFoundError for a subject of which nothing is sealed,
        UnimplementedError as `declare_personal`.
        """
        return self._engine("an erasure").erase(subject, basis=basis, copies=[Path(copy) for copy in copies])

    def _engine(self, what: str) -> Engine:
        if not isinstance(self._backend, Engine):
            raise errors.UnimplementedError(f"{what} is for the store itself: open its folder, on its machine")
        return self._backend

    def _found(self, thing: Any, question: Callable[[Log, View, replay.Thing, int], list[_Told]]) -> list[_Told]:
        try:
            named = names.thing_of(thing)
        except ValueError as error:
            raise errors.InvalidArgumentError(str(error)) from None

        def asked(log: Log, view: View, end: int) -> list[_Told]:
            if not replay.was_there(view, named, end):
                raise errors.NotFoundError(f"there is no {names.name_of(named)}")
            return question(log, view, named, end)

        return self._backend.review(asked)

    def close(self) -> None:
        """Close the store. Not needed for safety: whatever a put acknowledged is durable."""
        self._backend.close()

    def _call(self, name: str, request: Any) -> Any:
        return self.answer(METHODS[name], request)

    def answer(self, method: Method, request: Any) -> Any:
        """Answer one request: of an RPC in `methods`, or of a method beside those that a store in process has too. Raises StatusError."""
        attempt = 1
        while True:
            try:
                return self._backend.call(method, request)
            except errors.AbortedError:
                if attempt >= self._max_num_retries:
                    raise
                attempt += 1
                time.sleep(random.expovariate(1 / _RETRY_MEAN_S))

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
