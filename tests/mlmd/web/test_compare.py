"""Runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlmd.web.compare import RUNS_MAX

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from mlmd.engine import Engine
    from mlmd.recorder.store import Store


def record(store: Store, rate: float, acc: float, data: str, *, opt: str = "adam") -> int:
    with store.run("Trainer", params={"lr": rate, "opt": opt, "epochs": 3}) as run:
        run.input(data, "Dataset", name="taxi")
        for step in range(3):
            run.log(acc=acc - 0.1 + step / 20, step=step)
        run.log(acc=acc)
        run.output(f"s3://model/{rate}/{acc}", "Model", name="taxi-model")
    return run.run.id


@pytest.fixture
def three(store: Store) -> list[int]:
    return [
        record(store, 0.1, 0.8, "s3://data/1"),
        record(store, 0.3, 0.9, "s3://data/2"),
        record(store, 0.1, 0.7, "s3://data/1", opt="sgd"),
    ]


def facts(browser: TestClient, **query: Any) -> dict[str, Any]:
    answer = browser.get("/compare.json", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["facts"]
    return found


def test_the_facts_are_what_the_recorder_says(browser: TestClient, store: Store, three: list[int]) -> None:
    compared = store.compare(*(f"run:{one}" for one in three[:2]))
    told = facts(browser, run=three[:2])
    rows = {(row["section"], row["key"]): row for row in (*told["differences"], *told["inputs"])}
    assert {key: (tuple(row["values"]), row["delta"]) for key, row in rows.items()} == {
        (one.section, one.key): (one.values, one.delta) for one in compared.differences
    }
    assert rows["metric", "acc"]["delta"] == pytest.approx(0.1)
    assert ("param", "epochs") in {(row["section"], row["key"]) for row in told["alike"]}
    assert len(told["alike"]) == compared.equal


def test_inputs_that_differ_and_where_lineages_part_stand_out(browser: TestClient, three: list[int]) -> None:
    told = facts(browser, run=three[:2])
    assert [(row["key"], row["values"]) for row in told["inputs"]] == [("taxi", ["taxi:1", "taxi:2"])]
    assert told["common"] == []
    assert {"name": "taxi:2", "path": "/artifacts/3"} in told["alone"][1]["things"]
    page = browser.get("/compare", params={"run": three[:2]}).text
    assert "Inputs that differ" in page
    assert "equal in all of them</summary>" in page
    assert "▲" in page


def test_the_one_run_that_differs_from_most_is_marked(browser: TestClient, three: list[int]) -> None:
    told = facts(browser, run=three)
    rows = {row["key"]: row for row in (*told["differences"], *told["inputs"])}
    assert rows["lr"]["odd"] == [False, True, False]
    assert rows["taxi"]["odd"] == [False, True, False]
    assert rows["acc"]["odd"] == [False, False, False]


def test_more_than_two_have_parallel_coordinates(browser: TestClient, three: list[int]) -> None:
    assert facts(browser, run=three[:2])["parallel"] is None
    drawn = facts(browser, run=three)["parallel"]
    assert [axis["name"] for axis in drawn["axes"]] == ["p.lr", "p.opt", "m.acc"]
    assert [line["places"] for line in drawn["lines"]] == [
        [0.0, 0.0, pytest.approx(0.5)],
        [1.0, 0.0, 1.0],
        [0.0, 1.0, 0.0],
    ]
    assert '<polyline class="line-2"' in browser.get("/compare", params={"run": three}).text


def test_metrics_are_drawn_over_each_other(browser: TestClient, three: list[int]) -> None:
    [curve] = facts(browser, run=three)["curves"]
    assert [line["run"] for line in curve["lines"]] == [f"run:{one}" for one in three]
    assert all(len(line["points"]) == 4 for line in curve["lines"])


def test_a_run_is_compared_with_what_it_was(
    browser: TestClient, store: Store, engine: Engine, three: list[int]
) -> None:
    then = f"#{engine.log.end}"
    store.taint(f"run:{three[0]}", "leak", downstream=False)
    told = facts(browser, run=three[0], at2=then)
    assert [(row["key"], row["values"]) for row in told["differences"]] == [("tainted", [None, "leak"])]
    assert browser.get("/compare", params={"run": three[0], "at2": "nonsense"}).status_code == 400
    assert browser.get("/compare", params={"run": three[0], "at2": "#0"}).status_code == 404


def test_before_two_are_named_there_is_the_form(browser: TestClient, three: list[int]) -> None:
    for query in ({}, {"run": three[0]}, {"run": ""}):
        answer = browser.get("/compare", params=query)
        assert answer.status_code == 200
        assert '<form class="line" action="/compare"' in answer.text
    assert facts(browser, run=f"{three[0]} run:{three[1]},{three[2]}")["asked"] == [
        str(three[0]),
        f"run:{three[1]}",
        str(three[2]),
    ]


@pytest.mark.usefixtures("three")
def test_what_cannot_be_compared_is_refused(browser: TestClient) -> None:
    assert browser.get("/compare", params={"run": ["1", "999"]}).status_code == 404
    assert browser.get("/compare", params={"run": [str(one) for one in range(RUNS_MAX + 1)]}).status_code == 400
    assert browser.get("/compare", params={"run": " ".join(str(one) for one in range(RUNS_MAX + 1))}).status_code == 400


def test_a_hundred_runs_are_compared(browser: TestClient, store: Store) -> None:
    ids = []
    for number in range(RUNS_MAX):
        with store.run("Trainer", params={"lr": number}) as run:
            run.log(acc=number / 100)
        ids.append(run.run.id)
    told = facts(browser, run=ids)
    assert len(told["runs"]) == RUNS_MAX
    assert len(told["parallel"]["lines"]) == RUNS_MAX
    assert browser.get("/compare.csv", params={"run": ids}).text.splitlines()[0].count("run:") == RUNS_MAX


def test_the_csv_holds_the_differences(browser: TestClient, three: list[int]) -> None:
    lines = browser.get("/compare.csv", params={"run": three[:2]}).text.splitlines()
    assert lines[0] == f"what,key,run:{three[0]},run:{three[1]},delta"
    assert any(line.startswith("metric,acc,0.8,0.9,") for line in lines)


def test_names_that_are_markup_stay_text(browser: TestClient, store: Store) -> None:
    for value in ("</td><script>alert(1)</script>", "\"'>"):
        with store.run("Trainer", name=value, params={"<b>": value}) as run:
            run.log({"<i>": 1.0}, step=0)
            run.log({"<i>": 2.0}, step=1)
    page = browser.get("/compare", params={"run": ["1", "2"]}).text
    assert "<script>" not in page
    assert "<b>:" not in page
    assert "<i>" not in page


def test_runs_of_a_past_moment_are_compared_as_they_were(
    browser: TestClient, store: Store, engine: Engine, three: list[int]
) -> None:
    then = f"#{engine.log.end}"
    before = browser.get("/compare", params={"run": three, "at": then}).content
    store.taint(f"run:{three[0]}", "leak")
    assert browser.get("/compare", params={"run": three, "at": then}).content == before
