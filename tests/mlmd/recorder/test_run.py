"""A run: one record when it begins, one when it ends, with all that it read, made and measured."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from serving import served
from three import before_the_put

import mlmd
from mlmd import errors
from mlmd.engine import Engine
from mlmd.opening import open_memory
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import pulse, words
from mlmd.recorder.things import Point
from mlmd.running import RUN_PUT

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.recorder.store import Store


def test_a_run_is_recorded_with_what_it_was_told_measured_read_and_made(s: Store, tmp_path: Path) -> None:
    (tmp_path / "taxi.csv").write_text("a,b\n1,2\n")
    params = {
        "lr": 0.1,
        "epochs": 3,
        "opt": "adam",
        "shuffle": True,
        "layers": [64, 32],
        "extra": {"a": None},
        "seed": None,
    }
    with s.run(
        "Trainer", params=params, tags={"team": "fares"}, name="first", contexts={"Experiment": ["a", "b"]}
    ) as r:
        data = r.input(tmp_path / "taxi.csv", "Dataset", name="taxi")
        assert (data.label, data.path.read_text()) == ("taxi:1", "a,b\n1,2\n")
        assert r.state == "RUNNING"
        assert r.run.inputs == []
        r.log(acc=0.9, loss=1)
        r.log({"val/acc": 0.8}, step=7)
        model = r.output("s3://m/31", "Model", name="taxi-model", acc=0.941, layers=2)
        r.tag(stage="dev")
        r.param(late=1)
    run = s.get_run("first")
    assert run == r.run == s.get_run(r.id) == s.get_run(f"run:{r.id}")
    assert (run.type, run.state, run.params) == ("Trainer", "COMPLETE", params | {"late": 1})
    assert {key: type(value) for key, value in run.params.items()} == {
        key: type(value) for key, value in params.items()
    } | {"late": int}
    assert run.metrics == {"acc": 0.9, "loss": 1.0, "val/acc": 0.8}
    assert run.tags == {"team": "fares", "stage": "dev"}
    assert [one.label for one in run.inputs] == ["taxi:1"]
    [made] = run.outputs
    assert (made.label, made.uri, made.properties, made.state) == (
        "taxi-model:1",
        "s3://m/31",
        {"acc": 0.941, "layers": 2},
        "LIVE",
    )
    assert (made.id, data.id) == (model.id, run.inputs[0].id)
    assert (made.message, made) == (model.message, model)
    assert abs(model.created.timestamp() - time.time()) < 60
    assert (made.name, made.version, made.digest, data.bytes) == ("taxi-model", 1, None, 8)
    assert made.producers == [run]
    assert data.users == [run]
    assert run.ended is not None
    assert run.duration_s is not None
    assert run.duration_s < 60
    assert {(one.type, one.name) for one in s.metadata.get_contexts_by_execution(run.id)} == {
        ("Experiment", "a"),
        ("Experiment", "b"),
    }
    assert {one.name for one in s.metadata.get_artifacts_by_context(1)} == {"taxi:1", "taxi-model:1"}


def test_it_takes_two_records_once_its_types_are_known(memory: Store) -> None:
    def record(uri: str) -> None:
        with memory.run("Trainer", params={"lr": 0.1}) as r:
            r.input("s3://b/1", "Dataset", name="taxi")
            r.output(uri, "Model", name="taxi-model")

    record("s3://m/1")
    before = memory.metadata.log.end
    record("s3://m/2")
    assert [entry.record.envelope.api for entry in memory.metadata.log.read(before)] == ["PutExecution"] * 2


def test_an_exception_goes_on_and_the_run_is_failed_with_its_traceback_and_what_it_made_is_abandoned(s: Store) -> None:
    with pytest.raises(ZeroDivisionError), s.run("Trainer") as r:
        r.input("s3://b/1", "Dataset")
        r.log(acc=0.5)
        r.output("s3://m/1", "Model", name="taxi-model")
        _ = 1 / 0
    assert r.state == "FAILED"
    assert "ZeroDivisionError: division by zero" in r.error
    assert (len(r.inputs), r.metrics) == (1, {"acc": 0.5})
    assert [one.state for one in r.outputs] == ["ABANDONED"]
    assert r.key is None
    with pytest.raises(errors.NotFoundError, match="each of the 1 versions of taxi-model is tainted or gone: name one"):
        s.artifact("taxi-model")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (KeyboardInterrupt(), "CANCELED"),
        (asyncio.CancelledError(), "CANCELED"),
        (SystemExit(0), "COMPLETE"),
        (SystemExit(1), "FAILED"),
    ],
)
def test_how_a_run_ends_says_its_state(memory: Store, error: BaseException, state: str) -> None:
    with pytest.raises(type(error)), memory.run("Trainer") as r:
        raise error
    assert r.state == state


def test_every_point_of_a_metric_is_kept_and_none_is_put_twice(s: Store) -> None:
    with s.run("Trainer") as r:
        r.log(loss=3, once=1.5)
        r.log(loss=2)
        time.sleep(0.002)
        r.beat()
        assert (r.metrics["loss"], r.state) == (2.0, "RUNNING")
        execution = r.run.message
        execution.custom_properties["note"].string_value = "said by somebody else"
        s.metadata.put_executions([execution])
        r.beat()
        time.sleep(0.002)
        r.log(loss=1, step=10)
        r.log(loss=math.inf)
    assert [(point.step, point.value) for point in r.history("loss")] == [(0, 3.0), (1, 2.0), (10, 1.0), (3, math.inf)]
    assert [(point.step, point.value) for point in r.history("once")] == [(0, 1.5)]
    assert all(abs(point.time_ms / 1000 - time.time()) < 60 for point in r.history("loss"))
    assert r.run.message.custom_properties["note"].string_value == "said by somebody else"
    with pytest.raises(errors.NotFoundError, match="has no metric 'acc': it has loss, once"):
        r.history("acc")


def test_many_points_are_put_before_they_are_too_many_for_one_record(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlmd.recorder.run._POINTS_MAX", 10)
    with memory.run("Trainer") as r:
        for number in range(35):
            r.log(loss=number)
    assert [point.value for point in r.history("loss")] == list(range(35))
    assert len(memory.metadata.history(f"run:{r.id}")) == 5


def test_a_nan_is_a_metric_and_a_parameter(s: Store) -> None:
    with s.run("Trainer", params={"x": math.nan}) as r:
        r.log(loss=math.nan)
        r.log(loss=1)
        r.log(loss=math.nan)
    assert math.isnan(r.metrics["loss"])
    assert math.isnan(r.params["x"])
    assert [math.isnan(point.value) for point in r.history("loss")] == [True, False, True]


BAD: list[tuple[Any, str]] = [
    (b"x", "bytes are no value"),
    (object(), "is a object: give an int"),
    (2**70, "does not fit 64 bits"),
    ([2**60], "is not exact in a list or dict"),
    ({1: 2}, "the keys of a dict are texts"),
    ("\ud800", "is no Unicode text"),
    ({"a": [object()]}, r"x\.a\[0\]"),
    ({"__value__": 1}, "__value__ alone is how a list is kept"),
    ("x" * 2_000_000, "2,000,000 characters; keep it in a file"),
]


@pytest.mark.parametrize(("value", "told"), BAD)
def test_a_value_that_is_none_is_refused_at_the_call_that_brought_it(memory: Store, value: Any, told: str) -> None:
    before = memory.metadata.log.end
    with pytest.raises(errors.InvalidArgumentError, match=told):
        memory.run("Trainer", params={"x": value})
    assert memory.metadata.log.end == before
    with memory.run("Trainer") as r:
        with pytest.raises(errors.InvalidArgumentError, match=told):
            r.output("s3://m", "Model", x=value)
        with pytest.raises(errors.InvalidArgumentError, match=told):
            r.param(x=value)
    assert (r.state, r.outputs, r.params) == ("COMPLETE", [], {})


def test_wrong_calls_are_refused_with_what_to_do(memory: Store) -> None:
    for wrong, told in [
        (lambda r: r.log(acc="high"), "acc: 'high' is no number"),
        (lambda r: r.log(acc=True), "acc: True is no number"),
        (lambda r: r.log([1]), "metrics: .* is a list: give a dict"),
        (lambda r: r.log({"": 1}), "an empty text"),
        (lambda r: r.log(acc=1, step=math.nan), "step: NaN is none"),
        (lambda r: r.tag(team=[1]), "a tag is a text"),
        (lambda r: r.output("s3://m", None), "say of which type it is"),
        (lambda r: r.output("s3://m", "Model", name="a:b"), "name: 'a:b' is none: letters"),
        (lambda r: r.output("s3://m", "Model", name="run"), "name: 'run' is none"),
        (lambda r: r.output("nowhere.bin", "Model"), "there is no such file or folder here: write it first"),
        (lambda r: r.output("~nobody-of-that-name/m", "Model"), "there is no such file or folder here: write it first"),
        (lambda r: r.output("s3://m", "Model", digest="md5:1"), "digest: 'md5:1' is none"),
        (lambda r: r.output("s3://m", "Model", **{"evlog.name": "x"}), "the recorder's own"),
        (lambda r: r.output(7, "Model"), "uri: 7 is a int"),
        (lambda r: r.input("s3://m", 7), "type: 7 is a int"),
        (lambda r: r.input(3.5), "names nothing"),
        (lambda r: r.input("s3://m", "Model", role=""), "role: an empty text"),
    ]:
        with memory.run("Trainer") as r, pytest.raises(errors.InvalidArgumentError, match=told):
            wrong(r)
        assert (r.state, r.outputs, r.inputs) == ("COMPLETE", [], [])
    with memory.run("Trainer") as r:
        for unknown in ("nix", "taxi:7", "taxi@prod", "art:99", "s3://nowhere", "no/such/path", None):
            with pytest.raises(errors.NotFoundError):
                r.input(unknown)
    for wrong_run, told in [
        ({"type": ""}, "type of the run: an empty text"),
        ({"type": 7}, "type of the run: 7 is a int"),
        ({"type": "T", "params": [1]}, "params: .* give a dict"),
        ({"type": "T", "params": {1: 2}}, "params: a key: 1 is a int"),
        ({"type": "T", "contexts": {"E": [1]}}, "contexts: the name of the E"),
        ({"type": "T", "code": "abc"}, "code: 'abc' is neither a file nor a SHA-256"),
        ({"type": "T", "code": 7}, "code: 7 has no source"),
    ]:
        with pytest.raises(errors.InvalidArgumentError, match=told):
            memory.run(**wrong_run)


def test_a_name_of_a_run_is_taken_once(s: Store) -> None:
    with s.run("Trainer", name="a"):
        pass
    with pytest.raises(errors.AlreadyExistsError, match="give this one another, or none"), s.run("Trainer", name="a"):
        raise AssertionError("never entered")


def test_notes_after_the_end_are_refused_and_a_run_is_entered_once(memory: Store) -> None:
    r = memory.run("Trainer")
    with pytest.raises(errors.FailedPreconditionError, match="has not begun"):
        _ = r.id
    assert (repr(r), str(r), r._repr_html_()) == ("<Trainer, not begun>", "<Trainer, not begun>", None)
    with r:
        pass
    for late in (lambda: r.log(a=1), lambda: r.output("s3://m", "Model"), lambda: r.tag(a="b"), r.__enter__):
        with pytest.raises(errors.FailedPreconditionError, match="has ended|was recorded"):
            late()
    with pytest.raises(AttributeError, match="a run has no 'nonsense'"):
        _ = r.nonsense


def test_a_refused_end_is_loud_and_leaves_nothing_half_written(s: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = s.metadata.answer
    refused = []

    def refuse_once(method: Any, request: Any) -> Any:
        if method is RUN_PUT and request.id and not refused:
            refused.append(1)
            raise errors.ResourceExhaustedError("the disk is full")
        return answer(method, request)

    monkeypatch.setattr(s.metadata, "answer", refuse_once)
    with pytest.raises(errors.ResourceExhaustedError, match="the disk is full") as caught, s.run("Trainer") as r:
        r.output("s3://m", "Model", name="m")
    assert any("recorded as FAILED, without what it made" in note for note in caught.value.__notes__)
    assert (r.state, r.outputs) == ("FAILED", [])
    assert "the disk is full" in r.error
    assert s.metadata.get_artifacts() == []


def test_a_run_whose_end_and_failure_are_refused_says_so(
    memory: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answer = memory.metadata.answer

    def refuse(method: Any, request: Any) -> Any:
        if method is RUN_PUT and request.id:
            raise errors.UnavailableError("no server")
        return answer(method, request)

    monkeypatch.setattr(memory.metadata, "answer", refuse)
    with pytest.raises(errors.UnavailableError) as caught, memory.run("Trainer"):
        pass
    assert any("stays RUNNING" in note for note in caught.value.__notes__)
    with pytest.raises(KeyError) as block, memory.run("Trainer"):
        raise KeyError("the block's own")
    assert any("its end was not recorded: no server" in note for note in block.value.__notes__)
    assert "its end was not recorded" in caplog.text


def test_the_same_content_under_a_name_is_the_same_version_and_other_content_the_next(s: Store, tmp_path: Path) -> None:
    place = tmp_path / "model"
    labels = []
    for text in ("one", "two", "one", "three"):
        place.write_text(text)
        with s.run("Trainer") as r:
            labels.append(r.output(place, "Model", name="m").label)
        assert r.outputs[0].label == labels[-1]
    assert labels == ["m:1", "m:2", "m:1", "m:3"]
    assert [one.version for one in s.versions("m")] == [3, 2, 1]
    assert s.artifact("m:1").digest == "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    with s.run("Trainer") as r:
        made = [r.output(f"s3://m/{number}", name="m") for number in range(3)]
        again = r.output("s3://m/0", name="m")
    assert [one.label for one in made] == ["m:4", "m:5", "m:6"]
    assert again.id == made[0].id
    assert len(r.outputs) == 3
    with pytest.raises(errors.InvalidArgumentError, match="m is the name of a Model"), s.run("Trainer") as r:
        r.output("s3://d", "Dataset", name="m")
    with s.run("Trainer") as r:
        r.output("s3://x/1", "Model", name="x")
        with pytest.raises(errors.InvalidArgumentError, match="x is the name of a Model"):
            r.output("s3://x/2", "Dataset", name="x")
    for wrong in (7, "a'b", ""):
        with pytest.raises(errors.InvalidArgumentError, match="name: .* is none"):
            s.versions(wrong)


def test_an_output_that_is_there_already_gets_the_new_properties_and_keeps_the_others(s: Store) -> None:
    with s.run("Trainer") as r:
        r.output("s3://m/1", "Model", name="m", a=1, b=1)
    artifact = s.artifact("m:1").message
    artifact.state = pb.Artifact.MARKED_FOR_DELETION
    s.metadata.put_artifacts([artifact])
    with s.run("Trainer") as r:
        r.output("s3://m/1", name="m", b=2)
    assert (s.artifact("m:1").properties, s.artifact("m:1").state) == ({"a": 1, "b": 2}, "LIVE")
    assert [one.id for one in s.artifact("m:1").producers] == [1, 2]


def test_what_is_read_twice_is_one_event_with_both_roles(s: Store) -> None:
    with s.run("Gen") as r:
        r.output("s3://b/1", "Dataset", name="taxi")
    with s.run("Trainer") as r:
        first = r.input("taxi", role="train")
        second = r.input("taxi:1", role="test")
        r.input("s3://b/1")
    assert (first.role, second.role) == ("train", "test")
    assert [(one.label, one.role) for one in r.inputs] == [("taxi:1", "train"), ("taxi:1", "test")]
    assert len(s.metadata.get_events_by_execution_ids([r.id])) == 1


def test_what_is_read_and_made_by_one_run_is_one_artifact(s: Store) -> None:
    with s.run("Touch") as r:
        r.input("s3://b/1", "Dataset", name="d")
        r.output("s3://b/1", "Dataset", name="d")
    assert (r.inputs[0].id, r.inputs[0].label) == (r.outputs[0].id, "d:1")
    with s.run("Touch") as r:
        r.output(r.input("s3://b/2", "Dataset", name="d"), again=True)
    assert (r.inputs[0].id, r.outputs[0].label, r.outputs[0].properties) == (r.outputs[0].id, "d:2", {"again": True})


def test_a_file_that_changed_is_a_new_version_when_it_is_read_again(s: Store, tmp_path: Path) -> None:
    place = tmp_path / "taxi.csv"
    place.write_text("1")
    with s.run("Trainer") as r:
        r.input(place, "Dataset", name="taxi")
    place.write_text("2")
    with s.run("Trainer") as r:
        assert r.input(place).label == "taxi:2"
        assert r.input("taxi:1").label == "taxi:1"
    assert s.artifact(str(place)).label == "taxi:2"


def test_a_place_that_is_not_here_is_known_by_its_type(s: Store) -> None:
    with s.run("Trainer") as r:
        for where in ("/mnt/elsewhere/7", "s3://b/7"):
            with pytest.raises(errors.NotFoundError, match="give its type to make it known"):
                r.input(where)
            assert r.input(where, "Dataset").uri == where
        with pytest.raises(errors.NotFoundError, match="there is no elsewhere"):
            r.input("elsewhere", "Dataset")
    assert [one.uri for one in r.inputs] == ["/mnt/elsewhere/7", "s3://b/7"]


def test_a_name_counts_more_than_a_file_of_that_name(s: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taxi").write_text("1")
    with s.run("Trainer") as r:
        assert r.input("taxi", "Dataset").path == tmp_path / "taxi"
        r.output("s3://taxi/1", "Dataset", name="taxi")
    with s.run("Trainer") as r:
        assert r.input("taxi").uri == "s3://taxi/1"


def test_artifacts_of_other_clients_are_read_as_they_are(s: Store) -> None:
    type_id = s.metadata.put_artifact_type(pb.ArtifactType(name="Examples"))
    ids = s.metadata.put_artifacts(
        [pb.Artifact(type_id=type_id, uri="/a", name="plain"), pb.Artifact(type_id=type_id, uri="/b")]
    )
    with s.run("Trainer") as r:
        r.input("plain")
        r.input("/b")
        r.input(s.metadata.get_artifacts_by_id(ids[:1])[0])
        r.input("/b", "Examples")
        with pytest.raises(errors.InvalidArgumentError, match="is a Examples .*, no Model"):
            r.input("plain", "Model")
    assert [one.id for one in r.inputs] == ids


def test_who_acts_says_so_of_both_records_and_of_heartbeats(memory: Store) -> None:
    with memory.acting(actor="ana", reason="ticket 81"), memory.run("Trainer") as r:
        threading.Thread(target=r.beat).start()
        while len(memory.metadata.history(f"run:{r.id}")) < 2:
            time.sleep(0.01)
    said = [(one.by.actor, one.by.reason) for one in memory.metadata.history(f"run:{r.id}")]
    assert said == [("ana", "ticket 81")] * 3


def test_a_run_that_lasts_is_put_again_by_the_heartbeat(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    beats = pulse.Pulse(interval_s=60, clock=lambda: now[0])
    beats._begun = True  # No thread: the test is the clock.
    monkeypatch.setattr("mlmd.recorder.run.PULSE", beats)
    with memory.run("Trainer") as r:
        r.put_s = 0.0
        r.log(loss=1)
        now[0] = 59.0
        beats.beat()
        assert r.metrics == {}
        now[0] = 60.0
        beats.beat()
        assert (r.metrics, r.state) == ({"loss": 1.0}, "RUNNING")
        with monkeypatch.context() as broken:
            broken.setattr(memory.metadata, "answer", None)
            r.put_s = 0.0
            beats.beat()  # Fails, is noted, and the run goes on.
            assert r.put_s == 60.0
    assert beats._runs == {}
    assert r.state == "COMPLETE"


def test_the_thread_of_the_heartbeat_beats(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlmd.recorder.run.PULSE", pulse.Pulse(interval_s=0.6))
    with memory.run("Trainer") as r:
        r.log(loss=1)
        until = time.monotonic() + 30
        while not r.metrics and time.monotonic() < until:
            time.sleep(0.02)
        assert r.metrics == {"loss": 1.0}


def test_many_threads_record_at_once(s: Store) -> None:
    def record(number: int) -> None:
        try:
            for turn in range(4):
                with s.run("Trainer", params={"number": number}) as r:
                    r.input("s3://b/1", "Dataset", name="taxi")
                    r.log(acc=number)
                    r.output(f"s3://m/{number}/{turn}", "Model", name="m")
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    failed: list[BaseException] = []
    threads = [threading.Thread(target=record, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(one.version or 0 for one in s.versions("m")) == list(range(1, 25))
    assert len(s.versions("taxi")) == 1
    assert len(s.artifact("taxi").users) == 24
    assert {one.type for one in s.metadata.get_executions()} == {"Trainer"}


def test_many_threads_log_to_one_run(memory: Store) -> None:
    with memory.run("Trainer") as r:
        threads = [threading.Thread(target=lambda: [r.log(loss=1) for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(r.history("loss")) == 800


def test_many_tasks_record_at_once(s: Store) -> None:
    async def record(number: int) -> str:
        async with s.run("Trainer", params={"number": number}) as r:
            await asyncio.sleep(0)
            r.output(f"s3://m/{number}", "Model", name="m")
        return r.state

    async def cancelled() -> str:
        async with s.run("Trainer") as r:
            with_id.append(r.id)
            began.set()
            await asyncio.sleep(3600)
        return r.state

    async def all_of_them() -> list[str]:
        task = asyncio.create_task(cancelled())
        states = await asyncio.gather(*(record(number) for number in range(8)))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return states

    with_id: list[int] = []
    began = asyncio.Event()
    assert asyncio.run(all_of_them()) == ["COMPLETE"] * 8
    assert s.get_run(with_id[0]).state == "CANCELED"
    assert len(s.versions("m")) == 8


def test_a_store_as_it_was_is_read_and_not_recorded_into(s: Store) -> None:
    with s.run("Trainer") as r:
        r.output("s3://m/1", "Model", name="m")
    time.sleep(0.005)
    then = datetime.now(UTC)
    time.sleep(0.005)
    with s.run("Trainer") as running:
        running.output("s3://m/2", "Model", name="m")
    past = s.at(then)
    assert (past.artifact("m").label, s.artifact("m").label) == ("m:1", "m:2")
    for put in (lambda: past.run("Trainer"), lambda: past.alias("m@prod", "m:1"), lambda: past.reuse(r.id)):
        with pytest.raises(errors.FailedPreconditionError):
            put()


def test_the_command_line_and_the_commit_are_noted(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "0 1"])
    with memory.run("Trainer") as r:
        pass
    assert r.command == "train.py --lr '0 1'"
    monkeypatch.setattr(sys, "argv", [7])
    with memory.run("Trainer") as r:
        pass
    assert r.command is None


def test_the_past_of_a_thing_is_asked_by_any_name(memory: Store) -> None:
    with memory.acting(actor="ana"), memory.run("Trainer") as r:
        r.output("s3://m/1", "Model", name="m")
    assert [one.what for one in memory.history("m:1")] == ["added", "linked"]
    assert {one.by.actor for one in memory.blame("m@latest") + memory.blame(r)} == {"ana"}
    assert len(memory.diff("#0").differences) == len(memory.diff("#0", "now").differences) > 3
    assert memory.sql("select count(*) from executions").fetchall() == [(2,)]
    assert "m:1" in str(r) + str(r.outputs[0])
    assert "<svg" in (r._repr_html_() or "")


def test_opening_says_nothing_of_types_until_they_are_used(memory: Store) -> None:
    with memory.run("Trainer") as r:
        r.log(acc=1)
    assert [one.name for one in memory.metadata.get_execution_types()] == ["Trainer"]
    assert memory.metadata.get_artifact_types() == []
    assert r.history("acc") == [Point(0, r.run.message.last_update_time_since_epoch, 1.0)]
    assert words.POINTS not in r.run.message.custom_properties
    assert mlmd.open is not open


def test_a_run_that_read_what_was_tainted_meanwhile_leaves_it_tainted(s: Store) -> None:
    with s.run("Gen") as gen:
        gen.output("s3://taxi/1", "Dataset", name="taxi")
    with s.run("Trainer") as r:
        r.input("taxi")
        r.output("s3://m/1", "Model", name="m")
        s.taint("taxi:1", "label leak")
    assert r.tainted == s.artifact("m:1").tainted == "label leak"
    assert not s.cached("Trainer", ["taxi:1"])
    s.untaint("taxi:1", "it was none")
    assert r.tainted is s.artifact("m:1").tainted is None


def test_what_a_run_makes_that_was_tainted_meanwhile_is_tainted(s: Store) -> None:
    with s.run("Trainer") as r:
        r.output("s3://m/1", "Model", name="m")
        s.taint(f"run:{r.id}", "wrong machine")
    assert r.tainted == s.artifact("m:1").tainted == "wrong machine"


def test_several_versions_of_a_name_are_numbered_anew_after_those_of_another_writer(s: Store) -> None:
    with s.run("Trainer") as r:
        r.output("s3://m/1", "Model", name="m")
        r.output("s3://m/2", "Model", name="m")
        with s.run("Trainer") as other:
            other.output("s3://m/3", "Model", name="m")
    assert [one.label for one in r.outputs] == ["m:2", "m:3"]
    assert [one.uri for one in s.versions("m")] == ["s3://m/2", "s3://m/1", "s3://m/3"]


def test_a_parameter_and_a_tag_may_be_called_self(memory: Store) -> None:
    with memory.run("Trainer", params={"self": 1}, tags={"self": "x"}) as r:
        pass
    assert (r.params, r.tags) == ({"self": 1}, {"self": "x"})


def test_the_name_of_a_context_is_a_text(memory: Store) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="the name of the Experiment: 5 is a int: give a text"):
        memory.run("Trainer", contexts={"Experiment": 5})  # type: ignore[dict-item]


def test_a_child_of_the_process_that_records_a_run_neither_notes_nor_ends_it(s: Store) -> None:
    run = s.run("Trainer")
    with pytest.raises(errors.FailedPreconditionError, match="run:1 is recorded by process"), run as r:
        r._pid = -1  # As in a child: it is another process than the one that began.
        for note in (lambda: r.log(acc=1), lambda: r.tag(a="b"), lambda: r.output("s3://m/1", "Model", name="m")):
            with pytest.raises(errors.FailedPreconditionError, match="a fork of it notes nothing"):
                note()
    assert r.state == "RUNNING"
    with s.run("Trainer") as r, pytest.raises(SystemExit):
        pid, r._pid = r._pid, -1
        r.__exit__(SystemExit, SystemExit(0), None)
        assert r.state == "RUNNING"
        r._pid = pid
        raise SystemExit(0)
    assert (r.state, s.metadata.get_artifacts()) == ("COMPLETE", [])


# Others put meanwhile -------------------------------------------------------------------------------------------------


def tag(s: Store, run_id: int, key: str, text: str) -> None:
    """Put a tag of a run as any client of ML Metadata does."""
    execution = pb.Execution(id=run_id)
    execution.custom_properties[f"t.{key}"].string_value = text
    s.metadata.put_executions([execution], field_mask_paths=[f"custom_properties.t.{key}"])


def test_a_tag_that_others_put_right_before_a_run_ends_stays(s: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with s.run("Trainer", tags={"mine": "1"}) as r:
        r.log(loss=1.0)
        before_the_put(s.metadata, monkeypatch, "PutExecution", lambda: tag(s, r.id, "theirs", "2"))
        r.beat()
        before_the_put(s.metadata, monkeypatch, "PutExecution", lambda: tag(s, r.id, "later", "3"))
    assert r.tags == {"mine": "1", "theirs": "2", "later": "3"}
    assert (r.state, r.metrics, r.type) == ("COMPLETE", {"loss": 1.0}, "Trainer")


def test_a_taint_that_others_put_right_before_a_run_ends_stays_and_is_on_what_it_made(
    s: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s.run("Trainer") as r:
        r.output("s3://m/1", "Model", name="m")
        before_the_put(
            s.metadata, monkeypatch, "PutExecution", lambda: s.taint(f"run:{r.id}", "wrong machine") and None
        )
    assert r.tainted == s.artifact("m:1").tainted == "wrong machine"


def test_a_taint_of_what_a_run_read_right_before_it_ends_is_on_what_it_made(
    s: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s.run("Gen") as gen:
        gen.output("s3://taxi/1", "Dataset", name="taxi")
    with s.run("Trainer") as r:
        r.input("taxi")
        made = r.output("s3://m/1", "Model", name="m")
        before_the_put(s.metadata, monkeypatch, "PutExecution", lambda: s.taint("taxi:1", "label leak") and None)
    assert r.tainted == s.artifact("m:1").tainted == made.tainted == "label leak"


def test_what_others_put_of_an_output_right_before_a_run_ends_stays(s: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with s.run("Trainer") as r:
        r.output("s3://m/1", "Model", name="m", acc=0.5)

    def note() -> None:
        artifact = pb.Artifact(id=1, state=pb.Artifact.MARKED_FOR_DELETION)
        artifact.custom_properties["owner"].string_value = "ana"
        s.metadata.put_artifacts([artifact], ["custom_properties.owner", "state"])

    with s.run("Evaluator") as r:
        r.output("s3://m/1", "Model", name="m", auc=0.9)
        before_the_put(s.metadata, monkeypatch, "PutExecution", note)
    assert s.artifact("m:1").properties == {"acc": 0.5, "auc": 0.9, "owner": "ana"}
    assert s.artifact("m:1").state == "LIVE", "it was made again"


def test_a_tag_put_in_the_same_millisecond_as_what_a_run_read_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(open_memory())
    with served(engine) as server, mlmd.open(f"localhost:{server.port}") as s:
        with s.run("Trainer") as r:
            monkeypatch.setattr(engine.log, "_clock", lambda: 0)  # Each record a microsecond after the one before.
            tag(s, r.id, "mine", "1")
            before_the_put(s.metadata, monkeypatch, "PutExecution", lambda: tag(s, r.id, "theirs", "2"))
        assert (r.tags, r.state) == ({"mine": "1", "theirs": "2"}, "COMPLETE")
    engine.close()


def test_no_tag_of_two_writers_is_lost(s: Store) -> None:
    count = 40
    with s.run("Trainer") as r, ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(lambda: [tag(s, r.id, f"theirs-{number}", "x") for number in range(count)])
        for number in range(count):
            r.tag(**{f"mine-{number}": "y"})
            r.beat()
        theirs.result()
    assert len(r.tags) == 2 * count


def test_two_processes_tag_one_run(place: Path) -> None:
    code = """
