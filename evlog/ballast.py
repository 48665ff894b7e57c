"""Room kept for bad days: a file that holds nothing, and is given up when a full device would keep a log from being opened.

Recovery writes before it cuts: a copy of the torn end, the header of a segment, a record of what it did. On a device that is still as full
as it was when the writer died there is no room for that, and a log that cannot be recovered cannot be written to even once room is made by
others. The ballast is that room. It is made anew by the next opening that finds enough.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from evlog.errors import StorageError

if TYPE_CHECKING:
    from evlog.files import Folder

NAME: Final = "ballast"
BYTES: Final = (
    4 * 1024 * 1024
)  # The reserve behind the end, 1 MiB, is part of what is cut off; a group is rarely larger than the rest.
BYTES_MIN: Final = 64 * 1024
PART: Final = 16  # Of the room that is free: a small device is not for the ballast.


def keep(folder: Folder) -> None:
    """Make the ballast where there is none and enough room. Never fails: the log is as good without it."""
    with contextlib.suppress(StorageError):
        if NAME not in folder.names() and (size := min(BYTES, folder.room() // PART)) >= BYTES_MIN:
            folder.reserve(NAME, size)


def give_up(folder: Folder) -> bool:
    """Make room of the ballast, if it is there; tell whether it was."""
    try:
        folder.remove(NAME)
    except FileNotFoundError:
        return False
    folder.sync_names()  # A file system may keep the blocks of a removed file until its removal is durable.
    return True
