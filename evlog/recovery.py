"""What opening does with what a crash left.

Known acknowledged, A: the larger of what HEAD says and what the caller's witnesses say (each view's applied offset).
1. A gap in the segments, a segment that is not sealed and not the last, a seal that does not fit: refused.
2. The first bad frame of the last segment would hold record s. If s < A, or it stands before the position in HEAD, or a
   valid frame further on says that s was durable, then durable bytes are damaged: refused. So is a whole frame of a kind or
   version that this release does not know.
3. Otherwise it is the torn end of a group nobody was told of: its bytes go to quarantine, then the file is cut, then a
   record says so. If a crash comes before that record, the next opening finds the file in quarantine and makes it.
4. If the log then ends before A or before the position in HEAD, or its last record is not the one HEAD names: refused.
5. What stands behind HEAD was read, and may be a page that never reached the disk, in a file whose name never did: it is
   written again, and synced, and so are the names, before anything builds on it.

What is read is the last segment, from the CHECKPOINT frame on at which HEAD points (resume.py); without one, all of it.
"""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack, closing
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from evlog import resume, segment
from evlog.errors import CorruptLogError, LostRecordsError, MissingSegmentError, UnknownTagError
from evlog.frame import CHECKPOINT, CONTROL, MAGIC, RECORD, SEAL, SEGMENT, SYNC, BadFrame, Frame, unpack
from evlog.merkle import Frontier
from evlog.records import LogRecovered
from evlog.tip import Tip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evlog.files import File, Folder
    from evlog.head import Mark, Place
    from evlog.rereading import Run

QUARANTINE: Final = "quarantine"
# Segment, position in it, end of the log when its bytes were cut, start of their SHA-256.
_QUARANTINED: Final = re.compile(r"(\d{20})-(\d+)-(\d+)-([0-9a-f]{16})", re.ASCII)


