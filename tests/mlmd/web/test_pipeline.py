"""A pipeline: its template, and the matrix of its runs by component, of recorder, of TFX and of Kubeflow Pipelines; and any context."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from shown import Demo
    from starlette.testclient import TestClient

    from mlmd.recorder.store import Store


def context_id(store: Store, type_name: str, name: str) -> int:
    found = store.metadata.get_context_by_type_and_name(type_name, name)
    assert found is not None
    return int(found.id)


def test_the_list_counts_what_is_in_each_context(demo: Demo) -> None:
    facts = demo.facts("/contexts.json", n=100)
    known = [one for one in demo.store.metadata.get_contexts() if not one.type.startswith("evlog.")]
    assert {row["id"] for row in facts["rows"]} == {one.id for one in known}
    for row in facts["rows"]:
        assert row["runs"] == len(demo.store.metadata.get_executions_by_context(row["id"]))
        assert row["artifacts"] == len(demo.store.metadata.get_artifacts_by_context(row["id"]))
    named = demo.facts("/contexts.json", q="name LIKE 'taxi%'", type="Pipeline")
    assert [row["context"] for row in named["rows"]] == ["taxi"]
    assert {row["type"] for row in demo.facts("/contexts.json", type="evlog.Alias")["rows"]} == {"evlog.Alias"}


def test_rows_are_the_runs_that_share_its_executions_and_columns_its_components(demo: Demo) -> None:
    fraud = context_id(demo.store, "Pipeline", "fraud")
    facts = demo.facts(f"/contexts/{fraud}.json")
    assert (facts["by"], facts["ways"]) == ("PipelineRun", ["PipelineRun", "day"])
    matrix = facts["matrix"]
    assert matrix["components"] == ["ExampleGen", "Trainer", "Evaluator", "Pusher"]
    assert [row["row"] for row in matrix["rows"]] == [f"fraud-{at}" for at in range(facts["total"], 0, -1)]
    told = {run["id"]: run["state"] for row in matrix["rows"] for cell in row["cells"].values() for run in cell["runs"]}
    known = demo.store.metadata.get_executions_by_context(fraud)
    assert told == {one.id: demo.store.get_run(one.id).state for one in known}
    [second] = [row for row in matrix["rows"] if row["row"] == "fraud-2"]
    assert second["cells"]["Trainer"]["count"] == 2
    assert second["cells"]["Trainer"]["failed"] == 1


def test_the_template_counts_every_run_and_says_what_feeds_what(demo: Demo) -> None:
    taxi = context_id(demo.store, "Pipeline", "taxi")
    facts = demo.facts(f"/contexts/{taxi}.json", n=2)
    known = demo.store.metadata.get_executions_by_context(taxi)
    for one in facts["components"]:
        mine = [demo.store.get_run(run.id).state for run in known if run.type == one["component"]]
        assert (one["runs"], one["failed"]) == (len(mine), mine.count("FAILED"))
    flows = {(one["source"], one["target"], one["across"]): list(one["types"]) for one in facts["flows"]}
    assert flows[("ExampleGen", "Trainer", False)] == ["Dataset"]
    assert flows[("Trainer", "Evaluator", False)] == ["Model"]
    assert ("Trainer", "Trainer", True) in demo_flows(demo, taxi)
    picture = demo.browser.get(f"/contexts/{taxi}.svg").text
    assert "ExampleGen" in picture
    assert "from earlier runs" in demo.browser.get(f"/contexts/{taxi}.svg?n=50").text


def demo_flows(demo: Demo, one: int) -> set[tuple[str, str, bool]]:
    return {(flow["source"], flow["target"], flow["across"]) for flow in demo.facts(f"/contexts/{one}.json")["flows"]}


def test_a_failure_is_a_word_a_sign_and_a_share(demo: Demo) -> None:
    fraud = context_id(demo.store, "Pipeline", "fraud")
    page = demo.browser.get(f"/contexts/{fraud}").text
    [failed] = [one for one in demo.store.metadata.get_executions_by_context(fraud) if demo.store.get_run(one.id).error]
    assert re.search(rf'<a class="glyph failed" href="/runs/{failed.id}"[^>]*><span aria-hidden="true">✗</span>', page)
    assert f"run:{failed.id} FAILED" in page
    assert re.search(r"\d+% failed", page)


def test_rows_are_days_where_nothing_smaller_is_shared(demo: Demo) -> None:
    run = context_id(demo.store, "PipelineRun", "taxi-1")
    facts = demo.facts(f"/contexts/{run}.json")
    assert facts["by"] == "day"
    [row] = facts["matrix"]["rows"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["row"])
    assert row["runs"] == len(demo.store.metadata.get_executions_by_context(run))
    by_day = demo.facts(f"/contexts/{context_id(demo.store, 'Pipeline', 'taxi')}.json", by="day")
    assert sum(row["runs"] for row in by_day["matrix"]["rows"]) == sum(one["runs"] for one in by_day["components"])


def test_pages_of_rows_together_are_all_rows(demo: Demo) -> None:
    taxi = context_id(demo.store, "Pipeline", "taxi")
    whole = demo.facts(f"/contexts/{taxi}.json", n=200)
    parts: list[str] = []
    for skip in range(0, whole["total"], 2):
        parts += [row["row"] for row in demo.facts(f"/contexts/{taxi}.json", n=2, skip=skip)["matrix"]["rows"]]
    assert parts == [row["row"] for row in whole["matrix"]["rows"]]
    assert demo.browser.get(f"/contexts/{taxi}", params={"n": 201}).status_code == 400


@pytest.fixture
def tfx(store: Store) -> dict[str, int]:
    """What TFX and Kubeflow Pipelines put: runs are children of the pipeline; executions are in both. One run is of nothing yet."""
    metadata = store.metadata
    types = {name: metadata.put_execution_type(pb.ExecutionType(name=name)) for name in ("Gen", "Train", "Push")}
    model = metadata.put_artifact_type(pb.ArtifactType(name="Model"))
    pipeline_type = metadata.put_context_type(pb.ContextType(name="pipeline"))
    run_type = metadata.put_context_type(pb.ContextType(name="pipeline_run"))
    node_type = metadata.put_context_type(pb.ContextType(name="node"))
    [pipeline] = metadata.put_contexts([pb.Context(type_id=pipeline_type, name="p")])
    runs = metadata.put_contexts([pb.Context(type_id=run_type, name=f"r{at}") for at in range(4)])
    nodes = metadata.put_contexts([pb.Context(type_id=node_type, name=f"p.{at}") for at in range(9)])
    metadata.put_parent_contexts([pb.ParentContext(parent_id=pipeline, child_id=one) for one in [*runs, *nodes]])
    for run in runs[:3]:
        [made] = metadata.put_artifacts([pb.Artifact(type_id=model, uri=f"m/{run}")])
        for name, state in (
            ("Gen", pb.Execution.CACHED),
            ("Train", pb.Execution.COMPLETE),
            ("Push", pb.Execution.FAILED),
        ):
            [one] = metadata.put_executions([pb.Execution(type_id=types[name], last_known_state=state)])
            links = [pb.Association(context_id=context, execution_id=one) for context in (pipeline, run)]
            metadata.put_attributions_and_associations([], links)
            kind = {"Train": pb.Event.OUTPUT, "Push": pb.Event.INPUT}.get(name)
            if kind is not None:
                metadata.put_events([pb.Event(artifact_id=made, execution_id=one, type=kind)])
    return {"pipeline": pipeline, "first": runs[0]}


def test_children_that_are_called_runs_are_the_rows(browser: TestClient, tfx: dict[str, int]) -> None:
    facts: dict[str, Any] = browser.get(f"/contexts/{tfx['pipeline']}.json").json()["facts"]
    assert facts["by"] == "pipeline_run"
    assert facts["ways"] == ["pipeline_run", "node", "day"]
    rows = facts["matrix"]["rows"]
    assert [row["row"] for row in rows] == ["r3", "r2", "r1", "r0"]
    assert rows[0]["cells"] == {}
    assert {name: cell["runs"][0]["state"] for name, cell in rows[1]["cells"].items()} == {
        "Gen": "CACHED",
        "Train": "COMPLETE",
        "Push": "FAILED",
    }
    assert [(one["source"], one["target"], one["types"]) for one in facts["flows"]] == [("Train", "Push", {"Model": 3})]
    assert {one["component"]: (one["runs"], one["failed"], one["cached"]) for one in facts["components"]} == {
        "Gen": (3, 0, 3),
        "Train": (3, 0, 0),
        "Push": (3, 3, 0),
    }
    page = browser.get(f"/contexts/{tfx['pipeline']}").text
    for state, sign in (("cached", "↺"), ("complete", "✓"), ("failed", "✗")):
        assert re.search(rf'class="glyph {state}"[^>]*><span aria-hidden="true">{sign}', page)
    child = browser.get(f"/contexts/{tfx['first']}.json").json()["facts"]
    assert [one["context"] for one in child["parents"]] == ["p"]


def test_a_context_of_the_past_is_as_it_was(demo: Demo) -> None:
    taxi = context_id(demo.store, "Pipeline", "taxi")
    first = demo.facts(f"/contexts/{taxi}.json", at="#20")
    assert first["runs"] == len(demo.store.at("#20").metadata.get_executions_by_context(taxi))
    assert sum(row["runs"] for row in first["matrix"]["rows"]) == first["runs"]
    assert first["runs"] < demo.facts(f"/contexts/{taxi}.json")["runs"]


def test_a_context_without_runs_has_a_page_and_one_that_is_not_there_has_none(
    browser: TestClient, store: Store
) -> None:
    type_id = store.metadata.put_context_type(pb.ContextType(name="Project", properties={"owner": pb.STRING}))
    made = pb.Context(type_id=type_id, name="empty")
    made.properties["owner"].string_value = "ana"
    [one] = store.metadata.put_contexts([made])
    assert "No runs were put into it" in browser.get(f"/contexts/{one}").text
    facts = browser.get(f"/contexts/{one}.json").json()["facts"]
    assert {row["field"]: row["value"] for row in facts["fields"]}["properties.owner"] == "ana"
    for path in ("/contexts/77", "/contexts/x", "/contexts/" + "9" * 40):
        assert browser.get(path).status_code == 404
    assert browser.get(f"/contexts/{one}.svg").status_code == 404


@pytest.mark.parametrize("by", ["day", "Run"])
def test_a_row_of_more_runs_than_are_read_says_how_many_there_are(
    browser: TestClient, store: Store, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlmd.web.matrix._IN_ROW_MAX", 3)
    puts = store.metadata
    kind = puts.put_execution_type(pb.ExecutionType(name="Trainer"))
    pipeline, row = (puts.put_context_type(pb.ContextType(name=name)) for name in ("Pipeline", "Run"))
    whole, part = puts.put_contexts([pb.Context(type_id=pipeline, name="p"), pb.Context(type_id=row, name="r")])
    if by == "Run":
        puts.put_parent_contexts([pb.ParentContext(parent_id=whole, child_id=part)])
    runs = puts.put_executions([pb.Execution(type_id=kind) for _ in range(5)])
    inside = [pb.Association(context_id=one, execution_id=run) for one in (whole, part) for run in runs]
    puts.put_attributions_and_associations([], inside)
    [shown] = browser.get(f"/contexts/{whole}.json", params={"by": by}).json()["facts"]["matrix"]["rows"]
    assert (shown["runs"], shown["whole"], shown["cells"]["Trainer"]["count"]) == (5, False, 3)
    assert "the newest 3 of 5" in browser.get(f"/contexts/{whole}", params={"by": by}).text
    monkeypatch.setattr("mlmd.web.matrix._IN_ROW_MAX", 5)
    [shown] = browser.get(f"/contexts/{whole}.json", params={"by": by}).json()["facts"]["matrix"]["rows"]
    assert (shown["runs"], shown["whole"], shown["cells"]["Trainer"]["count"]) == (5, True, 5)
    assert "the newest" not in browser.get(f"/contexts/{whole}", params={"by": by}).text
