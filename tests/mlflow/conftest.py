"""These tests run where MLflow is: see mlflow_environment.py. Elsewhere `test_in_mlflow.py` alone is collected, which runs them there."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = ["test_in_mlflow.py"] if find_spec("mlflow") else []
collect_ignore_glob = [] if find_spec("mlflow") else ["test_with_*.py"]
