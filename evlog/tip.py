"""The end of a log, or of what was read of it: what the next record builds on, and the check that a frame continues it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from evlog import merkle
from evlog.frame import unpack_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.frame import Frame

PREV_BYTES: Final = 16
NO_PREV: Final = bytes(PREV_BYTES)


class Link:
    """What the next record must follow: its offset, the last leaf's hash (its first 16 bytes), the last record's time."""

    __slots__ = ("end", "prev", "time_us")

    def __init__(self, end: int = 0, prev: bytes = NO_PREV, time_us: int = 0) -> None:
        self.end, self.prev, self.time_us = end, prev, time_us

    def add(self, entry: bytes, time_us: int) -> bytes:
        """Move past the record with this leaf; return its hash."""
        leaf_hash = merkle.leaf_hash(entry)
        self.end += 1
        self.prev, self.time_us = leaf_hash[:PREV_BYTES], time_us
        return leaf_hash

    def follow(self, frame: Frame) -> str | None:
        """Move past a record's frame, or return why it does not come next."""
        if frame.offset != self.end or frame.prev != self.prev:
            return self.fits(frame)
        if frame.time_us <= self.time_us:
            return f"the record's time {frame.time_us} does not follow {self.time_us}"
        try:
            envelope, changes = unpack_body(frame.body, frame.changes)
        except ValueError as error:
            return str(error)
        self.add(leaf_of(frame, envelope, changes), frame.time_us)
        return None

    def fits(self, frame: Frame) -> str | None:
        """Return why a frame of any kind does not stand here, None where it does."""
        if frame.offset != self.end:
            return f"the frame has offset {frame.offset}, the log is at {self.end}"
        if frame.prev != self.prev:
            before = f": record {self.end - 1:,} is not the one that it was put after, so one of the two was altered"
            return f"the frame does not follow the record before it{before if self.end else ''}"
        return None


class Tip(Link):
    """A link with the tree so far: what the end of a log is."""

    __slots__ = ("tree",)

    def __init__(self, tree: merkle.Frontier | None = None, prev: bytes = NO_PREV, time_us: int = 0) -> None:
        self.tree = tree or merkle.Frontier()
        super().__init__(self.tree.size, prev, time_us)

    def copy(self) -> Tip:
        """Return a tip that moves apart from this one."""
        return Tip(self.tree.copy(), self.prev, self.time_us)

    def add(self, entry: bytes, time_us: int) -> bytes:
        """Move past the record with this leaf; return its hash."""
        leaf_hash = sha256(b"\x00" + entry).digest()
        self.pass_over(leaf_hash, time_us)
        return leaf_hash

    def pass_over(self, leaf_hash: bytes, time_us: int) -> None:
        """Move past the record whose leaf has this hash."""
        self.tree.append(leaf_hash)
        self.end += 1
        self.prev, self.time_us = leaf_hash[:PREV_BYTES], time_us

    def extend(self, leaf_hashes: Sequence[bytes], time_us: int) -> None:
        """Move past records, at least one, with these hashes of their leaves; time_us: of the last."""
        self.tree.extend(leaf_hashes)
        self.end += len(leaf_hashes)
        self.prev, self.time_us = leaf_hashes[-1][:PREV_BYTES], time_us


def leaf_of(frame: Frame, envelope: bytes, changes: Sequence[bytes]) -> bytes:
    """Return the leaf of a record, given its frame and the parts of its body."""
    return merkle.leaf(
        kind=frame.kind,
        flags=frame.flags,
        offset=frame.offset,
        time_us=frame.time_us,
        envelope=envelope,
        changes=changes,
    )
