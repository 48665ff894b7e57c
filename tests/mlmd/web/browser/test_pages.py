"""Every page of the table in a real browser: with script and without, light and dark, wide and narrow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

import pytest
from axe import violations
from on_show import ADDRESSES, ARTIFACTS, CONTEXTS, HOSTILE, OF_NOW, RUNS, of_moment

from mlmd.display.cells import in_words
from mlmd.web.pages import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chromium import Visitor
    from on_show import OnShow

    Visit = Callable[..., Visitor]

pytestmark = [pytest.mark.once, pytest.mark.slow]
each_page = pytest.mark.parametrize("address", ADDRESSES)
with_and_without_script = pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
_WIDTH: Final = """() => [document.documentElement.scrollWidth, ...Array.from(document.querySelectorAll("body *"))
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, .pop"))
    .slice(0, 3).map(one => one.outerHTML.slice(0, 160))]"""


@each_page
@with_and_without_script
def test_a_page_answers_and_breaks_no_rule_of_its_own(
    visitor: Visit, shown: OnShow, address: str, *, script: bool
) -> None:
    window = visitor(java_script_enabled=script)
    past = [of_moment(address, shown.engine.log.end - 1)] if address not in OF_NOW else []
    for place in (address, *past):
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
    page = visitor().visit(address)
    page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true; })")
    found = violations(page)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += violations(page, ["color-contrast"])
    assert not found, "\n".join(found)


@each_page
@with_and_without_script
def test_a_page_is_never_wider_than_its_window(visitor: Visit, address: str, *, script: bool) -> None:
    """360 px: a telephone; 640: a usual window at 200 %."""
    page = visitor(java_script_enabled=script).visit(address)
    for width in (360, 640):
        page.set_viewport_size({"width": width, "height": 640})
        wide, *sticking_out = page.evaluate(_WIDTH)
        assert wide <= width, sticking_out


# What is told and how it is shown -------------------------------------------------------------------------------------

_TOLD_OTHERWISE: Final = {"kind", "verified", "what", "page", "sort"}
"""By shape, and by run: or art:; by the chip, in words; one by one instead of put together; where a link leads; an arrow."""
_TOLD_ON_ITS_OWN_PAGE: Final = {"versions", "api", "auth", "tainted", "thing"}
"""Of a thing in a list: as it was then, the call that put it and how its actor was known, why it is tainted, its name beside the link to it."""
_LISTS_IN_SHORT: Final = {"audit": {"rows"}, "evidence": {"notable"}, "compare": {"alike"}}
"""Lists of records, and what two runs have in common: the page of each tells the rest."""
_USUAL: Final = {"LIVE", "UNKNOWN", "0 runs"}  # What is as usual is not written.
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+Z?)?")
_PLACED: Final = re.compile(r"^(type:|context:|properties\.|custom_properties\.)")
_ATTRIBUTES: Final = """() => Array.from(document.querySelectorAll("[value], [href], [title]"), one =>
    ["value", "href", "title"].map(name => one.getAttribute(name) ?? "").join(" "))"""


@each_page
def test_every_fact_is_read_without_script(visitor: Visit, address: str) -> None:
    page = visitor(java_script_enabled=False).visit(address)
    path, _, query = address.partition("?")
    told = page.request.get(f"{path or 'index'}.json?{query}").json()["facts"]
    shown = _flat(" ".join([page.locator("body").text_content() or "", *map(unquote_plus, page.evaluate(_ATTRIBUTES))]))
    told = {name: one for name, one in told.items() if name not in _LISTS_IN_SHORT.get(path, ())}
    missing = sorted(text for text in set(_texts(told)) if not any(way in shown for way in _ways(text)))
    assert not missing, "\n".join(missing)


def _texts(told: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts of facts; numbers and times are written for people."""
    if isinstance(told, dict):
        for name, one in told.items():
            if name not in _TOLD_OTHERWISE and not (depth and name in _TOLD_ON_ITS_OWN_PAGE):
                yield from _texts(one, depth + 1)
    elif isinstance(told, list):
        for one in told:
            yield from _texts(one, depth + 1)
    elif isinstance(told, str) and told.strip() and told not in _USUAL and not _TIME.fullmatch(told):
        yield told


def _ways(text: str) -> Iterator[str]:
    """Yield how a text may be written: as it stands; its odd characters in words; without what its place says."""
    for one in (text, _PLACED.sub("", text), text.rpartition("@")[2]):
        yield _flat(one)
        yield _flat(in_words(one))


def _flat(text: str) -> str:
    return " ".join(text.split()).casefold()


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
