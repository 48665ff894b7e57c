"""What a page offers to copy, pasted elsewhere: the command and the Python give what the page shows, at its moment."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from stores import run

from mlmd.names import name_of

if TYPE_CHECKING:
    from pathlib import Path

    from shown import Demo
    from starlette.testclient import TestClient

    from mlmd.web.site import Site

pytestmark = pytest.mark.slow

AT = "#60"


@pytest.fixture(autouse=True)
def here(demo: Demo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Paste where the store is the one that is meant."""
    monkeypatch.setenv("EVLOG_STORE", str(demo.site.place))
    monkeypatch.chdir(tmp_path)


def offered(demo: Demo, path: str, **query: Any) -> tuple[str, str]:
    """Return the command and the Python of a page."""
    seen: list[Any] = []
    keep, demo.site.shown = demo.site.shown, lambda view, page: seen.append(page) or keep(view, page)  # type: ignore[method-assign]
    try:
        answer = demo.browser.get(path, params=query)
        assert answer.status_code == 200, answer.text
    finally:
        del demo.site.shown
    [page] = seen
    return page.command, page.python


def at_the_shell(command: str, *more: str) -> Any:
    """Return what a command prints as JSON."""
    done = run(*words_of(command), "-o", "json", *more)
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.stdout or "[]")


