"""Files that a person names, read up to a limit and written whole."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from evlog.tlog.shelf import FolderShelf
from mlmd.errors import InvalidArgumentError


def read_file(path: str | os.PathLike[str], bytes_max: int) -> bytes:
    """Return what is in a file, one byte more than the limit at most: it may be endless. Raises InvalidArgumentError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(bytes_max + 1)
    except (OSError, ValueError) as error:  # A name with a zero byte is a ValueError.
        raise InvalidArgumentError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def write_file(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file, whole or not at all, and return its path. Raises InvalidArgumentError where none can be, or something else is."""
    try:
        target = Path(path).resolve()
        other, folder = target.exists() and not target.is_file(), target.parent.is_dir()
    except (OSError, ValueError, RuntimeError) as error:  # Too long; a zero byte; a loop of links, up to Python 3.12.
        raise InvalidArgumentError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if other:
        raise InvalidArgumentError(f"{path}: is not a file")
    if not folder:
        raise InvalidArgumentError(f"{Path(path).parent}: there is no such folder")
    FolderShelf(target.parent).write(target.name, data, durable=True)
    return target


def who_may(path: str | os.PathLike[str]) -> str:
    """Return the command that tells who may read and write a file: of it, or of the nearest folder above it that can be seen."""
    place = Path(path)
    seen = next((one for one in (place, *place.parents) if os.path.lexists(one)), place)
    return f"ls -ld {shlex.quote(str(seen))}"
