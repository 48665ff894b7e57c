"""`evlog doctor`: what it says of environment and store, and that it changes nothing."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from commands import run
from serving import served

from evlog.log import LOCK_NAME
from mlmd import looking
from mlmd.cli import examining

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def place(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of a user who has no keys."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return place


def told(place: Path | str, *, exit_code: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a check, by its name."""
    result = run("-s", str(place), "doctor", "-o", "json")
    assert result.exit_code == exit_code, result.output
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(result.stdout):
        rows.setdefault(row["check"], []).append(row)
    return rows


def tree(place: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(place)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(place.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))  # SQLite's own, of whoever reads.
    }


def test_a_sound_store_has_nothing_bad_and_is_left_as_it_was(place: Path) -> None:
    before = tree(place)
    rows = told(place)
    assert tree(place) == before
    assert not [row for found in rows.values() for row in found if row["state"] == "bad"]
    for check in ("python", "evlog", "store", "file system", "room", "log", "HEAD", "tail", "view", "history view"):
        assert check in rows, check
    assert rows["view"][0]["what"] == "at the log's end, of this boot"
    assert rows["HEAD"][0]["what"] == "#13, at the log's end"
    assert "extra analytics" in rows
    words = run("-s", str(place), "doctor").stdout
    assert f"try: evlog -s {place} keys new" in words


def test_every_line_that_is_not_ok_says_what_to_do_or_that_it_mends_itself(place: Path) -> None:
    for found in told(place).values():
        for row in found:
            assert row["state"] == "ok" or row["next"] or "who next" in row["what"], row


def test_damage_ends_with_3_and_the_other_looks_go_on(place: Path) -> None:
    segment = place / "log" / f"{0:020d}.seg"
    spoiled = bytearray(segment.read_bytes())
    spoiled[1000] ^= 1
    segment.write_bytes(spoiled)
    (place / "log" / "HEAD").unlink()
    shutil.rmtree(place / "views")
    rows = told(place, exit_code=3)
    assert rows["log"][0]["damage"] is True
    assert "verify" in rows["log"][0]["next"]
    assert rows["anchors"][0]["state"] == "note"


def test_a_view_that_is_gone_is_a_note_with_the_command_that_makes_it(place: Path) -> None:
    shutil.rmtree(place / "views")
    row = told(place)["view"][0]
    assert (row["state"], row["next"]) == ("note", f"evlog -s {place} replay")
    assert run("-s", str(place), "replay").exit_code == 0
    assert told(place)["view"][0]["state"] == "ok"


def test_a_torn_tail_and_a_lost_head_are_notes(place: Path) -> None:
    segment = place / "log" / f"{0:020d}.seg"
    with segment.open("ab") as file:
        file.write(b"\x01\x02\x03")
    assert told(place)["tail"][0]["what"].startswith("3 bytes after")
    (place / "log" / "HEAD").unlink()
    assert told(place)["HEAD"][0]["state"] == "note"


def test_an_anchor_out_of_reach_and_a_key_that_others_may_read_are_bad(place: Path, tmp_path: Path) -> None:
    assert run("-s", str(place), "keys", "new").exit_code == 0
    (tmp_path / "archive").mkdir()
    assert run("-s", str(place), "checkpoint", "--copy-to", str(tmp_path / "archive")).exit_code == 0
    rows = told(place)
    assert {rows[check][0]["state"] for check in ("key", "checkpoint", "anchors")} == {"ok"}
    assert "over 13 records, 0 min old" in rows["checkpoint"][0]["what"]
    shutil.rmtree(tmp_path / "archive")
    [key] = (tmp_path / "config" / "evlog" / "keys").glob("*.key")
    key.chmod(0o644)
    rows = told(place, exit_code=1)
    assert rows["anchors"][0]["state"] == "bad"
    assert "--forget" in rows["anchors"][0]["next"]
    assert "chmod 600" in rows["checkpoint"][0]["what"]


