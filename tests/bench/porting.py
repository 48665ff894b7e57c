"""A large database of ML Metadata imported, imported again, and exported: how fast, and in how much memory.

    python tests/bench/porting.py [NODES]

The database is made by its schema, not by the reference, which would take hours. Import and export run in a process of their own each, so that
the memory is theirs alone.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import mlmd.exchange

NODES: Final = 1_000_000
PROPERTIES: Final = 5
_SCHEMA: Final = Path(mlmd.exchange.__file__).with_name("schema10.sql").read_text(encoding="utf-8")
_START_MS: Final = 1_700_000_000_000


def make(path: Path, nodes: int) -> None:
    """Make a database: half artifacts, half executions, each with properties, an event and a link to one of a hundred contexts."""
    connection = sqlite3.connect(path)
    connection.executescript(re.sub(r"create index [^;]+;", "", _SCHEMA))
    connection.execute("insert into MLMDEnv values (10)")
    types = [(1, "Data", 1), (2, "Run", 0), (3, "Pipe", 2)]
    connection.executemany("insert into Type (id, name, type_kind) values (?, ?, ?)", types)
    declared = [(type_id, f"p{number}", kind) for type_id in (1, 2) for number, kind in enumerate((1, 2, 3, 3, 1))]
    connection.executemany("insert into TypeProperty values (?, ?, ?)", declared)
    each = range(1, nodes // 2 + 1)
    times = ({"id": one, "ms": _START_MS + one} for one in each)
    connection.executemany(
        "insert into Artifact values (:id, 1, 'path/to/' || :id, 2, 'a' || :id, null, :ms, :ms)", times
    )
    times = ({"id": one, "ms": _START_MS + one} for one in each)
    connection.executemany("insert into Execution values (:id, 2, 3, 'e' || :id, null, :ms, :ms)", times)
    contexts = ((one, f"c{one}", _START_MS, _START_MS) for one in range(1, 101))
    connection.executemany("insert into Context values (?, 3, ?, null, ?, ?)", contexts)
    for table in ("Artifact", "Execution"):
        rows = (
            (
                one,
                f"p{number}",
                *((one, None, None), (None, one / 8, None), (None, None, f"value {one % 100}"))[
                    (0, 1, 2, 2, 0)[number]
                ],
            )
            for one in each
            for number in range(PROPERTIES)
        )
        connection.executemany(f"insert into {table}Property values (?, ?, 0, ?, ?, ?, null, null, null)", rows)
    connection.executemany(
        "insert into Event values (?, ?, ?, 4, ?)", ((one, one, one, _START_MS + one) for one in each)
    )
    connection.executemany("insert into Attribution values (?, ?, ?)", ((one, one % 100 + 1, one) for one in each))
    connection.executescript("".join(re.findall(r"create index [^;]+;", _SCHEMA)))
    connection.commit()
    connection.close()


def measured(*words: str) -> tuple[float, float, float]:
    """Run the command `evlog`; return (seconds, seconds of processor time, MB of memory at most)."""
    code = (
        "import resource, sys\nfrom mlmd.cli import main\ncode = main(sys.argv[1:], standalone_mode=False)\n"
        "own = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(own.ru_utime + own.ru_stime, own.ru_maxrss / 1024, file=open(sys.argv[2] + '.used', 'w'))\nsys.exit(code)"
    )
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    took_s = time.perf_counter() - started
    cpu_s, memory_mb = map(float, Path(words[1] + ".used").read_text(encoding="ascii").split())
    return took_s, cpu_s, memory_mb


def measure(folder: Path, nodes: int) -> dict[str, tuple[float, float, float]]:
    """Return (nodes a second, nodes a second of processor time, MB) of an import, the same again, and an export."""
    source, store = folder / "metadata.db", folder / "store"
    make(source, nodes)
    found = {}
    for name, words in (
        ("import", ("import", str(source))),
        ("import again", ("import", str(source))),
        ("export", ("export", "mlmd", str(folder / "back.db"))),
    ):
        took_s, cpu_s, memory_mb = measured("-s", str(store), *words)
        found[name] = (nodes / took_s, nodes / cpu_s, memory_mb)
    return found


def main() -> None:
    """Measure and print."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else NODES
    place = Path(".bench")  # On a disk: /tmp may be memory.
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        for name, (rate, rate_cpu, memory_mb) in measure(Path(folder), nodes).items():
            print(f"{name:<14} {rate:>9,.0f} nodes/s  {rate_cpu:>9,.0f} nodes/s of CPU  {memory_mb:>6,.0f} MB")


if __name__ == "__main__":
    main()
