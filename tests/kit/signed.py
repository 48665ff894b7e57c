"""A store with a key: made once for a module, copied for each test."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from stores import run

from mlmd import opening

if TYPE_CHECKING:
    from pathlib import Path


def alone(patch: pytest.MonkeyPatch, config: Path) -> None:
    """Let keys be those in a folder, and checkpoints made when the test says so."""
    patch.delenv("EVLOG_KEY", raising=False)
    patch.setenv("XDG_CONFIG_HOME", str(config))
    patch.setattr(opening, "_checkpointer", lambda *_: None)


def make(place: Path) -> None:
    """Make the guide's store, 13 records, and a key for it."""
    assert run("demo", "--guide", place).exit_code == 0
    assert run("-s", place, "keys", "new").exit_code == 0


def sign(place: Path, *words: str | Path) -> None:
    """Make a checkpoint over all that is there."""
    result = run("-s", place, "checkpoint", *words)
    assert result.exit_code == 0, result.output


def made(place: Path) -> Path:
    """Make that store, signed, with its keys beside it; return its folder."""
    with pytest.MonkeyPatch.context() as patch:
        alone(patch, place.parent / "config")
        make(place)
        sign(place)
    return place


def copied(made: Path, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Return a copy of a store, and of the folder `config` beside it with the keys."""
    shutil.copytree(made.parent / "config", folder / "config")
    alone(patch, folder / "config")
    return shutil.copytree(made, folder / made.name, symlinks=True)
