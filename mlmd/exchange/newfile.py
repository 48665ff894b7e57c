"""A file or folder that an export makes: there whole, with its content on the disk, or not at all. An export overwrites nothing."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evlog.files import sync_folder
from mlmd.exchange.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def fresh(path: Path, hint: str) -> Iterator[Path]:
    """Yield a path beside the one to be made, where a file or a folder is written, and give it its name at the end.

    hint: the command with another name. Raises TargetError where something is there already, or no file can be made.
    """
    if path.exists() or path.is_symlink():
        raise TargetError(f"{path}: is there already; an export overwrites nothing", hint)
    if not path.absolute().parent.is_dir():
        raise TargetError(f"{path}: the folder {path.absolute().parent} does not exist")
    temporary = path.with_name(f"{path.name}.{os.getpid()}.writing")
    try:
        yield temporary
        for made in [*temporary.rglob("*")] if temporary.is_dir() else [temporary]:
            if made.is_file():
                with made.open("rb") as file:
                    os.fsync(file.fileno())
        temporary.rename(path)
        sync_folder(path.absolute().parent)
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror or error}") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
