"""What was recorded, as objects to read: a Run and an Artifact. Each is a message of ML Metadata (`message`) with its fields by name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from evlog.records import NodePut, Struct
from mlmd import errors
from mlmd.display.cells import time_of
from mlmd.kinds import ARTIFACT, EXECUTION, INPUTS, OUTPUTS
from mlmd.recorder import alive, words
from mlmd.recorder.aliases import aliases_of, label_of, own_name
from mlmd.recorder.values import python_of
from replay.things import Thing, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mlmd.display.cards import Card
    from mlmd.kinds import Kind
    from mlmd.proto import metadata_store_pb2 as pb
    from mlmd.store import MetadataStore

LOST: Final = "LOST"
_FILE: Final = "file"
_MS: Final = 1000


class Point(NamedTuple):
    """One value of a metric. step: counted from 0 where none was given."""

    step: float
    time_ms: int
    value: float


class _Node:
    """A node that was read, in its store."""

    _kind: ClassVar[Kind]

    def __init__(self, metadata: MetadataStore, message: Any) -> None:
        self.metadata, self.message = metadata, message

    @property
    def id(self) -> int:
        """Return the id."""
        return self.message.id

    @property
    def type(self) -> str:
        """Return the name of the type."""
        return self.message.type

    @property
    def thing(self) -> Thing:
        """Return what names it for `history`, `blame` and the like."""
        return (self._kind.name, self.message.id)

    @property
    def created(self) -> datetime:
        """Return when it was put first, in UTC."""
        return _time(self.message.create_time_since_epoch)

    @property
    def updated(self) -> datetime:
        """Return when it was put last, in UTC."""
        return _time(self.message.last_update_time_since_epoch)

    @property
    def tainted(self) -> str | None:
        """Return why it is not to be used, None where it may be."""
        return self._custom(words.TAINTED)

    def _custom(self, key: str) -> Any:
        values = self.message.custom_properties
        return python_of(values[key]) if key in values else None

    def _number(self, key: str) -> int | None:
        """Return what we note as an integer; None where another program put something else there."""
        value = self._custom(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _prefixed(self, prefix: str) -> dict[str, Any]:
        values = self.message.custom_properties
        return {key[len(prefix) :]: python_of(values[key]) for key in sorted(values) if key.startswith(prefix)}

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same thing, whatever became of it in between."""
        return self is other or (type(other) is type(self) and self.id != 0 and self.thing == other.thing)

    def __hash__(self) -> int:
        return hash(self.thing)

    def card(self) -> Card:
        """Return what people see of it: text at a terminal, HTML in a notebook."""
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self.card())

    def _repr_html_(self) -> str:
        return self.card()._repr_html_()


