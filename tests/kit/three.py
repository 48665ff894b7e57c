"""One store in three forms: in a folder, in memory, and of a server; with runs as a recorder puts them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from serving import served
from stores import opened

from mlmd import MetadataStore
from mlmd.client import Remote
from mlmd.convert import set_values
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pytest

FORMS: Final = ("folder", "memory", "server")
OUTPUT: Final = pb.Event.OUTPUT
INPUT: Final = pb.Event.INPUT


@contextmanager
def store_in(form: str, place: Path) -> Iterator[MetadataStore]:
    """Open a new store in one of the forms."""
    if form == "server":
        engine = Engine(open_folder(place, create=True))
        with served(engine) as server:
            store = MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=server.port))
            yield store
            store.close()
        engine.close()
        return
    if form == "folder":
        store = opened(place)
    else:
        config = pb.ConnectionConfig()
        config.fake_database.SetInParent()
        store = MetadataStore(config)
    yield store
    store.close()


def run_type(store: MetadataStore, name: str = "Trainer") -> int:
    """Register a type of runs; return its id."""
    return store.put_execution_type(pb.ExecutionType(name=name))


def artifact_type(store: MetadataStore, name: str) -> int:
    """Register a type of artifacts; return its id."""
    return store.put_artifact_type(pb.ArtifactType(name=name))


def run(type_id: int, properties: Mapping[str, Any] = {}, **fields: Any) -> pb.Execution:
    """Return a run to be put."""
    made = pb.Execution(type_id=type_id, **fields)
    set_values(made.custom_properties, dict(properties))
    return made


def artifact(type_id: int, properties: Mapping[str, Any] = {}, **fields: Any) -> pb.Artifact:
    """Return an artifact to be put."""
    made = pb.Artifact(type_id=type_id, **fields)
    set_values(made.custom_properties, dict(properties))
    return made


def link(store: MetadataStore, run_id: int, artifact_id: int, kind: Any, role: str | None = None) -> None:
    """Let a run have read or made an artifact."""
    event = pb.Event(execution_id=run_id, artifact_id=artifact_id, type=kind)
    if role is not None:
        event.path.steps.add(key=role)
    store.put_events([event])


def before_the_put(
    store: MetadataStore, monkeypatch: pytest.MonkeyPatch, name: str, meanwhile: Callable[[], object]
) -> None:
    """Let something happen once, after all that is read for the next put of that name, and before it."""
    backend = store._backend
    door = "_send" if isinstance(backend, Remote) else "call"
    call, waiting = getattr(backend, door), [meanwhile]

    def late(method: Any, *rest: Any) -> Any:
        if method.name == name and waiting:
            waiting.pop()()
        return call(method, *rest)

    monkeypatch.setattr(backend, door, late)
