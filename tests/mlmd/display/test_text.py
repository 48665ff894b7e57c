"""Lineages as text: the tree of a terminal, Mermaid and Graphviz."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from typing import Any

import pytest
from drawings import graph_of, pipelines, shapes
from hypothesis import given
from hypothesis import strategies as st

from mlmd.display.graph import Edge, Graph, Node
from mlmd.display.text import dot, mermaid, tree


def node(key: str, label: str = "", type_: str = "T", state: str = "", *flags: str, time_ms: int = 0) -> Node:
    kind: Any = "artifact" if key.startswith("art") else "execution"
    return Node(key, kind, label or key, type_, state, frozenset(flags), time_ms)


TAXI = Graph(
    [
        node("art:1", "taxi:7", "Dataset", "LIVE", "tainted"),
        node("art:2", "schema:4", "Schema"),
        node("art:3", "taxi-model:30", "Model"),
        node("run:1", "", "Trainer", "COMPLETE", time_ms=1_741_944_413_000),
        node("art:4", "taxi-model:31", "Model", "LIVE", "live"),
        node("run:2", "push", "Pusher", "RUNNING", "lost"),
    ],
    [
        Edge("art:1", "run:1"),
        Edge("art:2", "run:1"),
        Edge("art:3", "run:1", "warm_start"),
        Edge("run:1", "art:4"),
        Edge("art:4", "run:2"),
        Edge("art:1", "run:2"),
    ],
    roots=["art:4"],
    hidden={"art:2": 3},
    note="as of #31,907",
)


def test_a_tree_goes_up_from_its_root_and_then_down() -> None:
    assert str(TAXI).splitlines() == [
        "taxi-model:31  art:4  live  Model",
        "├ Trainer run:1  COMPLETE  14 Mar 2025",
        "│ ├ taxi:7  art:1  tainted  Dataset",
        "│ ├ schema:4  art:2  Schema  (+3 runs)",
        "│ └ taxi-model:30  art:3  Model  warm_start",
        "└▶ Pusher push  run:2  lost",
        "as of #31,907",
    ]


def test_what_comes_again_is_named_and_not_told_again() -> None:
    shared = Graph(
        [
            node("art:1"),
            node("run:1"),
            node("run:2"),
            node("art:2"),
            node("art:3"),
            node("run:3"),
            node("art:0"),
            node("run:0"),
        ],
        [
            Edge("art:0", "run:0"),
            Edge("run:0", "art:1"),
            Edge("art:1", "run:1"),
            Edge("art:1", "run:2"),
            Edge("run:1", "art:2"),
            Edge("run:2", "art:3"),
            Edge("art:2", "run:3"),
            Edge("art:3", "run:3"),
        ],
        roots=["run:3"],
    )
    lines = tree(shared).splitlines()
    assert [line.strip("│├└ ") for line in lines if "art:1" in line] == ["art:1  T", "art:1  (above)"]
    assert sum("art:0" in line for line in lines) == 1


@given(shapes())
def test_every_node_of_any_lineage_is_told_once(shape: Any) -> None:
    lines = tree(graph_of(shape)).splitlines()
    told = [line for line in lines if not line.endswith("(above)")]
    assert len(told) == len(shape.nodes)
    for key in shape.nodes:
        assert sum(re.search(rf"\b{key}\b(?!\d)", line) is not None for line in told) == 1


def test_a_chain_of_ten_thousand_is_a_tree() -> None:
    chain = [node(f"art:{at}" if at % 2 else f"run:{at}") for at in range(10_000)]
    graph = Graph(chain, [Edge(one.key, two.key) for one, two in pairwise(chain[:1500])], roots=["art:1499"])
    assert len(tree(graph).splitlines()) == 10_000


def test_no_name_steers_the_terminal() -> None:
    graph = Graph([node("art:1", "\x1b[2J\n\u202egod", "\x07", "\x9b")], [], note="\x1b]0;x\x07")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", str(graph))


def test_mermaid_has_pills_boxes_roles_and_classes() -> None:
    lines = mermaid(TAXI).splitlines()
    assert lines[0] == "flowchart LR"
    assert '  art_4(["taxi-model:31<br/>live · Model"])' in lines
    assert '  run_1["Trainer run:1<br/>COMPLETE · 14 Mar 2025"]' in lines
    assert '  art_1(["taxi:7<br/>tainted · Dataset"]):::tainted' in lines
    assert '  art_3 -->|"warm_start"| run_1' in lines


def test_mermaid_gets_no_more_than_it_draws() -> None:
    lines = mermaid(graph_of(pipelines(2_000, warm_starts=10))).splitlines()
    assert sum("-->" in line for line in lines) < 500
    assert sum("-->" in line for line in lines) > 200


@given(st.text(), st.text())
def test_no_name_gets_out_of_its_quotes_in_mermaid(label: str, role: str) -> None:
    text = mermaid(Graph([node("art:1", label), node("x]; evil", label)], [Edge("art:1", "x]; evil", role)]))
    assert len(text.splitlines()) == 7
    for line in text.splitlines()[1:3]:
        assert re.fullmatch(r'  (art_1|node_1)(\(\[|\[)"[^"<>`&{}|\[\]()]*(<br/>[^"<>`&{}|\[\]()]*)?"(\]\)|\])', line)


@given(st.text(), st.text())
def test_no_name_gets_out_of_its_quotes_in_dot(label: str, role: str) -> None:
    text = dot(Graph([node("art:1", label), node('x" -> evil', label)], [Edge("art:1", 'x" -> evil', role)]))
    assert len(text.split("\n")) == 7
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    assert outside.count('"') % 2 == 0
    assert "evil" not in outside


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_it() -> None:
    subprocess.run(["dot", "-Tsvg"], input=dot(TAXI).encode(), check=True, capture_output=True)
