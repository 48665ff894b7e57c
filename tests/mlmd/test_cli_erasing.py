"""`evlog personal` and `evlog erase`, and what the other commands make of what was erased."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from click.testing import CliRunner, Result
from personal import NAME, declared, holds, opened, put, seen

from evlog.log import Log
from evlog.personal import ERASED, SEALED
from evlog.records import Erased, LossAccepted
from mlmd import errors
from mlmd.cli import cli

if TYPE_CHECKING:
    from pathlib import Path

BEN = "Ben Jones of 3 Oak Lane"
RULES = """
[[personal]]
type = "Trainer"
property = "operator"
subject_property = "user"

[[personal]]
property = "note_*"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EVLOG_REASON", raising=False)
    store = declared(tmp_path / "store")
    for user in ("u-17", "u-18", "u-17"):
        put(store, user, operator=NAME if user == "u-17" else BEN, age=41)
    store.close()
    return tmp_path / "store"


def run(place: Path, *words: str, said: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["-s", str(place), *words], prog_name="evlog", input=said)


def data(place: Path, *words: str) -> Any:
    result = run(place, "--json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def erased(place: Path, *words: str, subject: str = "u-17") -> Any:
    return data(place, "erase", subject, "--reason", "request 4711", *words)


# personal -------------------------------------------------------------------------------------------------------------


def test_rules_are_declared_from_a_file_and_told(tmp_path: Path) -> None:
    place, file = tmp_path / "store", tmp_path / "rules.toml"
    assert run(place, "init").exit_code == 0
    assert data(place, "personal") == []
    assert "nothing is personal" in run(place, "personal").stderr
    file.write_text(RULES, encoding="utf-8")
    told = data(place, "personal", str(file), "--reason", "ticket 81")
    assert told == data(place, "personal")
    assert told[0] == {
        "property": "operator",
        "kind": None,
        "type": "Trainer",
        "subject_property": "user",
        "subject": None,
    }
    [record] = data(place, "log", "-n", "1")
    assert (record["api"], record["reason"]) == ("DeclarePersonal", "ticket 81")
    assert "declared personal: operator, note_*" in run(place, "log", "-n", "1").stdout
    file.write_text("", encoding="utf-8")
    assert data(place, "personal", str(file)) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"[[personal]", "no TOML"),
        (b"x = 1", "x: each rule is a table"),
        (b"[personal]\nproperty = 'x'", "rule 1"),
        (b"personal = 7", "a list of rules"),
        (b"[[personal]]\nprop = 'x'", "prop"),
        (b"[[personal]]\nkind = 'node'\nproperty = 'x'", "kind"),
        (b"\xff", "is no text"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(place: Path, tmp_path: Path, text: bytes, told: str) -> None:
    (tmp_path / "rules.toml").write_bytes(text)
    before = data(place, "personal")
    result = run(place, "personal", str(tmp_path / "rules.toml"))
    assert result.exit_code in (1, 2)
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert data(place, "personal") == before


# erase ----------------------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_what_would_go_and_takes_nothing(place: Path, tmp_path: Path) -> None:
    files = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert run(place, "snapshot", str(tmp_path / "lake")).exit_code == 0
    told = data(place, "erase", "u-17", "--dry-run")
    assert (told["subject"], told["nodes"], told["versions"], told["values"]) == ("u-17", ["run:1", "run:3"], 2, 4)
    assert len(told["keys"]) == 1
    assert told["copies"] == [f"snapshot {tmp_path / 'lake'}: made anew"]
    for path, content in files.items():
        if path.suffix in (".seg", ".key") or path.name == "HEAD":
            assert path.read_bytes() == content
    with closing(opened(place)) as store:
        assert seen(store)["operator"] == NAME


def test_an_erasure_is_told_recorded_and_cannot_be_had_twice(place: Path) -> None:
    told = erased(place, "--basis", "GDPR Art. 17")
    assert (told["subject"], told["nodes"], told["values"], told["copies"]) == ("u-17", ["run:1", "run:3"], 4, [])
    [record] = data(place, "log", "-n", "1")
    assert (f"#{record['offset']}", record["api"], record["reason"]) == (told["record"], "Erase", "request 4711")
    [change] = record["changes"]
    assert (change["t"], change["subject"], change["basis"]) == ("erased", "u-17", "GDPR Art. 17")
    assert "erased u-17" in run(place, "log", "-n", "1").stdout
    assert data(place, "show", "run:1")["properties"] == {"operator": ERASED, "user": "u-17"}
    assert data(place, "show", "run:2")["properties"]["operator"] == BEN
    assert data(place, "--at", "#6", "show", "run:3")["properties"] == {"operator": ERASED, "user": "u-17"}
    again = run(place, "erase", "u-17", "--reason", "x")
    assert again.exit_code == 1
    assert f"it was erased by {told['record']}, and nothing is sealed for it now" in again.stderr
    assert run(place, "verify").exit_code == 0


def test_of_a_put_whose_values_were_erased_nobody_says_that_it_changed_nothing(place: Path) -> None:
    with closing(opened(place)) as store:
        [run_1] = store.get_executions_by_id([1])
        run_1.properties["operator"].string_value = f"{NAME}, since moved"
        store.put_executions([run_1])
    assert "Ana Smith" in run(place, "log", "run:1").stdout
    erased(place)
    told = run(place, "log", "run:1").stdout
    assert "no field that can be read differs" in told
    assert "as it was" not in told


def test_an_erasure_wants_a_subject_and_a_reason(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (
        ["erase"],
        ["erase", ""],
        ["erase", "u-17", "--lost-keys"],
        ["erase", "u-17", "--at", "#1", "--reason", "x"],
    ):
        assert run(place, *words).exit_code == 2
    result = run(place, "erase", "u-17")
    assert result.exit_code == 2
    assert "its reason goes on record" in result.stderr
    assert data(place, "show", "run:1")["properties"]["operator"] == NAME
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setenv("EVLOG_REASON", "by the environment")
    assert run(place, "erase", "u-17").exit_code == 0
    assert data(place, "log", "-n", "1")[0]["reason"] == "by the environment"


def test_a_subject_that_nobody_knows_a_store_that_is_none_and_a_medium_that_is_read_only_are_refused(
    place: Path, tmp_path: Path
) -> None:
    assert "'u-99': nothing is sealed" in run(place, "erase", "u-99", "--reason", "x").stderr
    assert run(tmp_path / "nowhere", "erase", "u-17", "--reason", "x").exit_code == 1
    assert not (tmp_path / "nowhere").exists()
    assert "no key is lost" in run(place, "erase", "--lost-keys", "--reason", "x").stderr


def test_every_proof_of_before_holds_after(place: Path, tmp_path: Path) -> None:
    proofs = [tmp_path / "node.tlog-proof", tmp_path / "record.tlog-proof"]
    assert run(place, "keys", "new").exit_code == 0
    root = data(place, "checkpoint")["root"]
    assert run(place, "prove", "run:1", "-O", str(proofs[0])).exit_code == 0
    assert run(place, "prove", "#3", "-O", str(proofs[1])).exit_code == 0
    (tmp_path / "policy").write_text(run(place, "keys", "policy").stdout, encoding="utf-8")
    before = [data(place, "check", str(proof), "--policy", str(tmp_path / "policy")) for proof in proofs]
    shutil.copytree(place / "tlog", tmp_path / "archive")
    erased(place)
    assert [data(place, "check", str(proof), "--policy", str(tmp_path / "policy")) for proof in proofs] == before
    for told in before:
        [change] = told["changes"]
        assert change["properties"]["operator"]["t"] == "sealed"
        assert NAME not in json.dumps(told)
    assert run(place, "verify", "--since", str(tmp_path / "archive" / "checkpoint")).exit_code == 0
    assert run(place, "prove", "run:1", "-O", str(tmp_path / "after.tlog-proof")).exit_code == 0
    assert run(place, "prove", "#3", "-O", str(tmp_path / "again.tlog-proof")).exit_code == 0
    assert data(place, "checkpoint")["root"] != root


def test_sql_and_snapshots_are_made_anew(place: Path, tmp_path: Path) -> None:
    lake, moved = tmp_path / "lake", tmp_path / "moved"
    sql = "select properties::varchar from executions order by id"
    assert NAME in json.dumps(data(place, "sql", sql))
    for folder in (lake, moved):
        assert run(place, "snapshot", str(folder)).exit_code == 0
    end = data(place, "snapshot", str(lake))["records"]
    moved.rename(tmp_path / "here")
    (tmp_path / "other").mkdir()
    told = erased(place, "--copy", str(tmp_path / "here"), "--copy", str(tmp_path / "other"))
    outcomes = {one["path"]: (one["kind"], one["done"]) for one in told["copies"]}
    assert outcomes == {
        str(lake): ("snapshot", True),
        str(moved): ("snapshot", False),
        str(tmp_path / "here"): ("snapshot", True),
        str(tmp_path / "other"): (None, False),
    }
    assert holds(place, NAME.encode()) == []
    for folder in (lake, tmp_path / "here"):
        rows = duckdb.sql(f"select properties::varchar from read_parquet('{folder}/executions/*/*.parquet')").fetchall()
        assert len(rows) == 3
        assert sum(BEN in row[0] for row in rows) == 1
        assert sum(ERASED in row[0] for row in rows) == 2
        assert run(place, "snapshot", str(folder), "--check").exit_code == 0
        assert json.loads((folder / "manifest.json").read_text())["end"] == end
        listed = {file["path"] for file in json.loads((folder / "manifest.json").read_text())["files"]}
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")} == listed
        assert data(place, "snapshot", str(folder))["new_records"] == 1
    assert json.dumps(data(place, "sql", sql)).count(ERASED) == 2
    assert run(place, "verify").exit_code == 0


def test_a_remake_that_was_killed_is_done_again(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from replay import snapshot

    lake = tmp_path / "lake"
    assert run(place, "snapshot", str(lake)).exit_code == 0
    move, moved = snapshot._move, []

    def killed(*given: Any) -> None:
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(move(*given))

    monkeypatch.setattr(snapshot, "_move", killed)
    assert run(place, "erase", "u-17", "--reason", "x").exit_code == 130
    monkeypatch.undo()
    told = data(place, "erase", "u-17", "--reason", "again")  # Finishes what was begun.
    assert [one["done"] for one in told["copies"]] == [True]
    assert run(place, "snapshot", str(lake), "--check").exit_code == 0
    assert len(data(place, "log", "--api", "Erase")) == 1


def test_an_export_is_left_to_do_by_hand_and_a_backup_holds_no_key(place: Path, tmp_path: Path) -> None:
    assert run(place, "export", "mlmd", str(tmp_path / "back.db")).exit_code == 0
    assert run(place, "backup", str(tmp_path / "copy")).exit_code == 0
    assert NAME.encode() in (tmp_path / "back.db").read_bytes()
    assert holds(tmp_path / "copy", NAME.encode()) == []
    assert not (tmp_path / "copy" / "keys").exists()
    assert data(tmp_path / "copy", "verify", "--log-only")["sound"]
    result = run(place, "erase", "u-17", "--reason", "x")
    assert result.exit_code == 0
    assert f"left to do: export {tmp_path / 'back.db'}: to be done by hand" in result.stderr
    assert "every proof, checkpoint and root of before holds" in result.stderr
    [record] = data(place, "log", "-n", "1")
    assert [line.split(": ")[1] for line in record["changes"][0]["copies"]] == ["to be done by hand", "holds no keys"]


def test_a_backup_is_read_with_the_keys_put_beside_it_and_what_was_erased_since_stays_erased(
    place: Path, tmp_path: Path
) -> None:
    copy, back = tmp_path / "copy", tmp_path / "back"
    assert run(place, "backup", str(copy)).exit_code == 0
    erased(place)
    assert run(copy, "status").exit_code == 0
    assert data(copy, "show", "run:1")["properties"] == {"operator": SEALED, "user": "u-17"}
    assert len(data(copy, "log")) == 6
    result = run(copy, "verify", "--json")
    assert (result.exit_code, [one["severity"] for one in json.loads(result.stdout)["findings"]]) == (0, ["note"] * 3)
    assert run(tmp_path, "restore", str(copy), str(back)).exit_code == 3  # It is there, and needs its keys.
    assert run(back, "verify").exit_code == 3
    shutil.copytree(place / "keys", back / "keys")
    # Of u-17 the keys say that it was erased by a record that this history does not have: it never will be read again.
    assert run(back, "erase", "--lost-keys", "--reason", "erased after the backup").exit_code == 0
    assert data(back, "show", "run:1")["properties"]["operator"] == ERASED
    assert data(back, "show", "run:2")["properties"]["operator"] == BEN
    assert run(back, "verify").exit_code == 0


def test_verify_tells_of_lost_and_returned_keys(place: Path) -> None:
    files = sorted((place / "keys" / "subjects").glob("*.key"))
    kept = {file: file.read_bytes() for file in files}
    assert run(place, "verify").exit_code == 0
    files[0].unlink()
    result = run(place, "verify", "--json")
    assert result.exit_code == 3
    [finding] = [one for one in json.loads(result.stdout)["findings"] if one["severity"] == "damage"]
    assert files[0].stem in finding["what"]
    assert run(place, "replay").exit_code == 3  # No view is made of values that nobody can read.
    shutil.rmtree(place / "views")
    with pytest.raises(RuntimeError, match="--lost-keys") as caught:
        opened(place)
    assert caught.value.error_code == errors.DATA_LOSS  # type: ignore[attr-defined]
    files[0].write_bytes(kept[files[0]])
    assert run(place, "verify").exit_code == 0
    erased(place)
    erased(place, subject="u-18")
    for file, content in kept.items():
        file.write_bytes(content)
    result = run(place, "verify")
    assert (result.exit_code, result.stdout.count("here again")) == (3, 2)
    assert data(place, "show", "run:1")["properties"]["operator"] == ERASED


def test_a_store_that_declares_nothing_has_no_keys_whatever_is_asked_of_it(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    assert run(place, "demo", "--guide", str(place)).exit_code == 0
    for words in (["backup", str(tmp_path / "copy")], ["snapshot", str(tmp_path / "lake")], ["verify"], ["personal"]):
        assert run(place, *words).exit_code == 0
    assert not (place / "keys").exists()


def lose_the_last(place: Path) -> int:
    """Damage the last record of a store, and accept that it is lost; return its offset."""
    with closing(Log.open(place / "log", writable=False)) as log:
        offset = log.end - 1
        position = log.frame(offset).position
    (segment,) = (place / "log").glob("*.seg")
    damaged = bytearray(segment.read_bytes())
    damaged[position + 70] ^= 1
    segment.write_bytes(damaged)
    told = run(place, "accept-loss", "--offset", str(offset), "--reason", "ticket 81")
    assert told.exit_code == 0, told.output
    return offset


def test_an_erasure_whose_record_is_lost_is_put_on_record_again(place: Path) -> None:
    assert run(place, "erase", "u-17", "--reason", "x").exit_code == 0
    offset = lose_the_last(place)
    with closing(opened(place)) as store:
        assert seen(store, 1)["operator"] == ERASED
        assert seen(store, 2)["operator"] == BEN
    told = run(place, "-o", "json", "verify")
    assert told.exit_code == 0, told.output
    assert [one["severity"] for one in json.loads(told.stdout)["findings"]] == ["note"]
    with closing(Log.open(place / "log", writable=False)) as log:
        (entry,) = log.read(offset)
        assert [type(change) for change in entry.record.changes] == [LossAccepted, Erased]
        assert log.subject_keys.erased_at(entry.record.changes[1].keys[0]) == offset


def test_an_erasure_is_told_of_what_a_loss_set_aside(place: Path) -> None:
    offset = lose_the_last(place)
    assert holds(place / "lost", NAME.encode())
    told = run(place, "erase", "u-17", "--reason", "x")
    assert str(place / "lost" / str(offset)) in told.output
