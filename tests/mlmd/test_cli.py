"""The command, as a person and as a program use it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import webbrowser
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from commands import run
from mlmd_files import made as made_database
from personal import seal_for

import mlmd
from mlmd import MetadataStore
from mlmd.cli import COMMANDS
from mlmd.demo import ask, record_workflow
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.story import record_story

LISTS = ["artifacts", "executions", "contexts", "types", "log"]
NAMES = [name for group in COMMANDS.values() for name in group]


@pytest.fixture(scope="module")
def told(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What examples speak of: the guide's workflow, and behind it the three pipelines of `evlog demo`."""
    place = Path(shutil.copytree(made, tmp_path_factory.mktemp("told") / "store", symlinks=True))
    with mlmd.open(place) as store:
        record_story(store)
    return place


def fine(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def data(place: Path, *words: str) -> Any:
    return json.loads(fine("-s", str(place), "-o", "json", *words))


def test_the_demo_tells_the_nine_steps_the_answers_and_that_the_rebuilt_view_is_identical(tmp_path: Path) -> None:
    told = fine("demo", "--guide", str(tmp_path / "demo"))
    assert [line.split()[0] for line in told.splitlines() if "record #" in line] == [str(step) for step in range(1, 10)]
    for words in (
        "path/to/data, day 1",
        "state=COMPLETED",
        "exp1",
        "└ run:1  Trainer",
        "was RUNNING",
        "identical",
        "RUNNING → COMPLETED",
    ):
        assert words in told
    assert run("demo", "--guide", str(tmp_path / "demo")).exit_code == 1


def test_the_workflow_answers_what_it_is_for() -> None:
    store = MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    ids = record_workflow(store)
    second = pb.Artifact(type_id=ids.model_type, uri="another")
    [other] = store.put_artifacts([second])
    store.put_execution(
        pb.Execution(type_id=ids.trainer_type),
        [
            (None, pb.Event(artifact_id=ids.data, type=pb.Event.DECLARED_INPUT)),
            (None, pb.Event(artifact_id=other, type=pb.Event.DECLARED_OUTPUT)),
        ],
        None,
    )
    answers = ask(store, ids.model)
    assert [one.uri for one in answers.data] == ["path/to/data"]
    assert answers.parameters == {"state": "COMPLETED"}
    assert answers.run.id == ids.run
    assert [one.id for one in answers.also_made] == [ids.model, other]
    assert [one.name for one in answers.experiments] == ["exp1"]
    store.close()


@pytest.mark.parametrize("name", LISTS)
def test_every_list_says_the_same_in_every_format(made: Path, name: str) -> None:
    rows = data(made, name)
    assert rows
    lines = fine("-s", str(made), "-o", "jsonl", name).splitlines()
    assert [json.loads(line) for line in lines] == rows
    for form, delimiter in (("csv", ","), ("tsv", "\t")):
        read = list(csv.DictReader(io.StringIO(fine("-s", str(made), name, "-o", form)), delimiter=delimiter))
        assert [row.keys() for row in read] == [row.keys() for row in rows]
        assert [next(iter(row.values())) for row in read] == [str(next(iter(row.values()))) for row in rows]
    table = fine("-s", str(made), name)
    assert len(table.splitlines()) == len(rows) + 1


def test_options_stand_before_or_after_the_command(made: Path) -> None:
    before = fine("-s", str(made), "--json", "status")
    assert before == fine("status", "-s", str(made), "--json")
    assert json.loads(before)["records"] == 13


def test_show_tells_all_of_a_thing(made: Path) -> None:
    model = data(made, "show", "art:2")
    assert model["properties"] == {"name": "MNIST-v1", "version": 1}
    assert model["events"][0]["event"] == "DECLARED_OUTPUT"
    assert model["contexts"] == ["ctx:1 exp1"]
    assert [version["api"] for version in data(made, "show", "run:1")["versions"]] == ["PutExecutions"] * 2
    assert data(made, "show", "ctx:1")["artifacts"] == ["art:2"]
    assert data(made, "show", "type:Trainer")["properties"] == {"state": "STRING"}
    assert "MNIST-v1" in fine("-s", str(made), "show", "art:2")


def test_the_log_is_filtered_by_thing_actor_and_time(made: Path) -> None:
    assert [row["offset"] for row in data(made, "log", "run:1", "--reverse")] == [5, 6, 8, 9, 12]
    assert [row["offset"] for row in data(made, "log", "-n", "2")] == [12, 11]
    assert data(made, "log", "--by", "nobody") == []
    assert [row["offset"] for row in data(made, "log", "--since", "#10", "--reverse")] == [10, 11, 12]
    assert [row["offset"] for row in data(made, "log", "--until", "#2", "--reverse")] == [0, 1]
    assert data(made, "log", "--since", "1d", "-n", "0", "--reverse")[0]["api"] == "CreateStore"


@pytest.mark.parametrize("name", ["status", "artifacts", "executions", "contexts", "types", "log", "show run:1"])
def test_commands_that_look_can_look_back(made: Path, name: str) -> None:
    now, then = data(made, *name.split()), data(made, "--at", "#6", *name.split())
    assert now != then


def test_at_shows_what_was(made: Path) -> None:
    assert data(made, "--at", "#9", "show", "run:1")["properties"] == {"state": "RUNNING"}
    assert data(made, "--at", "#4", "artifacts") == []
    assert data(made, "--at", "2020-01-01", "status")["records"] == 0
    assert data(made, "--at", "#13", "status") == data(made, "status")


def test_verify_and_replay_are_content_with_a_sound_store(place: Path) -> None:
    assert data(place, "verify")["sound"] is True
    told = data(place, "replay")
    assert told["equal_to_the_one_before"] is True
    assert told["records"] == 13
    assert data(place, "verify", "--log-only")["findings"] == []
    assert "the views equal a replay" in fine("-s", str(place), "verify")


def test_damage_ends_with_3_and_names_the_place(place: Path) -> None:
    segment = place / "log" / f"{0:020d}.seg"
    spoiled = bytearray(segment.read_bytes())
    spoiled[1000] ^= 1
    segment.write_bytes(spoiled)
    result = run("-s", str(place), "verify", "--json")
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert told["sound"] is False
    assert told["findings"][0]["file"] == str(segment)
    assert told["findings"][0]["position"] <= 1000
    assert run("-s", str(place), "verify").exit_code == 3
    for words in (["log", "-n", "0"], ["replay"]):
        result = run("-s", str(place), *words)
        assert result.exit_code == 3, words
        assert str(segment) in result.stderr
        assert "verify" in result.stderr
    segment.unlink()
    result = run("-s", str(place), "status")
    assert (result.exit_code, "try: " in result.stderr) == (3, True)


def test_a_view_changed_behind_our_back_is_damage_and_replay_mends_it(place: Path) -> None:
    connection = apsw.Connection(str((place / "views" / "current.sqlite").resolve()))
    connection.execute("update artifact set uri = 'elsewhere'")
    connection.close()
    assert run("-s", str(place), "verify").exit_code == 3
    assert data(place, "replay")["equal_to_the_one_before"] is False
    assert run("-s", str(place), "verify").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["-s", "{absent}", "status"], 1, "there is no store"),
        (["-s", "{foreign}", "status"], 1, "holds no store"),
        (["-s", "{sqlite}", "status"], 1, "not an evlog store"),
        (["-s", "{store}", "show", "art:99"], 1, "there is no art:99"),
        (["-s", "{store}", "show", "type:Nope"], 1, "there is no type"),
        (["-s", "{store}", "show", "thing"], 1, "there is no thing"),
        (["-s", "{store}", "show", "art:thing"], 2, "art:ID"),
        (["-s", "{store}", "artifacts", "Nope"], 1, "there is no artifact type"),
        (["-s", "{store}", "--at", "soon", "status"], 2, "is no moment"),
        (["-s", "{store}", "--at", "#99", "status"], 1, "has not reached"),
        (["-s", "{store}", "--at", "2999-01-01", "status"], 1, "has not reached"),
        (["-s", "{store}", "--at", "#3", "replay"], 2, "has no past"),
        (["-s", "{store}", "init"], 1, "a store already"),
        (["-s", "{store}", "-o", "xml", "status"], 2, "xml"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_every_refusal_is_one_line_with_the_next_command(
    made: Path, tmp_path: Path, words: list[str], code: int, told: str
) -> None:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "file").touch()
    (tmp_path / "mlmd.db").write_bytes(b"SQLite format 3\0" + bytes(100))
    places = {"absent": tmp_path / "no", "foreign": tmp_path / "foreign", "sqlite": tmp_path / "mlmd.db", "store": made}
    result = run(*(word.format(**places) for word in words))
    assert result.exit_code == code
    assert told in result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("evlog: ")
    assert lines[1].startswith("try: ")
    assert len(lines) == 2
    assert not (tmp_path / "no").exists(), "a look creates nothing"


