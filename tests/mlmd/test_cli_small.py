"""Small promises of the command that hold everywhere: what it prints can be pasted, wrong words are wrong usage, hints work as they stand."""

from __future__ import annotations

import csv
import io
import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

import mlmd
from mlmd import moment
from mlmd.cli import cli
from mlmd.recorder import references
from mlmd.recorder.policy import policy_of

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="evlog")


def fine(*words: object) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("small") / "a store"
    with mlmd.open(place) as s:
        with s.run("Gen", contexts={"Experiment": "a"}) as r:
            r.output("s3://taxi/1", "Dataset", name="taxi")
        with s.run("Trainer", params={"lr": 0.1}) as r:
            r.input("taxi:1")
            r.log(acc=0.9)
            r.output("s3://m/1", "Model", name="taxi-model")
        s.alias("taxi-model@prod", "taxi-model:1")
    return place


@pytest.mark.parametrize("form", ["tsv", "csv", "id"])
@pytest.mark.parametrize(
    ("words", "column"),
    [
        (["runs"], "run"),
        (["artifacts"], "artifact"),
        (["executions"], "execution"),
        (["contexts"], "context"),
        (["search", "taxi"], "thing"),
        (["impact", "taxi:1"], "artifact"),
        (["alias"], "alias"),
    ],
)
def test_what_a_list_names_can_be_pasted_as_an_object(place: Path, words: list[str], column: str, form: str) -> None:
    told = fine("-s", place, *words, "-o", form)
    if form == "id":
        names = told.splitlines()
    else:
        rows = list(csv.DictReader(io.StringIO(told), delimiter="\t" if form == "tsv" else ","))
        names = [row[column] for row in rows]
    assert names
    for name in names:
        fine("-s", place, "show", name)


def test_a_program_gets_ids_as_numbers_in_json(place: Path) -> None:
    assert json.loads(fine("-s", place, "runs", "-o", "json"))[0]["run"] == 2
    assert json.loads(fine("-s", place, "artifacts", "-o", "json"))[0]["id"] == 1


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["alias", "taxi-model@prod"], ["art:2"]),
        (["latest", "Model"], ["art:2"]),
        (["show", "taxi-model@prod"], ["art:2"]),
        (["show", "run:1"], ["run:1"]),
        (["show", "type:Trainer"], ["type:Trainer"]),
        (["cached", "Trainer", "--input", "taxi:1", "--param", "lr=0.1"], ["run:2"]),
        (["path", "taxi:1", "taxi-model:1"], ["art:1", "run:2", "art:2"]),
        (["lineage", "taxi-model:1", "--up", "1"], ["run:2", "art:2"]),
    ],
)
def test_a_single_result_has_a_name_too(place: Path, words: list[str], names: list[str]) -> None:
    assert sorted(fine("-s", place, *words, "-o", "id").split()) == sorted(names)


def test_a_miss_of_the_cache_has_no_name(place: Path) -> None:
    missed = run("-s", place, "cached", "Trainer", "--param", "lr=7", "-o", "id")
    assert (missed.exit_code, missed.stdout) == (1, "")


