"""The command where it gets rough: hostile names, lost records, other people's folders, hands that leave the keyboard."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest
from commands import run

import mlmd.cli.history
import mlmd.cli.progress
import replay.reading
from evlog import identity, segment
from evlog.files import RealFolder
from evlog.frame import RECORD, seed_of
from mlmd import MetadataStore
from mlmd.cli.settings import Settings
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

SEGMENT = f"{0:020d}.seg"
ESCAPE = "evil\x1b]0;title\x07\x1b[31m\x9b\n"
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24


def data(place: Path, *words: str) -> Any:
    result = run("-s", str(place), "-o", "json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def opened(place: Path) -> MetadataStore:
    return MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))


def lose_the_end(place: Path, records: int) -> None:
    """Cut the log after some records, cleanly, and its HEAD with it: only the view knows that there were more."""
    folder = RealFolder(place / "log")
    file = folder.open(SEGMENT)
    frames = [
        frame for frame in segment.walk(file, 0, seed=seed_of(identity.read(folder).log_id)) if frame.kind == RECORD
    ]
    file.close()
    os.truncate(place / "log" / SEGMENT, frames[records].position)
    (place / "log" / "HEAD").unlink()


def test_replay_does_not_replace_the_only_witness_of_lost_records(place: Path) -> None:
    lose_the_end(place, 10)
    before = (place / "log" / SEGMENT).read_bytes(), (place / "views" / "current.sqlite").resolve()
    assert run("-s", str(place), "verify").exit_code == 3
    result = run("-s", str(place), "replay")
    assert result.exit_code == 3
    assert "13" in result.stderr
    assert ((place / "log" / SEGMENT).read_bytes(), (place / "views" / "current.sqlite").resolve()) == before
    assert run("-s", str(place), "verify").exit_code == 3, "the evidence is still there"


def test_a_log_that_is_gone_beside_its_view_is_damage(place: Path) -> None:
    shutil.rmtree(place / "log")
    for words in (["verify"], ["replay"], ["status"]):
        assert run("-s", str(place), *words).exit_code == 3, words


def test_a_name_cannot_steer_the_terminal(place: Path) -> None:
    store = opened(place)
    [type_id] = [one.id for one in store.get_artifact_types() if one.name == "DataSet"]
    artifact = pb.Artifact(type_id=type_id, uri=ESCAPE, name=ESCAPE)
    artifact.custom_properties[ESCAPE].string_value = ESCAPE
    [made] = store.put_artifacts([artifact])
    store.close()
    for words in (["artifacts"], ["show", f"art:{made}"], ["log", f"art:{made}"]):
        text = run("-s", str(place), *words).stdout
        assert not any(code in text for code in ("\x1b", "\x07", "\x9b")), words
        assert "evil\\x1b]0;" in text, words
    assert data(place, "show", f"art:{made}")["uri"] == ESCAPE


def test_an_event_of_a_time_that_no_calendar_holds_is_shown(place: Path) -> None:
    store = opened(place)
    store.put_events([pb.Event(artifact_id=2, execution_id=1, type=pb.Event.INPUT, milliseconds_since_epoch=2**60)])
    store.close()
    assert data(place, "show", "run:1")["events"][-1]["time"] == f"{2**60} ms"
    assert run("-s", str(place), "show", "run:1").exit_code == 0


@pytest.mark.parametrize("number", [str(2**63), "9" * 30, "-1", "x", ""])
def test_an_id_that_cannot_be_is_wrong_usage(made: Path, number: str) -> None:
    for command in ("show", "log"):
        assert run("-s", str(made), command, f"art:{number}").exit_code == 2


def test_the_log_knows_types_too(made: Path) -> None:
    assert [row["api"] for row in data(made, "log", "type:Trainer")] == ["PutExecutionType"]


def test_a_moment_in_the_future_ends_the_log_where_it_ends_but_begins_nowhere(made: Path) -> None:
    assert len(data(made, "log", "--until", "2999-01-01")) == 13
    assert run("-s", str(made), "log", "--since", "2999-01-01").exit_code == 1
    assert data(made, "log", "--since", "#5", "--until", "#5") == []
    assert data(made, "log", "--since", "#9", "--until", "#5") == []


def test_a_record_put_at_the_very_time_was_put_since_then_and_until_then(made: Path) -> None:
    row = data(made, "log", "--since", "#7", "--until", "#8")[0]
    found = data(made, "log", "--since", row["time"], "--until", row["time"])
    assert [one["offset"] for one in found] == [7]


def test_the_log_backward_is_the_log_reversed_whatever_the_stretches(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = data(made, "log", "-n", "0", "--reverse")
    assert [row["offset"] for row in forward] == list(range(13))
    for shortest, longest in ((1, 1), (1, 5), (3, 4), (13, 13)):
        monkeypatch.setattr(replay.reading, "STRETCH_MIN", shortest)
        monkeypatch.setattr(replay.reading, "STRETCH_MAX", longest)
        assert data(made, "log", "-n", "0") == forward[::-1]
        assert data(made, "log", "run:1", "-n", "2") == data(made, "log", "run:1", "-n", "0", "--reverse")[:-3:-1]


def test_a_part_is_not_taken_for_all_by_a_program(made: Path) -> None:
    result = run("-s", str(made), "-o", "json", "artifacts", "-n", "1")
    assert (len(json.loads(result.stdout)), result.stderr) == (1, "1 of 2 artifacts: -n 0 for all\n")
    assert run("-s", str(made), "-q", "-o", "json", "artifacts", "-n", "1").stderr == ""
    assert run("-s", str(made), "-o", "json", "artifacts").stderr == ""


def test_looking_back_says_how_the_moment_was_understood(made: Path) -> None:
    result = run("-s", str(made), "--at", "2020-01-01", "status")
    assert "2020-01-01 00:00:00" in result.stderr
    assert "local time" in result.stderr
    assert "before the first record" in result.stderr
    assert "records #0 to #8" in run("-s", str(made), "--at", "#9", "artifacts").stderr
    assert run("-s", str(made), "-q", "--at", "#9", "artifacts").stderr == ""


def test_status_tells_the_view_on_disk_at_every_moment(place: Path) -> None:
    assert data(place, "status")["view_behind"] == 0
    assert data(place, "--at", "#6", "status")["view_behind"] == 0
    assert data(place, "status")["types"] == len(data(place, "types")) == 4
    shutil.rmtree(place / "views")
    result = run("-s", str(place), "status", "--json")
    assert json.loads(result.stdout)["view_behind"] is None
    assert "replay mends it" in result.stderr
    assert not (place / "views").exists(), "a look creates nothing"
    assert data(place, "replay")["equal_to_the_one_before"] is None
    assert data(place, "status")["view_behind"] == 0


def test_another_programs_folder_is_refused_even_with_a_log_in_it(tmp_path: Path) -> None:
    (tmp_path / "app" / "log").mkdir(parents=True)
    (tmp_path / "app" / "log" / "production.log").touch()
    (tmp_path / "app" / "Gemfile").touch()
    for words in (["verify"], ["replay"], ["status"], ["artifacts"]):
        assert run("-s", str(tmp_path / "app"), *words).exit_code == 1, words
    result = run("init", str(tmp_path / "app"))
    assert (result.exit_code, "not empty" in result.stderr) == (1, True)
    assert [entry.name for entry in (tmp_path / "app" / "log").iterdir()] == ["production.log"]


def test_a_folder_that_is_gone_under_a_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (["status"], ["-s", "store", "status"], ["init"]):
        result = run(*words)
        assert result.exit_code == 1
        assert result.stderr == "evlog: the folder that this runs in is gone\ntry: cd, into one that is there\n", words
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ["status", "verify", "replay", "log", "artifacts"])
def test_a_file_is_no_store(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_bytes(b"SQLite format 3\0")
    result = run("-s", str(tmp_path / "file"), command)
    assert result.exit_code == 1
    assert "unexpected" not in result.stderr
    assert (tmp_path / "file").read_bytes() == b"SQLite format 3\0"


def test_a_missing_segment_is_damage_that_verify_names(place: Path) -> None:
    (place / "log" / SEGMENT).unlink()
    for words in (["verify"], ["status"], ["replay"]):
        result = run("-s", str(place), *words)
        assert result.exit_code == 3, words
        assert SEGMENT in result.output


def test_a_folder_that_may_not_be_written_can_be_read(place: Path) -> None:
    for entry in [*place.rglob("*"), place]:
        if not entry.is_symlink():
            entry.chmod(0o555 if entry.is_dir() else 0o444)
    try:
        for words, code in ((["status"], 0), (["log"], 0), (["verify"], 0), (["replay"], 1), (["init", "new"], 1)):
            done = subprocess.run(
                [sys.executable, "-m", "mlmd.cli", "-s", str(place), *words],
                preexec_fn=_like_anybody,
                cwd=place,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == code, (words, done.stderr)
            assert "unexpected" not in done.stderr
            assert (code == 0) == (not done.stderr.startswith("evlog: ")), done.stderr
    finally:
        place.chmod(0o755)
        for entry in place.rglob("*"):
            if entry.is_dir():
                entry.chmod(0o755)


def _like_anybody() -> None:
    """Give up root's power over modes of files, for what is executed next."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)


