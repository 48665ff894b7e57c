"""Both wheels installed beside TFX: a pipeline runs, its cache is served from our store, a changed parameter runs its part anew."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import environment
import pytest
from check import check_store
from environment import python_of_reference
from installed import VERSIONS, python_of
from serving import Process

import mlmd
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.once, pytest.mark.slow]
PIPELINE = Path(__file__).parent.parent.parent / "examples" / "tfx_pipeline.py"
RUN_S = 120

COMPLETE, CACHED = pb.Execution.COMPLETE, pb.Execution.CACHED
GENERATE, TRAIN = "__main__.Generate", "__main__.Train"  # TFX names a type by its module.


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> Path:
    """An interpreter that has both wheels and TFX."""
    python = python_of(request.param)
    if isinstance(python, str):
        pytest.skip(python)
    return python


def run_three_times(run: Callable[[int], list[str]]) -> None:
    """Run the pipeline as the first test says; `run` takes the steps and returns what ran."""
    assert run(5) == ["ran Generate", "ran Train"]
    assert run(5) == []
    assert run(6) == ["ran Train"]


def run_pipeline(python: Path, folder: Path, steps: int, *place: str) -> list[str]:
    """Return the lines that the components print. TFX must not have fallen back from anything that it asked of the store."""
    command = [python, PIPELINE, folder, str(steps), *place]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_S, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    assert "Fallback" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def check(store: mlmd.MetadataStore) -> None:
    """Check what three runs leave: who ran and who was served from the cache, and the lineage of the last model."""
    types = {kind.id: kind.name for kind in store.get_execution_types()}
    runs = [(types[execution.type_id], execution.last_known_state) for execution in store.get_executions()]
    assert runs == [
        *((GENERATE, COMPLETE), (TRAIN, COMPLETE)),
        *((GENERATE, CACHED), (TRAIN, CACHED)),
        *((GENERATE, CACHED), (TRAIN, COMPLETE)),
    ]
    first, last = store.get_artifacts_by_type("Model")
    assert [model.custom_properties["steps"].int_value for model in (first, last)] == [5, 6]
    assert (Path(last.uri) / "model").read_text() == "10 rows, 6 steps"
    [examples] = store.get_artifacts_by_type("Examples")
    upstream = pb.LineageSubgraphQueryOptions(
        starting_artifacts={"filter_query": f"uri = '{last.uri}'"},
        max_num_hops=2,
        direction=pb.LineageSubgraphQueryOptions.UPSTREAM,
    )
    graph = store.get_lineage_subgraph(upstream)
    assert [artifact.id for artifact in graph.artifacts] == [examples.id, last.id]
    assert [types[execution.type_id] for execution in graph.executions] == [TRAIN]
    [context] = [c for c in store.get_contexts_by_type("pipeline") if c.name == "taxi"]
    assert len(store.get_children_contexts_by_context(context.id)) == 3  # One for each run.


def config_of(place: Path) -> pb.ConnectionConfig:
    return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))


def test_a_pipeline_runs_on_a_store_path_and_its_second_run_is_served_from_the_cache(
    python: Path, tmp_path: Path
) -> None:
    place = tmp_path / "metadata" / "taxi" / "metadata.db"  # TFX makes the parent, the store makes the folder.
    run_three_times(lambda steps: run_pipeline(python, tmp_path / "root", steps, "--store", str(place)))
    subprocess.run([python.with_name("evlog"), "-s", place, "verify"], check=True, capture_output=True)
    store = mlmd.MetadataStore(config_of(place))
    check(store)
    check_store(store)
    store.close()


def test_a_pipeline_runs_through_a_server_and_its_second_run_is_served_from_the_cache(
    python: Path, tmp_path: Path
) -> None:
    place = tmp_path / "metadata"
    subprocess.run([python.with_name("evlog"), "init", place], check=True, capture_output=True)
    server = Process(place, python=python)
    try:
        address = f"127.0.0.1:{server.port}"
        run_three_times(lambda steps: run_pipeline(python, tmp_path / "root", steps, "--server", address))
        store = mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="127.0.0.1", port=server.port))
        check(store)
        store.close()
    finally:
        status, said = server.end()
    assert status == 0, said
    store = mlmd.MetadataStore(config_of(place))
    check(store)
    check_store(store)
    store.close()


def test_the_tests_that_tfx_ships_of_its_metadata_resolver_pass(python: Path, tmp_path: Path) -> None:
    """They walk lineage with filters, from ids and from uris. Of the tests TFX ships these alone need no TensorFlow."""
    tests = "tfx.orchestration.portable.input_resolution.mlmd_resolver.metadata_resolver_test"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", tests]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_S, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[1-9]\d* passed", done.stdout, re.MULTILINE), done.stdout


def test_the_distributions_agree_with_what_requires_them(python: Path) -> None:
    code = (
        "from importlib.metadata import version\n"
        "import ml_metadata, mlmd\n"
        "assert mlmd.__version__ == version('evlog-mlmd')\n"
        "assert 'site-packages' in ml_metadata.__file__ and 'site-packages' in mlmd.__file__\n"
        "print(version('ml-metadata'), ml_metadata.__version__, version('ml-pipelines-sdk'))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd=python.parent)
    assert done.stdout.split() == ["1.21.0"] * 3


def test_the_suite_that_ml_metadata_ships_passes_on_the_installed_package() -> None:
    if isinstance(reason := python_of_reference(), str) or isinstance(reason := python_of("3.12"), str):
        pytest.skip(reason)
    suite = Path(environment.__file__).with_name("suite.py")
    done = subprocess.run([sys.executable, suite, "--on-compat"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^1\d\d passed, 0 failed", done.stdout, re.MULTILINE), done.stdout
