"""A lineage as values for programs: tables, frames, networkx; and as what a notebook shows."""

from __future__ import annotations

import pytest
from pages import Page

from mlmd.display.graph import Edge, Graph, Node
from projections.errors import MissingLibraryError

GRAPH = Graph(
    [
        Node("art:1", "artifact", "taxi:7", "Dataset", "LIVE", frozenset({"tainted", "live"}), 1_773_480_413_000),
        Node("run:1", "execution", "run:1", "Trainer", "COMPLETE"),
    ],
    [Edge("art:1", "run:1", "warm_start")],
    roots=["run:1"],
    note="as of #7",
)


def test_nodes_are_rows_and_so_are_edges() -> None:
    first, second = GRAPH.table().records()
    assert first["flags"] == "live,tainted"
    assert f"{first['time']:%Y-%m-%dT%H:%M:%S%z}" == "2026-03-14T09:26:53+0000"
    assert (second["key"], second["kind"], second["time"]) == ("run:1", "execution", None)
    assert GRAPH.table("edges").records() == [{"source": "art:1", "target": "run:1", "role": "warm_start"}]
    assert len(GRAPH) == 2


def test_frames_have_the_same_rows() -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pytest.importorskip("polars")
    assert list(GRAPH.df()["label"]) == ["taxi:7", "run:1"]
    assert GRAPH.arrow().column("type").to_pylist() == ["Dataset", "Trainer"]
    assert GRAPH.polars("edges")["target"].to_list() == list(GRAPH.df("edges")["target"]) == ["run:1"]


def test_networkx_has_the_edges_in_the_direction_of_data_and_every_field() -> None:
    networkx = pytest.importorskip("networkx")
    graph = GRAPH.networkx()
    assert networkx.ancestors(graph, "run:1") == {"art:1"}
    assert graph.nodes["art:1"]["label"] == "taxi:7"
    assert graph.edges["art:1", "run:1"]["role"] == "warm_start"


def test_networkx_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("mlmd.display.tables.import_module", missing)
    with pytest.raises(MissingLibraryError, match=r"networkx.*evlog-mlmd\[notebook\]"):
        GRAPH.networkx()


def test_a_notebook_shows_the_picture_and_a_terminal_the_tree() -> None:
    page = Page(GRAPH._repr_html_())
    assert page.tags[:2] == ["div", "svg"]
    assert repr(GRAPH) == str(GRAPH) == GRAPH.text()
    assert str(GRAPH).startswith("Trainer run:1")
