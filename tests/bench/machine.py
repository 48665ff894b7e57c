"""The facts without which a figure says nothing: processor, kernel, file system, interpreter, libraries."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any, Final

import apsw

from evlog.storage import file_system

LIBRARIES: Final = ("evlog-mlmd", "apsw", "google-crc32c", "msgspec", "protobuf")


def facts(folder: Path) -> dict[str, Any]:
    """Return what this machine is. folder: where the stores lie."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": file_system(folder),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "load": os.getloadavg()[0],
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
