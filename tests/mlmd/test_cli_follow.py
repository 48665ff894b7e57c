"""`log -f` and `follow`: records as they come, to a person, a pipe, a program that may die at any moment."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from evlog.log import Log
from mlmd import MetadataStore
from mlmd.cli import cli
from mlmd.cli import program as module
from mlmd.cli.output import rfc3339
from mlmd.cli.program import Program, State
from mlmd.cli.refusal import Refusal
from mlmd.demo import record_workflow
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

FOLLOWERS = Path(__file__).parents[2] / "docs" / "followers.md"
EVLOG = [sys.executable, "-m", "mlmd.cli"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
ACKNOWLEDGES = """
import json, sys
done = open(sys.argv[1], "a")
for line in sys.stdin:
    offset = json.loads(line)["offset"]
    print(offset, file=done, flush=True)  # Its work; then it says so.
    print(offset, flush=True)
    if offset == int(sys.argv[2]):
        sys.exit(5)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetadataStore]:
    place = str(tmp_path / "store")
    store = MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=place)))
    record_workflow(store)
    yield store
    store.close()


@pytest.fixture
def place(store: MetadataStore, tmp_path: Path) -> Path:
    assert store.log.end == 13
    return tmp_path / "store"


def evlog(place: Path, *words: object, **more: Any) -> subprocess.Popen[str]:
    command = [*EVLOG, "-s", str(place), *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT, **more)


def run(place: Path, *words: object) -> Result:
    return CliRunner().invoke(cli, ["-s", str(place), *map(str, words)], prog_name="evlog")


def out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def interrupted(process: subprocess.Popen[str]) -> str:
    """Interrupt a command that follows; return what it still wrote."""
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.strip()) == (130, "")
    return rest


def put_type(store: MetadataStore, name: str) -> None:
    store.put_artifact_type(pb.ArtifactType(name=name))


def acknowledging(tmp_path: Path, until: int = -1) -> str:
    program = tmp_path / "program.py"
    program.write_text(ACKNOWLEDGES, encoding="utf-8")
    return f"{sys.executable} {program} {tmp_path / 'done'} {until}"


