"""`snapshot`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from evlog.errors import StorageError
from mlmd.cli.command import command, with_settings
from mlmd.cli.copies import note_copy
from mlmd.cli.output import show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store, settled
from mlmd.cli.refusal import DAMAGE, REFUSED, Refusal
from mlmd.opening import VIEWS_FOLDER, opened_log
from mlmd.places import command_of
from projections.errors import ExportError
from replay import erasure
from replay import snapshot as snapshots
from replay.asof import offset_of
from replay.manifest import ForeignFolderError, SnapshotError

if TYPE_CHECKING:
    from evlog.log import Log
    from mlmd.cli.settings import Settings


@command(looks_back=True)
@with_settings
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing: compare every byte of the files with what was written.")
def snapshot(settings: Settings, folder: Path, check: bool) -> None:
    """Write the history as Parquet files for DuckDB, Polars, Spark; run again, it adds what was put since.

    Examples:
    evlog snapshot lake              make it, or bring it up to now
    evlog --at today snapshot lake   up to last midnight
    evlog snapshot lake --check      exit 3 where a file is not what was written
    evlog snapshot lake --json       what was written, for a program

    """
    place = find_store(settings)
    log = opened_log(place)
    try:
        if check:
            _check(settings, log, folder)
        else:
            note_copy(settings, place, erasure.SNAPSHOT, folder)
            _take(settings, log, place / VIEWS_FOLDER, folder)
    except (SnapshotError, ExportError, StorageError) as error:
        _refuse(error, command_of(place))
    finally:
        log.close()


def _take(settings: Settings, log: Log, views: Path, folder: Path) -> None:
    started = time.perf_counter()
    stop = None if settings.at is None else offset_of(log, settled(settings, settings.at))
    with progress_of(settings, "writing Parquet") as progress:
        taken = snapshots.snapshot(log, views, folder, stop, progress)
    took_s = time.perf_counter() - started
    rows = sum(file.rows for file in taken.files)
    wanted = log.end if stop is None else stop
    if taken.end < wanted:
        talk(settings, f"it lacks {wanted - taken.end:,} records: the history view cannot be brought up in {views}")
    elif stop is not None and taken.end > stop:
        talk(settings, f"it goes as far as #{taken.end:,} already: one of #{stop:,} needs another folder")
    told = {
        "records": taken.end,
        "new_records": taken.end - taken.start,
        "new_files": len(taken.files),
        "new_rows": rows,
        "new_bytes": sum(file.size_bytes for file in taken.files),
        "root": taken.root,
    }
    show_one(settings, told, f"{took_s:.2f} s, {rows / took_s:,.0f} rows/s" if rows else "nothing was put since")


def _check(settings: Settings, log: Log, folder: Path) -> None:
    manifest, damaged = snapshots.check(log, folder)
    if settings.form == "table":
        for line in damaged:
            click.echo(f"damage  {line}")
        if not damaged:
            click.echo(
                f"ok      {len(manifest.files):,} files are as they were written; the first {manifest.end:,} records"
            )
    else:
        show_rows(settings, [{"damage": line} for line in damaged], ["damage"])
    if damaged:
        talk(settings, "make a new snapshot in another folder: files that were written are never written again")
        raise click.exceptions.Exit(DAMAGE)


def _refuse(error: Exception, store: str) -> NoReturn:
    """Raise the refusal that says what to do."""
    if isinstance(error, ForeignFolderError):
        raise Refusal(str(error), f"{store} snapshot ANOTHER-FOLDER", REFUSED) from error
    if isinstance(error, SnapshotError):
        raise Refusal(str(error), f"{store} verify", DAMAGE) from error
    raise Refusal(
        str(error), f"make room, or {store} snapshot ANOTHER-FOLDER; what was written before stands"
    ) from error
