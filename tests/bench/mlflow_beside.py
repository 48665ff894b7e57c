"""What a whole run and a search cost: MLflow on its SQLite file, our plugin under MLflow's own client calls, our recorder, ML Metadata 1.17.1.

    .mlflow/bin/python tests/bench/mlflow_beside.py [--runs 200] [--stored 10000] [--rounds 15] [--folder FOLDER]

The same facts for all, on the same disk, in one process each but the last: a run has 5 parameters, 5 metrics, 3 tags, reads one dataset and makes
one model. MLflow and the plugin get them in MLflow's batched form, seven calls. The search is for runs by a metric and a parameter, ordered by
a metric, the first 100 of 10,000. Medians, of CPU beside wall; ratios within this run are what counts. Prints one line of JSON for each measure.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("kit", "bench", "reference")]
warnings.filterwarnings("ignore")  # MLflow's own, such as of versions.

import recording  # noqa: E402 - found by the line above
import searching  # noqa: E402
from environment import python_of_reference  # noqa: E402
from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunStatus,
    RunTag,
    ViewType,
)
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag  # noqa: E402
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: E402

from mlmd.kinds import EXECUTION  # noqa: E402
from mlmd.mlflow import words  # noqa: E402
from mlmd.mlflow.store import TrackingStore  # noqa: E402
from mlmd.proto import metadata_store_pb2 as pb  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

DATASET: Final = DatasetInput(
    Dataset("taxi", "d1f00d", "local", '{"uri": "s3://data/taxi"}'), [InputTag("mlflow.data.context", "train")]
)
PAGE: Final = 100
FILTER: Final = "metrics.m0 > 0.5 and params.p0 = '0.1'"
ORDER: Final = ["metrics.m0 DESC"]
AT_ONCE: Final = 1_000

# For the interpreter that has ML Metadata 1.17.1: the same facts, as a run at its beginning and one put at its end.
REFERENCE: Final = """
import json, statistics, sys, time
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb
place, runs = sys.argv[1], int(sys.argv[2])
config = pb.ConnectionConfig()
config.sqlite.filename_uri = place
store = metadata_store.MetadataStore(config)
trainer = store.put_execution_type(pb.ExecutionType(name="Trainer"))
data = store.put_artifact_type(pb.ArtifactType(name="Dataset"))
model = store.put_artifact_type(pb.ArtifactType(name="Model"))
[taxi] = store.put_artifacts([pb.Artifact(type_id=data, uri="s3://data/taxi")])
costs = []
for number in range(runs):
    cpu, wall = time.process_time(), time.perf_counter()
    run = pb.Execution(type_id=trainer, last_known_state=pb.Execution.RUNNING)
    [run.id] = store.put_executions([run])
    run.last_known_state = pb.Execution.COMPLETE
    for at in range(5):
        run.custom_properties[f"p.p{at}"].double_value = 0.1
        run.custom_properties[f"m.m{at}"].double_value = 0.9
    for at in range(3):
        run.custom_properties[f"t.t{at}"].string_value = "value"
    made = pb.Artifact(type_id=model, uri=f"s3://models/{number}")
    store.put_execution(run, [(pb.Artifact(id=taxi, type_id=data, uri="s3://data/taxi"), pb.Event(type=pb.Event.INPUT)),
                              (made, pb.Event(type=pb.Event.OUTPUT))], [])
    costs.append([time.process_time() - cpu, time.perf_counter() - wall])
print(json.dumps({"cpu_ms": statistics.median(c for c, _ in costs) * 1e3, "wall_ms": statistics.median(w for _, w in costs) * 1e3}))
"""


def costs(calls: int, call: Callable[[int], object]) -> dict[str, float]:
    """Return the median CPU and wall time of calls, in milliseconds."""
    found = []
    for number in range(calls):
        cpu, wall = time.process_time(), time.perf_counter()
        call(number)
        found.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpus, walls = zip(*found, strict=True)
    return {"cpu_ms": statistics.median(cpus) * 1e3, "wall_ms": statistics.median(walls) * 1e3}


def whole_run(store: Any, number: int) -> None:
    """Log one run in MLflow's batched form."""
    run_id = store.create_run("0", "ana", 1_700_000_000_000 + number, [], f"run {number}").info.run_id
    store.log_batch(
        run_id,
        [Metric(key, value, 1, 0) for key, value in recording.METRICS.items()],
        [Param(key, str(value)) for key, value in recording.PARAMS.items()],
        [RunTag(key, value) for key, value in recording.TAGS.items()],
    )
    store.log_inputs(run_id, [DATASET])
    model = store.create_logged_model("0", "taxi-model", run_id)
    store.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    store.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    store.update_run_info(run_id, RunStatus.FINISHED, 1_700_000_001_000 + number, None)


