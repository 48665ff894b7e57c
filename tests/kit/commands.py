"""The command `evlog` in this process, as a shell would run it."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from mlmd.cli import cli


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, [*words], prog_name="evlog")


def data(*words: str) -> Any:
    """Return what a command that must succeed prints as JSON."""
    result = run("-o", "json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
