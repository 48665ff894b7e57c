"""The page of an artifact: versions, aliases through time, who made and read it, impact, who said what of it, its life."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import mlmd.web.artifact as module
from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    import pytest
    from shown import Demo
    from starlette.testclient import TestClient

    from mlmd.recorder.store import Store


def test_the_page_says_what_the_recorder_says(demo: Demo) -> None:
    model = demo.store.artifact("taxi-model@prod")
    facts = demo.facts(f"/artifacts/{model.id}.json")
    assert (facts["artifact"], facts["type"], facts["uri"]) == (model.label, model.type, model.uri)
    assert facts["aliases"] == model.aliases == ["taxi-model@prod"]
    assert facts["properties"] == model.properties
    assert [row["version"] for row in facts["versions"]] == [one.label for one in demo.store.versions("taxi-model")]
    assert facts["versions_in_all"] == len(facts["versions"])
    assert [row["id"] for row in facts["made_by"]["runs"]] == [one.id for one in reversed(model.producers)]
    assert [row["id"] for row in facts["read_by"]["runs"]] == [one.id for one in reversed(model.users)]
    impact = demo.store.impact(model)
    assert (facts["impact"]["artifacts"], facts["impact"]["runs"]) == (len(impact.artifacts), len(impact.executions))
    assert facts["impact"]["in_words"] == impact.in_words()
    assert [row["id"] for row in facts["impact"]["rows"]] == impact.in_order()


def test_each_field_names_the_record_that_set_it(demo: Demo) -> None:
    facts = demo.facts(f"/artifacts/{demo.store.artifact('taxi:3').id}.json")
    blame = {one.field: one.by for one in demo.store.blame("taxi:3")}
    assert {one["field"]: (one["offset"], one["actor"]) for one in facts["fields"]} == {
        field: (by.offset, by.actor) for field, by in blame.items()
    }
    assert facts["tainted_by"]["actor"] == "ana"
    assert facts["tainted_by"]["value"] == facts["tainted"]


def test_aliases_are_told_with_who_moved_them_when_and_from_when_until_when(demo: Demo) -> None:
    facts = demo.facts(f"/artifacts/{demo.store.artifact('taxi-model:2').id}.json")
    told = [(one["artifact"], one["actor"], one["reason"], one["offset"]) for one in facts["moves"]]
    history = demo.store.alias_history("taxi-model@prod").rows
    assert told == [(artifact, actor, reason, offset) for _, artifact, actor, reason, offset in history]
    assert facts["moves"][0]["until"] is None
    for later, earlier in zip(facts["moves"], facts["moves"][1:], strict=False):
        assert earlier["until"] == later["since"]
    flags = {row["version"]: (row["aliases"], row["were"]) for row in facts["versions"]}
    assert flags["taxi-model:2"] == ([], ["taxi-model@prod"])
    standing = demo.store.artifact("taxi-model@prod").label
    assert flags[standing][0] == ["taxi-model@prod"]


def test_an_alias_that_was_taken_away_leaves_its_history(demo: Demo) -> None:
    demo.store.alias("taxi-model@prod", None)
    facts = demo.facts(f"/artifacts/{demo.store.artifact('taxi-model:2').id}.json")
    assert facts["moves"][0]["artifact_id"] is None
    assert facts["moves"][1]["until"] == facts["moves"][0]["since"]
    assert all(row["aliases"] == [] for row in facts["versions"])


def test_a_name_leads_to_the_page_of_its_number_in_the_same_form_and_moment(demo: Demo) -> None:
    number = demo.store.artifact("taxi-model@prod").id
    end = demo.engine.log.end
    answer = demo.browser.get("/artifacts/taxi-model@prod.json", params={"at": f"#{end}"})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/artifacts/{number}.json?at=%23{end}"
    assert demo.browser.get("/artifacts/taxi:3").headers["location"] == f"/artifacts/{demo.store.artifact('taxi:3').id}"


def test_what_is_not_there_is_said(demo: Demo) -> None:
    for path in ("/artifacts/99999", "/artifacts/taxi:99", "/artifacts/nobody@prod", "/artifacts/art:99999"):
        assert demo.browser.get(path).status_code == 404, path
    assert demo.browser.get("/artifacts/1?at=%230").status_code == 404
    assert demo.browser.get("/artifacts/run:1").status_code == 400
    assert demo.browser.get("/artifacts/" + "9" * 30).status_code in (400, 404)


def test_an_artifact_of_the_past_is_as_it_was(demo: Demo) -> None:
    taxi = demo.store.artifact("taxi:3")
    taint = next(one.by.offset for one in demo.store.blame(taxi) if one.field == "custom_properties.evlog.tainted")
    before = demo.facts(f"/artifacts/{taxi.id}.json", at=f"#{taint}")
    assert before["tainted"] is None
    assert all(one["offset"] < taint for one in before["puts"] + before["fields"] + before["moves"])
    after = demo.facts(f"/artifacts/{taxi.id}.json")
    assert after["tainted"]
    assert after["puts"][0]["offset"] == taint
    assert [one["what"] for one in after["puts"]] == ["changed", "added"]


def test_the_picture_links_to_pages_and_is_the_svg_of_the_page(demo: Demo) -> None:
    taxi = demo.store.artifact("taxi:3")
    [maker] = taxi.producers
    picture = demo.browser.get(f"/artifacts/{taxi.id}.svg").text
    assert f'<a href="/runs/{maker.id}">' in picture
    page = demo.browser.get(f"/artifacts/{taxi.id}").text
    assert picture in page


def test_of_very_much_that_was_made_from_it_the_nearest_is_counted(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    taxi = demo.store.artifact("taxi:1")
    whole = demo.facts(f"/artifacts/{taxi.id}.json")["impact"]
    assert whole["whole"]
    monkeypatch.setattr(module, "IMPACT_ENOUGH", 2)
    part = demo.facts(f"/artifacts/{taxi.id}.json")["impact"]
    assert not part["whole"]
    assert 2 <= part["artifacts"] + part["runs"] < whole["artifacts"] + whole["runs"]
    assert "or more" in demo.browser.get(f"/artifacts/{taxi.id}").text


def test_of_a_hub_the_newest_users_are_drawn_and_what_was_made_is_not_counted(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    taxi = demo.store.artifact("taxi:1")
    users = [one.id for one in taxi.users]
    monkeypatch.setattr(module, "HUB", len(users))
    monkeypatch.setattr(module, "_NODES_SHOWN", 2)
    facts = demo.facts(f"/artifacts/{taxi.id}.json")
    assert (facts["impact"]["artifacts"], facts["impact"]["runs"]) == (None, len(users))
    assert facts["read_by"]["total"] == len(users)
    picture = demo.browser.get(f"/artifacts/{taxi.id}.svg").text
    assert f'href="/runs/{max(users)}"' in picture
    assert f'href="/runs/{min(users)}"' not in picture
    assert f"+{len(users) - 1} run" in picture
    assert "too much to count" in demo.browser.get(f"/artifacts/{taxi.id}").text


def test_an_artifact_of_another_client_has_no_versions_and_a_page_all_the_same(
    browser: TestClient, store: Store
) -> None:
    from mlmd.proto import metadata_store_pb2 as pb

    type_id = store.metadata.put_artifact_type(pb.ArtifactType(name="Examples"))
    [one] = store.metadata.put_artifacts([pb.Artifact(type_id=type_id, uri="", name="a@b c:/?#")])
    facts = browser.get(f"/artifacts/{one}.json").json()["facts"]
    assert (facts["versions"], facts["moves"], facts["name"]) == ([], [], None)
    assert browser.get(f"/artifacts/{one}").status_code == 200


def test_a_store_that_cannot_be_read_is_no_traceback(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise errors.UnavailableError("the view does not show #7 yet: try again")

    monkeypatch.setattr(demo.engine, "review", away)
    answer = demo.browser.get("/artifacts/1.json")
    assert answer.status_code == 503
    assert "try again" in answer.json()["message"].lower()


def test_all_versions_of_a_name_are_listed_whatever_it_has_in_it(
    browser: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlmd.web.artifact._VERSIONS_SHOWN", 1)
    name = r"it's \ 'quoted\' \""
    kind = store.metadata.put_artifact_type(pb.ArtifactType(name="Model"))
    own = {"evlog.name": pb.Value(string_value=name)}
    ids = store.metadata.put_artifacts([pb.Artifact(type_id=kind, custom_properties=own) for _ in range(3)])
    page = browser.get(f"/artifacts/{ids[0]}").text
    [link] = re.findall(r'<a href="([^"]*)">all 3</a>', page)
    where, _, query = unescape(link).partition("?")
    rows = browser.get(f"{where}.json?{query}").json()["facts"]["rows"]
    assert sorted(row["id"] for row in rows) == ids
