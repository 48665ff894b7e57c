"""The examples run. That of TFX runs in tests/compat/test_installed.py, where TFX is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import notebooks
import pytest
import transcripts

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.once, pytest.mark.slow]
EXAMPLES = Path(__file__).parent.parent / "examples"
_DAY = re.compile(r"\d{1,2} [A-Z][a-z]{2} \d{4}")


def kept(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))
    return found


def streams(outputs: list[list[dict[str, Any]]], folder: Path) -> list[str]:
    """Return what cells print, days and times made alike."""
    texts = ["".join(one["text"]) for cell in outputs for one in cell if one["output_type"] == "stream"]
    return [_DAY.sub("1 Mar 2026", transcripts.plain(text, folder)) for text in texts]


def kinds(outputs: list[list[dict[str, Any]]]) -> list[list[list[str]]]:
    return [[sorted(one.get("data", {"stream": ""})) for one in cell] for cell in outputs]


def test_the_notebook_runs_and_shows_what_it_showed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("sklearn", "pandas"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVLOG_STORE", raising=False)
    notebook = kept("sklearn.ipynb")
    shown = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    found = notebooks.run(notebook)
    assert kinds(found) == kinds(shown)
    assert streams(found, tmp_path) == streams(shown, tmp_path)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(item)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_what_a_notebook_keeps_needs_no_script_and_no_other_host(path: Path) -> None:
    outputs = "".join(_texts([cell.get("outputs", []) for cell in kept(path.name)["cells"]]))
    assert outputs
    assert "<script" not in outputs
    assert not re.findall(r"(?:src|href)=\"https?://", outputs)


def test_the_import_from_kubeflow_runs(tmp_path: Path) -> None:
    command = [sys.executable, EXAMPLES / "kubeflow_import.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for said in (
        "run:6",
        "└ system.ContainerExecution run-3/train",
        "import of metadb.sqlite",
        "the views equal a replay",
    ):
        assert said in done.stdout, said
    assert {"kubeflow-store", "kubeflow-store.back.sqlite", "metadb.sqlite"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_every_example_stands_in_the_list() -> None:
    listed = set(re.findall(r"\]\((\w+\.\w+)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in EXAMPLES.iterdir() if path.name != "README.md" and path.is_file()}
