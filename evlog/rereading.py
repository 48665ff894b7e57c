"""Records read again, many at a time: the second way from bytes to leaves, beside that of recovery.py, and a third of its cost.

It only ever accepts. A frame about which anything is out of the ordinary ends it, and is for the careful walk: that knows every kind of
frame, and what is wrong with one.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

import google_crc32c

from evlog.frame import ALIGNMENT, FRAME_VERSION, HEADER, MAGIC, RECORD, SYNC, U32, unpack_body
from evlog.merkle import HASH_SHA256, LEAF, LEAF_MAGIC, changes_root
from evlog.tip import PREV_BYTES

if TYPE_CHECKING:
    from evlog.recovery import Active
    from evlog.tip import Link

_crc32c, _extend = google_crc32c.value, google_crc32c.extend
_NO_FLAGS: Final = 0
_SIZES: Final = 2 * U32.size  # Of the envelope and of one change.


class Run(NamedTuple):
    """Records that follow each other: their leaves, the hashes of these, where each frame begins, the times of the first and the last.

    stop: where the frame behind them begins; synced: the last one was a SYNC frame.
    """

    leaves: list[bytes]
    hashes: list[bytes]
    positions: list[int]
    first_us: int
    last_us: int
    stop: int
    synced: bool


def run(data: bytes, after: Link, count: int, *, seed: int) -> Run:
    """Return the records with which `data` begins, `count` at most, as far as all is as it should be.

    after: what the first must follow. SYNC frames among them are passed over.
    """
    offset, prev, time_us = after.end, after.prev, after.time_us
    leaves: list[bytes] = []
    hashes: list[bytes] = []
    positions: list[int] = []
    first_us, synced = 0, False
    at, end, header, padding = 0, len(data), HEADER.size, bytes(ALIGNMENT)
    unpack, extend, crc32c, pack, size_at = HEADER.unpack_from, _extend, _crc32c, LEAF.pack, U32.unpack_from
    while len(leaves) < count and at + header <= end:
        magic, hcrc, size, bcrc, version, kind, flags, changes, here, now_us, _, link = unpack(data, at)
        start = at + header
        stop = start + size
        following = stop + -size % ALIGNMENT
        if here != offset or link != prev or magic != MAGIC or version != FRAME_VERSION or flags or following > end:
            break
        body = data[start:stop]
        if (
            extend(seed, data[at + 8 : start]) != hcrc
            or crc32c(body) != bcrc
            or not padding.startswith(data[stop:following])
        ):
            break
        if kind == RECORD and now_us > time_us:
            # By far the most records have one change: as `unpack_body`, without a call.
            one = U32.size + size_at(body)[0] if changes == 1 and size >= _SIZES else size
            if one + 4 <= size and one + 4 + size_at(body, one)[0] == size:
                digest, root = sha256(body[4:one]).digest(), sha256(b"\x00" + body[one + 4 :]).digest()
            else:
                try:
                    envelope, parts = unpack_body(body, changes)
                except ValueError:
                    break
                digest, root = sha256(envelope).digest(), changes_root(parts)
            leaf = pack(LEAF_MAGIC, RECORD, HASH_SHA256, _NO_FLAGS, changes, offset, now_us, digest, root)
            leaf_hash = sha256(b"\x00" + leaf).digest()
            leaves.append(leaf)
            hashes.append(leaf_hash)
            positions.append(at)
            first_us = first_us or now_us
            offset, prev, time_us = offset + 1, leaf_hash[:PREV_BYTES], now_us
            synced = False
        elif kind == SYNC:
            synced = True
        else:
            break
        at = following
    return Run(leaves, hashes, positions, first_us, time_us, at, synced)


def take_next(active: Active, count: int, *, size: int, seed: int, but: bytes | None = None) -> Run | None:
    """Take the ordinary records that come next in a segment, `count` at most; None where none is to be taken like this.

    size: how many bytes to read. but: a frame with these bytes in it is left.
    """
    if active.position == 0 or active.sealed:
        return None
    data = active.file.read(size, active.position)
    if but is not None and (at := data.find(but)) >= 0:
        data = data[:at]
    found = run(data, active.tip, count, seed=seed)
    if found.stop == 0:
        return None
    active.take_run(found)
    return found
