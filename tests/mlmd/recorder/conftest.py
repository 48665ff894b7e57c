"""A store as people open it: in memory, in a folder, of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from serving import served

import mlmd
from mlmd.engine import Engine
from mlmd.opening import open_folder, open_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlmd.recorder.store import Store


@pytest.fixture(params=["memory", "folder", "server"])
def s(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param != "server":
        with mlmd.open(":memory:" if request.param == "memory" else tmp_path / "store") as store:
            yield store
        return
    engine = Engine(open_memory())
    with served(engine) as server, mlmd.open(f"localhost:{server.port}") as store:
        yield store
    engine.close()


@pytest.fixture
def memory() -> Iterator[Store]:
    with mlmd.open(":memory:") as store:
        yield store


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a store, closed."""
    open_folder(tmp_path / "store", create=True).close()
    return tmp_path / "store"
