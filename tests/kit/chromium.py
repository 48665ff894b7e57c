"""Chromium, headless, that tells of everything a page of ours must not do: errors, breaches of its policy, dialogs, foreign hosts."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # Whatever a page asks for, nothing leaves this machine.
)
USUAL: Final[ViewportSize] = {"width": 1200, "height": 750}
WAIT_MS: Final = 20_000
"""How long anything may take before it counts as not coming."""


def program() -> str | None:
    """Return where Chromium is on this machine."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextlib.contextmanager
def running() -> Iterator[Browser]:
    """Run a browser. Skips the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = program()
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} is on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """A window of its own on one site. `page`: its only tab. `wrongs`: what happened in it that must not."""

    def __init__(self, browser: Browser, site: str, **how: Any) -> None:
        """Open it. how: as of `Browser.new_context`."""
        self._site, self._host = site, urlsplit(site).netloc
        self._context = browser.new_context(base_url=site, viewport=USUAL, **how)
        self._context.set_default_timeout(WAIT_MS)
        self.wrongs: list[str] = []
        self.page: Page = self._context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrongs.append(f"uncaught: {error}"))
        self.page.on("dialog", lambda dialog: (self.wrongs.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrongs.append(f"console {message.type}: {message.text} {message.location.get('url', '')}")

    def _asked(self, request: Request) -> None:
        where = urlsplit(request.url)
        if where.scheme not in ("data", "blob", "about") and where.netloc != self._host:
            self.wrongs.append(f"asked {request.url}")

    def visit(self, address: str, status: int = 200) -> Page:
        """Go to a page of the site, and wait until it has loaded."""
        answer = self.page.goto(address, wait_until="load")
        assert answer is not None
        assert answer.status == status, f"{address}: {answer.status}"
        return self.page

    def rest(self) -> None:
        """Leave the page and forget what it kept; fail for anything that went wrong meanwhile."""
        self.page.goto("about:blank")
        self._context.clear_cookies()
        self.page.set_viewport_size(USUAL)
        self.page.emulate_media(color_scheme="light", reduced_motion="no-preference")
        wrongs, self.wrongs = self.wrongs, []
        assert not wrongs, "\n".join(wrongs)

    def close(self) -> None:
        """Close the window."""
        self._context.close()
