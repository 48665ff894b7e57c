"""The checkpoints that a store keeps: the newest, and of those before it what anyone may still need."""

from __future__ import annotations

from contextlib import closing, contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from evlog.errors import EvidenceError
from evlog.files import RealFolder, held
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog.shelf import FolderShelf
from evlog.tlog.tiles import WIDTH

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from evlog.tlog.checkpoint import Signed
    from evlog.tlog.shelf import Shelf

CHECKPOINT: Final = "checkpoint"
CHECKPOINTS: Final = "checkpoints"
LOCK: Final = "LOCK"


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Hold the lock of those who publish, in any process, while a `with` block runs."""
    with closing(RealFolder(place, create=True).lock(LOCK)) as lock, held(lock):
        yield


def newest(shelf: Shelf) -> Signed | None:
    """Return the newest checkpoint on a shelf, None where there never was one. Raises EvidenceError for a damaged one."""
    data = shelf.read(CHECKPOINT)
    if data is None:  # Lost, or never written: an older one is not less true.
        known = sizes(shelf)
        data = shelf.read(f"{CHECKPOINTS}/{known[-1]}") if known else None
    if data is None:
        return None
    try:
        return checkpoints.parse(data)
    except EvidenceError as error:
        raise EvidenceError(
            f"the file {CHECKPOINT} is damaged ({error}): remove it, and the newest of {CHECKPOINTS}/ takes its place"
        ) from error


def sizes(shelf: Shelf) -> list[int]:
    """Return the sizes of the checkpoints that are kept, ascending."""
    return sorted(int(name) for name in shelf.names(CHECKPOINTS) if name.isascii() and name.isdigit())


def best(shelf: Shelf, offset: int) -> Signed | None:
    """Return the checkpoint over a record that the most have signed, of these the newest; None where none is over it."""
    found = [newest(shelf), *(_read(shelf, size) for size in sizes(shelf) if size > offset)]
    over = [one for one in found if one is not None and one.checkpoint.size > offset]
    return max(over, key=lambda one: (len(one.note.signatures), one.checkpoint.size), default=None)


def keep_cosigned(place: Path, signed: Signed) -> None:
    """Keep a published checkpoint that witnesses have signed too."""
    shelf = FolderShelf(place)
    with alone(place):
        shelf.write(f"{CHECKPOINTS}/{signed.checkpoint.size}", signed.data, durable=True)
        latest = newest(shelf)
        if latest is not None and latest.checkpoint == signed.checkpoint:
            shelf.write(CHECKPOINT, signed.data, durable=True)


def prune(shelf: Shelf, newest_size: int, keep: Collection[int] = ()) -> None:
    """Remove the checkpoints that are not the last of their 256 records, but for those of the newest 256 and those of witnesses.

    keep: sizes at which they stay, too.
    """
    for one, following in pairwise(sizes(shelf)):
        if one not in keep and one // WIDTH == following // WIDTH and one // WIDTH < newest_size // WIDTH:
            signed = _read(shelf, one)
            if signed is not None and len(signed.note.signatures) <= 1:  # Witnesses do not sign twice.
                shelf.remove(f"{CHECKPOINTS}/{one}")


def _read(shelf: Shelf, size: int) -> Signed | None:
    data = shelf.read(f"{CHECKPOINTS}/{size}")
    return checkpoints.parse(data) if data is not None else None
