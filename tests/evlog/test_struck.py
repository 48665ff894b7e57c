"""EIO, ENOSPC and SIGKILL at every file system call of what is done to a log, by strace: real processes, real files."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import struck

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tally import Tally

pytestmark = [pytest.mark.faults, pytest.mark.once, pytest.mark.usefixtures("small_segments")]
DAILY = 5  # Strikes a work; all of them in the full size.
CALLS_MIN = 15


@pytest.fixture(params=struck.WORKS)
def work(request: pytest.FixtureRequest, tally: Tally) -> Iterator[tuple[str, struck.Struck]]:
    if (reason := _why_not()) is not None:
        tally(f"strace {request.param}", 0, f"not run: {reason}")
        pytest.skip(reason)
    process = struck.Struck(request.param)
    yield request.param, process
    process.close()


def _why_not() -> str | None:
    """Return why strace cannot be used here, None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt install strace)"
    probe = subprocess.run(
        ["strace", "-qq", "-e", "inject=fsync:error=EIO:when=1", "true"], capture_output=True, check=False
    )
    return None if probe.returncode == 0 else "strace may not trace processes here"


@pytest.mark.timeout(1800)
def test_whatever_call_fails_or_is_the_last_nothing_is_lost_and_the_error_is_one_that_says_so(
    work: tuple[str, struck.Struck], tmp_path: Path, full: bool, tally: Tally
) -> None:
    name, process = work
    doing = struck.WORKS[name]
    doing.make(tmp_path / "made")
    shutil.copytree(tmp_path / "made", tmp_path / "clean")
    calls = process.calls(tmp_path / "clean", tmp_path / "trace")
    assert sum(calls.values()) >= CALLS_MIN, calls
    everything = list(struck.strikes(calls))
    chosen = everything if full else everything[:: len(everything) // DAILY]
    killed = 0
    for call, nth, way in chosen:
        place = tmp_path / "struck"
        shutil.copytree(tmp_path / "made", place)
        told = process.run(place, "-o", "/dev/null", "-e", f"inject={call}:{way}:when={nth}")
        assert told["typed"], (call, nth, way, told)
        killed += told["signal"] != 0
        try:
            doing.check(place, told["told"])
        except Exception as error:
            error.add_note(f"{way} at {call} {nth}: {told}")
            raise
        shutil.rmtree(place)
    tally(f"strace {name}", len(chosen), f"{sum(calls.values())} calls" if full else "")
    assert killed or not full
