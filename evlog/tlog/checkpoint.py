"""Checkpoints: what a log promises at a moment, its origin, size and root, as a note. Source: c2sp.org/tlog-checkpoint.

    evlog/0193c2...     the origin: which log
    1234                the size of its tree: how many records
    CsUYapGGPo4d...     the root of that tree, base64

A log without a key has checkpoints too. They end in the line `unsigned` and have no signature, and prove nothing but to one who
has the root from elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog.errors import EvidenceError
from evlog.tlog import note as notes
from evlog.tlog.note import decode64, encode64

if TYPE_CHECKING:
    from evlog.tlog.keys import Key
    from evlog.tlog.note import Note

UNSIGNED: Final = "unsigned"
HASH_BYTES: Final = 32
SIZE_MAX: Final = 2**63 - 1
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class Checkpoint(NamedTuple):
    """A tree's head: the first `size` leaves of the log `origin` have this root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"


class Signed(NamedTuple):
    """A checkpoint with its note; `data` is the note as it was written."""

    checkpoint: Checkpoint
    note: Note
    data: bytes

    @property
    def unsigned(self) -> bool:
        """Tell whether there is no signature at all."""
        return not self.note.signatures


def seal(checkpoint: Checkpoint, key: Key | None) -> Signed:
    """Return a checkpoint as a note, signed where there is a key."""
    text = checkpoint.text
    data = f"{text}\n{key.sign(text)}" if key is not None else f"{text}{UNSIGNED}\n\n"
    return parse(data.encode())


def parse(data: bytes) -> Signed:
    """Return the checkpoint in the bytes of a note; its signatures are not checked yet. Raises EvidenceError."""
    note = notes.parse(data)
    origin, size, root, *extensions = [*note.text.split("\n")[:-1], "", ""][:200]
    lines = note.text.count("\n")
    if lines < 3 or not origin or not origin.isprintable() or not _SIZE.fullmatch(size) or int(size) > SIZE_MAX:  # noqa: PLR2004 - origin, size, root
        raise EvidenceError("this is no checkpoint: its first lines are not an origin, a size and a root")
    if any(not line for line in extensions[: lines - 3]):
        raise EvidenceError("this is no checkpoint: a line of it is empty")
    digest = decode64(root)
    if len(digest) != HASH_BYTES:
        raise EvidenceError(f"the root of a checkpoint has {HASH_BYTES} bytes, not {len(digest)}")
    return Signed(Checkpoint(origin, int(size), digest), note, data)
