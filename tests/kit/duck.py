"""Analytics views in memory, of records made for a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import records

from evlog.log import Log
from evlog.memory import MemoryFolder
from replay.analytics import in_memory

if TYPE_CHECKING:
    from evlog.records import Record
    from projections.duck.view import HistoryView

NODE = {"create_time_ms": 5, "update_time_ms": 6}


def history(*given_records: Record) -> HistoryView:
    log = Log.open(MemoryFolder(), create=True)
    records.append(log, list(given_records))
    return in_memory(log, log.end)


def rows(view: HistoryView, sql: str, *values: object) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = view.connection.execute(sql, list(values)).fetchall()
    return found
