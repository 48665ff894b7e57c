"""A store on show, and a real browser that looks at it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from chromium import Visitor, running
from on_show import OnShow, on_show, record

import mlmd

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

Visit = Callable[..., Visitor]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that all modules look at a copy of."""
    place = tmp_path_factory.mktemp("recorded") / "demo"
    with mlmd.open(str(place)) as store:
        record(store)
    return place


@pytest.fixture(scope="module")
def shown(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnShow]:
    place = tmp_path_factory.mktemp("shown") / "demo"
    shutil.copytree(recorded, place, symlinks=True)
    with on_show(place) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module: while it runs, this thread counts as one that runs an event loop, which other tests could not bear."""
    with running() as browser:
        yield browser


@pytest.fixture(scope="module")
def windows(chromium: Browser, shown: OnShow) -> Iterator[dict[str, Visitor]]:
    """What is open, by its options: to open a window takes longer than to look at a page."""
    found: dict[str, Visitor] = {}
    yield found
    for one in found.values():
        one.close()


@pytest.fixture
def visitor(windows: dict[str, Visitor], chromium: Browser, shown: OnShow) -> Iterator[Visit]:
    """Gives a window, which is looked through for whatever went wrong when the test is over. Takes options of `Browser.new_context`."""
    taken: list[Visitor] = []

    def window(**how: Any) -> Visitor:
        key = repr(sorted(how.items()))
        if key not in windows:
            windows[key] = Visitor(chromium, shown.url, **how)
        taken.append(windows[key])
        return windows[key]

    yield window
    for one in taken:
        one.rest()
