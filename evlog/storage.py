"""What lies under a folder, and whether its syncs and locks keep their word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_DOUBTS: Final = {
    "tmpfs": "it is gone when the machine restarts",
    "ramfs": "it is gone when the machine restarts",
    "nfs": "locks and syncs depend on the server; several hosts must not write to one store",
    "nfs4": "locks and syncs depend on the server; several hosts must not write to one store",
    "cifs": "locks and syncs depend on the server; several hosts must not write to one store",
    "smb3": "locks and syncs depend on the server; several hosts must not write to one store",
    "9p": "syncs may not reach the host's disk",
    "fuse": "syncs are what the program behind it makes of them",
}
# Others may change what lies on these behind the back of this system.
_SHARED: Final = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "fuse",
    "fuseblk",
    "virtiofs",
    "ceph",
    "afs",
    "lustre",
    "gpfs",
    "glusterfs",
}


def file_system(path: Path) -> str:
    """Return the type of the file system that holds a path, such as ext4; "unknown" where the system does not tell."""
    try:
        device = os.stat(path).st_dev  # noqa: PTH116 - the number, not the path
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts:  # id parent major:minor root mount-point options ... - type source options
        before, _, after = line.partition(" - ")
        if before.split(" ")[2] == wanted:
            return after.split(" ")[0]
    return "unknown"


def doubt(path: Path) -> str | None:
    """Return why "acknowledged means durable" may not hold on the file system of a path, None where nothing speaks against it."""
    kind = file_system(path)
    reason = _DOUBTS.get(kind) or _DOUBTS.get(kind.split(".")[0])
    return f"{kind}: {reason}" if reason else None


def tells_of_changes(path: Path) -> bool:
    """Tell whether the system notices when a file below a path is changed: not what other hosts do on a network file system."""
    return file_system(path).split(".")[0] not in _SHARED
