"""A run whose process has gone is lost, and never one that lasts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mlmd
from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import alive, words

if TYPE_CHECKING:
    from mlmd.recorder.store import Store


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def this() -> alive.Process:
    found = alive.parse(alive.this_process())
    assert found is not None
    return found


def test_this_process_lives_and_what_it_says_of_itself_is_read_again() -> None:
    assert this().pid == os.getpid()
    assert str(this()) == alive.this_process()
    assert not alive.is_lost(alive.this_process(), 0)


@pytest.mark.parametrize(
    ("change", "age_ms", "lost"),
    [
        ({}, 10**12, False),
        ({"started": "1"}, 0, True),  # Its pid was used again.
        ({"pid": 2**22 + 1}, 0, True),
        ({"boot": "another"}, 0, True),
        ({"host": "another"}, 100_000, False),
        ({"host": "another"}, 500_000, True),
        ({"space": "another"}, 100_000, False),  # A container on this machine: its pids are not ours.
        ({"space": "another"}, 500_000, True),
        ({"space": "another", "boot": "another"}, 0, True),
    ],
)
def test_when_a_process_is_lost(change: dict[str, str], age_ms: int, lost: bool) -> None:
    assert alive.is_lost(str(this()._replace(**change)), now_ms() - age_ms) is lost  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "a", "a b c d e", "a b c -1 e", "a b c 1 e f", "a b c ² e"])
def test_what_is_no_process_of_ours_is_never_lost(text: str) -> None:
    assert not alive.is_lost(text, 0)


def test_a_process_that_ended_and_was_not_waited_for_has_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    started = alive._started(process.pid)
    until = time.monotonic() + 30
    while alive._started(process.pid) is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert started is not None
    assert alive.is_lost(str(this()._replace(pid=process.pid, started=started)), now_ms())
    process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is the only way")
def test_a_system_without_proc_is_asked_by_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "_BOOT_ID", Path("/nowhere"))
    monkeypatch.setattr(alive.Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    asked = alive._started(os.getpid())
    if asked is None:
        pytest.skip("there is no ps")
    assert asked == alive._started(os.getpid())
    assert " " not in asked
    assert alive._started(2**22 + 1) is None
    assert alive._asked("no-such-command-anywhere") is None


KILLED = """
import sys, time, mlmd
s = mlmd.open(sys.argv[1])
with s.run("Trainer", params={"lr": .1}) as r:
    r.input("s3://b/1", "Dataset", name="taxi")
    r.output("s3://m/1", "Model", name="m")
    r.log(loss=1)
    if sys.argv[2:]: r.beat()
    print(r.id, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("beats", [(), ("beat",)])
def test_a_run_that_was_killed_is_shown_as_lost_and_nothing_it_made_is_there(
    place: Path, beats: tuple[str, ...]
) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(place), *beats], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run_id = int(process.stdout.readline())
    with mlmd.open(place) as s:
        run = s.get_run(run_id)
        assert (run.state, run.params, run.metrics) == ("RUNNING", {"lr": 0.1}, {"loss": 1.0} if beats else {})
        process.kill()
        process.wait()
        process.stdout.close()
        assert (run.state, run.duration_s) == ("LOST", None)
        [row] = s.runs().table().records()
        assert row["state"] == "LOST"
        assert s.metadata.get_artifacts() == []
        assert s.metadata.get_executions_by_id([run_id])[0].last_known_state == pb.Execution.RUNNING
        with s.run("Trainer", params={"lr": 0.1}) as again:
            pass
    with mlmd.open(place) as s:  # Reopened.
        assert [s.get_run(one).state for one in (run_id, again.id)] == ["LOST", "COMPLETE"]
        assert s.cached("Trainer", params={"lr": 0.1}).id == again.id  # type: ignore[union-attr]


def lose(s: Store, run_id: int) -> None:
    """Let the process of a run be one that has gone, and the run RUNNING."""
    execution = pb.Execution(id=run_id, last_known_state=pb.Execution.RUNNING)
    execution.custom_properties["evlog.process"].string_value = str(this()._replace(started="1"))
    s.metadata.put_executions([execution], ["last_known_state", "custom_properties.evlog.process"])


