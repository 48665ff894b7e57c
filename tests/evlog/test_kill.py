"""Real processes: killed while they append, and several at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from crash import numbers, record

from evlog.log import Log

if TYPE_CHECKING:
    from pathlib import Path

    from tally import Tally

pytestmark = [pytest.mark.faults, pytest.mark.slow]
WRITERS = 8
PROGRAM = """
import sys
from pathlib import Path
import evlog.log, evlog.segment
from crash import record
evlog.log.SEGMENT_RECORDS_MAX, evlog.segment.INDEX_STEP = 8, 4
log = evlog.log.Log.open(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    with log.claim() as group:
        group.add(record(number, number % 700))
        group.commit()
    print(number, flush=True)
log.close()
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def writer(path: Path, start: int, stop: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(path), str(start), str(stop)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)


def test_a_killed_writer_loses_nothing_it_acknowledged(
    tmp_path: Path, small_segments: int, full: bool, tally: Tally
) -> None:
    rng = random.Random(7)
    Log.open(tmp_path, create=True).close()
    acknowledged: list[int] = []
    turns = 400 if full else 12
    tally("kill", turns)
    for turn in range(turns):
        process = writer(tmp_path, turn * 100_000, turn * 100_000 + 90_000)
        assert process.stdout is not None
        told = [int(process.stdout.readline())]
        time.sleep(rng.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
        process.stdout.close()
        log = Log.open(tmp_path)
        found = numbers(log)
        log.close()
        kept, rest = found[: len(acknowledged) + len(told)], found[len(acknowledged) + len(told) :]
        assert kept == acknowledged + told
        assert rest in ([], [told[-1] + 1]), "at most the one whose answer was on its way"
        acknowledged = found
    assert small_segments < len(acknowledged)


def test_several_processes_append_to_one_log_and_none_loses_or_reorders_anything(
    tmp_path: Path, small_segments: int, full: bool
) -> None:
    each, count = (1_000 if full else 60), 4
    Log.open(tmp_path, create=True).close()
    processes = [writer(tmp_path, worker * 100_000, worker * 100_000 + each) for worker in range(count)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    log = Log.open(tmp_path)
    found = numbers(log)
    assert [entry.offset for entry in log.read(0)] == list(range(log.end))
    log.close()
    assert len(found) == each * count
    for worker, output in enumerate(outputs):
        mine = [number for number in found if number // 100_000 == worker]
        assert mine == [int(line) for line in output.split()] == list(range(mine[0], mine[0] + each))
    assert small_segments


def test_eight_writers_killed_again_and_again_lose_and_reorder_nothing_they_acknowledged(
    tmp_path: Path, small_segments: int, full: bool, tally: Tally
) -> None:
    rng, kills = random.Random(8), 200 if full else 10
    Log.open(tmp_path, create=True).close()
    told: dict[int, list[int]] = {}  # What each process acknowledged, by its first number.
    running: dict[int, subprocess.Popen[str]] = {}

    def end(start: int) -> None:
        process = running.pop(start)
        assert process.stdout is not None
        output = process.stdout.readline()  # It is at work.
        process.kill()
        output += process.communicate()[0]
        told[start] = [int(line) for line in output.splitlines(keepends=True) if line.endswith("\n")]

    def begin(start: int) -> None:
        running[start] = writer(tmp_path, start, start + 90_000)

    for number in range(WRITERS):
        begin(number * 100_000)
    for turn in range(kills):
        time.sleep(rng.random() * 0.1)
        end(rng.choice([*running]))
        begin((WRITERS + turn) * 100_000)
    for start in [*running]:
        end(start)
    log = Log.open(tmp_path)
    found = numbers(log)
    log.close()
    of_each: dict[int, list[int]] = {start: [] for start in told}
    for number in found:
        of_each[number // 100_000 * 100_000].append(number)
    for start, acknowledged in told.items():
        mine = of_each[start]
        assert acknowledged == mine[: len(acknowledged)], start
        assert mine == list(range(start, start + len(mine))), start
        assert len(mine) <= len(acknowledged) + 1, "at most the one whose answer was on its way"
    assert sum(map(len, told.values())) > small_segments
    tally("writers", kills + WRITERS, f"{len(found):,} records" if full else "")


def test_a_writer_killed_while_another_is_open_hands_over(tmp_path: Path, small_segments: int) -> None:
    log = Log.open(tmp_path, create=True)
    for turn in range(4):
        process = writer(tmp_path, 1000 * turn, 1000 * turn + 900)
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.communicate()
        with log.claim() as group:
            group.add(record(1000 * turn + 999))
            group.commit()
    found = numbers(log)
    log.close()
    again = Log.open(tmp_path)
    assert numbers(again) == found
    assert [number for number in found if number % 1000 == 999] == [999, 1999, 2999, 3999]
    again.close()
    assert small_segments
