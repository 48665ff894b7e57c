"""The measure of a list page runs and gives every figure. Never how fast."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import searching

pytestmark = [pytest.mark.once, pytest.mark.slow]


def test_a_list_page_is_measured(tmp_path: Path) -> None:
    searching.fill(tmp_path / "store", 300)
    found = searching.ours(tmp_path / "store", rounds=1)
    assert 0 < found.pop("matching") < 300
    assert set(found) == {
        "first_ms",
        "page_ms",
        "page_up_ms",
        "page_and_total_ms",
        "table_ms",
        "filter_alone_ms",
        "then_ms",
    }
    assert all(value > 0 for value in found.values())
