"""`make bench`: how fast it is, beside the reference on a SQLite file, and what a store costs that has grown.

    python tests/bench/bench.py [--quick] [--json FILE] [--only NAME ...]

Every figure is the median of several rounds. Where something is compared, both sides run in turn within each round, so that
whatever else the machine does hits both, and the one that runs first changes with every round. Stores live in `.bench/` in the
repository root, on the disk that the work itself is on, and are removed at the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "reference")]

from environment import python_of_reference  # noqa: E402 - found by the line above
from machine import facts  # noqa: E402
from reading import STEPS as QUESTIONS  # noqa: E402
from workload import STEPS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

CHILD_S: Final = 1_800


@dataclass(frozen=True)
class Sizes:
    """How much of everything is done."""

    rounds: int
    workload: dict[str, int]
    threads: dict[str, int]
    processes_each: int
    replay_records: int
    large_records: int
    memory: dict[str, int]
    syncs: int
    questions: dict[str, int]
    wire: dict[str, int]  # `clients` of the puts are processes.
    waking: dict[str, int]
    past: dict[str, int]
    compressing: dict[str, int]


# An opening reads the last segment, which takes 65,536 records: these counts leave it all but full, the slowest case.
FULL: Final = Sizes(
    rounds=5,
    workload={"single": 2_000, "bulk": 10, "execution": 1_000, "get": 5_000},
    threads={"one": 2_000, "each": 300, "slow_one": 200, "slow_each": 100},
    processes_each=1_000,
    replay_records=200_000,
    large_records=16 * 65_536 - 1,
    memory={"single": 5_000, "bulk": 20},
    syncs=2_000,
    questions={"artifacts": 100_000, "many": 1_000_000, "calls": 10, "warm_up": 3_000},
    wire={"gets": 5_000, "clients": 16, "puts": 200},
    waking={"commits": 500, "idle_s": 10, "behind": 200_000},
    past={"records": 1_000_000, "calls": 40},
    compressing={"records": 200_000, "puts": 40_000, "pace_us": 200},
)
QUICK: Final = Sizes(
    rounds=3,
    workload={"single": 500, "bulk": 3, "execution": 200, "get": 1_000},
    threads={"one": 500, "each": 100, "slow_one": 60, "slow_each": 40},
    processes_each=200,
    replay_records=50_000,
    large_records=2 * 65_536 - 1,
    memory={"single": 500, "bulk": 5},
    syncs=500,
    questions={"artifacts": 20_000, "many": 60_000, "calls": 5, "warm_up": 500},
    wire={"gets": 2_000, "clients": 16, "puts": 50},
    waking={"commits": 100, "idle_s": 3, "behind": 20_000},
    past={"records": 60_000, "calls": 10},
    compressing={"records": 30_000, "puts": 8_000, "pace_us": 100},
)
TINY: Final = Sizes(  # For the test of this program.
    rounds=1,
    workload={"single": 5, "bulk": 1, "execution": 5, "get": 5},
    threads={"one": 5, "each": 2, "slow_one": 2, "slow_each": 2},
    processes_each=5,
    replay_records=1_500,
    large_records=1_500,
    memory={"single": 5, "bulk": 1},
    syncs=5,
    questions={"artifacts": 400, "many": 800, "calls": 1, "warm_up": 3},
    wire={"gets": 20, "clients": 2, "puts": 2},
    waking={"commits": 5, "idle_s": 1, "behind": 1_000},
    past={"records": 1_500, "calls": 1},
    compressing={"records": 1_500, "puts": 40, "pace_us": 0},
)

STEP_NAMES: Final = {
    "single": ("put an artifact", "us", 5.0),
    "bulk": ("put 1,000 artifacts in a call, each", "us", 3.0),
    "execution": ("put_execution: input, output, context", "us", 8.0),
    "get by id": ("get by id", "us", 3.0),
    "get by type and name": ("get by type and name", "us", 3.0),
    "get by uri": ("get by uri", "us", 3.0),
}
assert tuple(STEP_NAMES) == STEPS, "a line for every step of the workload"
QUESTION_NAMES: Final = {
    "filter one": ("filter by a property, page of 100", 20.0),
    "filter three": ("filter by two properties and a context, page of 100", 10.0),
    "first page": ("first page of a listing", 5.0),
    "far page": ("thousandth page of a listing", 5.0),
    "lineage": ("lineage, 20 hops up from an artifact", 10.0),
    "context": ("artifacts of a context", 3.0),
}
assert tuple(QUESTION_NAMES) == QUESTIONS, "a line for every question"
GROWTH_MAX: Final = 3.0  # How much slower a question may be in the large store.
SIGNED_MAX: Final = 1.5  # How much later the latest puts may be with a key.
PAST_MAX: Final = 2.0  # How much slower a question may be as of a moment.
# How fast a compressed log is read, of one that is not. One record costs the block or two that it is in; opening, a block a segment.
READ_MIN: Final = {"read every record": 0.7, "verify": 0.8, "view as of the middle": 0.9, "a record anywhere": 0.5}
PUT_MAX: Final = 1.5  # How much slower a put may be while a segment is compressed.


@dataclass(frozen=True)
class Line:
    """One figure. `cpu` is in microseconds per operation, whatever the unit of `value` is.

    target: of the ratio where there is something to compare with, else of the value; `at_most` where less is better.
    ratio: how many times better than `other`.
    """

    name: str
    value: float
    unit: str
    cpu: float | None = None
    other_name: str = ""
    other: float | None = None
    other_cpu: float | None = None
    ratio: float | None = None
    target: float | None = None
    at_most: bool = False

    @property
    def reached(self) -> bool | None:
        """Tell whether the target is reached; None where there is none, or nothing to compare with."""
        measured = self.ratio if self.other_name else self.value
        if self.target is None or measured is None:
            return None
        return measured <= self.target if self.at_most else measured >= self.target


class Bench:
    """One run: sizes, the interpreters, and the folder that stores are made in."""

    def __init__(self, sizes: Sizes, folder: Path, *, with_reference: bool = True) -> None:
        self.sizes, self.folder = sizes, folder
        found = python_of_reference() if with_reference else "left out"
        self.reference = found if isinstance(found, Path) else None
        self.why_no_reference = "" if isinstance(found, Path) else found
        self.libraries: dict[str, Any] = {}
        self._stores = 0

    # Measures: each yields its lines ---------------------------------------------------------------------------------

    def disk(self) -> list[Line]:
        """The device under all durable puts."""
        runs = [self._alone("disk", self._place(), {"syncs": self.sizes.syncs}) for _ in range(self.sizes.rounds)]
        return [Line("append 400 bytes and fdatasync, bare", _median(runs, "wall_us"), "us", _median(runs, "cpu_us"))]

    def imports(self) -> list[Line]:
        """What a program pays before its first call."""
        runs: dict[str, list[dict[str, float]]] = {"mlmd": [], "ml_metadata": []}
        for turn in range(self.sizes.rounds):
            for package, python in self._both(turn):
                code = (
                    "import time; wall, cpu = time.perf_counter(), time.process_time(); "
                    f"from {package} import metadata_store; wall, cpu = time.perf_counter() - wall, time.process_time() - cpu; "
                    "import json; print(json.dumps({'wall_us': wall * 1e6, 'cpu_us': cpu * 1e6}))"
                )
                runs[package].append(_child([python, "-c", code]))
        return [self._compared("import", runs, scale=1e-3, unit="ms")]

    def compare(self) -> list[Line]:
        """The same requests to both libraries."""
        runs: dict[str, list[dict[str, Any]]] = {"mlmd": [], "ml_metadata": []}
        for turn in range(self.sizes.rounds):
            for package, python in self._both(turn):
                place = self._place()
                run = _child([python, HERE / "workload.py", package, place, json.dumps(self.sizes.workload)])
                shutil.rmtree(place)
                self.libraries[package] = run["library"]
                runs[package].append(run["steps"])
        return [
            self._compared(
                name, {key: [one[step] for one in each] for key, each in runs.items()}, unit=unit, target=target
            )
            for step, (name, unit, target) in STEP_NAMES.items()
        ]

    def questions(self) -> list[Line]:
        """Filters, pages and lineage in both libraries, then ours alone in a store ten times as large."""
        sizes = self.sizes.questions
        asked = (sizes["calls"], sizes["warm_up"])
        places = {package: self._place() for package, _ in self._both(0)}
        for package, python in self._both(0):
            self._reading(python, package, "make", places[package], sizes["artifacts"])
        runs: dict[str, list[dict[str, Any]]] = {"mlmd": [], "ml_metadata": []}
        for turn in range(self.sizes.rounds):
            for package, python in self._both(turn):
                run = self._reading(python, package, "ask", places[package], sizes["artifacts"], *asked)
                runs[package].append(run["steps"])
        lines = [
            self._compared(
                name, {key: [one[step] for one in each] for key, each in runs.items()}, unit="us", target=target
            )
            for step, (name, target) in QUESTION_NAMES.items()
        ]
        for place in places.values():
            shutil.rmtree(place)
        place = self._place()
        self._reading(sys.executable, "mlmd", "make", place, sizes["many"])
        many = [
            self._reading(sys.executable, "mlmd", "ask", place, sizes["many"], *asked)["steps"]
            for _ in range(self.sizes.rounds)
        ]
        shutil.rmtree(place)
        return lines + [
            _growth_line(f"{name}, {sizes['many']:,} artifacts", step, many, runs["mlmd"])
            for step, (name, _) in QUESTION_NAMES.items()
        ]

    def wire(self) -> list[Line]:
        """Calls over gRPC beside a bare server that returns the same bytes."""
        sizes, place, rates = (
            self.sizes.wire,
            self._place(),
            {(what, kind): [] for what in ("get", "put") for kind in ("store", "bare")},
        )
        for turn in range(self.sizes.rounds):
            for kind in ("store", "bare")[:: -1 if turn % 2 else 1]:
                with _process(HERE / "wire.py", "serve", kind, place / "store") as server:
                    port = server.stdout.readline().strip()
                    rates["get", kind].append(_load("get", port, 1, sizes["gets"]))
                    rates["put", kind].append(_load("put", port, sizes["clients"], sizes["puts"]))
        shutil.rmtree(place)
        middle = {key: statistics.median(found) for key, found in rates.items()}
        return [
            Line(
                name,
                middle[what, "store"],
                "calls/s",
                None,
                "bare server",
                bare,
                None,
                middle[what, "store"] / bare,
                target,
            )
            for what, name, target in (
                ("get", "get by id over gRPC, one client", 0.85),
                ("put", f"puts over gRPC, {sizes['clients']} client processes", 0.7),
            )
            for bare in [middle[what, "bare"]]
        ]

    def past(self) -> list[Line]:
        """The same reads now and as of a moment, in a store of many puts: a line for each read, at its slowest moment."""
        sizes, place = self.sizes.past, self._place() / "store"
        _child([sys.executable, HERE / "past.py", "make", place, sizes["records"]])
        runs = [
            _child([sys.executable, HERE / "past.py", "ask", place, sizes["calls"]]) for _ in range(self.sizes.rounds)
        ]
        shutil.rmtree(place.parent)
        return [_past_line(step, runs) for step in runs[0]["now"]]

    def compressing(self) -> list[Line]:
        """Sealed segments as they were written and compressed, read in turn; puts beside the compressor."""
        sizes, place, program = self.sizes.compressing, self._place(), HERE / "compressing.py"
        found = _child([sys.executable, program, "read", place, sizes["records"], self.sizes.rounds])
        puts = _child([sys.executable, program, "put", place, sizes["puts"], sizes["pace_us"]])
        shutil.rmtree(place)
        return [
            Line("compress sealed segments, every frame checked", found["mb_per_s"], "MB/s"),
            Line("compress sealed segments, as the background does", found["quick_mb_per_s"], "MB/s"),
            Line("sealed segments, how many times smaller", found["ratio"], "times"),
            *(
                Line(
                    f"{name}, compressed", ours, "/s", None, "as written", other, None, ours / other, READ_MIN.get(name)
                )
                for name, each in found["reads"].items()
                for ours, other in [(each["small"], each["raw"])]
            ),
            *(
                Line(
                    f"a put while segments are compressed, {name}",
                    ours,
                    "us",
                    None,
                    "not compressed",
                    other,
                    None,
                    ours / other,
                    PUT_MAX,
                    at_most=True,
                )
                for name in ("p50", "p99")
                for ours, other in [(puts[f"with_{name}"], puts[f"without_{name}"])]
            ),
        ]

    def threads(self) -> list[Line]:
        """Group commit: threads share a sync."""
        runs = self._rounds("threads", self.sizes.threads)
        pairs = (
            ("16 threads putting", "one", "many", 1.0),
            ("16 threads, a sync of 5 ms", "slow_one", "slow_many", 10.0),
        )
        signing = self._rounds("signing", self.sizes.threads)
        signed, plain = (statistics.median(run[kind] for run in signing) for kind in ("signed", "plain"))
        late = Line(
            "a put, p99, with a key",
            signed,
            "ms",
            None,
            "without",
            plain,
            None,
            signed / plain,
            SIGNED_MAX,
            at_most=True,
        )
        return [*(_rate_line(name, runs, "one thread", one, many, target) for name, one, many, target in pairs), late]

    def processes(self) -> list[Line]:
        """Four processes, one store."""
        runs = self._rounds("processes", {"each": self.sizes.processes_each})
        lost = sum(run[side]["lost"] for run in runs for side in ("one", "many"))
        return [
            _rate_line("4 processes putting into one store", runs, "one process", "one", "many", 0.5),
            Line("acknowledged puts not found afterwards", lost, "puts", target=0, at_most=True),
        ]

    def replay(self) -> list[Line]:
        """The log read again."""
        place, rounds = self._place() / "store", {"rounds": self.sizes.rounds}
        made = self._alone("make", place, {"records": self.sizes.replay_records})
        replayed, verified = self._alone("replay", place, rounds), self._alone("verify", place, rounds)
        deep = self._alone("deep", place, rounds)
        history, snapshot = self._alone("history", place, rounds), self._alone("snapshot", place, rounds)
        published = self._alone("publish", place, rounds)
        shutil.rmtree(place.parent)
        return [
            Line(
                "replay into a fresh view",
                _middle(replayed, "per_s"),
                "records/s",
                _middle(replayed, "cpu_us"),
                target=60_000,
            ),
            Line(
                "replay into a fresh history view",
                _middle(history, "per_s"),
                "records/s",
                _middle(history, "cpu_us"),
                target=100_000,
            ),
            Line("history view, one more record", history["put"], "ms"),
            Line("SQL: artifacts of each type, as of", history["count"], "ms"),
            Line("SQL: one artifact, as of", history["one"], "ms"),
            Line("SQL: 100 by a property, as of", history["best"], "ms"),
            Line("snapshot as Parquet", _middle(snapshot, "per_s"), "records/s", _middle(snapshot, "cpu_us")),
            Line("snapshot, one more record", snapshot["add"], "ms"),
            Line("snapshot, per artifact", snapshot["bytes"], "bytes"),
            Line(
                "verify the log, one process",
                _middle(verified["one"], "per_s"),
                "records/s",
                _middle(verified["one"], "cpu_us"),
                target=200_000,
            ),
            _jobs_line("verify the log, two processes", verified),
            Line("state by a replay", _middle(deep["replay"], "per_s"), "records/s", _middle(deep["replay"], "cpu_us")),
            Line("state by the current view", _middle(deep["current"], "per_s"), "records/s"),
            Line("state by the history view", _middle(deep["history"], "per_s"), "records/s"),
            Line(
                "read again, publish and sign the tree, CPU a record",
                _middle(published, "cpu_us"),
                "us",
                _middle(published, "cpu_us"),
                target=10,
                at_most=True,
            ),
            Line("log, per artifact put alone", made["log_bytes"], "bytes"),
            Line("view, per artifact", made["view_bytes"], "bytes"),
            Line("history view, per artifact", history["bytes"], "bytes"),
        ]

    def large(self) -> list[Line]:
        """A store that has grown."""
        records, place = self.sizes.large_records, self._place() / "store"
        self._alone("make", place, {"records": records})
        opened = [self._alone("opening", place, {}) for _ in range(self.sizes.rounds)]
        writer = self._alone("memory", place, self.sizes.memory)
        shutil.rmtree(place.parent)
        store, log = ([one[what] for one in opened] for what in ("store", "log"))
        return [
            Line(
                f"open a store of {records:,} records",
                _median(store, "wall_ms"),
                "ms",
                None,
                target=1_000,
                at_most=True,
            ),
            Line("open its log alone", _median(log, "wall_ms"), "ms"),
            Line("peak memory of a writer on it", writer["peak_mb"], "MB", target=200, at_most=True),
        ]

    def followers(self) -> list[Line]:
        """From a commit to a projector in another process, woken by the system or by looking; and what waiting costs."""
        lines = []
        for how, options in (("woken", []), ("looking", ["--look"])):
            sizes = json.dumps(self.sizes.waking)
            runs = [
                _child([sys.executable, HERE / "waking.py", self._place(), sizes, *options])
                for _ in range(self.sizes.rounds)
            ]
            bars = (5, 50, 2, None) if how == "woken" else (None,) * 4
            wanted = (
                ("from a commit to a follower, p50", "p50_ms", "ms"),
                ("from a commit to a follower, p99", "p99_ms", "ms"),
                ("a follower while nothing comes", "idle_percent", "% of a core"),
                ("a follower far behind", "per_s", "records/s"),
            )
            lines += [
                Line(f"{name}, {how}", _median(runs, key), unit, target=bar, at_most=True)
                for (name, key, unit), bar in zip(wanted, bars, strict=True)
            ]
        return lines

    # Running ---------------------------------------------------------------------------------------------------------

    def _both(self, turn: int) -> Sequence[tuple[str, Path | str]]:
        """Return (package, interpreter) of ours and, where it is there, the reference, the first one changing by turns."""
        both: list[tuple[str, Path | str]] = [("mlmd", sys.executable)]
        if self.reference is not None:
            both.append(("ml_metadata", self.reference))
        return both[::-1] if turn % 2 else both

    def _rounds(self, measure: str, sizes: dict[str, int]) -> list[dict[str, Any]]:
        runs = []
        for _ in range(self.sizes.rounds):
            place = self._place()
            runs.append(self._alone(measure, place, sizes))
            shutil.rmtree(place)
        return runs

    def _alone(self, measure: str, place: Path, sizes: dict[str, int]) -> dict[str, Any]:
        return _child([sys.executable, HERE / "alone.py", measure, place, json.dumps(sizes)])

    def _reading(self, python: Path | str, package: str, what: str, place: Path, *sizes: int) -> Any:
        return _child([python, HERE / "reading.py", package, what, place, *sizes])

    def _place(self) -> Path:
        """Return a new, empty folder."""
        self._stores += 1
        place = self.folder / str(self._stores)
        place.mkdir()
        return place

    def _compared(
        self,
        name: str,
        runs: dict[str, list[dict[str, float]]],
        *,
        unit: str,
        scale: float = 1.0,
        target: float | None = None,
    ) -> Line:
        """Return the line of something of which less is better, in both libraries."""
        ours, theirs = runs["mlmd"], runs["ml_metadata"]
        value, cpu = _median(ours, "wall_us"), _median(ours, "cpu_us")
        line = Line(name, value * scale, unit, cpu, "reference", target=target)
        if not theirs:
            return line
        other = _median(theirs, "wall_us")
        return dataclasses.replace(line, other=other * scale, other_cpu=_median(theirs, "cpu_us"), ratio=other / value)


MEASURES: Final = (
    "disk",
    "imports",
    "compare",
    "questions",
    "past",
    "compressing",
    "wire",
    "threads",
    "processes",
    "replay",
    "followers",
    "large",
)


@contextmanager
def _process(*command: object) -> Iterator[Any]:
    """Run a program of ours beside this one; it ends when its standard input does."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.communicate(timeout=CHILD_S)