def done(tmp_path: Path) -> list[int]:
    text = (tmp_path / "done").read_text(encoding="utf-8") if (tmp_path / "done").exists() else ""
    return [int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


# log -f ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "tsv"])
def test_the_last_records_are_shown_and_then_each_as_it_is_put(store: MetadataStore, place: Path, form: str) -> None:
    with evlog(place, "-q", "log", "-f", "-n", 2, "-o", form) as process:
        head = 1 if form in ("table", "csv", "tsv", "json") else 0
        lines = [out(process).readline() for _ in range(head + 1)]  # json: the bracket, a record.
        put_type(store, "Later")
        while "Later" not in lines[-1]:
            lines.append(out(process).readline())
        text = "".join(lines) + interrupted(process)
    rows: list[Any]
    if form == "table":
        rows = [line.split() for line in text.splitlines()[1:]]
        assert [row[0] for row in rows] == ["11", "12", "13"]
        assert "type:Later" in rows[-1]
        return
    if form == "json":
        rows = json.loads(text)
    elif form == "jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(text), delimiter="," if form == "csv" else "\t"))
    assert [int(row["offset"]) for row in rows] == [11, 12, 13]
    assert rows[-1]["api"] == "PutArtifactType"


def test_what_is_followed_can_be_filtered_as_the_log_can(store: MetadataStore, place: Path) -> None:
    actor = store_actor(store)
    with (
        evlog(place, "-q", "log", "type:Later", "-f", "--since", "#3", "--by", actor, "-o", "jsonl") as process,
        evlog(place, "-q", "log", "type:SavedModel", "-f", "--by", actor, "-o", "json") as other,
    ):
        lines = [out(other).readline() for _ in range(2)]
        put_type(store, "Sooner")
        put_type(store, "Later")
        row = json.loads(out(process).readline())
        assert (row["offset"], row["changes"][0]["name"]) == (14, "Later")
        [row] = json.loads("".join(lines) + interrupted(other))
        assert row["changes"][0]["name"] == "SavedModel"
        assert interrupted(process) == ""
    assert run(place, "log", "--by", "nobody", "-o", "json").stdout.strip() == "[]"


def store_actor(store: MetadataStore) -> str:
    return next(store.log.read(0)).record.envelope.actor


def test_all_of_the_log_and_then_what_comes(store: MetadataStore, place: Path) -> None:
    with evlog(place, "-q", "log", "-f", "-n", 0, "-o", "jsonl") as process:
        rows = [json.loads(out(process).readline()) for _ in range(13)]
        put_type(store, "Later")
        rows.append(json.loads(out(process).readline()))
        interrupted(process)
    assert [row["offset"] for row in rows] == list(range(14))
    again = [json.loads(line) for line in run(place, "log", "-n", 0, "--reverse", "-o", "jsonl").stdout.splitlines()]
    assert rows == again


def test_a_reader_that_goes_ends_it_without_a_word_even_if_nothing_comes(place: Path) -> None:
    for words in (["log", "-f"], ["follow"]):
        with evlog(place, *words) as process:
            out(process).readline()
            out(process).close()
            assert process.wait(60) == 141
            assert process.stderr is not None
            assert process.stderr.read() == ""


@pytest.mark.parametrize(
    "words", [["log", "-f", "--until", "now"], ["log", "-f", "--at", "#3"], ["follow", "--at", "#3"]]
)
def test_what_was_cannot_be_followed(place: Path, words: list[str]) -> None:
    assert run(place, *words).exit_code == 2


# replay --follow --------------------------------------------------------------------------------------------------------


def test_the_history_view_is_kept_up_and_free_for_others_meanwhile(store: MetadataStore, place: Path) -> None:
    with evlog(place, "replay", "--view", "history", "--follow", "-o", "jsonl") as process:
        assert json.loads(out(process).readline())["records"] == 13
        for number in range(3):
            put_type(store, f"Later {number}")
            assert json.loads(out(process).readline())["records"] == 14 + number
            [row] = json.loads(run(place, "sql", "select count(*) as records from records", "-o", "json").stdout)
            assert row["records"] == 14 + number
        interrupted(process)


def test_a_view_that_is_kept_up_anyway_is_not_followed(place: Path) -> None:
    result = run(place, "replay", "--follow")
    assert (result.exit_code, "--view history" in result.stderr) == (2, True)


# follow: standard output ------------------------------------------------------------------------------------------------


def test_follow_writes_every_record_as_a_line_of_json(store: MetadataStore, place: Path) -> None:
    with evlog(place, "follow", "--from", "#5") as process:
        rows = [json.loads(out(process).readline()) for _ in range(8)]
        put_type(store, "Later")
        rows.append(json.loads(out(process).readline()))
        interrupted(process)
    assert [row["offset"] for row in rows] == list(range(5, 14))


def test_damage_ends_it_with_the_place(place: Path) -> None:
    path = place / "log" / "00000000000000000000.seg"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with evlog(place, "follow") as process:
        text, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "00000000000000000000.seg: byte" in errors
    assert all(json.loads(line) for line in text.splitlines())


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--from", "#99"], 1, "ends at #13"),
        (["--from", "99"], 2, "write '#99'"),
        (["-o", "csv"], 2, "lines of JSON"),
        (["--state", "x"], 2, "needs --exec"),
        (["--exec", "'"], 2, "No closing quotation"),
        (["--exec", " "], 2, "names no command"),
        (["--exec", "no-such-program"], 1, "No such file"),
        (["--exec", "cat", "--state", "no-such-folder/x"], 1, "No such file"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_a_reason(place: Path, words: list[str], code: int, says: str) -> None:
    result = run(place, "follow", *words)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr
    assert run(place / "none", "follow").exit_code == 1


# follow: a program ------------------------------------------------------------------------------------------------------


def test_a_program_is_fed_and_its_end_is_told(place: Path, tmp_path: Path) -> None:
    result = run(place, "follow", "--exec", f"sh -c 'head -n 3 > {tmp_path / 'fed'}'")
    assert result.exit_code == 0
    assert "sh ended" in result.stderr
    lines = (tmp_path / "fed").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["offset"] for line in lines] == [0, 1, 2]


@pytest.mark.parametrize(
    ("line", "says"), [("exit 3", "ended with status 3"), ("kill -9 $$", "was killed by signal 9")]
)
def test_a_program_that_fails_stops_the_follower_which_says_where_it_stood(place: Path, line: str, says: str) -> None:
    result = run(place, "follow", "--exec", f"sh -c 'read -r one; {line}'")
    assert result.exit_code == 1
    assert says in result.stderr
    assert "fed the records before #" in result.stderr


def test_a_program_that_fails_is_fed_again_from_where_it_was_done(place: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    result = run(place, "follow", "--exec", acknowledging(tmp_path, until=7), "--state", state)
    assert result.exit_code == 1
    assert "has done those before #8" in result.stderr
    assert json.loads(state.read_text(encoding="utf-8"))["applied"] == 8
    result = run(place, "follow", "--exec", acknowledging(tmp_path, until=12), "--state", state)
    assert "going on at #8" in result.stderr
    assert done(tmp_path) == list(range(13))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "program.py", "state", "store"]


def test_an_interrupt_ends_the_input_of_the_program_and_waits_for_its_last_word(place: Path, tmp_path: Path) -> None:
    program = "import sys; lines = sys.stdin.read().splitlines(); print(len(lines) - 1)"
    state = tmp_path / "state"
    with evlog(place, "follow", "--exec", f'{sys.executable} -c "{program}"', "--state", state) as process:
        while not state.exists():
            time.sleep(0.01)
        time.sleep(0.5)  # However many it was fed by then.
        interrupted(process)
    assert 0 <= json.loads(state.read_text(encoding="utf-8"))["applied"] <= 13


@pytest.mark.parametrize("said", ["hello", "99", "-1", "1.5", "9" * 30, "²"])
def test_a_program_that_says_what_is_no_offset_is_ended(place: Path, tmp_path: Path, said: str) -> None:
    result = run(place, "follow", "--exec", f"sh -c 'read -r one; echo {said}; cat'", "--state", tmp_path / "state")
    assert result.exit_code == 1
    assert "its output is for offsets" in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"log": "", "applied": -1, "prev": ""}',
        '{"log": "00", "applied": -1, "prev": "x"}',
        "\x00\xff",
        "null",
    ],
)
def test_a_state_that_is_none_is_refused(place: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "state").write_text(text, encoding="latin-1")
    result = run(place, "follow", "--exec", "cat", "--state", tmp_path / "state")
    assert result.exit_code == 1
    assert "remove it" in result.stderr


