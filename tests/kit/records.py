"""Records to fill a view with, and the simplest bodies: each is its change, encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

import replay
from evlog.author import Author
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.records import (
    ArtifactPut,
    ArtifactTypePut,
    AssociationPut,
    AttributionPut,
    ContextPut,
    ContextTypePut,
    EventPut,
    ExecutionPut,
    ExecutionTypePut,
    ParentContextPut,
    Record,
)
from projections.sqlite.view import View
from replay.follow import bring_up

if TYPE_CHECKING:
    from evlog.records import Change, NodePut, TypePut

AUTHOR = Author(actor="test", application="tests", reason=None)


class PlainBodies:
    def type(self, change: TypePut) -> bytes:
        return msgspec.msgpack.encode(change)

    def node(self, change: NodePut, type_name: str) -> bytes:
        return msgspec.msgpack.encode((type_name, change))

    def event(self, change: EventPut) -> bytes:
        return msgspec.msgpack.encode(change)

    def type_of(self, kind: str, body: bytes) -> TypePut:
        return _decoded(body, ArtifactTypePut | ExecutionTypePut | ContextTypePut)

    def node_of(self, kind: str, body: bytes) -> NodePut:
        return _decoded(body, tuple[str, ArtifactPut | ExecutionPut | ContextPut])[1]

    def event_of(self, event_id: int, body: bytes) -> EventPut:
        return _decoded(body, EventPut)


def _decoded(body: bytes, form: Any) -> Any:
    try:
        return msgspec.msgpack.decode(body, type=form)
    except msgspec.DecodeError as error:  # Up to msgspec 0.19 no ValueError.
        raise ValueError(str(error)) from error


BODIES = PlainBodies()


def record(*changes: Change, api: str = "Test") -> Record:
    return Record(AUTHOR.envelope(api, 1_000_000), list(changes))


def artifact(number: int, **fields: object) -> ArtifactPut:
    values: dict[str, object] = {
        "id": number,
        "type_id": 1,
        "create_time_ms": 100 + number,
        "update_time_ms": 1000 - number % 7,
        "name": f"artifact {number}",
        "uri": f"/data/{number % 5}",
        "properties": {"number": number},
    }
    return ArtifactPut(**(values | fields))  # type: ignore[arg-type]


def types() -> Record:
    return record(
        ArtifactTypePut(id=1, name="Data", properties={"number": "INT"}),
        ExecutionTypePut(id=2, name="Run"),
        ContextTypePut(id=3, name="Experiment", version="v1"),
    )


def small_store(artifacts: int = 10) -> list[Record]:
    """Return the records of a store with something of everything."""
    node = {"create_time_ms": 5, "update_time_ms": 6}
    return [
        types(),
        *(record(artifact(number)) for number in range(1, artifacts + 1)),
        record(
            ExecutionPut(id=1, type_id=2, state="RUNNING", **node),
            ContextPut(id=1, type_id=3, name="first", **node),
            ContextPut(id=2, type_id=3, name="second", external_id="ext", **node),
        ),
        record(
            EventPut(id=1, artifact_id=1, execution_id=1, type="INPUT", time_ms=7),
            EventPut(id=2, artifact_id=2, execution_id=1, type="OUTPUT", time_ms=8, path=["key", 3]),
            AttributionPut(1, 1),
            AssociationPut(1, 1),
            ParentContextPut(id=1, parent_id=1, child_id=2),
        ),
        record(artifact(1, update_time_ms=2000, state="LIVE", properties={"number": 7})),
    ]


def append(log: Log, records: list[Record]) -> None:
    with log.claim() as group:
        for one in records:
            group.add(one)
        group.commit()


class Recorded:
    """A log in memory that begins with `types`, and its view, which follows it."""

    def __init__(self) -> None:
        self.log = Log.open(MemoryFolder(), create=True)
        self.view = View.create(None, self.log.id, BODIES)
        append(self.log, [types()])
        bring_up(self.log, self.view, 1)

    def put(self, *changes: Change) -> int:
        """Put one record; return the offset behind it."""
        append(self.log, [record(*changes)])
        bring_up(self.log, self.view, self.log.end)
        return self.log.end

    def diff(self, start: int, stop: int | None = None, **rest: Any) -> replay.Diff:
        return replay.diff(self.log, self.view, start, self.log.end if stop is None else stop, **rest)

    def close(self) -> None:
        self.view.close()
        self.log.close()
