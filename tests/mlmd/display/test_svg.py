"""The picture of a lineage, read back as XML: what is in it, that it says in words and shapes what it says in colour, and nothing runs."""

from __future__ import annotations

import itertools
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from drawings import graph_of, pipelines, shapes
from hypothesis import given
from hypothesis import strategies as st

from mlmd.display.folding import folded
from mlmd.display.graph import Edge, Graph, Node
from mlmd.display.svg import _CLASSES, DARK, LIGHT, picture

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script> \"x\" onload='y' &amp; ]]> <!-- \x00\x1b[31m \ud800 \u202e \uffff"


def node(key: str, label: str = "", *flags: str, kind: str = "", type_: str = "T", state: str = "") -> Node:
    of_kind: Any = kind or ("artifact" if key.startswith("art") else "execution")
    return Node(key, of_kind, label or key, type_, state, frozenset(flags), 1_700_000_000_000)


def parsed(graph: Graph) -> ET.Element:
    return ET.fromstring(picture(graph))


def nodes_in(root: ET.Element) -> dict[str, ET.Element]:
    return {group.attrib["data-key"]: group for group in root.iter(f"{SVG}g") if "data-key" in group.attrib}


def texts_of(element: ET.Element) -> list[str]:
    return [text.text or "" for text in element.iter(f"{SVG}text")]


def test_artifacts_are_pills_and_runs_are_boxes() -> None:
    found = nodes_in(parsed(Graph([node("art:1"), node("run:1")], [Edge("art:1", "run:1")])))
    [pill], [box] = (found[key].findall(f"{SVG}rect") for key in ("art:1", "run:1"))
    assert float(pill.attrib["rx"]) == float(pill.attrib["height"]) / 2
    assert float(box.attrib["rx"]) < 5


def test_what_is_tainted_has_a_double_border_and_says_so() -> None:
    root = parsed(Graph([node("art:1", "", "tainted"), node("art:2")], []))
    found = nodes_in(root)
    assert len(found["art:1"].findall(f"{SVG}rect")) == 2
    assert len(found["art:2"].findall(f"{SVG}rect")) == 1
    assert "tainted" in " ".join(texts_of(found["art:1"]))
    assert "double border: tainted" in " ".join(texts_of(root))


@pytest.mark.parametrize(
    "one", [node("run:1", state="RUNNING"), node("run:1", "", "lost", state="RUNNING"), node("art:1", state="PENDING")]
)
def test_what_is_not_finished_is_dashed_and_says_so(one: Node) -> None:
    [group] = nodes_in(parsed(Graph([one], []))).values()
    assert "stroke-dasharray" in group.find(f"{SVG}rect").attrib  # type: ignore[union-attr]
    assert ("lost" if one.flags else one.state) in " ".join(texts_of(group))


def test_a_root_has_a_thick_border_and_is_named_in_the_title() -> None:
    root = parsed(Graph([node("art:1", "taxi:7"), node("art:2")], [], roots=["art:1"]))
    widths = {key: group.find(f"{SVG}rect").attrib["stroke-width"] for key, group in nodes_in(root).items()}  # type: ignore[union-attr]
    assert float(widths["art:1"]) > float(widths["art:2"])
    assert root.find(f"{SVG}title").text == "Lineage of taxi:7"  # type: ignore[union-attr]
    assert root.attrib["role"] == "img"


def test_a_picture_with_links_is_no_image_because_what_is_in_one_is_not_reached() -> None:
    drawn = ET.fromstring(picture(Graph([node("art:1")], []), link=lambda one: f"/artifacts/{one.key[4:]}"))
    assert drawn.attrib["role"] == "group"
    assert [one.attrib["href"] for one in drawn.iter(f"{SVG}a")] == ["/artifacts/1"]


def test_what_is_not_shown_is_counted_beside_its_node() -> None:
    found = nodes_in(parsed(Graph([node("art:1"), node("run:1")], [], hidden={"art:1": 1214, "run:1": 1})))
    assert "+1,214 runs" in texts_of(found["art:1"])
    assert "+1 artifact" in texts_of(found["run:1"])


