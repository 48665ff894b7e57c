"""A real browser verifies a store against a checkpoint that was kept, and turns red where it does not fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import signed
from chromium import Visitor
from insider import position_of, swap
from stores import put

from evlog import segment
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.serving.http import HttpServer
from mlmd.web.site import Site, application
from mlmd.web.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return signed.made(tmp_path_factory.mktemp("signed") / "store")


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return signed.copied(made, tmp_path, monkeypatch)


@pytest.fixture
def window(place: Path, chromium: Browser) -> Iterator[Visitor]:
    engine, watch = Engine(open_folder(place, writable=False)), Watch(place)
    watch.sweep()
    site = Site(engine, "store", place=place, watch=watch.verified)
    server = HttpServer(application(site), "127.0.0.1", 0, beside=watch)
    server.start()
    visitor = Visitor(chromium, server.url)
    yield visitor
    visitor.close()
    server.stop()
    engine.close()


def verified(page: Page, checkpoint: str, keys: str = "") -> str:
    """Paste a checkpoint and verify; return what is told at the end."""
    page.get_by_label("Checkpoint that you kept").fill(checkpoint)
    page.get_by_label("Keys that you trust").fill(keys)
    page.get_by_role("button", name="Verify in this browser").click()
    outcome = page.locator(".verify-outcome").filter(has_text=re.compile("^[✓✗○]"))
    outcome.wait_for()
    return outcome.inner_text()


def kept(place: Path) -> tuple[str, str]:
    return (place / "tlog" / "checkpoint").read_text(), (place / "tlog" / "policy").read_text()


def test_a_sound_store_is_verified_record_by_record(window: Visitor, place: Path) -> None:
    checkpoint, policy = kept(place)
    put(place, "later")
    signed.sign(place)
    page = window.visit("audit")
    told = verified(page, checkpoint, policy)
    assert told.startswith("✓ Verified by this browser")
    assert "14 of 14 records" in told
    assert page.locator("tr.verified-ok").count() == 14
    assert "is signed by evlog/" in page.locator(".verify-steps").inner_text()
    assert "begins with the tree of that checkpoint" in page.locator(".verify-steps").inner_text()
    window.rest()


def test_a_record_is_read_by_the_browser_itself(window: Visitor, place: Path) -> None:
    page = window.visit("audit/9")
    assert verified(page, *kept(place)).startswith("✓")
    said = page.locator(".verified-bytes pre").inner_text()
    assert '"api": "PutExecutions"' in said
    assert '"state": "COMPLETED"' in said
    window.rest()


def test_without_a_checkpoint_little_is_said(window: Visitor) -> None:
    told = verified(window.visit("audit"), "")
    assert told.startswith("○ The store agrees with itself")
    window.rest()


def test_what_was_altered_after_the_checkpoint_is_red_and_named(window: Visitor, place: Path) -> None:
    swap(place, 7)
    page = window.visit("audit")
    told = verified(page, *kept(place))
    assert told.startswith("✗ Not verified. Record 8: its bytes are not those that the tree commits to")
    assert page.locator("tr.verified-bad").count() == 2
    assert page.locator("tr.verified-ok").count() == 11
    window.rest()


def test_a_checkpoint_of_another_store_is_red(window: Visitor, place: Path) -> None:
    checkpoint, _ = kept(place)
    other = checkpoint.replace("13\n", "12\n", 1)
    assert verified(window.visit("audit"), other).startswith("✗ Not verified. the store does not begin with")
    assert verified(window.visit("audit"), "nonsense").startswith("✗ Not verified. this is no checkpoint")
    window.rest()


def test_the_chip_of_an_open_page_turns_red_by_itself(window: Visitor, place: Path) -> None:
    page = window.visit("evidence")
    assert page.locator("#verified").get_attribute("data-status") == "verified"
    file = place / "log" / segment.name_of(0)
    data = bytearray(file.read_bytes())
    data[position_of(place, 3) + 70] ^= 1
    file.write_bytes(data)
    page.wait_for_selector('#verified[data-status="broken"]')
    assert "record 3," in page.locator("#verified").inner_text()
    window.rest()


def test_a_log_that_was_cut_is_red_on_a_page_of_what_is_left(window: Visitor, place: Path) -> None:
    page = window.visit("audit?before=5")
    [file] = (place / "log").glob("*.seg")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[: position_of(place, 8)])
    told = verified(page, *kept(place))
    assert told.startswith("✗ Not verified. Record 12, the last under that checkpoint")
    assert page.locator("tr.verified-ok").count() == 5
    window.wrongs[:] = [one for one in window.wrongs if "/tlog/records/" not in one]  # It is asked for, and gone.
