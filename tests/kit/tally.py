"""Faults counted: what the fault tests tried, row by row, and the table that is made of it, docs/faults.md.

A test says what it tried: `tally("kill", 12)`. The counts travel with pytest's reports, so it does not matter which worker
ran it. A test that fails counts as one in every column that its row promises to be 0: the table never says more than the tests did.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROPERTY: Final = "fault"
LIBRARIES: Final = ("apsw", "duckdb", "google-crc32c", "msgspec", "zstandard", "cryptography")


class Row(NamedTuple):
    """One line of the table. promises: the columns that must be 0, of "lost" and "altered"; without any it is told and not counted."""

    fault: str
    harness: str
    promises: tuple[str, ...] = ("lost", "altered")


LOST, ALTERED = ("lost",), ("altered",)
ROWS: Final[dict[str, Row]] = {
    "cut": Row("power cut: reordered, torn at 512 bytes, zero-filled, names lost", "simulated disk, lives from seeds"),
    "error": Row("a write, sync, rename or truncate fails or is short, the process starts again", "the same"),
    "death": Row("the process dies before, amid or after a call; another writer takes over", "the same"),
    "call": Row("EIO, ENOSPC, EROFS from each file call of a life of a log", "real files, `os` replaced"),
    "compress": Row("each of these at each step of compressing, then power cuts", "simulated disk"),
    "repair": Row("each of these amid a repair, or the accepting of a loss", "simulated disk, from seeds"),
    "erase": Row("each of these amid an erasure", "simulated disk, from seeds"),
    "snapshot": Row("stopped at each step of a snapshot", "real files, calls replaced"),
    **{
        f"strace {name}": Row(f"EIO, ENOSPC, SIGKILL at each file system call of {words}", "strace")
        for name, words in {
            "append": "append",
            "roll": "roll and seal",
            "compress": "compress",
            "erase": "erase",
            "repair": "repair",
            "publish": "publish",
        }.items()
    },
    "kill": Row("SIGKILL of a writer", "processes, real files"),
    "kill others": Row("SIGKILL of compress, erase, backup, snapshot, follower, history view", "processes, real files"),
    "writers": Row("8 writers at once, killed and started again", "processes, real files"),
    "flip raw": Row("a bit flipped in every byte of segments as written", "5 segments, HEAD there", ALTERED),
    "flip compressed": Row("a bit flipped in every byte of compressed segments", "the same, compressed", ALTERED),
    "flip HEAD": Row("a bit flipped in every byte of HEAD", "the same"),
    "flip LOGID": Row("a bit flipped in every byte of LOGID", "the same", ALTERED),
    "flip tiles": Row("a bit flipped in every byte of the tiles", "300 leaves", ALTERED),
    "flip checkpoint": Row("a bit flipped in every byte of a signed checkpoint", "a policy at hand", ALTERED),
    "flip sqlite": Row("a bit flipped in every byte of the SQLite view", "views of a small store, `verify`", ALTERED),
    "flip duckdb": Row("a bit flipped in the DuckDB view", "views of a small store, `verify --deep`", ALTERED),
    "flip manifest": Row("a bit flipped in every byte of a backup's manifest", "a backup of 5 segments", ALTERED),
    "cut raw": Row("truncation at every byte of segments as written", "5 segments, HEAD there"),
    "cut compressed": Row("truncation at every byte of compressed segments", "the same, compressed"),
    "cut HEAD": Row("truncation at every byte of HEAD", "the same"),
    "cut LOGID": Row("truncation at every byte of LOGID", "the same", ALTERED),
    "cut tiles": Row("truncation at every byte of the tiles", "300 leaves", ALTERED),
    "cut checkpoint": Row("truncation at every byte of a signed checkpoint", "a policy at hand", ALTERED),
    "cut sqlite": Row("truncation of the SQLite view", "views of a small store, `verify`", ALTERED),
    "cut duckdb": Row("truncation of the DuckDB view", "views of a small store, `verify --deep`", ALTERED),
    "cut manifest": Row("truncation at every byte of a backup's manifest", "a backup of 5 segments", ALTERED),
    "cut bare": Row("truncation at every byte, without HEAD or any other witness", "as if killed", ALTERED),
    "region": Row("a region zeroed, doubled, taken out or copied; a segment gone or of another log", "5 segments", ALTERED),
    "mend": Row("a bit flipped, then repaired from a copy, or its loss accepted", "5 segments, from seeds"),
    "insider": Row("insider rewrites a record, every checksum and link, with one old checkpoint kept elsewhere", "from seeds", ALTERED),
    "insider bare": Row("the same, with nothing kept elsewhere", "from seeds", ()),
    "rollback": Row("an older valid copy put back, with a newer checkpoint or view at hand", "from seeds", ALTERED),
    "rollback bare": Row("the same, with nothing newer at hand", "from seeds", ()),
    "full": Row("the disk is full", "tmpfs of several sizes, simulated disks"),
    "read-only": Row("the file system is read-only", "tmpfs mounted again"),
    "clock": Row("the clock goes back, far forward, stands still", "injected clock", LOST),
    "mutants": Row("mutants of the write and recovery code, all caught", "the harnesses above", ()),
    "fuzz": Row("inputs to the parsers: rubbish, and valid ones mutated", "Hypothesis", ALTERED),
}  # fmt: skip


class Tally:
    """Takes the counts of one test."""

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties
        self._counts: dict[str, list[Any]] = {}  # What stands in the properties: row, tried, note.

    def __call__(self, row: str, tried: int = 1, note: str = "") -> None:
        """Say that so many faults of a row were tried; note: what the table shall say beside."""
        assert row in ROWS, row
        if row not in self._counts:
            self._counts[row] = [row, 0, ""]
            self._properties.append((PROPERTY, self._counts[row]))
        self._counts[row][1] += tried
        self._counts[row][2] = note or self._counts[row][2]


class Ledger:
    """A pytest plugin that adds up what tests report, and writes the table at the end of a run without failures."""

    def __init__(self, path: Path, size: str) -> None:
        self._path, self._size = path, size
        self._tried: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._notes: defaultdict[str, list[str]] = defaultdict(list)
        self._broken: list[str] = []

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = [value for name, value in report.user_properties if name == PROPERTY]
        if report.failed:
            self._broken.append(report.nodeid)
            self._failed.update({str(row) for row, _, _ in told})  # type: ignore[misc]
        if report.when != "teardown":
            return
        for row, tried, note in told:  # type: ignore[misc]
            self._tried[row] += tried
            if note and note not in self._notes[row]:
                self._notes[row].append(note)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        text = self.text()
        terminalreporter.write_line(text)
        if not self._broken:
            self._path.write_text(text, encoding="utf-8")

    def text(self) -> str:
        """Return the page, in Markdown."""
        lines = [_line(key, self._tried[key], self._failed[key], self._notes[key]) for key in ROWS]
        counted = sum(self._tried[key] for key, row in ROWS.items() if row.promises)
        lost, altered = (
            sum(self._failed[key] for key, row in ROWS.items() if column in row.promises)
            for column in ("lost", "altered")
        )
        total = f"**{counted:,} tried, {lost} acknowledged records lost, {altered} undetected alterations**"
        if self._broken:
            total = f"NOT SOUND: {len(self._broken)} failed, the first: {self._broken[0]}. {total}"
        libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
        return _PAGE.format(
            total=total,
            rows="\n".join(lines),
            size=self._size,
            date=datetime.now(UTC).date(),
            version=importlib.metadata.version("evlog-mlmd"),
            python=platform.python_version(),
            system=f"{platform.system()} {platform.release()}",
            libraries=libraries,
        )


def _line(key: str, tried: int, failed: int, notes: list[str]) -> str:
    row = ROWS[key]
    columns = [str(failed) if column in row.promises else "–" for column in ("lost", "altered")]
    note = "; ".join(notes) if tried or notes else "not run"
    return f"| {row.fault} | {row.harness} | {tried:,} | {' | '.join(columns)} | {note} |"


_PAGE: Final = """# Faults

What was tried to make the log lose or hide something. `make faults` runs it all again, prints this table and writes it here; a fault that
is not withstood fails the run, and the table is then not written.

{total}

| fault | harness | tried | acknowledged records lost | undetected alterations | note |
| --- | --- | ---: | ---: | ---: | --- |
{rows}

- *Acknowledged records lost*: a put was answered, and after the fault, a restart and recovery the record is not there.
- *Undetected alterations*: after the fault something else is read than was put, and neither opening nor `evlog verify` says so. Where a
  compressed or a view's file has bits that mean nothing, a flip that changes no answer is harmless and counts as tried.
- A dash: the row makes no such promise. Those without any promise are told for honesty and are not in the total: without anything kept
  outside, nobody can tell an old copy, or a log rewritten as a whole, from the log itself. Keep a checkpoint elsewhere
  (`evlog checkpoint --copy-to`).
- Seeds: lives, repairs and erasures count up from 0, other tests name theirs; a failure names its seed, and a seed plays the same again.

Size: {size}. evlog-mlmd {version}, {date}, CPython {python}, {system}; {libraries}.
"""