def words_of(command: str) -> list[str]:
    """Return the words that a shell makes of a command, after its name."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True, text=True)
    first, *words = done.stdout.split("\0")[:-1]
    assert first == "evlog"
    return words


def in_python(code: str) -> Any:
    """Return the value of the last expression."""
    lines = ast.parse(code)
    *_, last = lines.body
    assert isinstance(last, ast.Expr)
    known: dict[str, Any] = {}
    exec(compile(ast.Module(lines.body[:-1], []), "pasted", "exec"), known)
    return eval(compile(ast.Expression(last.value), "pasted", "eval"), known)


@pytest.mark.parametrize("at", ["", AT])
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/artifacts", {"n": 5}),
        ("/artifacts", {"n": 5, "skip": 5, "type": "Model"}),
        ("/artifacts", {"n": 5, "q": "not tainted", "sort": "id"}),
        ("/artifacts", {"n": 5, "sort": "-updated", "skip": 3}),
        ("/contexts", {"n": 3}),
        ("/contexts", {"n": 3, "skip": 2, "sort": "updated", "q": "name LIKE 't%'"}),
        ("/contexts", {"n": 3, "type": "evlog.alias"}),
        ("/runs", {"limit": 5, "skip": 4, "type": "Trainer", "sort": "-m.acc"}),
        ("/runs", {"limit": 5, "state": "FAILED"}),
        ("/runs", {"limit": 5, "state": "FAILED", "q": "id > 1 --\tand no more: \\ it's \u202e"}),
        ("/runs", {"limit": 5, "q": "id > 1\nand id < 20"}),
    ],
)
def test_a_list_is_the_same_list_elsewhere(demo: Demo, path: str, query: dict[str, Any], at: str) -> None:
    query = query | ({"at": at} if at else {})
    ids = [row["id"] for row in demo.facts(f"{path}.json", **query)["rows"]]
    command, python = offered(demo, path, **query)
    rows = at_the_shell(command)
    names = {"/artifacts": "artifact", "/contexts": "context", "/runs": "run"}
    found = [
        row.get("id") or int(str(row[names[path]]).rpartition(":")[2])
        for row in ([rows] if isinstance(rows, dict) else rows)
    ]
    assert found[query.get("skip", 0) :] == ids
    assert [one.id for one in in_python(python)] == ids


@pytest.mark.parametrize("at", ["", AT])
def test_what_cannot_be_listed_elsewhere_is_not_offered(demo: Demo, at: str) -> None:
    command, python = offered(demo, "/artifacts", sort="-rows", at=at)
    assert (command, python) == ("", "")


@pytest.mark.parametrize("at", ["", AT])
def test_the_page_of_a_thing_is_that_thing_elsewhere(demo: Demo, at: str) -> None:
    more = {"at": at} if at else {}
    for path, thing in (("/artifacts/3", "art:3"), ("/runs/5", "run:5")):
        command, python = offered(demo, path, **more)
        assert at_the_shell(command)["id"] == int(thing[4:])
        found = in_python(python)
        assert name_of(found.thing) == thing
        assert found.metadata.is_past == bool(at)
    command, python = offered(demo, "/contexts/1", **more)
    facts = demo.facts("/contexts/1.json", **more)
    assert at_the_shell(command)["id"] == 1
    assert len(in_python(python)) == facts["runs"]


def test_a_thing_whose_name_names_another_is_shown_by_its_number(demo: Demo) -> None:
    metadata = demo.store.metadata
    kind = metadata.get_artifact_type("Model").id
    from mlmd.proto import metadata_store_pb2 as pb

    [number] = metadata.put_artifacts([pb.Artifact(type_id=kind, name="art:1", uri="x")])
    command, python = offered(demo, f"/artifacts/{number}")
    assert at_the_shell(command)["id"] == number
    assert in_python(python).id == number


@pytest.mark.parametrize("at", ["", AT])
def test_a_search_finds_the_same_elsewhere(demo: Demo, at: str) -> None:
    more = {"at": at} if at else {}
    rows = demo.facts("/search.json", q="taxi", **more)["rows"]
    command, python = offered(demo, "/search", q="taxi", **more)
    assert len(at_the_shell(command)) == len(rows)
    assert [name_of((one.kind, one.node.id)) for one in in_python(python)] == [row["thing"] for row in rows]


@pytest.mark.parametrize("at", ["", AT])
def test_types_are_the_same_elsewhere(demo: Demo, at: str) -> None:
    more = {"at": at} if at else {}
    facts = demo.facts("/types.json", **more)["rows"]
    command, python = offered(demo, "/types", **more)
    assert [row["id"] for row in at_the_shell(command)] == [row["id"] for row in facts]
    assert [one.id for one in in_python(python)] == [row["id"] for row in facts]
    contexts = demo.facts("/types.json", kind="context", **more)["rows"]
    command, python = offered(demo, "/types", kind="context", **more)
    assert command == ""
    assert [one.id for one in in_python(python)] == [row["id"] for row in contexts]
    facts = demo.facts("/types.json", system=1, **more)["rows"]
    command, python = offered(demo, "/types", system=1, **more)
    assert [row["id"] for row in at_the_shell(command)] == [row["id"] for row in facts]
    assert python == ""


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 4},
        {"limit": 4, "before": 40},
        {"limit": 4, "before": 40, "until": "#90"},
        {"limit": 4, "before": 90, "until": "#40"},
        {"limit": 4, "object": "art:3"},
        {"limit": 4, "type": "Trainer", "since": "#20"},
    ],
)
@pytest.mark.parametrize("at", ["", AT])
def test_the_trail_is_the_same_log_elsewhere(demo: Demo, query: dict[str, Any], at: str) -> None:
    query = query | ({"at": at} if at else {})
    offsets = [row["offset"] for row in demo.facts("/audit.json", **query)["rows"]]
    command, _ = offered(demo, "/audit", **query)
    rows = at_the_shell(command)
    assert [row["offset"] for row in ([rows] if isinstance(rows, dict) else rows)] == offsets


def test_the_python_of_a_trail_runs(demo: Demo) -> None:
    facts = demo.facts("/audit.json", at=AT, limit=500)["rows"]
    _, python = offered(demo, "/audit", at=AT)
    assert [one.offset for one in in_python(python)] == [row["offset"] for row in facts][::-1]
    _, python = offered(demo, "/audit", at=AT, object="art:3")
    assert {one.by.offset for one in in_python(python)} == {
        row["offset"] for row in demo.facts("/audit.json", at=AT, object="art:3")["rows"]
    }


@pytest.mark.parametrize("query", [{}, {"at": AT}, {"until": AT}, {"at": "#100", "until": AT}])
def test_a_lineage_is_the_same_elsewhere(demo: Demo, query: dict[str, Any]) -> None:
    facts = demo.facts("/lineage/art:3.json", by="none", up=3, down=3, **query)
    until = facts["until"]
    there = {node["key"] for node in facts["graph"]["nodes"] if any(one[0] < until for one in node["versions"])}
    command, python = offered(demo, "/lineage/art:3", by="none", up=3, down=3, **query)
    told = at_the_shell(command)
    assert {node["node"] for node in told["nodes"]} == there
    assert {node.key for node in in_python(python).nodes} == there


@pytest.mark.parametrize("at", ["", AT])
def test_a_comparison_is_the_same_elsewhere(demo: Demo, at: str) -> None:
    more = {"at": at} if at else {}
    facts = demo.facts("/compare.json", run=["3", "5"], **more)
    command, python = offered(demo, "/compare", run=["3", "5"], **more)
    keys = {(row["section"], row["key"]) for row in (*facts["differences"], *facts["inputs"])}
    assert {(one.section, one.key) for one in in_python(python).differences} == keys
    assert run(*words_of(command)).exit_code == 1


@pytest.mark.parametrize("at", ["", "#140"])
def test_runs_at_two_moments_are_compared_elsewhere(demo: Demo, at: str) -> None:
    asked = {"run": ["3", "5"], "at2": "#100"} | ({"at": at} if at else {})
    facts = demo.facts("/compare.json", **asked)
    command, python = offered(demo, "/compare", **asked)
    found = in_python(python)
    assert command == "", "the command compares at one moment"
    assert len(found.runs) == len(facts["runs"]) == 4
    assert {(one.section, one.key) for one in found.alike} == {(row["section"], row["key"]) for row in facts["alike"]}


def test_the_records_of_a_day_are_read_elsewhere(
    browser: TestClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVLOG_STORE", str(site.place))
    day = browser.get("/audit.json").json()["facts"]["rows"][0]["time"][:10]
    told = browser.get(f"/evidence/{day}.json").json()["facts"]
    assert (told["records"], told["first"], told["last"]) == (1, 0, 0)
    [python] = re.findall(r'aria-label="Python"><code>(.*?)</code>', browser.get(f"/evidence/{day}").text, re.DOTALL)
    assert [one.offset for one in in_python(unescape(python))] == [0]


def test_whatever_else_is_offered_runs(demo: Demo) -> None:
    for path, more in (
        ("/", {}),
        ("/", {"at": AT}),
        ("/evidence/2026-01-01", {}),
        ("/audit/3", {}),
        ("/sql", {"q": "select 1"}),
        ("/sql", {"q": "select 1", "at": AT}),
    ):
        command, python = offered(demo, path, **more)
        in_python(python)
        done = run(*words_of(command))
        assert done.exit_code == 0, (command, done.output)
