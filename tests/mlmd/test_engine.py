"""The order of events: what a crash, a failure or a neighbour at each step leaves."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from crash import STRIKES
from disk import DeathError, Fault, PowerCutError, SimulatedDisk

from evlog import files
from evlog.author import Author
from evlog.errors import StorageError
from evlog.log import Log
from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import BODIES, Opened, open_folder, open_memory
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from projections.errors import ViewError
from projections.sqlite.view import View
from replay.rebuild import build, rebuild

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(open_folder(tmp_path / "store", create=True))
    yield engine
    engine.close()


def put_type(engine: Engine, name: str = "T") -> int:
    request = service.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name=name), can_add_fields=True)
    return int(engine.call(METHODS["PutArtifactType"], request).type_id)


def put_artifact(engine: Engine, type_id: int, name: str) -> int:
    request = service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=type_id, name=name)])
    return int(engine.call(METHODS["PutArtifacts"], request).artifact_ids[0])


def names(engine: Engine) -> list[str]:
    response = engine.call(METHODS["GetArtifacts"], service.GetArtifactsRequest())
    return [artifact.name for artifact in response.artifacts]


def in_threads(count: int, work: Any) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_one_put_is_one_record_whoever_waits_with_it(engine: Engine) -> None:
    type_id, before = put_type(engine), engine.log.end
    in_threads(16, lambda number: [put_artifact(engine, type_id, f"{number}.{turn}") for turn in range(10)])
    assert engine.log.end == before + 160
    assert len(set(names(engine))) == 160
    records = list(engine.log.read(before))
    assert [len(entry.record.changes) for entry in records] == [1] * 160
    assert len({entry.record.envelope.transaction for entry in records}) == 160


def test_a_refused_put_of_a_group_does_not_disturb_the_others(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    type_id, syncs = put_type(engine), []
    original, outcomes = files.RealFile.sync, dict[int, str]()

    def slow_sync(self: files.RealFile) -> None:
        syncs.append(1)
        time.sleep(0.01)
        original(self)

    monkeypatch.setattr(files.RealFile, "sync", slow_sync)

    def work(number: int) -> None:
        try:
            put_artifact(engine, type_id if number % 3 else 999, f"{number}")
            outcomes[number] = "put"
        except errors.NotFoundError:
            outcomes[number] = "refused"

    in_threads(12, work)
    assert sorted(names(engine)) == sorted(str(number) for number in range(12) if number % 3)
    assert outcomes == {number: "put" if number % 3 else "refused" for number in range(12)}
    assert len(syncs) < 8, "puts that wait share a sync"


def test_a_refusal_leaves_no_trace(engine: Engine) -> None:
    type_id = put_type(engine)
    before = (engine.log.end, engine.view.digest())
    request = service.PutExecutionRequest(
        execution=pb.Execution(type_id=1),
        artifact_event_pairs=[{"artifact": pb.Artifact(type_id=type_id, name="made first, then undone")}],
    )
    with pytest.raises(errors.NotFoundError):
        engine.call(METHODS["PutExecution"], request)
    assert (engine.log.end, engine.view.digest()) == before
    assert put_artifact(engine, type_id, "x") == 1, "a refused put uses no id up"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_failed_sync_fails_the_group_closes_the_writer_and_loses_nothing_acknowledged(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    type_id = put_type(engine)
    put_artifact(engine, type_id, "safe")

    def fail(self: files.RealFile) -> None:
        raise files.storage_error("sync failed", self.name, OSError(number, os.strerror(number)))

    with monkeypatch.context() as patch:
        patch.setattr(files.RealFile, "sync", fail)
        with pytest.raises((errors.InternalError, errors.ResourceExhaustedError), match=os.strerror(number)):
            put_artifact(engine, type_id, "unknown")
    with pytest.raises(errors.FailedPreconditionError, match="reopen the store"):
        put_artifact(engine, type_id, "after")
    assert names(engine) == ["safe"], "reads go on"
    again = Engine(open_folder(tmp_path / "store"))
    assert names(again) in (["safe"], ["safe", "unknown"])
    assert put_artifact(again, type_id, "after") in (2, 3)
    assert again.view.digest() == build(again.log, None, BODIES, again.log.end).digest()
    again.close()


def test_a_put_stands_when_the_view_fails_after_the_append(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    type_id = put_type(engine)

    def fail(self: View, prev: bytes) -> None:
        self.rollback()
        message = f"no space for {len(prev)} bytes"
        raise ViewError(message)

    with monkeypatch.context() as patch:
        patch.setattr(View, "commit", fail)
        assert put_artifact(engine, type_id, "durable") == 1
    assert caplog.messages == ["what was put is in the log, and the view shows it later: no space for 16 bytes"]
    assert caplog.records[0].exc_info is None, "a full disk is no fault of the program"
    assert names(engine) == ["durable"], "the view catches up before it answers"
    assert put_artifact(engine, type_id, "next") == 2


def test_what_a_killed_writer_appended_but_did_not_show_is_shown_at_the_next_opening(tmp_path: Path) -> None:
    program = f"""
