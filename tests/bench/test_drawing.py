"""The measurement of pictures runs. Never how fast: that is for a calm machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import drawing

pytestmark = [pytest.mark.once, pytest.mark.slow]


def test_every_shape_is_laid_out_drawn_and_asked_for() -> None:
    lines = list(drawing.measure((30,), rounds=1))
    assert [line.shape for line in lines] == ["fleet", "deep"]
    for line in lines:
        assert line.over_nodes == 0
        assert all(time is not None and time >= 0 for time in (line.layout_ms, line.svg_ms, line.store_ms))
