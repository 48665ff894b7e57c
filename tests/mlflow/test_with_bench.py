"""The benchmark beside MLflow, in a size that shows that it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1] / "bench" / "mlflow_beside.py"


def test_every_measure_is_printed(tmp_path: Path) -> None:
    sizes = ["--runs", "3", "--stored", "30", "--rounds", "2", "--folder", str(tmp_path)]
    done = subprocess.run([sys.executable, BENCH, *sizes], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["what"] for line in lines} == {"whole run", "filter, order by metric", "filter", "newest"}
    assert all(line.get("left_out") or line["wall_ms"] > 0 for line in lines)
