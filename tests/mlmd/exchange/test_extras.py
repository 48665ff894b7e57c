"""Without the library that a format needs, one is told what to install, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from stores import run

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = {
    "prov": ("export", "prov", "new"),
    "rocrate": ("export", "rocrate", "run:1", "new"),
    "openlineage": ("export", "openlineage", "new"),
    "starlette": ("serve", "--grpc", "0", "--openlineage", "0"),
    "mcp": ("mcp",),
}
EXTRAS = {"starlette": "openlineage"}


@pytest.mark.parametrize("library", COMMANDS)
def test_a_library_that_is_missing_is_named_with_what_brings_it(tmp_path: Path, library: str) -> None:
    assert run("demo", tmp_path / "store").exit_code == 0
    code = f"import sys; sys.modules[{library!r}] = None; from mlmd.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "-s", "store", *COMMANDS[library]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert f"pip install 'evlog-mlmd[{EXTRAS.get(library, library)}]'" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_neither_the_package_nor_an_import_of_events_needs_any_of_them() -> None:
    code = "import sys, mlmd, mlmd.exchange.openlineage.importing as _; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.replace("'", " ").split())
    assert not loaded & {*COMMANDS, "uvicorn", "requests", "pydantic", "jinja2", "click"}
