"""Cards of runs and artifacts: what stands on them, and that nothing which is stored is more than text there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import Page

import mlmd
from mlmd.display.cards import Card
from mlmd.display.pages import page
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.compare import compare
from mlmd.recorder.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd.recorder.things import Artifact, Run

HOSTILE = "</pre></details><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\u202e"


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store(mlmd.MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig())))
    yield made
    made.close()


def recorded(store: Store) -> tuple[Run, Artifact]:
    with store.run("Trainer", params={"lr": 0.1, "layers": [64, 8]}, tags={"team": "taxi"}, name="nightly") as run:
        run.input("s3://b/taxi/7", "Dataset", name="taxi")
        run.log(acc=0.9412345)
        model = run.output("s3://m/31", "Model", name="taxi-model", acc=0.94)
    store.alias("taxi-model@prod", model)
    return store.get_run(run.id), store.artifact(model)


def test_a_run_says_what_it_was_told_what_it_measured_what_it_read_and_made(store: Store) -> None:
    run, _ = recorded(store)
    lines = str(run).splitlines()
    assert lines[0] == "Trainer run:1  COMPLETE"
    for line in (
        "name        nightly",
        "parameters  layers=[64, 8]  lr=0.1",
        "metrics     acc=0.941234",
        "tags        team=taxi",
        "inputs      taxi:1  Dataset",
        "outputs     taxi-model:1  Model",
    ):
        assert f"  {line}" in lines


def test_an_artifact_says_where_it_is_who_made_it_and_what_it_is_called(store: Store) -> None:
    _, model = recorded(store)
    text = str(model)
    assert text.splitlines()[0] == "Model taxi-model:1  live"
    for part in ("s3://m/31", "taxi-model@prod", "acc=0.94", "made by     Trainer run:1"):
        assert part in text


def test_a_run_that_failed_shows_its_traceback(store: Store) -> None:
    with pytest.raises(ValueError, match="boom"), store.run("Trainer") as run:
        raise ValueError("boom\nboom")
    card = Page(run._repr_html_())
    assert "details" in card.tags
    assert 'raise ValueError("boom' in card.text
    assert "FAILED" in str(run).splitlines()[0]


def test_what_is_tainted_says_so_first_and_why(store: Store) -> None:
    _, model = recorded(store)
    model.message.custom_properties["evlog.tainted"].string_value = "label leak"
    store.metadata.put_artifacts([model.message])
    text = str(store.artifact(f"art:{model.id}"))
    assert text.splitlines()[0].startswith("Model taxi-model:1  tainted")
    assert "label leak" in text


def test_a_card_has_its_lineage_as_a_picture(store: Store) -> None:
    run, model = recorded(store)
    for card in (run._repr_html_(), model._repr_html_()):
        [picture] = re.findall(r"<svg.*</svg>", card)
        ET.fromstring(picture)
        assert "taxi:1" in picture


def test_hostile_values_are_text_on_a_card(store: Store) -> None:
    with (
        pytest.raises(ValueError, match="script"),
        store.run("T", params={"p": HOSTILE}, tags={"t": HOSTILE}, name=HOSTILE) as run,
    ):
        run.input("s3://y/" + HOSTILE, "D")
        made = run.output("s3://x/" + HOSTILE, "D", note=HOSTILE)
        raise ValueError(HOSTILE)
    for thing in (store.get_run(run.id), store.artifact(made)):
        html = thing._repr_html_()
        assert_harmless(html)
        assert_harmless(page(HOSTILE, [(HOSTILE, html)], HOSTILE), whole=True)
        assert "\x1b" not in str(thing) + html
        assert "\u202e" not in str(thing) + html


def assert_harmless(html: str, *, whole: bool = False) -> None:
    found = Page(html)
    assert found.open == []
    outline = {"html", "head", "meta", "title", "body", "main", "footer", "h1", "h2"} if whole else set()
    card = {
        "thead",
        "tbody",
        "tfoot",
        "section",
        "div",
        "span",
        "strong",
        "em",
        "small",
        "table",
        "tr",
        "th",
        "td",
        "br",
        "details",
        "summary",
        "pre",
    }
    picture = {"svg", "title", "desc", "style", "rect", "g", "path", "text"}
    assert set(found.tags) <= outline | card | picture
    assert not any(name.startswith("on") or name in {"src", "href", "xlink:href"} for name in found.attributes)


@given(st.text(), st.dictionaries(st.text(), st.text()), st.lists(st.text()))
def test_any_text_on_a_card_is_text(text: str, values: dict[str, str], ends: list[str]) -> None:
    card = Card(text, [text], values, {text: values}, {text: ends}, {text: text}, note=text)
    assert_harmless(card._repr_html_())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", str(card))


def test_a_page_allows_nothing_to_run_or_to_be_fetched(store: Store) -> None:
    run, _ = recorded(store)
    html = page("Run", [("Card", run._repr_html_())], "as of #3")
    assert "default-src &#x27;none&#x27;" in html
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) == {"http://www.w3.org/2000/svg"}
    assert Page(html).text.endswith("as of #3\n")


def test_a_recording_shows_the_card_of_its_run(store: Store) -> None:
    with store.run("Trainer") as run:
        assert "RUNNING" in str(run)
    assert "<svg" not in run._repr_html_(), "what has read and made nothing has no lineage to draw"


def test_a_comparison_shows_where_the_lineages_part(store: Store) -> None:
    recorded(store)
    with store.run("Trainer", params={"lr": HOSTILE}) as other:
        other.input("taxi:1")
        other.output("s3://m/32", "Model", name="taxi-model")
        other.input("s3://b/" + HOSTILE, "Dataset")
    found = compare(store.metadata, "run:1", other)
    assert {node.key: sorted(node.flags) for node in found.lineage().nodes} == {
        "art:1": [],
        "run:1": ["only run:1"],
        "run:2": ["only run:2"],
        "art:4": ["only run:2"],
    }
    html = found._repr_html_()
    assert_harmless(html)
    assert "only run:2" in html