class Active:
    """The segment that takes the next record, and how far it has been read."""

    __slots__ = (
        "base",
        "file",
        "first_us",
        "index",
        "noted_end",
        "noted_position",
        "number",
        "position",
        "reserved",
        "sealed",
        "synced",
        "tip",
    )

    def __init__(self, file: File, *, base: int, number: int, tip: Tip) -> None:
        self.file, self.base, self.number, self.tip = file, base, number, tip
        self.position = 0
        self.reserved = 0  # This writer has put zeros up to here.
        self.index: list[int] = []
        self.first_us = 0
        self.sealed = False
        self.synced = False  # The last frame says that all before it is durable: a SYNC or CHECKPOINT frame.
        self.noted_end, self.noted_position = base, 0  # At the last CHECKPOINT frame, or where the segment begins.

    def take(self, frame: Frame) -> str | None:
        """Move past a frame, or return why it does not stand here. Raises UnknownTagError for a leaf of a newer release."""
        if self.sealed:
            return "a frame follows the seal"
        if self.position == 0:
            reason = self._take_header(frame)
        elif frame.kind == RECORD:  # By far the most frames.
            return self._take_record(frame)
        elif frame.kind == SEAL:
            reason = self._take_seal(frame)
        elif frame.kind == CHECKPOINT:
            reason = self._take_checkpoint(frame)
        elif frame.kind == SEGMENT:
            reason = "a segment header stands inside a segment"
        else:
            reason = self.tip.fits(frame)
            if reason is None and frame.kind < CONTROL:
                raise UnknownTagError(f"it is a frame of kind {frame.kind}", offset=frame.offset)
        if reason is None:
            self.position = frame.stop
            self.synced = frame.kind in (SYNC, CHECKPOINT)
        return reason

    def take_run(self, run: Run) -> None:
        """Move past ordinary records and SYNC frames that were found here, behind the header."""
        if run.hashes:
            to_next = -(self.tip.end - self.base) % segment.INDEX_STEP
            self.index += [self.position + at for at in run.positions[to_next :: segment.INDEX_STEP]]
            self.first_us = self.first_us or run.first_us
            self.tip.extend(run.hashes, run.last_us)
        self.position += run.stop
        self.synced = run.synced

    def _take_header(self, frame: Frame) -> str | None:
        header = segment.decode_header(frame)
        if isinstance(header, str):
            return header
        if header.base != self.base or header.root != self.tip.tree.root():
            return "the segment header does not continue the log before it"
        self.number = header.number
        return self.tip.fits(frame)

    def _take_record(self, frame: Frame) -> str | None:
        reason = self.tip.follow(frame)
        if reason is None:
            segment.note_position(self.index, frame.offset, self.base, frame.position)
            self.first_us = self.first_us or frame.time_us
            self.position, self.synced = frame.position + frame.size, False
        return reason

    def _take_seal(self, frame: Frame) -> str | None:
        seal = segment.decode_seal(frame)
        if isinstance(seal, str):
            return seal
        reason = self.tip.fits(frame) or segment.check_seal(seal, self.tip, self.base)
        self.sealed = reason is None
        return reason

    def _take_checkpoint(self, frame: Frame) -> str | None:
        state = resume.decode_state(frame)
        if isinstance(state, str):
            return state
        reason = self.tip.fits(frame)
        if reason is None and (state.base != self.base or state.frontier != self.tip.tree.hashes):
            reason = "the tree in the checkpoint frame is not that of the records before it"
        if reason is None:
            self.note(frame.position)
        return reason

    @property
    def state(self) -> resume.State:
        """Return what a CHECKPOINT frame says that stands here."""
        return resume.state_of(self.tip, self.base, self.first_us, self.index)

    @property
    def is_due(self) -> bool:
        """Tell whether the next frame should be a CHECKPOINT frame."""
        records = self.tip.end - self.noted_end
        return records >= resume.RECORDS or (records > 0 and self.position - self.noted_position >= resume.BYTES)

    def note(self, position: int) -> None:
        """Take note of a CHECKPOINT frame at a position, behind all records so far."""
        self.noted_end, self.noted_position = self.tip.end, position

    def go_on_from(self, frame: Frame) -> None:
        """Stand behind a CHECKPOINT frame of this segment, as if all before it had been read; stay where it does not fit."""
        state = resume.decode_state(frame)
        if isinstance(state, resume.State) and state.base == self.base:
            self.tip = Tip(Frontier(frame.offset, state.frontier), frame.prev, frame.time_us)
            self.first_us, self.index, self.position, self.synced = state.first_us, state.index, frame.stop, True
            self.note(frame.position)

    def enter(self, file: File) -> None:
        """Go on in the segment that follows the sealed one."""
        before, self.file = self.file, file
        self.base, self.number = self.tip.end, self.number + 1
        self.position, self.reserved, self.index, self.first_us = 0, 0, [], 0
        self.sealed = self.synced = False
        self.noted_end, self.noted_position = self.base, 0
        before.close()


def unread(active: Active) -> bool:
    """Tell whether something stands behind what was read, or less than was read is there.

    A frame begins with bytes that are not zero, and a process that dies amid a write leaves a beginning of it.
    """
    return active.file.size() < active.position or any(active.file.read(len(MAGIC), active.position))


def check_sealed(folder: Folder, bases: Sequence[int], *, seed: int) -> None:
    """Refuse a gap between segments, and a segment that is neither sealed nor the last."""
    expected = 0
    for base in bases:
        if base != expected:
            raise MissingSegmentError(
                f"the segment with the records from {expected} on is missing",
                file=folder.describe(segment.name_of(expected)),
                position=0,
                offset=expected,
            )
        if base == bases[-1]:
            return
        with closing(segment.open_file(folder, base)) as file:
            place = segment.read_seal(file, seed=seed)
            if place is None or place.seal.base != base:
                raise CorruptLogError(
                    "the segment is not the last and has no valid seal",
                    file=file.name,
                    position=file.size(),
                    offset=base,
                )
        expected = place.seal.end


