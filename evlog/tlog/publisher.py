"""Publishing: the tree of a log brought up to its end, as tiles, and promised in a checkpoint. Beside the log, never in its way.

    tlog/                any static file server can publish it; it holds no payload
      checkpoint         the newest one
      checkpoints/SIZE   those before: at the end of each segment, the last of each 256 records, all of the last 256, all that
                         witnesses signed
      policy             the key that signs, as a policy; whoever checks proofs should have it from elsewhere
      tile/...           (tiles.py)
      resume             a hint: where the next record stands in the log
      LOCK               flock of the one who publishes

Before a checkpoint is made, the records since the last one are read again from disk and their leaves made anew, in a
second way (rereading.py); the tree so made must begin with the one that was promised, end with the record that HEAD names, and agree with the
tiles read back. Otherwise nothing is signed. What was promised last is also kept with the key, so that nobody who may write to the
store alone, and puts an older state of it back, gets another history signed.

Tiles are derived: where they are gone or do not fit, they are made again from the log.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Final

from evlog import segment
from evlog.errors import CorruptLogError, EvidenceError, FutureError, LostRecordsError, ReadOnlyError
from evlog.files import RealFolder
from evlog.log import Log
from evlog.merkle import EMPTY_ROOT, LEAF, Frontier, leaf_hash
from evlog.tip import PREV_BYTES, Tip
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog.archive import CHECKPOINT, CHECKPOINTS, alone, newest, prune
from evlog.tlog.checkpoint import Checkpoint
from evlog.tlog.leaves import Leaves
from evlog.tlog.proof import frontier
from evlog.tlog.shelf import FolderShelf
from evlog.tlog.tiles import WIDTH, Tiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from evlog.tlog.checkpoint import Signed
    from evlog.tlog.keys import Key
    from evlog.tlog.note import VerifierKey
    from evlog.tlog.shelf import Shelf

POLICY: Final = "policy"
RESUME: Final = "resume"
_RESTORED: Final = "a store restored as of an earlier moment is another history, which another key must sign"
_HINT: Final = re.compile(rb"(\d{1,19}) (\d{1,19}) (\d{1,19})\n", re.ASCII)
_CHUNK_RECORDS: Final = 65_536  # Full tiles of the second level.


class Publisher:
    """Publishes one log. One at a time does, among all processes; keep it open to publish again and again."""

    def __init__(
        self, log_folder: Path, place: Path, key: Key, remembered: Path | None = None, *, acknowledged: int = 0
    ) -> None:
        """Open a log to publish it in the folder `place`. acknowledged: as in `Log.open`, and raises as that does."""
        self._folder = RealFolder(log_folder)
        self._place, self._key = place, key
        self._remembered = remembered  # The last checkpoint that this key signed, kept with the key.
        self._log = Log.open(self._folder, writable=False, acknowledged=acknowledged)
        self._shelf = FolderShelf(place)
        self._tiles = Tiles(self._shelf)
        self._leaves: Leaves | None = None  # Where the last publishing ended.

    def publish(self, progress: Callable[[int, int], None] | None = None) -> Signed:
        """Return a checkpoint over all that is acknowledged, made now unless there is one; before it one over the sealed segments.

        progress: told (records read again, records there are). Raises CorruptLogError where the log is not what was promised.
        """
        with alone(self._place):
            before = self._last_promise()
            end = self._log.refresh()
            if before is not None:
                self._check(before, end)
                if before.checkpoint.size == end and self._stands(before):
                    _add_to_policy(self._shelf, self._key.verifier)  # It may have been lost.
                    return before
            sealed = max(segment.bases(self._folder), default=0)
            if (before.checkpoint.size if before else 0) < sealed < end:
                before = self._sign(before, sealed, progress)
            return self._sign(before, end, progress)

    def _sign(self, before: Signed | None, end: int, progress: Callable[[int, int], None] | None) -> Signed:
        root = self._bring_up(before.checkpoint if before else None, end, progress)
        signed = checkpoints.seal(Checkpoint(self._log.origin, end, root), self._key)
        self._keep(signed, before.checkpoint.size if before else 0)
        return signed

    def close(self) -> None:
        """Release the log."""
        if self._leaves is not None:
            self._leaves.close()
        self._log.close()

    def _last_promise(self) -> Signed | None:
        """Return the newest checkpoint: of the store, or remembered with the key, which nobody can take back who may write to the store.

        Where there is a memory, one in the store that this key did not sign is not believed: it may be there to hide the other.
        """
        published, remembered = newest(self._shelf), self._memory()
        if remembered is None:
            return published
        if published is None or not published.note.signers([self._key.verifier]):
            return remembered
        return max(published, remembered, key=lambda one: one.checkpoint.size)

    def _memory(self) -> Signed | None:
        path = self._remembered
        data = FolderShelf(path.parent).read(path.name) if path is not None else None
        if data is None:
            return None
        try:
            remembered = checkpoints.parse(data)
            if not remembered.note.signers([self._key.verifier]):
                raise EvidenceError("another key signed it")
        except EvidenceError as error:
            raise EvidenceError(f"{path}: the memory of what this key signed is damaged: {error}") from error
        return remembered

    def _check(self, before: Signed, end: int) -> None:
        """Refuse to go on from a checkpoint that is another log's, was tampered with, or promises more than there is."""
        one = before.checkpoint
        if one.origin != self._log.origin:
            raise EvidenceError(
                f"the checkpoint in {self._place} is of the log {one.origin}, this one is {self._log.origin}: remove that folder"
            )
        before.note.signers([self._key.verifier])
        if end < one.size:
            reason = f"the log ends at record {end}, the checkpoint is over {one.size}: this is an old copy, or it was cut; {_RESTORED}"
            raise LostRecordsError(reason, file=self._folder.describe(""), position=0, offset=end)

    def _stands(self, before: Signed) -> bool:
        """Tell whether a checkpoint is published, signed by our key, and its tiles are there."""
        one, there = before.checkpoint, self._shelf.read(CHECKPOINT) == before.data
        return there and bool(before.note.signers([self._key.verifier])) and self._tiles.root(one.size) == one.root

    def _bring_up(self, before: Checkpoint | None, end: int, progress: Callable[[int, int], None] | None) -> bytes:
        """Write the tiles up to `end`; return the root, which both the log and the tiles have."""
        size = before.size if before is not None and self._tiles.root(before.size) == before.root else 0
        if (
            before is not None and not size
        ):  # Before a tile of another history is written over those that are published.
            self._leaves_at(before).close()
        with ExitStack() as on_error:
            leaves = self._leaves_at(before if size else None)
            on_error.callback(leaves.close)
            while (at := leaves.tip.end) < end:
                stop = before.size if before is not None and before.size > at else end
                self._tiles.extend(at, *leaves.read(min(stop, _next_chunk(at))))
                if before is not None and leaves.tip.end == before.size:
                    self._compare(leaves, before)
                if progress is not None:
                    progress(leaves.tip.end, self._log.end)
            if self._log.leaf_prefix(end) != leaves.tip.prev:
                raise self._another("its last record is not the one that HEAD names", end)
            if self._tiles.root(end) != leaves.tip.tree.root():
                raise EvidenceError(f"{self._place}: the tiles are not those that were written: nothing was signed")
            on_error.pop_all()
        self._leaves = leaves
        return leaves.tip.tree.root()

    def _leaves_at(self, before: Checkpoint | None) -> Leaves:
        """Return a walk that stands at the end of what was promised, which it has found to be so, or at the first record."""
        leaves, self._leaves = self._leaves, None
        size = before.size if before is not None else 0
        if leaves is not None and (leaves.tip.end > size or before is None):
            leaves.close()
            leaves = None
        if leaves is None and before is not None and (leaves := self._resumed(before)) is not None:
            return leaves
        leaves = leaves or Leaves.of_segment(self._folder, self._log.seed, size)
        while leaves.tip.end < size:
            leaves.read(min(size, _next_chunk(leaves.tip.end)))
        if before is not None:
            self._compare(leaves, before)
        return leaves

    def _resumed(self, before: Checkpoint) -> Leaves | None:
        """Return a walk from the hint, None where it does not fit. The tree comes from the tiles, whose root was promised."""
        hint = _HINT.fullmatch(self._shelf.read(RESUME) or b"")
        if hint is None or int(hint[1]) != before.size or before.size == 0:
            return None
        try:
            entry = self._tiles.entries((before.size - 1) // WIDTH, (before.size - 1) % WIDTH + 1)[-1]
            tree = Frontier(before.size, frontier(self._tiles.node(before.size), before.size))
        except EvidenceError:
            return None
        if tree.root() != before.root or leaf_hash(entry) != self._tiles.node(before.size)(0, before.size - 1):
            return None
        tip = Tip(tree, leaf_hash(entry)[:PREV_BYTES], LEAF.unpack(entry)[6])
        return Leaves.at(self._folder, self._log.seed, tip, int(hint[2]), int(hint[3]))

    def _compare(self, leaves: Leaves, before: Checkpoint) -> None:
        if leaves.tip.tree.root() != before.root:
            raise self._another(
                f"the first {before.size} records are not those that the checkpoint was made for; {_RESTORED}",
                before.size,
            )

    def _another(self, reason: str, offset: int) -> CorruptLogError:
        return CorruptLogError(reason, file=self._folder.describe(""), position=0, offset=offset)

    def _keep(self, signed: Signed, before: int) -> None:
        """Write the checkpoint, then drop what it makes superfluous."""
        size = signed.checkpoint.size
        self._shelf.write(f"{CHECKPOINTS}/{size}", signed.data, durable=True)
        if self._remembered is not None:
            with suppress(ReadOnlyError):  # A key on a read-only medium remembers nothing.
                FolderShelf(self._remembered.parent).write(self._remembered.name, signed.data, durable=True)
        self._shelf.write(CHECKPOINT, signed.data, durable=True)
        if self._leaves is not None:
            base, position = self._leaves.place
            self._shelf.write(RESUME, f"{size} {base} {position}\n".encode())
        _add_to_policy(self._shelf, self._key.verifier)
        if before // WIDTH < size // WIDTH:
            prune(self._shelf, size, keep=segment.bases(self._folder))


def in_memory(
    log: Log, shelf: Shelf, progress: Callable[[int, int], None] | None = None, end: int | None = None
) -> Checkpoint:
    """Make the tiles of a log on a shelf and return the head of the tree: of use where none were published.

    end: of how many records; of all if None. Raises FutureError for more than there are.
    """
    tiles, there = Tiles(shelf), log.refresh()
    end = there if end is None else end
    if end > there:
        raise FutureError(asked=end, end=there)
    if end == 0:
        return Checkpoint(log.origin, 0, EMPTY_ROOT)
    with closing(Leaves.of_segment(log.folder, log.seed, 0)) as leaves:
        while leaves.tip.end < end:
            tiles.extend(leaves.tip.end, *leaves.read(min(end, _next_chunk(leaves.tip.end))))
            if progress is not None:
                progress(leaves.tip.end, end)
        return Checkpoint(log.origin, end, leaves.tip.tree.root())


def _next_chunk(at: int) -> int:
    return (at // _CHUNK_RECORDS + 1) * _CHUNK_RECORDS


def _add_to_policy(shelf: Shelf, key: VerifierKey) -> None:
    """Name a key in the policy beside the tiles; earlier keys stay, since what they signed is still true."""
    text = (shelf.read(POLICY) or b"quorum none\n").decode("utf-8", "replace")
    if f"log {key.vkey}\n" not in text:
        shelf.write(POLICY, f"log {key.vkey}\n{text}".encode(), durable=True)
