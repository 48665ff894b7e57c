"""The list of runs: it shows what the recorder finds, and says where a filter is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from mlmd.display.cells import printable
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import alive

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from mlmd.engine import Engine
    from mlmd.recorder.store import Store

ODD = ("<script>alert(1)</script>", "\"'><img src=x>", "\u202egnp.exe", "a" * 240, "名前 🦖", "{{ 7 * 7 }}")


@pytest.fixture
def three(store: Store) -> list[int]:
    """Three runs: two trainings that differ in their rate, and a failed one."""
    ids = []
    for rate, acc in ((0.1, 0.8), (0.3, 0.9)):
        with store.run("Trainer", params={"lr": rate, "epochs": 3}) as run:
            run.input("s3://data/1", "Dataset", name="taxi")
            run.log(acc=acc)
            run.output(f"s3://model/{rate}", "Model", name="taxi-model")
        ids.append(run.run.id)
    with pytest.raises(ZeroDivisionError), store.run("Evaluator", params={"lr": 0.1}) as run:
        raise ZeroDivisionError
    return [*ids, run.run.id]


def facts(browser: TestClient, address: str, **query: Any) -> dict[str, Any]:
    answer = browser.get(address, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["facts"]
    return found


def test_the_list_is_what_the_recorder_finds(browser: TestClient, store: Store, three: list[int]) -> None:
    told = facts(browser, "/runs.json", q="p.lr = 0.1")
    assert [row["id"] for row in told["rows"]] == [run.id for run in store.runs("p.lr = 0.1")]
    assert (told["total"], told["runs"]) == (2, 3)
    one = next(row for row in told["rows"] if row["id"] == three[0])
    assert (one["state"], one["type"], one["values"]["m.acc"]) == ("COMPLETE", "Trainer", 0.8)
    assert [end["label"] for end in one["inputs"]] == ["taxi:1"]
    assert [end["label"] for end in one["outputs"]] == ["taxi-model:1"]


@pytest.mark.usefixtures("three")
def test_the_columns_are_what_differs_or_what_was_chosen(browser: TestClient) -> None:
    told = facts(browser, "/runs.json", type="Trainer")
    assert [one["name"] for one in told["columns"]] == ["m.acc", "p.lr"]
    assert [one["kind"] for one in told["columns"]] == ["number", "number"]
    assert "p.epochs" in told["known"]
    chosen = facts(browser, "/runs.json", type="Trainer", column="p.epochs")
    assert [one["name"] for one in chosen["columns"]] == ["p.epochs"]


def test_the_order_and_the_part_are_as_asked(browser: TestClient, three: list[int]) -> None:
    told = facts(browser, "/runs.json", sort="-m.acc", limit=1)
    assert [row["id"] for row in told["rows"]] == [three[1]]
    told = facts(browser, "/runs.json", sort="-m.acc", limit=1, skip=1)
    assert [row["id"] for row in told["rows"]] == [three[0]]
    page = browser.get("/runs", params={"sort": "-m.acc", "limit": 1, "skip": 1}).text
    assert 'aria-sort="descending"' in page
    assert 'rel="prev"' in page
    assert 'rel="next"' in page


@pytest.mark.usefixtures("three")
def test_lost_is_a_state_like_others_now_and_none_of_the_past(
    browser: TestClient, store: Store, engine: Engine
) -> None:
    found = alive.parse(alive.this_process())
    assert found is not None
    message = store.get_run(1).message
    message.last_known_state = pb.Execution.RUNNING
    message.custom_properties["evlog.process"].string_value = str(found._replace(started="1"))
    store.metadata.put_executions([message])
    told = facts(browser, "/runs.json", state="LOST", q="m.acc > 0")
    assert ([(row["id"], row["state"]) for row in told["rows"]], told["total"]) == ([(1, "LOST")], 1)
    assert facts(browser, "/runs.json", state="RUNNING")["total"] == 0
    page = browser.get("/runs", params={"state": "LOST"}).text
    assert "<option selected>LOST</option>" in page
    assert "evlog runs --sort" not in page
    assert "--state LOST" in page
    then = browser.get("/runs", params={"state": "LOST", "at": f"#{engine.log.end - 1}"})
    assert (then.status_code, "LOST is told of now alone" in then.text) == (400, True)


def test_a_state_and_types_are_chosen_beside_the_filter(browser: TestClient, three: list[int]) -> None:
    assert [row["id"] for row in facts(browser, "/runs.json", state="FAILED")["rows"]] == [three[2]]
    told = facts(browser, "/runs.json", q="p.lr = 0.1 -- who?", state="COMPLETE", type=["Trainer", "Evaluator"])
    assert [row["id"] for row in told["rows"]] == [three[0]]
    assert browser.get("/runs", params={"state": "ODD"}).status_code == 400


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("query", "said", "before", "at"),
    [
        ({"q": "m.acc > 0.5 and foo = 1"}, "foo", "m.acc &gt; 0.5 and ", "f"),
        ({"q": "m.acc >"}, "Unexpected end", "m.acc &gt;", "▏ here"),
        ({"q": "m.acc ==\n3", "state": "FAILED"}, "Unexpected", "m.acc =", "="),
        ({"sort": "nothing"}, "is no order", None, None),
    ],
)
def test_a_filter_that_is_wrong_is_shown_where_it_is(
    browser: TestClient, query: dict[str, str], said: str, before: str | None, at: str | None
) -> None:
    answer = browser.get("/runs", params=query)
    assert answer.status_code == 400
    assert said in answer.text
    if before is not None:
        assert f"<bdi>{before}</bdi><mark>{at}</mark>" in answer.text
    for form in ("json", "csv", "parquet"):
        told = browser.get(f"/runs.{form}", params=query)
        assert told.status_code == 400
        assert said in told.json()["message"]


def test_names_that_are_markup_stay_text(browser: TestClient, store: Store) -> None:
    for number, name in enumerate(ODD):
        with store.run(name[:200], name=name[:240], params={name[:200]: name}) as run:
            run.log({name[:200]: 1.0})
            run.output("s3://x/" + name, name[:200], name=f"m{number}")
    page = browser.get("/runs").text
    for name in ODD:
        assert printable(name)[:20].replace("&", "&amp;").split("<")[0].split('"')[0] in page
    assert "<script>" not in page
    assert "<img" not in page
    assert "\u202e" not in re.sub(r"<[^>]*>", "", page)  # In a field it is what was typed.
    assert "49" not in page.partition("{{ 7")[2][:20]
    for row in facts(browser, "/runs.json")["rows"]:
        assert row["name"] in ODD or row["name"] == ODD[3][:240]
        assert browser.get(f"/runs/{row['id']}").status_code == 200


def test_the_other_forms_hold_the_same_rows(browser: TestClient, three: list[int]) -> None:
    csv = browser.get("/runs.csv", params={"sort": "id"})
    assert csv.headers["content-type"].startswith("text/csv")
    assert [line.split(",")[0] for line in csv.text.splitlines()[1:]] == [str(one) for one in three]
    assert browser.get("/runs.parquet").content[:4] == b"PAR1"
    none = browser.get("/runs.csv", params={"q": "p.lr > 99"})
    assert (none.status_code, none.text.splitlines()[0].split(",")[0]) == (200, "run")
    assert browser.get("/runs.parquet", params={"q": "p.lr > 99"}).status_code == 200


def test_a_list_of_the_past_stays_as_it_was(browser: TestClient, store: Store, engine: Engine) -> None:
    with store.run("Trainer"):
        pass
    then = f"#{engine.log.end}"
    before = browser.get("/runs", params={"at": then})
    with store.run("Trainer", params={"lr": 1}):
        pass
    after = browser.get("/runs", params={"at": then})
    assert before.content == after.content
    assert "1 of 1 runs" in before.text
    assert 'name="at" value="#' in before.text


def test_more_runs_or_another_part_than_there_may_be_is_refused(browser: TestClient) -> None:
    for query in ({"limit": 501}, {"limit": 0}, {"skip": -1}, {"q": "x" * 2_001}, {"type": ["a"] * 51}):
        assert browser.get("/runs", params=query).status_code == 400


def test_the_command_and_the_python_list_the_same(browser: TestClient, store: Store, three: list[int]) -> None:
    page = browser.get("/runs", params={"q": "p.lr = 0.1", "sort": "-m.acc", "limit": 2}).text
    assert "evlog runs &#39;p.lr = 0.1&#39; --sort -m.acc -n 2" in page
    assert "runs(&#39;p.lr = 0.1&#39;, sort=&#39;-m.acc&#39;)[0:2]" in page
    assert [run.id for run in store.runs("p.lr = 0.1", sort="-m.acc")[0:2]] == [three[0], three[2]]


def test_the_store_is_let_go_of_when_a_page_is_done(
    browser: TestClient, engine: Engine, store: Store, three: list[int]
) -> None:
    assert three
    for query in ({}, {"q": "("}):
        browser.get("/runs", params=query)
        browser.get("/runs.json", params=query)
    with store.run("Trainer") as run:
        pass
    assert facts(browser, "/runs.json")["rows"][0]["id"] == run.run.id
    assert engine.review(lambda _log, _view, end: end) == engine.log.end


def test_what_another_program_put_under_our_names_breaks_no_page(browser: TestClient, store: Store) -> None:
    with store.run("Trainer") as run:
        run.log(acc=0.5, loss=0.5)
    message = run.run.message
    odd = message.custom_properties
    odd["evlog.ended_ms"].string_value = "soon"
    odd["evlog.reuses"].string_value = "run:1"
    odd["evlog.error"].int_value = 3
    odd["evlog.tainted"].int_value = 3
    odd["evlog.process"].int_value = 3
    odd["evlog.command"].struct_value.update({"a": [1, None]})
    odd["m.acc"].string_value = "high"
    odd["evlog.points"].struct_value.update({"acc": [[1], "x", [0, 1, "y"], {"a": 1}], "loss": 3})
    store.metadata.put_executions([message])
    for address in ("/", "/runs", f"/runs/{message.id}", f"/compare?run={message.id}&run={message.id}&at2=%232"):
        answer = browser.get(address)
        assert answer.status_code in {200, 404}, (address, answer.text)
    assert facts(browser, f"/runs/{message.id}.json")["reuses"] is None


def test_what_a_run_was_to_read_and_did_read_is_one_input(browser: TestClient, store: Store) -> None:
    puts = store.metadata
    kind, made = (
        puts.put_artifact_type(pb.ArtifactType(name="Data")),
        puts.put_execution_type(pb.ExecutionType(name="Trainer")),
    )
    one, other = puts.put_artifacts([pb.Artifact(type_id=kind), pb.Artifact(type_id=kind)])
    [run] = puts.put_executions([pb.Execution(type_id=made)])
    types = (pb.Event.DECLARED_INPUT, pb.Event.INPUT, pb.Event.INPUT)
    for number, artifact in ((1, one), (2, one), (3, other)):
        puts.put_events([pb.Event(artifact_id=artifact, execution_id=run, type=types[number - 1])])
    [row] = browser.get("/runs.json").json()["facts"]["rows"]
    assert ([end["id"] for end in row["inputs"]], row["inputs_total"]) == ([one, other], 2)
    facts = browser.get(f"/runs/{run}.json").json()["facts"]
    assert ([end["id"] for end in facts["inputs"]], facts["inputs_total"]) == ([one, other], 2)
    assert [end.id for end in store.get_run(run).inputs] == [one, other]