import os, signal
from mlmd.engine import Engine
from mlmd.opening import open_folder
from projections.sqlite.view import View
from tests_engine import put_artifact, put_type
engine = Engine(open_folder(__import__("pathlib").Path({str(tmp_path / "store")!r}), create=True))
type_id = put_type(engine)
put_artifact(engine, type_id, "shown")
View.commit = lambda self, prev: os.kill(os.getpid(), signal.SIGKILL)
put_artifact(engine, type_id, "appended")
"""
    (tmp_path / "tests_engine.py").write_text(_HELPERS, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False, env=_ENVIRONMENT)
    assert done.returncode == -signal.SIGKILL
    reader = Engine(open_folder(tmp_path / "store", writable=False))
    assert names(reader) == ["shown", "appended"], "a reader alone follows the log in memory"
    reader.close()
    engine = Engine(open_folder(tmp_path / "store"))
    assert names(engine) == ["shown", "appended"]
    engine.close()


_ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
_HELPERS = """
from mlmd.methods import METHODS
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

def put_type(engine):
    request = service.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="T"))
    return engine.call(METHODS["PutArtifactType"], request).type_id

def put_artifact(engine, type_id, name):
    request = service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=type_id, name=name)])
    return engine.call(METHODS["PutArtifacts"], request).artifact_ids[0]
