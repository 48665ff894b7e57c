"""Is everything as it was promised? Frames, chain, root and HEAD, then the view against a rebuild: a list of findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from evlog import audit
from evlog.tlog import review
from projections.errors import ViewError
from projections.sqlite.view import View
from replay.rebuild import build

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evlog.files import Folder
    from evlog.log import Log
    from evlog.tlog.note import VerifierKey
    from evlog.tlog.review import Promise
    from projections.sqlite.apply import Bodies
    from replay.follow import Progress


@dataclass(frozen=True)
class Finding:
    """One thing that verification saw. `offset` and `position` are None where none applies."""

    severity: Literal["damage", "note"]
    what: str
    file: str | None = None
    position: int | None = None
    offset: int | None = None


@dataclass(frozen=True)
class Report:
    """What was checked and what was found. Sound means: no damage.

    broken: what checkpoints say that the log does not bear out.
    """

    records: int
    segments: int
    root: bytes
    findings: list[Finding]
    view_checked: bool
    broken: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Tell whether nothing is damaged."""
        return all(finding.severity != "damage" for finding in self.findings)


def verify_log(
    folder: Folder,
    progress: Progress | None = None,
    promises: Sequence[Promise] = (),
    keys: Sequence[VerifierKey] = (),
    jobs: int = 1,
) -> Report:
    """Check every byte of a log: frames, chain, tree, seals, HEAD, identity. Opens nothing for writing.

    promises: checkpoints that the log must bear out; keys: of whoever may have signed them. jobs: processes at work, each on a segment.
    Raises as `evlog.audit.audit`.
    """
    sizes = {promise.signed.checkpoint.size for promise in promises}
    result = audit.audit(folder, progress, sizes, jobs=jobs)
    findings = [_finding(fault) for fault in result.faults]
    compared = promises if result.origin else ()
    broken = [_finding(fault) for one in compared for fault in review.compare(one, result, keys)]
    return Report(result.records, result.segments, result.root, findings, view_checked=False, broken=broken)


def verify_published(place: Path, progress: Progress | None = None) -> list[Finding]:
    """Check the tiles that a store publishes, every hash of them."""
    return [_finding(fault) for fault in review.tile_faults(place, progress)]


def _finding(fault: audit.Fault) -> Finding:
    return Finding(fault.severity, fault.reason, fault.file, fault.position, fault.offset)


def verify(
    log_folder: Folder, log: Log | None, views: Path, bodies: Bodies, progress: Progress | None = None
) -> Report:
    """Check a log and its view. log: the same log, open for reading; None where it cannot be opened."""
    report = verify_log(log_folder, progress)
    if log is None or not report.sound:
        note = Finding("note", "the view was not checked: the log it would be compared with is damaged")
        return Report(report.records, report.segments, report.root, [*report.findings, note], view_checked=False)
    findings = [*report.findings, *verify_view(log, views, bodies, progress)]
    return Report(report.records, report.segments, report.root, findings, view_checked=True)


def verify_view(log: Log, views: Path, bodies: Bodies, progress: Progress | None = None) -> list[Finding]:
    """Compare the current view with a rebuild at the same offset, by digest."""
    try:
        view = View.open(views, log.id, bodies, writable=False)
    except ViewError as error:
        return [Finding("note", f"no view to check: {error}; `evlog replay` makes one", str(views))]
    try:
        return _compare(log, view, bodies, progress)
    except ViewError as error:
        return [Finding("damage", f"the view cannot be read: {error}; `evlog replay` makes it anew", view.path)]
    finally:
        view.close()


def _compare(log: Log, view: View, bodies: Bodies, progress: Progress | None) -> list[Finding]:
    try:
        applied, digest = view.state()
    except ViewError as error:
        return [Finding("damage", str(error), view.path)]
    end = log.refresh()
    if applied > end:
        return [Finding("damage", f"the view is ahead of the log ({applied}, {end}): records are lost", view.path)]
    fresh = build(log, None, bodies, applied, progress)
    try:
        if fresh.digest() != digest:
            what = f"the view differs from a replay of the log to {applied}; `evlog replay` makes it anew"
            return [Finding("damage", what, view.path, offset=applied)]
    finally:
        fresh.close()
    if applied < end:
        return [
            Finding("note", f"the view is {end - applied} records behind the log; the next put brings it up", view.path)
        ]
    return []
