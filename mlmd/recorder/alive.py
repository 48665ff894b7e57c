"""Is the process that runs a run still there? A run says who runs it, and this asks the machine; of another machine, its heartbeats.

A process is named by host, boot, process namespace, pid and the moment at which it began: pids are used again, a boot is not.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

HEARTBEAT_S: Final = 60.0
MISSED_MAX: Final = 3
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_STARTED: Final = 19  # Of what /proc/PID/stat has after the name, which is in brackets.
_UNKNOWN: Final = "-"


class Process(NamedTuple):
    """Who runs a run. space: the namespace in which the pid is one; started: in the words of the system at hand."""

    host: str
    boot: str
    space: str
    pid: int
    started: str

    def __str__(self) -> str:
        """Return it as it is stored: five words."""
        return " ".join(map(str, self))


def parse(text: str) -> Process | None:
    """Return the process that a stored text names, None for a text that is none of ours."""
    parts = text.split(" ")
    if len(parts) != len(Process._fields) or not (parts[3].isascii() and parts[3].isdecimal()):
        return None
    host, boot, space, pid, started = parts
    return Process(host, boot, space, int(pid), started)


def this_process() -> str:
    """Return the process at hand, as it is stored."""
    return _this(os.getpid())


@lru_cache(1)  # A child has another pid.
def _this(pid: int) -> str:
    started = _started(pid) or _UNKNOWN
    return str(Process(platform.node().replace(" ", "-") or _UNKNOWN, _boot(), _space(), pid, started))


def is_lost(text: str, put_ms: int) -> bool:
    """Tell whether the process of a run has gone, so that it will never say how the run ended.

    text: who runs it, as stored; put_ms: when the run was put last. On the same boot of the same host this is exact; after another
    boot it is gone; of another host all there is is that it was silent for three heartbeats. False for a text that is none of ours.
    """
    process = parse(text)
    if process is None:
        return False
    here = parse(this_process())
    assert here is not None, "as it was written above"
    if process.host != here.host or (process.boot == here.boot and process.space != here.space):
        return time.time() * 1000 - put_ms > MISSED_MAX * HEARTBEAT_S * 1000
    if process.boot != here.boot:
        return True
    return (_started(process.pid) or "") != process.started


def _started(pid: int) -> str | None:
    """Return when a process began, in clock ticks since boot or as ps tells it; None where there is none. A zombie has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None if _BOOT_ID.exists() else _asked("ps", "-o", "lstart=", "-p", str(pid))
    return None if fields[0] in "ZX" else fields[_STARTED]


@lru_cache(1)
def _boot() -> str:
    """Return the name of this boot of the machine."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:  # Not Linux.
        return _asked("sysctl", "-n", "kern.bootsessionuuid") or _asked("sysctl", "-n", "kern.boottime") or _UNKNOWN


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return _UNKNOWN


def _asked(*command: str) -> str | None:
    """Return what a system's command says, as one word."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError):
        return None
    return "_".join(said.split()) or None
