"""Segments checked by several workers, each of which checks one after the other, as long as there are any.

The parent tells a worker the task, then a segment's base a line; it answers in lines of JSON: records checked so far, again and again,
and at last what the segment was found to be.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import msgspec

from evlog import segment
from evlog.errors import LogError, WorkerDiedError
from evlog.files import RealFolder
from evlog.upkeep.segment_audit import Checked, check
from evlog.worker import Worker, say

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from evlog.upkeep.segment_audit import Tell


class _Task(msgspec.Struct):
    folder: bytes  # As the system names it: it need not be text.
    seed: int
    sizes: list[int]
    index_step: int  # As the parent has it.


class _Line(msgspec.Struct, omit_defaults=True):
    """What a child says. records: checked since it last said so; failed: why a segment could not be checked."""

    records: int = 0
    found: Checked | None = None
    failed: str | None = None


def check_all(
    folder: RealFolder, bases: Sequence[int], *, seed: int, sizes: Collection[int], jobs: int, tell: Tell | None
) -> Iterator[Checked]:
    """Yield what each segment was found to be, in order. tell: called by threads.

    Raises WorkerDiedError, and LogError for what a process met that is no finding.
    """
    task = _Task(os.fsencode(folder.path.absolute()), seed, sorted(sizes), segment.INDEX_STEP)
    workers: list[Worker] = []
    idle: SimpleQueue[Worker] = SimpleQueue()

    def check_one(base: int) -> Checked:
        worker = idle.get()
        try:
            return _check(worker, folder.describe(segment.name_of(base)), base, tell)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(jobs)
    try:
        for _ in range(jobs):
            workers.append(Worker(__name__))
            workers[-1].tell(msgspec.json.encode(task))
            idle.put(workers[-1])
        yield from threads.map(check_one, bases)
    finally:  # Whoever waits for a worker that is at work is told of its end.
        for worker in workers:
            worker.stop()
        threads.shutdown(cancel_futures=True)
        for worker in workers:
            worker.close()


def _check(worker: Worker, name: str, base: int, tell: Tell | None) -> Checked:
    worker.tell(b"%d" % base)
    while (line := worker.hear()) is not None:
        said = msgspec.json.decode(line, type=_Line)
        if said.failed is not None:
            raise LogError(said.failed)
        if said.found is not None:
            return said.found
        if tell is not None:
            tell(said.records)
    raise WorkerDiedError(name, worker.wait())


def main() -> None:
    """Check the segments that the parent names."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Task)
    folder, sizes = RealFolder(Path(os.fsdecode(task.folder))), frozenset(task.sizes)
    segment.INDEX_STEP = task.index_step  # type: ignore[misc]
    for line in sys.stdin.buffer:
        try:
            base = int(line)
            found = check(folder, base, seed=task.seed, sizes=sizes, tell=lambda records: _say(_Line(records)))
        except LogError as error:
            _say(_Line(failed=str(error).encode(errors="backslashreplace").decode()))
        else:
            _say(_Line(found=found))


def _say(line: _Line) -> None:
    say(msgspec.json.encode(line))
