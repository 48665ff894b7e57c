"""The pictures of docs/ui.md: EVLOG_SCREENSHOTS=docs/ui writes them. Every day it is looked at that each page has one, and that each can be made."""

from __future__ import annotations

import io
import os
import struct
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest
from chromium import USUAL, Visitor
from on_show import OnShow, on_show

import mlmd
from evlog.log import Log
from mlmd.engine import Engine
from mlmd.opening import BODIES, Opened
from mlmd.recorder import run
from mlmd.story import record_story
from mlmd.web.pages import PAGES
from replay.rebuild import open_current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.once, pytest.mark.slow]
ROOT: Final = Path(__file__).parents[4]
FOLDER: Final = ROOT / "docs" / "ui"
BYTES_MAX: Final = 120_000
COLOURS: Final = 64
ALL_MAX: Final = 1_500_000
FIRST_US: Final = 1_772_524_800_000_000  # 3 March 2026.
STEP_US: Final = 1_937_000_000  # A record each half an hour or so.
QUESTION: Final = "select type, count(*) as things from artifacts where is_current group by type order by things desc"
PICTURES: Final = {
    "/": ("home", ""),
    "/runs": ("runs", "runs?type=Trainer&sort=-m.acc"),
    "/runs/{id}": ("run", "runs/38"),
    "/compare": ("compare", "compare?run=26&run=38"),
    "/artifacts": ("artifacts", "artifacts"),
    "/artifacts/{id}": ("artifact", "artifacts/34"),
    "/lineage": ("lineages", "lineage"),
    "/lineage/{object}": ("lineage", "lineage/art:34?up=8&down=4&since=%2380"),
    "/contexts": ("contexts", "contexts"),
    "/contexts/{id}": ("pipeline", "contexts/1"),
    "/types": ("types", "types"),
    "/search": ("search", "search?q=taxi"),
    "/sql": ("sql", f"sql?q={quote(QUESTION)}"),
    "/taint": ("taint", "taint?object=art:14"),
    "/untaint": ("untaint", "untaint?object=art:34"),
    "/audit": ("audit", "audit"),
    "/audit/{offset}": ("record", "audit/96"),
    "/evidence": ("evidence", "evidence"),
    "/evidence/{day}": ("day", "evidence/2026-03-04"),
    "/ops": ("ops", "ops"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnShow]:
    """The story of `evlog demo`, told over three days."""
    place = tmp_path_factory.mktemp("told") / "demo"
    now_us = FIRST_US

    def clock() -> int:
        nonlocal now_us
        now_us += STEP_US
        return now_us

    patch = pytest.MonkeyPatch()  # Of a run, its end is told by itself, and all else by the log.
    patch.setattr(
        run, "time", SimpleNamespace(time_ns=lambda: (now_us + STEP_US // 2) * 1_000, monotonic=time.monotonic)
    )
    log = Log.open(place / "log", create=True, clock=clock)
    engine = Engine(Opened(log, open_current(log, place / "views", BODIES), writable=True, views=f"{place / 'views'}/"))
    record_story(mlmd.open(mlmd.MetadataStore.over(engine)))
    engine.close()
    patch.undo()
    with on_show(place) as shown:
        yield shown


@pytest.fixture(scope="module")
def window(chromium: Browser, told: OnShow) -> Iterator[Visitor]:
    found = Visitor(chromium, told.url, reduced_motion="reduce")
    yield found
    found.close()


def settled(page: Page, path: str) -> None:
    """Wait until what scripts draw is drawn."""
    if path == "/lineage/{object}":
        page.locator("canvas").first.wait_for()
        page.locator("input[type=range]").first.wait_for()
    page.evaluate("document.fonts.ready")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.mark.parametrize("path", [entry.path for entry in PAGES])
def test_a_picture_of_a_page_is_made(window: Visitor, path: str) -> None:
    name, address = PICTURES[path]
    where = os.environ.get("EVLOG_SCREENSHOTS")
    if path == "/sql" and not where:
        address = "sql"  # A question has seconds, which is not enough for every one on a busy machine.
    page = window.visit(address)
    settled(page, path)
    taken = page.screenshot(type="png", animations="disabled", caret="hide")
    assert struct.unpack(">II", taken[16:24]) == (USUAL["width"], USUAL["height"])
    if where:
        Path(where).mkdir(exist_ok=True)
        _write(taken, Path(where) / f"{name}.png")


def _write(taken: bytes, file: Path) -> None:
    """Write a picture with few colours: a third of the size, and nothing is lost that one sees."""
    from PIL import Image

    with Image.open(io.BytesIO(taken)) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def test_the_document_shows_each_page() -> None:
    text = (ROOT / "docs" / "ui.md").read_text(encoding="utf-8")
    sizes = {file.name: file.stat().st_size for file in FOLDER.glob("*.png")}
    assert {entry.path for entry in PAGES} <= set(PICTURES)
    assert set(sizes) == {f"{PICTURES[entry.path][0]}.png" for entry in PAGES}
    assert [name for name in sizes if f"(ui/{name})" not in text] == []
    assert [name for name, size in sizes.items() if size > BYTES_MAX] == []
    assert sum(sizes.values()) <= ALL_MAX
