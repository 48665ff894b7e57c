"""The search: what is named leads to its page, what is not is found; types."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from mlmd.names import name_of

if TYPE_CHECKING:
    from shown import Demo


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("art:3", "/artifacts/3"),
        ("run:5", "/runs/5"),
        ("execution:5", "/runs/5"),
        ("ctx:1", "/contexts/1"),
        ("type:Model", "/types"),
        ("#12", "/audit/12"),
        ("taxi:3", "taxi:3"),
        ("taxi-model@prod", "taxi-model@prod"),
        (" taxi@latest ", "taxi@latest"),
        ("s3://demo/taxi/data/3", "taxi:3"),
    ],
)
def test_what_is_named_leads_to_its_page(demo: Demo, text: str, page: str) -> None:
    if not page.startswith("/"):
        page = f"/artifacts/{demo.store.artifact(page).id}"
    answer = demo.browser.get("/search", params={"q": text})
    assert answer.status_code == 303
    assert answer.headers["location"] == page
    then = demo.engine.log.end
    past = demo.browser.get("/search.json", params={"q": text, "at": f"#{then}"}).headers["location"]
    assert unquote(past) == f"{page}.json?at=#{then}"


def test_a_text_is_found_where_the_recorder_finds_it(demo: Demo) -> None:
    facts = demo.facts("/search.json", q="taxi", n=1_000)
    found = demo.store.search("taxi", limit=1_000)
    assert [row["thing"] for row in facts["rows"]] == [name_of((one.kind, one.node.id)) for one in found]
    assert [row["found_in"] for row in facts["rows"]] == [one.field for one in found]
    assert len(demo.facts("/search.json", q="taxi", n=3)["rows"]) == 3


@pytest.mark.parametrize(
    "text", ["art:9999", "nobody:3", "nobody@prod", "s3://not/here", "art:x", "::", "@", "run:" + "9" * 40]
)
def test_what_names_nothing_is_said_and_searched(demo: Demo, text: str) -> None:
    facts = demo.facts("/search.json", q=text)
    assert facts["said"]
    assert demo.browser.get("/search", params={"q": text}).status_code == 200


def test_an_alias_that_is_found_leads_to_what_it_stands_for(demo: Demo) -> None:
    [alias] = [row for row in demo.facts("/search.json", q="fraud-model@")["rows"] if row["kind"] == "alias"]
    to = demo.browser.get(alias["page"]).headers["location"]
    assert to == f"/artifacts/{demo.store.artifact('fraud-model@prod').id}"


def test_an_empty_search_asks_for_a_text_and_a_long_one_is_refused(demo: Demo) -> None:
    assert demo.facts("/search.json", q="  ")["rows"] == []
    assert demo.browser.get("/search").status_code == 200
    assert demo.browser.get("/search", params={"q": "x" * 1_001}).status_code == 400


def test_every_page_has_the_box_that_searches_at_its_moment(demo: Demo) -> None:
    page = demo.browser.get("/artifacts", params={"at": "#30"}).text
    assert 'action="/search"' in page
    form = page[page.index('action="/search"') :]
    assert '<input type="hidden" name="at" value="#30">' in form[: form.index("</form>")]


def test_types_are_those_of_the_store_with_their_properties_and_counts(demo: Demo) -> None:
    metadata = demo.store.metadata
    facts = demo.facts("/types.json")
    known = [*metadata.get_artifact_types(), *metadata.get_execution_types(), *metadata.get_context_types()]
    assert {(row["id"], row["name"]) for row in facts["rows"]} == {(one.id, one.name) for one in known}
    for row in facts["rows"]:
        plural = {"artifact": "artifacts", "execution": "executions", "context": "contexts"}[row["kind"]]
        assert row["count"] == len(getattr(metadata, f"get_{plural}_by_type")(row["name"]))
    [alias] = [row for row in facts["rows"] if row["name"] == "evlog.Alias"]
    assert alias["properties"] == {"artifact": "INT"}
    assert len(demo.facts("/types.json", system=1)["rows"]) == len(known) + 9
    assert {row["kind"] for row in demo.facts("/types.json", kind="context")["rows"]} == {"context"}
    assert demo.facts("/types.json", at="#1")["rows"] == []
