"""What the tests of the log share."""

from __future__ import annotations

import os

import pytest

from evlog import log, segment


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a segment be full after 8 records, with every 4th in its index."""
    monkeypatch.setattr(log, "SEGMENT_RECORDS_MAX", 8)
    monkeypatch.setattr(segment, "INDEX_STEP", 4)
    return 8


@pytest.fixture(scope="session")
def full() -> bool:
    """Tell whether the fault tests run in their full size: EVLOG_FAULTS=full."""
    return os.environ.get("EVLOG_FAULTS") == "full"
