"""The pages of lineages, as a browser with and without script asks for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words
from mlmd.story import record_story

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from mlmd.engine import Engine
    from mlmd.recorder.store import Store

MODEL = "/lineage/taxi-model:4"


@pytest.fixture
def told(store: Store) -> Store:
    """A store that holds the story of the demonstration."""
    record_story(store, 60)
    return store


def facts(browser: TestClient, path: str, **asked: Any) -> dict[str, Any]:
    answer = browser.get(f"{path}.json", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["facts"]
    return found


def keys(found: dict[str, Any]) -> set[str]:
    return {node["key"] for node in found["graph"]["nodes"]}


def test_the_page_is_complete_without_script(browser: TestClient, told: Store) -> None:
    found = facts(browser, MODEL)
    page = browser.get(MODEL).text
    picture = re.search(r"<svg.*</svg>", page, re.DOTALL)
    assert picture is not None
    for key in keys(found):
        assert f'data-key="{key}"' in picture[0]
        assert f'<tr data-key="{key}">' in page
    assert "/artifacts/34" in page
    assert "warm_start" in page


def test_the_data_holds_places_versions_and_births(browser: TestClient, told: Store, engine: Engine) -> None:
    found = facts(browser, MODEL, up=1000)
    nodes = {node["key"]: node for node in found["graph"]["nodes"]}
    assert nodes["art:34"]["label"] == "taxi-model:4"
    assert [state for _, state, _ in nodes["run:2"]["versions"]] == ["RUNNING", "COMPLETE"]
    edges = [
        (found["graph"]["nodes"][edge["source"]]["key"], found["graph"]["nodes"][edge["target"]]["key"])
        for edge in found["graph"]["edges"]
    ]
    assert ("run:38", "art:34") in edges
    assert all(edge["born"] < engine.log.end for edge in found["graph"]["edges"])
    assert nodes["run:2"]["x"] < nodes["art:2"]["x"]
    assert found["end"] == engine.log.end


def test_the_picture_of_another_moment_has_everything_in_the_same_place(browser: TestClient, told: Store) -> None:
    def places(text: str) -> list[str]:
        return re.findall(r'<rect class="[^"]*"[^>]* x="([^"]*)" y="([^"]*)"', text)

    now = browser.get(f"{MODEL}.svg").text
    then = browser.get(f"{MODEL}.svg", params={"until": "#60"}).text
    assert set(places(then)) <= set(places(now))
    assert "faint: not there yet" in then
    assert "not there yet" not in now


def test_two_moments_are_compared_in_words_and_lines(browser: TestClient, told: Store) -> None:
    found = facts(browser, MODEL, since="#47", until="#105", up=12)
    assert found["changes"] == {"added": 12, "changed": 2, "gone": 0}
    page = browser.get(MODEL, params={"since": "#47", "until": "#105", "up": 12}).text
    assert page.count('class="change added"') == 12
    assert "dashes around it: added" in page
    other = facts(browser, MODEL, since="#105", until="#47", up=12)
    assert other["changes"] == found["changes"]


def test_the_picture_links_to_the_pages_of_its_nodes_at_the_moment_of_the_page(
    browser: TestClient, told: Store
) -> None:
    text = browser.get(f"{MODEL}.svg", params={"at": "#143"}).text
    links = {one.get("href") for one in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}a")}
    assert "/artifacts/34?at=%23143" in links
    page = browser.get(MODEL, params={"at": "#143"}).text
    assert '<td><a href="/runs/38?at=%23143">run:38</a></td>' in page
    assert 'href="/lineage/art:34?at=%23143"' in page


def test_hops_types_and_groups_are_as_asked(browser: TestClient, told: Store) -> None:
    assert keys(facts(browser, MODEL, up=1, down=0)) == {"art:34", "run:38"}
    models = facts(browser, MODEL, up=12, type=["Model"])
    assert keys(models) == {"art:2", "art:14", "art:22", "art:34"}
    assert len(models["graph"]["edges"]) == 3
    by_type = facts(browser, MODEL, up=12, by="type")
    assert "group:Trainer" in keys(by_type)
    opened = facts(browser, MODEL, up=12, by="type", open=["group:Trainer"])
    assert {"run:2", "run:14"} <= keys(opened)
    assert "group:Trainer" not in keys(opened)
    by_pipeline = facts(browser, MODEL, up=12, by="context:Pipeline")
    assert "group:Trainer taxi" in keys(by_pipeline)
    assert "context:Pipeline" in by_pipeline["groupings"]
    assert not any(one.startswith("context:evlog") for one in by_pipeline["groupings"])


def test_a_node_that_is_opened_brings_its_neighbours(browser: TestClient, told: Store) -> None:
    few = facts(browser, MODEL, up=2, down=0)
    more = facts(browser, MODEL, up=2, down=0, open=["art:22"])
    hidden = next(node for node in few["graph"]["nodes"] if node["key"] == "art:22")["hidden"]
    assert len(keys(more)) == len(keys(few)) + hidden


def test_the_way_between_two_things_is_a_page(browser: TestClient, told: Store) -> None:
    found = facts(browser, MODEL, to="taxi:1")
    assert {"art:1", "run:2", "art:2", "run:14", "art:14", "run:26", "art:22", "run:38", "art:34"} == keys(found)
    assert "Way from taxi-model:4 to taxi:1" in browser.get(MODEL, params={"to": "taxi:1"}).text
    assert browser.get(MODEL, params={"to": "fraud:1"}).status_code == 404


def test_the_list_is_a_table_of_the_same(browser: TestClient, told: Store) -> None:
    lines = browser.get(f"{MODEL}.csv", params={"up": 12}).text.splitlines()
    assert lines[0] == "level,node,type,name,state,flags,change,born,made_by,hidden"
    assert len(lines) == 1 + len(keys(facts(browser, MODEL, up=12)))
    assert lines[1].startswith("-9,run:1,ExampleGen,run:1,COMPLETE")


def test_a_page_of_a_moment_stays_the_same_bytes(browser: TestClient, told: Store) -> None:
    asked = {"at": "#100", "since": "#50"}
    before = [
        browser.get(f"/lineage/taxi-model:2{form}", params=asked).content for form in ("", ".json", ".svg", ".csv")
    ]
    with told.run("Trainer") as run:
        run.input("taxi-model:2")
    after = [
        browser.get(f"/lineage/taxi-model:2{form}", params=asked).content for form in ("", ".json", ".svg", ".csv")
    ]
    assert after == before


def test_what_is_put_is_seen_at_once(browser: TestClient, told: Store) -> None:
    before = keys(facts(browser, MODEL))
    with told.run("Explainer") as run:
        run.input("taxi-model:4")
    assert keys(facts(browser, MODEL)) - before == {f"run:{run.id}"}


def test_a_run_whose_process_has_gone_is_lost_now_and_was_running_then(
    browser: TestClient, store: Store, engine: Engine
) -> None:
    metadata = store.metadata
    run_type = metadata.put_execution_type(pb.ExecutionType(name="Trainer"))
    run = pb.Execution(type_id=run_type, last_known_state=pb.Execution.RUNNING)
    run.custom_properties[words.PROCESS].string_value = "elsewhere - - 1 1"
    run.last_update_time_since_epoch = 1
    [number] = metadata.put_executions([run])
    assert '"RUNNING"' in browser.get(f"/lineage/run:{number}.json", params={"at": f"#{engine.log.end}"}).text
    from mlmd.recorder import alive

    silent = alive.MISSED_MAX
    try:
        alive.MISSED_MAX = -1  # type: ignore[misc]
        page = browser.get(f"/lineage/run:{number}.json").json()
    finally:
        alive.MISSED_MAX = silent  # type: ignore[misc]
    [node] = page["facts"]["graph"]["nodes"]
    assert node["versions"][-1][1:] == ["LOST", ["lost"]]


def test_the_start_offers_what_was_made_last_and_takes_any_name(browser: TestClient, told: Store) -> None:
    assert "/lineage/art:34" in browser.get("/lineage").text
    assert keys(facts(browser, "/lineage", object="taxi-model@prod")) >= {"art:14"}


@pytest.mark.parametrize(
    ("path", "asked", "status", "said"),
    [
        ("/lineage/art:99999", {}, 404, "there is no art:99999"),
        ("/lineage/ctx:1", {}, 400, "has no lineage"),
        (MODEL, {"up": "-1"}, 400, "up="),
        (MODEL, {"nodes": "0"}, 400, "nodes="),
        (MODEL, {"nodes": "10001"}, 400, "nodes="),
        (MODEL, {"by": "colour"}, 400, "by="),
        (MODEL, {"by": "context:None"}, 400, "no type of contexts"),
        (MODEL, {"open": "nonsense"}, 400, "open="),
        (MODEL, {"open": "ctx:1"}, 400, "open="),
        (MODEL, {"open": "art:99999"}, 200, ""),
        (MODEL, {"until": "some day"}, 400, "until"),
        (MODEL, {"since": "#999999"}, 400, "999"),
        (MODEL, {"at": "#100", "until": "#120"}, 400, "comes after"),
        (MODEL, {"to": "art:99999"}, 404, "there is no art:99999"),
        (MODEL, {"to": "ctx:1"}, 400, "has no lineage"),
        (MODEL, {"type": "Nothing"}, 200, ""),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_reason(
    browser: TestClient, told: Store, path: str, asked: dict[str, str], status: int, said: str
) -> None:
    for form in ("", ".json"):
        answer = browser.get(path + form, params=asked)
        assert answer.status_code == status, answer.text
        assert said in answer.text


def test_names_that_a_user_gave_are_texts_everywhere(browser: TestClient, store: Store) -> None:
    name = '<img src=x onerror="alert(1)">'
    with store.run(name) as run:
        run.output("s3://b/</script><script>alert(1)</script>", "Data & more")
    for form in ("", ".svg"):
        text = browser.get(f"/lineage/run:{run.id}{form}").text
        assert "<img src=x" not in text
        assert "<script>alert" not in text


def test_each_row_of_the_list_names_its_node_whatever_is_in_a_name(browser: TestClient, store: Store) -> None:
    for name in ("\u202egnp.exe", "two\nlines\tand 100%", "模型 🚖"):
        kind = store.metadata.put_artifact_type(pb.ArtifactType(name=name))
        run_type = store.metadata.put_execution_type(pb.ExecutionType(name=name))
        made = [(pb.Artifact(type_id=kind), pb.Event(type=pb.Event.OUTPUT)) for _ in range(3)]
        run, _, _ = store.metadata.put_execution(pb.Execution(type_id=run_type), made, [])
        path, asked = f"/lineage/run:{run}", {"by": "type"}
        keys = {node["key"] for node in facts(browser, path, **asked)["graph"]["nodes"]}
        assert len(keys) == 2
        page = browser.get(path, params=asked).text
        assert {unquote(key) for key in re.findall(r'<tr data-key="([^"]*)"', page)} == keys
