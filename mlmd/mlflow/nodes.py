"""The nodes that MLflow's calls read and put: one door to the `MetadataStore`, with ML Metadata's refusals as MLflow's.

A put names the custom properties that it sets, so two processes that log to one run at once do not undo each other.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes

from mlmd import errors
from mlmd.convert import set_values
from mlmd.finding import FIND
from mlmd.kinds import EXECUTION
from mlmd.mlflow import words
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.words import POINTS
from mlmd.store import MetadataStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from evlog.records import Value
    from mlmd.finding import Find
    from mlmd.kinds import Kind
    from mlmd.mlflow.address import Address

_LOCKS: Final = 64
_CODES: Final = {
    errors.INVALID_ARGUMENT: codes.INVALID_PARAMETER_VALUE,
    errors.NOT_FOUND: codes.RESOURCE_DOES_NOT_EXIST,
    errors.ALREADY_EXISTS: codes.RESOURCE_ALREADY_EXISTS,
    errors.PERMISSION_DENIED: codes.PERMISSION_DENIED,
    errors.UNAUTHENTICATED: codes.UNAUTHENTICATED,
    errors.RESOURCE_EXHAUSTED: codes.RESOURCE_LIMIT_EXCEEDED,
    errors.FAILED_PRECONDITION: codes.INVALID_STATE,
    errors.UNIMPLEMENTED: codes.NOT_IMPLEMENTED,
    errors.UNAVAILABLE: codes.TEMPORARILY_UNAVAILABLE,
    errors.DEADLINE_EXCEEDED: codes.TEMPORARILY_UNAVAILABLE,
}


@contextmanager
def refusals() -> Iterator[None]:
    """Let ML Metadata's errors go on as MLflow's, and values that no message holds as INVALID_PARAMETER_VALUE."""
    try:
        yield
    except errors.StatusError as error:
        raise MlflowException(error.message, _CODES.get(error.error_code, codes.INTERNAL_ERROR)) from error
    except (
        TypeError,
        ValueError,
    ) as error:  # Of protobuf: an integer of more than 64 bits, a text with half a surrogate.
        raise MlflowException.invalid_parameter_value(f"this cannot be stored: {error}") from error


@contextmanager
def doubles(what: str, code: int) -> Iterator[None]:
    """Let the refusal of what is there already go on in words of MLflow's, and with its code."""
    try:
        yield
    except MlflowException as error:
        if isinstance(error.__cause__, errors.AlreadyExistsError):
            raise MlflowException(what, code) from error
        raise


def string(node: Any, key: str) -> str | None:
    """Return a custom property that is a text, None where it is not there. To ask a map for what it lacks puts it there."""
    return node.custom_properties[key].string_value if key in node.custom_properties else None


def integer(node: Any, key: str) -> int | None:
    """Return a custom property that is an integer, None where it is not there."""
    return node.custom_properties[key].int_value if key in node.custom_properties else None


