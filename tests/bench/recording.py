"""What recording a run costs, and what asking whether it was made before: the work that tests/bench/mlflow_beside.py gives MLflow.

    python tests/bench/recording.py [--runs 2000] [--executions 1000000] [--folder FOLDER]

A run has 5 parameters, 5 metrics, 3 tags, reads one artifact and makes one. CPU time is that of the whole process; of batches of runs
the median and the least are told: a shared machine makes all figures larger, never smaller. Prints one line of JSON for each measure.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import mlmd
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words
from mlmd.recorder.caching import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmd.recorder.store import Store

PARAMS: Final = {"lr": 0.1, "epochs": 3, "depth": 4, "optimizer": "adam", "shuffle": True}
METRICS: Final = {"acc": 0.941, "loss": 0.213, "auc": 0.97, "f1": 0.88, "rmse": 0.3}
TAGS: Final = {"who": "ana", "team": "fares", "stage": "dev"}
BATCH: Final = 50
PUT: Final = 1_000
QUESTIONS: Final = 200


def record(s: Store, number: int) -> None:
    """Record one run."""
    with s.run("Trainer", params=PARAMS, tags=TAGS) as r:
        r.input("taxi:1")
        r.log(**METRICS)
        r.output(f"s3://models/{number}", "Model", name="taxi-model", acc=0.941)


def ours(folder: Path | None, runs: int) -> dict[str, float]:
    """Record so many runs into a new store in a folder, or in memory; return what one takes, in microseconds."""
    with mlmd.open(":memory:" if folder is None else folder) as s:
        with s.run("ExampleGen") as r:
            r.output("s3://data/taxi", "Dataset", name="taxi")
        record(s, -1)
        return per_call(lambda number: record(s, number), runs)


def per_call(call: Callable[[int], Any], calls: int) -> dict[str, float]:
    """Return CPU and wall time of a call in microseconds: of batches, the median, and the least CPU time."""
    batches = []
    for start in range(0, calls, BATCH):
        stop = min(calls, start + BATCH)
        cpu, wall = time.process_time(), time.perf_counter()
        for number in range(start, stop):
            call(number)
        took = time.process_time() - cpu, time.perf_counter() - wall
        batches.append([seconds / (stop - start) * 1e6 for seconds in took])
    cpus, walls = zip(*batches, strict=True)
    return {
        "cpu_us": statistics.median(cpus),
        "wall_us": statistics.median(walls),
        "cpu_us_least": min(cpus),
        "calls": calls,
    }


# Made before? --------------------------------------------------------------------------------------------------------


def fill(folder: Path, executions: int) -> None:
    """Make a store of so many completed runs of one type, each with a key of its own, all of which read and made the same."""
    with mlmd.open(folder) as s:
        with s.run("ExampleGen") as r:
            r.output("s3://data/taxi", "Dataset", name="taxi")
        with s.run("Trainer") as r:
            r.input("taxi:1")
            model = r.output("s3://models/1", "Model", name="taxi-model")
        type_id = r.run.message.type_id
        identity = "Dataset/taxi/s3://data/taxi"
        for start in range(0, executions, PUT):
            batch = []
            for number in range(start, min(executions, start + PUT)):
                execution = pb.Execution(type_id=type_id, last_known_state=pb.Execution.COMPLETE)
                execution.custom_properties[words.PARAMETER + "n"].int_value = number
                key = key_of("Trainer", None, [("", identity)], {"n": number})
                execution.custom_properties[words.KEY].string_value = key
                batch.append(execution)
            ids = s.metadata.put_executions(batch)
            events = [pb.Event(execution_id=ids[0], artifact_id=model.id, type=pb.Event.OUTPUT)]
            events += [pb.Event(execution_id=ids[0], artifact_id=1, type=pb.Event.INPUT)]
            s.metadata.put_events(events)


def asked(s: Store, executions: int, questions: int) -> dict[str, dict[str, float]]:
    """Return what a hit and a miss take, in microseconds."""
    step = max(1, executions // questions)

    def hit(number: int) -> None:
        assert s.cached("Trainer", ["taxi:1"], {"n": number * step % executions})

    def miss(number: int) -> None:
        assert not s.cached("Trainer", ["taxi:1"], {"n": executions + number})

    hit(0)
    miss(0)
    return {"hit": per_call(hit, questions), "miss": per_call(miss, questions)}


def decided(folder: Path, executions: int, questions: int = QUESTIONS) -> dict[str, dict[str, float]]:
    """Return what the cache decision takes in a store of so many runs, in process and of a server on this machine."""
    from mlmd.serving.server import Options, Server

    fill(folder, executions)
    with mlmd.open(folder) as s:
        found = {f"cached, {name}": figures for name, figures in asked(s, executions, questions).items()}
    engine = Engine(open_folder(folder))
    server = Server(engine, Options(port=0))
    server.start()
    with mlmd.open(f"localhost:{server.port}") as s:
        found |= {f"cached, {name}, of a server": figures for name, figures in asked(s, executions, questions).items()}
    server.stop(5)
    engine.close()
    return found


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        found = {"run, in memory": ours(None, options.runs), "run, in a folder": ours(folder / "runs", options.runs)}
        if options.executions:
            found |= decided(folder / "many", options.executions)
    finally:
        shutil.rmtree(folder)
    for name, figures in found.items():
        sys.stdout.write(json.dumps({"name": name} | {key: round(value, 1) for key, value in figures.items()}) + "\n")


if __name__ == "__main__":
    main()
