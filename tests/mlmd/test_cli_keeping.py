"""`evlog backup` and `evlog restore`, as a person and as a program use them, and while others write."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from commands import data, run

from evlog.files import RealFolder
from evlog.log import Log
from evlog.upkeep.restore import check as check_backup
from mlmd import MetadataStore
from mlmd.opening import BODIES
from mlmd.proto import metadata_store_pb2 as pb
from replay.asof import as_of

if TYPE_CHECKING:
    from pathlib import Path

    from tally import Tally

pytestmark = pytest.mark.slow

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
COMMAND = """
import evlog.segment
evlog.segment.INDEX_STEP = 4  # As the writers have it: a seal is checked for the positions that it keeps.
from mlmd.cli import main
main()
"""
WRITER = """
import sys
import evlog.compressor, evlog.log, evlog.segment
evlog.log.SEGMENT_RECORDS_MAX, evlog.segment.INDEX_STEP = 16, 4
evlog.compressor.DELAY_S, evlog.compressor.REST_S = 0.5, 0.0  # So that segments change their form beneath the backup.
from mlmd import MetadataStore
from mlmd.proto import metadata_store_pb2 as pb
place, name, puts = sys.argv[1:]
store = MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=place)))
type_id = store.put_artifact_type(pb.ArtifactType(name="Model", properties={"step": pb.INT}))
[mine] = store.put_artifacts([pb.Artifact(type_id=type_id, name=name)])
print("begun", flush=True)
for step in range(int(puts)):
    [one] = store.get_artifacts_by_id([mine])
    one.properties["step"].int_value = step
    store.put_artifacts([one])
