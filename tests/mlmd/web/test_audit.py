"""The audit trail, one record, the evidence page, a day: through the application, as a browser asks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import signed
from stores import run

import mlmd
from evlog.frame import unpack_body
from evlog.merkle import leaf_hash
from evlog.tip import leaf_of
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.web import trail
from mlmd.web.notable import Notable
from mlmd.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from mlmd.recorder.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide's store, 13 records, and one that taints; signed."""
    place = tmp_path_factory.mktemp("signed") / "store"
    with pytest.MonkeyPatch.context() as patch:
        signed.alone(patch, place.parent / "config")
        patch.setenv("EVLOG_ACTOR", "ana")
        signed.make(place)
        with mlmd.open(place) as store, store.acting(actor="ben"):
            store.taint("art:2", "label leak")
        signed.sign(place)
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return signed.copied(made, tmp_path, monkeypatch)


@pytest.fixture
def engine(place: Path) -> Iterator[Engine]:
    made = Engine(open_folder(place))
    yield made
    made.close()


@pytest.fixture
def site(engine: Engine, place: Path) -> Site:
    return Site(engine, "store", place=place)


def facts(browser: TestClient, path: str, **query: Any) -> Any:
    answer = browser.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["facts"]


def offsets(browser: TestClient, **query: Any) -> list[int]:
    return [row["offset"] for row in facts(browser, "/audit.json", **query)["rows"]]


def test_the_trail_is_the_log_with_the_newest_first(browser: TestClient, engine: Engine) -> None:
    told = facts(browser, "/audit.json")
    assert [row["offset"] for row in told["rows"]] == list(range(13, -1, -1))
    assert (told["scanned"], told["go_on"]) == (14, None)
    newest = told["rows"][0]
    assert (newest["actor"], newest["api"], newest["reason"]) == ("ben", "Taint", "label leak")
    changed = next(one for one in newest["differences"] if one["thing"] == "art:2")
    assert changed["what"] == "changed"
    assert changed["fields"] == [{"field": "custom_properties.evlog.tainted", "old": None, "new": "label leak"}]
    page = browser.get("/audit").text
    assert 'class="became short"><span class="label">custom_properties.evlog.tainted' in page, (
        "one line, as it is styled"
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"by": "ben"}, [13]),
        ({"by": "nobody"}, []),
        ({"api": "PutEvents"}, [8, 6]),
        ({"reason": "LEAK"}, [13]),
        ({"type": "Experiment"}, [12, 11, 10]),
        ({"object": "run:1"}, [12, 9, 8, 6, 5]),
        ({"object": "run:1", "api": "PutEvents"}, [8, 6]),
        ({"object": "run:1", "before": 9}, [8, 6, 5]),
        ({"since": "#11"}, [13, 12, 11]),
        ({"until": "#2"}, [1, 0]),
        ({"since": "#3", "until": "#5"}, [4, 3]),
        ({"before": 3}, [2, 1, 0]),
        ({"before": 0}, []),
        ({"at": "#4"}, [3, 2, 1, 0]),
        ({"at": "#4", "by": "ben"}, []),
    ],
)
def test_filters_leave_what_they_say(browser: TestClient, query: dict[str, Any], expected: list[int]) -> None:
    if query.get("object") == "run:1" and "api" not in query and "before" not in query:
        tainted = [13] if 13 in offsets(browser, object="run:1") else []
        expected = [*tainted, *expected]
    assert offsets(browser, **query) == expected


def test_pages_go_on_where_the_last_one_ended(browser: TestClient) -> None:
    seen: list[int] = []
    before = -1
    while True:
        told = facts(browser, "/audit.json", limit=4, before=before)
        seen += [row["offset"] for row in told["rows"]]
        if told["go_on"] is None:
            break
        before = told["go_on"]
    assert seen == list(range(13, -1, -1))
    assert 'rel="next"' in browser.get("/audit", params={"limit": 4}).text


def test_a_search_reads_so_much_and_says_where_it_stopped(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "SCANNED_MAX", 5)
    told = facts(browser, "/audit.json", by="nobody")
    assert (told["rows"], told["scanned"], told["go_on"]) == ([], 5, 9)
    page = browser.get("/audit", params={"by": "nobody"}).text
    assert "go on looking before record 9" in page
    assert "before=9" in page
    assert facts(browser, "/audit.json", by="nobody", before=4)["go_on"] is None


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"object": "nonsense"}, 400, "object"),
        ({"object": "art:999"}, 404, "art:999"),
        ({"type": "Nothing"}, 404, "Nothing"),
        ({"since": "whenever"}, 400, "since"),
        ({"since": "#999"}, 400, "999"),
        ({"before": "x"}, 400, "before"),
        ({"limit": 100_000}, 400, "limit"),
    ],
)
def test_what_makes_no_sense_is_refused(browser: TestClient, query: dict[str, Any], status: int, said: str) -> None:
    answer = browser.get("/audit.json", params=query)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["message"]