def begin(
    folder: Folder,
    bases: Sequence[int],
    *,
    seed: int,
    writable: bool,
    checkpoint: Place | None = None,
    stop: int | None = None,
) -> Active:
    """Return the last segment whose header can be read, with nothing of it read yet, or up to a CHECKPOINT frame.

    The header of the very last one may be torn; then the one before it, which is sealed, leads to it. checkpoint: where HEAD says that such
    a frame is; it is of no use where its records go beyond the offset `stop`.
    """
    for base in reversed(bases[-2:]):
        with ExitStack() as on_error:
            file = on_error.enter_context(closing(segment.open_file(folder, base, writable=writable)))
            header = segment.read_header(file, seed=seed)
            if isinstance(header, segment.SegmentHeader) and header.base == base:
                if base == bases[-1]:
                    _check_link(folder, bases, header, seed=seed)
                tip = Tip(Frontier(base, header.frontier), header.prev, header.time_us)
                active = Active(file, base=base, number=header.number, tip=tip)
                if checkpoint is not None and checkpoint.base == base:
                    frame = next(segment.walk(file, checkpoint.position, seed=seed), None)
                    if isinstance(frame, Frame) and frame.kind == CHECKPOINT and (stop is None or frame.offset <= stop):
                        active.go_on_from(frame)
                on_error.pop_all()
                return active
            if base == bases[0]:
                on_error.pop_all()
                return Active(file, base=base, number=0, tip=Tip())
    last = segment.name_of(bases[-2])
    raise CorruptLogError("the header is damaged", file=folder.describe(last), position=0, offset=bases[-2])


def _check_link(folder: Folder, bases: Sequence[int], header: segment.SegmentHeader, *, seed: int) -> None:
    """Refuse a last segment that goes on from another log than the one that the seal before it ends."""
    if len(bases) == 1:
        return
    with closing(segment.open_file(folder, bases[-2])) as file:
        place = segment.read_seal(file, seed=seed)
    if place is None or place.seal.root != header.root:
        raise CorruptLogError(
            "the segment does not continue the one before it",
            file=folder.describe(segment.name_of(header.base)),
            position=0,
            offset=header.base,
        )


def advance(
    active: Active, folder: Folder, *, seed: int, writable: bool, stop: int | None = None, mark: Mark | None = None
) -> BadFrame | None:
    """Read on to the end of the log, or to the offset `stop`, across segments.

    mark: what HEAD says; where nothing stands behind its position, that is the end, and nothing further is read.
    Return the first bad frame; `active` then stands before it.
    """
    while active.tip.end != stop:
        known = mark is not None and mark.base == active.base and mark.position > active.position
        until = mark.position if known and mark is not None else None
        for frame in segment.walk(active.file, active.position, seed=seed, stop=until):
            if active.tip.end == stop:
                return None
            if isinstance(frame, BadFrame):
                return frame
            if (reason := active.take(frame)) is not None:
                return BadFrame(frame.position, reason)
        if until is not None and active.position == until:
            if active.sealed or unread(active):
                mark = None  # There is more: a seal to go on from, or what a dead writer left.
                continue
            return None
        if active.position == 0:
            return BadFrame(0, "the segment has no header")
        if not active.sealed:
            return None
        try:
            active.enter(segment.open_file(folder, active.tip.end, writable=writable))
        except FileNotFoundError:
            return None
    return None


def settle(
    active: Active, bad: BadFrame | None, folder: Folder, *, mark: Mark | None, acknowledged: int, seed: int
) -> None:
    """Make what `advance` found safe to build on: refuse damage, write the rest again, sync.

    Raises CorruptLogError and its kind; then nothing was changed. A bad frame that is not refused is for `cut`, and only
    after this: the name of the copy says where the log ends, and that must not go back any more.
    """
    known = max(acknowledged, mark.end if mark else 0)
    durable = _durable_before(active, mark)
    if bad is not None:
        refuse_damage(active, bad, folder, known=known, durable=durable, seed=seed)
    else:
        refuse_loss(active, mark, known=known, durable=durable)
    _write_again(active.file, durable, active.position)


def _durable_before(active: Active, mark: Mark | None) -> int:
    """Return the position in the active segment up to which HEAD says that all is durable."""
    if mark is None or mark.base < active.base:
        return 0
    return mark.position if mark.base == active.base else sys.maxsize


def refuse_loss(active: Active, mark: Mark | None = None, *, known: int, durable: int = 0) -> None:
    """Raise LostRecordsError if the log is known to have held more than what was read, CorruptLogError if another last record."""
    end, size = active.tip.end, active.file.size()
    error: type[CorruptLogError] = LostRecordsError
    if size < active.position or end < known:
        reason = f"the log ends at record {end}, {known} were acknowledged"
    elif active.position < durable:
        reason = "the log ends before the place up to which HEAD says that it is durable"
    elif mark is not None and mark.end == end and mark.prev != active.tip.prev:
        reason, error = "the last record is not the one that HEAD names", CorruptLogError
    else:
        return
    raise error(reason, file=active.file.name, position=size, offset=end)


