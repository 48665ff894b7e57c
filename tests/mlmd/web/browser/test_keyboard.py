"""Whole tasks by the keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from keys import fill, go_to, press, stops
from on_show import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from chromium import Visitor

    Visit = Callable[..., Visitor]

pytestmark = pytest.mark.once
expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
with_and_without_script = pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])


@pytest.mark.parametrize("address", ADDRESSES)
def test_tab_goes_through_a_page_is_always_seen_and_never_caught(visitor: Visit, address: str) -> None:
    assert stops(visitor().visit(address)) > 5


@with_and_without_script
def test_what_every_page_begins_with_is_skipped(visitor: Visit, *, script: bool) -> None:
    page = visitor(java_script_enabled=script).visit("")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{page.url.partition('#')[0]}#main")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


@with_and_without_script
def test_a_past_moment_is_looked_at_and_left(visitor: Visit, *, script: bool) -> None:
    page = visitor(java_script_enabled=script).visit("")
    chip = page.locator("#moment > summary")
    press(page, chip)
    fill(page, page.get_by_label("Look at the store as of"), "#100")
    expect(chip).to_contain_text("#100")
    expect(page.locator("footer")).to_contain_text("as of record #100")
    press(page, chip)
    press(page, page.get_by_role("link", name="back to now"))
    expect(chip).to_contain_text("now")


def test_escape_closes_what_is_open(visitor: Visit) -> None:
    page = visitor().visit("")
    chip = page.locator("#moment")
    press(page, chip.locator("summary"))
    go_to(page, page.get_by_label("Look at the store as of"))
    page.keyboard.press("Escape")
    expect(chip).not_to_have_attribute("open", "")
    expect(chip.locator("summary")).to_be_focused()