class Artifact(_Node):
    """A version of something: data, a model, whatever was made or read. role: as what a run has it, where it came from one."""

    _kind = ARTIFACT

    def __init__(self, metadata: MetadataStore, message: pb.Artifact, role: str | None = None) -> None:
        self._message = message
        super().__init__(metadata, message)
        self.role = role

    @property
    def message(self) -> pb.Artifact:
        """Return the message of ML Metadata. One that was put with a run has its id alone from there; the rest is read when it is asked for."""
        message = self._message
        if message.id and not message.create_time_since_epoch:
            message.CopyFrom(self.metadata.get_artifacts_by_id([message.id])[0])
        return message

    @message.setter
    def message(self, message: pb.Artifact) -> None:
        self._message = message

    @property
    def given(self) -> pb.Artifact:
        """Return the message as it was given, without asking the store."""
        return self._message

    @property
    def name(self) -> str | None:
        """Return its name without the version; None where it has none."""
        return own_name(self.message) or self.message.name or None

    @property
    def version(self) -> int | None:
        """Return which version of its name it is."""
        return self._custom(words.VERSION)

    @property
    def label(self) -> str:
        """Return how a person names it: taxi:7, else art:3."""
        return label_of(self.message)

    @property
    def uri(self) -> str:
        """Return where it is."""
        return self.message.uri

    @property
    def path(self) -> Path:
        """Return where it is on this machine. Raises FailedPreconditionError for what lies elsewhere."""
        parts = urlsplit(self.uri)
        if parts.scheme == _FILE:
            return Path(unquote(parts.path))
        if "://" in self.uri or not self.uri:
            raise errors.FailedPreconditionError(
                f"{self.label} lies at {self.uri or 'no place'}: it has no path on this machine"
            )
        return Path(self.uri)

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def state(self) -> str:
        """Return the state: LIVE, MARKED_FOR_DELETION, DELETED, ..."""
        return ARTIFACT.states[self.message.state]

    @property
    def digest(self) -> str | None:
        """Return "sha256:HEX" of the content, None where it was not at hand."""
        return self._custom(words.DIGEST)

    @property
    def bytes(self) -> int | None:
        """Return the size of the content."""
        return self._custom(words.BYTES)

    @property
    def properties(self) -> dict[str, Any]:
        """Return what the user said of it."""
        message = self.message
        declared = {key: python_of(message.properties[key]) for key in sorted(message.properties)}
        custom = message.custom_properties
        return declared | {key: python_of(custom[key]) for key in sorted(custom) if not key.startswith(words.OURS)}

    @property
    def aliases(self) -> list[str]:
        """Return the aliases that stand for it: taxi-model@prod."""
        known = aliases_of(self.metadata, own_name(self.message))
        return [alias.name for alias in known if alias.artifact_id == self.id]

    @property
    def producers(self) -> list[Run]:
        """Return the runs that made it, the first one first; more than one where the same content was made again, or reused."""
        return self._runs(OUTPUTS)

    @property
    def users(self) -> list[Run]:
        """Return the runs that read it, the first one first."""
        return self._runs(INPUTS)

    def _runs(self, types: frozenset[int]) -> list[Run]:
        ids = {
            event.execution_id for event in self.metadata.get_events_by_artifact_ids([self.id]) if event.type in types
        }
        return [Run(self.metadata, one) for one in self.metadata.get_executions_by_id(sorted(ids))]

    def __repr__(self) -> str:
        return f"<{self.type} {self.label} {self.uri}>"

    def card(self) -> Card:
        """Return what people see of it: text at a terminal, HTML in a notebook."""
        from mlmd.display.cards import artifact_card  # noqa: PLC0415 - only who looks at one needs it

        return artifact_card(self)


