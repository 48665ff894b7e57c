"""The file of a view: a link to a generation, so that a new one takes its place in one step, whoever has the old one open.

`views/current.sqlite` is a symbolic link to `views/current.<generation>.sqlite`. A rebuild makes the next generation beside it
and moves the link. Putting the new file in the old one's place would be wrong: SQLite and DuckDB name the write-ahead log by
the path, so a process that still has the old file open would delete or replay the new one's. Who has the old generation open
reads it on, whole.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_BUILDING: Final = "building."
_ABANDONED_S: Final = 24 * 3600


class Generations:
    """The generations of one view, each a file `<stem>.<number>.<suffix>`; `link` leads to the current one."""

    def __init__(self, stem: str, suffix: str) -> None:
        self.link, self._stem, self._suffix = f"{stem}.{suffix}", stem, suffix
        self._generation: Final = re.compile(
            rf"{stem}\.(\d{{6}})\.{suffix}", re.ASCII
        )  # A prefix: its write-ahead log too.

    def current(self, folder: Path) -> Path | None:
        """Return the file that the link leads to, None where there is none."""
        link = folder / self.link
        return link.resolve() if link.exists() else None

    def new_path(self, folder: Path) -> Path:
        """Return a path to build a view at, that nobody else has."""
        return folder / f"{_BUILDING}{os.getpid()}.{os.urandom(4).hex()}.{self._suffix}"

    def publish(self, folder: Path, file: Path) -> Path:
        """Make a built, closed view the current one in one step, and remove older generations; return its new path.

        The caller holds the lock of those who write the view. `file` may be renamed, because nobody has it open.
        """
        entries = [(entry, self._generation.match(entry.name)) for entry in folder.iterdir()]
        newest = max((int(match[1]) for _, match in entries if match), default=0)
        generation = folder / f"{self._stem}.{newest + 1:06d}.{self._suffix}"
        file.rename(generation)
        temporary = folder / f"{self.link}.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(generation.name)
        temporary.replace(folder / self.link)
        for entry, match in entries:
            if match or (self._is_building(entry) and entry != file and _abandoned(entry)):
                entry.unlink(missing_ok=True)
        return generation

    def remove(self, folder: Path) -> None:
        """Remove the view and all that belongs to it; it is made anew when it is next asked for.

        The caller holds the lock of those who write the view.
        """
        (folder / self.link).unlink(missing_ok=True)
        for entry in folder.iterdir():
            if self._generation.match(entry.name):
                _remove(entry)
        self.remove_unfinished(folder)

    def remove_of_the_dead(self, folder: Path) -> None:
        """Remove every file that was begun by a process that is no more."""
        for entry in folder.glob(f"{_BUILDING}*"):
            pid = entry.name.removeprefix(_BUILDING).partition(".")[0]
            if self._is_building(entry) and pid.isascii() and pid.isdigit() and not _lives(int(pid)):
                _remove(entry)

    def remove_unfinished(self, folder: Path) -> None:
        """Remove every file that was begun and not published. The caller knows that nobody is at work on one."""
        for entry in folder.glob(f"{_BUILDING}*"):
            if self._is_building(entry):
                _remove(entry)

    def _is_building(self, entry: Path) -> bool:
        return entry.name.startswith(_BUILDING) and f".{self._suffix}" in entry.name


def _remove(entry: Path) -> None:
    """Remove a file of a view, or the folder in which DuckDB kept what did not fit into memory."""
    if entry.is_dir():
        import shutil  # noqa: PLC0415 - 4 ms, and a shell that asks for names waits

        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # Somebody else's.
        return True
    return True


def _abandoned(file: Path) -> bool:
    """Tell whether whoever built in a file must be dead: it has not been written for a day."""
    try:
        return time.time() - file.stat().st_mtime > _ABANDONED_S
    except FileNotFoundError:
        return False


def same_file(link: str, inode: int) -> bool:
    """Tell whether the link still leads to the file with this inode."""
    try:
        return os.stat(link).st_ino == inode  # noqa: PTH116 - before every read: a Path costs more than the call
    except OSError:
        return False


CURRENT: Final = Generations("current", "sqlite")
HISTORY: Final = Generations("history", "duckdb")
HISTORY_LOCK: Final = "history.lock"  # Of those who write the history view.
FROZEN_FOLDER: Final = "frozen"  # Below the views: the history as files that never change.
