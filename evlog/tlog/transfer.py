"""Checkpoints that go with a log into a backup, and out of it again: what was promised is not to be forgotten with the store.

Read before the log is copied, written after it: so none is over more records than the copy holds. Tiles stay behind, since the next
publishing makes them again from the log.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from evlog.errors import EvidenceError
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog.archive import CHECKPOINT, CHECKPOINTS, alone, prune, sizes
from evlog.tlog.publisher import POLICY
from evlog.tlog.shelf import FolderShelf

if TYPE_CHECKING:
    from pathlib import Path


class Promises(NamedTuple):
    """The checkpoints of a log by their sizes, as they were written, and the policy that names who signed them."""

    notes: dict[int, bytes]
    policy: bytes | None


def promises_in(place: Path, origin: str) -> Promises:
    """Return what a published folder holds about a log. What is no checkpoint of that log is left out: `verify` tells of it."""
    shelf = FolderShelf(place)
    notes: dict[int, bytes] = {}
    for name in [*(f"{CHECKPOINTS}/{size}" for size in sizes(shelf)), CHECKPOINT]:
        with suppress(EvidenceError):
            signed = checkpoints.parse(shelf.read(name) or b"")
            if signed.checkpoint.origin == origin:
                notes.setdefault(signed.checkpoint.size, signed.data)
    return Promises(notes, shelf.read(POLICY))


def put_promises(place: Path, promises: Promises, end: int) -> int | None:
    """Write those over at most `end` records into a published folder; return the size of the newest, None where there is none."""
    fitting = {size: note for size, note in promises.notes.items() if size <= end}
    if not fitting:
        return None
    shelf, last = FolderShelf(place), max(fitting)
    with alone(place):
        for size, note in fitting.items():
            if shelf.read(f"{CHECKPOINTS}/{size}") != note:
                shelf.write(f"{CHECKPOINTS}/{size}", note, durable=True)
        if promises.policy is not None:
            shelf.write(POLICY, promises.policy, durable=True)
        shelf.write(CHECKPOINT, fitting[last], durable=True)
        prune(shelf, last, keep=promises.notes)  # What the store kept stays.
    return last
