"""What was promised goes into a backup and comes back with it; an older moment brought back is no rollback to itself."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import stores
from stores import run

from mlmd import opening
from mlmd.cli import keeping

if TYPE_CHECKING:
    from pathlib import Path


def data(*words: str | Path) -> Any:
    result = run("-o", "json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def put(place: Path, *names: str) -> None:
    """Put, then sign; that is refused where the key signed another history."""
    stores.put(place, *names)
    run("-s", place, "checkpoint")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a key, and checkpoints over 3, 5 and 6 records, the first of which `init` made."""
    monkeypatch.delenv("EVLOG_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(opening, "_checkpointer", lambda *_: None)  # They shall be made when the test says so.
    place = tmp_path / "store"
    assert run("init", place).exit_code == 0
    assert run("-s", place, "keys", "new").exit_code == 0
    put(place, "a", "b")
    put(place, "c", "d")
    put(place, "e")
    return place


def checkpoints(place: Path) -> list[int]:
    return sorted(int(path.name) for path in (place / "tlog" / "checkpoints").iterdir())


def findings(place: Path, *words: str | Path) -> list[tuple[str, str]]:
    result = run("-s", place, "-o", "json", "verify", *words)
    found = json.loads(result.stdout)["findings"]
    assert result.exit_code == (3 if any(one["severity"] == "damage" for one in found) else 0), result.output
    return [(one["severity"], one["what"]) for one in found]


def test_a_backup_holds_the_checkpoints_up_to_its_end_and_proves_without_tiles(place: Path, tmp_path: Path) -> None:
    assert data("-s", place, "backup", tmp_path / "copy")["signed_records"] == 6
    assert checkpoints(tmp_path / "copy") == checkpoints(place) == [3, 5, 6]
    assert not (tmp_path / "copy" / "tlog" / "tile").exists()
    [(severity, what)] = findings(tmp_path / "copy", "--log-only")
    assert (severity, "no tiles" in what) == ("note", True)
    policy = tmp_path / "policy"
    policy.write_text(run("-s", place, "keys", "policy").stdout, encoding="utf-8")
    assert run("-s", tmp_path / "copy", "prove", "#3", "-O", tmp_path / "proof").exit_code == 0
    assert run("check", tmp_path / "proof", "--policy", policy).exit_code == 0
    put(place, "f")
    assert data("-s", place, "backup", tmp_path / "copy")["signed_records"] == 7
    assert (tmp_path / "copy" / "tlog" / "checkpoint").read_bytes() == (place / "tlog" / "checkpoint").read_bytes()


def test_a_checkpoint_made_while_the_log_is_copied_is_not_over_more_than_the_copy(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = keeping.back_up

    def then_more(*arguments: Any, **named: Any) -> Any:
        done = original(*arguments, **named)
        put(place, "f")
        return done

    monkeypatch.setattr(keeping, "back_up", then_more)
    assert data("-s", place, "backup", tmp_path / "copy")["signed_records"] == 6
    assert checkpoints(place)[-1] == 7
    assert [severity for severity, _ in findings(tmp_path / "copy", "--log-only")] == ["note"]


def test_a_store_without_checkpoints_and_one_with_those_of_another_log_bring_none(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert run("init", other).exit_code == 0
    assert data("-s", other, "backup", tmp_path / "a")["signed_records"] is None
    assert not (tmp_path / "a" / "tlog").exists()
    shutil.copytree(place / "tlog", other / "tlog")
    assert data("-s", other, "backup", tmp_path / "b")["signed_records"] is None
    (place / "tlog" / "checkpoints" / "5").write_bytes(b"damaged")
    assert data("-s", place, "backup", tmp_path / "c")["signed_records"] == 6
    assert checkpoints(tmp_path / "c") == [3, 6]


def test_a_store_restored_whole_is_signed_on_under_the_same_key(place: Path, tmp_path: Path) -> None:
    run("-s", place, "backup", tmp_path / "copy")
    shutil.rmtree(place)
    assert data("restore", tmp_path / "copy", place)["signed_records"] == 6
    assert checkpoints(place) == [3, 5, 6]
    assert data("-s", place, "checkpoint")["records"] == 7, "with the record that it was restored"
    assert findings(place) == []
    put(place, "f")
    assert checkpoints(place) == [3, 5, 6, 7, 8]


def test_an_older_moment_brought_back_is_whole_and_is_not_signed_by_the_key_that_signed_more(
    place: Path, tmp_path: Path
) -> None:
    run("-s", place, "backup", tmp_path / "copy")
    before = tmp_path / "before"
    assert data("restore", tmp_path / "copy", before, "--at", "#5")["signed_records"] == 5
    assert checkpoints(before) == [3, 5]
    assert data("-s", before, "status")["records"] == 6
    put(before, "of its own")
    assert [severity for severity, _ in findings(before, "--log-only")] == ["note"]
    assert checkpoints(before) == [3, 5], "two histories under one key would be a lie"
    result = run("-s", before, "checkpoint")
    assert result.exit_code == 3
    assert "first 6 records" in result.stderr
    assert "restored" in result.stderr
    other = tmp_path / "other.key"
    assert run("-s", before, "keys", "new", "-k", other).exit_code == 0
    assert data("-s", before, "checkpoint", "-k", other)["records"] == 7
    assert findings(before) == []
    assert ("damage", "rewritten") in [
        (severity, "rewritten" if "rewritten" in what else what)
        for severity, what in findings(before, "--since", place / "tlog" / "checkpoint")
    ], "whoever holds a checkpoint of the other history is told"


def test_a_restore_of_nothing_brings_no_checkpoint(place: Path, tmp_path: Path) -> None:
    run("-s", place, "backup", tmp_path / "copy")
    assert data("restore", tmp_path / "copy", tmp_path / "empty", "--at", "#0")["signed_records"] is None
    assert not (tmp_path / "empty" / "tlog").exists()