def test_the_state_of_another_log_and_of_one_that_went_back_is_refused(
    store: MetadataStore, place: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    run(place, "follow", "--exec", acknowledging(tmp_path, until=12), "--state", state)
    kept = json.loads(state.read_text(encoding="utf-8"))
    state.write_text(json.dumps(kept | {"log": "00" * 16}), encoding="utf-8")
    result = run(place, "follow", "--exec", "cat", "--state", state)
    assert (result.exit_code, "another log" in result.stderr) == (1, True)
    state.write_text(json.dumps(kept | {"prev": "00" * 16}), encoding="utf-8")
    result = run(place, "follow", "--exec", "cat", "--state", state)
    assert (result.exit_code, "record 12 is another" in result.stderr) == (3, True)
    state.write_text(json.dumps(kept | {"applied": 14}), encoding="utf-8")
    result = run(place, "follow", "--exec", "cat", "--state", state)
    assert (result.exit_code, "ends before record 14" in result.stderr) == (3, True)
    assert store.log.end == 13


def test_a_program_that_does_not_read_is_not_waited_for_for_ever(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    log = Log.open(place / "log", writable=False)
    program = Program(["sleep", "600"], State(None, log, 0))
    with pytest.raises(KeyboardInterrupt), program:
        raise KeyboardInterrupt
    assert program.status == -signal.SIGKILL
    log.close()


def test_a_state_never_goes_back(place: Path, tmp_path: Path) -> None:
    log = Log.open(place / "log", writable=False)
    state = State(tmp_path / "state", log, 2)
    state.done(9)
    state.done(4)
    again = State(tmp_path / "state", log, 0)
    assert (again.applied, again.prev) == (9, log.leaf_prefix(9))
    (tmp_path / "state").write_text("{", encoding="utf-8")
    with pytest.raises(Refusal):
        State(tmp_path / "state", log, 0)
    log.close()


def test_the_example_of_the_document_goes_on_where_it_was(store: MetadataStore, place: Path, tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", FOLLOWERS.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    for number in range(2):
        with evlog(
            place, "follow", "--exec", f"{sys.executable} example.py", "--state", "state", cwd=tmp_path
        ) as process:
            until = time.monotonic() + 60
            while applied(tmp_path / "state") != store.log.end and time.monotonic() < until:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        assert applied(tmp_path / "state") == store.log.end == 13 + number
        last = next(store.log.read(store.log.end - 1))
        found = json.loads((tmp_path / "last_put.json").read_text(encoding="utf-8"))
        assert found == {last.record.envelope.actor: rfc3339(last.time_us)}
        put_type(store, f"Later {number}")


def applied(state: Path) -> int:
    return int(json.loads(state.read_text(encoding="utf-8"))["applied"]) if state.exists() else 0


@pytest.mark.faults
def test_a_follower_killed_again_and_again_leaves_no_record_undone(
    store: MetadataStore, place: Path, tmp_path: Path, full: bool
) -> None:
    rng, state, turns = random.Random(5), tmp_path / "state", 60 if full else 4
    for turn in range(turns):
        with evlog(place, "follow", "--exec", acknowledging(tmp_path), "--state", state) as process:
            before, until = len(done(tmp_path)), time.monotonic() + 60
            while len(done(tmp_path)) <= before + rng.randrange(5) and time.monotonic() < until:
                put_type(store, f"Type {turn} {store.log.end}")
            process.send_signal(signal.SIGKILL)
        acknowledged = json.loads(state.read_text(encoding="utf-8"))["applied"]
        assert set(range(acknowledged)) <= set(done(tmp_path))
    end = store.log.end
    assert run(place, "follow", "--exec", acknowledging(tmp_path, until=end - 1), "--state", state).exit_code == 1
    found = done(tmp_path)
    assert set(found) == set(range(end))
    assert json.loads(state.read_text(encoding="utf-8"))["applied"] == end
