"""What an answer or a document cites, so that anyone can ask again and compare: a log, how many of its records, the root of their tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from evlog.log import Log
    from evlog.tip import Tip

TERMS: Final = "urn:evlog:terms:"  # Of the words that documents have from us.


class Citation(msgspec.Struct, frozen=True):
    """The first `offset` records of the log `log` (its id, in hexadecimal); root: SHA-256 of their Merkle tree, in hexadecimal."""

    log: str
    offset: int
    root: str

    @property
    def namespace(self) -> str:
        """Return what the URN of everything in the log begins with, the same in every document: artifact/2 comes behind it."""
        return f"urn:evlog:log:{self.log}:"


def cite(log: Log, end: int) -> Citation:
    """Return the citation of the first `end` records. Walks one segment for it. Raises what `Log.tip_at` does."""
    return Citation(log.id.hex(), end, log.tip_at(end).tree.root().hex())


class Citations:
    """Citations of a log that is read from an offset on: the tree grows along, so each costs a few hashes. tip: whoever reads on with it brings it along."""

    def __init__(self, log: Log, start: int) -> None:
        self._log = log
        self.tip: Tip = log.tip_at(start)

    def cite(self, end: int) -> Citation:
        """Return the citation of the first `end` records, not fewer than before. Raises CorruptLogError, ReplacedLogError."""
        if end > self.tip.end:
            for _ in self._log.read_on(self.tip, end):
                pass
        return Citation(self._log.id.hex(), end, self.tip.tree.root().hex())
