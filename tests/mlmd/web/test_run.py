"""The page of a run: what it did, what became of it, and how to do it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlmd.recorder import alive
from mlmd.recorder.things import Point
from mlmd.web.curves import POINTS_MAX, thinned

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from mlmd.engine import Engine
    from mlmd.recorder.store import Store


def facts(browser: TestClient, run_id: object, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = browser.get(f"/runs/{run_id}.json", params=query).json()["facts"]
    return found


def record(store: Store) -> int:
    """Record a training with all there may be; return its id."""
    with (
        store.acting(actor="ana", reason="ticket 81"),
        store.run(
            "Trainer",
            params={"lr": 0.1, "layers": [3, 4]},
            tags={"team": "rides"},
            name="nightly",
            contexts={"Experiment": "taxi"},
            code=record,
        ) as run,
    ):
        run.input("s3://data/1", "Dataset", name="taxi", role="train")
        for step in range(4):
            run.log(acc=0.5 + step / 10, step=step)
        run.output("s3://model/1", "Model", name="taxi-model")
    return run.run.id


def test_the_facts_are_what_the_recorder_says(browser: TestClient, store: Store) -> None:
    run = store.get_run(record(store))
    told = facts(browser, run.id)
    assert (told["label"], told["name"], told["type"], told["state"]) == (run.label, "nightly", "Trainer", "COMPLETE")
    assert (told["params"], told["metrics"], told["tags"]) == (run.params, run.metrics, run.tags)
    assert told["duration_s"] == run.duration_s
    assert [(one["label"], one["role"], one["type"]) for one in told["inputs"]] == [("taxi:1", "train", "Dataset")]
    assert [one["label"] for one in told["outputs"]] == ["taxi-model:1"]
    assert told["contexts"] == [{"id": told["contexts"][0]["id"], "type": "Experiment", "name": "taxi"}]
    assert (told["code"], told["cache_key"]) == (run.code, run.key)
    assert told["first"]["actor"] == "ana"
    assert told["last"]["reason"] == "ticket 81"


def test_each_record_about_it_is_told_once_the_newest_first(browser: TestClient, store: Store) -> None:
    run_id = record(store)
    history = store.history(f"run:{run_id}")
    told = facts(browser, run_id)["events"]
    assert [one["offset"] for one in told] == sorted({one.by.offset for one in history}, reverse=True)
    assert told[0]["said"][0] == "state RUNNING → COMPLETE"
    assert "m.acc unset → 0.8" in told[0]["said"]
    assert not any(text.startswith("evlog.points") for text in told[0]["said"])


def test_a_metric_with_steps_is_drawn_and_has_its_points_in_a_table(browser: TestClient, store: Store) -> None:
    run_id = record(store)
    [curve] = facts(browser, run_id)["curves"]
    assert (curve["metric"], curve["points"]) == ("acc", 4)
    assert [point[0] for point in curve["lines"][0]["points"]] == [0, 1, 2, 3]
    page = browser.get(f"/runs/{run_id}").text
    assert "<polyline" in page
    assert 'data-island="charts"' in page
    assert "/static/charts.js" in page
    assert "acc of run:1" in page


def test_a_run_that_failed_says_why_and_one_that_is_tainted_warns(browser: TestClient, store: Store) -> None:
    def go() -> None:
        with store.run("Trainer"):
            raise ValueError("boom </pre><script>alert(1)</script>")

    with pytest.raises(ValueError, match="boom"):
        go()
    store.taint("run:1", "label <b>leak</b>")
    page = browser.get("/runs/1").text
    assert "Traceback" in page
    assert "boom &lt;/pre&gt;&lt;script&gt;" in page
    assert "<script>" not in page
    assert "label &lt;b&gt;leak&lt;/b&gt;" in page
    assert 'role="alert"' in page


def test_one_that_stands_for_another_leads_to_it(browser: TestClient, store: Store) -> None:
    run_id = record(store)
    again = store.reuse(f"run:{run_id}")
    told = facts(browser, again.id)
    assert told["state"] == "CACHED"
    assert told["reuses"]["id"] == run_id
    assert f'href="/runs/{run_id}"' in browser.get(f"/runs/{again.id}").text


def test_one_whose_process_has_gone_is_lost_now_and_was_running_then(
    browser: TestClient, store: Store, engine: Engine
) -> None:
    with store.run("Trainer") as run:
        run.beat()
        message = store.get_run(run.run.id).message
        message.custom_properties["evlog.process"].string_value = _gone()
        store.metadata.put_executions([message])
        then = engine.log.end
        told, past = facts(browser, message.id), facts(browser, message.id, at=f"#{then}")
        home = browser.get("/").text
    assert (told["state"], past["state"]) == ("LOST", "RUNNING")
    assert "Lost: their process ended without a word" in home


def _gone() -> str:
    """Return a process of this host and boot that is not there."""
    host, boot, space, _pid, _started = alive.this_process().split(" ")
    return f"{host} {boot} {space} 4194305 1"


def test_it_is_named_by_id_by_label_or_by_name(browser: TestClient, store: Store) -> None:
    run_id = record(store)
    for name in (run_id, f"run:{run_id}", "nightly"):
        assert facts(browser, name)["id"] == run_id


@pytest.mark.parametrize("name", ["999", "run:999", "nobody", "9" * 30, "-1", "1.5"])
def test_a_run_that_is_not_there_is_not_found(browser: TestClient, name: str) -> None:
    answer = browser.get(f"/runs/{name}")
    assert answer.status_code == 404
    assert "Search for it" in answer.text


def test_it_is_shown_as_it_was(browser: TestClient, store: Store, engine: Engine) -> None:
    run_id = record(store)
    then = f"#{engine.log.end}"
    before = browser.get(f"/runs/{run_id}", params={"at": then}).content
    store.taint(f"run:{run_id}", "leak")
    assert browser.get(f"/runs/{run_id}", params={"at": then}).content == before
    assert browser.get(f"/runs/{run_id}", params={"at": "#3"}).status_code == 404


def test_its_lineage_leads_to_pages(browser: TestClient, store: Store) -> None:
    run_id = record(store)
    picture = browser.get(f"/runs/{run_id}.svg", params={"at": "now"}).text
    assert '<a href="/artifacts/1?at=now">' in picture
    assert f'<a href="/runs/{run_id}?at=now">' in picture


def test_the_python_to_run_it_again_runs(browser: TestClient, store: Store) -> None:
    run_id = record(store)
    code = facts(browser, run_id)["run_again"]
    assert "run.input('taxi:1', role='train')" in code
    compile(code, "again", "exec")
    lines = code.splitlines()
    ready = [line for line in lines if "..." not in line and not line.startswith(("import", "store ="))]
    exec("\n".join(ready), {"store": store})
    again = store.get_run(run_id + 1)
    assert (again.params, again.tags) == ({"lr": 0.1, "layers": [3, 4]}, {"team": "rides"})
    assert [one.label for one in again.inputs] == ["taxi:1"]


def test_many_points_become_few_and_keep_their_peaks() -> None:
    points = [Point(step, 0, 5.0 if step == 7_777 else (-3.0 if step == 123 else 0.0)) for step in range(10_000)]
    few = thinned(points)
    assert len(few) <= POINTS_MAX
    assert (few[0], few[-1]) == (points[0], points[-1])
    assert {points[7_777], points[123]} <= set(few)
    assert few == sorted(few)
    nan = [Point(step, 0, float("nan")) for step in range(1_000)]
    assert [point.step for point in thinned(nan)] == [0, 999]
    assert thinned(points[:3]) == points[:3]
