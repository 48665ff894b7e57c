"""What several tests of the log share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from broken import log_of

if TYPE_CHECKING:
    from evlog.memory import MemoryFolder


@pytest.fixture
def whole(small_segments: int) -> MemoryFolder:
    """A log of RECORDS records, not damaged."""
    assert small_segments
    return log_of()
