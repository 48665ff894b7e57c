"""The command on the store of a server: -s HOST:PORT."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from commands import run
from serving import served

from mlmd.demo import record_workflow
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.store import MetadataStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER_ONLY = [
    "log",
    "diff",
    "blame art:1",
    "verify",
    "replay",
    "backup copy",
    "checkpoint",
    "compress",
    "keys new",
    "serve",
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A store by its folder and by its server."""
    place: Path = tmp_path_factory.mktemp("served") / "store"
    engine = Engine(open_folder(place, create=True))
    record_workflow(MetadataStore.over(engine))
    with served(engine) as server:
        yield str(place), f"localhost:{server.port}"
    engine.close()


def data(place: str, *words: str) -> Any:
    result = run("-s", place, "-o", "json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "words",
    [
        "artifacts",
        "artifacts SavedModel",
        "executions --filter id=1",
        "artifacts SavedModel --filter uri!='x'",
        "artifacts --sort created --desc -n 1",
        "contexts",
        "--at #7 artifacts",
        "--at #9 show run:1",
    ],
)
def test_a_server_tells_what_its_folder_tells(both: tuple[str, str], words: str) -> None:
    folder, server = (data(place, *words.split()) for place in both)
    if isinstance(folder, dict):
        del folder["versions"]  # These are of the log.
    assert server == folder


def test_a_server_tells_types_but_not_how_many_nodes_they_have(both: tuple[str, str]) -> None:
    folder, server = (data(place, "types") for place in both)
    assert [{**row, "nodes": 0} for row in server] == [{**row, "nodes": 0} for row in folder]
    assert "nodes" not in server[0]
    assert data(both[1], "show", "type:Trainer")["properties"] == {"state": "STRING"}


def test_the_status_of_a_server_is_its_types_and_what_was_put_last(both: tuple[str, str]) -> None:
    told = data(both[1], "status")
    assert (told["store"], told["types"], told["last_artifact"][0]["id"]) == (both[1], 4, "art:2")
    assert run("-s", f"grpc://{both[1]}", "status").exit_code == 0


@pytest.mark.parametrize("words", FOLDER_ONLY)
def test_what_needs_the_log_says_so(both: tuple[str, str], words: str) -> None:
    result = run("-s", both[1], *words.split())
    assert (result.exit_code, result.stdout) == (1, "")
    name = words.split(maxsplit=1)[0]
    assert f"`{name}` reads the log" in result.stderr
    assert f"try: evlog -s FOLDER {name}" in result.stderr


def test_the_environment_may_name_a_server(both: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVLOG_STORE", both[1])
    assert "MNIST-v1" in run("show", "art:2").stdout
    assert run("-s", both[0], "status", "--json").stdout.startswith("{"), "-s comes first"
    monkeypatch.setenv("EVLOG_STORE", "host:99999")
    result = run("status")
    assert (result.exit_code, "EVLOG_STORE" in result.stderr) == (1, True)


def test_a_server_that_is_not_there_is_a_refusal() -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    result = run("-s", f"localhost:{port}", "artifacts")
    assert result.exit_code == 1
    assert "try: evlog -s FOLDER serve" in result.stderr
    assert len(result.stderr.splitlines()) == 2
    assert run("-s", "localhost:99999", "artifacts").exit_code == 2


@pytest.mark.parametrize("words", ["lineage art:2", "lineage run:1 --up 1", "path art:1 art:2"])
def test_a_server_answers_lineage_as_its_folder_does(both: tuple[str, str], words: str) -> None:
    told = [data(place, *words.split()) for place in both]
    for one in told:
        del one["note"]  # As of which record: a server does not say.
    assert told[0] == told[1]


def test_a_page_of_a_thing_on_a_server_says_that_it_cannot_be_quoted(both: tuple[str, str], tmp_path: Path) -> None:
    _, server = both
    for words in (["open", "art:2"], ["open"]):
        result = run("-s", server, *words, "--no-browser", "-O", str(tmp_path / "page.html"))
        assert result.exit_code == 0, result.output
        assert "neither as of which record" in (tmp_path / "page.html").read_text()