class Run(_Node):
    """An execution that was recorded, or is being recorded: what it was told, what it measured, what it read and made."""

    _kind = EXECUTION

    @property
    def name(self) -> str | None:
        """Return the name that it was given."""
        return self.message.name or None

    @property
    def label(self) -> str:
        """Return how a person names it: run:5."""
        return f"run:{self.id}"

    @property
    def state(self) -> str:
        """Return RUNNING, COMPLETE, FAILED, CANCELED, CACHED, ..., or LOST: it was running when its process ended."""
        if not self.metadata.is_past and is_lost(self.message):
            return LOST
        return EXECUTION.states[self.message.last_known_state]

    @property
    def params(self) -> dict[str, Any]:
        """Return the parameters."""
        return self._prefixed(words.PARAMETER)

    @property
    def metrics(self) -> dict[str, float]:
        """Return the last value of each metric."""
        return self._prefixed(words.METRIC)

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags."""
        return self._prefixed(words.TAG)

    @property
    def inputs(self) -> list[Artifact]:
        """Return what it read, each with its role; once for each role that it had."""
        return self._artifacts(INPUTS)

    @property
    def outputs(self) -> list[Artifact]:
        """Return what it made, each with its role."""
        return self._artifacts(OUTPUTS)

    def _artifacts(self, types: frozenset[int]) -> list[Artifact]:
        events = [event for event in self.metadata.get_events_by_execution_ids([self.id]) if event.type in types]
        found = {one.id: one for one in self.metadata.get_artifacts_by_id({event.artifact_id for event in events})}
        # Declared and then read, or read twice: one end all the same.
        ends = dict.fromkeys((event.artifact_id, role) for event in events for role in (*roles_of(event),) or (None,))
        return [Artifact(self.metadata, found[artifact_id], role) for artifact_id, role in ends]

    @property
    def ended(self) -> datetime | None:
        """Return when it ended, in UTC; None where it has not, or nobody knows."""
        ended_ms = self._number(words.ENDED_MS)
        return None if ended_ms is None else time_of(ended_ms)

    @property
    def duration_s(self) -> float | None:
        """Return how long it took; so far, where it is running; None where nobody knows."""
        ended_ms: float | None = self._number(words.ENDED_MS)
        if ended_ms is None:
            if self.metadata.is_past or self.state != "RUNNING":
                return None
            ended_ms = datetime.now(UTC).timestamp() * _MS
        return max(0.0, (ended_ms - self.message.create_time_since_epoch) / _MS)

    @property
    def error(self) -> str | None:
        """Return the traceback of one that failed."""
        return self._custom(words.ERROR)

    @property
    def key(self) -> str | None:
        """Return what `cached` finds it by."""
        return self._custom(words.KEY)

    @property
    def code(self) -> str | None:
        """Return the digest of its code, None where none was given."""
        return self._custom(words.CODE)

    @property
    def command(self) -> str | None:
        """Return the command line of its process."""
        return self._custom(words.COMMAND)

    @property
    def commit(self) -> str | None:
        """Return the commit of git that was checked out."""
        return self._custom(words.COMMIT)

    @property
    def reuses(self) -> Run | None:
        """Return the run that this one stands for, where it is CACHED."""
        found = self._number(words.REUSES)
        executions = [] if found is None else self.metadata.get_executions_by_id([found])
        return Run(self.metadata, executions[0]) if executions else None

    def history(self, metric: str) -> list[Point]:
        """Return every value of a metric, as logged. Raises NotFoundError for one that it has not.

        One that was logged once, and without a step, has the time at which it was put.
        """
        if metric not in self.metrics:
            known = ", ".join(self.metrics) or "none"
            raise errors.NotFoundError(f"{self.label} has no metric {metric!r}: it has {known}")
        return self.histories()[metric]

    def histories(self) -> dict[str, list[Point]]:
        """Return every value of each metric, as `history` does."""
        found: dict[str, list[Point]] = {metric: [] for metric in self.metrics}
        before: Any = None
        for values in _versions(self.metadata, self.message):
            if values is not None and not same(values, before):  # Put again by somebody else, they are the same points.
                for metric in found.keys() & values.keys():
                    found[metric] += _points_in(values[metric])
            before = values
        put_ms = self.message.last_update_time_since_epoch
        return {metric: points or [Point(0, put_ms, self.metrics[metric])] for metric, points in found.items()}

    def __repr__(self) -> str:
        return f"<{self.type} {self.label} {self.state}>"

    def card(self) -> Card:
        """Return what people see of it: text at a terminal, HTML in a notebook."""
        from mlmd.display.cards import run_card  # noqa: PLC0415 - only who looks at one needs it

        return run_card(self)


def is_lost(execution: pb.Execution) -> bool:
    """Tell whether an execution says that it is running, and its process has gone by now."""
    values = execution.custom_properties
    if EXECUTION.states[execution.last_known_state] != "RUNNING" or words.PROCESS not in values:
        return False
    return alive.is_lost(values[words.PROCESS].string_value, execution.last_update_time_since_epoch)


def _points_in(values: Any) -> list[Point]:
    """Return the points that a put noted of a metric; what another program put there, and is none, is left out."""
    numbers = (int, float)
    return [
        Point(one[0], int(one[1]), one[2])
        for one in (values if isinstance(values, list) else ())
        if isinstance(one, list) and len(one) == len(Point._fields) and all(isinstance(part, numbers) for part in one)
    ]


def roles_of(event: pb.Event) -> list[str]:
    """Return the roles of an event: none, one, or several where a run read the same thing as several."""
    return [step.key for step in event.path.steps if step.HasField("key")]


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / _MS, UTC)


def _versions(metadata: MetadataStore, execution: pb.Execution) -> Iterable[Mapping[str, Any] | None]:
    """Return the points of each version of an execution, in order: from the log, or where a server has it, moment by moment."""
    try:
        history = metadata.history(f"run:{execution.id}")
    except errors.UnimplementedError:
        return reversed(list(_versions_backward(metadata, execution)))
    puts = (one.after.custom_properties.get(words.POINTS) for one in history if isinstance(one.after, NodePut))
    return [points.fields if isinstance(points, Struct) else None for points in puts]


def _versions_backward(metadata: MetadataStore, execution: pb.Execution) -> Iterator[Mapping[str, Any] | None]:
    current: pb.Execution | None = execution
    while current is not None:
        values = current.custom_properties
        yield python_of(values[words.POINTS]) if words.POINTS in values else None
        before = _time(current.last_update_time_since_epoch - 1)
        found = metadata.as_of(before).get_executions_by_id([execution.id])
        current = found[0] if found else None
