"""`evlog token`: who may use servers of a store, as a person at the shell says and sees it."""

from __future__ import annotations

import datetime as dt
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commands import data, run
from serving import served

from mlmd import moment
from mlmd.client import TOKEN
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.serving.tokens import Tokens


@pytest.fixture
def place(tmp_path: Path) -> str:
    store = str(tmp_path / "store")
    assert run("init", store).exit_code == 0
    return store


def add(place: str, *words: str) -> Any:
    return data("-s", place, "token", "add", *words)


def test_the_secret_is_told_once_on_standard_output_alone(place: str) -> None:
    result = run("-s", place, "token", "add", "ana", "--role", "reader")
    assert result.exit_code == 0
    [secret] = [word for word in result.stdout.split() if word.startswith("evlog_")]
    assert secret not in result.stderr
    assert "shown this once" in result.stderr
    assert "those that run" in result.stderr
    for words in (["token", "ls"], ["log"], ["token", "uses"], ["status"], ["-o", "json", "token", "ls"]):
        told = run("-s", place, *words)
        assert told.exit_code == 0
        assert secret not in told.output
    assert "those that run" not in run("-s", place, "token", "add", "bob", "--role", "reader").stderr


def test_tokens_are_listed_by_name_role_last_letters_and_times(place: str) -> None:
    assert "servers ask nobody" in run("-s", place, "token", "ls").stderr
    secret = add(place, "ci", "--role", "writer", "--expires", "30d", "--reason", "ticket 81")["secret"]
    [row] = data("-s", place, "token", "ls")
    assert (row["name"], row["role"], row["ends_with"], row["state"]) == ("ci", "writer", secret[-4:], None)
    lasts = dt.datetime.fromisoformat(row["expires"]) - dt.datetime.fromisoformat(row["created"])
    assert dt.timedelta(days=29, hours=23) < lasts < dt.timedelta(days=30, minutes=1)
    assert run("-s", place, "token", "ls", "-o", "id").stdout == "ci\n"
    [newest, *_] = data("-s", place, "log")
    assert (newest["api"], newest["reason"]) == ("AddToken", "ticket 81")
    assert "added the token ci, writer" in run("-s", place, "log").stdout


def test_a_token_is_removed_and_the_last_one_leaves_the_door_shut(place: str) -> None:
    add(place, "ana", "--role", "reader")
    add(place, "bob", "--role", "reader")
    assert [row["name"] for row in data("-s", place, "token", "rm", "ana")] == ["bob"]
    result = run("-s", place, "token", "rm", "bob", "--reason", "left")
    assert result.exit_code == 0
    assert "let nobody in" in result.stderr
    assert str(Tokens(Path(place)).file) in result.stderr
    assert "let nobody in" in run("-s", place, "token", "ls").stderr
    assert "removed the token bob" in run("-s", place, "log").stdout


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["add"], "which token", 2),
        (["add", "ana"], "which role? --role reader, writer, auditor, admin", 2),
        (["add", "ana", "--role", "king"], "'king' is not one of", 2),
        (["add", "ana", "--role", "reader", "--expires", "soon"], "30d, 12h, or a date", 2),
        (["add", "ana", "--role", "reader", "--expires", "2001-01-01"], "no time to come", 2),
        (["add", "ana", "--role", "reader", "--expires", "0d"], "opens nothing", 2),
        (["add", "ana", "--role", "reader", "--expires", "9999999d"], "no time to come", 2),
        (["add", "a\nb", "--role", "reader"], "no name of a token", 2),
        (["rm"], "which token", 2),
        (["rm", "ana"], "there is none", 1),
        (["rm", "ana", "--role", "reader"], "--role is not for `token rm`", 2),
        (["ls", "ana"], "takes no name", 2),
        (["ls", "-n", "1"], "-n is not for `token ls`", 2),
        (["uses", "-n", "-1"], "-1", 2),
        (["uses", "--expires", "1d"], "--expires is not for", 2),
        (["open"], "'open' is not one of", 2),
        ([], "missing argument", 2),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(place: str, words: list[str], said: str, code: int) -> None:
    result = run("-s", place, "token", *words)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert not Tokens(Path(place)).known()