store.close()
"""


@pytest.fixture
def copy(place: Path, tmp_path: Path) -> Path:
    assert run("-s", str(place), "backup", str(tmp_path / "copy")).exit_code == 0
    return tmp_path / "copy"


def config_of(place: Path) -> pb.ConnectionConfig:
    return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))


def refused(code: int, *words: str) -> str:
    result = run(*words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    what, hint = result.stderr.splitlines()
    assert what.startswith("evlog: ")
    assert hint.startswith("try: ")
    return what


def put(place: Path, name: str) -> None:
    store = MetadataStore(config_of(place))
    [one] = store.get_artifacts_by_id([1])
    one.name = name
    store.put_artifacts([one])
    store.close()


def digest_at(place: Path, end: int) -> str:
    """Return the state digest of the first `end` records of a store."""
    log = Log.open(place / "log", writable=False)
    view = as_of(log, end, BODIES)
    try:
        return view.digest()
    finally:
        view.close()
        log.close()


def test_a_backup_is_a_store_that_can_be_looked_at(place: Path, copy: Path) -> None:
    assert [path.name for path in copy.iterdir()] == ["log"]
    assert data("-s", str(copy), "artifacts") == data("-s", str(place), "artifacts")
    assert data("-s", str(copy), "verify")["sound"] is True
    told = data("-s", str(copy), "status")
    assert (told["records"], told["root"]) == (13, data("-s", str(place), "status")["root"])


def test_a_backup_tells_a_program_what_it_did(place: Path, tmp_path: Path) -> None:
    dest = str(tmp_path / "made" / "on" / "the" / "way")
    first = data("-s", str(place), "backup", dest)
    assert (first["records"], first["records_before"], first["files"], first["files_copied"]) == (13, 0, 2, 1)
    put(place, "renamed")
    second = data("-s", str(place), "backup", dest)
    assert (second["records"], second["records_before"]) == (14, 13)
    assert 0 < second["bytes_copied"] < first["bytes_copied"]
    assert second["root"] == data("-s", str(place), "status")["root"]
    result = run("-s", str(place), "-q", "backup", dest)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "bytes copied    0\n" in result.stdout


def test_a_folder_that_cannot_take_the_backup_is_refused_and_left_alone(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("x")
    link = tmp_path / "link"
    link.symlink_to(place)
    for dest, why in [
        (other, "not empty"),
        (other / "file", "not a folder"),
        (place, "the store itself"),
        (link, "the store itself"),
        (place / "views" / "copy", "inside its store"),
        (tmp_path, "inside its store"),
    ]:
        assert why in refused(1, "-s", str(place), "backup", str(dest))
    assert sorted(path.name for path in other.iterdir()) == ["file"]
    assert run("demo", "--guide", str(tmp_path / "second")).exit_code == 0
    assert "no backup" in refused(1, "-s", str(place), "backup", str(tmp_path / "second"))
    assert run("backup").exit_code == 2
    assert run("--at", "now", "-s", str(place), "backup", str(tmp_path / "at")).exit_code == 0
    assert run("--at", "#1", "-s", str(place), "backup", str(tmp_path / "at")).exit_code == 2
    assert "there is no store" in refused(1, "-s", str(tmp_path / "none"), "backup", str(tmp_path / "of-none"))
    assert not (tmp_path / "of-none").exists()


def test_a_folder_that_cannot_be_written_ends_in_a_line(place: Path) -> None:
    assert "/proc/" in refused(1, "-s", str(place), "backup", "/proc/copy")


def test_a_store_that_was_rolled_back_is_an_alarm(made: Path, place: Path, copy: Path) -> None:
    put(place, "renamed")
    assert run("-s", str(place), "backup", str(copy)).exit_code == 0
    assert "part at #13" in refused(3, "-s", str(made), "backup", str(copy))
    put(copy, "put into the backup")
    assert "part at #14" in refused(3, "-s", str(place), "backup", str(copy))


def test_a_store_is_brought_back_as_it_was_last(place: Path, copy: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    told = data("restore", str(copy), str(new))
    assert (told["records"], told["left_out"], told["root"]) == (13, 0, data("-s", str(place), "status")["root"])
    for what in ("artifacts", "executions", "contexts", "types"):
        assert data("-s", str(new), what) == data("-s", str(place), what)
    assert data("-s", str(new), "verify")["findings"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "new", "store"]


def test_any_moment_is_brought_back_and_the_log_says_so(place: Path, copy: Path, tmp_path: Path) -> None:
    records = data("-s", str(place), "log", "-n", "0", "--reverse")
    for end, moment in [(8, "#8"), (9, records[8]["time"]), (0, "#0"), (13, "now")]:
        new = tmp_path / f"new-{end}"
        result = run("-s", str(new), "restore", str(copy), "--at", moment, "--reason", "ticket 81")
        assert result.exit_code == 0, result.output
        (last,) = data("-s", str(new), "log", "-n", "1")
        assert (last["offset"], last["api"], last["reason"]) == (end, "Restore", "ticket 81")
        assert (last["changes"][0]["t"], last["changes"][0]["end"], last["changes"][0]["made_end"]) == (
            "restored",
            end,
            13,
        )
        assert digest_at(new, end) == digest_at(place, end)
        put_into = MetadataStore(config_of(new))
        put_into.close()
    assert "restored the first 8 records from a backup" in run("-s", str(tmp_path / "new-8"), "log").stdout


def test_verify_compares_a_backup_with_its_manifest(copy: Path) -> None:
    path = copy / "log" / "BACKUP"
    sound = path.read_text()
    for old, new, why in [
        ('"end": 13', '"end": 12', "the root is not that"),
        ('"size": 1', '"size": 2', "cannot be trusted"),
    ]:
        path.write_text(sound.replace(old, new))
        result = run("-s", str(copy), "verify", "--json")
        assert result.exit_code == 3
        (finding,) = [one for one in json.loads(result.stdout)["findings"] if one["severity"] == "damage"]
        assert why in finding["what"]


def test_a_restore_that_cannot_be_done_makes_nothing(place: Path, copy: Path, tmp_path: Path) -> None:
    new = str(tmp_path / "new")
    assert "it is there already" in refused(1, "restore", str(copy), str(place))
    assert "it is there already" in refused(1, "-s", str(place), "restore", str(copy))
    assert "to which folder" in refused(2, "restore", str(copy))
    assert "no finished backup" in refused(1, "restore", str(place), new)
    assert "no finished backup" in refused(1, "restore", str(tmp_path / "none"), new)
    assert "has not reached: it ends at #13" in refused(1, "restore", str(copy), new, "--at", "#14")
    assert "when the backup was made" in refused(1, "restore", str(copy), new, "--at", "2999-01-01")
    assert run("restore", str(copy), new, "--at", "whenever").exit_code == 2
    segment = next((copy / "log").glob("*.seg"))
    sound = segment.read_bytes()
    segment.write_bytes(sound[:-1])
    assert "cannot be trusted" in refused(3, "restore", str(copy), new)
    segment.unlink()
    assert "missing" in refused(3, "restore", str(copy), new)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "store"]
    assert "/proc/new" in refused(1, "restore", str(_mended(segment, sound)), "/proc/new")


def test_a_reason_in_bytes_that_are_no_text_is_refused(copy: Path, tmp_path: Path) -> None:
    result = run("restore", str(copy), str(tmp_path / "new"), "--reason", "caf\udce9")
    assert (result.exit_code, "no text in UTF-8" in result.stderr) == (2, True)
    assert not (tmp_path / "new").exists()


def _mended(segment: Path, data: bytes) -> Path:
    segment.write_bytes(data)
    return segment.parent.parent


@pytest.mark.faults
def test_a_backup_made_and_killed_while_others_write_and_die_is_a_moment_of_the_store(
    tmp_path: Path, full: bool, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evlog.segment.INDEX_STEP", 4)
    turns = 60 if full else 6
    tally("kill others", turns)
    place, dest, rng = tmp_path / "store", tmp_path / "copy", random.Random(11)
    MetadataStore(config_of(place)).close()
    ends: list[tuple[int, str]] = []
    writers = [_writer(place, f"writer {number}") for number in range(3)]
    try:
        for turn in range(turns):
            if turn % 3 == 2:  # One of them dies, another takes its place.
                writers[0].send_signal(signal.SIGKILL)
                _over(writers.pop(0))
                writers.append(_writer(place, f"writer of turn {turn}"))
            backing = subprocess.Popen(
                [sys.executable, "-c", COMMAND, "-s", str(place), "backup", str(dest), "--json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
            )
            if turn % 2:
                time.sleep(rng.random() * 0.8)
                backing.send_signal(signal.SIGKILL)
            out, said = backing.communicate(timeout=120)
            assert backing.returncode in (0, -signal.SIGKILL), said
            if backing.returncode == 0:
                told = json.loads(out)
                ends.append((told["records"], told["root"]))
            if ends:
                assert check_backup(RealFolder(dest / "log")).end >= ends[-1][0], "what was said to be kept is kept"
    finally:
        for writer in writers:
            writer.kill()
            _over(writer)
    assert ends == sorted(ends)
    assert len({end for end, _ in ends}) > 1, "the store grew meanwhile"
    _restored_is_what_was(place, dest, ends, tmp_path)


def _restored_is_what_was(place: Path, dest: Path, ends: list[tuple[int, str]], tmp_path: Path) -> None:
    log = Log.open(place / "log", writable=False)
    for end, root in ends:
        assert log.tip_at(end).tree.root().hex() == root
    log.close()
    kept = check_backup(RealFolder(dest / "log")).end
    for number, end in enumerate([kept, ends[0][0], kept // 2]):
        new = tmp_path / f"new-{number}"
        assert run("restore", str(dest), str(new), "--at", f"#{end}").exit_code == 0
        assert digest_at(new, end) == digest_at(place, end)
        assert data("-s", str(new), "verify")["findings"] == []


def _writer(place: Path, name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(place), name, "100000"], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def _over(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.stdout.close()
    process.wait(timeout=60)
