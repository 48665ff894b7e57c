"""The measurement of imports and exports runs. Never how fast: that is for a calm machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import porting

pytestmark = [pytest.mark.once, pytest.mark.slow]


def test_an_import_the_same_again_and_an_export_are_measured(tmp_path: Path) -> None:
    found = porting.measure(tmp_path, 2_000)
    assert list(found) == ["import", "import again", "export"]
    assert all(figure > 0 for line in found.values() for figure in line)
