"""Operations: what the page tells is what log, views, tokens and doctor say; health for load balancers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlmd.web.slow as slow_module
from evlog import segment
from mlmd import errors
from mlmd.looking import LOOKS, Checked
from mlmd.serving import tokens
from mlmd.web import ops
from mlmd.web.slow import Slowest

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from shown import Demo
    from starlette.testclient import TestClient


def test_the_page_tells_of_log_and_views_what_they_say(demo: Demo) -> None:
    facts = demo.facts("/ops.json")
    log = demo.engine.log
    assert facts["store"] == {"place": str(demo.site.place), "log": log.id.hex(), "writable": True}
    assert facts["log"]["records"] == log.end
    assert facts["log"]["segments"] == len(segment.bases(log.folder))
    assert facts["log"]["bytes"] == sum(segment.size_of(log.folder, base) for base in segment.bases(log.folder))
    assert (facts["views"]["applied"], facts["views"]["behind"]) == (log.end, 0)
    assert facts["signed"] == {"records": None, "uncovered": None, "anchored": None}
    assert facts["versions"]["evlog"]
    assert facts["tokens"] is None
    assert demo.browser.get("/ops").status_code == 200


def test_doctor_looks_when_it_is_asked_and_what_a_look_meets_is_a_finding(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert demo.facts("/ops.json")["looked"] is None
    found = demo.facts("/ops.json", look=1)["looked"]
    assert {one["check"] for one in found} >= {"file system", "log", "HEAD", "tail", "view", "key"}
    assert "bad" not in {one["state"] for one in found}

    def broken(_place: Path) -> list[Checked]:
        raise ValueError("odd\nthings")

    monkeypatch.setattr(ops, "LOOKS", LOOKS | {"log": broken})
    found = demo.facts("/ops.json", look=1)["looked"]
    [bad] = [one for one in found if one["state"] == "bad"]
    assert (bad["check"], bad["what"]) == ("log", "ValueError: odd things")
    assert {one["check"] for one in found} >= {"file system", "view"}
    assert "ValueError: odd things" in demo.browser.get("/ops?look=1").text
    assert demo.browser.get("/ops.csv?look=1").text.startswith("check,state,what,next")


def test_tokens_are_told_by_name_and_without_what_opens_the_store(demo: Demo) -> None:
    made = tokens.add(demo.engine, "ci-bot", "reader")
    text = demo.browser.get("/ops.json").text
    assert made.secret not in text
    assert made.token.hash not in text
    [row] = demo.facts("/ops.json")["tokens"]["rows"]
    assert (row["name"], row["role"], row["over"]) == ("ci-bot", "reader", False)
    assert "ci-bot" in demo.browser.get("/ops").text


def test_tokens_that_cannot_be_read_are_said_to_be_so(demo: Demo) -> None:
    tokens.add(demo.engine, "ci-bot", "reader")
    assert demo.site.place is not None
    (demo.site.place / tokens.PLACE / tokens.NAME).write_bytes(b"{")
    assert "nobody is let in" in demo.facts("/ops.json")["tokens"]["wrong"]
    assert demo.browser.get("/ops").status_code == 200


def test_what_took_long_is_kept_and_no_more_than_the_last_ones(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_module, "SLOW_S", 0.0)
    demo.browser.get("/artifacts?q=acc+%3E+0.9")
    demo.browser.get("/artifacts/99999")
    newest, older = demo.facts("/ops.json")["slow"][:2]
    assert (newest["request"], newest["status"]) == ("GET /artifacts/99999", 404)
    assert older["request"] == "GET /artifacts?q=acc+%3E+0.9"
    secret = f"{tokens.START}{'x' * 43}"
    demo.browser.get(f"/artifacts?token={secret}")  # It opens nothing there, and is not repeated to whoever looks here.
    assert demo.facts("/ops.json")["slow"][0]["request"] == "GET /artifacts?token=evlog_..."
    kept = Slowest()
    for at in range(200):
        kept.note(f"GET /{at}" + "x" * 9_000, 200, 1.0)
    kept.note("GET /quick", 200, -1.0)
    assert kept.requests == 201
    assert [one.request[:8] for one in kept.newest()[:2]] == ["GET /199", "GET /198"]
    assert len(kept.newest()) == 50
    assert max(len(one.request) for one in kept.newest()) == 500


def test_a_store_tells_whether_it_answers_and_no_more(
    browser: TestClient, demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = demo.browser.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")

    def away(*_: object) -> None:
        raise errors.UnavailableError("secret words")

    monkeypatch.setattr(demo.engine, "review", away)
    answer = demo.browser.get("/healthz")
    assert answer.status_code == 503
    assert "secret" not in answer.text
    assert browser.get("/healthz").status_code == 200


def test_what_happened_to_the_store_itself_is_told_with_its_record(demo: Demo) -> None:
    assert demo.facts("/ops.json")["notable"] == []
    demo.store.metadata.declare_personal([{"property": "patient_*"}])
    [row] = demo.facts("/ops.json")["notable"]
    assert row["offset"] == demo.engine.log.end - 1
    assert f'href="/audit/{row["offset"]}"' in demo.browser.get("/ops").text
