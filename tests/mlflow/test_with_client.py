"""MLflow's own client on our store: fluent calls, MlflowClient, autologging; read back by MLflow and by ML Metadata."""

from __future__ import annotations

import math
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from serving import Process

from evlog.records import ExecutionPut
from mlmd.mlflow import words
from mlmd.mlflow.address import address_of
from mlmd.mlflow.store import ABSENT, TrackingStore
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.store import MetadataStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a store that the fluent calls use, named by a relative path."""
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"evlog://metadata-{tmp_path.name}")
    mlflow.set_experiment(experiment_id="0")  # An earlier test's would stay.
    yield tmp_path / f"metadata-{tmp_path.name}"
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)


def metadata(place: Path) -> MetadataStore:
    return MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))


def test_what_the_fluent_calls_log_is_an_ordinary_execution(place: Path) -> None:
    mlflow.set_experiment("taxi")
    with mlflow.start_run(run_name="first", tags={"team": "a"}) as run:
        mlflow.log_params({"lr": 0.1, "depth": 3})
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_metric("loss", 0.25, step=2)
        mlflow.log_text("words", "note.txt")
    found = mlflow.search_runs(experiment_names=["taxi"], filter_string="metrics.loss < 0.3 and params.lr = '0.1'")
    assert list(found["run_id"]) == [run.info.run_id]
    assert list(found["tags.team"]) == ["a"]
    with closing(metadata(place)) as store:
        [execution] = store.get_executions()
        assert (execution.type, execution.external_id) == (words.RUN_TYPE, run.info.run_id)
        assert execution.last_known_state == pb.Execution.COMPLETE
        assert execution.custom_properties["p.depth"].string_value == "3"
        assert execution.custom_properties["m.loss"].double_value == 0.25
        assert execution.custom_properties["t.mlflow.runName"].string_value == "first"
        [context] = store.get_contexts_by_execution(execution.id)
        assert (context.type, context.name) == (words.EXPERIMENT_TYPE, "taxi")
    assert {one.name for one in place.iterdir()} == {"log", "views"}, "files of MLflow lie beside the store"
    assert (
        place.with_name(place.name + ".artifacts") / str(context.id) / run.info.run_id / "artifacts/note.txt"
    ).exists()


def test_a_failed_run_is_failed(place: Path) -> None:
    with pytest.raises(ZeroDivisionError), mlflow.start_run() as run:
        _ = 1 / 0
    assert mlflow.get_run(run.info.run_id).info.status == "FAILED"
    with closing(metadata(place)) as store:
        assert store.get_executions()[0].last_known_state == pb.Execution.FAILED


def test_a_point_is_written_once_and_a_history_is_that_of_the_versions(place: Path) -> None:
    client = mlflow.MlflowClient()
    run = client.create_run("0")
    for step in range(5):
        client.log_metric(run.info.run_id, "loss", 1 / (step + 1), timestamp=step, step=step)
    client.set_tag(run.info.run_id, "a", "b")
    points = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "loss")]
    assert points == [(step, 1 / (step + 1)) for step in range(5)]
    with closing(metadata(place)) as store:
        versions = [
            one.after for one in store.history(store.get_executions()[0]) if isinstance(one.after, ExecutionPut)
        ]
    kept = [version.custom_properties.get("evlog.points") for version in versions]
    assert [None if one is None else len(one.fields["loss"]) for one in kept] == [None, 1, 1, 1, 1, 1, None]


def test_an_infinity_is_kept_as_it_was_given_and_shown_as_mlflow_shows_it(place: Path) -> None:
    client = mlflow.MlflowClient()
    run = client.create_run("0")
    client.log_metric(run.info.run_id, "loss", math.inf)
    assert client.get_run(run.info.run_id).data.metrics["loss"] == sys.float_info.max
    with closing(metadata(place)) as store:
        assert store.get_executions()[0].custom_properties["m.loss"].double_value == math.inf


def test_autologging_of_scikit_learn_lands_in_the_log(place: Path) -> None:
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    mlflow.sklearn.autolog(log_input_examples=False)
    try:
        features = np.arange(120.0).reshape(60, 2)
        labels = np.arange(60) % 2
        with mlflow.start_run() as run:
            LogisticRegression(C=0.5, max_iter=50).fit(features, labels)
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = mlflow.search_runs(filter_string="params.C = '0.5' and metrics.training_score >= 0")
    assert list(found["run_id"]) == [run.info.run_id]
    whole = mlflow.get_run(run.info.run_id)
    assert whole.data.params["max_iter"] == "50"
    [output] = whole.outputs.model_outputs
    model = mlflow.get_logged_model(output.model_id)
    assert (model.source_run_id, str(model.status)) == (run.info.run_id, "READY")
    assert [one.model_id for one in mlflow.search_logged_models(output_format="list")] == [output.model_id]
    assert list(mlflow.sklearn.load_model(model.model_uri).predict(features[:2])) in ([0, 0], [0, 1], [1, 0], [1, 1])
    with closing(metadata(place)) as store:
        [execution] = store.get_executions()
        assert execution.custom_properties["m.training_score"].double_value == whole.data.metrics["training_score"]
        types = {one.id: one.type for one in store.get_artifacts()}
        events = {(types[event.artifact_id], event.type) for event in store.get_events_by_execution_ids([execution.id])}
        assert events == {("Model", pb.Event.OUTPUT), ("Dataset", pb.Event.INPUT)}
        [artifact] = store.get_artifacts_by_type("Model")
        assert (artifact.external_id, artifact.uri, artifact.state) == (
            model.model_id,
            model.artifact_location,
            pb.Artifact.LIVE,
        )


def test_the_same_dataset_of_two_runs_is_one_artifact(place: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2, 3]})
    for context in ("train", "test"):
        with mlflow.start_run():
            mlflow.log_input(mlflow.data.from_pandas(frame, name="taxi"), context=context)
    found = mlflow.search_runs(
        filter_string="datasets.name = 'taxi' and dataset.context = 'test'", output_format="list"
    )
    assert [run.inputs.dataset_inputs[0].tags[0].value for run in found] == ["test"]
    with closing(metadata(place)) as store:
        [artifact] = store.get_artifacts()
        assert artifact.external_id.startswith("Dataset/taxi/")
        assert {event.path.steps[0].key for event in store.get_events_by_artifact_ids([artifact.id])} == {
            "train",
            "test",
        }


def test_threads_lose_nothing(place: Path) -> None:
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id

    def log(number: int) -> None:
        for step in range(5):
            client.log_metric(run_id, "shared", number, timestamp=1, step=step)
            client.log_param(run_id, f"p{number}.{step}", "v")

    threads = [threading.Thread(target=log, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run = client.get_run(run_id)
    assert len(run.data.params) == 30
    assert run.data.metrics["shared"] == 5.0, "the highest value of the last step"
    assert len(client.get_metric_history(run_id, "shared")) == 30


def test_processes_that_log_to_one_run_do_not_undo_each_other(place: Path) -> None:
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    code = f"""
    import sys, mlflow
    client = mlflow.MlflowClient({str("evlog://" + str(place))!r})
    for step in range(20):
        client.log_metric({run_id!r}, "m" + sys.argv[1], step, step=step)
        client.log_param({run_id!r}, f"p{{sys.argv[1]}}.{{step}}", step)
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    children = [subprocess.Popen([*command, str(number)]) for number in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    run = client.get_run(run_id)
    assert len(run.data.params) == 40
    assert run.data.metrics == {"m0": 19.0, "m1": 19.0}
    assert [one.step for one in client.get_metric_history(run_id, "m1")] == list(range(20))


def log_in_child(run_id: str) -> None:
    mlflow.MlflowClient().log_metric(run_id, "child", 1.0)
    os._exit(0)


def test_a_forked_child_logs_too(place: Path) -> None:
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    child = multiprocessing.get_context("fork").Process(target=log_in_child, args=(run_id,))
    child.start()
    child.join()
    assert child.exitcode == 0
    client.log_metric(run_id, "parent", 2.0)
    assert client.get_run(run_id).data.metrics == {"child": 1.0, "parent": 2.0}


def test_the_store_as_it_was_shows_the_runs_of_then_and_refuses_to_log(place: Path) -> None:
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "loss", 1.0)
    with closing(metadata(place)) as store:
        end = store.log.end
    time.sleep(0.01)
    client.log_metric(run_id, "loss", 2.0, step=1)
    then = mlflow.MlflowClient(f"evlog://{place}?at=%23{end}")
    assert then.get_run(run_id).data.metrics == {"loss": 1.0}
    assert [run.data.metrics for run in then.search_runs(["0"], "metrics.loss = 1")] == [{"loss": 1.0}]
    assert [one.value for one in then.get_metric_history(run_id, "loss")] == [1.0]
    with pytest.raises(MlflowException) as refused:
        then.log_metric(run_id, "loss", 3.0)
    assert refused.value.error_code == "INVALID_STATE"
    assert client.get_run(run_id).data.metrics == {"loss": 2.0}


