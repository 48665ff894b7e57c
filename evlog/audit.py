"""Every byte of a log checked, without opening it for writing and without stopping at the first fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from evlog import head, identity, recovery, resume, segment
from evlog.errors import LogError
from evlog.frame import CHECKPOINT, RECORD, SEAL, BadFrame, seed_of
from evlog.merkle import EMPTY_ROOT, Frontier
from evlog.tip import Tip

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from evlog.files import Folder
    from evlog.frame import Frame
    from evlog.head import Mark

    _Report = tuple[Callable[[int, int], None] | None, int, Collection[int]]

REPORT_RECORDS = 5_000


@dataclass(frozen=True)
class Fault:
    """Something that is not as it must be, or that a reader should know."""

    severity: Literal["damage", "note"]
    reason: str
    file: str
    position: int
    offset: int


@dataclass
class Audit:
    """The outcome: how much was there, its root, and the faults in the order of the log."""

    records: int = 0
    segments: int = 0
    root: bytes = EMPTY_ROOT
    faults: list[Fault] = field(default_factory=list)
    origin: str = ""  # Of the identity; empty where that cannot be read.
    roots: dict[int, bytes] = field(default_factory=dict)  # At the sizes that were asked for, as far as the log goes.


def audit(
    folder: Folder,
    progress: Callable[[int, int], None] | None = None,
    sizes: Collection[int] = frozenset(),
    *,
    since: int = 0,
) -> Audit:
    """Check identity, HEAD, every segment, frame, leaf, link, seal and the order of times.

    progress: told (records checked, records known from HEAD or segment names). sizes: of trees whose roots are wanted. since: the
    base of the first segment to check; what its header says of those before is believed.
    """
    result = Audit(roots={0: EMPTY_ROOT} if 0 in sizes else {})
    try:
        log_id, result.origin = identity.read(folder)
    except LogError as error:
        result.faults.append(Fault("damage", str(error), folder.describe(identity.NAME), 0, 0))
        return result
    seed = seed_of(log_id)
    mark = _mark(folder, seed, result)
    bases = [base for base in segment.bases(folder) if base >= since]
    tip, reached = Tip(), since == 0
    known = max(mark.end if mark else 0, bases[-1] if bases else 0) - since
    for number, base in enumerate(bases):
        result.segments += 1
        if base != tip.end and reached:
            reason = f"the segment with the records from {tip.end} on is missing"
            name = folder.describe(segment.name_of(tip.end))
            result.faults.append(Fault("damage", reason, name, 0, tip.end))
        last = number == len(bases) - 1
        tip, reached = _segment(
            folder, base, tip, result, seed=seed, last=last, mark=mark, report=(progress, known, sizes)
        )
    _end(folder, tip, mark, bases, result, reached=reached)
    result.root = tip.tree.root()
    return result


def _mark(folder: Folder, seed: int, result: Audit) -> Mark | None:
    name = folder.describe(head.NAME)
    try:
        file = folder.open(head.NAME)
    except FileNotFoundError:
        result.faults.append(
            Fault("note", "HEAD is missing: how far the log was acknowledged is not known", name, 0, 0)
        )
        return None
    raw = file.read(head.SIZE, 0)
    file.close()
    mark = head.newest(raw, seed=seed)
    if mark is None:
        result.faults.append(Fault("damage", "no slot of HEAD is valid", name, 0, 0))
    return mark


def _segment(
    folder: Folder,
    base: int,
    tip: Tip,
    result: Audit,
    *,
    seed: int,
    last: bool,
    mark: Mark | None,
    report: _Report,
) -> tuple[Tip, bool]:
    """Check one segment; return the tip after it and whether its end was reached."""
    file = folder.open(segment.name_of(base))
    try:
        if base != tip.end:  # After a gap or damage: go on from what the segment's own header says.
            header = segment.read_header(file, seed=seed)
            if isinstance(header, segment.SegmentHeader):
                tip = Tip(Frontier(header.base, header.frontier), header.prev, header.time_us)
        active = recovery.Active(file, base=base, number=0, tip=tip)
        fault = _walk(active, result, seed=seed, report=report)
        if fault is not None:
            acknowledged = mark is None or not last or _acknowledged(mark, base, fault.position, active.tip.end)
            severity: Literal["damage", "note"] = "damage" if acknowledged else "note"
            reason = (
                fault.reason if acknowledged else f"{fault.reason}: a torn end nobody was told of; opening mends it"
            )
            result.faults.append(Fault(severity, reason, file.name, fault.position, active.tip.end))
        elif not last and not active.sealed:
            reason = "the segment is not the last and has no seal"
            result.faults.append(Fault("damage", reason, file.name, file.size(), active.tip.end))
        return active.tip, fault is None
    finally:
        file.close()


def _acknowledged(mark: Mark, base: int, position: int, offset: int) -> bool:
    """Tell whether HEAD speaks of the byte at a position, or of the record that would be there."""
    return offset < mark.end or (mark.base == base and position < mark.position)


def _walk(active: recovery.Active, result: Audit, *, seed: int, report: _Report) -> BadFrame | None:
    progress, known, sizes = report
    for frame in segment.walk(active.file, 0, seed=seed):
        if isinstance(frame, BadFrame):
            return frame
        reason = active.take(frame) or _control_fault(active, frame)
        if reason is not None:
            return BadFrame(frame.position, reason)
        if frame.kind == RECORD:
            result.records += 1
            if active.tip.end in sizes:
                result.roots[active.tip.end] = active.tip.tree.root()
            if progress is not None and result.records % REPORT_RECORDS == 0:
                progress(result.records, max(known, result.records))
    return BadFrame(0, "the segment has no header") if active.position == 0 else None


def _control_fault(active: recovery.Active, frame: Frame) -> str | None:
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


def _end(folder: Folder, tip: Tip, mark: Mark | None, bases: list[int], result: Audit, *, reached: bool) -> None:
    """Compare the end of the log with HEAD."""
    name = folder.describe(segment.name_of(bases[-1] if bases else 0))
    if not bases:
        result.faults.append(Fault("damage", "there is no segment", name, 0, 0))
    elif mark is not None and reached:
        if tip.end < mark.end:
            reason = f"the log ends at record {tip.end}, {mark.end} were acknowledged"
            result.faults.append(Fault("damage", reason, name, 0, tip.end))
        elif tip.end == mark.end and tip.prev != mark.prev:
            reason = "HEAD speaks of another last record"
            result.faults.append(Fault("damage", reason, folder.describe(head.NAME), 0, tip.end))
