"""How long after a commit a follower in another process has the record, and what it costs while nothing comes.

    python waking.py FOLDER SIZES [--look]

SIZES is JSON: `commits` at a rate of PER_S, `idle_s` seconds without any, `behind` records that are there before the follower. --look: without
watchfiles, so that the log is looked at instead. Prints one line of JSON: wake-up p50 and p99 in ms, CPU while idle in percent of a
core, records a second when far behind.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evlog.author import Author
from evlog.log import Log
from evlog.records import ArtifactPut, Record
from replay import follow

if TYPE_CHECKING:
    from evlog.records import Entry

PER_S: Final = 50
GROUP_RECORDS: Final = 1_000
AUTHOR: Final = Author(actor="bench", application="bench")


class Stopwatch:
    """A projector that notes when it has what."""

    def __init__(self) -> None:
        self.applied, self.prev = 0, b""
        self.seen_ns: list[int] = []

    def begin(self) -> None:
        """See Projector."""

    def apply(self, entry: Entry) -> None:
        """See Projector."""
        del entry
        self.seen_ns.append(time.monotonic_ns())

    def commit(self, prev: bytes) -> None:
        """See Projector."""
        self.prev = prev

    def rollback(self) -> None:
        """See Projector."""


def measure(folder: Path, sizes: dict[str, int], *options: str) -> dict[str, float]:
    """Return what stands above. The clock is that of the machine, the same in all its processes."""
    log = Log.open(folder, create=True)
    for start in range(0, sizes["behind"], GROUP_RECORDS):
        append(log, range(start, start + GROUP_RECORDS))
    behind = log.end
    command = [sys.executable, __file__, "follow", str(folder), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as follower:
        caught_up_s, _ = ask(follower, f"at {behind}")
        before_s = ask(follower, "cpu")
        time.sleep(sizes["idle_s"])
        idle = (ask(follower, "cpu") - before_s) / sizes["idle_s"]
        committed_ns = []
        for number in range(sizes["commits"]):
            append(log, [behind + number])
            committed_ns.append(time.monotonic_ns())
            time.sleep(1 / PER_S)
        _, seen_ns = ask(follower, f"at {log.end}")
        follower.communicate("")
    log.close()
    late_ms = sorted(max(0, seen - done) / 1e6 for seen, done in zip(seen_ns[behind:], committed_ns, strict=True))
    return {
        "p50_ms": late_ms[len(late_ms) // 2],
        "p99_ms": late_ms[len(late_ms) * 99 // 100],
        "idle_percent": idle * 100,
        "per_s": behind / caught_up_s,
    }


def append(log: Log, numbers: Any) -> None:
    """Put an artifact of each number, in one group."""
    with log.claim() as group:
        for number in numbers:
            change = ArtifactPut(
                id=number + 1,
                type_id=1,
                create_time_ms=1,
                update_time_ms=1,
                name=f"model {number}",
                uri=f"/models/{number}",
                properties={"layers": number % 7, "accuracy": 0.9, "owner": "ana"},
            )
            group.add(Record(AUTHOR.envelope("PutArtifacts", group.now()), [change]))
        group.commit()


def ask(follower: subprocess.Popen[str], question: str) -> Any:
    """Return the follower's answer to a question."""
    assert follower.stdin is not None, "it was asked for"
    assert follower.stdout is not None, "it was asked for"
    follower.stdin.write(question + "\n")
    follower.stdin.flush()
    return json.loads(follower.stdout.readline())


def run_follower(folder: Path) -> None:
    """Follow a log in a thread, and answer questions until there are no more.

    at N: in how many seconds it had N records, and when it had each; cpu: the CPU time used, in seconds.
    """
    watch, stop = Stopwatch(), threading.Event()
    log = Log.open(folder, writable=False)
    began_s = time.monotonic()
    thread = threading.Thread(target=follow, args=(log, watch), kwargs={"stop_event": stop})
    thread.start()
    for line in sys.stdin:
        what, _, end = line.strip().partition(" ")
        if what == "cpu":
            print(time.process_time(), flush=True)
            continue
        while len(watch.seen_ns) < int(end):
            time.sleep(0.01)
        took_s = watch.seen_ns[-1] / 1e9 - began_s if watch.seen_ns else 0.0
        print(json.dumps([took_s, watch.seen_ns]), flush=True)
    stop.set()
    thread.join()


def main() -> None:
    """Measure, or be the follower that is measured."""
    *words, last = sys.argv[1:]
    options = [last] if last == "--look" else []
    if options:
        sys.modules["watchfiles"] = None  # type: ignore[assignment]
    first, second = words if options else (*words, last)
    if first == "follow":
        run_follower(Path(second))
    else:
        print(json.dumps(measure(Path(first), json.loads(second), *options)))


if __name__ == "__main__":
    main()
