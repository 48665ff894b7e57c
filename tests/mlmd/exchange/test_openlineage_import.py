"""Events of OpenLineage in: what a run becomes, twice the same changes nothing, and what is wrong is refused as a whole."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from check import check_store
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from lineage_events import DAG, RUN, a_run, dataset, event, facet, lines
from stores import opened, run

from evlog.log import Log
from mlmd.cli import cli
from mlmd.convert import properties_of
from mlmd.engine import Engine
from mlmd.exchange.openlineage.putting import PUT_EVENT, Unchanged
from mlmd.exchange.openlineage.reading import read_event
from mlmd.opening import open_memory
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable
    from pathlib import Path

    from mlmd import MetadataStore

pytestmark = pytest.mark.slow


def taken(place: Path, *events: Any, data: bytes | None = None) -> dict[str, Any]:
    file = place.with_name("events.jsonl")
    file.write_bytes(lines(*events) if data is None else data)
    result = run("-s", place, "import", f"openlineage:{file}", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(place: Path, data: bytes) -> str:
    file = place.with_name("bad.jsonl")
    file.write_bytes(data)
    result = run("-s", place, "import", f"openlineage:{file}")
    assert result.exit_code == 1, result.output
    assert "fault of evlog" not in result.stderr
    return result.stderr


def plain(node: Any) -> dict[str, Any]:
    return {key: getattr(value, "fields", value) for key, value in properties_of(node.custom_properties).items()}


def runs(store: MetadataStore) -> list[pb.Execution]:
    return store.get_executions()


def test_a_run_becomes_an_execution_with_its_data_its_job_and_its_parent(tmp_path: Path) -> None:
    place = tmp_path / "store"
    told = taken(place, *a_run())
    assert (told["taken"], told["unchanged"], told["records"]) == (3, 0, 3)
    with closing(opened(place)) as store:
        [one] = runs(store)
        assert (one.type, one.name, one.external_id) == ("SPARK.SQL_JOB", RUN, f"openlineage:run:{RUN}")
        assert one.last_known_state == pb.Execution.COMPLETE
        said = plain(one)
        assert said["t.team"] == "shop"
        assert said["evlog.ended_ms"] - said["openlineage.started_ms"] == 120_000
        assert set(said["openlineage.run"]) == {"parent", "progress", "tags"}
        assert said["openlineage.outputs"]["s3://lake/daily/orders"]["outputStatistics"]["rowCount"] == str(2**60 + 1)
        by_name = {node.name: node for node in store.get_artifacts()}
        assert {name: (node.type, node.uri) for name, node in by_name.items()} == {
            "postgres://db:5432/shop.public.orders": ("Dataset", "postgres://db:5432/shop.public.orders"),
            "file//data/rates.csv": ("FILE", "file:///data/rates.csv"),
            "s3://lake/daily/orders@17": ("Dataset", "s3://lake/daily/orders"),
        }
        orders = plain(by_name["postgres://db:5432/shop.public.orders"])
        assert orders["openlineage.facets"]["schema"]["fields"] == [{"name": "id", "type": "INT"}]
        made = by_name["s3://lake/daily/orders@17"]
        assert plain(made)["openlineage.version"] == "17"
        events = store.get_events_by_execution_ids([one.id])
        assert sorted((item.artifact_id == made.id, item.type) for item in events) == [
            (False, pb.Event.INPUT),
            (False, pb.Event.INPUT),
            (True, pb.Event.OUTPUT),
        ]
        contexts = {node.type: node for node in store.get_contexts_by_execution(one.id)}
        job, parent = contexts["openlineage.Job"], contexts["openlineage.ParentRun"]
        assert (job.name, properties_of(job.properties)) == ("etl.orders", {"namespace": "etl", "name": "orders"})
        assert plain(job)["openlineage.facets"]["sql"]["query"] == "select 1"
        assert (parent.name, properties_of(parent.properties)) == (DAG, {"namespace": "etl", "name": "nightly"})
        check_store(store)


def test_each_event_is_one_record_types_included(tmp_path: Path) -> None:
    place = tmp_path / "store"
    taken(place, *a_run())
    with closing(Log.open(place / "log", writable=False)) as log:
        records = [entry.record for entry in log.read(1)]
    assert [record.envelope.api for record in records] == ["OpenLineage"] * 3
    assert {type(change).__name__ for change in records[0].changes} >= {"ExecutionTypePut", "ArtifactPut", "EventPut"}


def test_the_same_file_twice_changes_nothing(tmp_path: Path) -> None:
    place = tmp_path / "store"
    taken(place, *a_run())
    again = taken(place, *a_run())
    assert (again["taken"], again["unchanged"], again["records"]) == (0, 3, 0)


def conflicting() -> list[dict[str, Any]]:
    """Events of two runs that say different things of the same data, job and run at the same and at different times."""
    return [
        event(
            state,
            minute,
            run_id=run_id,
            run={name: facet(value=n)},
            job={"doc": facet(value=n)},
            inputs=[dataset("ns", "table", schema=facet(value=n))],
        )
        for n, (state, minute, run_id, name) in enumerate(
            [
                ("START", 1, RUN, "a"),
                ("RUNNING", 2, RUN, "a"),
                ("RUNNING", 2, RUN, "a"),
                ("COMPLETE", 3, RUN, "b"),
                ("FAIL", 3, RUN, "b"),
                ("START", 2, DAG, "a"),
                ("OTHER", 4, DAG, "a"),
                ("ABORT", 2, DAG, "b"),
            ]
        )
    ]


def put_all(engine: Engine, events: Iterable[dict[str, Any]]) -> None:
    for one in events:
        try:
            engine.answer(PUT_EVENT, read_event(json.dumps(one)))
        except Unchanged:
            continue


@given(st.permutations(conflicting()), st.randoms(use_true_random=False))
def test_events_that_were_taken_change_nothing_whatever_came_between(
    order: list[dict[str, Any]], chance: random.Random
) -> None:
    with closing(Engine(open_memory())) as engine:
        put_all(engine, order)
        end = engine.log.end
        put_all(engine, chance.choices(order, k=12))
        put_all(engine, order[::-1])
        assert engine.log.end == end


@given(st.permutations(a_run()))
def test_a_run_is_the_same_in_whatever_order_its_events_come(order: list[dict[str, Any]]) -> None:
    with closing(Engine(open_memory())) as engine:
        put_all(engine, order)
        [execution] = engine.view.ask(lambda lookup: lookup.nodes("execution", [1]))
    node = pb.Execution.FromString(execution[2 if execution[1] < 128 else 3 :])
    said = plain(node)
    assert node.last_known_state == pb.Execution.COMPLETE
    assert (said["t.team"], set(said["openlineage.run"])) == ("shop", {"parent", "progress", "tags"})
    assert said["evlog.ended_ms"] - said["openlineage.started_ms"] == 120_000


def test_states_are_those_of_mlmd(tmp_path: Path) -> None:
    place = tmp_path / "store"
    ids = [f"0193b9a1-5f2e-7c3d-8a4b-00000000000{n}" for n in range(6)]
    names = ["START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER"]
    taken(place, *(event(name, 1, run_id=run_id) for name, run_id in zip(names, ids, strict=True)))
    with closing(opened(place)) as store:
        states = [pb.Execution.State.Name(one.last_known_state) for one in runs(store)]
    assert states == ["RUNNING", "RUNNING", "COMPLETE", "FAILED", "CANCELED", "UNKNOWN"]


def test_a_failure_says_why_and_a_later_start_does_not_revive_it(tmp_path: Path) -> None:
    place = tmp_path / "store"
    error = facet(message="no such table", programmingLanguage="PYTHON", stackTrace="at line 1")
    taken(place, event("START", 1), event("FAIL", 2, run={"errorMessage": error}), event("START", 3))
    with closing(opened(place)) as store:
        [one] = runs(store)
    assert one.last_known_state == pb.Execution.FAILED
    assert plain(one)["evlog.error"] == "no such table\nat line 1"


def test_versions_of_a_dataset_are_artifacts_of_their_own(tmp_path: Path) -> None:
    place = tmp_path / "store"
    versions = [dataset("ns", "t", version) for version in ("1", "2")]
    taken(
        place, event("START", 1, inputs=versions[:1]), event("COMPLETE", 2, inputs=versions[:1], outputs=versions[1:])
    )
    with closing(opened(place)) as store:
        assert [node.name for node in store.get_artifacts()] == ["ns/t@1", "ns/t@2"]


def test_names_that_look_alike_when_joined_stay_apart(tmp_path: Path) -> None:
    place = tmp_path / "store"
    pairs = [("a.b", "c"), ("a", "b.c"), ("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c")]
    jobs = [{"namespace": namespace, "name": name} for namespace, name in pairs]
    taken(
        place,
        *(
            {"eventTime": "2026-03-01T09:00:00Z", "job": job, "inputs": [dataset(*pair)]}
            for job, pair in zip(jobs, pairs, strict=True)
        ),
    )
    with closing(opened(place)) as store:
        assert len(store.get_contexts_by_type("openlineage.Job")) == len(pairs)
        assert len(store.get_artifacts()) == len(pairs)


def test_events_of_a_job_and_of_a_dataset_are_taken(tmp_path: Path) -> None:
    place = tmp_path / "store"
    when = {"eventTime": "2026-03-01T09:00:00Z", "producer": "p"}
    of_dataset = {**when, "dataset": dataset("ns", "t", doc=facet(description="a table"))}
    of_job = {
        **when,
        "job": {"namespace": "etl", "name": "j"},
        "inputs": [dataset("ns", "t")],
        "outputs": [dataset("ns", "u")],
    }
    assert taken(place, of_dataset, of_job)["taken"] == 2
    assert taken(place, of_job, of_dataset)["unchanged"] == 2
    with closing(opened(place)) as store:
        [job] = store.get_contexts()
        assert plain(job)["openlineage.outputs"] == {"ns/u": {}}
        assert [node.name for node in store.get_artifacts_by_context(job.id)] == ["ns/t", "ns/u"]
        assert not runs(store)


def test_types_and_names_that_a_store_has_already_are_no_trouble(tmp_path: Path) -> None:
    place = tmp_path / "store"
    with closing(opened(place)) as store:
        data = store.put_artifact_type(pb.ArtifactType(name="Dataset", properties={"day": pb.INT}))
        store.put_artifacts([pb.Artifact(type_id=data, name="ns/t")])
        store.put_execution_type(pb.ExecutionType(name="openlineage.Run", properties={"x": pb.INT}))
    taken(place, event("START", 1, inputs=[dataset("ns", "t")]))
    with closing(opened(place)) as store:
        assert [(node.name, bool(node.external_id)) for node in store.get_artifacts()] == [("ns/t", False), ("", True)]


@pytest.mark.parametrize("indent", [None, 1])
def test_one_json_text_of_one_or_many_events_is_read_too(tmp_path: Path, indent: int | None) -> None:
    texts = [
        json.dumps(a_run(), indent=indent),
        json.dumps(a_run()[0], indent=indent),
        "\ufeff\n\n" + json.dumps(a_run()[0], indent=3),
    ]
    for n, text in enumerate(texts):
        assert taken(tmp_path / f"store{n}", data=text.encode())["taken"] == (1 if n else 3)


def test_standard_input_is_read_where_the_file_is_a_dash(tmp_path: Path) -> None:
    words = ["-s", str(tmp_path / "store"), "import", "openlineage:-", "--json"]
    result = CliRunner().invoke(cli, words, input=lines(*a_run()), prog_name="evlog")
    assert (result.exit_code, json.loads(result.stdout)["taken"]) == (0, 3)


GOOD = event("START", 1)
BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{nonsense", "no JSON"),
    "cut": (lines(GOOD)[:-40], "no JSON"),
    "another JSON": (b"17\n", "Expected `object`"),
    "an empty object": (b"{}\n", "eventTime"),
    "no run, no job": (b'{"eventTime": "2026-03-01T09:00:00Z"}\n', "neither a run"),
    "no time": (lines(event("START", 1, eventTime="yesterday")), "eventTime: 'yesterday' is no time"),
    "a time out of hand": (lines(event("START", 1, eventTime="0001-01-01T00:00:00+23:59")), "is no time"),
    "no state": (lines(event("BEGUN", 1)), "eventType: 'BEGUN' is none of"),
    "no UUID": (lines(event("START", 1, run_id="17")), "run.runId: '17' is no UUID"),
    "a number for a text": (lines(event("START", 1, run_id=17)), "run.runId: Expected `str`, got `int`"),
    "an empty name": (lines(event("START", 1, inputs=[dataset("ns", "")])), "inputs[0].name: it is empty"),
    "a list for a facet": (lines(event("START", 1, run={"x": []})), "Expected `object`"),
    "a run without job": (
        b'{"eventTime": "2026-03-01T09:00:00Z", "run": {"runId": "%s"}}\n' % RUN.encode(),
        "a run has a job",
    ),
    "a version that is none": (
        lines(event("START", 1, inputs=[dataset("n", "t", version=facet(datasetVersion=7))])),
        "a version is a text",
    ),
    "NaN": (lines(GOOD).replace(b'"facets": {}', b'"facets": {"x": {"y": NaN}}', 1), "no JSON"),
    "a number beyond all": (lines(GOOD).replace(b'"facets": {}', b'"facets": {"x": {"y": 1e999}}', 1), "out of range"),
    "endless digits": (
        lines(GOOD).replace(b'"facets": {}', b'"facets": {"x": {"y": 1%s}}' % (b"0" * 5000), 1),
        "out of range",
    ),
    "half a surrogate pair": (lines(GOOD).replace(b'"orders"', rb'"\ud800"', 1), "no JSON"),
    "no UTF-8": (lines(GOOD).replace(b'"orders"', b'"\xff"', 1), "no JSON"),
    "too deep": (lines(event("START", 1, run={"x": facet(y=json.loads("[" * 40 + "]" * 40))})), "deeper than 24"),
    "deep beyond all": (b'{"eventTime": ' + b"[" * 200_000 + b"\n", ""),
    "deep beyond all, an array": (b"[" * 200_000 + b"\n", ""),
    "too many data sets": (
        lines(event("START", 1, inputs=[{"namespace": "n", "name": str(n)} for n in range(10_001)])),
        "more than 10,000 inputs",
    ),
    "a UTF-16 text": ("{}".encode("utf-16"), "no JSON"),
    "zeros": (bytes(1000), "no JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_and_leaves_no_trace(tmp_path: Path, name: str) -> None:
    data, said = BAD[name]
    assert said in refused(tmp_path / "store", data)
    assert not (tmp_path / "store").exists()


def test_an_event_that_is_wrong_is_named_by_its_line_and_those_before_it_stand(tmp_path: Path) -> None:
    place = tmp_path / "store"
    good = a_run()
    said = refused(place, lines(good[0]) + b"\n" + lines(event("BEGUN", 1)) + lines(*good[1:]))
    assert "line 3: eventType" in said
    assert taken(place, *good) | {"store": "", "source": ""} == {
        "store": "",
        "source": "",
        "taken": 2,
        "unchanged": 1,
        "records": 2,
        "states": {"RUNNING": 1, "COMPLETE": 1},
    }
    assert "event 2: eventType" in refused(place, json.dumps([good[0], event("BEGUN", 1)]).encode())


def test_a_file_that_is_none_or_empty_is_refused(tmp_path: Path) -> None:
    assert "there is no event in it" in refused(tmp_path / "store", b"\n \n")
    for source in (tmp_path / "none", tmp_path, "\0"):
        result = run("-s", tmp_path / "store", "import", f"openlineage:{source}")
        assert (result.exit_code, "fault of evlog" in result.stderr) == (1, False), result.stderr
    assert not (tmp_path / "store").exists()


def test_a_facet_as_deep_as_allowed_comes_back(tmp_path: Path) -> None:
    deep: Any = "end"
    for n in range(23):
        deep = {"k": deep} if n % 2 else [deep]
    place = tmp_path / "store"
    taken(
        place,
        event("START", 1, run={"x": {"y": deep}}, job={"x": {"y": deep}}, inputs=[dataset("n", "t", x={"y": deep})]),
    )
    with closing(opened(place)) as store:
        assert plain(runs(store)[0])["openlineage.run"]["x"]["y"] == deep
        assert plain(store.get_artifacts()[0])["openlineage.facets"]["x"]["y"] == deep
        check_store(store)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=12,
    ),
    st.text(min_size=1),
)
def test_any_facet_is_kept_and_taken_once(value: Any, name: str) -> None:
    text = json.dumps(event("START", 1, run={name: {"v": value}}, inputs=[dataset("n" + name, name, x={"v": value})]))
    with closing(Engine(open_memory())) as engine:
        read = read_event(text)
        engine.answer(PUT_EVENT, read)
        end = engine.log.end
        with pytest.raises(Unchanged):
            engine.answer(PUT_EVENT, read)
        assert engine.log.end == end
