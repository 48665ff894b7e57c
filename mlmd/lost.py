"""What a store knew and promised of records that are lost: set aside, whole, before it goes on without them.

    STORE/lost/END/views    the views; what they tell of the lost records may be all that is left
    STORE/lost/END/tlog     checkpoints over more than END records, and the tiles, which are made anew
    STORE/lost/END/anchors  the anchors that know of more, or cannot be asked: they are none of this store any more
    KEYFILE.signed.lost-END what the key here remembers to have signed, if it is more

Copies of such checkpoints elsewhere are untouched, and whoever compares the store with one is told that the log was cut. That is right.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from evlog.errors import EvidenceError, storage_error
from evlog.files import sync_folder
from evlog.tlog import anchors, archive, checkpoint, keys, publisher
from evlog.tlog.shelf import FolderShelf
from mlmd.opening import TLOG_FOLDER, VIEWS_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.identity import Identity

LOST_FOLDER: Final = "lost"
_TILES: Final = "tile"


def set_aside(place: Path, ident: Identity, end: int) -> list[Path]:
    """Move what goes further than the first `end` records out of the way; return where it is now. Raises StorageError.

    Interrupted, it is done again: what was moved by then is no longer there.
    """
    aside, tlog = place / LOST_FOLDER / str(end), place / TLOG_FOLDER
    moved = [_move(place / VIEWS_FOLDER, aside / VIEWS_FOLDER)]
    if tlog.is_dir():
        with archive.alone(tlog):
            moved += [_move(tlog / name, aside / TLOG_FOLDER / name) for name in _broken(tlog, end)]
    if anchors.set_aside(place, ident, end, aside):
        moved.append(aside / anchors.NAME)
    memory = keys.memory_of(keys.place_of(ident.log_id))
    if (size := _size_in(memory)) is not None and size > end:
        moved.append(_move(memory, memory.with_name(f"{memory.name}.lost-{end}")))
    return [path for path in moved if path is not None]


def _broken(tlog: Path, end: int) -> list[str]:
    """Return the files beside the tiles, and the tiles, that are of more records than are left."""
    kept = [f"{archive.CHECKPOINTS}/{size}" for size in archive.sizes(FolderShelf(tlog)) if size > end]
    newest = _size_in(tlog / archive.CHECKPOINT)
    return [_TILES, publisher.RESUME, *kept, *([archive.CHECKPOINT] if newest is not None and newest > end else [])]


def _size_in(path: Path) -> int | None:
    data = FolderShelf(path.parent).read(path.name)
    try:
        return checkpoint.parse(data).checkpoint.size if data is not None else None
    except EvidenceError:
        return None


def _move(source: Path, target: Path) -> Path | None:
    """Give a file or folder another place, one that nothing has; None where it is not there."""
    if not os.path.lexists(source):
        return None
    number, free = 2, target
    while os.path.lexists(free):
        free, number = target.with_name(f"{target.name}-{number}"), number + 1
    try:
        free.parent.mkdir(parents=True, exist_ok=True)
        source.rename(free)
        sync_folder(free.parent)
        sync_folder(source.parent)
    except OSError as error:
        raise storage_error("cannot be moved aside", str(source), error) from error
    return free
