"""What is common to all pages: forms, moments, refusals, headers, hosts."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape
from typing import TYPE_CHECKING

import pytest

from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.web.pages import PAGES
from mlmd.web.verified import Verified
from mlmd.web.view import Param

if TYPE_CHECKING:
    from datetime import tzinfo

    from starlette.testclient import TestClient

    from mlmd.engine import Engine
    from mlmd.recorder.store import Store
    from mlmd.web.site import Site


def record(store: Store, name: str) -> None:
    with store.run("Trainer", name=name):
        pass


def test_a_page_and_its_data_cite_the_same_records(browser: TestClient, store: Store, engine: Engine) -> None:
    record(store, "first")
    told = browser.get("/index.json").json()
    page = browser.get("/").text
    assert told["offset"] == engine.log.end
    assert told["root"] == engine.log.tip_at(engine.log.end).tree.root().hex()
    assert told["root"] in page
    assert f"#{engine.log.end}" in page


def test_a_page_of_a_moment_stays_as_it_was(browser: TestClient, store: Store, engine: Engine) -> None:
    record(store, "first")
    then = engine.log.end
    before = browser.get("/", params={"at": f"#{then}"}).text
    facts = browser.get("/index.json", params={"at": f"#{then}"}).json()["facts"]
    record(store, "second")
    assert browser.get("/", params={"at": f"#{then}"}).text == before
    assert browser.get("/index.json", params={"at": f"#{then}"}).json()["facts"] == facts
    assert browser.get("/index.json").json()["facts"] != facts


def test_a_page_has_no_script_and_no_style_of_its_own(browser: TestClient, store: Store) -> None:
    record(store, "<script>alert(1)</script>")
    answer = browser.get("/")
    assert "<script>" not in answer.text
    assert "style=" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("x=1", "'x' is nothing to ask here"),
        ("at=nonsense", "is no moment"),
        ("at=%2399999", "at"),
        ("at=%231&at=%232", "given 2 times"),
        ("at=" + "1" * 3_000, "2,000 at most"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(browser: TestClient, query: str, said: str) -> None:
    answer = browser.get(f"/?{query}")
    assert answer.status_code == 400
    assert said in answer.text.replace("&#39;", "'")
    told = browser.get(f"/index.json?{query}")
    assert told.status_code == 400
    assert said in told.json()["message"]


def test_what_is_not_there_is_said(browser: TestClient) -> None:
    assert browser.get("/nowhere").status_code == 404
    answer = browser.get("/index.svg")
    assert answer.status_code == 404
    assert "no .svg" in answer.json()["message"]


def test_a_fault_is_told_without_its_trace(
    browser: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise RuntimeError("boom")

    monkeypatch.setattr(engine, "review", broken)
    answer = browser.get("/")
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "evlog verify" in answer.text


def test_another_name_of_the_host_is_refused(browser: TestClient) -> None:
    assert browser.get("/", headers={"host": "evil.example:8080"}).status_code == 421
    assert browser.get("/", headers={"host": "127.0.0.1:8080"}).status_code == 200
    assert browser.get("/", headers={"host": "[::1]:8080"}).status_code == 200


def test_what_does_not_change_is_kept_by_the_browser(browser: TestClient) -> None:
    assert "immutable" in browser.get("/static/style.css?1").headers["cache-control"]
    assert "no-cache" in browser.get("/static/style.css").headers["cache-control"]
    assert browser.get("/static/../site.py").status_code == 404


@pytest.mark.parametrize(
    ("param", "given", "value"),
    [
        (Param("n", "", 0), [], 0),
        (Param("n", "", 5), [""], 5),
        (Param("n", "", 0), ["7"], 7),
        (Param("n", "", 0, least=-3), ["-3"], -3),
        (Param("n", "", default=False), ["1"], True),
        (Param("n", "", ()), ["a", "b"], ("a", "b")),
        (Param("n", "", ()), [""], ()),
        (Param("n", "", ("d",)), ["", ""], ("d",)),
        (Param("n", "", "", choices=("a", "b")), ["b"], "b"),
    ],
)
def test_a_parameter_is_read_by_the_type_of_its_default(param: Param, given: list[str], value: object) -> None:
    assert param.read(given) == value


@pytest.mark.parametrize(
    ("param", "given"),
    [
        (Param("n", "", 0), ["-1"]),
        (Param("n", "", 0), ["٣"]),
        (Param("n", "", 0), ["1" * 40]),
        (Param("n", "", 0), ["1.5"]),
        (Param("n", "", default=False), ["maybe"]),
        (Param("n", "", (), most=1), ["a", "b"]),
        (Param("n", "", "", choices=("a", "b")), ["c"]),
        (Param("n", ""), ["a", "b"]),
    ],
)
def test_a_parameter_that_is_wrong_is_refused(param: Param, given: list[str]) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="^n"):
        param.read(given)


def test_every_page_says_what_it_is_and_is_asked_by_names_once(site: Site) -> None:
    assert len({entry.path for entry in PAGES}) == len(PAGES)
    for entry in PAGES:
        assert entry.about.endswith(".")
        names = [param.name for param in entry.params]
        assert len(set(names)) == len(names)
        assert "at" not in names


@pytest.mark.parametrize(
    "path",
    [
        "/?since=1h",
        "/?since=mark:here",
        "/lineage/run:1?until=now&since=1h",
        "/lineage/run:1?until=mark:here",
        "/audit?since=1h",
        "/audit?until=now",
        "/audit?since=mark:here",
        "/compare?run=1&at2=now",
        "/compare?run=1&at2=mark:here",
    ],
)
def test_a_link_to_a_page_as_it_is_means_the_same_after_more_puts(
    browser: TestClient, store: Store, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, "first")
    store.mark("here")
    [link] = re.findall(r'<a href="([^"]*)">link to this page', browser.get(path).text)
    where, _, query = unescape(link).partition("?")
    data = f"{'/index' if where == '/' else where}.json?{query}"
    before = browser.get(data)
    assert before.status_code == 200, before.text
    record(store, "second")
    store.mark("here")  # It moves.
    monkeypatch.setattr("mlmd.moment.datetime", Later)
    assert browser.get(data).content == before.content


class Later(datetime):
    """The clock two hours on."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(hours=2)


