"""Where the reference lives: `.reference/`, a virtual environment of CPython 3.11 with ml-metadata 1.17.1.

`python tests/reference/environment.py` makes it in the repository root, or says in one line why it cannot and exits with 1;
made once, it is left alone until `REQUIREMENTS` changes. Tests never make it: they ask `python_of_reference`, and where it
answers with a reason they skip with that reason.

`.reference/made` holds the requirements the environment was made for. It is written last, so an installation cut short is
no environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).resolve().parents[2] / ".reference"
PYTHON: Final = FOLDER / "bin" / "python"
MADE: Final = FOLDER / "made"

# The last release with filters and lineage; its wheels stop at CPython 3.11. It brings the absl-py and the protobuf that it
# needs. pytest is for the suite it ships, which imports it.
REQUIREMENTS: Final = ("ml-metadata==1.17.1", "pytest>=8.3")

# What the environment must be able to do: the raw binding is what tests/reference/server.py drives.
CHECK: Final = (
    "import absl.testing.parameterized, pytest; from ml_metadata.metadata_store.pywrap import metadata_store_extension"
)
VERSION: Final = "3.11"
IS_CPYTHON: Final = "import ensurepip, sys, venv; sys.exit(sys.implementation.cache_tag != 'cpython-' + sys.argv[1])"
INSTALL_S: Final = 900


class NotMadeError(Exception):
    """The environment cannot be made here; the text is the reason, in one line."""


def python_of_reference() -> Path | str:
    """Return the interpreter that has the reference, or the reason why there is none."""
    if not PYTHON.exists() or not MADE.exists():
        return "no reference here: run `python tests/reference/environment.py`"
    if MADE.read_text() != requirements_text():
        return "the reference here is out of date: run `python tests/reference/environment.py`"
    return PYTHON


def packages_of_reference() -> Path:
    """Return the folder that holds the reference's packages, of an environment that is made."""
    return FOLDER / "lib" / "python3.11" / "site-packages"


def requirements_text() -> str:
    """Return what `made` says when the environment is what this file asks for."""
    return "".join(f"{line}\n" for line in REQUIREMENTS)


def candidates(version: str) -> Iterator[Path]:
    """Yield every path that may be a CPython `version`, the running one first. They may be missing, or shims that lead nowhere."""
    yield Path(sys.executable)
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    roots = [os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"]
    for root in roots:
        if root:
            yield from sorted((Path(root) / "versions").glob(f"{version}*/bin/python"), reverse=True)


def cpython(version: str) -> Path:
    """Return the first candidate that is a CPython `version`, such as 3.11, able to make an environment with pip in it."""
    for python in candidates(version):
        try:
            answer = subprocess.run(
                [python, "-c", IS_CPYTHON, version.replace(".", "")], capture_output=True, check=False
            )
        except OSError:
            continue
        if answer.returncode == 0:
            return python
    raise NotMadeError(
        f"no CPython {version} with venv and ensurepip was found: on PATH, under PYENV_ROOT or in ~/.pyenv"
    )


def run(what: str, *command: str | Path) -> None:
    """Run `command`; a failure is a NotMadeError with the last line it said."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        raise NotMadeError(f"{what} took more than {INSTALL_S} s") from None
    if answer.returncode:
        said = [line for line in (answer.stdout + answer.stderr).splitlines() if line.strip()]
        raise NotMadeError(f"{what} failed: {said[-1].strip() if said else answer.returncode}")


def make() -> Path:
    """Make the environment anew, whatever stood there, and return its interpreter."""
    base = cpython(VERSION)
    run("making the environment", base, "-m", "venv", "--clear", FOLDER)
    install = ("-m", "pip", "install", "--disable-pip-version-check", "-q", *REQUIREMENTS)
    run("installing " + ", ".join(REQUIREMENTS), PYTHON, *install)
    run("importing the reference", PYTHON, "-c", CHECK)
    MADE.write_text(requirements_text())
    return base


def main() -> int:
    """Make the environment unless it is there; say what was done. Return the exit status."""
    if isinstance(python_of_reference(), Path):
        print(f"{FOLDER.name}/ is there, with {', '.join(REQUIREMENTS)}: nothing to do")
        return 0
    try:
        base = make()
    except NotMadeError as error:
        print(f"no reference environment: {error}", file=sys.stderr)
        return 1
    print(f"made {FOLDER.name}/ from {base}, with {', '.join(REQUIREMENTS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
