"""The commands that decide, from the command line as people type it, rightly and wrongly."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from serving import reached
from stores import run

import mlmd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A store of three runs: run:1 and run:2 of the Trainer, the second from the model of the first, and run:3, which pushes it."""
    folder = tmp_path / "store"
    data, model = tmp_path / "taxi.csv", tmp_path / "model.bin"
    data.write_text("rows")
    with mlmd.open(folder) as store:
        base: Any = None
        for lr in (0.1, 0.3):
            with store.run("Trainer", params={"lr": lr, "epochs": 3}) as trained:
                trained.input(data, "Dataset", name="taxi")
                if base is not None:
                    trained.input(base, role="warm_start")
                trained.log(acc=0.5 + lr, loss=1 - lr)
                model.write_text(str(lr))
                base = trained.output(model, "Model", name="taxi-model", acc=0.5 + lr)
        with store.run("Pusher") as pushed:
            pushed.input(base)
        store.alias("taxi-model@prod", "taxi-model:1")
    return folder


@pytest.fixture(params=["folder", "server"])
def where(request: pytest.FixtureRequest, place: Path) -> Iterator[str]:
    with reached(place, request.param) as name:
        yield name


def rows(*words: Any) -> list[dict[str, Any]]:
    found = run(*words, "--json")
    assert found.exit_code in (0, 1), found.output
    return json.loads(found.stdout)


def test_runs_are_filtered_sorted_and_counted(where: str) -> None:
    found = run("-s", where, "runs", 'type = "Trainer" and m.acc > 0.5', "--sort", "-m.acc", "-n", "1", "-o", "table")
    assert found.exit_code == 0, found.output
    head, row = found.stdout.splitlines()
    assert head.split() == ["run", "state", "started", "m.acc", "m.loss", "p.epochs", "p.lr", "input", "output"]
    assert row.split()[:2] == ["run:2", "COMPLETE"]
    assert "1 of 2 matching" in found.stderr
    told = rows("-s", where, "runs", "--sort", "m.acc", "--type", "Trainer")
    assert [one["run"] for one in told] == [1, 2]
    assert "p.epochs" not in told[0]
    assert list(rows("-s", where, "runs", "--cols", "p.epochs,m.none")[0])[4:-2] == ["p.epochs", "m.none"]


def test_a_pipe_gets_every_column_and_is_told_what_is_missing(place: Path) -> None:
    found = run("-s", place, "runs", "-n", "1", "-o", "tsv")
    assert found.stdout.startswith("run\ttype\tstate\tstarted\t")
    assert "1 of 3 runs: -n 0 for all" in found.stderr
    assert run("-s", place, "runs", "-o", "id").stdout.split() == ["run:3", "run:2", "run:1"]


def test_fields_name_properties_too(place: Path) -> None:
    assert rows("-s", place, "runs", "--sort", "id", "--fields", "run,m.acc,p.epochs")[0] == {
        "run": 1,
        "m.acc": 0.6,
        "p.epochs": 3,
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("p.lr = 0.1", [1]),
        ("p.epochs = 3.0", [1, 2]),
        ("p.epochs in (3, 4) and m.acc > 0.7", [2]),
        ("p.lr is null", [3]),
        ("p.lr = 0.1 or p.epochs = 3", [1, 2]),
        ("NOT tainted and state = COMPLETE", [1, 2, 3]),
        ("p.lr = '0.1'", []),
        ("not p.lr > 0.2", [1]),
        ("round(m.acc * 10) = 6", [1]),
        ("p.lr + p.epochs > 3.2", [2]),
        ("p.lr < p.epochs", [1, 2]),
        ("evlog.command is not null and p.lr between 0 and 1 -- a comment", [1, 2]),
    ],
)
@pytest.mark.parametrize("source", ["view", "history"])
def test_one_language_wherever_a_filter_is_taken(place: Path, source: str, text: str, found: list[int]) -> None:
    assert [one["id"] for one in rows("-s", place, "executions", "--filter", text, "--from", source)] == found
    assert sorted(one["run"] for one in rows("-s", place, "runs", text)) == found


def test_the_latest_is_shown_or_there_is_none(where: str) -> None:
    assert rows("-s", where, "latest", "Model", "acc < 0.7", "--name", "taxi-model")["name"] == "taxi-model:1"  # type: ignore[call-overload]
    none = run("-s", where, "latest", "Model", "acc > 7")
    assert (none.exit_code, none.stdout) == (1, "")
    assert "there is no Model that passes" in none.stderr


def test_search_finds_and_says_where(where: str) -> None:
    assert {one["thing"] for one in rows("-s", where, "search", "taxi-model")} == {"art:2", "art:3", "ctx:1"}
    assert rows("-s", where, "search", "taxi.csv")[0]["found_in"] == "uri"
    assert run("-s", where, "search", "zzz").exit_code == 1


def test_compare_exits_1_where_runs_differ(where: str) -> None:
    found = run("-s", where, "compare", "run:1", "run:2", "-o", "table")
    assert found.exit_code == 1
    assert "acc" in found.stdout
    assert "0.2" in found.stdout
    assert "warm_start" in found.stdout
    assert "lineages part at" in found.stderr
    assert run("-s", where, "compare", "run:1", "run:1").exit_code == 0
    assert run("-s", where, "compare", "run:1", "run:2", "--md").stdout.startswith("| what | key |")


def test_a_key_cannot_steer_the_terminal_as_a_title(tmp_path: Path) -> None:
    key = "\x1b[31mred\u202e\n\x07"
    with mlmd.open(tmp_path / "store") as store, store.run("Trainer", params={key: 1}):
        pass
    shown = run("-s", tmp_path / "store", "-o", "table", "runs").stdout
    assert r"p.\x1b[31mred\u202e \x07" in shown
    assert len(shown.splitlines()) == 2


