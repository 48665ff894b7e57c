"""Forms: each is one record, by who sent it and with his reason; foreign, late and unwanted ones put nothing."""

from __future__ import annotations

import re
import shutil
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from shown import asking

from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.recorder.taint import foretell
from mlmd.serving import tokens
from mlmd.serving.admission import gate_of
from mlmd.web.login import TokenGuard
from mlmd.web.pages import ACTIONS
from mlmd.web.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from shown import Demo
    from starlette.testclient import TestClient

OURS = {"origin": "http://127.0.0.1"}


def send(browser: TestClient, path: str, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
    return browser.post(path, data=fields, headers=OURS if headers is None else headers)


def last(engine: Engine) -> Any:
    [entry] = engine.log.read(engine.log.end - 1, engine.log.end)
    return entry.record.envelope


def test_the_page_of_a_taint_tells_what_it_would_mark_and_marks_nothing(demo: Demo) -> None:
    end = demo.engine.log.end
    facts = demo.facts("/taint.json", object="taxi:1")
    told = foretell(demo.store.metadata, "taxi:1")
    assert (facts["artifacts"], facts["runs"], facts["unchanged"]) == (
        len(told.artifacts),
        len(told.executions),
        told.already,
    )
    assert {row["thing"] for row in facts["rows"]} == {
        *(f"art:{one}" for one in told.artifacts),
        *(f"run:{one}" for one in told.executions),
    }
    assert facts["rows"][0]["live"] == ["taxi-model@prod"]
    assert facts["live"] == 1
    alone = demo.facts("/taint.json", object="taxi:1", alone=1)
    assert [row["thing"] for row in alone["rows"]] == [f"art:{demo.store.artifact('taxi:1').id}"]
    assert demo.engine.log.end == end


def test_a_taint_is_one_record_by_who_sent_it_with_his_reason(demo: Demo) -> None:
    told = foretell(demo.store.metadata, "taxi:1")
    end, number = demo.engine.log.end, demo.store.artifact("taxi:1").id
    answer = send(demo.browser, "/taint", object="taxi:1", because="units were wrong")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/artifacts/{number}?done=tainted"
    assert demo.engine.log.end == end + 1
    said = last(demo.engine)
    assert (said.actor, said.reason, said.application) == ("local", "units were wrong", "evlog ui")
    assert all(demo.store.artifact(f"art:{one}").tainted == "units were wrong" for one in told.artifacts)
    page = demo.browser.get(answer.headers["location"]).text
    assert 'role="status"' in page
    assert "units were wrong" in page


def test_a_taint_is_taken_away_from_what_bears_the_same_reason(demo: Demo) -> None:
    facts = demo.facts("/untaint.json", object="taxi:3")
    assert facts["artifacts"] > 1
    answer = send(demo.browser, "/untaint", object="taxi:3", because="it was the test alone")
    assert answer.headers["location"].endswith("?done=untainted")
    assert demo.store.artifact("taxi:3").tainted is None
    assert [one for one in demo.store.metadata.get_artifacts() if "evlog.tainted" in one.custom_properties] == []
    assert demo.facts("/untaint.json", object="taxi:3")["artifacts"] == 0


def test_a_run_can_be_tainted_alone(demo: Demo) -> None:
    assert 'href="/taint?object=run%3A2"' in demo.browser.get("/runs/2").text
    answer = send(demo.browser, "/taint", object="run:2", because="odd", alone="1")
    assert answer.headers["location"] == "/runs/2?done=tainted"
    assert demo.store.get_run("run:2").tainted == "odd"
    assert all(one.tainted is None for one in demo.store.get_run("run:2").outputs)


def test_an_alias_is_set_moved_and_taken_away(demo: Demo) -> None:
    second = demo.store.artifact("taxi-model:2")
    answer = send(demo.browser, "/alias", object="taxi-model:2", alias="taxi-model@prod", because="back")
    assert answer.headers["location"] == f"/artifacts/{second.id}?done=alias"
    assert demo.store.artifact("taxi-model@prod") == second
    assert last(demo.engine).reason == "back"
    send(demo.browser, "/alias", object=f"art:{second.id}", alias="taxi-model@canary")
    assert last(demo.engine).reason is None
    assert second.aliases == ["taxi-model@canary", "taxi-model@prod"]
    answer = send(demo.browser, "/unalias", alias="taxi-model@prod", because="nobody uses it")
    assert answer.headers["location"] == f"/artifacts/{second.id}?done=unalias"
    assert demo.store.artifact("taxi-model:2").aliases == ["taxi-model@canary"]


def test_a_mark_names_the_moment_of_the_page_and_leads_back_to_it(demo: Demo) -> None:
    end = demo.engine.log.end
    page = demo.browser.get("/artifacts", params={"q": "acc > 0.9", "at": "#30"}).text
    form = page[page.index('action="/mark"') :]
    form = form[: form.index("</form>")]
    fields = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form)}
    assert fields["when"] == "#30"
    answer = send(demo.browser, "/mark", **(fields | {"name": "early"}))
    assert answer.headers["location"] == "/artifacts?q=acc%20%3E%200.9&at=%2330&done=mark"
    assert demo.engine.log.end > end
    assert demo.browser.get(answer.headers["location"]).status_code == 200
    at = demo.browser.get("/artifacts.json", params={"at": "mark:early"}).json()
    assert at["offset"] == 30


