"""`evlog lineage`, `path` and `open`, on the story that docs/sql.md tells."""

from __future__ import annotations

import json
import shutil
import webbrowser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import factory
import pytest
from click.testing import CliRunner
from pages import Page

from mlmd.cli import cli

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lineage") / "store"
    factory.record(folder).close()
    return folder


def evlog(place: Path, *words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["-s", str(place), *map(str, words)], prog_name="evlog")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    return opened


def test_a_lineage_is_a_tree_and_its_moment_is_said_aside(place: Path) -> None:
    result = evlog(place, "lineage", "taxi-2", "--up", "2")
    assert result.stdout.splitlines() == [
        "taxi-2  art:4  Model  9 Mar 2026  (+1 run)",
        "└ Trainer run:3  COMPLETE  9 Mar 2026",
        "  ├ taxi-1  art:2  Model  2 Mar 2026  (+3 runs)",
        "  └ trips-2  art:3  DataSet  9 Mar 2026  (+1 run)",
    ]
    assert result.stderr == "as of #43\n"


def test_a_lineage_is_nodes_and_edges_for_a_program(place: Path) -> None:
    told = json.loads(evlog(place, "lineage", "art:4", "--up", "1", "-o", "json").stdout)
    assert told["roots"] == ["art:4"]
    assert [node["node"] for node in told["nodes"]] == ["run:3", "art:4"]
    assert told["edges"] == [{"source": "run:3", "target": "art:4", "role": None}]
    assert told["complete"] is False
    lines = evlog(place, "lineage", "art:4", "-o", "jsonl").stdout.splitlines()
    assert {json.loads(line)["node"] for line in lines} == {
        "art:1",
        "art:2",
        "art:3",
        "art:4",
        "run:1",
        "run:3",
        "run:4",
    }
    assert evlog(place, "lineage", "art:4", "-o", "tsv").stdout.startswith("node\tkind\ttype\tlabel\t")


def test_a_lineage_as_it_was_has_what_was_there(place: Path) -> None:
    assert "run:3" not in evlog(place, "--at", "2026-03-08", "lineage", "art:2").stdout
    assert "run:3" in evlog(place, "lineage", "art:2").stdout


def test_pictures_go_to_files_whole_or_to_standard_output(place: Path, tmp_path: Path) -> None:
    svg, dot = tmp_path / "l.svg", tmp_path / "l.dot"
    result = evlog(place, "lineage", "art:4", "--svg", svg, "--dot", dot, "--mermaid", "-")
    assert result.exit_code == 0
    ET.parse(svg)
    assert dot.read_text().startswith("digraph")
    assert result.stdout.startswith("flowchart LR\n")
    assert str(svg) in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.dot", "l.svg"]


def test_a_path_leads_from_one_to_the_other(place: Path) -> None:
    assert evlog(place, "path", "trips-1", "taxi-2").stdout.splitlines() == [
        "trips-1  art:1  DataSet  2 Mar 2026",
        "└▶ Trainer run:1  COMPLETE  2 Mar 2026",
        "   └▶ taxi-1  art:2  Model  2 Mar 2026  (+2 runs)",
        "      └▶ Trainer run:3  COMPLETE  9 Mar 2026  (+1 artifact)",
        "         └▶ taxi-2  art:4  Model  9 Mar 2026  (+1 run)",
    ]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["lineage"], 2, "missing argument"),
        (["lineage", "art:999"], 1, "there is no art:999"),
        (["lineage", "nobody"], 1, "there is no nobody"),
        (["lineage", ""], 2, "names nothing"),
        (["lineage", "\udcff"], 2, "no text"),
        (["lineage", "ctx:1"], 2, "has no lineage"),
        (["lineage", "art:x"], 2, "names nothing"),
        (["lineage", "art:1", "--up", "-1"], 2, "x>=0"),
        (["lineage", "art:1", "-n", "0"], 2, "x>=1"),
        (["lineage", "art:1", "--svg", "no-such-folder/x.svg"], 2, "no such folder"),
        (["lineage", "art:1", "--svg", "/"], 2, "is a directory"),
        (["path", "art:1"], 2, "missing argument"),
        (["path", "trips-1", "trips-2"], 1, "nothing in common"),
        (["open", "ctx:1", "--no-browser"], 2, "has no page"),
        (["open", "art:999", "--no-browser"], 1, "there is no art:999"),
        (["open", "-O", "no-such-folder/x.html", "--no-browser"], 2, "no such folder"),
        (["show", "nobody"], 1, "there is no nobody"),
        (["show", "art:x"], 2, "names nothing"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_with_the_next_command(
    place: Path, words: list[str], code: int, says: str
) -> None:
    result = evlog(place, *words)
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stderr.splitlines()[-1].startswith("try: ")
    assert "Traceback" not in result.stderr


def test_show_takes_what_a_thing_is_called(place: Path) -> None:
    assert evlog(place, "show", "taxi-2", "-o", "json").stdout == evlog(place, "show", "art:4", "-o", "json").stdout


def test_a_page_of_a_thing_has_its_card_lineage_fields_and_where_it_comes_from(
    place: Path, tmp_path: Path, shown: list[str]
) -> None:
    file = tmp_path / "page.html"
    result = evlog(place, "open", "taxi-2", "-O", file)
    assert result.exit_code == 0
    assert shown == [file.as_uri()]
    page = Page(file.read_text())
    assert page.open == []
    assert "script" not in page.tags
    assert page.tags.count("svg") == 1
    root = json.loads(evlog(place, "status", "--json").stdout)["root"]
    for part in ("Model taxi-2", "s3://model/taxi-2", "Every field", "Versions", "first 43 records of log", root):
        assert part in page.text


def test_a_page_of_the_store_has_what_is_new(place: Path, tmp_path: Path, shown: list[str]) -> None:
    file = tmp_path / "page.html"
    assert evlog(place, "open", "--no-browser", "-O", file).exit_code == 0
    assert shown == []
    text = Page(file.read_text()).text
    for part in ("What it holds", "Newest runs", "Newest artifacts", "taxi-3"):
        assert part in text


def test_a_page_as_it_was_is_the_same_whenever_it_is_made(place: Path, tmp_path: Path) -> None:
    pages = [tmp_path / "1.html", tmp_path / "2.html"]
    for file in pages:
        assert evlog(place, "--at", "#30", "open", "art:4", "--no-browser", "-O", file).exit_code == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert "first 30 records" in pages[0].read_text()


def test_a_page_without_a_name_goes_to_a_file_of_its_own(place: Path, shown: list[str]) -> None:
    told = json.loads(evlog(place, "open", "art:1", "--json").stdout)
    assert shown == [f"file://{told['page']}"]
    shutil.rmtree(told["page"].rpartition("/")[0])


def test_nobody_to_open_a_page_is_said(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _url: False)
    result = evlog(place, "open", "art:1", "-O", tmp_path / "p.html")
    assert result.exit_code == 0
    assert "no browser could be opened" in result.stderr
