"""Every page of the table in a real browser: with script and without, light and dark, wide and narrow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from axe import violations
from on_show import ADDRESSES, ARTIFACTS, CONTEXTS, HOSTILE, RUNS, of_moment

from mlmd.display.cells import in_words
from mlmd.web.pages import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chromium import Visitor
    from on_show import OnShow

    Visit = Callable[..., Visitor]

pytestmark = pytest.mark.once
each_page = pytest.mark.parametrize("address", ADDRESSES)
with_and_without_script = pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
_TOLD_OTHERWISE: Final = {"kind", "versions"}  # By shape and by run: or art:; by the page of each moment.
_WIDTH: Final = """() => [document.documentElement.scrollWidth, ...Array.from(document.querySelectorAll("body *"))
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, .pop"))
    .slice(0, 3).map(one => one.outerHTML.slice(0, 160))]"""


@each_page
@with_and_without_script
def test_a_page_answers_and_breaks_no_rule_of_its_own(
    visitor: Visit, shown: OnShow, address: str, *, script: bool
) -> None:
    window = visitor(java_script_enabled=script)
    for place in (address, of_moment(address, shown.engine.log.end - 1)):
        page = window.visit(place)
        assert page.locator("h1").count() == 1
        assert page.locator("main").count() == 1
        assert page.title()
        assert page.locator("script:not([src]), [onclick], [onload], [onerror]").count() == 0
        assert script or page.locator("[style]").count() == 0, "what a script sets through the object model is allowed"
        names = page.evaluate("Array.from(document.querySelectorAll('[id]'), one => one.id)")
        assert len(set(names)) == len(names), "an id twice"


@each_page
def test_a_page_shuts_nobody_out(visitor: Visit, address: str) -> None:
    window = visitor()
    page = window.visit(address)
    page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true; })")
    assert violations(page) == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert violations(page, ["color-contrast"]) == []


@each_page
@with_and_without_script
def test_a_page_is_never_wider_than_its_window(visitor: Visit, address: str, *, script: bool) -> None:
    """360 px: a telephone; 640: a usual window at 200 %."""
    page = visitor(java_script_enabled=script).visit(address)
    for width in (360, 640):
        page.set_viewport_size({"width": width, "height": 640})
        wide, *sticking_out = page.evaluate(_WIDTH)
        assert wide <= width, sticking_out


@each_page
def test_every_fact_is_read_without_script(visitor: Visit, address: str) -> None:
    window = visitor(java_script_enabled=False)
    page = window.visit(address)
    path, _, query = address.partition("?")
    told = page.request.get(f"{path or 'index'}.json?{query}").json()["facts"]
    shown = _flat(page.locator("body").text_content() or "")
    shown += _flat(
        " ".join(
            page.locator("[value], [href]").evaluate_all(
                'all => all.map(one => one.getAttribute("value") ?? one.getAttribute("href"))'
            )
        )
    )
    ways = {text: {_flat(text), _flat(in_words(text))} for text in _texts(told)}
    assert [text for text, ways_of_it in ways.items() if not any(way in shown for way in ways_of_it)] == []


def _texts(told: Any) -> Iterator[str]:
    """Yield the texts of facts: those are shown as they stand; numbers and times are written for people."""
    if isinstance(told, dict):
        for name, one in told.items():
            if name not in _TOLD_OTHERWISE:
                yield from _texts(one)
    elif isinstance(told, list):
        for one in told:
            yield from _texts(one)
    elif isinstance(told, str) and told.strip() and not re.fullmatch(r"\d{4}-\d\d-\d\d(T[\d:.]+Z?)?", told):
        yield told


def _flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=[ascii(name[:30]) for name in HOSTILE])
def test_a_hostile_name_is_text_and_no_more(visitor: Visit, number: int) -> None:
    window = visitor()
    named = {"/runs/{id}": RUNS, "/artifacts/{id}": ARTIFACTS, "/contexts/{id}": CONTEXTS}
    for entry in PAGES:
        if entry.path in named:
            page = window.visit(entry.filled({"id": str(named[entry.path] + number + 1)}))
            shown = _flat(page.locator("main").text_content() or "")
            assert _flat(HOSTILE[number]) in shown or _flat(in_words(HOSTILE[number])) in shown, entry.path
            assert page.locator("main script, main img, a[href^='javascript:' i]").count() == 0