class Nodes:
    """A store's experiments, runs, datasets and models, as messages. Safe for threads, and after a fork."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._guard = Lock()  # Held while the store is opened.
        self._store, self._pid = self._open(), os.getpid()
        self._types: dict[tuple[str, str], int] = {}
        self._locks = [Lock() for _ in range(_LOCKS)]

    @property
    def metadata(self) -> MetadataStore:
        """The store. A child that was forked opens its own."""
        if os.getpid() != self._pid:
            with self._guard:
                if os.getpid() != self._pid:
                    self._store, self._pid = self._open(), os.getpid()
                    self._locks = [Lock() for _ in range(_LOCKS)]
        return self._store

    @property
    def past(self) -> bool:
        """Tell whether the store is one of the past, which cannot change."""
        return self._address.at is not None

    def _open(self) -> MetadataStore:
        try:
            with refusals():
                return MetadataStore(self._address.config, as_of=self._address.at)
        except RuntimeError as error:
            raise MlflowException(f"the store cannot be opened: {error}", codes.INVALID_STATE) from error

    def alone(self, name: str) -> Lock:
        """Return the lock to hold from a read to the put that follows from it, for one run or model."""
        return self._locks[hash(name) % _LOCKS]

    # Reading ----------------------------------------------------------------------------------------------------------

    def of_ids(self, kind: Kind, ids: Iterable[int]) -> list[Any]:
        """Return the nodes with these ids, ascending, as far as they are there."""
        wanted = list(ids)
        if not wanted:
            return []
        with refusals():
            return getattr(self.metadata, f"get_{kind.plural}_by_id")(wanted)

    def external(self, kind: Kind, type_name: str, external_id: str) -> Any | None:
        """Return the node of a type that bears an external id, None where there is none."""
        found = self.externals(kind, [external_id])
        return found[0] if found and found[0].type == type_name else None

    def externals(self, kind: Kind, external_ids: Sequence[str]) -> list[Any]:
        """Return the nodes that bear these external ids, as far as they are there."""
        wanted = [one for one in external_ids if one]
        if not wanted:
            return []
        with refusals():
            try:
                return getattr(self.metadata, f"get_{kind.plural}_by_external_ids")(wanted)
            except errors.NotFoundError:
                return []

    def experiments(self) -> list[pb.Context]:
        """Return all experiments."""
        with refusals():
            return self.metadata.get_contexts_by_type(words.EXPERIMENT_TYPE)

    def runs_of(self, experiment_id: int) -> list[pb.Execution]:
        """Return all runs of an experiment."""
        with refusals():
            found = self.metadata.get_executions_by_context(experiment_id)
        return [run for run in found if run.type == words.RUN_TYPE]

    def found(self, wanted: Find) -> list[Any]:
        """Return the nodes that a question asks for."""
        with refusals():
            return self.metadata.answer(FIND, wanted).nodes

    def named(self, name: str) -> pb.Context | None:
        """Return the experiment with a name."""
        with refusals():
            return self.metadata.get_context_by_type_and_name(words.EXPERIMENT_TYPE, name)

    def events_of_runs(self, execution_ids: Sequence[int]) -> list[pb.Event]:
        """Return the events of runs, in the order of those and in that in which they were put."""
        with refusals():
            return self.metadata.get_events_by_execution_ids(execution_ids) if execution_ids else []

    # Putting ----------------------------------------------------------------------------------------------------------

    def type_id(self, kind: Kind, name: str) -> int:
        """Return the id of a type, which is made where it is not there."""
        known = self._types.get((kind.name, name))
        if known is None:
            put = getattr(self.metadata, f"put_{kind.name}_type")
            with refusals():
                known = put(kind.type_message(name=name), can_add_fields=True, can_omit_fields=True)
            self._types[kind.name, name] = known
        return known

    def new(self, kind: Kind, type_name: str, values: Mapping[str, Value], **fields: Any) -> Any:
        """Return the message of a new node."""
        with refusals():
            message = kind.message(type_id=self.type_id(kind, type_name), **fields)
            set_values(message.custom_properties, dict(values))
        return message

    def make_run(self, run: pb.Execution, experiment_id: int) -> pb.Execution:
        """Put a new run of an experiment and return it."""
        contexts = [pb.Context(id=experiment_id)]
        with refusals():
            run_id, _, _ = self.metadata.put_execution(run, [], contexts, force_reuse_context=True)
        run.id = run_id
        return run

    def make(self, kind: Kind, nodes: Sequence[Any]) -> list[int]:
        """Put new nodes, all or none, and return their ids."""
        with refusals():
            return getattr(self.metadata, f"put_{kind.plural}")(nodes)

    def update(self, kind: Kind, ids: Sequence[int], values: Mapping[str, Value | None], **fields: Any) -> None:
        """Set custom properties, None to remove one, and fields of nodes; all else of them stays as it is then.

        What was put as the points of the last put is no longer: they are in that version.
        """
        with refusals():
            message = kind.message(**fields)
            set_values(message.custom_properties, {key: value for key, value in values.items() if value is not None})
            nodes = []
            for node_id in ids:
                node = kind.message()
                node.CopyFrom(message)
                node.id = node_id
                nodes.append(node)
            keys = {**values, POINTS: None} if kind is EXECUTION else values
            mask = [*(f"custom_properties.{key}" for key in keys), *fields]
            getattr(self.metadata, f"put_{kind.plural}")(nodes, field_mask_paths=mask)

    def link(self, artifacts: Sequence[pb.Artifact], edges: Sequence[tuple[int | None, pb.Event]]) -> list[int]:
        """Put new artifacts and events as one record; return the ids of the artifacts. edges: (index of an artifact or None, event)."""
        with refusals():
            event_edges = [(None, index, event) for index, event in edges]
            _, ids, _ = self.metadata.put_lineage_subgraph([], artifacts, [], event_edges)
        return ids

    def belong(self, artifact_ids: Iterable[int], experiment_id: int) -> None:
        """Let artifacts belong to an experiment; repeats are fine."""
        attributions = [pb.Attribution(artifact_id=one, context_id=experiment_id) for one in artifact_ids]
        if attributions:
            with refusals():
                self.metadata.put_attributions_and_associations(attributions, [])
