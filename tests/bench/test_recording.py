"""The measuring program of the recorder runs and gives every figure. Never how fast."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import recording

pytestmark = [pytest.mark.once, pytest.mark.slow]


def test_recording_is_measured_in_memory_and_in_a_folder(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "store"):
        assert all(value > 0 for value in recording.ours(folder, 3).values())


def test_the_cache_decision_is_measured_in_process_and_of_a_server(tmp_path: Path) -> None:
    found = recording.decided(tmp_path / "store", 20, 5)
    assert list(found) == ["cached, hit", "cached, miss", "cached, hit, of a server", "cached, miss, of a server"]
    assert all(value > 0 for figures in found.values() for value in figures.values())