@pytest.mark.parametrize(
    ("flag", "look", "words"),
    [
        ("added", "ad", "dashes around it: added"),
        ("changed", "ch", "dots around it: changed"),
        ("gone", "go", "crossed out: gone"),
    ],
)
def test_what_became_of_a_node_is_drawn_around_it_and_said(flag: str, look: str, words: str) -> None:
    root = parsed(Graph([node("art:1", "", flag), node("art:2")], []))
    found = nodes_in(root)
    lines = [one for one in found["art:1"].iter() if one.attrib.get("class") == look]
    assert {one.attrib.get("stroke-dasharray") for one in lines} == {{"added": "6 3", "changed": "1.5 3"}.get(flag)}
    assert len(lines) == (2 if flag == "gone" else 1)
    assert any(flag in text for text in texts_of(found["art:1"]))
    assert words in " ".join(texts_of(root))  # In one line, or in two.
    assert not any(flag in text for text in texts_of(found["art:2"]))


def test_what_is_not_there_yet_is_faint_dashed_and_said() -> None:
    root = parsed(Graph([node("art:1", "", "not yet"), node("run:1")], [Edge("art:1", "run:1", flag="not yet")]))
    ghost = nodes_in(root)["art:1"]
    [box] = ghost.findall(f"{SVG}rect")
    assert (box.attrib["class"], box.attrib["fill"]) == ("gh", "none")
    assert "stroke-dasharray" in box.attrib
    assert any("not yet" in text for text in texts_of(ghost))
    [line] = [path for path in root.iter(f"{SVG}path") if path.attrib["class"] == "ed"]
    assert "stroke-dasharray" in line.attrib
    assert not any("not finished" in text for text in texts_of(root))


def test_an_edge_ends_in_a_head_at_its_target_and_says_its_role() -> None:
    root = parsed(Graph([node("art:1"), node("run:1")], [Edge("art:1", "run:1", "warm_start")]))
    line, head = root.findall(f".//{SVG}path")
    box = nodes_in(root)["run:1"].find(f"{SVG}rect")
    assert box is not None
    assert head.attrib["d"].startswith(f"M{float(box.attrib['x']):g} ")
    assert line.attrib["d"].endswith(f"H{float(box.attrib['x']):g}")
    assert "warm_start" in texts_of(root)