def test_the_demo_speaks_to_programs_too(tmp_path: Path) -> None:
    result = run("-o", "json", "demo", "--guide", str(tmp_path / "demo"))
    told = json.loads(result.stdout)
    assert [step["end"] for step in told["steps"]] == [3, 4, 5, 6, 7, 8, 9, 10, 13]
    assert told["answers"]["trained_on"] == ["art:1"]
    assert told["as_of"] == {"offset": 9, "run": "run:1", "state": "RUNNING"}
    assert told["views"]["identical"] is True
    assert [(one["what"], one["thing"], one["offset"]) for one in told["diff"]] == [
        ("added", "type:Experiment", 10),
        ("changed", "run:1", 9),
        ("added", "ctx:1", 11),
        ("linked", "art:2 in ctx:1", 12),
        ("linked", "run:1 in ctx:1", 12),
    ]
    assert [(one["field"], one["value"], one["offset"]) for one in told["blame"]] == [
        ("properties.state", "COMPLETED", 9)
    ]
    assert [[list(row.values())[:2] for row in asked["answer"]] for asked in told["sql"]] == [
        [["DataSet", 1]],
        [["RUNNING", ANY], ["COMPLETED", ANY]],
        [[2, "path/to/model/file"]],
    ]


@pytest.mark.parametrize("guide", [[], ["--guide"]])
def test_the_demo_refuses_a_folder_that_no_store_can_be_in(tmp_path: Path, guide: list[str]) -> None:
    result = run("demo", *guide, str(tmp_path / "a\udcff"))
    assert result.exit_code == 2
    assert "no text in UTF-8" in result.stderr
    assert not list(tmp_path.iterdir())


