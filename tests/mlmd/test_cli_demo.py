"""`evlog demo`: three pipelines with what goes wrong in practice, and a copy whose history was changed."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from check import check_store
from commands import data, run

import mlmd
from mlmd.recorder import words
from mlmd.story import record_story

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("demo") / "demo-store"
    told = data("demo", str(place))
    assert (told["runs"], told["views"]["identical"]) == (60, True)
    return place


def test_the_demo_tells_what_happened_its_lineage_and_that_the_rebuilt_view_is_identical(tmp_path: Path) -> None:
    result = run("demo", str(tmp_path / "store"))
    assert result.exit_code == 0, result.output
    for said in (
        "60 runs of three pipelines",
        "ana tainted taxi:3",
        "└ Trainer",
        "warm_start",
        "identical",
        "Now try:",
    ):
        assert said in result.stdout, said
    assert run("demo", str(tmp_path / "store")).exit_code == 1


def test_the_story_holds_what_it_is_for(made: Path) -> None:
    with mlmd.open(made) as store:
        runs = [store.get_run(one.id) for one in store.metadata.get_executions()]
        states = Counter(one.state for one in runs)
        assert states["FAILED"] == 1
        assert states["CACHED"] == 4
        [failed] = [one for one in runs if one.state == "FAILED"]
        assert "loss is not a number" in failed.message.custom_properties[words.ERROR].string_value
        tainted = {one.label for name in ("taxi", "taxi-model") for one in store.versions(name) if one.tainted}
        assert tainted == {"taxi:3", "taxi-model:3", "taxi-model:4"}
        assert store.artifact("taxi-model@prod").version == 5
        before = [one.label for one in store.artifact("taxi-model:5").producers[0].inputs if one.role == "warm_start"]
        assert before == ["taxi-model:2"], "a start from a tainted model is avoided"


@pytest.mark.slow
def test_make_demo_ends_with_a_diff_a_blame_and_three_questions_in_sql(made: Path) -> None:
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    lines = [shlex.split(line, comments=True) for line in recipe[1].replace("\\\n\t", "").splitlines()]
    told = [data(*(str(made) if word == "$(DEMO)" else word for word in words[1:])) for words in lines[2:]]
    assert [words[3] for words in lines[2:]] == ["diff", "blame", "sql", "sql", "sql"]
    diff, blame, made_from, in_production, best = told
    assert {row["actor"] for row in diff} == {"ana"}
    assert len(diff) == 14, "what she tainted, and the alias that she put back"
    assert {row["field"] for row in blame if row["actor"] == "ana"} == {"custom_properties.evlog.tainted"}
    assert {row["name"] for row in made_from} == {row["name"] for row in diff if row["thing"].startswith("art:")} - {
        "taxi:3"
    }
    assert [row["name"] for row in in_production] == [f"taxi-model:{number}" for number in (1, 2, 3, 4, 2)]
    assert best[0] == {"name": "taxi-model:3", "acc": 0.987}, "it leaked"


def _story(place: Path | str, runs: int) -> list[tuple[Any, ...]]:
    """Return what a store holds, without times."""
    with mlmd.open(place) as store:
        record_story(store, runs)
        told = []
        for one in [*store.metadata.get_executions(), *store.metadata.get_artifacts()]:
            ours = {words.PROCESS, words.COMMAND, words.COMMIT, words.ENDED_MS, words.POINTS, words.ERROR}
            values = {key: str(value) for key, value in one.custom_properties.items() if key not in ours}
            told.append((one.id, one.type, one.name, one.external_id, sorted(values.items())))
        return told


def test_the_same_number_of_runs_gives_the_same_story() -> None:
    assert _story(":memory:", 30) == _story(":memory:", 30)


@pytest.mark.parametrize("runs", [1, 7, 61])
def test_so_many_runs_are_recorded_as_were_asked_for(tmp_path: Path, runs: int) -> None:
    told = data("demo", str(tmp_path / "store"), "--runs", str(runs))
    assert told["runs"] == runs
    with mlmd.open(tmp_path / "store") as store:
        assert len(store.metadata.get_executions()) == runs
        check_store(store.metadata)


def test_a_record_that_is_altered_is_named_by_verify(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    told = data("demo", str(made), "--tamper")
    assert {path: path.read_bytes() for path in before} == before, "the store itself is as it was"
    copy = f"{made}-tampered"
    assert told["tampered"] == copy
    result = run("-s", copy, "verify", "--json")
    assert result.exit_code == 3
    finding = json.loads(result.stdout)["findings"][0]
    assert f"record {told['offset']} is not the one that it was put after" in finding["what"]
    assert finding["offset"] == told["offset"] + 1
    assert run("-s", str(made), "verify").exit_code == 0
    assert run("demo", str(made), "--tamper").exit_code == 1


def test_tamper_makes_the_demo_where_it_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("demo", "--tamper")
    assert result.exit_code == 0, result.output
    assert "60 runs" in result.stdout
    assert run("-s", "demo-store-tampered", "verify").exit_code == 3


def test_a_store_that_is_not_the_demos_is_not_tampered_with(tmp_path: Path) -> None:
    assert run("init", str(tmp_path / "store")).exit_code == 0
    result = run("demo", str(tmp_path / "store"), "--tamper")
    assert (result.exit_code, "not the demo's" in result.stderr) == (1, True)
    assert run("demo", str(tmp_path / "other"), "--tamper", "--guide").exit_code == 2
    assert run("demo", str(tmp_path / "other"), "--runs", "0").exit_code == 2