import sys, mlmd
from mlmd.proto import metadata_store_pb2 as pb
with mlmd.open(sys.argv[1]) as s:
    for number in range(30):
        execution = pb.Execution(id=1)
        execution.custom_properties[f"t.theirs-{number}"].string_value = "x"
        s.metadata.put_executions([execution], [f"custom_properties.t.theirs-{number}"])
"""
    with mlmd.open(place) as s, s.run("Trainer") as r:
        other = subprocess.Popen([sys.executable, "-c", code, str(place)])
        while other.poll() is None:
            r.tag(**{f"mine-{len(r._tags)}": "y"})
            r.beat()
        assert other.returncode == 0
        mine = len(r._tags)
    with mlmd.open(place) as s:
        assert len(s.get_run("run:1").tags) == 30 + mine


def test_a_server_of_others_gets_the_run_whole(s: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It heeds no guard, so what it is sent says all that was read."""
    with s.run("Trainer", params={"layers": [64, 32]}, name="one") as r:
        tag(s, r.id, "theirs", "2")
        monkeypatch.setattr("mlmd.serving.service._guarded", lambda method, _context: method)
        r.output("s3://m/1", "Model", name="m")
    assert (r.tags, r.params, r.name, r.state) == ({"theirs": "2"}, {"layers": [64, 32]}, "one", "COMPLETE")
    assert [one.label for one in r.outputs] == ["m:1"]