def test_a_moment_that_is_none_is_no_fault_of_the_link(browser: TestClient) -> None:
    assert browser.get("/compare?at2=nonsense").status_code in (200, 400)


@pytest.mark.parametrize("path", ["/audit", "/audit/0"])
def test_what_is_known_of_the_evidence_now_is_no_fact_of_the_records(
    browser: TestClient, site: Site, store: Store, path: str
) -> None:
    record(store, "first")
    before = browser.get(f"{path}.json", params={"at": "#1"}).content
    site.watch = lambda: Verified("broken", "broken: record 1", findings=[])
    assert "broken: record 1" in browser.get(path, params={"at": "#1"}).text
    assert browser.get(f"{path}.json", params={"at": "#1"}).content == before


def test_a_form_sends_what_it_was_made_for_whatever_is_in_it(browser: TestClient, store: Store) -> None:
    """The text of a page turns nothing around; what nobody sees of a form is as it is."""
    name = "\u202egnp.exe"
    puts = store.metadata
    made = puts.put_artifact_type(pb.ArtifactType(name=name, properties={name: pb.STRING}))
    own = {name: pb.Value(string_value="x")}
    puts.put_artifacts([pb.Artifact(type_id=made, properties=own)])
    run_type = puts.put_execution_type(pb.ExecutionType(name=name, properties={name: pb.STRING}))
    puts.put_executions([pb.Execution(type_id=run_type, properties=own)])
    puts.put_context_type(pb.ContextType(name=name))
    asked = {
        "/runs": {"q": f"name != '{name}'", "column": name},
        "/artifacts": {"q": f"name != '{name}'"},
        "/lineage/art:1": {"by": "type", "open": f"group:{name}"},
        "/sql": {"q": f"select '{name}'"},
    }
    for path, query in asked.items():
        page = browser.get(path, params=query).text
        assert "\u202e" not in page
        sent = [
            unescape(one)
            for one in re.findall(r'<(?:option|input type="(?:hidden|checkbox)")[^>]*value="([^"]*)"', page)
        ]
        assert [one for one in sent if "\\u202e" in one] == [], path
        for one in query.values():
            assert one in sent, (path, one)
