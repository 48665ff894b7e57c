"""One segment checked by itself: what its header says of the log before it is believed, and compared by who knows that log.

So segments can be checked in any order, by several processes (`audit_jobs`), and the findings are those of one that reads them all.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from evlog import codec, recovery, rereading, resume, segment
from evlog.errors import CorruptLogError, LogError, StorageError, UnknownTagError
from evlog.frame import CHECKPOINT, CONTROL, RECORD, SEAL, BadFrame
from evlog.merkle import EMPTY_ROOT, Frontier
from evlog.records import LossAccepted
from evlog.tip import NO_PREV, Tip

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from evlog.files import File, Folder
    from evlog.frame import Frame

    Tell = Callable[[int], None]
    """Told how many more records were checked."""

REPORT_RECORDS: Final = 5_000
_SLICE_BYTES: Final = 256 * 1024
LOSS_ACCEPTED: Final = (
    b"\xadloss_accepted"  # The tag, as MessagePack writes it: a record without these bytes holds none.
)


class Point(msgspec.Struct, frozen=True):
    """A place between two records: how many there are before it, the root of their tree, and what the next one must follow."""

    end: int = 0
    root: bytes = EMPTY_ROOT
    prev: bytes = NO_PREV
    time_us: int = 0


class Loss(msgspec.Struct, frozen=True):
    """What a record says of records that were lost, and that somebody accepted it. offset: of the first that was lost."""

    what: str
    position: int
    offset: int


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
    losses: list[Loss] = []


def check(folder: Folder, base: int, *, seed: int, sizes: Collection[int], tell: Tell | None = None) -> Checked:
    """Check every frame, leaf and link of a segment, its seal and the order of its times.

    sizes: of trees whose roots are wanted. Raises StorageError where the file may not be read; a device that fails is a bad frame.
    """
    try:
        file = segment.open_file(folder, base)
    except FileNotFoundError:
        return Checked(base, bad=BadFrame(0, "the file went while the log was checked"))
    except CorruptLogError as error:  # A compressed segment whose table of blocks cannot be read.
        return Checked(base, bad=BadFrame(error.position, error.reason))
    with closing(file):
        active, begins = None, None
        roots: dict[int, bytes] = {}
        losses: list[Loss] = []
        try:
            begins = _beginning(file, base, seed=seed)
            active = recovery.Active(file, base=base, number=0, tip=_tip(base, begins))
            bad = _walk(active, roots, losses, seed=seed, sizes=sizes, tell=tell)
        except CorruptLogError as error:  # A block of a compressed segment that cannot be decompressed.
            bad = BadFrame(error.position, error.reason)
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
            losses,
        )


def _beginning(file: File, base: int, *, seed: int) -> segment.SegmentHeader | None:
    header = segment.read_header(file, seed=seed)
    return header if isinstance(header, segment.SegmentHeader) and header.base == base else None


def _tip(base: int, begins: segment.SegmentHeader | None) -> Tip:
    return Tip(Frontier(base, begins.frontier), begins.prev, begins.time_us) if begins is not None else Tip()


def _walk(
    active: recovery.Active,
    roots: dict[int, bytes],
    losses: list[Loss],
    *,
    seed: int,
    sizes: Collection[int],
    tell: Tell | None,
) -> BadFrame | None:
    """Take the frames of a segment; return the first that is bad.

    Ordinary records are taken in runs, in half the time (rereading.py); whatever else comes, one by one.
    """
    bad, wanted, told = None, sorted(sizes), active.tip.end
    frames: Iterator[Frame | BadFrame] | None = None
    while True:
        if _run(active, wanted, seed=seed):
            frames = None
        else:  # With all care, until there is a run again.
            frames = frames or segment.walk(active.file, active.position, seed=seed)
            frame = next(frames, None)
            if frame is None:
                break
            if (bad := _step(active, frame, losses)) is not None:
                break
        end = active.tip.end
        if end > active.base and end in sizes:
            roots[end] = active.tip.tree.root()
        if tell is not None and end - told >= REPORT_RECORDS:
            tell(end - told)
            told = end
    if tell is not None:
        tell(active.tip.end - told)
    return bad or (BadFrame(0, "the segment has no header") if active.position == 0 else None)


def _run(active: recovery.Active, wanted: Sequence[int], *, seed: int) -> bool:
    """Take ordinary records, up to the next size of which a root is wanted; tell whether anything was there to be taken.

    What may tell of an accepted loss is none: its frame is left.
    """
    end = active.tip.end
    at = bisect_right(wanted, end)
    count = wanted[at] - end if at < len(wanted) else _SLICE_BYTES
    return rereading.take_next(active, count, size=_SLICE_BYTES, seed=seed, but=LOSS_ACCEPTED) is not None


def _step(active: recovery.Active, frame: Frame | BadFrame, losses: list[Loss]) -> BadFrame | None:
    """Take any frame; return why it is bad, None where it is not."""
    if isinstance(frame, BadFrame):
        return frame
    try:
        reason = active.take(frame) or (control_fault(active, frame) if frame.kind >= CONTROL else None)
    except UnknownTagError as error:
        return BadFrame(frame.position, error.reason, newer=True)
    if reason is not None:
        return BadFrame(frame.position, reason)
    if frame.kind == RECORD and LOSS_ACCEPTED in frame.body:
        losses += _losses(frame)
    return None


def _losses(frame: Frame) -> Iterator[Loss]:
    """Yield each accepted loss that a record tells of: whoever reads the log shall know that it is not all there was."""
    try:
        record = codec.decode(frame)
    except LogError:
        return  # Of a newer release: what it holds is not for this one to tell.
    said = record.envelope
    for change in record.changes:
        if isinstance(change, LossAccepted):
            lost = f"at least {change.known - change.end:,} records from #{change.end:,} on were lost"
            why = f"{said.actor} accepted that in record {frame.offset:,}: {said.reason or 'no reason given'}"
            yield Loss(f"{lost}; {why}", frame.position, change.end)


def control_fault(active: recovery.Active, frame: Frame) -> str | None:
    """Return what a seal or a checkpoint says, beyond the tree, that is not so."""
    if frame.kind == CHECKPOINT and resume.decode_state(frame) != active.state:
        return "the checkpoint frame tells other positions or times than its segment has"
    if frame.kind != SEAL:
        return None
    seal = segment.decode_seal(frame)
    if isinstance(seal, str):
        return seal
    if segment.digest_before(active.file, frame.position) != seal.sha256:
        return "the bytes before the seal are not those it was made for"
    if (seal.first_us, seal.last_us, seal.index) != (active.first_us, active.tip.time_us, active.index):
        return "the seal tells other positions or times than its segment has"
    return None