def test_the_demo_does_without_duckdb(tmp_path: Path) -> None:
    code = "import sys; sys.modules['duckdb'] = None\nfrom mlmd.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "demo", "--guide", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "pip install 'evlog-mlmd[analytics]'" in done.stdout) == (0, True), done.stderr


def test_a_bare_command_is_a_question_for_help() -> None:
    assert run().stdout == run("--help").stdout
    assert run().exit_code == 0


def test_an_interrupt_ends_with_130_and_no_traceback(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mlmd.cli.history, "_range", interrupt)
    result = run("-s", str(made), "log")
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_a_fault_of_ours_is_a_line_and_with_v_a_traceback(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(mlmd.cli.history, "_range", fail)
    result = run("-s", str(made), "log")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 2)
    assert "unexpected ZeroDivisionError: oops" in result.stderr
    assert isinstance(run("-s", str(made), "-v", "log").exception, ZeroDivisionError)


def test_a_reader_that_goes_away_ends_the_command_with_141(made: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "mlmd.cli", "-s", str(made), "log", "-n", "0", "-o", "jsonl"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    "words", ["artifacts -o table", "artifacts -o csv", "artifacts -o json", "show art:1", "--help"]
)
def test_a_command_without_a_standard_output_writes_nothing_and_nowhere(place: Path, words: str) -> None:
    """Else the first file that it opens, maybe the log, would stand where others write."""
    line = f"{sys.executable} -m mlmd.cli -q -s {place} {words} >&-"
    done = subprocess.run(["/bin/sh", "-c", line], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
@pytest.mark.parametrize("words", ["--help", "artifacts --help", "--version", "artifacts -o json"])
def test_a_full_disk_under_what_is_written_is_a_line(made: Path, words: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mlmd.cli", "-q", "-s", made, *words.split()],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("evlog: No space left on device\ntry: ")
    assert done.stderr.count("\n") == 2


def test_a_bar_is_drawn_on_a_terminal_and_only_for_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []

    @contextlib.contextmanager
    def bar(_what: str, _unit: str) -> Iterator[Any]:
        yield lambda done, total: drawn.append((done, total))

    clock = iter([0.0, 0.1, 0.3, 0.4])
    monkeypatch.setattr(mlmd.cli.progress, "_bar", bar)
    monkeypatch.setattr(mlmd.cli.progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(mlmd.cli.progress, "sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True)))
    with mlmd.cli.progress.progress_of(Settings(), "replaying") as tell:
        assert tell is not None
        for done in (1, 2, 3):
            tell(done, 4)
    assert drawn == [(2, 4), (3, 4)]
    with mlmd.cli.progress.progress_of(Settings(quiet=True), "replaying") as tell:
        assert tell is None


def test_a_short_command_on_a_terminal_draws_nothing(made: Path) -> None:
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "mlmd.cli", "-s", str(made), "status"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=end, check=False)
    os.close(end)
    with contextlib.suppress(OSError):  # What Linux says at the end of a terminal that nobody wrote to.
        assert os.read(terminal, 1000) == b""
    os.close(terminal)
    assert done.returncode == 0


@pytest.mark.parametrize(
    "words",
    [("show", "run:9"), ("latest", "Nope"), ("keys", "show"), ("lineage", "nope"), ("init",), ("types", "Nope")],
)
def test_the_next_command_can_be_pasted_wherever_the_store_lies(tmp_path: Path, words: tuple[str, ...]) -> None:
    place = tmp_path / "our store's"
    assert run("-s", place, "init").exit_code == 0
    result = run("-s", place, *words)
    assert result.exit_code != 0
    next_command = result.stderr.partition("try: ")[2]
    assert shlex.split(next_command)[:3] == ["evlog", "-s", str(place)]
