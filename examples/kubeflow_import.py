"""From Kubeflow Pipelines: bring in the database that its metadata server left, and ask what its pages no longer show.

    python kubeflow_import.py                                           # of a small database, made as Kubeflow leaves one
    python kubeflow_import.py mysql://root@127.0.0.1:3306/metadb        # of your own, after `kubectl port-forward svc/mysql 3306`

The database is only read. Each `$` line is a command that you can run yourself; the store stays in `kubeflow-store`.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import mlmd
from mlmd.proto import metadata_store_pb2 as pb

STORE = "kubeflow-store"
DATABASE = Path("metadb.sqlite")


def evlog(*words: str) -> None:
    """Run a command, and show it."""
    print(f"\n$ {shlex.join(['evlog', *words])}", flush=True)
    subprocess.run([sys.executable, "-m", "mlmd.cli", "-o", "table", *words], check=True)


def put_run(store: mlmd.MetadataStore, number: int, rate: float, accuracy: float) -> None:
    """Put what one run of a pipeline leaves: a DAG and its containers, a data set, a model, metrics, in Kubeflow's own words."""
    types = {
        name: store.put_execution_type(pb.ExecutionType(name=name))
        for name in ("system.DAGExecution", "system.ContainerExecution")
    }
    kinds = {
        name: store.put_artifact_type(
            pb.ArtifactType(name=name, properties={"display_name": pb.STRING}), can_add_fields=True
        )
        for name in ("system.Dataset", "system.Model", "system.Metrics")
    }
    groups = {
        name: store.put_context_type(pb.ContextType(name=name)) for name in ("system.Pipeline", "system.PipelineRun")
    }
    pipeline = pb.Context(type_id=groups["system.Pipeline"], name="taxi-pipeline")
    run = pb.Context(type_id=groups["system.PipelineRun"], name=f"run-{number}")

    def execution(task: str, type_name: str, state: int, **inputs: float) -> pb.Execution:
        found = pb.Execution(type_id=types[type_name], last_known_state=state, name=f"run-{number}/{task}")
        found.custom_properties["display_name"].string_value = task
        if inputs:
            found.custom_properties["inputs"].struct_value.update(inputs)
        return found

    def artifact(name: str, type_name: str, **metrics: float) -> pb.Artifact:
        found = pb.Artifact(
            type_id=kinds[type_name], uri=f"minio://mlpipeline/v2/artifacts/{number}/{name}", state=pb.Artifact.LIVE
        )
        found.properties["display_name"].string_value = name
        for key, value in metrics.items():
            found.custom_properties[key].double_value = value
        return found

    contexts = [pipeline, run]
    _, _, (pipeline.id, run.id) = store.put_execution(
        execution("dag", "system.DAGExecution", pb.Execution.COMPLETE),
        [],
        contexts,
        reuse_context_if_already_exist=True,
    )
    read, made = pb.Event(type=pb.Event.INPUT), pb.Event(type=pb.Event.OUTPUT)
    _, [data_id], _ = store.put_execution(
        execution("ingest", "system.ContainerExecution", pb.Execution.COMPLETE),
        [(artifact("data", "system.Dataset"), made)],
        contexts,
    )
    state = pb.Execution.COMPLETE if accuracy else pb.Execution.FAILED
    data = artifact("data", "system.Dataset")
    data.id = data_id
    results = [
        (artifact("model", "system.Model"), made),
        (artifact("metrics", "system.Metrics", accuracy=accuracy), made),
    ]
    store.put_execution(
        execution("train", "system.ContainerExecution", state, rate=rate),
        [(data, read), *(results if accuracy else [])],
        contexts,
    )


def make_database() -> None:
    """Make a database of ML Metadata, schema version 10, that holds three runs of a pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        store = mlmd.MetadataStore(pb.ConnectionConfig(sqlite={"filename_uri": f"{folder}/store"}))
        for number, (rate, accuracy) in enumerate([(0.1, 0.91), (3.0, 0.0), (0.3, 0.93)], start=1):
            put_run(store, number, rate, accuracy)
        store.close()
        subprocess.run(
            [sys.executable, "-m", "mlmd.cli", "-s", f"{folder}/store", "-q", "export", "mlmd", DATABASE],
            check=True,
            stdout=subprocess.DEVNULL,
        )


def main() -> None:
    """Import, and ask."""
    source = sys.argv[1] if len(sys.argv) > 1 else str(DATABASE)
    if len(sys.argv) == 1 and not DATABASE.exists():
        make_database()
    evlog("-s", STORE, "import", source)
    evlog("-s", STORE, "status")
    evlog("-s", STORE, "executions", "system.ContainerExecution", "--filter", "last_known_state = FAILED")
    evlog("-s", STORE, "artifacts", "system.Metrics", "--sort", "created", "--desc", "-n", "5")
    models = mlmd.open(STORE).metadata.get_artifacts_by_type("system.Model")
    if models:
        evlog("-s", STORE, "lineage", f"art:{models[-1].id}", "--up", "4")
        evlog("-s", STORE, "blame", f"art:{models[-1].id}")
    evlog("-s", STORE, "export", "mlmd", f"{STORE}.back.sqlite")
    evlog("-s", STORE, "verify")


if __name__ == "__main__":
    main()