"""


def test_two_stores_on_one_folder_see_each_others_puts_at_once(engine: Engine, tmp_path: Path) -> None:
    other = Engine(open_folder(tmp_path / "store"))
    type_id = put_type(engine)
    for turn in range(5):
        assert put_artifact(engine, type_id, f"{turn} here") == 2 * turn + 1
        assert put_artifact(other, type_id, f"{turn} there") == 2 * turn + 2
        assert names(engine) == names(other)
    request = service.PutArtifactTypeRequest(
        artifact_type=pb.ArtifactType(name="T", properties={"new": pb.INT}), can_add_fields=True
    )
    other.call(METHODS["PutArtifactType"], request)
    artifact = pb.Artifact(type_id=type_id)
    artifact.properties["new"].int_value = 1
    engine.call(METHODS["PutArtifacts"], service.PutArtifactsRequest(artifacts=[artifact]))
    other.close()


def test_a_rebuild_by_another_process_is_noticed_by_readers_and_writers(engine: Engine, tmp_path: Path) -> None:
    type_id = put_type(engine)
    other = Engine(open_folder(tmp_path / "store"))
    reader = Engine(open_folder(tmp_path / "store", writable=False))
    for turn in range(3):
        rebuild(other.log, tmp_path / "store" / "views", BODIES)
        put_artifact(engine, type_id, f"{turn}")
        assert names(engine) == names(other) == names(reader) == [str(number) for number in range(turn + 1)]
    reader.close()
    other.close()


def test_views_may_be_deleted_at_any_time(engine: Engine, tmp_path: Path) -> None:
    type_id = put_type(engine)
    put_artifact(engine, type_id, "first")
    for path in (tmp_path / "store" / "views").iterdir():
        path.unlink()
    assert names(engine) == ["first"]
    for path in (tmp_path / "store" / "views").iterdir():
        path.unlink()
    put_artifact(engine, type_id, "second")
    assert names(engine) == ["first", "second"]


def test_puts_reads_and_rebuilds_at_once_lose_nothing(engine: Engine, tmp_path: Path) -> None:
    type_id, failures, stop = put_type(engine), list[BaseException](), threading.Event()
    acknowledged: list[int] = []

    def put(number: int) -> None:
        try:
            acknowledged.extend(put_artifact(engine, type_id, f"{number}.{turn}") for turn in range(25))
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    def read() -> None:
        try:
            while not stop.is_set():
                seen = len(acknowledged)
                assert len(names(engine)) >= seen
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    other = Log.open(tmp_path / "store" / "log")
    writers = threading.Thread(target=in_threads, args=(6, put))
    writers.start()
    while writers.is_alive():
        rebuild(other, tmp_path / "store" / "views", BODIES)
    writers.join()
    stop.set()
    for thread in readers:
        thread.join()
    other.close()
    assert not failures, failures
    assert sorted(acknowledged) == list(range(1, 151))
    assert len(names(engine)) == 150


def test_a_store_used_after_fork_says_so(engine: Engine) -> None:
    type_id = put_type(engine)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no branch
        told = b""
        for work in (lambda: put_artifact(engine, type_id, "child"), lambda: names(engine)):
            try:
                work()
            except errors.FailedPreconditionError as error:
                told += b"refused " if "open the store anew in the child" in str(error) else b"unclear "
        engine.close()
        os.write(write_end, told)
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read_end, 100) == b"refused refused "
    os.close(read_end)
    os.close(write_end)
    assert put_artifact(engine, type_id, "parent") == 1


def test_a_put_over_the_limit_of_a_frame_is_refused_and_the_store_goes_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_id = put_type(engine)
    monkeypatch.setattr("evlog.group.BODY_MAX", 10_000)
    with pytest.raises(errors.ResourceExhaustedError, match="split it into several puts"):
        put_artifact(engine, type_id, "x" * 20_000)
    assert put_artifact(engine, type_id, "short") == 1


def test_a_fault_in_a_decision_fails_that_put_alone(engine: Engine) -> None:
    type_id, end = put_type(engine), engine.log.end

    def broken(draft: Any, _request: Any) -> None:
        draft.changes.append("no change at all")
        raise ZeroDivisionError

    with pytest.raises(errors.InternalError, match="ZeroDivisionError"):
        engine.call(METHODS["PutEvents"]._replace(command=broken), None)
    assert engine.log.end == end
    assert put_artifact(engine, type_id, "next") == 1


def test_what_the_environment_says_of_the_author_is_in_every_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVLOG_ACTOR", "ana")
    monkeypatch.setenv("EVLOG_REASON", "ticket 81")
    engine = Engine(open_folder(tmp_path / "store", create=True), Author(application="trainer"))
    put_type(engine)
    for entry in engine.log.read(0):
        envelope = entry.record.envelope
        assert (envelope.actor, envelope.auth, envelope.reason) == ("ana", "asserted", "ticket 81")
        assert envelope.application == "trainer"
    assert [entry.record.envelope.api for entry in engine.log.read(0)] == ["CreateStore", "PutArtifactType"]
    engine.close()


def test_create_times_never_go_back_whatever_the_clock_does() -> None:
    clock = iter([5_000_000, 9_000_000, *range(8_000_000, 0, -400_000)])
    log = Log.open(SimulatedDisk(), create=True, clock=lambda: next(clock))
    engine = Engine(Opened(log, View.create(None, log.id, BODIES), writable=True))
    type_id = put_type(engine)
    for number in range(5):
        put_artifact(engine, type_id, f"{number}")
    response = engine.call(METHODS["GetArtifacts"], service.GetArtifactsRequest())
    times = [artifact.create_time_since_epoch for artifact in response.artifacts]
    assert times == sorted(times)
    assert times[0] == 9000
    engine.close()


def life(seed: int) -> None:
    """One store on a disk that crashes: what its engine acknowledged must be there after every reopening."""
    rng = random.Random(seed)
    disk, acknowledged, counter, type_id = SimulatedDisk(), list[str](), 0, 0
    pending = ""
    for _ in range(4):
        disk.fault = Fault(disk.steps + rng.randint(1, 40), rng.choice(STRIKES), errno.EIO)
        try:
            engine = on_disk(disk)
            type_id = type_id or put_type(engine)
            for _ in range(rng.randint(1, 10)):
                counter += 1
                pending = f"{counter}"
                put_artifact(engine, type_id, pending)
                acknowledged.append(pending)
        except PowerCutError:
            disk = disk.cut(rng)
        except (StorageError, errors.StatusError, DeathError):
            disk.restart()
        disk.restart()
        engine = on_disk(disk)
        found = names(engine)
        assert found in (acknowledged, [*acknowledged, pending]), (seed, found, acknowledged)
        acknowledged = found
        type_id = put_type(engine)
        engine.close()


def on_disk(disk: SimulatedDisk) -> Engine:
    log = Log.open(disk, create=True)
    return Engine(Opened(log, View.create(None, log.id, BODIES), writable=True))


def test_whatever_the_disk_does_what_the_engine_acknowledged_is_there() -> None:
    for seed in range(60):
        life(seed)


def test_the_same_request_is_the_same_record() -> None:
    """A protobuf map is walked in an order that changes from process to process; a record's is that of the names."""
    names = [f"p{number}" for number in range(12)]
    engine = Engine(open_memory())
    asked = METHODS["PutArtifactType"].request()
    asked.artifact_type.name = "A"
    for name in reversed(names):
        asked.artifact_type.properties[name] = pb.INT
    type_id = engine.answer(METHODS["PutArtifactType"], asked).type_id
    put = METHODS["PutArtifacts"].request()
    node = put.artifacts.add(type_id=type_id)
    for name in reversed(names):
        node.properties[name].int_value = 1
        node.custom_properties[name].int_value = 1
    engine.answer(METHODS["PutArtifacts"], put)
    of_type, of_node = (next(engine.log.read(at, at + 1)).record.changes[0] for at in (1, 2))
    assert [*of_type.properties] == [*of_node.properties] == [*of_node.custom_properties] == sorted(names)
    engine.close()


def test_a_store_whose_folder_is_away_is_unavailable_and_answers_again_when_it_is_back(
    engine: Engine, tmp_path: Path
) -> None:
    method = METHODS["GetArtifacts"]
    request = service.GetArtifactsRequest()
    (tmp_path / "store").rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(errors.UnavailableError, match="store was moved, removed, or its disk is away"):
            engine.call(method, request)
    (tmp_path / "away").rename(tmp_path / "store")
    assert list(engine.call(method, request).artifacts) == []
