"""`evlog cached` and `evlog alias`, as a person and as a program use them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from serving import reached

import mlmd
from mlmd.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = "a" * 64


@pytest.fixture(params=["folder", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Two versions of taxi, a model made from the first one, and an alias of it that was moved."""
    folder = tmp_path / "store"
    with mlmd.open(folder) as s:
        for number in (1, 2):
            with s.run("Gen") as r:
                r.output(f"s3://taxi/{number}?a=b", "Dataset", name="taxi")
        with s.run("Trainer", params={"lr": 0.1, "layers": [1, 2], "opt": "adam"}, code=CODE) as r:
            r.input("taxi:1")
            r.input("taxi:2", role="test")
            r.output("s3://m/1", "Model", name="m")
        s.alias("taxi@prod", "taxi:1")
        s.alias("taxi@prod", "taxi:2")
    with reached(folder, request.param) as name:
        yield name


def run(place: str, *words: str) -> Result:
    return CliRunner().invoke(cli, ["-s", place, *words], prog_name="evlog")


def data(place: str, *words: str, code: int = 0) -> Any:
    result = run(place, "-o", "json", *words)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


ASKED = [
    "cached",
    "Trainer",
    "--input",
    "taxi:1",
    "--input",
    "test=taxi:2",
    "--param",
    "lr=0.1",
    "--param",
    "layers=[1,2]",
    "--param",
    "opt=adam",
]


def test_a_hit_exits_0_and_names_the_run_and_what_it_made(place: str) -> None:
    result = run(place, *ASKED)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("HIT   run:3  20")
    assert result.stdout.endswith("  same code aaaaaaaaaaaa, 2 inputs, 3 parameters -> m:1\n")
    assert result.stderr.endswith(" ms\n")
    found = data(place, *ASKED)
    assert (found["cached"], found["run"], found["outputs"], found["why"]) == (True, "run:3", ["m:1"], None)


def test_a_miss_exits_1_and_names_the_differences(place: str) -> None:
    result = run(place, *ASKED, "--param", "lr=0.2", "--param", "x=y")
    assert result.exit_code == 1
    assert result.stdout == "MISS  params.lr: 0.1 in run:3, 0.2 here\n      params.x: none in run:3, 'y' here\n"
    found = data(place, *ASKED, "--code", "b" * 64, code=1)
    assert (found["cached"], found["why"]) == (False, "code: aaaaaaaaaaaa in run:3, bbbbbbbbbbbb here")
    assert data(place, "cached", "Nix", code=1)["why"] == "no Nix has completed yet"
    uri = data(place, "cached", "Trainer", "--input", "s3://taxi/1?a=b", code=1)  # No role: it is a URI.
    assert "input.test" not in uri["differences"][0]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["cached"], 2, "missing argument 'TYPE'"),
        (["cached", "Trainer", "--param", "lr"], 2, "'lr': write KEY=VALUE"),
        (["cached", "Trainer", "--param", "=1"], 2, "write KEY=VALUE"),
        (["cached", "Trainer", "--input", "nix"], 1, "there is no nix"),
        (["cached", "Trainer", "--code", "nix"], 2, "neither a file nor a SHA-256"),
        (["cached", "Trainer", "--param", "x=123456789012345678901234567890"], 2, "does not fit 64 bits"),
        (["cached", "Trainer", "--param", "x=" + "[" * 5000], 1, "no Trainer|params"),
        (["alias", "taxi@x", "nix"], 1, "there is no nix"),
        (["alias", "taxi@nix"], 1, "there is no taxi@nix: taxi has taxi@prod"),
        (["alias", "m@prod", "taxi:1"], 2, "stands for versions of m"),
        (["alias", "taxi", "taxi:1"], 2, "is no alias"),
        (["alias", "taxi@latest", "taxi:1"], 2, "follows from the versions"),
        (["alias", "--remove"], 2, "about one alias"),
        (["alias", "a@b", "--remove", "--history"], 2, "not both"),
        (["alias", "a@b", "--remove"], 1, "there is no a@b"),
        (["--at", "1h", "alias", "taxi@prod", "taxi:1"], 2, "--at looks back"),
    ],
)
def test_what_is_wrong_is_refused_in_a_line_with_what_to_do(place: str, words: list[str], code: int, told: str) -> None:
    result = run(place, *words)
    assert result.exit_code == code, result.output
    assert any(one in result.output for one in told.split("|"))
    assert "Traceback" not in result.output


def test_an_alias_is_moved_shown_listed_and_taken_away(place: str) -> None:
    assert data(place, "alias", "taxi@prod")["artifact"] == "taxi:2"
    assert data(place, "--at", "#13", "alias", "taxi@prod")["artifact"] == "taxi:1"
    assert run(place, "alias", "m@live", "m:1").stderr == "m@live stands for m:1\n"
    assert data(place, "alias", "m@live", "art:3") == {
        "alias": "m@live",
        "artifact": "m:1",
        "thing": "art:3",
    }
    assert [(one["alias"], one["artifact"]) for one in data(place, "alias")] == [
        ("m@live", "m:1"),
        ("taxi@prod", "taxi:2"),
    ]
    assert [one["alias"] for one in data(place, "alias", "m")] == ["m@live"]
    assert data(place, "alias", "taxi@latest")["artifact"] == "taxi:2"
    assert data(place, "alias", "m@live", "--remove") == {
        "alias": "m@live",
        "artifact": None,
        "thing": None,
    }
    assert [one["alias"] for one in data(place, "alias")] == ["taxi@prod"]


def test_the_history_of_an_alias_is_in_the_log(place: str) -> None:
    result = run(place, "alias", "taxi@prod", "--history", "-o", "json")
    if place.startswith("localhost"):
        assert result.exit_code == 1
        assert "open the store's folder" in result.output
    else:
        assert [one["artifact"] for one in json.loads(result.stdout)] == ["taxi:2", "taxi:1"]
