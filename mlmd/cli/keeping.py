"""`backup` and `restore`."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evlog.author import Author
from evlog.files import RealFolder, staged
from evlog.log import Log
from evlog.tlog.transfer import promises_in, put_promises
from evlog.upkeep.backup import backup as back_up
from evlog.upkeep.restore import check
from evlog.upkeep.restore import restore as bring_back
from mlmd.cli.command import command, with_settings
from mlmd.cli.copies import note_copy
from mlmd.cli.output import rfc3339, show_one, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store, new_folder
from mlmd.cli.refusal import USAGE, Refusal
from mlmd.moment import Mark
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, open_folder, opened_log
from mlmd.places import command_of
from replay import erasure
from replay.asof import offset_of

if TYPE_CHECKING:
    from evlog.upkeep.manifest import Manifest
    from mlmd.cli.settings import Settings
    from mlmd.moment import Moment


@command()
@with_settings
@click.argument("dest", metavar="DEST", type=click.Path(path_type=Path))
def backup(settings: Settings, dest: Path) -> None:
    """Copy the store's log to a folder while others go on writing. Run again, it copies only what is new.

    DEST is a store of its own, closed, and can be looked at as one: evlog -s DEST status. It is read again and checked, frame by frame,
    before it counts. A DEST that holds other records than the store is never touched. Exit 3 where the store and its backup part.

    Examples:
    evlog backup copy                        again and again: what is new is added
    evlog -s my-store backup my-copy --json
    evlog -s copy verify

    """
    place = find_store(settings)
    source = RealFolder(place / LOG_FOLDER)
    with closing(opened_log(place)) as log:  # Before a folder is made for nothing.
        origin, known = log.origin, log.end
    _refuse_no_backup(place, dest)
    note_copy(settings, place, erasure.BACKUP, dest)
    started = time.perf_counter()
    promises = promises_in(place / TLOG_FOLDER, origin)  # First, so that they are over no more than is copied.
    target = RealFolder(dest / LOG_FOLDER, create=True)
    done = back_up(source, target, partial(progress_of, settings), acknowledged=known)
    made = done.manifest
    signed = put_promises(dest / TLOG_FOLDER, promises, made.end)
    row = {
        "backup": str(dest),
        "log_id": made.log_id,
        "records": made.end,
        "root": made.root,
        "made": rfc3339(made.made_us),
        "signed_records": signed,
        "records_before": done.before,
        "bytes": sum(file.size for file in made.files),
        "bytes_copied": done.written,
        "files": len(made.files),
        "files_copied": done.files,
    }
    show_one(settings, row)
    talk(settings, f"{time.perf_counter() - started:.2f} s; to bring it back: evlog restore {dest} NEW-FOLDER")


def _refuse_no_backup(place: Path, dest: Path) -> None:
    """Raise Refusal for a folder that cannot take a backup of the store."""
    if dest.exists() and not dest.is_dir():
        raise Refusal(f"{dest}: not a folder", f"{command_of(place)} backup NEW-FOLDER")
    if dest.resolve() == place.resolve() or (dest / LOG_FOLDER).resolve() == (place / LOG_FOLDER).resolve():
        raise Refusal(f"{dest}: this is the store itself", f"{command_of(place)} backup NEW-FOLDER")
    inside = dest.resolve().parents
    if place.resolve() in inside or dest.resolve() in place.resolve().parents:
        raise Refusal(
            f"{dest}: a backup inside its store, or around it, is lost with it",
            f"{command_of(place)} backup NEW-FOLDER",
        )
    if dest.is_dir() and not (dest / LOG_FOLDER).is_dir() and any(dest.iterdir()):
        raise Refusal(
            f"{dest}: the folder is not empty and holds no backup", f"{command_of(place)} backup {dest}/NEW-FOLDER"
        )


@command(looks_back=True)
@with_settings
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("dest", metavar="[DEST]", type=click.Path(path_type=Path), required=False)
@click.option("--reason", metavar="TEXT", help="Why, for the record; else EVLOG_REASON.")
def restore(settings: Settings, source: Path, dest: Path | None, reason: str | None) -> None:
    """Bring a store back from a backup into a new folder: as it was last, or with --at at any moment before.

    DEST, or else -s, must not be there yet. The backup is checked against its manifest first. The log of the new store says that it was
    restored, and from what; it keeps its id, so do not write to the old store and to the new one.

    Examples:
    evlog restore copy new-store             as it was last
    evlog restore copy before --at '#100'    as it was when it held 100 records
    evlog restore copy march --at 2026-03-01T09:30 --reason drill

    """
    place = dest or new_folder(settings)
    if place is None:
        raise Refusal("restore to which folder?", f"evlog restore {source} NEW-FOLDER", USAGE)
    if place.exists() or place.is_symlink():
        raise Refusal(
            f"{place}: it is there already, and a restore touches nothing that is", f"evlog restore {source} NEW-FOLDER"
        )
    settings.store = source  # What every hint is about, until there is a new store.
    folder = RealFolder(source / LOG_FOLDER)
    stage = partial(progress_of, settings)
    started = time.perf_counter()
    found = check(folder, stage)
    end = _end_of(folder, found, settings.at)
    with staged(place) as new:
        target = RealFolder(new / LOG_FOLDER, create=True)
        restored = bring_back(folder, found, end, target, stage, author=Author(reason=reason))
        signed = put_promises(new / TLOG_FOLDER, promises_in(source / TLOG_FOLDER, found.origin), end)
    settings.store = place
    with stage("making a view", "records") as progress:
        open_folder(place, progress=progress).close()
    row = {
        "store": str(place),
        "log_id": found.log_id,
        "records": restored.end,
        "root": restored.root.hex(),
        "left_out": restored.made_end - restored.end,
        "signed_records": signed,
        "backup_made": rfc3339(found.made_us),
    }
    show_one(settings, row)
    talk(
        settings, f"{time.perf_counter() - started:.2f} s; it was restored, says its log: {command_of(place)} log -n 1"
    )


def _end_of(folder: RealFolder, found: Manifest, at: Moment | None) -> int:
    """Return how many records of a backup had been put at a moment. Raises FutureError, Refusal for what it cannot know."""
    if at is None:
        return found.end
    if isinstance(at.at, Mark):
        raise Refusal(f"{at}: a backup is a log alone: name the offset", "evlog -s STORE mark, which tells it", USAGE)
    if not isinstance(at.at, int) and at.at > found.made:
        made = rfc3339(found.made_us)
        raise Refusal(
            f"{at} is after {made}, when the backup was made: what was put between it does not know",
            "without --at: all it holds",
        )
    if isinstance(at.at, int):
        return at.at
    with closing(Log.open(folder, writable=False)) as log:
        return min(found.end, offset_of(log, at.at))