def test_hostile_names_are_text_and_nothing_else() -> None:
    hostile = Node(HOSTILE, "artifact", HOSTILE, HOSTILE, HOSTILE, frozenset({HOSTILE}), -(10**18))
    graph = Graph([hostile, node("run:1")], [Edge(HOSTILE, "run:1", HOSTILE)], [HOSTILE], {HOSTILE: 2}, HOSTILE)
    text = picture(graph)
    root = ET.fromstring(text.encode())
    allowed = {"svg", "title", "desc", "style", "rect", "g", "path", "text"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == allowed
    assert not any(name.startswith("on") or "href" in name for element in root.iter() for name in element.attrib)
    assert "\x1b" not in text
    assert "\u202e" not in text


@given(st.text(), st.text())
def test_any_text_makes_a_picture_that_is_well_formed(label: str, note: str) -> None:
    ET.fromstring(picture(Graph([node("art:1", label), node("run:1")], [], note=note)))


@given(shapes())
def test_every_node_and_edge_is_in_the_picture(shape: Any) -> None:
    root = parsed(graph_of(shape))
    assert nodes_in(root).keys() == set(shape.nodes)
    assert len(root.findall(f".//{SVG}path")) == 2 * len(graph_of(shape).edges)


def test_a_picture_asks_for_nothing_from_elsewhere_and_has_no_ids_to_clash() -> None:
    text = picture(graph_of(pipelines(60, warm_starts=4)))
    assert re.findall(r"https?://[^\s\"']+", text) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in text
    assert "@import" not in text
    assert " id=" not in text


def test_the_same_lineage_is_the_same_picture() -> None:
    shape = pipelines(60, warm_starts=4)
    assert picture(graph_of(shape)) == picture(graph_of(shape))


def test_an_empty_lineage_is_a_picture() -> None:
    assert parsed(Graph([], [])).tag == f"{SVG}svg"


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_have_the_contrast_that_wcag_asks_for(theme: dict[str, str]) -> None:
    for ground in ("ground", "artifact", "execution"):
        assert _contrast(theme["text"], theme[ground]) >= 7
        for line in ("border", "bad"):
            assert _contrast(theme[line], theme[ground]) >= 4.5
    assert _contrast(theme["faint"], theme["ground"]) >= 4.5


def test_dark_colours_come_with_the_scheme_for_every_class() -> None:
    root = parsed(Graph([node("art:1", "", "tainted"), node("run:1")], [Edge("art:1", "run:1", "r")]))
    style = root.find(f"{SVG}style")
    assert style is not None
    assert str(style.text).startswith("@media (prefers-color-scheme:dark)")
    used = {element.attrib["class"] for element in root.iter() if "class" in element.attrib} - {"evlog-lineage"}
    assert used <= _CLASSES.keys()
    assert all(f".{name}{{" in str(style.text) for name in used)


def test_a_large_lineage_is_folded_and_says_so() -> None:
    shape = pipelines(1_000, warm_starts=10)
    root = parsed(graph_of(shape))
    assert len(nodes_in(root)) == 300
    assert f"{len(shape.nodes) - 300} more nodes are not shown" in " ".join(texts_of(root))


def test_a_wide_fan_becomes_one_node_of_its_type() -> None:
    runs = [node(f"run:{at}", type_="Trainer", state="COMPLETE" if at % 2 else "FAILED") for at in range(400)]
    graph = Graph([node("art:1"), *runs], [Edge("art:1", run.key) for run in runs], roots=["art:1"])
    small = folded(graph)
    assert [one.label for one in small.nodes] == ["art:1", "Trainer \N{MULTIPLICATION SIGN} 400"]
    assert small.nodes[1].state == "200 FAILED, 200 COMPLETE"
    assert len(small.edges) == 1


def test_a_fan_keeps_what_is_not_like_the_rest_apart() -> None:
    runs = [node(f"run:{at}", type_="Trainer") for at in range(400)]
    odd = [node("run:900", type_="Pusher"), node("run:901", type_="Trainer")]
    edges = [Edge("art:1", run.key) for run in [*runs, *odd]]
    graph = Graph([node("art:1"), *runs, *odd, node("art:2")], [*edges, Edge("run:901", "art:2")], roots=["art:1"])
    assert {one.key for one in folded(graph).nodes} > {"art:1", "run:900", "run:901", "art:2"}
    assert len(folded(graph).nodes) == 5


def test_a_fan_keeps_what_more_hangs_on_apart() -> None:
    runs = [node(f"run:{at}") for at in range(400)]
    graph = Graph([node("art:1"), *runs], [Edge("art:1", run.key) for run in runs], ["art:1"], {"run:7": 2})
    small = folded(graph)
    assert len(small.nodes) == 3
    assert small.hidden == {"run:7": 2}


def test_a_cut_counts_the_neighbours_that_it_takes_away() -> None:
    chain = [node(f"art:{at}" if at % 2 else f"run:{at}") for at in range(11)]
    graph = Graph(
        chain,
        [Edge(one.key, two.key) for one, two in itertools.pairwise(chain)],
        roots=["art:5"],
        hidden={"art:5": 4},
    )
    small = folded(graph, 3)
    assert [one.key for one in small.nodes] == ["run:4", "art:5", "run:6"]
    assert small.hidden == {"run:4": 1, "run:6": 1, "art:5": 4}
    assert small.note == "at least 8 more nodes are not shown"


def test_a_root_or_an_end_that_is_not_there_takes_no_place() -> None:
    chain = [node(f"art:{at}") for at in range(9)]
    graph = Graph(
        chain, [Edge("art:0", "run:99"), *(Edge("run:98", one.key) for one in chain)], roots=["run:97", "art:0"]
    )
    assert len(folded(graph, 5).nodes) == 5
    assert parsed(graph).tag == f"{SVG}svg"