@pytest.mark.skipif(not Path("/proc/locks").is_file(), reason="this system does not tell who holds a lock")
def test_who_has_the_store_open_and_who_holds_its_lock_is_told(place: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from evlog.files import RealFolder, held
from evlog.log import Log, LOCK_NAME
log = Log.open(Path({str(place / "log")!r}), writable=False)
print(next(iter(log.read(0))).offset, flush=True)
with held(RealFolder(Path({str(place / "log")!r})).lock(LOCK_NAME)):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert [other.stdout.readline().strip() for _ in range(2)] == ["0", "held"]
        assert looking.holders_of(place / "log" / LOCK_NAME) == [other.pid]
        assert other.pid in looking.users_of(place / "log")
        assert f"being written by {other.pid} (" in told(place)["processes"][0]["what"]
        other.communicate("")
    assert told(place)["processes"][0]["what"].startswith("nobody holds the lock")


def test_a_folder_that_is_no_store_is_bad_and_none_at_all_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(tmp_path / "none", exit_code=1)["store"][0]["state"] == "bad"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVLOG_STORE", raising=False)
    result = run("doctor", "-o", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[-1]["state"] == "note"


def test_a_server_is_asked_whether_it_answers() -> None:
    with served() as server:
        assert "answers in" in told(f"localhost:{server.port}")["server"][0]["what"]
        port = server.port
    assert (
        told(f"localhost:{port}", exit_code=1)["server"][0]["next"]
        == "evlog -s FOLDER serve, on the machine of the store"
    )


@pytest.mark.parametrize(
    ("name", "value", "state", "words"),
    [
        ("EVLOG_COMPRESS", "on", "ok", ""),
        ("EVLOG_COMPRESS", "maybe", "bad", "one of on, off"),
        ("EVLOG_COMPRES", "on", "note", "EVLOG_COMPRESS may be meant"),
        ("EVLOG_STORE", "host:99999", "bad", "a port is"),
        ("EVLOG_KEY", "/nowhere", "bad", "no such file"),
        ("EVLOG_ACTOR", "", "ok", "empty"),
    ],
)
def test_a_setting_that_is_wrong_is_told(name: str, value: str, state: str, words: str) -> None:
    [found] = examining.settings_of({name: value, "HOME": "/"})
    assert (found.state, words in found.what) == (state, True)


@pytest.mark.parametrize("secret", ["evlog_" + "s" * 43, "pasted wrongly"])
def test_a_secret_is_not_told(secret: str) -> None:
    [found] = examining.settings_of({"EVLOG_TOKEN": secret})
    assert secret not in found.what
    assert found.state == ("ok" if secret.startswith("evlog_") else "bad")


def test_every_setting_that_the_code_reads_is_known() -> None:
    named = set()
    for path in (path for layer in ("evlog", "projections", "replay", "mlmd") for path in (ROOT / layer).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named |= {word for word in [node.value] if re.fullmatch(r"EVLOG_[A-Z_]*[A-Z]", word)}
    assert named <= set(examining.SETTINGS)
    assert os.environ["EVLOG_OUTPUT"] == "table", "as conftest says"


def test_a_library_that_is_lacking_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "duckdb":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "msgspec" else real(name)

    monkeypatch.setattr(examining.metadata, "version", version)
    found = {one.check: one for one in examining.environment()}
    assert (found["extra analytics"].state, found["extra analytics"].next) == (
        "note",
        "pip install 'evlog-mlmd[analytics]'",
    )
    assert found["evlog"].state == "bad"
    assert "msgspec 0.1 is older than 0.19" in found["evlog"].what


def test_an_interpreter_that_is_too_old_or_too_new_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "PYTHONS", ((3, 99), (3, 99)))
    assert next(iter(examining.environment())).state == "bad"
    monkeypatch.setattr(examining, "PYTHONS", ((3, 1), (3, 2)))
    assert next(iter(examining.environment())).state == "note"
