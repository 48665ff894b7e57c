"""A store that may not be read, or not written, or cannot be where it is said to be: one line that says so, and what to do next."""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from commands import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
COMMANDS = (
    "status|runs|show art:1|artifacts|types|search taxi|lineage art:1|cached Trainer|latest Model|alias|log|diff 1h|blame art:1|verify|"
    "replay|keys show|sql 'select 1'|backup out|export mlmd out.db|doctor|token ls|init|"
    "alias taxi-model@x taxi-model:1|taint taxi:1 --because x|mark release|personal|repair|erase u-1 --reason x|snapshot out"
)
FORBIDDEN = (
    "unreadable",
    "no-log",
    "no-segment",
    "no-views",
    "read-only",
    "locked/new",
    "unreadable/new",
    "a-file",
    "a-file/new",
)
DRIVER = """
import json, shlex, sys
from click.testing import CliRunner
import mlmd
from mlmd.cli import cli
told = []
for words in sys.argv[2].split("|"):
    done = CliRunner().invoke(cli, ["-s", sys.argv[1], *shlex.split(words)], prog_name="evlog")
    told.append((words, done.exit_code, done.stdout, done.stderr))
try:
    with mlmd.open(sys.argv[1]) as s, s.run("Trainer"):
        opened = None
except RuntimeError as error:
    opened = (error.error_code, str(error))
print(json.dumps([told, opened]))
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that hold a store, and each is wrong in its own way."""
    base = tmp_path_factory.mktemp("forbidden")
    for name in ("unreadable", "no-log", "no-segment", "no-views", "read-only"):
        assert run("demo", str(base / name)).exit_code == 0
    (base / "locked").mkdir()
    (base / "a-file").write_text("a text", encoding="utf-8")
    (base / "no-segment" / "log" / f"{0:020d}.seg").chmod(0)
    for folder, mode in (("unreadable", 0), ("no-log/log", 0), ("no-views/views", 0), ("locked", 0o555)):
        (base / folder).chmod(mode)
    for folder in ("", "log", "views"):
        (base / "read-only" / folder).chmod(0o555)
    for entry in (base / "read-only").rglob("*"):
        if entry.is_file() and not entry.is_symlink():
            entry.chmod(0o444)
    yield base
    for root, folders, _ in os.walk(base):
        for folder in folders:
            os.chmod(os.path.join(root, folder), 0o755)


def told(base: Path, name: str) -> list[Any]:
    """Return what the commands, and `mlmd.open`, say to one who has no power over modes of files."""

    def like_anybody() -> None:
        for power in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, power)

    done = subprocess.run(
        [sys.executable, "-c", DRIVER, name, COMMANDS],
        preexec_fn=like_anybody if os.geteuid() == 0 else None,
        cwd=base,
        env={**os.environ, "XDG_CONFIG_HOME": str(base / "config")},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="root gives up its power over modes in the way of Linux")
@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_forbidden_is_a_line_that_says_what_to_do(places: Path, name: str) -> None:
    commands, opened = told(places, name)
    for words, code, out, err in commands:
        if words == "doctor":
            assert code in (0, 1), (words, err)
            assert "Permission denied" not in err, "it is a finding, and the other looks go on"
            assert "python" in out
            continue
        assert code in (0, 1), (words, err)
        if not err.startswith("evlog: "):
            continue
        assert (code, err.count("\n")) == (1, 2), (words, err)
        what, hint = err.splitlines()
        assert "unexpected" not in what
        assert "Errno" not in what
        assert "cannot be written: Permission" not in what, "it says what was tried"
        if "Permission denied" in what and words != "snapshot out":
            assert hint.startswith("try: ls -ld "), (words, err)
            assert (places / shlex.split(hint)[3]).is_relative_to(places / name.partition("/")[0]), (words, err)
        elif name == "a-file/new":
            assert "a-file is a file" in what or "there is no store" in what, (words, err)
    code, said = opened
    assert "Errno" not in said
    assert ("ls -ld" in said) == (not name.startswith("a-file")), said
    assert (code == 7) == (not name.startswith("a-file")), (code, said)
