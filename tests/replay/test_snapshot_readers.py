"""The snippets of docs/snapshot.md, run by the engines they are for, on a snapshot made in two runs."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import records

from evlog.log import Log
from evlog.records import ArtifactTypePut
from replay.snapshot import snapshot

pytestmark = pytest.mark.slow

DOCUMENT = (Path(__file__).parents[2] / "docs" / "snapshot.md").read_text(encoding="utf-8")
MODELS = [(1, "/data/1", 3), (2, "/data/2", 1), (3, "/data/3", None)]


def snippet(form: str, words: str) -> str:
    """Return the one piece of code of the document that holds some words."""
    (found,) = [code for code in re.findall(rf"```{form}\n(.*?)```", DOCUMENT, re.DOTALL) if words in code]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a snapshot `lake`: of model 1 three versions, and one that is no longer in it."""
    folder = tmp_path_factory.mktemp("readers")
    log = Log.open(folder / "log", create=True)
    records.append(log, [records.record(ArtifactTypePut(id=1, name="SavedModel", properties={"version": "INT"}))])
    for number, properties in (
        (1, {"version": 1}),
        (2, {"version": 1}),
        (1, {"version": 2}),
        (3, {}),
        (1, {"version": 3}),
    ):
        records.append(log, [records.record(records.artifact(number, properties=properties))])
        snapshot(log, folder / "views", folder / "lake", log.end if number == 1 else 2)
    # What a run leaves that is killed before its manifest: rows from `end` on.
    records.append(log, [records.record(records.artifact(2, properties={"version": 9}))])
    manifest = (folder / "lake" / "manifest.json").read_bytes()
    snapshot(log, folder / "views", folder / "lake")
    (folder / "lake" / "manifest.json").write_bytes(manifest)
    log.close()
    return folder


def test_duckdb_reads_what_the_document_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert duckdb.connect().execute(snippet("sql", "read_parquet")).fetchall() == MODELS


def test_polars_reads_what_the_document_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("polars", reason="polars is not installed")
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(snippet("python", "import polars"), names)
    assert names["models"].rows() == MODELS  # type: ignore[attr-defined]


SPARK = """
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.log.level", "ERROR")
local = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
spark = builder.config(map=local).getOrCreate()
%s
print("answer", [tuple(row) for row in models.collect()])
for table in ("artifacts", "executions", "contexts", "types", "events", "attributions", "associations", "parent_contexts", "records"):
    frame = spark.read.parquet(f"lake/{table}")
    print(table, frame.count(), dict(frame.dtypes)["month"])
spark.stop()
"""


def java() -> Path | None:
    """Return the home of a Java that Spark runs on: 17, or 21."""
    homes = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    homes += sorted(home for number in (17, 21) for home in Path("/usr/lib/jvm").glob(f"*{number}*"))
    return next((home for home in homes if (home / "bin" / "java").exists()), None)


@pytest.mark.deep
def test_spark_reads_what_the_document_says(folder: Path) -> None:
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: `make deep` installs it")
    if (home := java()) is None:
        pytest.skip("Spark needs Java 17 or 21: apt-get install openjdk-17-jre-headless")
    environment = os.environ | {"JAVA_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    code = SPARK % snippet("python", "spark.read")
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert f"answer {MODELS}" in run.stdout, run.stderr
    assert "artifacts 6 string" in run.stdout
    assert "parent_contexts 0 string" in run.stdout
