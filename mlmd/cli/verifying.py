"""`verify`."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evlog.errors import EvidenceError, LogError
from evlog.files import RealFolder
from evlog.log import Log
from evlog.segment import base_of
from evlog.tlog import anchors, review, tiles
from evlog.tlog.note import encode64
from evlog.tlog.publisher import POLICY
from evlog.upkeep import manifest
from evlog.upkeep.audit import Fault
from evlog.upkeep.restore import check
from evlog.worker import processors
from mlmd.cli.command import command, with_settings
from mlmd.cli.comparing import Views, compare_views, tell_state
from mlmd.cli.evidence import actors_option, copies_in, policy_option
from mlmd.cli.output import Row, show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import DAMAGE
from mlmd.cli.settings import Number
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER
from mlmd.publishing import identity_of
from mlmd.trust import read_policy
from replay.personal import verify_personal
from replay.verify import Finding, Report, verify_actors, verify_log, verify_published

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evlog.tlog.note import VerifierKey
    from evlog.tlog.review import Promise
    from mlmd.cli.settings import Settings
    from replay.follow import Progress


@command()
@with_settings
@click.option("--log-only", is_flag=True, help="Do not compare the views with a replay.")
@click.option(
    "--deep",
    is_flag=True,
    help="Compare also the state that each view says, and every version before it, with that of a replay.",
)
@click.option(
    "--jobs",
    type=Number(1, 256),
    metavar="N",
    help="Processes that check the log, a segment at a time each; else one for each core, as far as there are segments.",
)
@click.option(
    "--since",
    "anchor",
    metavar="CHECKPOINT",
    type=click.Path(path_type=Path, exists=True),
    help="A checkpoint kept elsewhere, or a folder of them: the log must begin with what it was made for.",
)
@policy_option("The keys that sign checkpoints; else the policy beside the store's tiles.")
@actors_option
def verify(
    settings: Settings,
    log_only: bool,
    deep: bool,
    jobs: int | None,
    anchor: Path | None,
    policy: Path | None,
    actors: Sequence[VerifierKey],
) -> None:
    """Check every byte of the log, its checkpoints and tiles, and the views against a replay; of a backup also its manifest.

    A finding names the file, the byte in it and the record. Exit 3 where anything is damaged.

    Examples:
    evlog verify                 frames, links, tree, seals, HEAD, checkpoints, tiles, and the views
    evlog verify --deep          and one state, by three ways: a replay, the current view, the history view
    evlog verify --log-only --jobs 8   without a replay
    evlog verify --since archive --policy my.policy   nor was anything cut, restored or rewritten since
    evlog verify --actors staff.keys   whoever signed records has one of these keys
    evlog verify --json          the findings, for a program

    """
    if deep and log_only:
        raise click.UsageError("--deep compares the views, which --log-only leaves out")
    place = find_store(settings)
    tlog = place / TLOG_FOLDER
    named = copies_in(anchor, place) if anchor is not None else []
    anchored, unread = _anchored(place, named)
    kept, faults = review.promises_of(tlog)  # Before the log is read: it only grows, and so do they.
    keys, unread_keys = _own_keys(tlog)
    keys = read_policy(policy).logs if policy is not None else keys
    jobs = jobs or processors()
    started = time.perf_counter()
    with progress_of(settings, "checking the log") as progress:
        report = verify_log(RealFolder(place / LOG_FOLDER), progress, [*named, *anchored, *kept], keys, jobs)
    took_s = time.perf_counter() - started
    told = [Finding(one.severity, one.reason, one.file, one.position, one.offset) for one in [*unread_keys, *faults]]
    findings = [*report.findings, *report.broken, *told]
    with progress_of(settings, "checking the tiles") as progress:
        findings += verify_published(tlog, progress)
    findings += [Finding("note", f"an anchor was not compared: {one}") for one in unread]
    findings += _backup_findings(settings, RealFolder(place / LOG_FOLDER), report)
    personal = _personal_findings(settings, place, report)
    findings += personal
    paths, apart = _paths(tlog, [*named, *anchored])
    findings += apart
    signatures: dict[str, int] = {}
    if actors and report.sound:
        with _reading(settings, place, "checking signatures of actors") as (log, progress):
            signatures, odd = verify_actors(log, actors, progress)
        findings += odd
    readable = report.sound and not any(finding.severity == "damage" for finding in personal)
    views = compare_views(settings, place, deep=deep) if readable and not log_only else Views()
    if not readable and not log_only:
        findings.append(Finding("note", "the view was not checked: the log it would be compared with is damaged"))
    findings += views.findings
    damaged = any(finding.severity == "damage" for finding in findings)
    if settings.form == "table":
        _tell(settings, report, findings, took_s, min(jobs, report.segments))
        if not damaged:
            _tell_promises(len(kept), paths, tiles=(tlog / tiles.FOLDER).is_dir())
            for key, count in sorted(signatures.items()):
                click.echo(f"ok      {count:,} records signed by {key}")
            tell_state(views)
    elif settings.form == "json":
        summary = {
            "sound": not damaged,
            "records": report.records,
            "segments": report.segments,
            "root": report.root.hex(),
            "checkpoints": len(kept),
            "since": paths,
            "signatures": signatures,
            "state": views.row(),
        }
        show_one(settings, {**summary, "findings": [_row(finding) for finding in findings]})
    else:
        rows = [_row(finding) for finding in findings]
        show_rows(settings, rows, ["severity", "what", "file", "segment", "position", "offset"])
    if damaged:
        raise click.exceptions.Exit(DAMAGE)


def _own_keys(tlog: Path) -> tuple[list[VerifierKey], list[Fault]]:
    """Return the keys that the policy of a store names, and what is wrong with it."""
    try:
        return review.keys_of(tlog), []
    except EvidenceError as error:
        file = str(tlog / POLICY)
        why = str(error).removeprefix(f"{file}: ")
        what = f"{why}: put it back from a copy, or remove it, and `evlog checkpoint` names its key anew"
        return [], [Fault("damage", what, file, 0, 0)]


def _backup_findings(settings: Settings, folder: RealFolder, report: Report) -> list[Finding]:
    """Compare a backup with its manifest; a store that is none has no findings."""
    if not report.sound or manifest.NAME not in folder.names():
        return []
    try:
        check(folder, partial(progress_of, settings))
    except LogError as error:
        return [Finding("damage", str(error))]
    return []


def _anchored(place: Path, named: list[Promise]) -> anchors.Anchored:
    """Return what the anchors of a store hold beyond what was named.

    Nothing where the identity of the log cannot be read, which `verify_log` tells.
    """
    try:
        found, unread = anchors.newest_of(place, identity_of(place))
    except LogError:
        return anchors.Anchored([], [])
    known = {Path(one.file).resolve() for one in named}
    return anchors.Anchored([one for one in found if Path(one.file).resolve() not in known], unread)


def _paths(tlog: Path, copies: list[Promise]) -> tuple[list[Row], list[Finding]]:
    """Return, of each anchor, the proof that the newest published tree begins with it, as far as there are tiles for it."""
    rows: list[Row] = []
    findings = []
    for one in copies:
        old = one.signed.checkpoint
        row: Row = {"file": one.file, "size": old.size, "root": old.root.hex(), "to_size": None, "path": None}
        try:
            found = review.path_between(tlog, old)
        except EvidenceError as error:
            findings.append(Finding("damage", f"the published tree: {error}", one.file, offset=old.size))
            continue
        if found is not None:
            new, path = found
            row |= {"to_size": new.size, "path": [encode64(digest) for digest in path]}
        rows.append(row)
    return rows, findings


def _row(finding: Finding) -> Row:
    """Return a finding as a row; segment: the base of the one that it is about, None where it is about another file."""
    return asdict(finding) | {"segment": base_of(Path(finding.file).name) if finding.file is not None else None}


def _tell_promises(kept: int, paths: list[Row], *, tiles: bool) -> None:
    if kept:
        click.echo(f"ok      {kept:,} checkpoints of its own{', and the tiles of the newest' if tiles else ''}")
    for row in paths:
        shown = (
            f"; {len(row['path'])} hashes show that #{row['to_size']:,} goes on from it"
            if row["path"] is not None
            else ""
        )
        click.echo(f"ok      {row['file']}: the log begins with the {row['size']:,} records of this checkpoint{shown}")


@contextmanager
def _reading(settings: Settings, place: Path, stage: str) -> Iterator[tuple[Log, Progress | None]]:
    """Open the log of a store for one more reading of it, and show how far that is."""
    with closing(Log.open(place / LOG_FOLDER, writable=False)) as log, progress_of(settings, stage) as progress:
        yield log, progress


def _personal_findings(settings: Settings, place: Path, report: Report) -> list[Finding]:
    """Open what is sealed in a log whose bytes are sound."""
    if not report.sound:
        return []
    try:
        with _reading(settings, place, "opening what is sealed") as (log, progress):
            return verify_personal(log, progress)
    except LogError as error:
        return [Finding("damage", str(error))]


def _tell(settings: Settings, report: Report, findings: list[Finding], took_s: float, jobs: int) -> None:
    by = f" by {jobs} processes" if jobs > 1 else ""
    rate = report.records / took_s if took_s else 0
    talk(
        settings,
        f"{report.records:,} records, {report.segments:,} segments, {took_s:.2f} s ({rate:,.0f} records/s{by})",
    )
    if report.sound:
        click.echo(f"ok      every frame, link, seal and tree node; root {report.root.hex()}")
    for finding in findings:
        where = f"{finding.file}: " if finding.file else ""
        at = f"byte {finding.position:,}: " if finding.position is not None else ""
        record = f" (record {finding.offset:,})" if finding.offset is not None else ""
        click.echo(f"{finding.severity:<7} {where}{at}{finding.what}{record}")
