"""axe-core, which looks through a page for what shuts people out. From `web/node_modules`: `make web` brings it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Page

SCRIPT: Final = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_RUN: Final = "only => axe.run({runOnly: only, resultTypes: ['violations']}).then(found => found.violations)"


def violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """Return what is wrong with the page as it stands, one line for each element. rules: these alone, else all of WCAG 2.2 AA and best practice."""
    if not SCRIPT.exists():
        pytest.skip("axe-core is not installed: make web")
    page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": list(TAGS)}
    found: list[dict[str, Any]] = page.evaluate(_RUN, only)
    return [
        f"{one['id']}: {node['html'][:160]}: {node['failureSummary'].partition(chr(10))[2].strip()[:200]}"
        for one in found
        for node in one["nodes"]
    ]