def _load(what: str, port: str, clients: int, calls: int) -> float:
    """Return the calls a second of some clients, each in a process of its own, that begin together."""
    with ExitStack() as running:
        started = [running.enter_context(_process(HERE / "wire.py", what, port, calls)) for _ in range(clients)]
        for client in started:
            assert client.stdout.readline() == "ready\n"
        begun = time.perf_counter()
        for client in started:
            client.stdin.write("go\n")
            client.stdin.flush()
        for client in started:
            client.stdout.readline()
        return clients * calls / (time.perf_counter() - begun)


def _child(command: Sequence[object]) -> Any:
    """Run a program of ours and return what it printed, as JSON."""
    answer = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=CHILD_S
    )
    if answer.returncode:
        message = f"{' '.join(map(str, command[1:4]))} failed:\n{answer.stderr}"
        raise RuntimeError(message)
    return json.loads(answer.stdout)


def _median(runs: Iterable[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def _middle(run: dict[str, Any], key: str) -> float:
    return statistics.median(run[key])


def _growth_line(name: str, step: str, many: list[dict[str, Any]], fewer: list[dict[str, Any]]) -> Line:
    """Return the line of a question in a large store, beside the same in a small one; `ratio` is how much slower it is."""
    value, other = (_median([run[step] for run in runs], "wall_us") for runs in (many, fewer))
    cpu, other_cpu = (_median([run[step] for run in runs], "cpu_us") for runs in (many, fewer))
    return Line(name, value, "us", cpu, "the small store", other, other_cpu, value / other, GROWTH_MAX, at_most=True)


def _past_line(step: str, runs: list[dict[str, Any]]) -> Line:
    """Return the line of a read as of the moment at which it is slowest, beside the same read now."""
    now = statistics.median(run["now"][step] for run in runs)
    then = {moment: statistics.median(run["then"][moment][step] for run in runs) for moment in runs[0]["then"]}
    slowest = max(then, key=lambda moment: then[moment])
    value = then[slowest]
    return Line(f"{step}, as of {slowest}", value, "us", value, "now", now, now, value / now, PAST_MAX, at_most=True)


def _jobs_line(name: str, run: dict[str, Any]) -> Line:
    """Return the line of a rate of two processes, beside that of one."""
    (one, one_cpu), (two, two_cpu) = (
        (_middle(run[jobs], "per_s"), _middle(run[jobs], "cpu_us")) for jobs in ("one", "two")
    )
    return Line(name, two, "records/s", two_cpu, "one process", one, one_cpu, two / one, 1.6)


def _rate_line(name: str, runs: list[dict[str, Any]], other_name: str, one: str, many: str, target: float) -> Line:
    """Return the line of a rate, of which more is better, beside the rate of one writer."""
    fewer, more = [run[one] for run in runs], [run[many] for run in runs]
    rate, other = _median(more, "per_s"), _median(fewer, "per_s")
    cpu, other_cpu = _median(more, "cpu_us"), _median(fewer, "cpu_us")
    return Line(name, rate, "puts/s", cpu, other_name, other, other_cpu, rate / other, target)


# Showing -------------------------------------------------------------------------------------------------------------


def show(lines: Sequence[Line], write: Callable[[str], object] = print) -> None:
    """Print the table. CPU is microseconds per operation, all threads and processes together."""
    rows = [("", "ours", "cpu us", "compared with", "", "cpu us", "ratio", "target", "reached"), *map(_row, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.ljust(width) if column in (0, 3) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        write("  ".join(cells).rstrip())


def _row(line: Line) -> tuple[str, ...]:
    absent = bool(line.other_name) and line.other is None
    target = (
        ""
        if line.target is None
        else f"{'<=' if line.at_most else '>='} {line.target:,g}{'x' if line.other_name else ''}"
    )
    return (
        line.name,
        f"{_number(line.value)} {line.unit}",
        _number(line.cpu),
        f"{line.other_name}: absent" if absent else line.other_name,
        "" if line.other is None else f"{_number(line.other)} {line.unit}",
        _number(line.other_cpu),
        "" if line.ratio is None else f"{line.ratio:.2f}x",
        target,
        {True: "yes", False: "NO", None: ""}[line.reached],
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def report(lines: Sequence[Line], machine: dict[str, Any], libraries: dict[str, Any]) -> dict[str, Any]:
    """Return everything as plain data, for a file."""
    return {
        "machine": machine,
        "libraries": libraries,
        "lines": [{**dataclasses.asdict(line), "reached": line.reached} for line in lines],
    }


def measure(bench: Bench, only: Sequence[str] = MEASURES, tell: Callable[[str], object] = print) -> list[Line]:
    """Run the measures by name; return their lines."""
    lines: list[Line] = []
    for name in MEASURES:
        if name in only:
            started = time.monotonic()
            lines += getattr(bench, name)()
            tell(f"{name}: {time.monotonic() - started:.0f} s")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the file. Returns the exit status: 0, whatever was reached."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, under a minute; too short to judge targets by"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures and the machine's facts")
    parser.add_argument(
        "--only", action="append", choices=MEASURES, metavar="NAME", help=f"one of: {', '.join(MEASURES)}"
    )
    given = parser.parse_args(arguments)
    os.environ["EVLOG_COMPRESS"] = (
        "off"  # It would do its work within what is measured; `compressing` measures what it costs.
    )
    scratch = ROOT / ".bench"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        bench = Bench(QUICK if given.quick else FULL, Path(folder))
        machine = facts(bench.folder)
        if bench.why_no_reference:
            print(bench.why_no_reference, file=sys.stderr)
        lines = measure(bench, given.only or MEASURES, lambda text: print(text, file=sys.stderr, flush=True))
    show(lines)
    if given.json:
        found = report(lines, machine, bench.libraries)
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
