"""What many modules here look at: the reference, and the store of the guide's workflow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from client import Reference
from commands import run
from environment import python_of_reference

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    found = python_of_reference()
    if isinstance(found, str):
        pytest.skip(found)
    with Reference(found) as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that `evlog demo --guide` made, for all tests of a module: they leave it as it is."""
    place = tmp_path_factory.mktemp("made") / "demo"
    assert run("demo", "--guide", str(place)).exit_code == 0
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return Path(shutil.copytree(made, tmp_path / "store", symlinks=True))
