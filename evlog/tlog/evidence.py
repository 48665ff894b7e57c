"""Evidence: one file that shows that a record, or a change in it, is in a log. Source: c2sp.org/tlog-proof.

    c2sp.org/tlog-proof@v1
    extra BASE64         what is proven; of no worth until its hashes are found in the tree
    index OFFSET
    BASE64               the path to the root, a hash a line
    <an empty line>
    the checkpoint, with its signatures

| extra | bytes | meaning                                                                   |
| leaf  | 96    | the leaf of the record (merkle.py): hashes of the envelope and the changes |
| u32 n | n     | the envelope: who, when, through what, why                                 |
| u32   |       | number of changes that are shown; then of each:                            |
|   u32 |       | which change of the record it is, from 0                                   |
|   u32 n | n   | the change as it is stored                                                 |
|   u8 k | 32 k | its path in the tree over the changes of the record                        |

All integers are little-endian. A change that is not shown stays secret: of it there is a hash.
"""

from __future__ import annotations

import re
import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog import actors, codec, merkle
from evlog.errors import EvidenceError
from evlog.frame import RECORD, unpack_body
from evlog.tip import leaf_of
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog.checkpoint import HASH_BYTES, Signed
from evlog.tlog.note import decode64, encode64
from evlog.tlog.proof import inclusion, node_of, root_of_inclusion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evlog.frame import Frame
    from evlog.tlog.note import VerifierKey
    from evlog.tlog.proof import Node

FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
SUFFIX: Final = ".tlog-proof"
EVIDENCE_BYTES_MAX: Final = 256 * 1024 * 1024
_U32: Final = struct.Struct("<I")
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


class Shown(NamedTuple):
    """One change of a record, by its number in it, and its path in the tree over all of them."""

    number: int
    change: bytes
    path: list[bytes]


class Evidence(NamedTuple):
    """What one file holds. envelope, changes: as they are stored in the log."""

    leaf: bytes
    envelope: bytes
    shown: list[Shown]
    offset: int
    path: list[bytes]
    signed: Signed


class Proven(NamedTuple):
    """What a leaf says that was found in a tree. changes: how many the record has, shown or not."""

    offset: int
    time_us: int
    changes: int


def make(frame: Frame, wanted: Iterable[int], node: Node, signed: Signed) -> Evidence:
    """Return the evidence for some changes of a record. node: of the tree that the checkpoint is about."""
    envelope, changes = unpack_body(frame.body, frame.changes)
    leaf = leaf_of(frame, envelope, changes)
    below = node_of([merkle.leaf_hash(change) for change in changes])
    shown = [Shown(index, changes[index], inclusion(below, index, len(changes))) for index in wanted]
    return Evidence(leaf, envelope, shown, frame.offset, inclusion(node, frame.offset, signed.checkpoint.size), signed)


def pack(evidence: Evidence) -> bytes:
    """Return the bytes of a file."""
    lines = [FIRST_LINE, f"extra {encode64(_pack_extra(evidence))}", f"index {evidence.offset}"]
    lines += [encode64(one) for one in evidence.path]
    return ("\n".join(lines) + "\n\n").encode() + evidence.signed.data


def parse(data: bytes) -> Evidence:
    """Return what a file holds; nothing of it is proven yet. Raises EvidenceError."""
    if len(data) > EVIDENCE_BYTES_MAX:
        raise EvidenceError(f"a proof of {len(data):,} bytes is over the limit of {EVIDENCE_BYTES_MAX:,}")
    head, blank, note = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        lines = []
    if not blank or lines[:1] != [FIRST_LINE]:
        raise EvidenceError(f"this is no proof: its first line is not {FIRST_LINE}")
    if len(lines) < 3 or not lines[1].startswith("extra ") or not (index := _INDEX.fullmatch(lines[2])):  # noqa: PLR2004
        raise EvidenceError("the proof does not say what it proves: `extra` and `index` must follow its first line")
    path = [_hash(line) for line in lines[3:]]
    leaf, envelope, shown = _parse_extra(decode64(lines[1].removeprefix("extra ")))
    return Evidence(leaf, envelope, shown, int(index[1]), path, checkpoints.parse(note))


def check(evidence: Evidence) -> Proven:
    """Return what is proven, given that the checkpoint is to be trusted: who asks must check that. Raises EvidenceError."""
    magic, kind, hashed, flags, count, offset, time_us, envelope, changes = merkle.LEAF.unpack(evidence.leaf)
    if (magic, kind, hashed, flags) != (merkle.LEAF_MAGIC, RECORD, merkle.HASH_SHA256, 0):
        raise EvidenceError("the leaf of the proof is of a kind that this release does not know")
    if offset != evidence.offset:
        raise EvidenceError(f"the proof is for record {evidence.offset}, its leaf is that of record {offset}")
    if sha256(evidence.envelope).digest() != envelope:
        raise EvidenceError("the envelope is not the one that the leaf commits to: it was changed")
    if len({one.number for one in evidence.shown}) != len(evidence.shown):
        raise EvidenceError("a change is shown twice")
    for one in evidence.shown:
        if root_of_inclusion(merkle.leaf_hash(one.change), one.number, count, one.path) != changes:
            raise EvidenceError(f"change {one.number} is not the one that the leaf commits to: it was changed")
    head = evidence.signed.checkpoint
    if root_of_inclusion(merkle.leaf_hash(evidence.leaf), offset, head.size, evidence.path) != head.root:
        raise EvidenceError(
            "the path does not lead from the leaf to the root of the checkpoint: the record is not in that log"
        )
    return Proven(offset, time_us, count)


def actor_of(evidence: Evidence, known: Sequence[VerifierKey] = ()) -> actors.Signed | None:
    """Return the signature of the record's actor, None where it bears none; `check` comes first. Raises as `actors.check`."""
    _, _, _, _, count, offset, _, _, root = merkle.LEAF.unpack(evidence.leaf)
    envelope = codec.decode_envelope(evidence.envelope, offset=offset)
    return actors.check(evidence.signed.checkpoint.origin, envelope, count, root, known)


def _pack_extra(evidence: Evidence) -> bytes:
    parts = [evidence.leaf, _sized(evidence.envelope), _U32.pack(len(evidence.shown))]
    for one in evidence.shown:
        parts += [_U32.pack(one.number), _sized(one.change), bytes([len(one.path)]), *one.path]
    return b"".join(parts)


def _sized(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data


class _Cursor:
    """Takes bytes from the front. Raises EvidenceError where there are too few."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        self.at += size
        if self.at > len(self.data):
            raise EvidenceError("the extra data of the proof ends too early")
        return self.data[self.at - size : self.at]

    def number(self) -> int:
        return int(_U32.unpack(self.take(_U32.size))[0])


def _parse_extra(data: bytes) -> tuple[bytes, bytes, list[Shown]]:
    cursor = _Cursor(data)
    leaf, envelope = cursor.take(merkle.LEAF.size), cursor.take(cursor.number())
    shown = []
    for _ in range(cursor.number()):
        number, change = cursor.number(), cursor.take(cursor.number())
        [hashes] = cursor.take(1)
        shown.append(Shown(number, change, _split(cursor.take(hashes * HASH_BYTES))))
    if cursor.at != len(data):
        raise EvidenceError("bytes follow the extra data of the proof")
    return leaf, envelope, shown


def _split(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _hash(line: str) -> bytes:
    digest = decode64(line)
    if len(digest) != HASH_BYTES:
        raise EvidenceError(f"{line[:60]!r} is no hash of a path")
    return digest
