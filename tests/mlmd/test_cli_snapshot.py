"""`evlog snapshot`, and listings with a filter, from the serving view and from the history."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from click.testing import CliRunner, Result

from mlmd import MetadataStore
from mlmd.cli import cli
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(place: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["-s", str(place), *words], prog_name="evlog")


def data(place: Path, *words: str) -> Any:
    result = run(place, "-o", "json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def put(place: Path) -> None:
    config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))
    with closing(MetadataStore(config)) as store:
        [model] = store.get_artifacts_by_id([2])
        model.properties["version"].int_value = 2
        store.put_artifacts([model])


# Snapshots ------------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_made_and_then_added_to(place: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    first = data(place, "snapshot", str(lake))
    assert first["new_records"] == first["records"] == data(place, "status")["records"]
    assert data(place, "snapshot", str(lake)) == first | {
        "new_records": 0,
        "new_files": 0,
        "new_rows": 0,
        "new_bytes": 0,
    }
    put(place)
    second = data(place, "snapshot", str(lake))
    assert (second["new_records"], second["new_files"], second["new_rows"]) == (1, 2, 2)
    assert second["root"] != first["root"]
    assert run(place, "snapshot", str(lake), "--check").stdout.startswith("ok ")
    assert data(place, "snapshot", str(lake), "--check") == []


def test_a_snapshot_goes_as_far_as_a_moment(place: Path, tmp_path: Path) -> None:
    assert data(place, "--at", "#5", "snapshot", str(tmp_path / "lake"))["records"] == 5
    future = run(place, "--at", "#500", "snapshot", str(tmp_path / "lake"))
    assert (future.exit_code, "has not reached" in future.stderr) == (1, True)
    data(place, "snapshot", str(tmp_path / "lake"))
    earlier = run(place, "--at", "#5", "snapshot", str(tmp_path / "lake"))
    assert (earlier.exit_code, "already: one of #5 needs another folder" in earlier.stderr) == (0, True)


def test_a_snapshot_that_lacks_records_says_so(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data(place, "snapshot", str(tmp_path / "lake"))
    put(place)
    monkeypatch.setattr("replay.analytics.writable", lambda _views: False)
    assert "it lacks 1 records" in run(place, "snapshot", str(tmp_path / "lake")).stderr


@pytest.mark.parametrize(
    ("spoil", "code", "words", "hint"),
    [
        (lambda lake: shutil.rmtree(lake) or lake.write_text(""), 1, "a snapshot is a folder", "ANOTHER-FOLDER"),
        (lambda lake: (lake / "manifest.json").rename(lake / "mine"), 1, "and no snapshot", "ANOTHER-FOLDER"),
        (lambda lake: (lake / "manifest.json").write_text("{}"), 3, "cannot be read", "verify"),
        (lambda lake: next((lake / "types").rglob("*.parquet")).unlink(), 3, "is gone", "verify"),
    ],
)
def test_what_is_wrong_with_the_folder_is_said_in_a_line_with_what_to_do(
    place: Path, tmp_path: Path, spoil: Callable[[Path], Any], code: int, words: str, hint: str
) -> None:
    lake = tmp_path / "lake"
    data(place, "snapshot", str(lake))
    spoil(lake)
    refused = run(place, "snapshot", str(lake))
    assert refused.exit_code == code
    what, todo = refused.stderr.strip().splitlines()[-2:]
    assert words in what
    assert hint in todo


def test_a_check_tells_each_damaged_file_and_exits_3(place: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    data(place, "snapshot", str(lake))
    victim = next((lake / "records").rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[::-1])
    checked = run(place, "snapshot", str(lake), "--check")
    assert checked.exit_code == 3
    assert checked.stdout.startswith(f"damage  {victim.relative_to(lake)}: is not what was written")
    as_json = run(place, "--json", "snapshot", str(lake), "--check")
    assert (as_json.exit_code, len(json.loads(as_json.stdout))) == (3, 1)


def test_a_check_where_there_is_no_snapshot_makes_none(place: Path, tmp_path: Path) -> None:
    refused = run(place, "snapshot", str(tmp_path / "lake"), "--check")
    assert (refused.exit_code, "there is no snapshot here" in refused.stderr) == (1, True)
    assert not (tmp_path / "lake").exists()


def test_names_that_look_like_sql_are_names(place: Path, tmp_path: Path) -> None:
    lake = tmp_path / "it's; drop table 'x' -- größe"
    assert data(place, "snapshot", str(lake))["new_files"] > 0
    assert run(place, "snapshot", str(lake), "--check").exit_code == 0


def test_a_full_disk_is_said_in_a_line_and_the_former_snapshot_stands(place: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    data(place, "snapshot", str(lake))
    put(place)
    assert data(place, "sql", "select count(*) as n from artifacts")  # Brings the history up, without a limit.
    limited = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    limited += " resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)); from mlmd.cli import main; main()"
    command = [sys.executable, "-c", limited, "-s", str(place), "snapshot", str(lake)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert refused.returncode == 1, refused.stderr
    assert "try: make room" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert run(place, "snapshot", str(lake), "--check").exit_code == 0
    assert data(place, "snapshot", str(lake))["new_records"] == 1


def test_without_duckdb_the_commands_that_need_it_say_what_to_install(place: Path, tmp_path: Path) -> None:
    (tmp_path / "none" / "duckdb").mkdir(parents=True)
    (tmp_path / "none" / "duckdb" / "__init__.py").write_text("raise ImportError")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "none"), *sys.path])}
    evlog = [sys.executable, "-m", "mlmd.cli", "-s", str(place)]
    for words, code in (
        (["snapshot", str(tmp_path / "lake")], 1),
        (["artifacts", "--from", "history"], 1),
        (["artifacts", "--filter", "id = 1"], 0),
    ):
        ran = subprocess.run([*evlog, *words], env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == code, ran.stderr
        assert ("pip install 'evlog-mlmd[analytics]'" in ran.stderr) == bool(code)


# Listings with a filter -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["view", "history"])
def test_a_filter_leaves_those_that_it_is_true_of(place: Path, source: str) -> None:
    def ids(*words: str) -> list[int]:
        return [row["id"] for row in data(place, *words, "--from", source)]

    put(place)
    assert ids("artifacts") == [1, 2]
    assert ids("artifacts", "--filter", "properties.version.int_value = 2") == [2]
    assert ids("artifacts", "--filter", "properties.version.int_value = 1") == []
    assert ids("--at", "#10", "artifacts", "--filter", "properties.version.int_value = 1") == [2]
    assert ids("artifacts", "DataSet", "--filter", "id > 0") == [1]
    assert ids("artifacts", "--sort", "updated", "--desc", "-n", "1") == [2]
    assert ids("executions", "--filter", "last_known_state = COMPLETE OR events_a.artifact_id = 1") == [1]
    assert ids("contexts", "--filter", "artifacts_a.type LIKE 'saved%'") == [1]
    assert ids("--at", "#0", "artifacts") == []


@pytest.mark.parametrize("source", ["view", "history"])
def test_a_wrong_filter_is_wrong_usage(place: Path, source: str) -> None:
    refused = run(place, "executions", "--from", source, "--filter", "nope = 1")
    assert refused.exit_code == 2
    assert "Unrecognized name: nope; of a run there are" in refused.stderr
    assert "[at 1:1]" in refused.stderr
    assert "try: evlog executions --help" in refused.stderr


def test_what_history_cannot_work_out_is_refused_without_blaming_the_view(place: Path) -> None:
    refused = run(place, "artifacts", "--from", "history", "--filter", "id << 70 = 1")
    assert (refused.exit_code, "a shift is by 0 to 63 bits" in refused.stderr) == (1, True)
    assert "replay" not in refused.stderr


def test_a_part_is_told_to_be_one(place: Path) -> None:
    cut = run(place, "-o", "jsonl", "artifacts", "-n", "1")
    assert "1 of 2 artifacts: -n 0 for all" in cut.stderr
    found = run(place, "-o", "jsonl", "artifacts", "--filter", "id = 1")
    assert "-n 0" not in found.stderr


def test_history_and_snapshot_show_the_same_rows(place: Path, tmp_path: Path) -> None:
    put(place)
    data(place, "snapshot", str(tmp_path / "lake"))
    of_sql = data(place, "sql", "select id, valid_from_offset from artifacts order by all")
    sql = f"select id, valid_from_offset from '{tmp_path}/lake/artifacts/*/*.parquet' order by all"
    assert [tuple(row.values()) for row in of_sql] == duckdb.connect().execute(sql).fetchall()
