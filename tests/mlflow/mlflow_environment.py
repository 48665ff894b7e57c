"""Where MLflow lives: `.mlflow/`, a virtual environment with MLflow, scikit-learn, and the sources of this repository.

`python tests/mlflow/mlflow_environment.py` makes it in the repository root on the CPython that runs it, or says in one line why it cannot and exits
with 1; made once, it is left alone until what is asked for changes. Tests never make it: they ask `python_of_mlflow`, and where it answers
with a reason they skip with that reason.

MLflow's wheel has all of its code; of what it depends on, only that is installed which a client, its SQLite store and autologging of
scikit-learn need: a third of the room. `made` is written last, so an installation cut short is no environment.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reference"))

from environment import NotMadeError, run  # noqa: E402 - found by the line above

FOLDER: Final = ROOT / ".mlflow"
PYTHON: Final = FOLDER / "bin" / "python"
MADE: Final = FOLDER / "made"

MLFLOW: Final = "mlflow==3.18.0"
REQUIREMENTS: Final = (
    "mlflow-skinny==3.17.2",  # For what a client depends on; the code is that of the wheel above, put over it.
    "alembic",
    "sqlalchemy",
    "pandas",
    "scikit-learn",
    "hypothesis>=6.100",
    "pytest>=8.3",
    "pytest-timeout>=2.3",
)
CHECK: Final = "import mlflow.sklearn, mlmd.mlflow.store, mlflow.store.tracking.sqlalchemy_store, hypothesis, pytest"
PIP: Final = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install")


def python_of_mlflow() -> Path | str:
    """Return the interpreter that has MLflow, or the reason why there is none."""
    if not PYTHON.exists() or not MADE.exists():
        return "no MLflow here: run `make mlflow`"
    if MADE.read_text() != made_text():
        return "the MLflow here is not the one asked for: run `make mlflow`"
    return PYTHON


def made_text() -> str:
    """Return what `made` says when the environment is what this file, and the project's dependencies, ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = (MLFLOW, *REQUIREMENTS, *project["dependencies"], str(project["entry-points"]))
    return "".join(f"{line}\n" for line in wanted)


def make() -> None:
    """Make the environment anew, whatever stood there."""
    run("making the environment", sys.executable, "-m", "venv", "--clear", FOLDER)
    run("installing what it needs", PYTHON, *PIP, *REQUIREMENTS, "--editable", ROOT)
    run(f"installing {MLFLOW}", PYTHON, *PIP, "--no-deps", MLFLOW)
    run("importing MLflow", PYTHON, "-c", CHECK)
    MADE.write_text(made_text())


def main() -> int:
    """Make the environment unless it is there; say what was done. Return the exit status."""
    if isinstance(python_of_mlflow(), Path):
        print(f"{FOLDER.name}/ is there, with {MLFLOW}: nothing to do")
        return 0
    try:
        make()
    except NotMadeError as error:
        print(f"no environment with MLflow: {error}", file=sys.stderr)
        return 1
    print(f"made {FOLDER.name}/ from {sys.executable}, with {MLFLOW}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
