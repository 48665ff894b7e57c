"""`verify`."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evlog import manifest
from evlog.errors import EvidenceError, LogError
from evlog.files import RealFolder
from evlog.log import Log
from evlog.restore import check
from evlog.tlog import review
from evlog.tlog.note import encode64
from evlog.tlog.review import Promise
from mlmd.cli.command import command, with_settings
from mlmd.cli.evidence import copies_in, policy_option, read_policy
from mlmd.cli.output import Row, show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import DAMAGE
from mlmd.opening import BODIES, LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER
from projections.errors import MissingLibraryError
from projections.generations import HISTORY
from replay.personal import verify_personal
from replay.verify import Finding, Report, verify_log, verify_published, verify_view

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings


@command()
@with_settings
@click.option("--log-only", is_flag=True, help="Do not compare the views with a replay.")
@click.option(
    "--since",
    "anchor",
    metavar="CHECKPOINT",
    type=click.Path(path_type=Path, exists=True),
    help="A checkpoint kept elsewhere, or a folder of them: the log must begin with what it was made for.",
)
@policy_option("The keys that sign checkpoints; else the policy beside the store's tiles.")
def verify(settings: Settings, log_only: bool, anchor: Path | None, policy: Path | None) -> None:
    """Check every byte of the log, its checkpoints and tiles, and the views against a replay; of a backup also its manifest.

    Exit 3 where anything is damaged.

    Examples:
    evlog verify                 frames, links, tree, seals, HEAD, checkpoints, tiles, and the views
    evlog verify --log-only      without a replay
    evlog verify --since archive --policy my.policy   nor was anything cut, restored or rewritten since
    evlog verify --json          the findings, for a program

    """
    place = find_store(settings)
    tlog = place / TLOG_FOLDER
    anchors = [Promise(str(path), signed) for path, signed in copies_in(anchor, place)] if anchor is not None else []
    kept, faults = review.promises_of(tlog)  # Before the log is read: it only grows, and so do they.
    keys = read_policy(policy).logs if policy is not None else review.keys_of(tlog)
    started = time.perf_counter()
    with progress_of(settings, "checking the log") as progress:
        report = verify_log(RealFolder(place / LOG_FOLDER), progress, [*anchors, *kept], keys)
    took_s = time.perf_counter() - started
    findings = [*report.findings, *report.broken, *(Finding(one.severity, one.reason, one.file) for one in faults)]
    with progress_of(settings, "checking the tiles") as progress:
        findings += verify_published(tlog, progress)
    findings += _backup_findings(settings, RealFolder(place / LOG_FOLDER), report)
    personal = _personal_findings(settings, place, report)
    findings += personal
    paths, apart = _paths(tlog, anchors)
    findings += apart
    if not log_only:
        readable = not any(finding.severity == "damage" for finding in personal)
        findings += _view_findings(settings, place, report, readable=readable)
    damaged = any(finding.severity == "damage" for finding in findings)
    if settings.form == "table":
        _tell(settings, report, findings, took_s, view=not log_only and report.sound)
        if not damaged:
            _tell_promises(len(kept), paths)
    elif settings.form == "json":
        summary = {
            "sound": not damaged,
            "records": report.records,
            "segments": report.segments,
            "root": report.root.hex(),
            "checkpoints": len(kept),
            "since": paths,
        }
        show_one(settings, {**summary, "findings": [asdict(finding) for finding in findings]})
    else:
        rows = [asdict(finding) for finding in findings]
        show_rows(settings, rows, ["severity", "what", "file", "position", "offset"])
    if damaged:
        raise click.exceptions.Exit(DAMAGE)


def _backup_findings(settings: Settings, folder: RealFolder, report: Report) -> list[Finding]:
    """Compare a backup with its manifest; a store that is none has no findings."""
    if not report.sound or manifest.NAME not in folder.names():
        return []
    try:
        check(folder, partial(progress_of, settings))
    except LogError as error:
        return [Finding("damage", str(error))]
    return []


def _paths(tlog: Path, anchors: list[Promise]) -> tuple[list[Row], list[Finding]]:
    """Return, of each anchor, the proof that the newest published tree begins with it, as far as there are tiles for it."""
    rows: list[Row] = []
    findings = []
    for one in anchors:
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


def _tell_promises(kept: int, paths: list[Row]) -> None:
    if kept:
        click.echo(f"ok      {kept:,} checkpoints of its own, and the tiles of the newest")
    for row in paths:
        shown = (
            f"; {len(row['path'])} hashes show that #{row['to_size']:,} goes on from it"
            if row["path"] is not None
            else ""
        )
        click.echo(f"ok      {row['file']}: the log begins with the {row['size']:,} records of this checkpoint{shown}")


def _personal_findings(settings: Settings, place: Path, report: Report) -> list[Finding]:
    """Open what is sealed in a log whose bytes are sound."""
    if not report.sound:
        return []
    try:
        with (
            closing(Log.open(place / LOG_FOLDER, writable=False)) as log,
            progress_of(settings, "opening what is sealed") as progress,
        ):
            return verify_personal(log, progress)
    except LogError as error:
        return [Finding("damage", str(error))]


def _view_findings(settings: Settings, place: Path, report: Report, *, readable: bool) -> list[Finding]:
    if not report.sound or not readable:
        return [Finding("note", "the view was not checked: the log it would be compared with is damaged")]
    try:
        log = Log.open(place / LOG_FOLDER, writable=False)
    except LogError as error:
        return [Finding("damage", str(error))]
    try:
        with progress_of(settings, "replaying") as progress:
            findings = verify_view(log, place / VIEWS_FOLDER, BODIES, progress)
        if HISTORY.current(place / VIEWS_FOLDER) is not None:
            findings += _history_findings(settings, log, place / VIEWS_FOLDER)
        return findings
    finally:
        log.close()


def _history_findings(settings: Settings, log: Log, views: Path) -> list[Finding]:
    try:
        from replay import analytics  # noqa: PLC0415 - DuckDB need not be there
    except MissingLibraryError as error:
        return [Finding("note", f"the history view was not checked: {error}", str(views))]
    with progress_of(settings, "replaying for SQL") as progress:
        return analytics.verify_view(log, views, progress)


def _tell(settings: Settings, report: Report, findings: list[Finding], took_s: float, *, view: bool) -> None:
    rate = report.records / took_s if took_s else 0
    talk(settings, f"{report.records:,} records, {report.segments:,} segments, {took_s:.2f} s ({rate:,.0f} records/s)")
    if report.sound:
        click.echo(f"ok      every frame, link, seal and tree node; root {report.root.hex()}")
    if view and not any(finding.severity == "damage" for finding in findings):
        click.echo("ok      the views equal a replay of the log")
    for finding in findings:
        where = f"{finding.file}: " if finding.file else ""
        at = f"byte {finding.position:,}: " if finding.position is not None else ""
        record = f" (record {finding.offset:,})" if finding.offset is not None else ""
        click.echo(f"{finding.severity:<7} {where}{at}{finding.what}{record}")
