"""The measure of the web UI runs and gives every figure. Never how good."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import web

pytestmark = [pytest.mark.once, pytest.mark.slow]


def test_the_server_and_every_page_are_measured(tmp_path: Path) -> None:
    roots = web.fill(tmp_path / "store", 30, (30,))
    with web.served(tmp_path / "store") as server:
        assert server.up_s > 0
        assert server.rss_mb > 0
        lines = [*web.pages(server, 1), *web.lineages(server, roots, 1)]
    assert len(lines) == 2 * len(web.paths_of_pages()) + 3
    assert all(line.value > 0 for line in lines)


def test_a_bar_is_kept_from_above_or_from_below() -> None:
    assert web.Line("page", 150, "ms", 150).kept
    assert not web.Line("page", 151, "ms", 150).kept
    assert web.Line("panning", 60, "frames/s", 60, most=False).kept
    assert not web.Line("panning", 59, "frames/s", 60, most=False).kept
