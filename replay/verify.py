"""Is everything as it was promised? Frames, chain, root and HEAD, then the view against a rebuild: a list of findings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from evlog import actors, codec
from evlog.errors import EvidenceError, LostRecordsError
from evlog.frame import unpack_body
from evlog.merkle import changes_root
from evlog.tlog import review
from evlog.upkeep import audit, repair
from evlog.upkeep.segment_audit import REPORT_RECORDS
from projections.errors import ViewError
from projections.sqlite.view import View
from replay.follow import bring_up
from replay.rebuild import other_history
from replay.state import Replayed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from evlog.files import Folder
    from evlog.log import Log
    from evlog.tlog.note import VerifierKey
    from evlog.tlog.review import Promise
    from projections.sqlite.apply import Bodies
    from projections.state import State
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
    Raises as `evlog.upkeep.audit.audit`.
    """
    sizes = {promise.signed.checkpoint.size for promise in promises}
    result = audit.audit(folder, progress, sizes, jobs=jobs)
    findings = [_finding(fault) for fault in [*result.faults, *result.losses]]
    if repair.NAME in folder.names():
        what = "a repair, or the accepting of a loss, was interrupted: the same command again goes on"
        findings.append(Finding("note", what, folder.describe(repair.NAME)))
    compared = promises if result.origin else ()
    broken = [_finding(fault) for one in compared for fault in review.compare(one, result, keys)]
    return Report(result.records, result.segments, result.root, findings, view_checked=False, broken=broken)


def verify_actors(
    log: Log, known: Sequence[VerifierKey] = (), progress: Progress | None = None
) -> tuple[dict[str, int], list[Finding]]:
    """Check the signature of every record that bears one; return how many fit, by verifier key, and what does not.

    known: the keys of actors; given, a record signed with any other is damage.
    """
    found: Counter[str] = Counter()
    findings, end, place = [], log.end, log.folder.describe("")
    for frame in log.frames(0, end):
        stored, changes = unpack_body(frame.body, frame.changes)
        envelope = codec.decode_envelope(stored, offset=frame.offset)
        try:
            signed = actors.check(log.origin, envelope, len(changes), changes_root(changes), known)
        except EvidenceError as error:
            findings.append(Finding("damage", str(error), place, offset=frame.offset))
        else:
            found.update([signed.key.vkey] if signed is not None else [])
        if progress is not None and frame.offset % REPORT_RECORDS == 0:
            progress(frame.offset, end)
    return dict(found), findings


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
    findings = [*report.findings, *verify_view(log, views, bodies, progress).findings]
    return Report(report.records, report.segments, report.root, findings, view_checked=True)


@dataclass(frozen=True)
class Compared:
    """The current view beside a replay. applied: the records it shows, None where it cannot be read; states: of the replay, by offset."""

    findings: list[Finding]
    applied: int | None
    states: Mapping[int, State]


def verify_view(
    log: Log,
    views: Path,
    bodies: Bodies,
    progress: Progress | None = None,
    *,
    deep: bool = False,
    stops: Collection[int] = (),
) -> Compared:
    """Compare the current view with a rebuild at the same offset, by the digest of rows.

    deep: the state that its answers say, and that of every version before, with those of the replay too; stops: offsets, at most the
    end of the log, at which the state of the replay is wanted, besides that of the view.
    """
    try:
        view = View.open(views, log.id, bodies, writable=False)
    except ViewError as error:
        note = Finding("note", f"no view to check: {error}; `evlog replay` makes one", str(views))
        return _replayed(log, Compared([note], None, {}), None, stops, progress)
    try:
        look = view.look(deep=deep)
    except ViewError as error:
        damage = Finding("damage", f"the view cannot be read: {error}", view.path)
        return _replayed(log, Compared([damage], None, {}), None, stops, progress)
    finally:
        view.close()
    try:
        log.refresh()
        log.reach(look.applied)
    except LostRecordsError as error:
        damage = lost_beside(view.path, look.applied, error)
        return _replayed(log, Compared([damage], None, {}), None, stops, progress)
    if log.leaf_prefix(view.applied) != view.prev:
        what = f"{other_history(view.applied)}; `evlog replay` makes it anew"
        damage = Finding("damage", what, view.path, offset=view.applied)
        return _replayed(log, Compared([damage], None, {}), None, stops, progress)
    fresh = View.create(None, log.id, bodies, indexes=False)
    try:
        compared = _replayed(log, Compared([], look.applied, {}), fresh, stops, progress)
        findings = compare_state(look.applied, look.state, compared.states, "the view", view.path, "evlog replay")
        if not findings and fresh.digest() != look.digest:
            findings = [differs("the view", look.applied, view.path, "evlog replay")]
    finally:
        fresh.close()
    if not findings and look.applied < log.end:
        what = f"the view is {log.end - look.applied} records behind the log; the next put brings it up"
        findings = [Finding("note", what, view.path)]
    return replace(compared, findings=findings)


def lost_beside(view: str, applied: int, error: LostRecordsError) -> Finding:
    """Return the finding that a view knows of records that the log does not hold."""
    what = f"the log ends at record {error.offset}, and {view} shows {applied}: records are lost"
    return Finding("damage", what, error.file, error.position, error.offset)


def _replayed(
    log: Log, so_far: Compared, beside: View | None, stops: Collection[int], progress: Progress | None
) -> Compared:
    """Replay the log into a view, and on to the other offsets; return the states there."""
    applied = so_far.applied or 0
    replayed = Replayed({*stops, applied}, beside)
    bring_up(log, replayed, applied, progress)
    replayed.beside = None
    bring_up(log, replayed, max(applied, *stops, 0), progress)
    return replace(so_far, states=replayed.states)


def compare_state(
    applied: int, found: State | None, states: Mapping[int, State], name: str, path: str, mend: str
) -> list[Finding]:
    """Compare the state that a view says, where it was asked for, with that of a replay; name the tables that differ."""
    if found is None or not (tables := found.differing(states[applied])):
        return []
    return [differs(f"{name}'s {', '.join(tables)}", applied, path, mend)]


def differs(what: str, applied: int, path: str, mend: str) -> Finding:
    """Return the finding that a view, or a part of it, is not what the log says."""
    verb = "differ" if "'s " in what else "differs"
    return Finding(
        "damage", f"{what} {verb} from a replay of the log to {applied}; `{mend}` makes it anew", path, offset=applied
    )