def test_a_server_of_ours_takes_everything_but_gives_no_history(tmp_path: Path) -> None:
    metadata(tmp_path / "store").close()
    server = Process(tmp_path / "store")
    try:
        store = TrackingStore(f"evlog://127.0.0.1:{server.port}", str(tmp_path / "artifacts"))
        run_id = store.create_run("0", "user", 1, [], "name").info.run_id
        store.log_batch(run_id, [Metric("loss", 0.5, 1, 1)], [Param("lr", "0.1")], [RunTag("a", "b")])
        found = store.search_runs(["0"], "metrics.loss > 0.1 and params.lr = '0.1'", ViewType.ALL, 10, ["metrics.loss"])
        assert [run.data.tags["a"] for run in found] == ["b"]
        with pytest.raises(MlflowException) as refused:
            store.get_metric_history(run_id, "loss")
        assert refused.value.error_code == "NOT_IMPLEMENTED"
    finally:
        server.end()


@pytest.mark.parametrize("name", ["search_traces", "start_trace", "link_traces_to_run", "create_dataset", "log_spans"])
def test_what_a_store_does_not_keep_is_refused_in_words(place: Path, name: str) -> None:
    assert name in ABSENT
    store = TrackingStore(f"evlog://{place}")
    with pytest.raises(MlflowException, match=f"{name}: an evlog store keeps experiments") as refused:
        getattr(store, name)("some", "arguments", some="options")
    assert refused.value.error_code == "NOT_IMPLEMENTED"


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("evlog://", "names no folder"),
        ("file:///x", "its scheme is 'file'"),
        ("evlog://x#y", "'#y'"),
        ("evlog://x?until=now", "'?until'"),
        ("evlog://x?at=", "no moment"),
        ("evlog://x?at", "bad query"),
        ("evlog://a%00b", "names no folder"),
        ("evlog://~nobody-here/x", "home"),
    ],
)
def test_a_uri_that_names_nothing_is_refused_in_words(uri: str, why: str) -> None:
    with pytest.raises(MlflowException, match="Write evlog://FOLDER") as refused:
        address_of(uri)
    assert why in refused.value.message
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_uri_names_a_folder_of_here_of_the_user_or_of_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ana")

    def place(uri: str) -> str:
        return address_of(uri).config.sqlite.filename_uri

    assert place("evlog://a/b%20c") == f"{tmp_path}/a/b c"
    assert place("evlog:///srv/x?at=2h") == "/srv/x"
    assert place("evlog://~/x") == "/home/ana/x"
    assert str(address_of("evlog:///srv/x").artifacts) == "/srv/x.artifacts"
    assert address_of("evlog://db.example:8080").config.port == 8080


