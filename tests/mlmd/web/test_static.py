"""What browsers load is what the sources build to, byte for byte. So a wheel needs no Node, and nobody has to trust what was built."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[3]
BUILT = ROOT / "mlmd" / "web" / "static"
VITE = ROOT / "web" / "node_modules" / "vite" / "bin" / "vite.js"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_committed_is_what_the_sources_build_to(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not VITE.exists():
        pytest.skip("Node or what it needs is not installed: make web")
    out = tmp_path / "static"
    told = subprocess.run(
        [node, VITE, "build", "--outDir", out, "--emptyOutDir"],
        cwd=ROOT / "web",
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    committed, built = files_of(BUILT), files_of(out)
    assert sorted(built) == sorted(committed)
    different = [name for name, data in built.items() if committed[name] != data]
    assert different == [], "make web, then commit mlmd/web/static"


def test_what_is_built_names_no_place_of_the_machine_that_built_it() -> None:
    for name, data in files_of(BUILT).items():
        assert str(ROOT).encode() not in data, name
        assert b"sourceMappingURL" not in data, name