def test_runs_are_listed_by_the_state_that_they_are_shown_in(s: Store) -> None:
    for number in range(5):
        with s.run("Trainer" if number else "Other", params={"number": number}) as r:
            r.log(acc=number)
    assert list(s.runs(state="LOST")) == []
    for one in (1, 2, 4):
        lose(s, one)
    with s.run("Trainer"):
        found = s.runs(state="LOST", sort="id")
        assert [(run.id, run.state) for run in found] == [(1, "LOST"), (2, "LOST"), (4, "LOST")]
        assert (len(found), found[1].id, [run.id for run in found[1:2]]) == (3, 2, [2])
        assert (found.page(2, 1).total, found.table(1).note[:15]) == (3, "1 of 3 matching")
        assert [run.id for run in s.runs("m.acc > 0 -- a comment", state="LOST", sort="-m.acc", types="Trainer")] == [
            4,
            2,
        ]
        assert [run.id for run in s.runs(state="RUNNING")] == [6]
        assert len(s.runs("state = RUNNING")) == 4
        assert [run.id for run in s.runs(state="COMPLETE", sort="id")] == [3, 5]


def test_what_is_no_state_and_what_nobody_knows_of_the_past_is_refused(memory: Store) -> None:
    with memory.run("Trainer") as r:
        pass
    lose(memory, r.id)
    with pytest.raises(errors.InvalidArgumentError, match="state: 'ODD' is none: NEW, RUNNING, .*, LOST"):
        memory.runs(state="ODD")
    with pytest.raises(errors.InvalidArgumentError, match="LOST is told of now alone: ask for RUNNING"):
        memory.at("now").runs(state="LOST")
    assert [run.state for run in memory.at("now").runs(state="RUNNING")] == ["RUNNING"]


def test_an_interrupted_run_is_canceled(place: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(place)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    run_id = int(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    with mlmd.open(place) as s:
        run = s.get_run(run_id)
        assert (run.state, [one.label for one in run.inputs]) == ("CANCELED", ["taxi:1"])
        assert run.outputs[0].state == "ABANDONED"


def test_a_run_of_another_client_is_as_it_says(s: Store) -> None:
    type_id = s.metadata.put_execution_type(pb.ExecutionType(name="T"))
    [run_id] = s.metadata.put_executions([pb.Execution(type_id=type_id, last_known_state=pb.Execution.RUNNING)])
    assert s.get_run(run_id).state == "RUNNING"
    assert words.PROCESS not in s.get_run(run_id).message.custom_properties


RACER = """
import sys, mlmd
s = mlmd.open(sys.argv[1])
sys.stdin.readline()
for number in range(10):
    with s.run("Trainer") as r:
        r.input("s3://b/1", "Dataset", name="taxi")
        r.output(f"s3://m/{sys.argv[2]}/{number}", "Model", name="m")
        r.output(f"s3://same/{number}", "Model", name="same")
"""


def test_processes_that_make_versions_of_one_name_at_once_all_get_one(place: Path) -> None:
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(place), str(number)], stdin=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    for one in racers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    for one in racers:
        one.communicate(timeout=120)
        assert one.returncode == 0
    with mlmd.open(place) as s:
        assert [one.version for one in s.versions("m")] == list(range(30, 0, -1))
        assert [one.version for one in s.versions("same")] == list(range(10, 0, -1))
        assert all(len(one.producers) == 3 for one in s.versions("same"))
        assert len(s.versions("taxi")) == 1
        assert {s.get_run(one.id).state for one in s.metadata.get_executions()} == {"COMPLETE"}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_was_forked_is_another_process(memory: Store) -> None:
    with memory.run("Trainer"):
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(writer, alive.this_process().encode())
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(writer)
        said = os.read(reader, 1000).decode()
        os.close(reader)
    assert said != alive.this_process()
    assert alive.is_lost(said, now_ms())
