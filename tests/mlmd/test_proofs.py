"""Proofs from Python: made where the store is, checked where only the file is; and the command's prove and check are the same."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from serving import served

import mlmd
from evlog.tlog import keys
from evlog.tlog.policy import parse
from mlmd import errors
from mlmd.cli import cli
from mlmd.engine import Engine
from mlmd.opening import open_memory
from mlmd.publishing import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd.recorder.store import Store

VERSION = "taxi-model:1"


def told(*words: object) -> Any:
    result = CliRunner().invoke(cli, [*map(str, words), "--json"], prog_name="evlog")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def record(store: Store) -> None:
    with store.acting(actor="ana", reason="ticket 81"), store.run("Trainer", params={"lr": 0.1}) as run:
        run.output("s3://m/1", "Model", name="taxi-model", acc=0.9)


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVLOG_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def s(tmp_path: Path) -> Iterator[Store]:
    with mlmd.open(tmp_path / "store") as store:
        record(store)
        yield store


@pytest.fixture
def signed(s: Store, tmp_path: Path) -> Store:
    """A store with a key and a policy file, open since before there was a key."""
    ident = identity_of(tmp_path / "store")
    key = keys.new(ident.origin)
    keys.write(key, keys.place_of(ident.log_id))
    Path("my.policy").write_text(f"log {key.verifier.vkey}\nquorum none\n", encoding="utf-8")
    return s


def key_of(store: Store) -> str:
    return keys.read(keys.place_of(store.metadata.log.id), store.metadata.log.origin).verifier.vkey


def test_a_proof_is_made_where_the_store_is_and_checked_where_it_is_not(signed: Store, tmp_path: Path) -> None:
    made = signed.prove(VERSION)
    assert made.save("proof.txt") == tmp_path / "proof.txt"
    assert made.signed_by == [signed.metadata.log.origin]
    vkey = key_of(signed)
    signed.close()
    shutil.rmtree(tmp_path / "store")
    for trust in ({"policy": "my.policy"}, {"policy": Path("my.policy")}, {"key": vkey}, {"root": made.root}):
        found = mlmd.check("proof.txt", **trust)
        assert (found.offset, found.actor, found.root, found.log) == (made.offset, "ana", made.root, made.log)
        assert [change.uri for change in found.shown] == ["s3://m/1"]
        assert found.changes > 1, "the rest of the put stays secret"
        assert found.actor_known is None
    assert mlmd.check("proof.txt", policy="my.policy").agreed.logs == [made.log]
    assert mlmd.check(made, policy=parse(Path("my.policy").read_bytes())).shown == found.shown
    assert told("check", "proof.txt", "--policy", "my.policy")["root"] == made.root


def test_the_same_proof_comes_from_the_command_and_from_python(signed: Store) -> None:
    row = told("-s", "store", "prove", VERSION, "-O", "by-command")
    made = signed.prove("art:1")
    assert made.data == Path("by-command").read_bytes()
    assert (row["record"], row["root"], row["size"]) == (f"#{made.offset}", made.root, made.size)


def test_an_offset_is_proven_as_a_whole_record(s: Store) -> None:
    end = s.metadata.log.end
    made = s.prove(f"#{end - 1}")
    assert mlmd.check(made, root=made.root).changes == len(made.shown) > 1
    with pytest.raises(errors.OutOfRangeError, match=f"there is no #{end:,}: the last record is #{end - 1:,}"):
        s.prove(f"#{end}")
    with pytest.raises(errors.OutOfRangeError, match="the last record is #1"):
        s.at(2).prove("#2")
    with pytest.raises(errors.InvalidArgumentError, match="#x"):
        s.prove("#x")


def test_an_unsigned_proof_says_so_and_convinces_who_has_the_root(s: Store, tmp_path: Path) -> None:
    made = s.prove("run:1")
    assert made.unsigned
    assert "unsigned" in str(made)
    assert not (tmp_path / "store" / "tlog").exists(), "nothing was signed, so nothing is published"
    assert mlmd.check(made.data, root=made.root.upper()).agreed.logs == []
    with pytest.raises(errors.FailedPreconditionError, match="nothing is proven: .*is not the one that you know"):
        mlmd.check(made, root="00")
    key = keys.new(made.log).verifier.vkey
    with pytest.raises(errors.FailedPreconditionError, match="nothing is proven: nobody signed"):
        mlmd.check(made, key=key)


def test_who_only_reads_signs_nothing(signed: Store, tmp_path: Path) -> None:
    assert signed.prove("run:1", sign=False).unsigned
    assert not (tmp_path / "store" / "tlog" / "checkpoint").exists()
    assert not signed.prove("run:1").unsigned
    assert not signed.prove("run:1", sign=False).unsigned, "a checkpoint that is there is used"


def test_without_the_key_a_newer_record_is_not_signed(signed: Store) -> None:
    signed.prove("run:1")
    keys.place_of(signed.metadata.log.id).rename("elsewhere")
    record(signed)
    with pytest.raises(errors.FailedPreconditionError, match="here is no key to sign another"):
        signed.prove("run:2")


def test_a_version_of_the_past_is_proven_as_of_then(s: Store) -> None:
    before = s.metadata.log.end
    message = s.artifact(VERSION).message
    message.custom_properties["acc"].double_value = 0.5
    s.metadata.put_artifacts([message])
    now, then = s.prove(VERSION), s.at(before).prove(VERSION)
    assert (now.offset, then.offset) == (before, before - 1)


def test_a_store_in_memory_proves_too(memory_store: Store) -> None:
    made = memory_store.prove("run:1")
    assert mlmd.check(made, root=made.root).offset == made.offset


@pytest.fixture
def memory_store() -> Iterator[Store]:
    with mlmd.open(":memory:") as store:
        record(store)
        yield store


def test_a_server_says_where_to_ask_for_a_proof() -> None:
    engine = Engine(open_memory())
    with served(engine) as server, mlmd.open(f"localhost:{server.port}") as store:
        record(store)
        with pytest.raises(errors.UnimplementedError, match="open the store's folder"):
            store.prove("run:1")
    engine.close()


def test_what_was_never_put_is_not_proven(s: Store) -> None:
    for name in ("run:99", "type:Nobody", "taxi-model:2"):
        with pytest.raises(errors.NotFoundError, match=name):
            s.prove(name)
    with pytest.raises(errors.InvalidArgumentError):
        s.prove(17)


def test_a_changed_proof_proves_nothing(signed: Store) -> None:
    data = signed.prove(VERSION).data
    lines = data.split(b"\n")
    for at in range(len(lines)):
        if not lines[at]:
            continue
        broken = bytearray(lines[at])
        middle = len(broken) // 2
        broken[middle] = ord("B") if broken[middle] == ord("A") else ord("A")
        odd = b"\n".join([*lines[:at], bytes(broken), *lines[at + 1 :]])
        with pytest.raises(errors.FailedPreconditionError, match="nothing is proven"):
            mlmd.check(odd, policy="my.policy")


def test_whom_one_trusts_is_asked_for_in_one_way(signed: Store) -> None:
    made = signed.prove(VERSION)
    for trust in ({}, {"root": made.root, "policy": "my.policy"}, {"root": 7}, {"key": 7}):
        with pytest.raises(errors.InvalidArgumentError, match="root|key"):
            mlmd.check(made, **trust)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArgumentError, match="no verifier key"):
        mlmd.check(made, key="nonsense")
    with pytest.raises(errors.InvalidArgumentError, match="nowhere"):
        mlmd.check(made, policy="nowhere")
    with pytest.raises(errors.InvalidArgumentError, match=r"proof\.txt"):
        mlmd.check("proof.txt", root=made.root)
    made.save("proof.txt")
    with pytest.raises(errors.InvalidArgumentError, match=r"proof\.txt: line 1 of the policy"):
        mlmd.check("proof.txt", policy="proof.txt")
    with pytest.raises(errors.FailedPreconditionError, match=r"my\.policy: nothing is proven: this is no proof"):
        mlmd.check("my.policy", policy="my.policy")
    for odd in ("nowhere/proof.txt", "config", "zero\0byte"):
        with pytest.raises(errors.InvalidArgumentError):
            made.save(odd)


def test_an_actor_who_signed_is_known_by_a_file_of_keys(s: Store) -> None:
    ana = keys.new("ana")
    keys.write(ana, Path("ana.actor"))
    with s.acting(key="ana.actor"), s.run("Trainer"):
        pass
    Path("staff.keys").write_text(ana.verifier.vkey, encoding="utf-8")
    made = s.prove("run:2")
    assert mlmd.check(made, root=made.root, actors="staff.keys").actor_known is True
    assert mlmd.check(made, root=made.root).actor_known is False
    with pytest.raises(errors.FailedPreconditionError, match="no actor signed"):
        mlmd.check(s.prove("run:1"), root=s.prove("run:1").root, actors=[ana.verifier])
    with pytest.raises(errors.InvalidArgumentError, match="nowhere"):
        mlmd.check(made, root=made.root, actors="nowhere")


def test_a_notebook_shows_a_proof_and_what_it_proves_as_cards(signed: Store) -> None:
    made = signed.prove(VERSION)
    found = mlmd.check(made, policy="my.policy")
    for one in (made, found):
        html = one._repr_html_()
        assert "<script" not in html
        assert made.root in html
        assert made.root in str(one)
        assert VERSION in html
        assert "ticket 81" in str(one)
    assert str(found).startswith(f"Record #{made.offset} of {made.log}  proven\n")
    assert f"{len(found.shown)} of {found.changes} shown" in str(found)
    with signed.run("Trainer") as run:
        for number in range(12):
            run.output(f"s3://m/many/{number}", "Model", name=f"many-{number}")
    assert "more" in str(signed.prove(f"#{signed.metadata.log.end - 1}"))


def test_to_import_mlmd_imports_no_proof() -> None:
    code = "import sys, mlmd; assert 'check' in dir(mlmd); assert 'mlmd.proofs' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
