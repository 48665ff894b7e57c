"""The reference, for a module at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from client import Reference
from environment import python_of_reference

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    found = python_of_reference()
    if isinstance(found, str):
        pytest.skip(found)
    with Reference(found) as running:
        yield running