def test_the_store_is_found_from_here_upward_or_named_by_the_environment(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (place / "log" / "deeper").mkdir()
    monkeypatch.chdir(place / "log" / "deeper")
    assert json.loads(fine("status", "--json"))["records"] == 13
    monkeypatch.chdir(tmp_path)
    assert run("status").exit_code == 1
    monkeypatch.setenv("EVLOG_STORE", str(place))
    assert json.loads(fine("status", "--json"))["records"] == 13


def test_init_makes_a_store_that_the_library_opens(tmp_path: Path) -> None:
    assert json.loads(fine("init", str(tmp_path / "new"), "--json"))["records"] == 1
    config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(tmp_path / "new")))
    MetadataStore(config).close()


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_examples_that_run(
    name: str, told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(shutil.copytree(told, tmp_path / "store", symlinks=True))
    text = fine(name, "--help")
    examples = re.findall(r"^  (evlog .*?)(?:   .*)?$", text.split("Examples:")[1], re.MULTILINE)
    assert len(examples) >= 2
    if name in ("serve", "ui", "follow", "accept-loss"):
        return  # They end when they are told to, or need a loss: test_server.py, web/test_login.py, test_cli_follow.py, test_cli_repair.py run them.
    monkeypatch.chdir(place.parent)
    monkeypatch.setenv("EVLOG_STORE", str(place))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place.parent / "config"))
    if name == "import":  # The other examples name servers: see exchange/test_import_servers.py.
        made_database(place.parent / "metadata.db")
        examples = examples[:1]
    else:
        shutil.copytree(place, place.parent / "my-store", symlinks=True)
    if name in ("restore", "compress", "repair"):
        fine("backup", "copy")
    if name in ("show", "lineage", "path", "open"):
        monkeypatch.setattr(webbrowser, "open", lambda _url: True)
        monkeypatch.setattr(tempfile, "tempdir", str(place.parent))
    root = with_evidence(place) if name in ("verify", "checkpoint", "prove", "check", "repair") else ""
    log_key = json.loads(fine("keys", "show", "--json"))["public"] if name == "check" else ""
    for number, example in enumerate(examples):
        words = shlex.split(example.replace("#100", "#10").replace("3b7e...", root).replace("LOG-KEY", log_key))[1:]
        if ">" in words:  # For the shell.
            words = words[: words.index(">")]
        if {"-f", "--follow"} & set(words):
            continue  # As above.
        if "host:8080" in words:
            continue  # test_cli_server.py has one.
        if name == "retain":
            Path("policy.toml").write_text('[[keep]]\ntype = "Model"\nnewest = 2\n', encoding="utf-8")
        if name == "personal":
            Path("rules.toml").write_text('[[personal]]\nproperty = "operator"\n', encoding="utf-8")
        if name == "erase":  # Each time anew: what was erased cannot be erased again.
            Path("lake").mkdir(exist_ok=True)
            seal_for(place, "u-17")
            if "--lost-keys" in words:
                shutil.rmtree(place / "keys")
        if name == "init":
            (place.parent / f"{number}").mkdir()
            monkeypatch.chdir(place.parent / f"{number}")
        if "--agent" in words:
            continue  # test_agent.py has one.
        result = run(*words)
        assert result.exit_code == (1 if name == "compare" else 0), (example, result.output)  # These differ.