def test_a_name_that_is_taken_or_none_leads_to_the_list(place: str) -> None:
    add(place, "ana", "--role", "reader")
    for words in (["add", "ana", "--role", "reader"], ["rm", "bob"]):
        result = run("-s", place, "token", *words)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1] == f"try: evlog -s {place} token ls"


def test_damaged_tokens_are_damage_and_the_hint_helps(place: str, tmp_path: Path) -> None:
    add(place, "ana", "--role", "reader")
    file = tmp_path / "store" / "keys" / "tokens" / "TOKENS"
    file.write_bytes(file.read_bytes()[:50])
    for words in (["ls"], ["rm", "ana"], ["add", "bob", "--role", "reader"]):
        result = run("-s", place, "token", *words)
        assert result.exit_code == 3, result.output
        assert f"try: rm {file}" in result.stderr
    file.unlink()
    add(place, "bob", "--role", "reader")


def test_a_server_has_its_tokens_on_its_own_machine(place: str) -> None:
    result = run("-s", "localhost:1", "token", "ls")
    assert result.exit_code == 1
    assert "on the machine of the server" in result.stderr


def test_the_command_shows_a_server_the_token_of_the_environment_and_its_uses_are_listed(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = add(place, "ana", "--role", "reader")["secret"]
    with closing(Engine(open_folder(tmp_path / "store"))) as engine, served(engine) as server:
        address = f"localhost:{server.port}"
        refused = run("-s", address, "artifacts")
        assert refused.exit_code == 1
        assert "EVLOG_TOKEN" in refused.stderr.splitlines()[-1]
        monkeypatch.setenv(TOKEN, secret)
        assert run("-s", address, "artifacts").exit_code == 0
        denied = run("-s", address, "mark", "here")
        assert denied.exit_code == 1
        assert "is for the role writer" in denied.stderr
        assert secret not in refused.output + denied.output
        elsewhere = run("-s", "192.0.2.1:80", "artifacts")
        assert elsewhere.exit_code == 2
        assert "grpcs://" in elsewhere.stderr
        assert secret not in elsewhere.output
    told = data("-s", place, "token", "uses", "ana", "-n", "0")
    assert {row["result"] for row in told} == {"OK", "NOT_FOUND", "PERMISSION_DENIED"}
    assert {row["actor"] for row in told} == {"ana"}
    assert len(data("-s", place, "token", "uses")) == len(told) + 1
    assert len(data("-s", place, "token", "uses", "-n", "1")) == 1
    assert "UNAUTHENTICATED" in run("-s", place, "token", "uses").stdout


@pytest.mark.once
def test_no_argument_of_any_command_takes_a_secret(place: str) -> None:
    from mlmd.cli.grammar import FILE

    assert "secret" not in FILE.read_text(encoding="utf-8").lower()


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 30 * 86_400), ("12h", 43_200), ("90m", 5_400), ("45s", 45), ("2w", 14 * 86_400)]
)
def test_a_length_of_time_ends_so_long_from_now(text: str, seconds: int) -> None:
    now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    assert moment.ahead(text, now) == now + dt.timedelta(seconds=seconds)


def test_a_date_to_come_is_an_end() -> None:
    now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    assert moment.ahead("2026-03-02T00:00Z", now) == dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    for text in ("2026-02-28", "yesterday", "now", "#5", "mark:x", "3 days ago", "", "30", "-1d"):
        with pytest.raises(ValueError, match="no time to come"):
            moment.ahead(text, now)


def test_tokens_that_are_lost_are_told_by_every_server_and_can_be_added_anew_or_removed(place: str) -> None:
    add(place, "ana", "--role", "reader")
    shutil.rmtree(Path(place) / "keys")
    for words in (["token", "ls"], ["serve", "--grpc", "0"], ["ui", "--no-browser"], ["serve", "--openlineage", "0"]):
        result = run("-s", place, *words)
        assert result.exit_code == 3, result.output
        assert "gone, and the log tells of tokens: ana" in result.stderr
        assert result.stderr.splitlines()[-1] == f"try: evlog -s {place} token add NAME --role reader"
    assert run("-s", place, "token", "rm", "ana").exit_code == 0
    assert "servers ask nobody" in run("-s", place, "token", "ls").stderr
