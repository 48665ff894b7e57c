"""`verify`."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from evlog import manifest
from evlog.errors import LogError
from evlog.files import RealFolder
from evlog.log import Log
from evlog.restore import check
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import DAMAGE
from mlmd.opening import BODIES, LOG_FOLDER, VIEWS_FOLDER
from projections.errors import MissingLibraryError
from projections.generations import HISTORY
from replay.verify import Finding, Report, verify_log, verify_view

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.cli.settings import Settings


@command()
@with_settings
@click.option("--log-only", is_flag=True, help="Do not compare the views with a replay.")
def verify(settings: Settings, log_only: bool) -> None:
    """Check every byte of the log, and the views against a replay; of a backup also its manifest. Exit 3 where anything is damaged.

    Examples:
    evlog verify                 frames, links, tree, seals, HEAD, and the views
    evlog verify --log-only      without a replay
    evlog verify --json          the findings, for a program

    """
    place = find_store(settings)
    started = time.perf_counter()
    with progress_of(settings, "checking the log") as progress:
        report = verify_log(RealFolder(place / LOG_FOLDER), progress)
    took_s = time.perf_counter() - started
    findings = [*report.findings, *_backup_findings(settings, RealFolder(place / LOG_FOLDER), report)]
    if not log_only:
        findings += _view_findings(settings, place, report)
    damaged = any(finding.severity == "damage" for finding in findings)
    if settings.form == "table":
        _tell(settings, report, findings, took_s, view=not log_only and report.sound)
    else:
        rows = [asdict(finding) for finding in findings]
        summary = {
            "sound": not damaged,
            "records": report.records,
            "segments": report.segments,
            "root": report.root.hex(),
        }
        if settings.form == "json":
            show_one(settings, {**summary, "findings": rows})
        else:
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


def _view_findings(settings: Settings, place: Path, report: Report) -> list[Finding]:
    if not report.sound:
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
