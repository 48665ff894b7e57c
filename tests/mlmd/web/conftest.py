"""A store on show, asked through the application as a browser asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

import mlmd
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.web.site import Site, application

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    return TestClient(
        application(site), raise_server_exceptions=False, follow_redirects=False, headers={"accept": "text/html"}
    )
