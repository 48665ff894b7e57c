"""Tokens of a store: what is kept of them, what is on record, what a crash, a full disk or a damaged file leaves."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from evlog.errors import DiskFullError
from evlog.records import TokenAdded, TokenRemoved
from mlmd import errors
from mlmd.engine import Engine
from mlmd.opening import open_folder, open_memory
from mlmd.serving import tokens
from mlmd.serving.admission import gate_of
from mlmd.serving.tokens import REACHES, ROLES, LostTokensError, Tokens, TokensError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with closing(Engine(open_folder(tmp_path / "store", create=True))) as made:
        yield made


@pytest.fixture
def known(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "store")


def recorded(engine: Engine) -> list[TokenAdded | TokenRemoved]:
    found = [change for entry in engine.log.read(0) for change in entry.record.changes]
    return [change for change in found if isinstance(change, TokenAdded | TokenRemoved)]


def test_a_token_is_found_by_its_secret_which_is_kept_nowhere(engine: Engine, known: Tokens, tmp_path: Path) -> None:
    assert known.known() is None
    made = tokens.add(engine, "ana", "reader")
    assert made.secret.startswith("evlog_")
    assert len(made.secret) == len("evlog_") + 43
    assert known.find(made.secret) == made.token
    assert made.token.tail == made.secret[-4:]
    for wrong in (
        "",
        "evlog_",
        made.secret[:-1],
        made.secret + "x",
        made.secret.upper(),
        "é" * 50,
        "\ud800",
        "x" * 10**6,
    ):
        assert known.find(wrong) is None
    engine.close()
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            assert made.secret.encode() not in path.read_bytes(), path


def test_the_file_is_its_owners_alone_and_holds_no_more_than_a_hash(engine: Engine, known: Tokens) -> None:
    made = tokens.add(engine, "ana", "reader")
    assert stat.S_IMODE(known.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(known.file.parent.stat().st_mode) == 0o700
    [kept] = json.loads(known.file.read_bytes())["tokens"]
    assert kept.keys() == {"name", "role", "hash", "tail", "made_ms", "expires_ms"}
    assert kept["hash"] == made.token.hash


def test_who_added_and_removed_which_token_is_on_record_and_no_hash_is(engine: Engine, tmp_path: Path) -> None:
    made = tokens.add(engine, "ci", "writer", 10**13)
    tokens.remove(engine, "ci")
    assert recorded(engine) == [TokenAdded("ci", "writer", 10**13), TokenRemoved("ci")]
    last = [*engine.log.read(engine.log.end - 2)]
    assert [entry.record.envelope.api for entry in last] == ["AddToken", "RemoveToken"]
    assert {entry.record.envelope.actor for entry in last} == {engine.author.actor}
    engine.close()
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            assert made.token.hash.encode() not in path.read_bytes(), path


def test_a_removed_token_opens_nothing_and_its_name_is_free(engine: Engine, known: Tokens) -> None:
    first = tokens.add(engine, "ana", "reader")
    other = tokens.add(engine, "bob", "admin")
    assert tokens.remove(engine, "ana") == [other.token]
    assert known.find(first.secret) is None
    again = tokens.add(engine, "ana", "auditor")
    assert known.find(first.secret) is None
    assert known.find(again.secret) == again.token


def test_a_store_whose_last_token_is_removed_still_asks_for_one(engine: Engine, known: Tokens) -> None:
    tokens.add(engine, "ana", "reader")
    tokens.remove(engine, "ana")
    assert known.known() == []


@pytest.mark.parametrize(
    ("name", "what"),
    [("", "no name"), (" ana", "no name"), ("a\nb", "no name"), ("a" * 101, "no name"), ("a\x1b[1m", "no name")],
)
def test_a_name_that_is_none_is_refused_before_anything_is_written(
    engine: Engine, known: Tokens, name: str, what: str
) -> None:
    end = engine.log.end
    for ask in (lambda: tokens.add(engine, name, "reader"), lambda: tokens.remove(engine, name)):
        with pytest.raises(errors.InvalidArgumentError, match=what):
            ask()
    assert engine.log.end == end
    assert not known.file.exists()


def test_a_secret_given_for_a_name_is_refused_and_not_repeated(engine: Engine) -> None:
    secret = tokens.add(engine, "ana", "reader").secret
    with pytest.raises(errors.InvalidArgumentError, match="the secret") as refused:
        tokens.remove(engine, secret)
    assert secret not in str(refused.value)


def test_a_name_has_one_token_and_one_that_is_not_there_is_said(engine: Engine) -> None:
    tokens.add(engine, "ana", "reader")
    end = engine.log.end
    with pytest.raises(errors.AlreadyExistsError, match="evlog token rm ana"):
        tokens.add(engine, "ana", "admin")
    with pytest.raises(errors.NotFoundError, match="there are ana"):
        tokens.remove(engine, "bob")
    assert engine.log.end == end


def test_a_token_that_would_be_over_at_once_is_refused(engine: Engine) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="later"):
        tokens.add(engine, "ana", "reader", tokens.now_ms())


def test_a_store_in_memory_has_no_tokens() -> None:
    with closing(Engine(open_memory())) as engine:
        assert tokens.tokens_of(engine) is None
        with pytest.raises(errors.FailedPreconditionError, match="folder"):
            tokens.add(engine, "ana", "reader")


def test_a_role_reaches_what_it_should_and_no_more() -> None:
    assert {role: set(REACHES[role]) for role in ROLES} == {
        "reader": {"reader"},
        "writer": {"reader", "writer"},
        "auditor": {"reader", "auditor"},
        "admin": {"reader", "writer", "auditor", "admin"},
    }


# Other processes, crashes, damage ------------------------------------------------------------------------------------


def test_what_another_adds_and_removes_is_known_at_the_next_look(engine: Engine, known: Tokens) -> None:
    first = tokens.add(engine, "ana", "reader")
    assert known.find(first.secret) == first.token
    second = tokens.add(engine, "bob", "reader")
    assert known.find(second.secret) == second.token
    tokens.remove(engine, "ana")
    assert known.find(first.secret) is None


def test_a_token_whose_record_cannot_be_written_opens_nothing(
    engine: Engine, known: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "answer", _full)
    with pytest.raises(errors.ResourceExhaustedError):
        tokens.add(engine, "ana", "reader")
    assert not known.known()


def test_a_token_dies_even_where_its_removal_cannot_be_recorded_and_is_removed_by_the_next_try(
    engine: Engine, known: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tokens.add(engine, "ana", "reader")
    with monkeypatch.context() as full:
        full.setattr(Engine, "answer", _full)
        with pytest.raises(errors.ResourceExhaustedError):
            tokens.remove(engine, "ana")
    assert known.find(made.secret) is None
    assert [(one.name, one.hash) for one in known.known() or ()] == [("ana", "")]
    assert known.find("") is None
    with pytest.raises(errors.AlreadyExistsError):
        tokens.add(engine, "ana", "reader")
    tokens.remove(engine, "ana")
    assert known.known() == []
    assert recorded(engine)[-1] == TokenRemoved("ana")


def _full(*_: Any, **__: Any) -> Any:
    cause = OSError(28, "No space left on device")
    raise errors.status_error(DiskFullError("write failed", file="x", cause=cause))


def test_a_kill_between_record_and_file_leaves_a_record_and_no_token(
    engine: Engine, known: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens.add(engine, "ana", "reader")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(tokens, "write_whole", die)
        with pytest.raises(KeyboardInterrupt):
            tokens.add(engine, "bob", "admin")
    assert recorded(engine)[-1] == TokenAdded("bob", "admin")
    assert [one.name for one in known.known() or ()] == ["ana"]
    made = tokens.add(engine, "bob", "admin")
    assert known.find(made.secret) == made.token


def test_a_file_cut_anywhere_is_refused_loudly(engine: Engine, known: Tokens) -> None:
    secret = tokens.add(engine, "ana", "reader").secret
    data = known.file.read_bytes().rstrip(b"\n")
    for cut in range(len(data)):
        known.file.write_bytes(data[:cut])
        for looking in (known, Tokens(known.store)):
            with pytest.raises(TokensError, match="TOKENS"):
                looking.find(secret)
    known.file.write_bytes(data)
    assert known.find(secret)


def test_a_flipped_byte_is_refused_or_changes_nothing(engine: Engine, known: Tokens) -> None:
    made = tokens.add(engine, "ana", "reader", 10**13)
    data = known.file.read_bytes()
    said = []
    for at in range(len(data)):
        flipped = bytes([*data[:at], data[at] ^ 1, *data[at + 1 :]])
        try:
            assert tokens.parse(flipped) == [made.token]
        except ValueError as error:
            said.append(str(error))
    assert said
    assert made.token.hash not in "".join(said)


def test_a_file_of_a_later_release_says_to_upgrade(engine: Engine, known: Tokens) -> None:
    tokens.add(engine, "ana", "reader")
    known.file.write_bytes(known.file.read_bytes().replace(b'"format":1', b'"format":2'))
    with pytest.raises(TokensError, match="upgrade"):
        known.known()


def test_a_file_that_is_gone_under_who_read_it_lets_nobody_in(engine: Engine, known: Tokens) -> None:
    secret = tokens.add(engine, "ana", "reader").secret
    data = known.file.read_bytes()
    assert known.find(secret)
    known.file.unlink()
    with pytest.raises(TokensError, match="was here"):
        known.known()
    assert Tokens(known.store).known() is None
    known.file.write_bytes(data)
    assert known.find(secret)


def test_threads_that_add_at_once_each_get_a_token(engine: Engine, known: Tokens) -> None:
    made: list[tokens.Made] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(tokens.add(engine, f"t{n}", "reader"))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(known.find(one.secret) == one.token for one in made)
    assert len(made) == 8


_BUSY = """
import sys
from contextlib import closing
from pathlib import Path
from mlmd.serving import tokens
from mlmd.engine import Engine
from mlmd.opening import open_folder

