"""The store's runs as events of OpenLineage: to a file, to standard output, to the real endpoint; what came in goes out as it came."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from exchanged import CACHED, DATA, FAILED, MODEL, ODD, TRAINED, odd_store
from lineage_events import RUN, a_run, lines
from stores import opened, run

from mlmd.convert import properties_of
from mlmd.engine import Engine
from mlmd.opening import open_memory
from mlmd.proto import metadata_store_pb2 as pb

pytest.importorskip("openlineage.client", reason="needs the extra `openlineage`")
pytest.importorskip("starlette", reason="needs the extra `openlineage`")

from openlineage.client import event_v2

from mlmd.exchange.openlineage import moments
from mlmd.exchange.openlineage.endpoint import application
from mlmd.serving.http import HttpServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("events") / "store"
    odd_store(place).close()
    return place


@pytest.fixture
def receiver() -> Iterator[tuple[Engine, str]]:
    with closing(Engine(open_memory())) as engine:
        endpoint = HttpServer(application(engine), "127.0.0.1", 0)
        endpoint.start()
        yield engine, f"http://127.0.0.1:{endpoint.port}"
        endpoint.stop()


def events(place: Path, *words: str | Path, at: str = "now") -> list[dict[str, Any]]:
    result = run("-s", place, "--at", at, "export", "openlineage", "-", *words)
    assert result.exit_code == 0, result.output
    return [json.loads(line, parse_constant=pytest.fail) for line in result.stdout.splitlines()]


def test_every_run_is_told_from_its_start_to_its_end(place: Path) -> None:
    told = events(place)
    log_id = json.loads(run("-s", place, "status", "--json").stdout)["log_id"]
    by_run: dict[str, list[str]] = {}
    for one in told:
        by_run.setdefault(one["run"]["runId"], []).append(one["eventType"])
        event_v2.Run(one["run"]["runId"])  # Raises for what is no UUID.
    ids = {number: str(uuid.uuid5(uuid.UUID(log_id), f"execution/{number}")) for number in (TRAINED, FAILED, CACHED)}
    assert by_run == {
        ids[TRAINED]: ["START", "COMPLETE"],
        ids[FAILED]: ["START", "FAIL", "OTHER"],  # Told of its input after it had failed.
        ids[CACHED]: ["START", "COMPLETE"],
    }


def test_an_event_says_what_the_run_read_and_made_and_cites_the_log(place: Path) -> None:
    told = events(place)
    done = next(one for one in told if one["eventType"] == "COMPLETE")
    assert done["eventTime"] == "2023-11-14T22:13:20.123Z"
    [given], [made] = done["inputs"], done["outputs"]
    assert (given["name"], given["facets"]["version"]["datasetVersion"]) == ("Dataset/taxi", "7")
    [link] = given["facets"]["symlinks"]["identifiers"]
    assert (link["namespace"], link["name"]) == ("s3://b", "taxi/7")
    assert given["facets"]["evlog_artifact"]["tainted"] == "label leak"
    assert made["name"] == f"Model/{MODEL}"
    assert made["facets"]["evlog_artifact"]["properties"]["acc"] == "inf"
    cited = done["run"]["facets"]["evlog_citation"]
    status = json.loads(run("-s", place, "--at", f"#{cited['offset']}", "status", "--json").stdout)
    assert (cited["log"], cited["root"]) == (status["log_id"], status["root"])
    failed = next(one for one in told if one["eventType"] == "FAIL")
    assert failed["run"]["facets"]["errorMessage"]["message"] == f"ValueError: {ODD}"
    assert not failed["outputs"]  # It was pending.
    assert given["facets"]["evlog_artifact"]["artifact"] == DATA


def test_the_same_records_give_the_same_bytes_whenever_they_are_asked(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("-s", place, "export", "openlineage", "-").stdout
    parts = ""
    end = json.loads(run("-s", place, "status", "--json").stdout)["records"]
    for offset in range(end):
        words = ("--at", f"#{offset + 1}", "export", "openlineage", "-", "--from", f"#{offset}")
        parts += run("-s", place, *words).stdout
    assert parts == whole
    monkeypatch.setattr(moments, "KEPT", 1)  # Nothing is remembered.
    file = tmp_path / "events.jsonl"
    assert run("-s", place, "export", "openlineage", file).exit_code == 0
    assert file.read_text(encoding="utf-8") == whole


def test_an_event_says_what_a_view_of_that_moment_has(place: Path) -> None:
    with closing(opened(place)) as store:
        for told in events(place):
            facets = told["run"]["facets"]
            past = store.as_of(facets["evlog_citation"]["offset"])
            [node] = past.get_executions_by_id([facets["evlog_run"]["execution"]])
            assert facets["evlog_run"].get("state") == pb.Execution.State.Name(node.last_known_state)
            assert set(facets["evlog_run"]["properties"]) == set(node.custom_properties)
            read = {
                one.artifact_id
                for one in past.get_events_by_execution_ids([node.id])
                if pb.Event.Type.Name(one.type).endswith("INPUT")
            }
            assert {one["facets"]["evlog_artifact"]["artifact"] for one in told["inputs"]} == read
            for given in told["inputs"] + told["outputs"]:
                facet = given["facets"]["evlog_artifact"]
                [artifact] = past.get_artifacts_by_id([facet["artifact"]])
                assert facet["uri"] == artifact.uri
                assert len(facet["properties"]) == len(artifact.properties) + len(artifact.custom_properties)


def test_a_run_born_and_ended_in_one_put_has_a_start_not_after_its_end(place: Path) -> None:
    told = events(place)
    for run_id in {one["run"]["runId"] for one in told}:
        times = [one["eventTime"] for one in told if one["run"]["runId"] == run_id and one["eventType"] != "OTHER"]
        if len(times) > 1 and "2023" not in times[1]:
            assert times == sorted(times)


def test_what_came_in_goes_out_as_it_came_and_comes_in_again(tmp_path: Path) -> None:
    place = tmp_path / "store"
    (tmp_path / "in.jsonl").write_bytes(lines(*a_run()))
    assert run("-s", place, "import", f"openlineage:{tmp_path / 'in.jsonl'}").exit_code == 0
    told = events(place)
    assert [(one["eventType"], one["eventTime"], one["run"]["runId"]) for one in told] == [
        ("START", "2026-03-01T09:00:00.000Z", RUN),
        ("RUNNING", told[1]["eventTime"], RUN),
        ("COMPLETE", "2026-03-01T09:02:00.000Z", RUN),
    ]
    first, last = told[0], told[-1]
    assert (first["job"]["namespace"], first["job"]["name"]) == ("etl", "orders")
    assert first["job"]["facets"] == a_run()[0]["job"]["facets"]
    assert first["run"]["facets"]["parent"] == a_run()[0]["run"]["facets"]["parent"]
    assert {(one["namespace"], one["name"]) for one in last["inputs"]} == {
        ("postgres://db:5432", "shop.public.orders"),
        ("file", "/data/rates.csv"),
    }
    [made] = last["outputs"]
    assert made["facets"]["version"]["datasetVersion"] == "17"
    assert made["outputFacets"]["outputStatistics"]["size"] == 1_000
    again = tmp_path / "again"
    (tmp_path / "out.jsonl").write_bytes(lines(*told))
    assert run("-s", again, "import", f"openlineage:{tmp_path / 'out.jsonl'}").exit_code == 0
    with closing(opened(place)) as one, closing(opened(again)) as other:
        for store in (one, other):
            [node] = store.get_executions()
            assert (node.external_id, node.last_known_state) == (f"openlineage:run:{RUN}", pb.Execution.COMPLETE)
        pairs = zip(one.get_artifacts(), other.get_artifacts(), strict=True)
        assert all((a.type, a.name, a.uri, a.external_id) == (b.type, b.name, b.uri, b.external_id) for a, b in pairs)


def test_runs_of_our_own_are_taken_by_the_endpoint_and_a_second_time_change_nothing(
    place: Path, receiver: tuple[Engine, str]
) -> None:
    engine, url = receiver
    first = run("-s", place, "export", "openlineage", url, "--json")
    assert (first.exit_code, json.loads(first.stdout)["events"]) == (0, 7)
    end = engine.log.end
    assert run("-s", place, "export", "openlineage", f"{url}/api/v1/lineage").exit_code == 0
    assert engine.log.end == end
    body = engine.view.ask(lambda lookup: lookup.nodes("execution", [1, 2, 3]))
    assert len(body) == 3


def test_parameters_and_metrics_come_through_as_the_numbers_they_are(tmp_path: Path) -> None:
    place, again = tmp_path / "store", tmp_path / "again"
    with closing(opened(place)) as store:
        kind = store.put_execution_type(pb.ExecutionType(name="Trainer"))
        one = pb.Execution(type_id=kind, last_known_state=pb.Execution.COMPLETE)
        one.custom_properties["p.lr"].double_value = 0.1
        one.custom_properties["p.name"].string_value = "adam"
        one.custom_properties["m.acc"].double_value = 0.9
        one.custom_properties["m.loss"].double_value = float("nan")
        one.custom_properties["t.team"].string_value = "x"
        store.put_executions([one])
    [told] = [one for one in events(place) if one["eventType"] == "COMPLETE"]
    listed = told["run"]["facets"]["executionParameters"]["parameters"]
    assert [(one["key"], one["value"]) for one in listed] == [("lr", "0.1"), ("name", "adam")]
    (tmp_path / "out.jsonl").write_bytes(lines(*events(place)))
    assert run("-s", again, "import", f"openlineage:{tmp_path / 'out.jsonl'}").exit_code == 0
    assert run("-s", again, "import", f"openlineage:{tmp_path / 'out.jsonl'}").exit_code == 0
    with closing(opened(again)) as store:
        [node] = store.get_executions()
    held = properties_of(node.custom_properties)
    assert {key: held[key] for key in held if key[1] == "."} == {
        "p.lr": 0.1,
        "p.name": "adam",
        "m.acc": 0.9,
        "t.team": "x",
    }


def test_a_state_goes_on_where_events_were_taken(tmp_path: Path, receiver: tuple[Engine, str]) -> None:
    place, state = tmp_path / "store", tmp_path / "marquez.state"
    store = odd_store(place)
    words = ("-s", place, "export", "openlineage", receiver[1], "--state", state, "--json")
    assert json.loads(run(*words).stdout)["events"] == 7
    trainer = store.get_execution_type("Trainer").id
    store.put_executions([pb.Execution(type_id=trainer, last_known_state=pb.Execution.RUNNING)])
    store.close()
    told = json.loads(run(*words).stdout)
    assert (told["events"], told["end"] - told["begin"]) == (1, 1)
    assert json.loads(run(*words).stdout)["events"] == 0


def test_whoever_refuses_stops_it_and_the_state_stays_before_that_record(
    tmp_path: Path, receiver: tuple[Engine, str]
) -> None:
    place, state = tmp_path / "store", tmp_path / "s"
    odd_store(place).close()
    receiver[0].log.close()
    result = run("-s", place, "export", "openlineage", receiver[1], "--state", state)
    assert (result.exit_code, "was not taken" in result.stderr) == (1, True), result.stderr
    assert json.loads(state.read_text(encoding="utf-8"))["applied"] <= 9


@pytest.mark.once
def test_a_follower_sends_each_run_as_it_is_put_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    place, file, state = tmp_path / "store", tmp_path / "events.jsonl", tmp_path / "state"
    store = odd_store(place)
    trainer = store.get_execution_type("Trainer").id
    command = [sys.executable, "-m", "mlmd.cli", "-s", str(place), "export", "openlineage", str(file)]

    def wait_for(count: int) -> list[str]:
        for _ in range(600):
            found = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
            if len(found) >= count:
                return found
            follower.poll()
            assert follower.returncode is None, follower.stderr.read() if follower.stderr else ""
            signal.sigtimedwait([], 0.05)
        pytest.fail(f"{len(found)} of {count} events came")

    for number in range(3):
        follower = subprocess.Popen([*command, "--follow", "--state", str(state)], stderr=subprocess.PIPE, text=True)
        try:
            wait_for(7 + number)
            store.put_executions([pb.Execution(type_id=trainer, last_known_state=pb.Execution.RUNNING)])
            found = wait_for(8 + number)
        finally:
            follower.send_signal(signal.SIGKILL if number else signal.SIGINT)
            follower.communicate(timeout=60)
        with file.open("a", encoding="utf-8") as torn:
            torn.write('{"eventTime": "torn')
    store.close()
    told = [json.loads(line) for line in found]
    assert [one["eventType"] for one in told[7:]] == ["START"] * len(told[7:])
    assert len({one["run"]["runId"] for one in told[7:]}) == 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("there.jsonl",), 1, "is there already"),
        (("no/such/file",), 1, "does not exist"),
        (("art:1", "new.jsonl"), 2, "too much"),
        (("new.jsonl", "--state", "s"), 2, "--state is for"),
        (("http://[nonsense",), 1, "URL"),
        (("new.jsonl", "--from", "#500"), 1, "has not reached"),
    ],
)
def test_what_cannot_be_sent_is_said(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.jsonl").write_text("mine", encoding="utf-8")
    result = run("-s", place, "export", "openlineage", *words)
    assert (result.exit_code, said in result.stderr) == (code, True), result.output
    assert os.listdir() == ["there.jsonl"]


def test_a_schema_and_a_pipeline_run_are_told(tmp_path: Path) -> None:
    place = tmp_path / "store"
    with closing(opened(place)) as store:
        data = store.put_artifact_type(pb.ArtifactType(name="Table"))
        kind = store.put_execution_type(pb.ExecutionType(name="Trainer"))
        group = store.put_context_type(pb.ContextType(name="pipeline_run"))
        table = pb.Artifact(type_id=data, uri="/data/t.csv")
        table.custom_properties["schema"].struct_value.update({"id": "INT", "fare": "DOUBLE"})
        one = pb.Execution(type_id=kind, last_known_state=pb.Execution.RUNNING)
        store.put_execution(
            one, [(table, pb.Event(type=pb.Event.INPUT))], [pb.Context(type_id=group, name="nightly-7")]
        )
    [told] = events(place)
    [given] = told["inputs"]
    assert (given["namespace"], given["name"]) == ("file", "/data/t.csv")
    assert sorted((one["name"], one["type"]) for one in given["facets"]["schema"]["fields"]) == [
        ("fare", "DOUBLE"),
        ("id", "INT"),
    ]
    assert told["run"]["facets"]["parent"]["job"]["name"] == "nightly-7"
    assert properties_of(table.custom_properties)
