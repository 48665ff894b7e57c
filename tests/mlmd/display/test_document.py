"""docs/display.md: its code runs, its commands say what it says, and its picture is what is drawn today.

    EVLOG_WRITE=1 pytest tests/mlmd/display/test_document.py

writes the picture anew.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from commands import run as evlog

import mlmd

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "display.md").read_text(encoding="utf-8")
PICTURE = DOCS / "lineage.svg"
SVG = "{http://www.w3.org/2000/svg}"
DAY = re.compile(r"\s*·?\s*\d{1,2} [A-Z][a-z]{2} \d{4}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("document")
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=60)
    return folder


def said(svg: str) -> list[tuple[Any, ...]]:
    """Return what a picture consists of: shapes, lines and words, without places and days."""
    found: list[tuple[Any, ...]] = []
    for element in ET.fromstring(svg).iter():
        marks = {
            name: value
            for name, value in element.attrib.items()
            if name in {"class", "data-key", "stroke-dasharray", "rx"}
        }
        if element.tag != f"{SVG}style":
            found.append((element.tag.removeprefix(SVG), sorted(marks.items()), DAY.sub("", element.text or "")))
    return found


def test_the_picture_is_what_is_drawn_today(place: Path) -> None:
    with mlmd.open(place / "my-store") as store:
        drawn = store.lineage("taxi-model@prod").svg()
    if os.environ.get("EVLOG_WRITE"):
        PICTURE.write_text(DAY.sub("", drawn) + "\n", encoding="utf-8")
    assert said(PICTURE.read_text(encoding="utf-8")) == said(drawn)
    assert PICTURE.stat().st_size < 10_000


def test_the_commands_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("EVLOG_STORE", "my-store")
    (block,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines():
        result = evlog(*shlex.split(line, comments=True)[1:])
        assert result.exit_code == 0, result.output


def test_the_tree_is_the_one_that_is_shown(place: Path) -> None:
    (block,) = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)
    shown = evlog("-s", str(place / "my-store"), "lineage", "taxi-model@prod", "--up", "2").stdout
    assert [DAY.sub("", line) for line in shown.splitlines()] == block.splitlines()
