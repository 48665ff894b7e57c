"""CHECKPOINT frames: the tree so far, written into the log now and then, so that an opening need not read a whole segment again.

Body: a MessagePack map of what the records of the segment before it add up to. All of it can be computed again, and is by whoever
walks past the frame: one that does not fit is damage. HEAD says where the last one is (head.py), since a search for it could be
led astray by what a record holds.

What makes it safe to begin there: its two checksums; that it stands before the place up to which HEAD says all is durable; and that
each frame from it on follows the one before it, up to the record that HEAD names. Records before it were checked when they were
written or walked, and are checked again by who reads, verifies or signs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from evlog.errors import UNDECODABLE
from evlog.frame import CHECKPOINT, pack
from evlog.merkle import Frontier

if TYPE_CHECKING:
    from evlog.frame import Frame
    from evlog.tip import Tip

RECORDS: Final = (
    1_024  # What an opening reads at most, 5 ms of it; a frame of about 1 kB for as many records costs 0.2 % of a log.
)
BYTES: Final = 1024 * 1024  # Or this much, where records are large.


class State(msgspec.Struct, frozen=True):
    """What a writer knows behind the records of a segment up to here, but for what the frame's header tells.

    root, frontier: of the tree of all records before. first_us, index: what the segment's seal will tell of its records so far.
    """

    v: int
    base: int
    root: bytes
    frontier: list[bytes]
    first_us: int
    index: list[int]


def state_of(tip: Tip, base: int, first_us: int, index: list[int]) -> State:
    """Return the state at a tip in the segment `base`."""
    return State(1, base, tip.tree.root(), tip.tree.hashes, first_us, index)


def pack_state(state: State, tip: Tip, *, seed: int) -> bytes:
    """Return the frame that holds a state."""
    body, end = msgspec.msgpack.encode(state), tip.end
    return pack(CHECKPOINT, body, changes=0, offset=end, time_us=tip.time_us, synced=end, prev=tip.prev, seed=seed)


def decode_state(frame: Frame) -> State | str:
    """Return the state in a CHECKPOINT frame, or why there is none."""
    try:
        state = msgspec.msgpack.decode(frame.body, type=State)
        fits = Frontier(frame.offset, state.frontier).root() == state.root
    except (*UNDECODABLE, ValueError) as error:
        return str(error)
    return state if fits else "the root in the frame is not that of its frontier"
