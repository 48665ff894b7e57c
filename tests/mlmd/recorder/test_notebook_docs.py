"""docs/notebook.md is run as it stands, from top to bottom; then its commands, in the same folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from mlmd.cli import cli

if TYPE_CHECKING:
    import pytest

TEXT = (Path(__file__).parents[3] / "docs" / "notebook.md").read_text(encoding="utf-8")


def test_the_examples_of_the_notebook_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 7
    (tmp_path / "notebook.py").write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, "notebook.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"print\(miss\)  # (.*)", TEXT)
    assert shown[0] in done.stdout
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVLOG_STORE", raising=False)
    [commands] = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in commands.splitlines():
        _, *words = shlex.split(line, comments=True)
        result = CliRunner().invoke(cli, words, prog_name="evlog")
        assert result.exit_code == 0, (line, result.output)
