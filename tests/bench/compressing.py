"""What compressing sealed segments costs and saves: the same log twice, as it was written and compressed, each read in turn.

    python compressing.py read FOLDER RECORDS ROUNDS     compresses, then reads both; prints rates of either, and the ratio
    python compressing.py put FOLDER PUTS PACE_US        puts one by one with and without the compressor; prints us at p50, p99, p99.9

The records are those of `past.py`. Rates are by CPU time, and the page cache holds both logs. For `put` a segment is full after few
records, so that one is being compressed nearly all the time.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from past import make

from evlog import compressor
from evlog import log as log_module
from evlog.author import Author, clock_us
from evlog.compression import compress, compress_all
from evlog.files import RealFolder
from evlog.log import Log
from evlog.records import ContextTypePut, Record
from mlmd.opening import BODIES, LOG_FOLDER
from replay.asof import as_of
from replay.verify import verify_log

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS: Final = 300
BODY_BYTES: Final = 2_000  # Of a record of `put`.
SEGMENT_RECORDS: Final = 2_000  # As above: 4 MB a segment.


def read(place: Path, records: int, rounds: int) -> dict[str, Any]:
    """Compress a copy of a log; read both."""
    log_module.SEGMENT_RECORDS_MAX = min(log_module.SEGMENT_RECORDS_MAX, records // 3)  # type: ignore[misc]
    make(place, records)
    raw, small, quick = place / LOG_FOLDER, place / "small", place / "quick"
    for copy in (small, quick):
        shutil.copytree(raw, copy)
    seed = _seed_of(small)
    begun = time.process_time()
    done = compress_all(RealFolder(small), seed=seed)
    checked_s = time.process_time() - begun
    begun = time.process_time()
    for one in done:  # As the background does it.
        compress(RealFolder(quick), one.base, seed=seed, frames=False)
    quick_s = time.process_time() - begun
    before, after = sum(one.size for one in done), sum(one.size_compressed for one in done)
    times: dict[str, dict[str, list[float]]] = {}
    for turn in range(rounds):
        for form, folder in (("raw", raw), ("small", small))[:: -1 if turn % 2 else 1]:
            for name, measure in MEASURES.items():
                times.setdefault(name, {}).setdefault(form, []).append(measure(folder, records))
    return {
        "ratio": before / after,
        "mb_per_s": before / checked_s / 1e6,
        "quick_mb_per_s": before / quick_s / 1e6,
        "reads": {
            name: {form: statistics.median(found) for form, found in each.items()} for name, each in times.items()
        },
    }


def _seed_of(place: Path) -> int:
    with closing(Log.open(place, writable=False)) as log:
        return log.seed


def _read_all(place: Path, records: int) -> float:
    """Return records a second of CPU."""
    with closing(Log.open(place, writable=False)) as log:
        begun = time.process_time()
        assert sum(1 for _ in log.read(0)) == records
        return records / (time.process_time() - begun)


def _verify(place: Path, records: int) -> float:
    begun = time.process_time()
    report = verify_log(RealFolder(place))
    assert report.sound
    return records / (time.process_time() - begun)


def _view(place: Path, records: int) -> float:
    """Return records a second of CPU into a view in memory, as of the middle."""
    with closing(Log.open(place, writable=False)) as log:
        begun = time.process_time()
        as_of(log, records // 2, BODIES, None).close()
        return (records // 2) / (time.process_time() - begun)


def _look(place: Path, records: int) -> float:
    """Return looks a second at a record anywhere in the log."""
    dice = random.Random(2)
    with closing(Log.open(place, writable=False)) as log:
        log.frame(0)
        begun = time.process_time()
        for _ in range(LOOKS):
            log.frame(dice.randrange(records))
        return LOOKS / (time.process_time() - begun)


def _open(place: Path, _records: int) -> float:
    begun = time.process_time()
    for _ in range(10):
        Log.open(place, writable=False).close()
    return 10 / (time.process_time() - begun)


MEASURES: Final[dict[str, Callable[[Path, int], float]]] = {
    "read every record": _read_all,
    "verify": _verify,
    "view as of the middle": _view,
    "a record anywhere": _look,
    "open to read": _open,
}


def put(place: Path, puts: int, pace_us: int) -> dict[str, Any]:
    """Put one by one, in turn with and without the compressor; return microseconds at p50 and p99 of each."""
    log_module.SEGMENT_RECORDS_MAX = min(SEGMENT_RECORDS, puts // 8)  # type: ignore[misc]
    compressor.DELAY_S = 0.0  # type: ignore[misc]
    found: dict[str, list[float]] = {"with": [], "without": []}
    compressed = 0
    for turn in range(4):
        for how in ("with", "without")[:: -1 if turn % 2 else 1]:
            folder = place / f"{how}-{turn}"
            with closing(Log.open(folder, create=True, compress=how == "with")) as log:
                found[how] += _put(log, puts // 4, pace_us / 1e6)
            compressed += len(list(folder.glob("*.zst")))
    return {
        "compressed": compressed,
        **{
            f"{how}_{name}": statistics.quantiles(times, n=1000)[at - 1]
            for how, times in found.items()
            for name, at in (("p50", 500), ("p99", 990), ("p999", 999))
        },
    }


def _put(log: Log, puts: int, pace_s: float) -> list[float]:
    author, times, dice = Author(), [], random.Random(3)
    for number in range(puts):
        change = ContextTypePut(id=number + 1, name=f"type-{number}", description=dice.randbytes(BODY_BYTES // 2).hex())
        record = Record(author.envelope("PutTypes", clock_us()), [change])
        begun = time.perf_counter()
        with log.claim() as group:
            group.add(record)
            group.commit()
        times.append((time.perf_counter() - begun) * 1e6)
        time.sleep(pace_s)
    return times


if __name__ == "__main__":
    what, place, *sizes = sys.argv[1:]
    print(json.dumps({"read": read, "put": put}[what](Path(place), *map(int, sizes))))
