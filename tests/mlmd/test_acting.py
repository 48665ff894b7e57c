"""Who acts, and why: what every record says of the one who put it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from serving import served

from evlog.errors import EvidenceError
from evlog.tlog import keys
from mlmd import MetadataStore, errors
from mlmd.engine import Engine
from mlmd.opening import open_memory
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["in process", "over gRPC"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[MetadataStore, Engine]]:
    """A store, and the engine behind it that knows what was put."""
    if request.param == "in process":
        store = MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
        assert isinstance(store._backend, Engine)
        yield store, store._backend
        store.close()
        return
    engine = Engine(open_memory())
    with served(engine) as server:
        store = MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=server.port))
        yield store, engine
        store.close()
    engine.close()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVLOG_ACTOR", "environment")
    monkeypatch.delenv("EVLOG_REASON", raising=False)


def put(store: MetadataStore, name: str) -> None:
    store.put_artifact_type(pb.ArtifactType(name=name))


def said(engine: Engine) -> list[tuple[str, str, str | None]]:
    """Return the name of each type that was put, who put it and why."""
    return [
        (entry.record.changes[0].name, entry.record.envelope.actor, entry.record.envelope.reason)  # type: ignore[union-attr]
        for entry in engine.log.read(1)
    ]


def test_a_block_says_who_acts_and_why_and_its_end_takes_it_back(place: tuple[MetadataStore, Engine]) -> None:
    store, engine = place
    put(store, "a")
    with store.acting(actor="ana", reason="ticket 81"):
        put(store, "b")
        with store.acting(reason="ticket 82 für Łukasz, 50%"):
            put(store, "c")
            with store.acting(actor="bob"):
                put(store, "d")
        put(store, "e")
    message = "stop"
    with pytest.raises(ValueError, match="stop"), store.acting(actor="eve"):
        raise ValueError(message)
    put(store, "f")
    assert said(engine) == [
        ("a", "environment", None),
        ("b", "ana", "ticket 81"),
        ("c", "ana", "ticket 82 für Łukasz, 50%"),
        ("d", "bob", "ticket 82 für Łukasz, 50%"),
        ("e", "ana", "ticket 81"),
        ("f", "environment", None),
    ]
    assert all(entry.record.envelope.auth == "asserted" for entry in engine.log.read(1))


def test_threads_that_put_at_once_each_speak_for_themselves(place: tuple[MetadataStore, Engine]) -> None:
    store, engine = place
    together = threading.Barrier(8)

    def work(number: int) -> None:
        with store.acting(actor=f"actor {number}", reason=f"reason {number}"):
            for turn in range(5):
                together.wait(timeout=60)  # So that they share groups, which one of them leads.
                put(store, f"{number} {turn}")

    with store.acting(actor="main"):  # Which no thread hears of.
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = said(engine)
    assert len(found) == 40
    for name, actor, reason in found:
        number = name.split()[0]
        assert (actor, reason) == (f"actor {number}", f"reason {number}")


def test_a_thread_of_ones_own_begins_with_nothing(place: tuple[MetadataStore, Engine]) -> None:
    store, engine = place
    with store.acting(actor="main"):
        thread = threading.Thread(target=put, args=(store, "a"))
        thread.start()
        thread.join()
    assert said(engine) == [("a", "environment", None)]


def test_tasks_keep_apart_and_hear_of_the_block_they_were_begun_in(place: tuple[MetadataStore, Engine]) -> None:
    store, engine = place

    async def work(number: int) -> None:
        with store.acting(actor=f"actor {number}"):
            for turn in range(3):
                await asyncio.sleep(0)
                await asyncio.to_thread(put, store, f"{number} {turn}")

    async def main() -> None:
        with store.acting(reason="nightly"):
            await asyncio.gather(*(work(number) for number in range(4)))

    asyncio.run(main())
    found = said(engine)
    assert len(found) == 12
    for name, actor, reason in found:
        assert (actor, reason) == (f"actor {name.split()[0]}", "nightly")


def test_a_block_is_about_one_store(place: tuple[MetadataStore, Engine]) -> None:
    store, engine = place
    other = MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    with store.acting(actor="ana"), other.acting(actor="bob"):
        put(store, "a")
        put(other, "a")
    with store.acting(actor="ana"):
        put(other, "b")
    assert said(engine) == [("a", "ana", None)]
    assert isinstance(other._backend, Engine)
    assert said(other._backend) == [("a", "bob", None), ("b", "environment", None)]
    other.close()


def test_what_says_nothing_is_refused(place: tuple[MetadataStore, Engine]) -> None:
    store, engine = place
    for words, why in [
        ({}, "say who acts, or why"),
        ({"actor": ""}, "actor: '' says nothing"),
        ({"reason": " \n"}, "says nothing"),
        ({"actor": 7}, "actor: 7 says nothing"),
        ({"actor": "ana", "reason": "x" * 1025}, "reason: 1,025 characters; 1,024 at most"),
        ({"actor": "\ud800"}, "no Unicode text"),
    ]:
        with pytest.raises(errors.InvalidArgumentError, match=why), store.acting(**words):  # type: ignore[arg-type]
            put(store, "never")
    with store.acting(actor="x" * 1024, reason="y" * 1024):
        put(store, "a")
    assert said(engine) == [("a", "x" * 1024, "y" * 1024)]


def test_the_past_can_be_read_in_a_block_and_not_put_into(place: tuple[MetadataStore, Engine]) -> None:
    store, _ = place
    put(store, "a")
    past = store.as_of("now")
    with past.acting(actor="ana"):
        assert [one.name for one in past.get_artifact_types() if not one.name.startswith("mlmd.")] == ["a"]
        with pytest.raises(errors.FailedPreconditionError):
            put(past, "b")


def key_of(tmp_path: Path, name: str) -> Path:
    keys.write(keys.new(name), tmp_path / f"{name}.key")
    return tmp_path / f"{name}.key"


def test_an_actor_with_a_key_signs_each_record_in_process(tmp_path: Path) -> None:
    store = MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    path = key_of(tmp_path, "ana")
    with store.acting(key=path, reason="approved"):
        put(store, "a")
        with store.acting(reason="released"):
            put(store, "b")
        with store.acting(actor="bob"):
            put(store, "c")
    put(store, "d")
    backend = store._backend
    assert isinstance(backend, Engine)
    found = [entry.record.envelope for entry in backend.log.read(1)]
    assert [(one.actor, one.auth, one.reason, one.signature is not None) for one in found] == [
        ("ana", "signed", "approved", True),
        ("ana", "signed", "released", True),
        ("bob", "asserted", "approved", False),
        ("environment", "asserted", None, False),
    ]
    with (
        pytest.raises(errors.InvalidArgumentError, match="nobody signs for somebody else"),
        store.acting(key=path, actor="bob"),
    ):
        raise AssertionError
    with pytest.raises(errors.InvalidArgumentError, match="cannot be read"), store.acting(key=tmp_path / "none"):
        raise AssertionError
    store.close()


def test_a_key_that_fails_to_sign_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    with store.acting(key=key_of(tmp_path, "ana")):
        put(store, "a")

        def fails(*_: object) -> bytes:
            raise EvidenceError("the ssh-agent hung up")

        monkeypatch.setattr(keys.SigningKey, "signature", fails)
        with pytest.raises(errors.FailedPreconditionError, match="hung up"):
            put(store, "b")
    put(store, "c")
    assert [one.name for one in store.get_artifact_types() if not one.name.startswith("mlmd.")] == ["a", "c"]
    store.close()


def test_nobody_signs_through_a_server(tmp_path: Path) -> None:
    engine = Engine(open_memory())
    with served(engine) as server:
        store = MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=server.port))
        with store.acting(key=key_of(tmp_path, "ana")):
            with pytest.raises(errors.FailedPreconditionError, match="ana cannot sign what a server puts"):
                put(store, "a")
            assert store.get_artifact_types() is not None
        store.close()
    engine.close()


def test_a_server_with_a_key_does_not_sign_for_its_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVLOG_ACTOR")
    monkeypatch.setenv("EVLOG_ACTOR_KEY", str(key_of(tmp_path, "operator")))
    engine = Engine(open_memory())
    monkeypatch.delenv("EVLOG_ACTOR_KEY")
    with served(engine) as server:
        store = MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=server.port))
        with store.acting(actor="ana"):
            put(store, "a")
        store.close()
    found = [entry.record.envelope for entry in engine.log.read(0)]
    assert [(one.actor, one.signature is not None) for one in found] == [("operator", True), ("ana", False)]
    engine.close()
