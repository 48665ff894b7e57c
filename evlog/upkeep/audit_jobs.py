"""Segments checked by several processes of our own, each of which checks one after the other, as long as there are any.

Not those of `multiprocessing`, which run the caller's main module again. The parent writes a task, then a segment's base a line; the
child answers in lines of JSON: records checked so far, again and again, and at last what the segment was found to be. A child whose
parent died meets the end of its input, or a pipe that nobody reads, and ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import msgspec

from evlog import segment
from evlog.errors import LogError, WorkerDiedError
from evlog.files import RealFolder
from evlog.upkeep.segment_audit import Checked, check

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from evlog.upkeep.segment_audit import Tell

# The modules are those of the parent, and none of the folder that it was called in.
_PROGRAM: Final = "import sys; sys.path[:] = sys.argv[1:]; from evlog.upkeep.audit_jobs import main; main()"


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
    workers: list[_Worker] = []
    idle: SimpleQueue[_Worker] = SimpleQueue()

    def check_one(base: int) -> Checked:
        worker = idle.get()
        try:
            return worker.check(folder.describe(segment.name_of(base)), base, tell)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(jobs)
    try:
        for _ in range(jobs):
            workers.append(_Worker(task))
            idle.put(workers[-1])
        yield from threads.map(check_one, bases)
    finally:  # Whoever waits for a worker that is at work is told of its end.
        for worker in workers:
            worker.stop()
        threads.shutdown(cancel_futures=True)
        for worker in workers:
            worker.close()


class _Worker:
    """A child at work, used by one thread at a time."""

    def __init__(self, task: _Task) -> None:
        self._child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _PROGRAM, *filter(None, sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # Its traceback helps nobody; that it died is told.
            process_group=0,  # Ctrl-C is for the parent, which ends it.
        )
        self._task = msgspec.json.encode(task) + b"\n"  # Told with the first segment.

    def check(self, name: str, base: int, tell: Tell | None) -> Checked:
        assert self._child.stdin is not None, "made with a pipe"
        assert self._child.stdout is not None, "made with a pipe"
        try:
            self._child.stdin.write(self._task + f"{base}\n".encode())
            self._child.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise WorkerDiedError(name, self._child.wait()) from None
        self._task = b""
        while (line := self._child.stdout.readline()).endswith(b"\n"):
            said = msgspec.json.decode(line, type=_Line)
            if said.failed is not None:
                raise LogError(said.failed)
            if said.found is not None:
                return said.found
            if tell is not None:
                tell(said.records)
        raise WorkerDiedError(name, self._child.wait())

    def stop(self) -> None:
        self._child.kill()

    def close(self) -> None:
        with (
            suppress(BrokenPipeError),
            self._child,
        ):  # Closes its pipes, though it may not have read all, and waits for it.
            pass


def main() -> None:
    """Check the segments that the parent names."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Task)
    folder, sizes = RealFolder(Path(os.fsdecode(task.folder))), frozenset(task.sizes)
    segment.INDEX_STEP = task.index_step  # type: ignore[misc]
    try:
        for line in sys.stdin.buffer:
            try:
                base = int(line)
                found = check(folder, base, seed=task.seed, sizes=sizes, tell=lambda records: _say(_Line(records)))
            except LogError as error:
                _say(_Line(failed=str(error).encode(errors="backslashreplace").decode()))
            else:
                _say(_Line(found=found))
    except BrokenPipeError:
        os._exit(1)  # Nobody listens any more: nor to what is left to be flushed.


def _say(line: _Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()