def test_a_page_shows_what_a_browser_compares(browser: TestClient) -> None:
    page = browser.get("/audit").text
    row = page[page.index('<tr data-record="13">') :]
    row = row[: row.index("</tr>")]
    for name, text in (("actor", "ben"), ("api", "Taint"), ("reason", "label leak"), ("application", "")):
        assert re.search(f'data-fact="{name}">{text}', row), name
    assert re.search(r'data-fact="time"><time datetime="[0-9T:.-]+Z">', row)
    assert 'data-island="verify"' in page


def test_a_record_is_shown_in_full_with_its_leaf(browser: TestClient, engine: Engine) -> None:
    told = facts(browser, "/audit/9.json")
    frame = engine.log.frame(9)
    assert told["leaf_hash"] == leaf_hash(leaf_of(frame, *unpack_body(frame.body, frame.changes))).hex()
    assert (told["api"], told["changes"], told["before"], told["after"]) == ("PutExecutions", 1, 8, 10)
    assert told["differences"][0]["fields"] == [{"field": "properties.state", "old": "RUNNING", "new": "COMPLETED"}]
    page = browser.get("/audit/9").text
    assert told["leaf_hash"] in page
    assert "RUNNING" in page
    assert browser.get("/audit/0").status_code == browser.get("/audit/13").status_code == 200


@pytest.mark.parametrize(("name", "status"), [("14", 404), ("x", 400), ("-1", 400), ("9" * 30, 400), ("1e3", 400)])
def test_a_record_that_is_not_there_is_refused(browser: TestClient, name: str, status: int) -> None:
    assert browser.get(f"/audit/{name}.json").status_code == status


def test_the_evidence_page_names_what_an_auditor_asks_for(browser: TestClient, place: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert run("-s", place, "checkpoint", "--copy-to", tmp_path / "elsewhere").exit_code == 0
    told = facts(browser, "/evidence.json")
    assert told["read"] == 14
    assert [(row["kind"], row["offset"], row["actor"], row["reason"]) for row in told["notable"]] == [
        ("taint", 13, "ben", "label leak")
    ]
    assert {row["object"]: row["reason"] for row in told["tainted"]}["art:2"] == "label leak"
    assert told["checkpoints"][0]["size"] == 14
    assert (told["anchors"][0]["size"], told["anchors"][0]["why"]) == (14, "")
    assert told["policy"].startswith("log evlog/")
    page = browser.get("/evidence").text
    assert "label leak" in page
    assert told["checkpoints"][0]["root"] in page


def test_the_evidence_page_of_a_moment_knows_nothing_that_came_later(browser: TestClient) -> None:
    told = facts(browser, "/evidence.json", at="#13")
    assert told["notable"] == []
    assert told["tainted"] == []
    assert facts(browser, "/evidence.json")["notable"] != []


def test_an_erasure_and_a_restore_are_found(tmp_path: Path, place: Path) -> None:
    assert run("-s", place, "backup", tmp_path / "copy").exit_code == 0
    assert run("restore", tmp_path / "copy", tmp_path / "drill", "--at", "#9", "--reason", "drill").exit_code == 0
    with mlmd.open(tmp_path / "drill") as store:
        puts = store.metadata
        puts.declare_personal([{"property": "reviewer", "subject": "u-17"}])
        [run_type] = puts.get_execution_types()
        checked = pb.Execution(type_id=run_type.id, custom_properties={"reviewer": pb.Value(string_value="Ben Jones")})
        puts.put_executions([checked])
        with store.acting(reason="request 4711"):
            puts.erase("u-17")
        look = Notable(puts.log).look(puts.log.end)
    assert [(row["kind"], row["offset"]) for row in look.rows] == [("erasure", 12), ("personal", 10), ("restore", 9)]
    assert [row["reason"] for row in look.rows] == ["request 4711", "", "drill"]
    assert "Ben Jones" not in str(look.rows)


def test_a_day_is_counted_and_its_checkpoint_is_told(browser: TestClient) -> None:
    day = facts(browser, "/audit/0.json")["time"][:10]
    told = facts(browser, f"/evidence/{day}.json")
    assert (told["records"], told["first"], told["last"], told["counted"]) == (14, 0, 13, 14)
    assert {row["actor"]: row["records"] for row in told["actors"]}["ben"] == 1
    assert told["checkpoint"]["size"] == 14
    page = browser.get(f"/evidence/{day}").text
    assert told["checkpoint"]["note"].splitlines()[2] in page
    assert facts(browser, "/evidence/1999-12-31.json")["records"] == 0
    assert browser.get("/evidence/1999-12-31").status_code == 200


@pytest.mark.parametrize("name", ["2026-13-01", "2026-02-30", "yesterday", "1969-12-31", "9999-12-31", "2026-3-3"])
def test_what_is_no_day_is_refused(browser: TestClient, name: str) -> None:
    assert browser.get(f"/evidence/{name}.json").status_code == 400


def test_a_store_of_hostile_texts_is_shown_as_texts(browser: TestClient, store: Store) -> None:
    evil = "<script>alert(1)</script>\u202e\x07"
    with store.acting(actor="mallory", reason=evil), store.run("Trainer", name=evil):
        pass
    page = browser.get("/audit").text
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\\u202e\\x07" in page
    offset = facts(browser, "/audit.json")["rows"][0]["offset"]
    assert "<script>alert" not in browser.get(f"/audit/{offset}").text
