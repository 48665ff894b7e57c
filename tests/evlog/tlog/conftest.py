"""A log with a published tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import published
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def made(tmp_path: Path) -> Iterator[published.Published]:
    store = published.Published(tmp_path)
    yield store
    store.close()
