"""Work on a log in a process of its own, to be struck by strace at any file system call.

Run as a program with the name of a work it prepares everything (imports, and one run to warm up), then serves lines on stdin: a folder;
it forks a child, tells its number, waits for a line more, lets the child work there, and tells as JSON how that ended:

{"signal": 9 or 0, "told": records acknowledged, "error": null, or the type and words of what was raised, "typed": whether it is a LogError}

What the child has to say goes through shared memory: it makes no call that is not the work's own.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import broken
import personal
from crash import numbers, record
from personal import NAME, append_sealed, operators
from records import BODIES

from evlog import log as log_module
from evlog import segment
from evlog.compression import compress_all
from evlog.errors import LogError, UnknownSubjectError
from evlog.files import RealFolder
from evlog.frame import seed_of
from evlog.log import Log
from evlog.personal import ERASED
from evlog.tlog import keys
from evlog.tlog.publisher import Publisher
from evlog.upkeep.repair import Copy, Means, repair
from replay import erasure
from replay.verify import verify_log, verify_published

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS: Final = (
    "openat", "pwrite64", "write", "pread64", "read", "fdatasync", "fsync", "ftruncate", "fallocate", "rename", "unlink", "mkdir",
    "getdents64", "chmod", "fchmod", "flock",
)  # fmt: skip
WAYS: Final = ("error=EIO", "error=ENOSPC", "signal=KILL")
TOLD_AT, ERROR_AT, SHARED_BYTES = 0, 8, 4096


def put(log: Log, numbers: range, told: mmap.mmap | None = None) -> None:
    """Put records, each alone; say of each that it was acknowledged."""
    for number in numbers:
        with log.claim() as group:
            group.add(record(number, 100))
            group.commit()
        if told is not None:
            told[TOLD_AT] += 1


class Append:
    """Open a log, put three records, close."""

    FIRST, MORE = 3, 3

    def make(self, place: Path) -> None:
        with closing(Log.open(RealFolder(place / "log", create=True), create=True)) as log:
            put(log, range(self.FIRST))

    def work(self, place: Path, told: mmap.mmap) -> None:
        with closing(Log.open(RealFolder(place / "log"))) as log:
            put(log, range(self.FIRST, self.FIRST + self.MORE), told)

    def check(self, place: Path, told: int) -> None:
        """Open what was left, and see that everything acknowledged is there, once and in order, and that the log goes on."""
        with closing(Log.open(RealFolder(place / "log"))) as log:
            found = numbers(log)
            assert found == list(range(len(found))), found
            assert self.FIRST + told <= len(found) <= self.FIRST + self.MORE, (told, found)
            put(log, range(len(found), len(found) + 1))
        assert verify_log(RealFolder(place / "log")).sound


class Roll(Append):
    """The same over the end of a segment: it is sealed, and the next one begun."""

    FIRST, MORE = 7, 3


class Compress(Append):
    """Compress two sealed segments."""

    FIRST, MORE = 20, 0

    def work(self, place: Path, told: mmap.mmap) -> None:
        del told
        self.compress(place)

    def compress(self, place: Path) -> None:
        folder = RealFolder(place / "log")
        with closing(Log.open(folder, writable=False)) as log:
            seed = seed_of(log.id)
        compress_all(folder, seed=seed)

    def check(self, place: Path, told: int) -> None:
        super().check(place, told)
        self.compress(place)
        assert len(list((place / "log").glob("*.zst"))) == 2
        assert verify_log(RealFolder(place / "log")).sound


class Repair(Append):
    """Mend a flipped byte and a lost segment from a copy."""

    FIRST, MORE = 20, 0

    def make(self, place: Path) -> None:
        super().make(place)
        shutil.copytree(place / "log", place / "copy")
        path = place / "log" / segment.name_of(8)
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x10
        path.write_bytes(data)
        (place / "log" / segment.name_of(0)).unlink()

    def work(self, place: Path, told: mmap.mmap) -> None:
        del told
        self.mend(place)

    def mend(self, place: Path) -> None:
        repair(
            RealFolder(place / "log"), Means([Copy("copy", RealFolder(place / "copy"))], broken.NOTHING), broken.AUTHOR
        )

    def check(self, place: Path, told: int) -> None:
        self.mend(place)
        with closing(Log.open(RealFolder(place / "log"))) as log:
            assert numbers(log) == list(range(self.FIRST))
        assert verify_log(RealFolder(place / "log")).sound
        del told


class Erase:
    """Erase the values of a subject."""

    def make(self, place: Path) -> None:
        with closing(Log.open(RealFolder(place / "log", create=True), create=True)) as log:
            append_sealed(log, "ana")
            append_sealed(log, "ben")

    def work(self, place: Path, told: mmap.mmap) -> None:
        with closing(Log.open(RealFolder(place / "log"))) as log:
            erasure.erase(log, None, BODIES, "ana", personal.AUTHOR)
            told[TOLD_AT] += 1

    def check(self, place: Path, told: int) -> None:
        """See that it never began, or is finished by whoever goes on; one that was answered is done."""
        with closing(Log.open(RealFolder(place / "log"))) as log:
            erasure.resume(log, None, BODIES)
            assert operators(log) in ([ERASED, NAME], [NAME, NAME]), operators(log)
            assert not told or operators(log) == [ERASED, NAME]
            with contextlib.suppress(UnknownSubjectError):  # Done already.
                erasure.erase(log, None, BODIES, "ana", personal.AUTHOR)
            assert operators(log) == [ERASED, NAME]
        assert verify_log(RealFolder(place / "log")).sound


class Publish(Append):
    """Make tiles and a checkpoint."""

    FIRST, MORE = 10, 0

    def make(self, place: Path) -> None:
        super().make(place)
        with closing(Log.open(place / "log", writable=False)) as log:
            keys.write(keys.new(log.origin), place / "key")

    def work(self, place: Path, told: mmap.mmap) -> None:
        del told
        self.publish(place)

    def publish(self, place: Path) -> int:
        key = keys.read_any(place / "key")
        with closing(Publisher(place / "log", place / "tlog", key, place / "remembered")) as publisher:
            return publisher.publish().checkpoint.size

    def check(self, place: Path, told: int) -> None:
        super().check(place, told)
        assert self.publish(place) == self.FIRST + 1
        assert verify_published(place / "tlog") == []


WORKS: Final[dict[str, Any]] = {
    "append": Append(),
    "roll": Roll(),
    "compress": Compress(),
    "erase": Erase(),
    "repair": Repair(),
    "publish": Publish(),
}


def small() -> None:
    """Let a segment be full after 8 records."""
    log_module.SEGMENT_RECORDS_MAX, segment.INDEX_STEP = 8, 4


# The program ----------------------------------------------------------------------------------------------------------


def child(name: str, place: Path, shared: mmap.mmap, wait: int) -> None:
    """Wait for a byte, then work; whatever is raised is told. Never returns."""
    os.read(wait, 1)
    try:
        WORKS[name].work(place, shared)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test asks
        words = json.dumps({"error": f"{type(error).__name__}: {error}", "typed": isinstance(error, LogError)}).encode()
        shared[ERROR_AT : ERROR_AT + len(words)] = words
    os._exit(0)


def serve(name: str) -> None:
    """See above."""
    small()
    with tempfile.TemporaryDirectory() as warm:  # What is imported late is imported now, for it is no part of the work.
        WORKS[name].make(Path(warm))
        WORKS[name].work(Path(warm), mmap.mmap(-1, SHARED_BYTES))
    for line in sys.stdin:
        shared = mmap.mmap(-1, SHARED_BYTES)
        wait, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(name, Path(line.strip()), shared, wait)
        print(pid, flush=True)
        sys.stdin.readline()
        os.write(go, b"!")
        _, status = os.waitpid(pid, 0)
        os.close(go)
        os.close(wait)
        told = {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "told": shared[TOLD_AT]}
        words = bytes(shared[ERROR_AT:]).rstrip(b"\0")
        print(json.dumps({"error": None, "typed": True, **told, **(json.loads(words) if words else {})}), flush=True)


# The other side -------------------------------------------------------------------------------------------------------


class Struck:
    """A process that does one work, again and again, each time under strace."""

    def __init__(self, name: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, place: Path, *options: str) -> dict[str, Any]:
        """Let it work in a folder under strace with these options; return how that ended."""
        pid = int(self._ask(f"{place}\n"))
        command = ["strace", "-f", *options, "-e", f"trace={','.join(CALLS)}", "-p", str(pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as tracing:
            assert tracing.stderr is not None
            first = tracing.stderr.readline()
            assert "attached" in first, first
            told: dict[str, Any] = json.loads(self._ask("go\n"))
            tracing.stderr.read()
        return told

    def calls(self, place: Path, trace: Path) -> dict[str, int]:
        """Let it work undisturbed; return how often it made each call."""
        told = self.run(place, "-o", str(trace))
        assert told["error"] is None, told
        lines = [line.split()[1] for line in trace.read_text(encoding="utf-8").splitlines()]
        return {call: sum(line.startswith(f"{call}(") for line in lines) for call in CALLS}

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def strikes(calls: dict[str, int]) -> Iterator[tuple[str, int, str]]:
    """Yield each call, which of them, and what strikes there."""
    for call, count in calls.items():
        for nth in range(1, count + 1):
            for way in WAYS:
                yield call, nth, way


if __name__ == "__main__":
    serve(sys.argv[1])
