from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import records

from evlog.errors import FutureError
from evlog.log import Log
from evlog.memory import MemoryFolder
from projections.sqlite.view import View
from replay.asof import as_of, offset_of
from replay.follow import bring_up

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 3, 3, 12, tzinfo=UTC)


class Clock:
    """A second passes with every look."""

    def __init__(self) -> None:
        self.now_us = int(START.timestamp()) * 1_000_000

    def __call__(self) -> int:
        self.now_us += 1_000_000
        return self.now_us


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log.open(MemoryFolder(), create=True, clock=Clock())
    for record in records.small_store(artifacts=20):
        records.append(log, [record])
    yield log
    log.close()


def test_every_offset_shows_what_the_live_view_showed_then(log: Log) -> None:
    live = View.create(None, log.id, records.BODIES)
    for offset in range(log.end + 1):
        bring_up(log, live, offset)
        then = as_of(log, offset, records.BODIES)
        assert then.digest() == live.digest(), offset
        then.close()
    live.close()


def test_a_time_names_the_records_put_up_to_it(log: Log) -> None:
    for offset in range(log.end + 1):
        moment = START + timedelta(seconds=offset)
        assert offset_of(log, moment) == offset
        assert offset_of(log, moment + timedelta(microseconds=999_999)) == offset


def test_before_the_first_record_the_store_is_empty(log: Log) -> None:
    then = as_of(log, START - timedelta(days=1), records.BODIES)
    assert then.applied == then.ask(lambda lookup: lookup.last_id("type")) == 0
    then.close()


@pytest.mark.parametrize("moment", [-1, 10**9, datetime.now(UTC) + timedelta(days=1)])
def test_a_moment_that_the_log_has_not_reached_is_refused(log: Log, moment: int | datetime) -> None:
    with pytest.raises(FutureError, match="has not reached"):
        as_of(log, moment, records.BODIES)


def test_a_time_without_zone_names_no_moment(log: Log) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        as_of(log, datetime(2026, 3, 3), records.BODIES)  # noqa: DTZ001 - the point