def reference(folder: Path, runs: int) -> dict[str, float] | str:
    """Return what ML Metadata takes, or why it cannot be asked."""
    python = python_of_reference()
    if isinstance(python, str):
        return python
    command = [python, "-c", REFERENCE, folder / "mlmd.db", str(runs)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(said.splitlines()[-1])


# Searching -----------------------------------------------------------------------------------------------------------


def facts(stored: int) -> list[tuple[str, dict[str, float], dict[str, str], dict[str, str]]]:
    """Return runs to store: id, metrics, parameters, tags."""
    chance = random.Random(7)
    return [
        (
            uuid.UUID(int=chance.getrandbits(128), version=4).hex,
            {f"m{at}": chance.random() for at in range(5)},
            {f"p{at}": chance.choice(("0.1", "0.3")) for at in range(5)},
            {f"t{at}": f"value {chance.randrange(10)}" for at in range(3)},
        )
        for _ in range(stored)
    ]


def fill_mlflow(store: SqlAlchemyStore, stored: int) -> None:
    """Put runs into MLflow's tables, many at once: its own calls would take minutes."""
    runs, params, metrics, latest, tags = [], [], [], [], []
    for number, (run_id, values, parameters, texts) in enumerate(facts(stored)):
        runs.append(
            {
                "run_uuid": run_id,
                "name": f"run {number}",
                "source_type": "UNKNOWN",
                "status": "FINISHED",
                "start_time": 1_700_000_000_000 + number,
                "lifecycle_stage": "active",
                "artifact_uri": f"/files/{run_id}",
                "experiment_id": 0,
                "user_id": "ana",
            }
        )
        for key, value in values.items():
            point = {"run_uuid": run_id, "key": key, "value": value, "timestamp": 1, "step": 0, "is_nan": False}
            metrics.append(point)
            latest.append(point)
        params += [{"run_uuid": run_id, "key": key, "value": value} for key, value in parameters.items()]
        tags += [{"run_uuid": run_id, "key": key, "value": value} for key, value in texts.items()]
    with store.ManagedSessionMaker(read_only=False) as session:
        for table, rows in (
            (SqlRun, runs),
            (SqlParam, params),
            (SqlMetric, metrics),
            (SqlLatestMetric, latest),
            (SqlTag, tags),
        ):
            session.bulk_insert_mappings(table, rows)


def fill_plugin(store: TrackingStore, stored: int) -> None:
    """Put the same runs as the plugin puts them, many in one record."""
    nodes = store._nodes
    experiment = store._experiments.context("0")
    made = []
    for number, (run_id, values, parameters, texts) in enumerate(facts(stored)):
        properties = {
            words.EXPERIMENT: "0",
            words.STAGE: "active",
            words.START_MS: 1_700_000_000_000 + number,
            words.ARTIFACT_URI: f"/files/{run_id}",
            words.USER: "ana",
            "t.mlflow.runName": f"run {number}",
            **{f"m.{key}": value for key, value in values.items()},
            **{words.TIME_MS + key: 1 for key in values},
            **{f"p.{key}": value for key, value in parameters.items()},
            **{f"t.{key}": value for key, value in texts.items()},
        }
        made.append(
            nodes.new(EXECUTION, words.RUN_TYPE, properties, external_id=run_id, last_known_state=pb.Execution.COMPLETE)
        )
    for start in range(0, len(made), AT_ONCE):
        ids = nodes.make(EXECUTION, made[start : start + AT_ONCE])
        links = [pb.Association(execution_id=one, context_id=experiment.id) for one in ids]
        nodes.metadata.put_attributions_and_associations([], links)


def search(store: Any, filter_string: str, order_by: list[str]) -> list[str]:
    """Return the first page of a search."""
    found = store.search_runs(["0"], filter_string, ViewType.ACTIVE_ONLY, PAGE, order_by)
    return [run.info.run_id for run in found]


def told(what: str, who: str, found: dict[str, Any] | str, than: dict[str, float] | None = None) -> None:
    """Print one measure. than: what MLflow takes."""
    line: dict[str, Any] = {"what": what, "who": who}
    if isinstance(found, str):
        line["left_out"] = found
    else:
        line |= {key: round(value, 3) for key, value in found.items()}
        if than is not None:
            line["times_faster"] = {
                key: round(than[key] / found[key], 1) for key in ("cpu_ms", "wall_ms") if found.get(key)
            }
    print(json.dumps(line), flush=True)


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--stored", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        theirs = SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", str(folder / "files"))
        plugin = TrackingStore(f"evlog://{folder}/plugin", str(folder / "files"))
        than = costs(options.runs, lambda number: whole_run(theirs, number))
        told("whole run", "MLflow, SQLite", than)
        told("whole run", "the plugin", costs(options.runs, lambda number: whole_run(plugin, number)), than)
        recorder = recording.ours(folder / "recorder", options.runs)
        measured = {"cpu_ms": recorder["cpu_us"] / 1e3, "wall_ms": recorder["wall_us"] / 1e3}
        told("whole run", "the recorder", measured, than)
        told("whole run", "ML Metadata 1.17.1", reference(folder, options.runs), than)

        theirs = SqlAlchemyStore(f"sqlite:///{folder}/stored.db", str(folder / "files"))
        plugin = TrackingStore(f"evlog://{folder}/stored", str(folder / "files"))
        fill_mlflow(theirs, options.stored)
        fill_plugin(plugin, options.stored)
        for what, filter_string, order_by in (
            ("filter, order by metric", FILTER, ORDER),
            ("filter", FILTER, []),
            ("newest", "", []),
        ):
            assert search(theirs, filter_string, order_by) == search(plugin, filter_string, order_by), what
            for _ in range(5):  # By then the store has made the indexes that pay.
                search(plugin, filter_string, order_by)
            than = costs(options.rounds, lambda _: search(theirs, filter_string, order_by))  # noqa: B023 - called at once
            told(what, "MLflow, SQLite", than)
            told(what, "the plugin", costs(options.rounds, lambda _: search(plugin, filter_string, order_by)), than)  # noqa: B023
            if order_by:
                searching.fill(folder / "searching", options.stored)
                pages = searching.ours(folder / "searching", options.rounds)
                told(what, "the recorder", {"wall_ms": pages["page_ms"]}, than)


if __name__ == "__main__":
    main()
