"""An old copy put back, a clone that went its own way: whatever newer watermark is left tells of it, wherever one looks.

A store of 4 records is copied, then grows to 7; parts of the copy are put back over it. What then still knows of 7 records is the one
watermark under test; every way into the store must tell, in a typed error or a finding, both numbers, and change nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from stores import opened, put, run

from evlog import identity, segment
from evlog.errors import LostRecordsError, ReplacedLogError
from evlog.files import RealFolder
from evlog.tlog import keys
from mlmd import opening
from mlmd.opening import open_folder

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = 4, 7


def checkpoint(place: Path, *words: str | Path) -> None:
    result = run("-s", place, "checkpoint", *words)
    assert result.exit_code == 0, result.output


def memory(place: Path) -> Path:
    """Return where the key keeps what it signed last."""
    return keys.memory_of(keys.place_of(identity.read(RealFolder(place / "log")).log_id))


@pytest.fixture
def grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that grew since `old`, a copy of it, was made; both signed, with an anchor."""
    monkeypatch.delenv("EVLOG_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(opening, "_checkpointer", lambda *_: None)  # They shall be made when the test says so.
    place = tmp_path / "store"
    assert run("init", place).exit_code == 0
    assert run("-s", place, "keys", "new").exit_code == 0
    put(place, *"abc")
    (tmp_path / "elsewhere").mkdir()
    checkpoint(place, "--copy-to", tmp_path / "elsewhere")
    shutil.copytree(place, tmp_path / "old", symlinks=True)
    put(place, *"def")
    checkpoint(place)
    return place


def put_back(place: Path, *names: str) -> None:
    for name in names:
        shutil.rmtree(place / name)
        shutil.copytree(place.parent / "old" / name, place / name, symlinks=True)


WATERMARKS = {
    # Which parts of the old copy are put back, and what is removed, so that one thing alone knows better.
    "views": (("log", "tlog"), ("anchors", "memory")),
    "checkpoint": (("log", "views"), ("anchors", "memory")),
    "anchor": (("log", "views", "tlog"), ("memory",)),
}


@pytest.mark.parametrize("watermark", WATERMARKS)
def test_every_way_into_a_store_that_was_rolled_back_is_told(grown: Path, watermark: str) -> None:
    parts, removed = WATERMARKS[watermark]
    put_back(grown, *parts)
    for one in removed:
        (memory(grown) if one == "memory" else grown / one).unlink()
    before = {path: path.read_bytes() for path in grown.rglob("*") if path.is_file() and path.name != "LOCK"}
    for writable in (True, False):
        with pytest.raises(LostRecordsError, match=f"{NEW}.* acknowledged") as caught:
            open_folder(grown, writable=writable)
        assert (caught.value.offset, "evlog verify" in str(caught.value)) == (OLD, True)
    with pytest.raises(RuntimeError, match=f"{NEW}.* acknowledged"):
        opened(grown)
    left = grown.parent / "left"
    for words in (
        ("status",),
        ("checkpoint",),
        ("log",),
        ("prove", "#1", "-O", left),
        ("backup", left),
        ("snapshot", left),
    ):
        result = run("-s", grown, *words)
        assert result.exit_code == 3, (words, result.output)
        assert str(NEW) in result.stderr, words
        place = f"{segment.name_of(0)}: byte {(grown / 'log' / segment.name_of(0)).stat().st_size} (offset {OLD})"
        assert place in result.stderr, (words, result.stderr)
        assert not left.exists(), words
    result = run("-s", grown, "serve", "--grpc_port", "0")
    assert (result.exit_code, str(NEW) in result.stderr) == (3, True), result.output
    result = run("-s", grown, "-o", "json", "verify")
    assert result.exit_code == 3
    found = [one["what"] for one in json.loads(result.stdout)["findings"] if one["severity"] == "damage"]
    assert found
    assert all(str(OLD) in what and str(NEW) in what for what in found)
    assert {path: data for path, data in before.items() if path.read_bytes() != data} == {}, "nothing was changed"


@pytest.mark.parametrize("watermark", ["views", "tlog", "anchors"])
def test_a_head_that_a_power_cut_left_behind_is_no_loss(grown: Path, watermark: str) -> None:
    """It is never synced; view, checkpoints and anchors may be newer, and what they speak of is there."""
    shutil.copy(grown.parent / "old" / "log" / "HEAD", grown / "log" / "HEAD")
    for other in {"views", "tlog", "anchors"} - {watermark}:
        path = grown / other
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    left = grown.parent / "left"
    status = run("-s", grown, "-o", "json", "status")
    assert (status.exit_code, json.loads(status.stdout)["records"]) == (0, NEW), status.output
    result = run("-s", grown, "verify")
    assert result.exit_code == 0, result.output
    assert f"HEAD speaks of {OLD} records, {NEW} are there" in result.stdout
    backup = run("-s", grown, "-o", "json", "backup", left)
    assert (backup.exit_code, json.loads(backup.stdout)["records"]) == (0, NEW), backup.output
    assert run("-s", left, "verify").exit_code == 0
    for words in (("log", "-n", "1"), ("prove", f"#{NEW - 1}", "-O", left / "proof"), ("checkpoint",)):
        result = run("-s", grown, *words)
        assert result.exit_code == 0, (words, result.output)
    put(grown, "g")
    result = run("-s", grown, "verify")
    assert (result.exit_code, "HEAD" in result.stdout) == (0, False), "the put has moved it"


def test_the_key_s_memory_is_enough_for_whoever_signs(grown: Path) -> None:
    put_back(grown, "log", "views", "tlog")
    (grown / "anchors").unlink()
    result = run("-s", grown, "checkpoint")
    assert result.exit_code == 3
    assert f"the log ends at record {OLD}, the checkpoint is over {NEW}" in result.stderr


def test_where_nothing_else_is_left_a_kept_checkpoint_tells(grown: Path) -> None:
    kept = grown.parent / "kept"
    shutil.copy(grown / "tlog" / "checkpoint", kept)
    put_back(grown, "log", "views", "tlog")
    (grown / "anchors").unlink()
    memory(grown).unlink()
    assert run("-s", grown, "verify").exit_code == 0, "nobody can tell"
    result = run("-s", grown, "verify", "--since", kept)
    assert result.exit_code == 3
    assert f"the log ends at record {OLD}, the checkpoint is over {NEW}" in result.stdout
    result = run("-s", grown, "checkpoint", "--copy-to", grown.parent / "elsewhere")
    assert result.exit_code == 3
    assert f"over {NEW} records with another history than this log of {OLD}" in result.stderr


def test_a_clone_that_was_written_to_is_told_by_tiles_key_and_anchor(grown: Path) -> None:
    put_back(grown, "log", "views", "tlog")
    held = memory(grown).read_bytes()
    (grown / "anchors").rename(grown.parent / "anchors")
    put(grown, *"xyz", "more")
    result = run("-s", grown, "checkpoint")
    assert result.exit_code == 3
    assert f"the first {NEW} records are not those" in result.stderr, "the key remembers"
    memory(grown).unlink()
    checkpoint(grown)
    result = run("-s", grown, "checkpoint", "--copy-to", grown.parent / "elsewhere")
    assert (result.exit_code, f"checkpoint over {NEW} records" in result.stderr) == (3, True), (
        "nor is it put beside the other"
    )
    memory(grown).write_bytes(held)
    (grown.parent / "anchors").rename(grown / "anchors")
    for writable in (True, False):
        with pytest.raises(ReplacedLogError, match=f"does not begin with the checkpoint over {NEW} records"):
            open_folder(grown, writable=writable)
    for words in (("status",), ("checkpoint",), ("verify",)):
        result = run("-s", grown, *words)
        assert result.exit_code == 3, (words, result.output)
        assert f"{NEW} records" in result.output, words


def test_anchors_that_cannot_be_read_hinder_nobody_and_are_told_by_verify(grown: Path) -> None:
    elsewhere = grown.parent / "elsewhere"
    newest = max(elsewhere.iterdir())

    def findings() -> list[tuple[str, str]]:
        result = run("-s", grown, "-o", "json", "verify", "--log-only")
        assert result.exit_code == 0, result.output
        return [(one["severity"], one["what"]) for one in json.loads(result.stdout)["findings"]]

    assert findings() == []
    newest.write_bytes(b"no checkpoint")
    [(severity, what)] = findings()
    assert (severity, "anchor was not compared" in what, str(newest) in what) == ("note", True, True)
    shutil.rmtree(elsewhere)
    [(severity, what)] = findings()
    assert (severity, "there is no copy" in what) == ("note", True)
    put(grown, "g")
    assert run("-s", grown, "checkpoint").exit_code == 0
    os.mkfifo(grown.parent / "pipe")
    (grown / "anchors").write_bytes(b"/nowhere\xff\n\n" + bytes(grown.parent / "pipe") + b"\n")
    put(grown, "h")
    assert len(findings()) == 2


def test_an_anchor_is_remembered_and_forgotten(grown: Path) -> None:
    elsewhere = grown.parent / "elsewhere"
    assert len([*elsewhere.iterdir()]) == 2, "the second checkpoint went there by itself"
    told: dict[str, Any] = json.loads(run("-s", grown, "-o", "json", "checkpoint").stdout)
    assert told["anchors"] == [str(elsewhere)]
    assert json.loads(run("-s", grown, "-o", "json", "status").stdout)["anchored_records"] == NEW
    checkpoint(grown, "--forget", elsewhere)
    assert json.loads(run("-s", grown, "-o", "json", "status").stdout)["anchored_records"] is None
    put(grown, "g")
    checkpoint(grown)
    assert len([*elsewhere.iterdir()]) == 2
    for name, why in {
        "a\nb": "one line of text",
        "a\udcff": "one line of text",
        "store": "inside its store",
        "store/tlog/copy": "inside its store",
        "none/copy": "no such folder",
    }.items():
        result = run("-s", grown, "checkpoint", "--copy-to", grown.parent / name)
        assert (result.exit_code, why in result.stderr) == (1, True), result.output
    assert not (grown / "anchors").read_bytes(), "none of these is remembered"
    result = run("-s", grown, "checkpoint", "--forget", elsewhere)
    assert (result.exit_code, "no anchor" in result.stderr) == (1, True)


def test_a_store_that_is_written_to_copies_its_checkpoints(grown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.delenv("EVLOG_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(grown.parent / "config"))
    put(grown, "g")
    copies = sorted(path.name[-15:-11] for path in (grown.parent / "elsewhere").iterdir())
    assert copies == ["0004", "0007", "0008"], "at the end, and not more than once a minute before"