def with_evidence(place: Path) -> str:
    """Give a store a key, and what the examples name: a policy, a folder of checkpoints, a proof; return its root."""
    Path("archive").mkdir()
    public = json.loads(fine("keys", "new", "--actor", "ana", "-k", "ana.key", "--json"))["public"]
    Path("staff.keys").write_text(public, encoding="utf-8")
    config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))
    with closing(MetadataStore(config)) as store, store.acting(key="ana.key"):
        [model] = store.get_artifacts_by_id([2])
        model.custom_properties["reviewed"].bool_value = True
        store.put_artifacts([model])
    fine("keys", "new")
    root: str = json.loads(fine("checkpoint", "--copy-to", "archive", "--json"))["root"]
    fine("checkpoint", "--copy-to", "last.txt")
    Path("my.policy").write_text(fine("keys", "policy"), encoding="utf-8")
    fine("prove", "art:2", "-O", "model.tlog-proof")
    return root


def test_the_command_starts_without_what_it_does_not_need() -> None:
    code = "import sys; from mlmd.cli import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('rich', 'apsw', 'google.protobuf', 'msgspec') if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_a_reader_that_goes_away_is_no_error(made: Path) -> None:
    command = f"{sys.executable} -m mlmd.cli -s {made} log -n 0 -o jsonl | head -c 10"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.stderr == ""
