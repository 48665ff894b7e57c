"""What a command writes: formats, fields, and what a pipe gets."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from commands import run

from mlmd.cli import COMMANDS, cli, grammar
from mlmd.cli.command import Command
from mlmd.cli.output import Table, local_time
from mlmd.display.cells import width_of

if TYPE_CHECKING:
    from pathlib import Path

LISTS = ["artifacts", "executions", "contexts", "types", "log", "log run:1", "diff #3", "blame run:1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("output") / "demo"
    assert run("demo", "--guide", str(place)).exit_code == 0
    return str(place)


def fine(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("words", LISTS)
def test_a_list_in_a_pipe_is_tsv_with_every_field(made: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fine("-s", made, "-o", "tsv", *words.split())
    monkeypatch.delenv("EVLOG_OUTPUT")
    assert fine("-s", made, *words.split()) == asked
    rows = list(csv.DictReader(io.StringIO(asked), delimiter="\t"))
    assert len(rows) == len(json.loads(fine("-s", made, "--json", *words.split())))


def test_one_thing_is_for_people_in_a_pipe_too(made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVLOG_OUTPUT")
    assert fine("-s", made, "show", "art:2").startswith("id ")
    assert "13" in fine("-s", made, "status").splitlines()[2]


def on_a_terminal(*words: str, **environment: str) -> str:
    """Return what a command writes to a terminal."""
    keeper, end = pty.openpty()
    settings = {name: value for name, value in os.environ.items() if not name.startswith("EVLOG_")} | environment
    done = subprocess.run(
        [sys.executable, "-m", "mlmd.cli", *words], stdout=end, stderr=subprocess.PIPE, check=False, env=settings
    )
    os.close(end)
    told = b""
    while True:
        try:
            part = os.read(keeper, 65536)
        except OSError:  # The other end is closed, and there is no more.
            break
        if not part:
            break
        told += part
    os.close(keeper)
    return (told + done.stderr).decode().replace("\r\n", "\n")


@pytest.mark.once
def test_a_list_on_a_terminal_is_a_table_with_dim_titles_unless_no_color_is_set(made: str) -> None:
    told = on_a_terminal("-s", made, "types", COLUMNS="100")
    assert told.startswith("\x1b[2m")
    plain = on_a_terminal("-s", made, "types", COLUMNS="100", NO_COLOR="1")
    assert "\x1b" not in plain
    assert plain.splitlines()[0].split()[:3] == ["id", "kind", "name"]
    assert "nothing for a terminal" in on_a_terminal("-s", made, "types", "-o", "parquet")


def test_fields_choose_what_is_written_in_every_format(made: str) -> None:
    words = ("-s", made, "artifacts", "--fields", "uri,properties.version,id")
    rows = json.loads(fine(*words, "--json"))
    assert rows == [
        {"uri": "path/to/data", "properties.version": None, "id": 1},
        {"uri": "path/to/model/file", "properties.version": 1, "id": 2},
    ]
    assert fine(*words, "-o", "csv").splitlines()[1:] == ["path/to/data,,1", "path/to/model/file,1,2"]
    assert fine(*words).split()[:3] == ["uri", "properties.version", "id"]
    assert fine("-s", made, "executions", "--fields", "id,external_id").split() == ["id", "external", "id", "1", "-"]
    assert fine("-s", made, "-o", "md", *words[2:]).splitlines()[0] == "| uri | properties.version | id |"
    assert json.loads(fine("-s", made, "show", "run:1", "--fields", "type", "--json")) == {"type": "Trainer"}
    assert fine("-s", made, "show", "run:1", "--fields", "type").split() == ["type", "Trainer"]


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "md", "parquet", "id"])
def test_a_field_that_is_not_there_is_refused_and_those_that_are_named(made: str, form: str) -> None:
    result = run("-s", made, "artifacts", "-o", form, "--fields", "accuracy")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no field 'accuracy'" in result.stderr
    assert "external_id" in result.stderr


def test_ids_are_names_for_a_further_command(made: str) -> None:
    assert fine("-s", made, "artifacts", "-o", "id").split() == ["art:1", "art:2"]
    assert fine("-s", made, "executions", "-o", "id").split() == ["run:1"]
    assert fine("-s", made, "log", "-n", "2", "-o", "id").split() == ["#12", "#11"]
    names = [
        name
        for listed in ("artifacts", "runs", "contexts", "types")
        for name in fine("-s", made, listed, "-o", "id").split()
    ]
    assert {"art:1", "run:1", "ctx:1", "type:Trainer"} <= set(names)
    for name in names:
        fine("-s", made, "show", name)


def test_markdown_is_a_table_of_github(made: str) -> None:
    lines = fine("-s", made, "-o", "md", "artifacts").splitlines()
    assert lines[0].startswith("| artifact | type |")
    assert set(lines[1]) <= set("| -:")
    assert len(lines) == 4
    assert "| field | value |" in fine("-s", made, "-o", "md", "status")
    assert "RUNNING" in fine("-s", made, "-o", "md", "log", "run:1")
    assert "| 3 |" in fine("-s", made, "-o", "md", "sql", "select 3 as three")


def test_parquet_holds_what_json_tells(made: str, tmp_path: Path) -> None:
    polars: Any = pytest.importorskip("polars")
    file = tmp_path / "artifacts.parquet"
    command = [sys.executable, "-m", "mlmd.cli", "-s", made, "artifacts", "-o", "parquet"]
    file.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    rows = json.loads(fine("-s", made, "artifacts", "--json"))
    read = polars.read_parquet(file).to_dicts()
    assert [row["id"] for row in read] == [row["id"] for row in rows]
    assert [json.loads(row["properties"]) for row in read] == [row["properties"] for row in rows]
    assert read[0]["name"] is None
    file.write_bytes(subprocess.run([*command, "--filter", "id > 9"], check=True, capture_output=True).stdout)
    assert polars.read_parquet(file).height == 0


@pytest.mark.parametrize("name", [name for group in COMMANDS.values() for name in group])
def test_every_format_of_a_command_is_one_that_there_is(name: str) -> None:
    found = cli.get_command(None, name)  # type: ignore[arg-type]
    assert isinstance(found, Command)
    option = next(param for param in found.params if param.name == "form")
    assert set(found.formats) <= set(option.type.choices)  # type: ignore[attr-defined]


def test_the_environment_may_choose_the_format(made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVLOG_OUTPUT", "jsonl")
    assert json.loads(fine("-s", made, "artifacts").splitlines()[0])["id"] == 1
    monkeypatch.setenv("EVLOG_OUTPUT", "parquet")
    assert fine("-s", made, "status").startswith("store"), "one that a command has not is not for it"


DUMMIES = {
    "OBJECT": "art:999",
    "RUN": "run:999",
    "TYPE": "Nope",
    "NAME@ALIAS": "taxi@prod",
    "[TYPE]": "Nope",
    "[OBJECT]": "art:999",
}


def wrong_lines(name: str) -> list[list[str]]:
    """Return command lines that cannot be right, from the grammar: an option that is none, no store, no such thing, no such file."""
    told = json.loads(grammar.FILE.read_text(encoding="utf-8"))[name]
    words = []
    for param in told["params"]:
        if param["kind"] == "argument":
            metavar = param.get("metavar", "")
            words.append(
                param["choices"][0] if "choices" in param else DUMMIES.get(metavar.removesuffix("..."), "{absent}")
            )
    return [
        [name, "--no-such-option"],
        ["-s", "{absent}", name, *words],
        ["-s", "localhost:1", name, *words],
        ["-s", "{store}", name, *words],
        ["-s", "{store}", name, *["\udcff" for _ in words]],
        ["--at", "#999", "-s", "{store}", name, *words],
    ]


@pytest.mark.parametrize("name", [name for group in COMMANDS.values() for name in group])
def test_every_error_of_every_command_names_the_next_one(
    name: str, made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(made, tmp_path / "store", symlinks=True)
    (tmp_path / "file").touch()
    absent = tmp_path / "file" / "below"  # Nobody can make it, not even root.
    for line in wrong_lines(name):
        if name == "follow" and "{store}" in line and "--at" not in line:
            continue  # It waits for what comes.
        if name in ("serve", "ui", "mcp", "completion", "doctor") and "{store}" in line:
            continue  # Nothing is wrong with these.
        result = run(*(word.format(store=copy, absent=absent) for word in line))
        if result.exit_code == 0 or (name == "doctor" and "-s" in line) or name == "cached":
            continue  # To find nothing, or something wrong, is what these are for.
        assert result.exit_code in (1, 2, 3), (line, result.exit_code, result.output)
        told = result.stderr.splitlines()
        assert [one.partition(": ")[0] for one in told[-2:]] == ["evlog", "try"], (line, result.stderr)
        assert "fault of evlog" not in result.stderr, (line, result.stderr)


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_a_narrow_terminal_shows_numbers_and_times_whole_and_every_line_fits(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [
        {"field": "模型" * 20, "value": "x" * 300, "offset": 1_234_567, "time": "2026-03-01T09:30:00Z", "actor": "ana"},
        {"field": "name", "value": "é" * 9 + "e\u0301" * 9, "offset": 3, "time": "2026-03-01T09:30:00Z", "actor": "bo"},
    ]
    Table(["field", "value", "offset", "time", "actor"]).write(rows)
    lines = capsys.readouterr().out.splitlines()
    assert all(width_of(line) <= columns for line in lines)
    title, first, second = lines
    for name, shown in (("offset", "1234567"), ("time", local_time(rows[0]["time"])), ("actor", "ana")):
        assert (name in title) == (shown in first), "a column is there, or is not"
    assert ("actor" in title) == (columns >= 80)
    assert ("…" in title) == (columns < 80), "that there are more is said"
    if "offset" in title:
        at = width_of(first[: first.index("1234567")])
        assert width_of(second[: second.index("3")]) == at + 6, "wide characters take two columns, accents none"