def test_aliases_are_tsv_in_a_pipe(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVLOG_OUTPUT", raising=False)
    assert fine("-s", place, "alias").splitlines()[0] == "alias\tartifact\ttype\ttainted\tsince"
    assert fine("-s", place, "alias", "taxi-model@prod").splitlines()[1].startswith("taxi-model@prod\ttaxi-model:1\t")


def test_a_field_that_no_run_has_is_wrong_usage_with_the_names_there_are(place: Path) -> None:
    for words in (["--fields", "nope"], ["--fields", "run,nope"], ["--cols", "nope"]):
        refused = run("-s", place, "runs", *words)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "'nope': it is one of run, type, state, started, tainted, input, output, m.acc, p.lr" in refused.stderr
    assert fine("-s", place, "runs", "--fields", "run,m.acc", "-o", "csv").splitlines() == [
        "run,m.acc",
        "run:2,0.9",
        "run:1,",
    ]
    fine("-s", place, "runs", "--fields", "run,m.nope,tainted")
    fine("-s", place, "runs", "--fields", "nope", 'type = "Nobody"')


def test_a_mark_that_is_not_there_says_which_command_lists_them(place: Path) -> None:
    refused = run("-s", place, "--at", "mark:nope", "runs")
    assert "`evlog mark NAME` makes one" in refused.stderr
    with mlmd.open(place) as s:
        s.mark("release-1")
    refused = run("-s", place, "--at", "mark:nope", "runs")
    assert refused.exit_code == 1
    assert "`evlog mark` lists them all" in refused.stderr
    assert "mark:release-1" in refused.stderr


def test_the_hint_of_impact_runs_as_it_stands(place: Path) -> None:
    told = run("-s", place, "impact", "taxi:1").stderr
    command = shlex.split(told.partition("to mark them all: ")[2].partition("\n")[0])
    assert command == ["evlog", "-s", str(place), "taint", "taxi:1", "--because", "..."]
    fine(*command[1:], "--dry-run")


@pytest.mark.parametrize(
    "words",
    [
        ["show", ""],
        ["show", "art:x"],
        ["lineage", "art:-1"],
        ["path", "art:x", "art:1"],
        ["impact", "ctx:1"],
        ["taint", "ctx:1", "--because", "x"],
        ["alias", "no-alias-form", "taxi:1"],
        ["alias", "taxi@a b/c", "taxi:1"],
        ["compare", "run:1", "art:1"],
        ["cached", "Trainer", "--code", "nonsense"],
        ["runs", "m.acc >"],
        ["runs", "--sort", "nope"],
        ["latest", "Model", "acc >"],
        ["mark", "a/b:c d\n"],
        ["runs", "-n", "٣"],
        ["sql", "select 1", "--timeout", "٣"],
        ["--at", "٣d", "runs"],
        ["--at", "#٣", "runs"],
        ["--at", "٢٠٢٦-٠٣-٠١", "runs"],
        ["--at", "3 dayz", "runs"],
        ["-s", "host:٨٠٨٠", "runs"],
        ["prove", "#٣", "-O", "x"],
        ["runs", "state = LOST"],
    ],
)
def test_wrong_words_are_wrong_usage(place: Path, words: list[str]) -> None:
    refused = run(*([] if "-s" in words else ["-s", place]), *words)
    if words[:2] == ["-s", "host:٨٠٨٠"]:  # A folder of that name, then.
        assert (refused.exit_code, "there is no store" in refused.stderr) == (1, True)
        return
    assert refused.exit_code == 2, refused.output
    assert refused.stderr.startswith("evlog: ")
    assert "try: " in refused.stderr


@pytest.mark.parametrize("words", [["show", "art:99"], ["show", "nobody"], ["latest", "Nope"], ["search", "zzz"]])
def test_what_is_not_there_is_no_wrong_usage(place: Path, words: list[str]) -> None:
    assert run("-s", place, *words).exit_code == 1


def test_numbers_are_written_in_the_digits_0_to_9(place: Path) -> None:
    for text in ("٣d", "#٣", "٣", "٢٠٢٦-٠٣-٠١", "2026-03-01T٠٩:30"):
        with pytest.raises(ValueError, match="moment"):
            moment.parse(text)
    with mlmd.open(place) as s:
        with pytest.raises(mlmd.errors.NotFoundError):
            references.artifact_of(s.metadata, "taxi:١")
        with pytest.raises(mlmd.errors.InvalidArgumentError):
            policy_of('[[keep]]\nyounger = "٩d"\n')


def test_a_run_that_is_lost_is_asked_for_as_running(place: Path) -> None:
    told = "LOST; a run is shown as LOST that is RUNNING and whose process has ended, which nobody stores: ask for RUNNING, or with `--state LOST`"
    assert told in run("-s", place, "runs", "state = LOST").stderr
    with mlmd.open(place) as s, pytest.raises(mlmd.errors.InvalidArgumentError, match="ask for RUNNING"):
        len(s.runs("state != LOST"))


def test_a_store_that_is_read_only_says_how_to_write(place: Path) -> None:
    with mlmd.open(_config(place)) as s, pytest.raises(mlmd.errors.InternalError, match="open it without mode=ro"):
        s.alias("taxi-model@prod", None)


def _config(place: Path) -> Any:
    from mlmd.proto import metadata_store_pb2 as pb

    mode = pb.SqliteMetadataSourceConfig.READONLY
    return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place), connection_mode=mode))
