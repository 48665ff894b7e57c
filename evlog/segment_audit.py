"""One segment checked by itself: what its header says of the log before it is believed, and compared by who knows that log.

So segments can be checked in any order, by several processes (`audit_jobs`), and the findings are those of one that reads them all.
"""

from __future__ import annotations

import errno
import os
from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from evlog import recovery, segment
from evlog.errors import StorageError, UnknownTagError
from evlog.frame import RECORD, SEAL, BadFrame
from evlog.merkle import EMPTY_ROOT, Frontier
from evlog.tip import NO_PREV, Tip

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from evlog.files import File, Folder
    from evlog.frame import Frame

    Tell = Callable[[int], None]
    """Told how many more records were checked."""

REPORT_RECORDS: Final = 5_000


class Point(msgspec.Struct, frozen=True):
    """A place between two records: how many there are before it, the root of their tree, and what the next one must follow."""

    end: int = 0
    root: bytes = EMPTY_ROOT
    prev: bytes = NO_PREV
    time_us: int = 0


class Checked(msgspec.Struct, frozen=True):
    """A segment, and what it was found to be.

    begins: what its header says of the log before; None where that cannot be read. stops: what the frames lead to, up to the first
    that is bad. position: behind the last good frame; size: of the file. roots: at the sizes that were asked for.
    """

    base: int
    begins: Point | None = None
    stops: Point = Point()
    records: int = 0
    sealed: bool = False
    position: int = 0
    size: int = 0
    bad: BadFrame | None = None
    roots: dict[int, bytes] = {}


def check(folder: Folder, base: int, *, seed: int, sizes: Collection[int], tell: Tell | None = None) -> Checked:
    """Check every frame, leaf and link of a segment, its seal and the order of its times.

    sizes: of trees whose roots are wanted. Raises StorageError where the file may not be read; a device that fails is a bad frame.
    """
    try:
        file = folder.open(segment.name_of(base))
    except FileNotFoundError:
        return Checked(base, bad=BadFrame(0, "the file went while the log was checked"))
    with closing(file):
        active, begins = None, None
        roots: dict[int, bytes] = {}
        try:
            begins = _beginning(file, base, seed=seed)
            active = recovery.Active(file, base=base, number=0, tip=_tip(base, begins))
            bad = _walk(active, roots, seed=seed, sizes=sizes, tell=tell)
        except StorageError as error:
            if error.errno != errno.EIO:
                raise
            bad = BadFrame(
                active.position if active is not None else 0, f"the device fails: {os.strerror(error.errno)}"
            )
        active = active or recovery.Active(file, base=base, number=0, tip=Tip())
        tip = active.tip
        return Checked(
            base,
            Point(base, begins.root, begins.prev, begins.time_us) if begins is not None else None,
            Point(tip.end, tip.tree.root(), tip.prev, tip.time_us),
            tip.end - base if begins is not None else 0,
            active.sealed,
            active.position,
            file.size(),
            bad,
            roots,
        )


def _beginning(file: File, base: int, *, seed: int) -> segment.SegmentHeader | None:
    header = segment.read_header(file, seed=seed)
    return header if isinstance(header, segment.SegmentHeader) and header.base == base else None


def _tip(base: int, begins: segment.SegmentHeader | None) -> Tip:
    return Tip(Frontier(base, begins.frontier), begins.prev, begins.time_us) if begins is not None else Tip()


def _walk(
    active: recovery.Active, roots: dict[int, bytes], *, seed: int, sizes: Collection[int], tell: Tell | None
) -> BadFrame | None:
    """Take the frames of a segment; return the first that is bad."""
    untold = 0
    for frame in segment.walk(active.file, 0, seed=seed):
        if isinstance(frame, BadFrame):
            return frame
        try:
            reason = active.take(frame) or (_seal_fault(active.file, frame) if frame.kind == SEAL else None)
        except UnknownTagError as error:
            return BadFrame(frame.position, error.reason, newer=True)
        if reason is not None:
            return BadFrame(frame.position, reason)
        if frame.kind == RECORD:
            untold += 1
            if frame.offset + 1 in sizes:
                roots[frame.offset + 1] = active.tip.tree.root()
            if untold == REPORT_RECORDS and tell is not None:
                tell(untold)
                untold = 0
    if tell is not None:
        tell(untold)
    return BadFrame(0, "the segment has no header") if active.position == 0 else None


def _seal_fault(file: File, frame: Frame) -> str | None:
    seal = segment.decode_seal(frame)
    if isinstance(seal, str):
        return seal
    if segment.digest_before(file, frame.position) != seal.sha256:
        return "the bytes before the seal are not those it was made for"
    return None
