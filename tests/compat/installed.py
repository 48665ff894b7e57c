"""Where both wheels are installed as a user of TFX has them: `.compat/3.12/` and `.compat/3.13/`, virtual environments.

`python tests/compat/installed.py [VERSION ...]` builds the wheels from the sources and installs them, with ml-pipelines-sdk and all
that it requires, on each CPython of VERSIONS; or says in one line why it cannot and exits with 1. A CPython that this machine
does not have is named and left out. Tests never make an environment: they ask `python_of`, and where it answers with a reason
they skip with that reason.

The wheels come first, so the ml-metadata that ml-pipelines-sdk asks for is there and none is fetched; `pip check` then says
whether all that is installed agrees. `made` holds the requirements and a digest of the sources. It is written last, so an
installation cut short, or one of other sources, is no environment.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reference"))

from environment import NotMadeError, cpython, run  # noqa: E402 - found by the line above

FOLDER: Final = ROOT / ".compat"
VERSIONS: Final = ("3.12", "3.13")
DISTRIBUTIONS: Final = (ROOT, ROOT / "compat" / "ml-metadata")
SOURCES: Final = ("evlog", "projections", "replay", "mlmd", "compat", "pyproject.toml")

# The authoring part of TFX without TensorFlow. pytest is for the suite that ml-metadata ships.
REQUIREMENTS: Final = ("ml-pipelines-sdk==1.21.0", "pytest>=8.3")
PIP: Final = ("-m", "pip", "--quiet", "--disable-pip-version-check")
CHECK: Final = "import ml_metadata, pytest, tfx.orchestration.local.local_dag_runner"


def python_of(version: str) -> Path | str:
    """Return the interpreter of an environment, or the reason why there is none."""
    python, made = FOLDER / version / "bin" / "python", FOLDER / version / "made"
    if not python.exists() or not made.exists():
        return f"the wheels are not installed on CPython {version}: run `make compat`"
    if made.read_text() != made_text():
        return f"what is installed on CPython {version} is of other sources: run `make compat`"
    return python


def made_text() -> str:
    """Return what `made` says when an environment is what this file asks for."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return "".join(f"{line}\n" for line in [*REQUIREMENTS, digest.hexdigest()])


def sources() -> list[Path]:
    """Return the files that the wheels are made of."""
    paths = [path for name in SOURCES for path in [ROOT / name, *(ROOT / name).rglob("*")]]
    return sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts)


def build() -> list[Path]:
    """Return both wheels, made anew."""
    folder = FOLDER / "wheels"
    for old in folder.glob("*.whl"):
        old.unlink()
    run("building the wheels", sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", folder, *DISTRIBUTIONS)
    return sorted(folder.glob("*.whl"))


def install(version: str, wheels: list[Path]) -> None:
    """Make the environment of `version` what `made` will say; what is there of other requirements is installed over."""
    folder = FOLDER / version
    made, python = folder / "made", folder / "bin" / "python"
    made.unlink(missing_ok=True)
    text = made_text()  # Of the sources as they were when the wheels were built, if they change meanwhile.
    if not python.exists():
        run("making the environment", cpython(version), "-m", "venv", "--clear", folder)
    # Built of other sources, a wheel has the same version: pip would leave the old one.
    run("installing the wheels", python, *PIP, "install", "--force-reinstall", "--no-deps", *wheels)
    run("installing " + ", ".join(REQUIREMENTS), python, *PIP, "install", *wheels, *REQUIREMENTS)
    run("pip check", python, *PIP, "check")
    run("importing TFX", python, "-c", CHECK)
    made.write_text(text)


def absent(version: str) -> str | None:
    """Return why the machine has no CPython of this version, None if it has one."""
    try:
        cpython(version)
    except NotMadeError as error:
        return str(error)
    return None


def main() -> int:
    """Make what is missing or of other sources; say what was done. Return the exit status."""
    wanted = [version for version in sys.argv[1:] or VERSIONS if isinstance(python_of(version), str)]
    for version in [version for version in wanted if absent(version)]:
        print(f"CPython {version} is left out: {absent(version)}")
        wanted.remove(version)
    try:
        wheels = build() if wanted else []
        for version in wanted:
            install(version, wheels)
            print(f"made {FOLDER.name}/{version}/ with {', '.join([wheel.name for wheel in wheels] + [*REQUIREMENTS])}")
    except (NotMadeError, subprocess.SubprocessError) as error:
        print(f"no environment with both wheels: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
