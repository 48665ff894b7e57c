"""Documents that show commands and what they print: run to the letter, and written anew.

    ```console
    $ evlog log -n 1
    what it printed
    ```

A line `$ ...` runs in a shell, one after the other in one folder; what follows is its standard output. What differs from run to run
(times, hashes, ids, the name of the machine) is made alike first: `plain`. A block of Python with a file's name, ```python first.py, is
that file.

    python tests/kit/transcripts.py docs/audit.md     writes the outputs anew; read the difference before you keep it
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

_BLOCK: Final = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)
_FILE: Final = re.compile(r"```python (\S+)\n(.*?)```", re.DOTALL)
_ALIKE: Final = [
    (re.compile(r"\b\d{1,2} [A-Z][a-z]{2} \d{4}\b"), "3 Mar 2026"),
    (re.compile(r"\d{4}-\d\d-\d\d( |T)\d\d:\d\d:\d\d"), r"2026-03-03\g<1>12:00:00"),
    (re.compile(r"(2026-03-03T12:00:00)\.\d+"), r"\g<1>"),
    (re.compile(r"create_time_ms=\d+, update_time_ms=\d+"), "create_time_ms=…, update_time_ms=…"),
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{60}([0-9a-f]{4})(?![0-9a-f])"), "…" * 4),
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"), "…" * 4),
    (re.compile(r"\+[0-9a-f]{8}\+[A-Za-z0-9+/]{43,44}=?=?"), "+…+…"),
    (re.compile(r"\b\d+\.\d\d s\b"), "0.01 s"),
    (re.compile(r"\bbyte \d\d[\d,]+:"), "byte …:"),  # So far on, what lies before has names of the machine in it.
]


class Step(NamedTuple):
    """A command, and what it is said to print."""

    command: str
    output: str


def steps(text: str) -> list[Step]:
    """Return the commands of a document, in order."""
    found = []
    for block in _BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            while command.endswith("\\"):
                more, _, output = output.partition("\n")
                command += "\n" + more
            found.append(Step(command, output))
    return found


def write_files(text: str, folder: Path) -> None:
    """Write the files that a document shows."""
    for name, code in _FILE.findall(text):
        (folder / name).write_text(code, encoding="utf-8")


def plain(output: str, folder: Path) -> str:
    """Return an output with all that differs from run to run made alike."""
    output = output.replace(f"{folder}/", "").replace(socket.gethostname(), "host")
    for pattern, same in _ALIKE:
        output = pattern.sub(same, output)
    return "\n".join(line.rstrip() for line in output.splitlines()) + ("\n" if output else "")


def run(command: str, folder: Path) -> str:
    """Return what a command prints, made alike, run where `evlog` is that of this environment."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("EVLOG_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "EVLOG_ACTOR": "ana",
        "EVLOG_OUTPUT": "table",  # As on a terminal.
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "COLUMNS": "160",
    }
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise AssertionError(f"{command}\nexit {done.returncode}\n{done.stdout}{done.stderr}")
    return plain(done.stdout, folder)


def written(text: str, folder: Path) -> str:
    """Return a document with the outputs that its commands have now."""
    write_files(text, folder)

    def block(match: re.Match[str]) -> str:
        told = (f"$ {step.command}\n{run(step.command, folder)}" for step in steps(f"```console\n{match[0]}```"))
        return "".join(told)

    return _BLOCK.sub(block, text)


if __name__ == "__main__":
    document = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as place:
        document.write_text(written(document.read_text(encoding="utf-8"), Path(place)), encoding="utf-8")