@pytest.mark.parametrize(
    "back", ["//evil.example/x", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/\n/x"]
)
def test_a_mark_never_leads_to_another_site(demo: Demo, back: str) -> None:
    answer = send(demo.browser, "/mark", name="m", when="now", back=back)
    assert answer.headers["location"] == "/?done=mark"


@pytest.mark.parametrize(
    ("path", "fields", "status", "said"),
    [
        ("/taint", {"object": "taxi:1", "because": " "}, 400, "reason"),
        ("/taint", {"object": "", "because": "x"}, 400, "name an artifact or a run"),
        ("/taint", {"object": "ctx:1", "because": "x"}, 400, "no artifact and no run"),
        ("/taint", {"object": "type:Model", "because": "x"}, 400, "no artifact and no run"),
        ("/taint", {"object": "art:9999", "because": "x"}, 404, "there is no art:9999"),
        ("/taint", {"object": "taxi:1", "because": "x" * 1_025}, 400, "1,024 at most"),
        ("/taint", {"object": "taxi:1", "because": "x", "more": "1"}, 400, "nothing to ask here"),
        ("/alias", {"object": "taxi-model:1", "alias": "prod"}, 400, "is no alias"),
        ("/alias", {"object": "taxi-model:1", "alias": "fraud-model@prod"}, 400, "stands for versions of fraud-model"),
        ("/alias", {"object": "taxi-model:1", "alias": "taxi-model@latest"}, 400, "choose another alias"),
        ("/alias", {"object": "run:1", "alias": "taxi-model@x"}, 400, "is no artifact"),
        ("/unalias", {"alias": "taxi-model@gone"}, 404, "there is no taxi-model@gone"),
        ("/mark", {"name": "a/b", "when": "now"}, 400, "the mark"),
        ("/mark", {"name": "m", "when": "#99999"}, 400, "has not reached"),
        ("/mark", {"name": "m", "when": "nonsense"}, 400, "no moment"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words_and_puts_nothing(
    demo: Demo, path: str, fields: dict[str, str], status: int, said: str
) -> None:
    end = demo.engine.log.end
    answer = send(demo.browser, path, OURS | {"accept": "application/json"}, **fields)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["message"]
    assert demo.engine.log.end == end


FIELDS = {
    "/taint": {"object": "taxi:1", "because": "x"},
    "/untaint": {"object": "taxi:3", "because": "x"},
    "/alias": {"object": "taxi-model:1", "alias": "taxi-model@prod"},
    "/unalias": {"alias": "taxi-model@prod"},
    "/mark": {"name": "m", "when": "now"},
}


@pytest.mark.parametrize("path", sorted(FIELDS))
def test_a_form_of_another_site_puts_nothing(demo: Demo, path: str) -> None:
    end = demo.engine.log.end
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1.evil.example"},
    ):
        assert send(demo.browser, path, headers, **FIELDS[path]).status_code == 403
    assert demo.browser.get(path, params=FIELDS[path]).status_code in (200, 400, 404, 405)
    assert demo.engine.log.end == end


@pytest.mark.parametrize("path", sorted(FIELDS))
def test_a_store_that_is_open_for_reading_refuses_each_form_and_offers_none(
    recorded: Path, tmp_path: Path, path: str
) -> None:
    place = shutil.copytree(recorded, tmp_path / "read", symlinks=True)
    engine = Engine(open_folder(place, writable=False))
    try:
        browser = asking(Site(engine, "read", place=place))
        answer = send(browser, path, OURS | {"accept": "application/json"}, **FIELDS[path])
        assert answer.status_code == 409
        assert "reading only" in answer.json()["message"]
        assert 'method="post"' not in browser.get("/artifacts/1").text
        assert browser.get("/taint?object=taxi:1").status_code == 409
    finally:
        engine.close()


def test_the_past_offers_no_form_but_the_mark_and_takes_none(demo: Demo) -> None:
    number = demo.store.artifact("taxi-model:2").id
    page = demo.browser.get(f"/artifacts/{number}?at=%23{demo.engine.log.end}").text
    assert re.findall(r'method="post" action="([^"]*)"', page) == ["/mark"]
    assert "Taint" not in page
    end = demo.engine.log.end
    answer = send(demo.browser, "/taint", object="taxi:1", because="x", at="#30")
    assert answer.status_code == 409
    assert demo.engine.log.end == end


def test_every_form_that_puts_is_tried_here() -> None:
    ours = [action for action in ACTIONS if not action.path.startswith("/sql")]
    assert {action.path for action in ours} == set(FIELDS)


def test_a_form_needs_the_role_and_what_only_its_page_knows_and_names_who_sent_it(demo: Demo) -> None:
    secrets = {role: tokens.add(demo.engine, f"{role}-bot", role).secret for role in ("reader", "writer")}
    gate = gate_of(demo.engine)
    site = Site(demo.engine, "demo", place=demo.site.place, guard=TokenGuard(gate, "127.0.0.1", demo.engine.log.id))
    browser = asking(site)
    end = demo.engine.log.end
    fields = FIELDS["/alias"]
    assert send(browser, "/alias", OURS | {"accept": "application/json"}, **fields).status_code == 401
    reader = {"authorization": f"Bearer {secrets['reader']}"}
    assert send(browser, "/alias", OURS | reader, **fields).status_code == 403
    assert 'method="post" action="/alias"' not in browser.get("/artifacts/1", headers=reader).text
    assert browser.get("/taint?object=taxi:1", headers=reader).status_code == 403
    assert browser.get("/ops", headers=reader).status_code == 403
    assert 'href="/ops"' not in browser.get("/artifacts", headers=reader).text
    assert browser.get("/healthz").text == "ok\n"
    assert demo.engine.log.end == end
    logged_in = send(browser, "/login", token=secrets["writer"])
    assert logged_in.status_code == 303, logged_in.text
    assert send(browser, "/alias", **fields).status_code == 403
    assert demo.engine.log.end == end
    page = browser.get("/artifacts/1").text
    [csrf] = set(re.findall(r'name="csrf" value="([^"]+)"', page))
    assert send(browser, "/alias", **fields, csrf=csrf).status_code == 303
    assert last(demo.engine).actor == "writer-bot"
