"""Every byte of a log checked, without opening it for writing and without stopping at the first fault.

Each segment is checked by itself (`segment_audit`), here or by processes of our own; what they were found to be is then put together in
the order of the log, so the faults are the same however many worked.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from evlog import head, identity, segment
from evlog.errors import LogError, UnknownTagError
from evlog.files import RealFolder
from evlog.frame import seed_of
from evlog.merkle import EMPTY_ROOT
from evlog.upkeep import audit_jobs
from evlog.upkeep.segment_audit import Point, check

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Sequence

    from evlog.files import Folder
    from evlog.frame import BadFrame
    from evlog.head import Mark
    from evlog.upkeep.segment_audit import Checked, Tell

    Severity = Literal["damage", "note"]


@dataclass(frozen=True)
class Fault:
    """Something that is not as it must be, or that a reader should know."""

    severity: Severity
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
    losses: list[Fault] = field(default_factory=list)  # Notes: what was lost, and on record as accepted.
    origin: str = ""  # Of the identity; empty where that cannot be read.
    roots: dict[int, bytes] = field(default_factory=dict)  # At the sizes that were asked for, as far as the log goes.


def audit(
    folder: Folder,
    progress: Callable[[int, int], None] | None = None,
    sizes: Collection[int] = frozenset(),
    *,
    since: int = 0,
    jobs: int = 1,
) -> Audit:
    """Check identity, HEAD, every segment, frame, leaf, link, seal and the order of times.

    progress: told (records checked, records known from HEAD or segment names). sizes: of trees whose roots are wanted. since: the
    base of the first segment to check; what its header says of those before is believed. jobs: processes at work, where there are
    several segments. Raises UnknownTagError for what a newer release wrote, StorageError where a file may not be read.
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
    known = max(mark.end if mark else 0, bases[-1] if bases else 0) - since
    tell = _Counted(progress, known).add if progress is not None else None
    with closing(_each(folder, bases, seed=seed, sizes=sizes, jobs=jobs, tell=tell)) as found:
        end, position = _join(folder, found, mark, bases, result, since=since)
    if not bases:
        result.faults.append(Fault("damage", "there is no segment", folder.describe(segment.name_of(0)), 0, 0))
    elif mark is not None and end is not None:
        file = _file(folder, bases[-1])
        result.faults += _beside_head(folder, end, mark, Fault("damage", "", file, position, end.end), seed=seed)
    return result


class _Counted:
    """Sums up what several threads tell."""

    def __init__(self, progress: Callable[[int, int], None], known: int) -> None:
        self._progress, self._known, self._done = progress, known, 0
        self._lock = threading.Lock()

    def add(self, records: int) -> None:
        """Tell of more records."""
        with self._lock:
            self._done += records
            self._progress(self._done, max(self._known, self._done))


def _each(
    folder: Folder, bases: Sequence[int], *, seed: int, sizes: Collection[int], jobs: int, tell: Tell | None
) -> Generator[Checked, None, None]:
    """Yield what each segment was found to be, in order."""
    jobs = min(jobs, len(bases))
    if jobs > 1 and isinstance(folder, RealFolder):
        yield from audit_jobs.check_all(folder, bases, seed=seed, sizes=sizes, jobs=jobs, tell=tell)
    else:
        for base in bases:
            yield check(folder, base, seed=seed, sizes=sizes, tell=tell)


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


def _join(
    folder: Folder, found: Iterator[Checked], mark: Mark | None, bases: list[int], result: Audit, *, since: int
) -> tuple[Point | None, int]:
    """Put the segments together: what each one's header says must be what those before it lead to.

    Return the end of the log, None behind damage, and the position there.
    """
    at: Point | None = Point() if since == 0 else None  # None where that is not known: behind damage.
    faults, last, position = result.faults, Point(), 0
    for one in found:
        result.segments += 1
        result.records += one.records
        position = one.position
        result.roots |= one.roots
        file, is_last = _file(folder, one.base), one.base == bases[-1]
        result.losses += [Fault("note", loss.what, file, loss.position, loss.offset) for loss in one.losses]
        if at is not None and one.base != at.end:
            reason = f"the segment with the records from {at.end} on is missing"
            faults.append(Fault("damage", reason, folder.describe(segment.name_of(at.end)), 0, at.end))
        elif at is not None and one.begins is not None and one.begins != at:
            reason = "the segment header does not continue the log before it"
            faults.append(Fault("damage", reason, file, 0, one.base))
        last = one.stops if one.begins is not None else at or Point(one.base, last.root)
        if one.bad is not None:
            faults.append(_fault(file, one, one.bad, mark, last.end, is_last=is_last))
        elif not is_last and not one.sealed:
            reason = "the segment is not the last and has no seal"
            faults.append(Fault("damage", reason, file, one.size, last.end))
        elif not is_last and one.size > one.position:
            reason = "bytes follow the seal: opening would not find it"
            faults.append(Fault("damage", reason, file, one.position, last.end))
        at = last if one.bad is None else None
    result.root = last.root
    return at, position


def _file(folder: Folder, base: int) -> str:
    """Return the name of a segment's file, in the form in which it is there."""
    return folder.describe(next(iter(segment.files_of(folder, base)), segment.name_of(base)))


def _fault(file: str, one: Checked, bad: BadFrame, mark: Mark | None, end: int, *, is_last: bool) -> Fault:
    if bad.newer:
        raise UnknownTagError(bad.reason, offset=end)
    if mark is None or not is_last or _acknowledged(mark, one.base, bad.position, end):
        return Fault("damage", bad.reason, file, bad.position, end)
    return Fault("note", f"{bad.reason}: a torn end nobody was told of; opening mends it", file, bad.position, end)


def _acknowledged(mark: Mark, base: int, position: int, offset: int) -> bool:
    """Tell whether HEAD speaks of the byte at a position, or of the record that would be there."""
    return offset < mark.end or (mark.base == base and position < mark.position)


def _beside_head(folder: Folder, end: Point, mark: Mark, at: Fault, *, seed: int) -> list[Fault]:
    """Return what is to be said of the end of the log beside what HEAD said before it was read. at: a fault there."""
    if end.end < mark.end:
        return [replace(at, reason=f"the log ends at record {end.end}, {mark.end} were acknowledged")]
    file = folder.describe(head.NAME)
    if end.end == mark.end:
        return (
            [] if end.prev == mark.prev else [Fault("damage", "HEAD speaks of another last record", file, 0, end.end)]
        )
    now = head.read(folder, seed=seed)
    if now is None or now.end >= end.end:
        return []  # They were put meanwhile.
    behind = (
        f"HEAD speaks of {now.end} records, {end.end} are there, whole: a power cut leaves it so; the next put mends it"
    )
    return [Fault("note", behind, file, 0, now.end)]
