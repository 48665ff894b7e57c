"""A person who has a keyboard and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

_STOPS_MAX: Final = 400
_FOCUSED: Final = "one => one === document.activeElement"
_SEEN: Final = """() => {
    const one = document.activeElement, look = getComputedStyle(one), box = one.getBoundingClientRect();
    const drawn = parseFloat(look.outlineWidth) > 0 && look.outlineStyle !== "none";
    return one === document.body ? "" : drawn && box.width > 0 && box.height > 0 ? "seen" : one.outerHTML.slice(0, 160);
}"""


def go_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press a key until the target has the focus. Fails where it never gets it."""
    target.wait_for()
    for _ in range(_STOPS_MAX):
        if target.evaluate(_FOCUSED):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} never comes to {target}")


def press(page: Page, target: Locator, key: str = "Enter") -> None:
    """Go to the target by Tab, then press a key."""
    go_to(page, target)
    page.keyboard.press(key)


def fill(page: Page, target: Locator, text: str) -> None:
    """Go to a field by Tab, write into it in place of what it held, and send its form."""
    go_to(page, target)
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def stops(page: Page) -> int:
    """Go through the whole page by Tab; return how many stops there are. Fails where one does not show that it has the focus, and for a trap."""
    for count in range(_STOPS_MAX):
        page.keyboard.press("Tab")
        seen = page.evaluate(_SEEN)
        if not seen:
            return count
        assert seen == "seen", f"has the focus and does not show it: {seen}"
    raise AssertionError("Tab never leaves the page")