def refuse_damage(
    active: Active, bad: BadFrame, folder: Folder, *, known: int = 0, durable: int = 0, seed: int
) -> None:
    """Raise if there is any evidence that the bad frame is more than a torn end.

    known: records acknowledged. durable: position in the segment before which every byte was durable.
    """
    end = active.tip.end
    error: type[CorruptLogError] = CorruptLogError
    if bad.newer:
        raise UnknownTagError(bad.reason, offset=end)
    if segment.bases(folder)[-1] != active.base:
        reason = f"{bad.reason}, and newer segments follow"
    elif end < known:
        reason = f"{bad.reason}, and {known} records were acknowledged"
        if active.file.size() <= bad.position:
            error = LostRecordsError
    elif bad.position < durable:
        reason = f"{bad.reason}, and HEAD says that this place was durable"
    elif any(frame.synced > end for frame in _frames_after(active.file, bad.position, seed=seed)):
        reason = f"{bad.reason}, and a later frame says that this one was durable"
    else:
        return
    raise error(reason, file=active.file.name, position=bad.position, offset=end)


def _frames_after(file: File, position: int, *, seed: int) -> Iterator[Frame]:
    """Yield every valid frame that begins after `position`, wherever it begins."""
    data = file.read(file.size() - position, position)
    at = data.find(MAGIC, 1)
    while at >= 0:
        frame = unpack(data, at, seed=seed, position=position)
        if isinstance(frame, Frame):
            yield frame
        at = data.find(MAGIC, at + 1)


def cut(active: Active, bad: BadFrame, folder: Folder) -> LogRecovered | None:
    """Move the torn end to quarantine; return what was cut. The copy is durable before the original is cut."""
    data = active.file.read(active.file.size() - bad.position, bad.position)
    if not data:
        return None
    digest = sha256(data)
    base = f"{active.base:0{segment.NAME_DIGITS}d}"
    name = f"{QUARANTINE}/{base}-{bad.position}-{active.tip.end}-{digest.hexdigest()[:16]}"
    with closing(folder.create(name)) as copy:
        copy.write(data, 0)
        copy.sync()
    folder.sync_names()
    active.file.truncate(bad.position)
    active.file.sync()
    return LogRecovered(
        segment=segment.name_of(active.base),
        position=bad.position,
        size=len(data),
        sha256=digest.digest(),
        reason=bad.reason,
        quarantine=name,
    )


def cut_again(active: Active) -> None:
    """Cut where an earlier recovery did, which was then interrupted: its cut may not have reached the disk."""
    active.file.truncate(active.position)
    active.file.sync()


def unreported(folder: Folder, end: int) -> list[LogRecovered]:
    """Return what was cut off at `end`, the end of the log, and is not on record yet.

    The record about a cut is the first one after it, so where the log still ends there, a crash came before it.
    """
    found = []
    for name in folder.names(QUARANTINE):
        match = _QUARANTINED.fullmatch(name)
        if match is None or int(match[3]) != end:
            continue
        with closing(folder.open(f"{QUARANTINE}/{name}")) as copy:
            data = copy.read(copy.size(), 0)
        digest = sha256(data)
        if digest.hexdigest().startswith(match[4]):  # Else the crash came while copying, and the bytes were not cut.
            found.append(
                LogRecovered(
                    segment=segment.name_of(int(match[1])),
                    position=int(match[2]),
                    size=len(data),
                    sha256=digest.digest(),
                    reason="found in quarantine: an earlier recovery was interrupted",
                    quarantine=f"{QUARANTINE}/{name}",
                )
            )
    return found


def _write_again(file: File, start: int, stop: int) -> None:
    if start >= stop:
        return  # HEAD speaks of all there is, and of nothing that was not durable.
    while start < stop:
        data = file.read(min(segment.READ_BYTES, stop - start), start)
        file.write(data, start)
        start += len(data)
    file.sync()
