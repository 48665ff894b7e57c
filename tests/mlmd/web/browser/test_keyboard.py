"""Whole tasks by the keyboard alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from chromium import WAIT_MS
from keys import fill, go_to, press, stops
from on_show import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from chromium import Visitor

    Visit = Callable[..., Visitor]

pytestmark = [pytest.mark.once, pytest.mark.slow]
expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
expect.set_options(timeout=WAIT_MS)
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


@with_and_without_script
def test_a_run_is_found_by_a_filter_and_opened(visitor: Visit, *, script: bool) -> None:
    page = visitor(java_script_enabled=script).visit("")
    press(page, page.get_by_role("navigation", name="Pages").get_by_role("link", name="Runs"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Runs")
    fill(page, page.locator("main input[name=q]"), "m.acc > 0.98 and p.lr = 0.1")
    expect(page.locator("main tbody tr")).to_have_count(1)
    press(page, page.locator("main tbody tr").get_by_role("link", name="run:26", exact=True))
    expect(page.get_by_role("heading", level=1)).to_contain_text("run:26")


@with_and_without_script
def test_two_runs_are_compared(visitor: Visit, *, script: bool) -> None:
    page = visitor(java_script_enabled=script).visit("runs?type=Trainer&limit=16")
    for name in ("compare run:38", "compare run:26"):
        go_to(page, page.get_by_label(name), "Tab")
        page.keyboard.press("Space")
        expect(page.get_by_label(name)).to_be_checked()
    press(page, page.locator("form.pick").get_by_role("button", name="Compare"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("ompar")
    expect(page.locator("main")).to_contain_text("taxi-model:3")  # An input that differs.


def test_a_lineage_is_walked_and_moved_through_time(visitor: Visit) -> None:
    page = visitor().visit("lineage/art:34?up=8&down=4")
    canvas = page.get_by_role("application")
    go_to(page, canvas)
    page.keyboard.press("ArrowRight")  # To where the lineage begins, which is chosen.
    expect(page.locator(".beside")).to_contain_text("taxi-model:4")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".beside")).to_contain_text("run:38")
    said = page.locator(".time output")
    now = said.inner_text()
    page.keyboard.press("[")
    expect(said).not_to_have_text(now)
    page.keyboard.press("End")
    expect(said).to_have_text(now)
    page.keyboard.press("c")
    expect(said).to_contain_text("added")
    page.keyboard.press("c")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(canvas).to_be_focused()


def test_the_slider_steps_and_says_where_it_is(visitor: Visit) -> None:
    page = visitor().visit("lineage/art:34?up=8&down=4")
    slider = page.get_by_role("slider", name="Moment that is shown")
    go_to(page, slider)
    before = slider.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowLeft")
    expect(slider).not_to_have_attribute("aria-valuetext", before)
    expect(page).to_have_url(re.compile(r"until=%23\d+"))  # The link is of what is shown.
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("#0|before all"))


@with_and_without_script
def test_a_search_leads_to_what_is_named(visitor: Visit, *, script: bool) -> None:
    page = visitor(java_script_enabled=script).visit("")
    field = page.get_by_role("search").locator("input[name=q]")
    if script:
        page.keyboard.press("/")
        expect(field).to_be_focused()
    fill(page, field, "taxi-model:4")
    expect(page.locator("main")).to_contain_text("taxi-model:4")


def test_the_evidence_is_checked_in_the_browser(visitor: Visit) -> None:
    window = visitor()
    page = window.visit("audit?limit=16")
    form = page.locator(".verify-form")
    form.wait_for()
    # The store is unsigned: it has no checkpoint, which the page says, and Chromium too, before or after it.
    with page.expect_event("console", lambda said: said.location.get("url", "").endswith("/tlog/checkpoint")):
        press(page, form.get_by_role("button"))
    expect(page.locator(".verify-outcome")).not_to_be_empty()
    window.wrongs = [wrong for wrong in window.wrongs if "404" not in wrong or not wrong.endswith("/tlog/checkpoint")]