def test_a_place_that_is_no_store_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no store")
    with pytest.raises(MlflowException, match="the store cannot be opened"):
        TrackingStore(f"evlog://{tmp_path}/file")


@pytest.mark.parametrize(
    "metric",
    [
        Metric("a", 10**400, 0, 0),
        Metric("a", 1.0, 0, 2**63),
        Metric("a", 1.0, 2**63, 0),
        Metric("a", 1 + 2j, 0, 0),
        Metric("a", 1.0, 0, math.nan),
    ],
    ids=["value", "step", "time", "complex", "no step"],
)
def test_a_number_that_64_bits_do_not_hold_is_refused_and_leaves_no_trace(place: Path, metric: Metric) -> None:
    store = TrackingStore(f"evlog://{place}")
    run_id = store.create_run("0", "user", 1, [], None).info.run_id
    with pytest.raises(MlflowException) as refused:
        store.log_batch(run_id, [metric], [Param("p", "v")], [])
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    assert store.get_run(run_id).data.params == {}
    assert store.get_metric_history(run_id, "a") == []


def test_a_text_with_half_a_surrogate_is_refused(place: Path) -> None:
    store = TrackingStore(f"evlog://{place}")
    run_id = store.create_run("0", "user", 1, [], None).info.run_id
    for log in (lambda: store.set_tag(run_id, RunTag("a", "\ud800")), lambda: store.create_experiment("\ud800")):
        with pytest.raises(MlflowException) as refused:
            log()
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


def test_an_execution_that_is_no_run_of_mlflow_is_none_here(place: Path) -> None:
    with closing(metadata(place)) as store:
        type_id = store.put_execution_type(pb.ExecutionType(name="Trainer"))
        store.put_executions([pb.Execution(type_id=type_id, external_id="foreign")])
    with pytest.raises(MlflowException, match="foreign not found"):
        mlflow.get_run("foreign")
    assert mlflow.search_runs(output_format="list") == []


def test_a_type_that_is_there_with_properties_of_its_own_is_used_as_it_is(place: Path) -> None:
    with closing(metadata(place)) as store:
        store.put_artifact_type(pb.ArtifactType(name="Model", properties={"version": pb.INT}))
    tracking = TrackingStore(f"evlog://{place}")
    model = tracking.create_logged_model("0", "taxi")
    assert tracking.get_logged_model(model.model_id).name == "taxi"
    with closing(metadata(place)) as store:
        assert dict(store.get_artifact_type("Model").properties) == {"version": pb.INT}
