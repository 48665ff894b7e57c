"""`evlog verify`: what it says of a sound store, and of one that is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import apsw
import duckdb
import pytest
from commands import run

from evlog import log as log_module
from evlog import worker
from evlog.worker import processors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three segments, with both views."""
    place = tmp_path_factory.mktemp("verify") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "SEGMENT_RECORDS_MAX", 5)
        assert run("demo", "--guide", str(place)).exit_code == 0
    assert run("-s", str(place), "replay", "--view", "history").exit_code == 0
    return place


def verified(place: Path, *words: str, code: int = 0) -> Any:
    result = run("-s", str(place), "verify", "--json", *words)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_sound_store_says_what_was_checked_at_which_rate_and_its_state(place: Path) -> None:
    result = run("-s", str(place), "verify", "--deep", "--jobs", "2")
    assert result.exit_code == 0
    state = verified(place)["state"]
    assert "13 records, 3 segments" in result.stderr
    assert "records/s" in result.stderr
    assert "2 processes" in result.stderr
    assert f"ok      state {state['digest']} after 13 records" in result.stdout
    assert f"replaced {state['replaced']}" in result.stdout
    assert "a replay, the current view, the history view" in result.stdout


def test_the_state_is_the_same_by_every_way_and_not_that_of_another_store(place: Path) -> None:
    shallow, deep = verified(place), verified(place, "--deep")
    assert shallow["state"]["digest"] == deep["state"]["digest"]
    assert deep["state"]["views"] == {"current": 13, "history": 13}
    assert (shallow["state"]["compared"], deep["state"]["compared"]) == ("rows", "states and rows")
    assert verified(place, "--log-only")["state"] is None
    assert deep["findings"] == []


def test_the_views_are_compared_each_at_its_own_offset(place: Path) -> None:
    """The history view is behind; then a view of a moment before that of the other takes the current one's place."""
    assert run("-s", str(place), "import", "--help").exit_code == 0
    code = "import sys; from mlmd import MetadataStore; from mlmd.opening import *; from mlmd.proto import metadata_store_pb2 as pb\n"
    code += "c = pb.ConnectionConfig(); c.sqlite.filename_uri = sys.argv[1]; s = MetadataStore(c)\n"
    code += "s.put_artifact_type(pb.ArtifactType(name='Late')); s.close()"
    old = (place / "views" / "current.sqlite").resolve().read_bytes()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(place)], check=True, env=environment)
    assert verified(place, "--deep")["state"]["views"] == {"current": 14, "history": 13}
    assert run("-s", str(place), "replay", "--view", "history").exit_code == 0
    (place / "views" / "current.sqlite").resolve().write_bytes(old)
    told = verified(place, "--deep")
    assert told["state"]["views"] == {"current": 13, "history": 14}
    assert [one["severity"] for one in told["findings"]] == ["note"]


def test_an_altered_row_is_named_by_its_table_and_exits_with_3(place: Path) -> None:
    connection = duckdb.connect(str((place / "views" / "history.duckdb").resolve()))
    connection.execute("update events set path = '[1]'::json::variant where id = 1").fetchall()
    connection.close()
    (found,) = verified(place, "--deep", code=3)["findings"]
    assert "history view's events differ from a replay" in found["what"]
    assert (found["severity"], found["offset"]) == ("damage", 13)
    assert found["file"].endswith(".duckdb")
    (found,) = verified(place, code=3)["findings"]
    assert "history view differs" in found["what"]
    text = run("-s", str(place), "verify", "--deep")
    assert text.exit_code == 3
    assert "damage" in text.stdout
    assert "state" not in text.stdout


def test_an_answer_that_is_no_message_is_damage_and_no_traceback(place: Path) -> None:
    connection = apsw.Connection(str((place / "views" / "current.sqlite").resolve()))
    for table, value in {"artifact": "x'00'", "event": "x'0aff'", "type": "x''", "context": "x'0a0108ff'"}.items():
        with connection:
            connection.execute(f"update {table} set body = {value}")
        (found,) = verified(place, "--deep", code=3)["findings"]
        assert found["severity"] == "damage", table


def test_deep_says_what_it_did_not_check(place: Path) -> None:
    for path in (place / "views").glob("history*"):
        path.unlink()
    told = verified(place, "--deep")
    assert told["state"]["views"] == {"current": 13}
    assert ["not checked: there is none" in one["what"] for one in told["findings"]] == [True]
    assert verified(place)["findings"] == []
    assert "history view" in run("-s", str(place), "verify", "--deep").stdout


def test_without_duckdb_deep_says_that_the_history_view_was_not_checked(place: Path) -> None:
    code = "import sys; sys.modules['duckdb'] = None\nfrom mlmd.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "-s", str(place), "verify", "--deep", "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    (note,) = json.loads(done.stdout)["findings"]
    assert (note["severity"], "not checked" in note["what"]) == ("note", True)


def test_a_view_that_is_gone_leaves_the_other_to_be_compared(place: Path) -> None:
    for path in (place / "views").glob("current*"):
        path.unlink()
    told = verified(place, "--deep")
    assert told["state"] is None
    assert [one["severity"] for one in told["findings"]] == ["note"]
    connection = duckdb.connect(str((place / "views" / "history.duckdb").resolve()))
    connection.execute("update artifacts set uri = 'x'").fetchall()
    connection.close()
    assert any("artifacts differ" in one["what"] for one in verified(place, "--deep", code=3)["findings"])


def test_a_finding_has_file_position_and_offset_whatever_the_number_of_jobs(place: Path) -> None:
    path = sorted((place / "log").glob("*.seg"))[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found = [verified(place, "--jobs", jobs, code=3)["findings"] for jobs in ("1", "3")]
    assert found[0] == found[1]
    assert found[0][0]["file"] == str(path)
    assert found[0][0]["segment"] == 5
    assert 0 < found[0][0]["position"] <= len(data) // 2
    assert 5 <= found[0][0]["offset"] < 10


def test_a_process_that_dies_is_a_refusal_with_a_next_step(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_PROGRAM", "raise SystemExit(9)")
    result = run("-s", str(place), "verify", "--jobs", "2")
    assert result.exit_code == 1
    assert "ended with 9" in result.stderr
    assert "verify --jobs 1" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "many"], "--jobs"),
        (["--jobs", "1000"], "--jobs"),
        (["--deep", "--log-only"], "--log-only leaves out"),
    ],
)
def test_wrong_usage_exits_with_2(place: Path, words: list[str], told: str) -> None:
    result = run("-s", str(place), "verify", *words)
    assert (result.exit_code, told in result.stderr) == (2, True)


def test_there_is_a_core_to_run_on() -> None:
    assert processors() >= 1