with closing(Engine(open_folder(Path(sys.argv[1])))) as engine:
    for number in range(6):
        tokens.add(engine, f"{sys.argv[2]}-{number}", "reader")
        if number % 2:
            tokens.remove(engine, f"{sys.argv[2]}-{number}")
"""


@pytest.mark.once
def test_two_processes_that_add_and_remove_at_once_lose_nothing(engine: Engine, known: Tokens) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", _BUSY, str(known.store), name]) for name in ("a", "b")]
    assert [process.wait(120) for process in processes] == [0, 0]
    left = {f"{name}-{number}" for name in "ab" for number in (0, 2, 4)}
    assert {one.name for one in known.known() or ()} == left
    log = open_folder(known.store, writable=False)
    changes = [change for entry in log.log.read(0) for change in entry.record.changes]
    log.close()
    added = [change.name for change in changes if isinstance(change, TokenAdded)]
    removed = [change.name for change in changes if isinstance(change, TokenRemoved)]
    assert len(added) == 12
    assert set(added) - set(removed) == left


# Lost ----------------------------------------------------------------------------------------------------------------


def test_a_store_that_lost_its_tokens_is_not_open_to_everybody_also_after_a_restart(
    engine: Engine, known: Tokens, tmp_path: Path
) -> None:
    for name in ("bob", "ana"):
        tokens.add(engine, name, "reader")
    tokens.remove(engine, "bob")
    shutil.rmtree(known.file.parents[1])
    with (
        closing(Engine(open_folder(tmp_path / "store", writable=False))) as again,
        pytest.raises(LostTokensError, match="gone, and the log tells of tokens: ana;.*add the tokens anew") as caught,
    ):
        gate_of(again)
    assert caught.value.names == ["ana"]
    made = tokens.add(engine, "cy", "reader")
    gate = gate_of(engine)
    assert gate is not None
    assert not gate.is_open()
    assert gate.token(made.secret) == made.token


def test_a_store_restored_from_a_backup_is_not_open_to_everybody(engine: Engine, tmp_path: Path) -> None:
    tokens.add(engine, "ana", "reader")
    shutil.copytree(tmp_path / "store" / "log", tmp_path / "copy" / "log")
    with closing(Engine(open_folder(tmp_path / "copy"))) as restored, pytest.raises(LostTokensError, match="ana"):
        gate_of(restored)


def test_a_store_whose_tokens_are_all_removed_is_open_again_once_their_file_is(engine: Engine, known: Tokens) -> None:
    tokens.add(engine, "ana", "reader")
    tokens.add(engine, "bob", "reader")
    tokens.remove(engine, "ana")
    known.file.unlink()
    assert tokens.on_record(engine) == ["bob"]
    tokens.remove(engine, "bob")  # Its secret is lost, its record is not.
    assert not known.file.exists()
    gate = gate_of(engine)
    assert gate is not None
    assert gate.is_open()
    with pytest.raises(errors.NotFoundError, match="there is none"):
        tokens.remove(engine, "bob")