def test_in_process_and_through_a_server_the_same_run_is_the_same_record(tmp_path: Path) -> None:
    def changes(store: Store, log: Any) -> list[Any]:
        with store.run("Gen") as gen:
            gen.output("s3://taxi/1", "Dataset", name="taxi")
        begun = log.end
        contexts = {"Experiment": ["a", "b"]}
        values = {"lr": 0.1, "n": 3, "on": True, "none": None, "nested": {"b": [1, {"z": 1, "a": None}], "a": "x"}}
        with store.run("Trainer", params=values, tags={"t": "ü"}, name="one", contexts=contexts) as r:
            r.input("taxi", role="data")
            for step in range(3):
                r.log(loss=step / 3, nan=math.nan)
            tag(store, r.id, "theirs", "2")
            r.beat()
            r.output("s3://m/1", "Model", name="m", acc=0.5, layers=[1, 2])
        told = []
        for entry in log.read(begun):
            for change in msgspec.to_builtins(entry.record.changes):
                told.append({key: value for key, value in change.items() if not key.endswith("time_ms")})
                for key in ("evlog.ended_ms", "evlog.points"):
                    change.get("custom_properties", {}).pop(key, None)
        return told

    with mlmd.open(":memory:") as store:
        ours = changes(store, store.metadata.log)
    engine = Engine(open_memory())
    with served(engine) as server, mlmd.open(f"localhost:{server.port}") as store:
        theirs = changes(store, engine.log)
    engine.close()
    assert repr(ours) == repr(theirs)
    assert len(ours) > 10


def test_a_text_that_is_an_enum_is_taken_for_what_it_holds(s: Store) -> None:
    class Kind(str, Enum):  # noqa: UP042 - such as most libraries have, whose str() is the name of the member.
        LINEAR = "linear"

    with s.run("T", params={"kind": Kind.LINEAR, "some": [Kind.LINEAR]}, tags={"kind": Kind.LINEAR}) as r:
        r.output("s3://m/1", "Model", name="m", kind=Kind.LINEAR)
    assert r.params == {"kind": "linear", "some": ["linear"]}
    assert (r.tags, r.outputs[0].properties["kind"]) == ({"kind": "linear"}, "linear")
    assert s.cached("T", params={"kind": "linear", "some": ["linear"]})
