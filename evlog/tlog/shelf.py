"""Where the published tree lies: whole small files by name, each there as it was written or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from typing import TYPE_CHECKING, Protocol

from evlog.errors import storage_error
from evlog.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Shelf(Protocol):
    """Files by name; a name may hold slashes."""

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, None where there is none."""
        ...

    def write(self, name: str, data: bytes, *, durable: bool = False) -> None:
        """Write a file. durable: return when it is on stable storage."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it."""
        ...


class MemoryShelf:
    """Files held in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """See Shelf."""
        return self.files.get(name)

    def write(self, name: str, data: bytes, *, durable: bool = False) -> None:
        """See Shelf."""
        self.files[name] = data

    def names(self, folder: str) -> list[str]:
        """See Shelf."""
        start = f"{folder}/"
        return sorted({name.removeprefix(start).split("/")[0] for name in self.files if name.startswith(start)})

    def remove(self, name: str) -> None:
        """See Shelf."""
        for one in [one for one in self.files if one == name or one.startswith(f"{name}/")]:
            del self.files[one]


class FolderShelf:
    """Files of the operating system, under one folder, which is made by the first write."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def read(self, name: str) -> bytes | None:
        """See Shelf. Raises StorageError."""
        path = self.place / name
        with _named("cannot be read", path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, name: str, data: bytes, *, durable: bool = False) -> None:
        """See Shelf. Raises StorageError."""
        path = self.place / name
        # Nobody sees a part of it, whoever else writes the same file at the same time.
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        with _named("cannot be written", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    if durable:
                        file.flush()
                        os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            if durable:
                sync_folder(path.parent)

    def names(self, folder: str) -> list[str]:
        """See Shelf. Raises StorageError."""
        path = self.place / folder
        with _named("cannot be listed", path):
            try:
                return sorted(name for name in os.listdir(path) if not name.startswith("."))  # noqa: PTH208 - names
            except (FileNotFoundError, NotADirectoryError):
                return []

    def remove(self, name: str) -> None:
        """See Shelf. Raises StorageError."""
        path = self.place / name
        with _named("cannot be removed", path):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _named(what: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(what, str(path), error) from error
