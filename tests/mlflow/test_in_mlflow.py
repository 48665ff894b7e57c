"""Runs the tests that need MLflow in the environment that has it, a process for each file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from mlflow_environment import ROOT, python_of_mlflow

pytestmark = pytest.mark.once
FOLDER = Path(__file__).parent
FILES = sorted(path.name for path in FOLDER.glob("test_with_*.py"))
# MLflow warns of much that is not ours to mend.
OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "filterwarnings=default", "--no-header")


def run(name: str, *more: str) -> None:
    python = python_of_mlflow()
    if isinstance(python, str):
        pytest.skip(python)
    # What says how this run is to go stays; what says which tests does not.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "MLFLOW_"))}
    command = [python, "-m", "pytest", *OPTIONS, *more, FOLDER / name]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]


@pytest.mark.parametrize("name", FILES)
def test_with_mlflow(name: str) -> None:
    run(name, "-m", "not deep")


@pytest.mark.deep
@pytest.mark.timeout(0)
def test_with_mlflow_in_long() -> None:
    run("test_with_twins.py", "-m", "deep", "--timeout", "7200")
