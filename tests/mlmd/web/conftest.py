"""A store on show, asked through the application as a browser asks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from shown import Demo, asking

import mlmd
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.story import record_story
from mlmd.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

    from mlmd.recorder.store import Store


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(open_folder(tmp_path / "store", create=True))
    yield made
    made.close()


@pytest.fixture
def site(engine: Engine, tmp_path: Path) -> Site:
    return Site(engine, "store", place=tmp_path / "store")


@pytest.fixture
def store(engine: Engine) -> Store:
    """The store as one records into it."""
    return mlmd.open(mlmd.MetadataStore.over(engine))


@pytest.fixture
def browser(site: Site) -> TestClient:
    """Asks as a browser does."""
    return asking(site)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that store, for all tests: they leave it as it is."""
    place = tmp_path_factory.mktemp("recorded") / "store"
    with mlmd.open(place) as store:
        record_story(store)
    return place


@pytest.fixture
def demo(recorded: Path, tmp_path: Path) -> Iterator[Demo]:
    """A copy of it on show, for one test."""
    place = Path(shutil.copytree(recorded, tmp_path / "demo", symlinks=True))
    engine = Engine(open_folder(place))
    site = Site(engine, "demo", place=place)
    yield Demo(engine, mlmd.open(mlmd.MetadataStore.over(engine)), site, asking(site))
    engine.close()