def test_a_lineage_says_as_of_what_or_nothing(where: str) -> None:
    said = run("-s", where, "lineage", "taxi-model:1").stderr
    assert said == ("" if where.startswith("localhost:") else f"{said.strip()}\n")


def test_what_differs_has_no_names_for_a_further_command(place: Path) -> None:
    found = run("-s", place, "-o", "id", "compare", "run:1", "run:2")
    assert (found.exit_code, found.stdout) == (2, "")


def test_impact_names_what_is_live_first_and_the_next_command(where: str) -> None:
    found = run("-s", where, "impact", "taxi:1", "-o", "table")
    assert found.exit_code == 0, found.output
    assert found.stdout.splitlines()[1].startswith("taxi-model:1")
    assert "taxi-model@prod" in found.stdout
    assert "2 Model (2 live), 3 runs, 1 push" in found.stderr
    assert " taint taxi:1 --because" in found.stderr


def test_taint_is_foretold_done_shown_and_taken_back(where: str) -> None:
    told = run("-s", where, "taint", "taxi:1", "--dry-run", "--json")
    assert json.loads(told.stdout) == {
        "artifacts": ["art:1", "art:2", "art:3"],
        "runs": ["run:1", "run:2", "run:3"],
        "unchanged": 0,
    }
    assert run("-s", where, "runs", "tainted", "-o", "id").stdout == ""
    done = run("-s", where, "taint", "taxi:1", "--because", "label leak", "--json")
    assert json.loads(done.stdout) == json.loads(told.stdout)
    assert len(run("-s", where, "runs", "tainted", "-o", "id").stdout.split()) == 3
    assert run("-s", where, "latest", "Model").exit_code == 1
    assert run("-s", where, "latest", "Model", "--even-tainted", "--json").exit_code == 0
    back = run("-s", where, "untaint", "taxi:1", "--because", "none after all", "--json")
    assert json.loads(back.stdout)["unchanged"] == 0
    assert run("-s", where, "latest", "Model").exit_code == 0


def test_a_moment_is_marked_listed_and_looked_at(where: str) -> None:
    made = run("-s", where, "mark", "release-4", "--reason", "shipped", "--json")
    assert made.exit_code == 0, made.output
    run("-s", where, "taint", "taxi:1", "--because", "leak")
    assert run("-s", where, "--at", "mark:release-4", "runs", "tainted", "-o", "id").stdout == ""
    assert [one["mark"] for one in rows("-s", where, "mark")] == ["release-4"]
    before = rows("-s", where, "mark")
    then = datetime.now(UTC).isoformat()
    run("-s", where, "mark", "release-4")
    run("-s", where, "mark", "release-5")
    assert rows("-s", where, "--at", then, "mark") == before, "which there were, and where they stood"
    missing = run("-s", where, "--at", "mark:nope", "runs")
    assert missing.exit_code == 1
    assert "there are mark:release-4, mark:release-5" in missing.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["runs", "acc > 1"], 2, "Unrecognized name: acc"),
        (["runs", "m.acc >"], 2, "[at 1:8]"),
        (["runs", "--sort", "name"], 2, "is no order"),
        (["runs", "--cols", "a", "--differing"], 2, "one of the two"),
        (["runs", "-n", "-1"], 2, "-1"),
        (["latest"], 2, "TYPE"),
        (["latest", "Model", "x ="], 2, "Unexpected end"),
        (["latest", ""], 2, "type of the artifact: an empty text"),
        (["latest", "Nope", "--even-tainted"], 1, "types"),
        (["search", ""], 2, "empty"),
        (["search", "x", "-n", "0"], 2, "0"),
        (["compare", "run:1"], 2, "two runs or more"),
        (["compare", "run:1", "run:99"], 1, "there is no run:99"),
        (["compare", "run:1", "art:1"], 2, "is no run"),
        (["impact", "art:99"], 1, "there is no art:99"),
        (["impact", "nobody:1"], 1, "nobody"),
        (["impact", "type:Model"], 2, "name an artifact or a run"),
        (["taint", "taxi:1"], 2, "why?"),
        (["taint", "taxi:1", "--because", " "], 2, "says nothing"),
        (["taint"], 2, "OBJECT"),
        (["taint", "art:99", "--because", "x"], 1, "there is no art:99"),
        (["untaint", "taxi:1"], 2, "why?"),
        (["mark", "a:b"], 2, "the mark"),
        (["mark", "a", "#999"], 1, "999"),
        (["mark", "a", "never"], 2, "no moment"),
        (["--at", "#3", "mark", "a"], 2, "a mark is put now"),
        (["--at", "yesterday", "taint", "taxi:1", "--because", "x"], 2, "no past"),
        (["runs", "--at", "mark:"], 2, "names no mark"),
    ],
)
def test_what_is_wrong_is_told_in_a_line_with_the_next_command(
    place: Path, words: list[str], code: int, said: str
) -> None:
    found = run("-s", place, *words)
    assert (found.exit_code, "Traceback" in found.output) == (code, False), found.output
    assert said in found.stderr
    assert found.stderr.startswith("evlog: ")
    assert len(found.stderr.splitlines()) <= 2


def test_long_values_that_are_compared_are_shown_from_where_they_part(tmp_path: Path) -> None:
    with mlmd.open(tmp_path / "store") as store:
        for end in ("brief", "kind"):
            with store.run("Ask", params={"prompt": "You are careful. " * 100 + f"Be {end}"}):
                pass
    result = run("-s", tmp_path / "store", "compare", "run:1", "run:2", "-o", "table")
    assert "Be brief  " in result.stdout
    assert result.stdout.splitlines()[1].endswith("Be kind")
