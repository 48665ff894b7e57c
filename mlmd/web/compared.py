"""The serving view beside a replay of the log, in a process of its own: pages ask the view, so it must be what the log says.

A replay takes seconds and memory, which are not the server's to spend: the child gives way to every other process, and what it took goes
with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import msgspec

from evlog.log import Log
from evlog.upkeep.audit import Fault
from mlmd.opening import BODIES, LOG_FOLDER, VIEWS_FOLDER
from replay.verify import verify_view

_NICE: Final = 19


def start(place: Path) -> subprocess.Popen[bytes]:
    """Start to compare the view of the store in a folder."""
    command = [sys.executable, "-m", __name__, str(place)]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603 - our own module
    with suppress(OSError):  # It is dead already.
        os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
    return child


def outcome(child: subprocess.Popen[bytes]) -> list[Fault]:
    """Return what a child found that has ended, or is about to. Raises RuntimeError where it could not compare."""
    told, said = child.communicate()
    if child.returncode:
        last = said.decode(errors="replace").rstrip().rpartition("\n")[2]
        raise RuntimeError(last or f"status {child.returncode}")
    return [Fault(**one) for one in msgspec.json.decode(told)]


def damage(place: Path) -> list[Fault]:
    """Return what of the view is not what the log says. Raises LogError, ViewError."""
    with closing(Log.open(place / LOG_FOLDER, writable=False)) as log:
        found = verify_view(log, place / VIEWS_FOLDER, BODIES).findings
    return [
        Fault("damage", one.what, one.file or str(place), one.position or 0, one.offset or 0)
        for one in found
        if one.severity == "damage"
    ]


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(damage(Path(sys.argv[1]))))
