"""WHEN, as a person writes it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mlmd.moment import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)  # In Berlin the night before had an hour less.


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("text", "offset"), [("#0", 0), ("#31907", 31907), ("#31,907", 31907), (" #7 ", 7)])
def test_an_offset_is_a_number_after_a_hash(text: str, offset: int) -> None:
    assert parse(text, NOW).at == offset


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01", "2026-03-01T00:00:00+01:00"),
        ("2026-03-29T00:30", "2026-03-29T00:30:00+01:00"),
        ("2026-03-29 12:00:00.5", "2026-03-29T12:00:00.5+02:00"),
        ("today", "2026-03-29T00:00:00+01:00"),
        ("Yesterday", "2026-03-28T00:00:00+01:00"),
    ],
)
def test_a_time_without_zone_is_local_and_says_so(text: str, moment: str) -> None:
    found = parse(text, NOW)
    assert found.at == datetime.fromisoformat(moment)
    assert found.local
    assert "local time" in str(found)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T09:30Z", "2026-03-01T09:30:00+00:00"),
        ("2026-03-01t09:30:00z", "2026-03-01T09:30:00+00:00"),
        ("2026-03-01T09:30:00.000001+01:00", "2026-03-01T09:30:00.000001+01:00"),
    ],
)
def test_a_time_with_zone_is_that_instant(text: str, moment: str) -> None:
    found = parse(text, NOW)
    assert found.at == datetime.fromisoformat(moment)
    assert not found.local


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("45s", timedelta(seconds=45)),
        ("90m", timedelta(minutes=90)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
        ("2w", timedelta(weeks=2)),
        ("now", timedelta(0)),
    ],
)
def test_so_long_ago_is_counted_from_now(text: str, ago: timedelta) -> None:
    assert parse(text, NOW).at == NOW - ago


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#",
        "#-1",
        "#1,2",
        "5",
        "2026",
        "20260301",
        "2026-13-01",
        "2026-02-30",
        "2026-03-01T25:00",
        "2026-W10",
        "3y",
        "-3d",
        "soon",
        "9999999999999d",
        "9999-12-31T23:59:59.9999999999Zx",
    ],
)
def test_what_names_no_moment_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text, NOW)
