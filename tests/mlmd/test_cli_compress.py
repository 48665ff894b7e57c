"""`evlog compress`, and what the other commands say of a store with compressed segments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from commands import data, run

from evlog import compression, segment
from evlog.files import RealFolder
from mlmd import MetadataStore
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from tally import Tally

pytestmark = [pytest.mark.usefixtures("small_segments", "_one_form_at_a_time"), pytest.mark.slow]
PUTS = 45


@pytest.fixture
def _one_form_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVLOG_COMPRESS", "off")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "store"
    store = MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))
    type_id = store.put_artifact_type(pb.ArtifactType(name="Model", properties={"step": pb.INT}))
    for number in range(PUTS - 2):
        store.put_artifacts([pb.Artifact(type_id=type_id, name=f"model {number}", uri=f"s3://models/{number}")])
    store.close()
    return place


def refused(code: int, *words: str) -> str:
    result = run(*words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    what, hint = result.stderr.splitlines()
    assert (what[:7], hint[:5]) == ("evlog: ", "try: ")
    return what


def raw(place: Path) -> int:
    return len(list((place / "log").glob("*.seg")))


def test_compress_tells_what_became_smaller_and_that_nothing_is_left_to_do(place: Path) -> None:
    told = data("-s", str(place), "compress")
    assert (told["segments"], told["segments_compressed"]) == (6, 5)
    assert told["bytes_before"] > told["bytes_after"] > 0
    assert told["ratio"] == round(told["bytes_before"] / told["bytes_after"], 2) > 1
    assert raw(place) == 1
    again = run("-s", str(place), "compress")
    assert "nothing to compress" in again.stderr
    assert "-" not in data("-s", str(place), "compress")
    assert data("-s", str(place), "compress")["ratio"] is None


@pytest.mark.parametrize("form", ["json", "jsonl", "tsv", "csv", "table"])
def test_compress_speaks_every_format(place: Path, form: str) -> None:
    result = run("-s", str(place), "compress", "-o", form)
    assert result.exit_code == 0
    assert "ratio" in result.stdout


def test_every_answer_is_the_same_before_and_after(place: Path) -> None:
    questions = [
        ("artifacts",),
        ("--at", "#12", "artifacts"),
        ("log",),
        ("log", "art:7"),
        ("diff", "#5", "#30"),
        ("blame", "art:3"),
        ("show", "art:20"),
        ("verify",),
    ]
    before = [data("-s", str(place), *words) for words in questions]
    roots = [data("-s", str(place), "--at", f"#{end}", "status")["root"] for end in range(0, PUTS, 4)]
    assert data("-s", str(place), "compress")["segments_compressed"] == 5
    assert [data("-s", str(place), *words) for words in questions] == before
    assert [data("-s", str(place), "--at", f"#{end}", "status")["root"] for end in range(0, PUTS, 4)] == roots
    assert data("-s", str(place), "replay")["equal_to_the_one_before"]
    shutil.rmtree(place / "views")
    assert [data("-s", str(place), *words) for words in questions[:-1]] == before[:-1], (
        "from a replay of what is compressed"
    )


def test_status_tells_size_and_ratio(place: Path) -> None:
    before = data("-s", str(place), "status")
    assert (before["segments"], before["compressed"], before["ratio"]) == (6, 0, 1.0)
    done = data("-s", str(place), "compress")
    after = data("-s", str(place), "status")
    assert (after["segments"], after["compressed"]) == (6, 5)
    assert after["bytes"] == before["bytes"]
    assert before["bytes_on_disk"] - after["bytes_on_disk"] == done["bytes_before"] - done["bytes_after"]
    assert after["ratio"] == round(after["bytes"] / after["bytes_on_disk"], 2)


def test_a_store_whose_segments_are_all_compressed_but_the_last_is_found_and_put_into(place: Path) -> None:
    run("-s", str(place), "compress")
    (place / "log" / "HEAD").unlink()
    assert data("-s", str(place), "verify")["records"] == PUTS
    config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))
    store = MetadataStore(config)
    store.put_artifact_type(pb.ArtifactType(name="Another"))
    store.close()
    assert data("-s", str(place), "status")["records"] == PUTS + 1


def test_what_cannot_be_trusted_is_left_as_it_is(place: Path) -> None:
    path = place / "log" / segment.name_of(8)
    path.chmod(0o644)
    sound = path.read_bytes()
    path.write_bytes(sound[:600] + bytes([sound[600] ^ 1]) + sound[601:])
    assert f"{segment.name_of(8)}: byte" in refused(3, "-s", str(place), "compress")
    assert raw(place) == 5, "the one before it is done"
    path.write_bytes(sound)
    assert data("-s", str(place), "compress")["segments_compressed"] == 4


def test_damage_in_a_compressed_segment_ends_with_3_and_names_the_place(place: Path) -> None:
    run("-s", str(place), "compress")
    path = place / "log" / segment.compressed_name_of(16)
    path.chmod(0o644)
    sound = path.read_bytes()
    for spoiled in (sound[:200] + bytes([sound[200] ^ 1]) + sound[201:], sound[:-1], b""):
        path.write_bytes(spoiled)
        result = run("-s", str(place), "verify", "--json")
        assert result.exit_code == 3
        [finding] = [one for one in json.loads(result.stdout)["findings"] if one["severity"] == "damage"]
        assert finding["file"] == str(path)
        assert 0 <= finding["position"] <= len(sound)
        assert finding["offset"] == 16
        for words in (["log"], ["replay"], ["backup", str(place.parent / "copy")]):
            assert path.name in refused(3, "-s", str(place), *words), words
    path.write_bytes(sound)
    assert run("-s", str(place), "verify").exit_code == 0


def test_without_head_nothing_is_compressed_and_the_next_command_is_told(place: Path) -> None:
    (place / "log" / "HEAD").unlink()
    assert "HEAD is missing or damaged" in refused(1, "-s", str(place), "compress")
    assert raw(place) == 6
    assert run("-s", str(place), "replay").exit_code == 0
    assert data("-s", str(place), "compress")["segments_compressed"] == 5


def test_where_there_is_nothing_to_compress_it_is_said(tmp_path: Path) -> None:
    assert "there is no store" in refused(1, "-s", str(tmp_path), "compress")
    (tmp_path / "file").touch()
    refused(1, "-s", str(tmp_path / "file"), "compress")
    assert run("init", str(tmp_path / "new")).exit_code == 0
    assert data("-s", str(tmp_path / "new"), "compress")["segments_compressed"] == 0
    assert run("-s", str(tmp_path / "new"), "--at", "#0", "compress").exit_code == 2
    (tmp_path / "new" / "log" / "LOGID").write_text("nonsense")
    refused(3, "-s", str(tmp_path / "new"), "compress")


def test_a_backup_is_compressed_and_checked_and_brought_back(place: Path, tmp_path: Path) -> None:
    copy, new = tmp_path / "copy", tmp_path / "new"
    data("-s", str(place), "backup", str(copy))
    assert data("-s", str(copy), "compress")["segments_compressed"] == 5
    assert data("-s", str(copy), "verify")["sound"], "as a log and against its manifest"
    assert data("-s", str(place), "backup", str(copy))["bytes_copied"] == 0
    for moment, records in (("#21", 22), (f"#{PUTS}", PUTS + 1)):
        data("restore", str(copy), str(new), "--at", moment)
        assert data("-s", str(new), "verify")["records"] == records
        shutil.rmtree(new)


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "EVLOG_COMPRESS": "off"}


@pytest.mark.faults
def test_a_run_that_is_killed_at_any_moment_changes_nothing_and_the_next_one_finishes(
    place: Path, tmp_path: Path, full: bool, tally: Tally
) -> None:
    tally("kill others", 60 if full else 3)
    started = time.monotonic()
    shutil.copytree(place, tmp_path / "probe", symlinks=True)
    command = [sys.executable, "-m", "mlmd.cli", "-q", "compress", "-s"]
    subprocess.run([*command, tmp_path / "probe"], check=True, env=ENVIRONMENT, capture_output=True)
    took_s = time.monotonic() - started
    root = data("-s", str(place), "status")["root"]
    for turn in range(60 if full else 3):
        store = tmp_path / f"store {turn}"
        shutil.copytree(place, store, symlinks=True)
        running = subprocess.Popen([*command, store], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        time.sleep(took_s * (0.5 + turn % 3 / 5))
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert data("-s", str(store), "verify", "--log-only")["root"] == root
        data("-s", str(store), "compress")
        assert raw(store) == 1
        assert data("-s", str(store), "verify")["root"] == root
        assert not list((store / "log").glob("*.new"))


def test_a_lock_that_cannot_be_made_and_a_file_in_the_way_are_refusals(place: Path) -> None:
    (place / "log" / compression.LOCK_NAME).mkdir()
    assert compression.LOCK_NAME in refused(1, "-s", str(place), "compress")
    (place / "log" / compression.LOCK_NAME).rmdir()
    (place / "log" / f"{segment.compressed_name_of(0)}.new").mkdir()
    assert "cannot create" in refused(1, "-s", str(place), "compress")
    assert raw(place) == 6
    (place / "log" / f"{segment.compressed_name_of(0)}.new").rmdir()
    assert data("-s", str(place), "compress")["segments_compressed"] == 5


def test_the_lock_of_compressing_is_not_that_of_writing(place: Path) -> None:
    config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))
    lock = RealFolder(place / "log").lock(compression.LOCK_NAME)
    lock.acquire()
    store = MetadataStore(config)
    store.put_artifact_type(pb.ArtifactType(name="Another"))
    store.close()
    lock.release()
    lock.close()
