"""Records gathered for the analytics view by workers: to read and to gather is more work than to make rows, and Python's alone.

The log is cut into stretches, dealt out in turn; each worker opens the log for reading, as anybody may, and sends what it gathers in
the order of the log. Its pipe is full while nobody takes it, so there is one batch of each worker in memory.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing, suppress
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from evlog.errors import LogError
from evlog.files import RealFolder
from evlog.log import Log
from evlog.worker import Worker, processors, say
from projections.duck import arrow
from projections.duck.batch import Columns, Gathering, Met
from projections.duck.view import HistoryView
from replay.follow import bring_up

if TYPE_CHECKING:
    from collections.abc import Generator

    from projections.duck.batch import Batch
    from replay.follow import Progress

WORTH_RECORDS: Final = 32_768  # Less is done before the workers are there: they take a third of a second.
STRETCH_RECORDS: Final = 8_192
assert HistoryView.batch_records % STRETCH_RECORDS == 0, "a transaction ends where a stretch does"
_WORKERS_MAX: Final = 4  # With more, DuckDB is what one waits for.


class _Task(msgspec.Struct):
    """Which records: stretches of [start, stop), one at every so many records. folder: as the system names it."""

    folder: bytes
    start: int
    stop: int
    stretch: int
    every: int


class _Sent(msgspec.Struct, omit_defaults=True):
    """What is sent: how many records up to `stop`, as the bytes of a table for each kind. failed: what went wrong instead."""

    start: int = 0
    stop: int = 0
    tables: dict[str, int] = {}
    type_names: dict[int, str] = {}
    met: dict[str, Met] = {}
    failed: bool = False


class _WorkerFailedError(Exception):
    """A worker could not go on, or died."""


def fill(log: Log, view: HistoryView, stop: int, progress: Progress | None = None) -> None:
    """Apply the records up to `stop`, with as many workers as there are processors.

    What goes wrong with a worker is found out, and told, by who goes on without any: `bring_up`. Raises as that does.
    """
    workers = min(processors(), _WORKERS_MAX)
    if workers > 1 and stop - view.applied >= WORTH_RECORDS and isinstance(log.folder, RealFolder):
        with suppress(_WorkerFailedError):
            _fill(log, log.folder, view, stop, workers, progress)
    bring_up(log, view, stop, progress)


def _fill(log: Log, folder: RealFolder, view: HistoryView, stop: int, workers: int, progress: Progress | None) -> None:
    with closing(_gathered(folder, view.applied, stop, workers)) as batches:
        while view.applied < stop:
            view.begin()
            try:
                next_stop = min(stop, view.applied + view.batch_records)
                while view.applied < next_stop:
                    view.take(*next(batches))
                    if progress is not None:
                        progress(view.applied, stop)
                prev = log.leaf_prefix(next_stop)
            except BaseException:
                view.rollback()
                raise
            view.commit(prev)


def _gathered(folder: RealFolder, start: int, stop: int, count: int) -> Generator[tuple[Columns, int], None, None]:
    """Yield the records [start, stop) in batches, each with the offset behind it. Raises _WorkerFailedError."""
    workers = [Worker(__name__) for _ in range(count)]
    try:
        for number, worker in enumerate(workers):
            first = start + number * STRETCH_RECORDS
            task = _Task(os.fsencode(folder.path.absolute()), first, stop, STRETCH_RECORDS, count * STRETCH_RECORDS)
            worker.tell(msgspec.json.encode(task))
        at = start
        for worker in cycle(workers):
            end = min(stop, at + STRETCH_RECORDS)
            while at < end:
                columns, at = _received(worker)
                yield columns, at
            if at == stop:
                return
    finally:
        for worker in workers:
            worker.stop()
            worker.close()


def _received(worker: Worker) -> tuple[Columns, int]:
    line = worker.hear()
    sent = msgspec.json.decode(line, type=_Sent) if line is not None else _Sent(failed=True)
    if sent.failed:
        raise _WorkerFailedError
    tables = {}
    for kind, size in sent.tables.items():
        data = worker.receive(size)
        if data is None:
            raise _WorkerFailedError
        tables[kind] = arrow.unpacked(data)
    return Columns(sent.start, tables, sent.type_names, sent.met), sent.stop


def main() -> None:
    """Gather the records that the parent names."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Task)
    try:
        with closing(Log.open(Path(os.fsdecode(task.folder)), writable=False)) as log:
            for start in range(task.start, task.stop, task.every):
                gathering = Gathering(start, _send)
                for entry in log.read(start, min(task.stop, start + task.stretch)):
                    gathering.take(entry)
                gathering.end()
    except (LogError, OverflowError, ValueError):
        say(msgspec.json.encode(_Sent(failed=True)))


def _send(batch: Batch, stop: int) -> None:
    """Send the records up to an offset: a stretch in one batch, unless they are large."""
    columns = batch.columns()
    tables = {kind: arrow.packed(table) for kind, table in columns.tables.items()}
    sizes = {kind: len(data) for kind, data in tables.items()}
    sent = _Sent(columns.start, stop, sizes, columns.type_names, columns.met)
    say(msgspec.json.encode(sent), *tables.values())
