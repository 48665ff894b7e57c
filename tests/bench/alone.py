"""What is timed in this store alone: many writers, replay, verification, opening, memory.

Each measure runs in a process of its own, so that neither its memory nor its caches are another's:

    python alone.py MEASURE FOLDER SIZES

SIZES is JSON; what a measure takes from it stands in its docstring. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evlog.author import Author, clock_us
from evlog.files import RealFile, RealFolder
from evlog.log import Log
from evlog.records import ArtifactPut, Record
from evlog.tlog import keys
from evlog.tlog.publisher import Publisher
from mlmd.metadata_store import MetadataStore
from mlmd.opening import BODIES, LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER
from mlmd.proto import metadata_store_pb2 as pb
from projections.duck import database
from projections.duck.reading import open_view
from projections.sqlite.view import View
from replay import analytics
from replay import snapshot as snapshots
from replay.follow import bring_up
from replay.rebuild import build
from replay.state import Replayed
from replay.verify import verify_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GROUP_RECORDS: Final = 1_000  # Of a store made for a measure, whose making is not timed.
BULK: Final = 1_000
THREADS: Final = 16
PROCESSES: Final = 4
SLOW_SYNC_S: Final = 0.005


def open_store(place: Path) -> MetadataStore:
    """Open the store in a folder, making it where there is none."""
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(place)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return MetadataStore(config)


def put_type(store: MetadataStore) -> int:
    """Put the type of every artifact here; return its id."""
    properties = {"layers": pb.INT, "accuracy": pb.DOUBLE, "owner": pb.STRING}
    return store.put_artifact_type(pb.ArtifactType(name="Model", properties=properties))


def artifact(type_id: int, name: str, number: int) -> pb.Artifact:
    """Return an artifact with three properties and a custom one."""
    return pb.Artifact(
        type_id=type_id,
        name=name,
        uri=f"s3://bucket/models/{name}/saved_model",
        state=pb.Artifact.LIVE,
        properties={
            "layers": pb.Value(int_value=number % 100),
            "accuracy": pb.Value(double_value=number / 7),
            "owner": pb.Value(string_value=f"team-{number % 10}"),
        },
        custom_properties={"note": pb.Value(string_value=f"run {number} of the nightly training")},
    )


# Stores made for a measure -------------------------------------------------------------------------------------------


def make(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Make a store of `records` records, nearly all of one artifact each, without going through puts.

    Records go to the log in large groups, the view is then a rebuild: the same bytes and rows as of single puts.
    """
    store = open_store(place)
    type_id = put_type(store)
    store.close()
    log = Log.open(place / LOG_FOLDER)
    records, author, artifact_id = sizes["records"], Author(), 0
    while log.end < records:
        with log.claim() as group:
            for _ in range(min(GROUP_RECORDS, records - log.end)):
                if group.full:
                    break
                artifact_id += 1
                now_us = clock_us()
                envelope = author.envelope("PutArtifacts", now_us)
                group.add(Record(envelope, [_artifact_put(artifact_id, type_id, now_us // 1000)]))
            group.commit()
    log.close()
    shutil.rmtree(place / VIEWS_FOLDER)
    open_store(place).close()
    return {
        "log_bytes": _folder_bytes(place / LOG_FOLDER) / artifact_id,
        "view_bytes": _folder_bytes(place / VIEWS_FOLDER) / artifact_id,
    }


def _artifact_put(number: int, type_id: int, now_ms: int) -> ArtifactPut:
    return ArtifactPut(
        id=number,
        type_id=type_id,
        create_time_ms=now_ms,
        update_time_ms=now_ms,
        name=f"model-{number}",
        properties={"layers": number % 100, "accuracy": number / 7, "owner": f"team-{number % 10}"},
        custom_properties={"note": f"run {number} of the nightly training"},
        uri=f"s3://bucket/models/model-{number}/saved_model",
        state="LIVE",
    )


def _folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file() and not file.is_symlink())


# Many writers --------------------------------------------------------------------------------------------------------


def threads(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Put `one` artifacts from one thread, then `each` from each of 16; once more on a device whose sync takes 5 ms longer.

    Fresh stores; `slow_one` and `slow_each` are the sizes on the slow device.
    """
    rates = {
        "one": _thread_rate(place / "one", 1, sizes["one"]),
        "many": _thread_rate(place / "many", THREADS, sizes["each"]),
    }
    fast_sync = RealFile.sync

    def slow_sync(file: RealFile) -> None:
        time.sleep(SLOW_SYNC_S)
        fast_sync(file)

    RealFile.sync = slow_sync  # type: ignore[method-assign]
    try:
        rates["slow_one"] = _thread_rate(place / "slow_one", 1, sizes["slow_one"])
        rates["slow_many"] = _thread_rate(place / "slow_many", THREADS, sizes["slow_each"])
    finally:
        RealFile.sync = fast_sync  # type: ignore[method-assign]
    return rates


def _thread_rate(place: Path, count: int, each: int) -> dict[str, float]:
    """Return puts a second of `count` threads together, and CPU microseconds a put."""
    store = open_store(place)
    type_id = put_type(store)
    lines = [[artifact(type_id, f"model-{line}-{number}", number) for number in range(each)] for line in range(count)]
    ids: list[int] = []
    start = threading.Barrier(count + 1)

    def put(line: Sequence[pb.Artifact]) -> None:
        start.wait()
        ids.extend([store.put_artifacts([one])[0] for one in line])

    workers = [threading.Thread(target=put, args=(line,)) for line in lines]
    for worker in workers:
        worker.start()
    start.wait()
    wall, cpu = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.join()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    store.close()
    puts = count * each
    assert len(set(ids)) == puts, "every put got an id of its own"
    return {"per_s": puts / wall, "cpu_us": cpu / puts * 1e6}


def processes(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Put `each` artifacts from one process, then from each of four on one store; count what is there after."""
    return {
        "one": _process_rate(place / "one", 1, sizes["each"]),
        "many": _process_rate(place / "many", PROCESSES, sizes["each"]),
    }


def _process_rate(place: Path, count: int, each: int) -> dict[str, float]:
    """Return puts a second of `count` processes together, CPU microseconds a put, and how many acknowledged puts are lost."""
    store = open_store(place)
    type_id = put_type(store)
    store.close()
    command = [sys.executable, __file__, "put", str(place)]
    sizes = [json.dumps({"type_id": type_id, "worker": worker, "each": each}) for worker in range(count)]
    running = [
        subprocess.Popen([*command, size], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for size in sizes
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the writer has opened the store"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outcomes = [json.loads(process.communicate()[0]) for process in running]
    assert not any(process.returncode for process in running), "every writer ended well"
    wall = max(one["stop"] for one in outcomes) - min(one["start"] for one in outcomes)
    named = {one_id: name for one in outcomes for one_id, name in zip(one["ids"], one["names"], strict=True)}
    store = open_store(place)
    found = {one.id: one.name for one in store.get_artifacts_by_id(list(named))}
    store.close()
    puts = count * each
    lost = puts - sum(found.get(one_id) == name for one_id, name in named.items())
    return {"per_s": puts / wall, "cpu_us": sum(one["cpu_s"] for one in outcomes) / puts * 1e6, "lost": lost}


def put(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Be one writer of `processes`: put `each` artifacts, one a call, once told to go."""
    store = open_store(place)
    names = [f"model-{sizes['worker']}-{number}" for number in range(sizes["each"])]
    artifacts = [artifact(sizes["type_id"], name, number) for number, name in enumerate(names)]
    print("ready", flush=True)
    sys.stdin.readline()
    start, cpu_s = time.monotonic(), time.process_time()  # The monotonic clock is one for all processes.
    ids = [store.put_artifacts([one])[0] for one in artifacts]
    stop, cpu_s = time.monotonic(), time.process_time() - cpu_s
    store.close()
    return {"ids": ids, "names": names, "start": start, "stop": stop, "cpu_s": cpu_s}


def signing(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Put `one` artifacts, one a call, into a store with a key and one without, in four turns each. The 99th percentile, ms."""
    walls: dict[str, list[float]] = {"plain": [], "signed": []}
    opened = {}
    for kind in walls:
        store = open_store(place / kind)
        type_id, log = put_type(store), Log.open(place / kind / LOG_FOLDER, writable=False)
        store.close()
        if kind == "signed":
            os.environ[keys.VARIABLE] = str(place / "key")
            keys.write(keys.new(log.origin), place / "key")
        log.close()
        opened[kind] = open_store(place / kind), type_id
    for turn in range(4):
        for kind, (store, type_id) in opened.items():
            for number in range(sizes["one"]):
                one = artifact(type_id, f"model-{turn}-{number}", number)
                walls[kind].append(_ms(lambda store=store, one=one: store.put_artifacts([one])))  # type: ignore[misc]
    for store, _ in opened.values():
        store.close()
    return {kind: sorted(found)[len(found) * 99 // 100] for kind, found in walls.items()}


# Reading the log again -----------------------------------------------------------------------------------------------


def replay(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Replay the log of a store into a fresh view on disk, indexes included, `rounds` times."""
    log = Log.open(place / LOG_FOLDER, writable=False)
    path = place.with_name("fresh.sqlite")

    def once() -> None:
        path.touch()  # A view is built in a file that is there.
        build(log, path, BODIES, log.end).close()

    try:
        return _rates(once, log.end, sizes["rounds"], after=path.unlink)
    finally:
        log.close()


def history(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Rebuild the analytics view of a store, `rounds` times; then ask it as of moments all over the log. Milliseconds.

    "put": bring the view up to one more record.
    """
    log = Log.open(place / LOG_FOLDER)
    views = place / VIEWS_FOLDER
    rates = _rates(lambda: analytics.rebuild(log, views), log.end, sizes["rounds"])
    connection = open_view(views).connection
    asked: dict[str, str] = {
        "count": "select type, count(*) from artifacts_as_of($1) group by type",
        "one": "select properties from artifacts_as_of($1) where id = 1 + $1 // 2",
        "best": "select id from artifacts_as_of($1) where properties.layers = 7 order by id desc limit 100",
    }
    moments = [log.end * number // 12 for number in range(1, 12)]
    times = {
        name: statistics.median(_ms(lambda: connection.execute(sql, [at]).fetchall()) for at in moments)  # noqa: B023
        for name, sql in asked.items()
    }
    size = database.FILES.current(views).stat().st_size / log.end
    connection.close()
    store = open_store(place)
    type_id, ups = put_type(store), []
    for number in range(sizes["rounds"]):
        store.put_artifacts([artifact(type_id, f"late-{number}", number)])
        ups.append(_ms(lambda: analytics.bring_up(log, views)))
    store.close()
    log.close()
    return {**rates, **times, "put": statistics.median(ups), "bytes": size}


def snapshot(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Write the history of a store as Parquet, `rounds` times into a new folder; then add one record, as often. Milliseconds."""
    log, views, lake = Log.open(place / LOG_FOLDER), place / VIEWS_FOLDER, place.parent / "lake"
    analytics.bring_up(log, views)
    rates = _rates(
        lambda: snapshots.snapshot(log, views, lake), log.end, sizes["rounds"], after=lambda: shutil.rmtree(lake)
    )
    size = sum(file.size_bytes for file in snapshots.snapshot(log, views, lake).files) / log.end
    store, adds = open_store(place), []
    type_id = put_type(store)
    for number in range(sizes["rounds"]):
        store.put_artifacts([artifact(type_id, f"last-{number}", number)])
        analytics.bring_up(log, views)
        adds.append(_ms(lambda: snapshots.snapshot(log, views, lake)))
    store.close()
    log.close()
    shutil.rmtree(lake)
    return {**rates, "add": statistics.median(adds), "bytes": size}


def _ms(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def verify(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Verify the log of a store alone, `rounds` times, by one process and by two."""
    folder = RealFolder(place / LOG_FOLDER)
    records = verify_log(folder).records

    def once(jobs: int) -> None:
        assert verify_log(folder, jobs=jobs).sound, "the log is sound"

    return {name: _rates(partial(once, jobs), records, sizes["rounds"]) for name, jobs in (("one", 1), ("two", 2))}


def deep(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Compute the state of a store by the three ways of `verify --deep`, `rounds` times each."""
    log, views = Log.open(place / LOG_FOLDER, writable=False), place / VIEWS_FOLDER
    analytics.bring_up(log, views)
    view = View.open(views, log.id, BODIES, writable=False)

    def replay() -> None:
        bring_up(log, Replayed({log.end}), log.end)

    ways = {
        "replay": replay,
        "current": lambda: view.look(deep=True),
        "history": lambda: analytics.look(log, views, deep=True),
    }
    try:
        return {name: _rates(once, log.end, sizes["rounds"]) for name, once in ways.items()}
    finally:
        view.close()
        log.close()


def publish(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Publish and sign the tree of a store from its first record on, each record read again from disk, `rounds` times."""
    tlog, log = place / TLOG_FOLDER, Log.open(place / LOG_FOLDER, writable=False)
    key, end = keys.new(log.origin), log.end
    log.close()

    def once() -> None:
        with closing(Publisher(place / LOG_FOLDER, tlog, key)) as publisher:
            assert publisher.publish().checkpoint.size == end, "all is signed"

    return _rates(once, end, sizes["rounds"], after=lambda: shutil.rmtree(tlog))


def _rates(once: Callable[[], None], records: int, rounds: int, after: Callable[[], object] = bool) -> dict[str, Any]:
    per_s, cpu_us = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), cpu_s()
        once()
        per_s.append(records / (time.perf_counter() - wall))
        cpu_us.append((cpu_s() - cpu) / records * 1e6)
        after()
    return {"records": records, "per_s": per_s, "cpu_us": cpu_us}


def cpu_s() -> float:
    """Return the processor time of this process and of those that worked for it.

    `os.times` counts in ticks of 10 ms, in which a small log is verified.
    """
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


# A large store -------------------------------------------------------------------------------------------------------


def opening(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Open a store, once in this process: first the store, then its log alone. Milliseconds."""
    del sizes
    times = {}
    for what, open_it in {"store": lambda: open_store(place), "log": lambda: Log.open(place / LOG_FOLDER)}.items():
        wall, cpu = time.perf_counter(), time.process_time()
        opened = open_it()
        times[what] = {"wall_ms": (time.perf_counter() - wall) * 1e3, "cpu_ms": (time.process_time() - cpu) * 1e3}
        opened.close()
    return times


def memory(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Put `single` artifacts one a call and `bulk` thousands into a large store; return the peak memory in MB."""
    store = open_store(place)
    (some,) = store.get_artifacts_by_id([1])
    opened_mb = _peak_mb()
    run = clock_us()  # Names must be new each time.
    for number in range(sizes["single"]):
        store.put_artifacts([artifact(some.type_id, f"single-{run}-{number}", number)])
    for batch in _batches(some.type_id, f"bulk-{run}", sizes["bulk"]):
        store.put_artifacts(batch)
    store.close()
    return {"opened_mb": opened_mb, "peak_mb": _peak_mb()}


def _batches(type_id: int, prefix: str, count: int) -> Iterator[list[pb.Artifact]]:
    for batch in range(count):
        yield [artifact(type_id, f"{prefix}-{batch}-{number}", number) for number in range(BULK)]


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


# The disk ------------------------------------------------------------------------------------------------------------


def disk(place: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Append 400 bytes and fdatasync, `syncs` times, as a bare program would: what a durable put cannot be faster than."""
    fd = os.open(place / "probe", os.O_RDWR | os.O_CREAT)
    data, walls = bytes(400), []
    cpu = time.process_time()
    for number in range(sizes["syncs"]):
        wall = time.perf_counter()
        os.pwrite(fd, data, number * len(data))
        os.fdatasync(fd)
        walls.append((time.perf_counter() - wall) * 1e6)
    cpu = time.process_time() - cpu
    os.close(fd)
    return {"wall_us": statistics.median(walls), "cpu_us": cpu / sizes["syncs"] * 1e6}


MEASURES: Final = (
    make,
    threads,
    processes,
    put,
    signing,
    replay,
    history,
    snapshot,
    verify,
    deep,
    publish,
    opening,
    memory,
    disk,
)


def main() -> None:
    """Run one measure and print what it found."""
    measure = {one.__name__: one for one in MEASURES}[sys.argv[1]]
    print(json.dumps(measure(Path(sys.argv[2]), json.loads(sys.argv[3]))))


if __name__ == "__main__":
    main()
