"""The history as Parquet files that never change, in a folder for other engines; each run adds what was put since the last.

folder/
  manifest.json                     which log, how far, which files: written last (`manifest`)
  artifacts/month=2026-03/00000000000000000000-00000000000000065536.parquet
  executions/ contexts/ types/ events/ attributions/ associations/ parent_contexts/ records/   likewise
  LOCK                              one run at a time
  incoming/                         files that are being written; gone after a run

A file holds what the records [start, stop) of its name put, all in one month. A run writes its files aside, moves them to their places
and then the manifest: killed at any step, it leaves the former snapshot and files that the manifest does not list. Those have
offsets from `end` on, so whoever asks for rows below `end` never sees them; the next run removes them.
"""

from __future__ import annotations

import re
import shutil
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog.files import RealFolder
from projections.duck.parquet import TABLES, Exporter
from replay import analytics
from replay import manifest as manifests
from replay.manifest import BrokenSnapshotError, File, ForeignFolderError, Manifest, OtherHistoryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evlog.log import Log
    from projections.duck.parquet import Stretch
    from replay.follow import Progress

_LOCK: Final = "LOCK"
_INCOMING: Final = "incoming"
_WITHOUT_MANIFEST: Final = frozenset({_LOCK, _INCOMING, manifests.UNFINISHED})  # What a first run that died may leave.
_FILE_NAME: Final = re.compile(r"\d{20}-\d{20}\.parquet", re.ASCII)


class Taken(NamedTuple):
    """What a run did: the snapshot held the first `start` records and now holds `end`; `files` are new."""

    start: int
    end: int
    root: str
    files: list[File]


def snapshot(log: Log, views: Path, folder: Path, stop: int | None = None, progress: Progress | None = None) -> Taken:
    """Add what was put since the last run to the snapshot in `folder`, up to the first `stop` records; make it where there is none.

    Where the history view cannot be brought up, because its folder cannot be written, the snapshot ends where that does.
    progress: told (records, records to read, then to write). Raises SnapshotError, ExportError where the files cannot be written, FutureError.
    """
    shown = analytics.bring_up(log, views, progress)
    stop = shown.applied if stop is None else min(stop, shown.applied)
    with _alone(folder) as place:
        before = _former(log, folder) or _empty(log)
        if not (folder / manifests.NAME).exists():
            manifests.write(place, before)  # From here on the folder is known to be ours.
        _tidy(folder, before)
        if before.end >= stop:
            return Taken(before.end, before.end, before.root, [])
        return _take(log, views, place, before, stop, progress)


def remake(log: Log, views: Path, folder: Path, progress: Progress | None = None) -> Taken:
    """Write every file of a snapshot anew, as the log reads now: after an erasure. Killed amid it, it is run again.

    Raises as `snapshot`, and ForeignFolderError where there is none of this log.
    """
    shown = analytics.bring_up(log, views, progress)
    if not (folder / manifests.NAME).is_file():
        raise ForeignFolderError(f"{folder}: there is no snapshot here")
    with _alone(folder) as place:
        before = _of_log(log, folder)
        assert before is not None, "looked at above"
        if shown.applied < before.end:
            raise BrokenSnapshotError(
                f"{folder}: holds {before.end:,} records, the history view shows {shown.applied:,}"
            )
        taken = _take(log, views, place, _empty(log), before.end, progress)
        _tidy(folder, Manifest(manifests.FORMAT, before.log_id, before.origin, taken.end, taken.root, taken.files))
    return taken


def _empty(log: Log) -> Manifest:
    return Manifest(manifests.FORMAT, log.id.hex(), log.origin, 0, _root(log, 0), [])


def _take(log: Log, views: Path, place: RealFolder, before: Manifest, stop: int, progress: Progress | None) -> Taken:
    """Write the files of the records from the end of `before` to `stop`, and the manifest of both."""
    folder = place.path
    try:
        with closing(Exporter(views, patience_s=analytics.READER_PATIENCE_S)) as exporter:
            files = _write(exporter, folder, before, stop, progress)
    finally:
        shutil.rmtree(folder / _INCOMING, ignore_errors=True)
    root = _root(log, stop)
    manifests.write(place, Manifest(manifests.FORMAT, before.log_id, before.origin, stop, root, before.files + files))
    return Taken(before.end, stop, root, files)


def check(log: Log, folder: Path) -> tuple[Manifest, list[str]]:
    """Compare every file of a snapshot with its manifest, and that with the log; return the manifest and what is damaged.

    Raises SnapshotError where there is no snapshot of this log.
    """
    manifest = _of_log(log, folder)
    if manifest is None:
        raise ForeignFolderError(f"{folder}: there is no snapshot here")
    return manifest, list(manifests.damaged(folder, manifest))


# Is it ours ----------------------------------------------------------------------------------------------------------


@contextmanager
def _alone(folder: Path) -> Iterator[RealFolder]:
    """Make the folder where it is not there, and hold its lock. Raises ForeignFolderError, with nothing written."""
    if folder.exists() and not folder.is_dir():
        raise ForeignFolderError(f"{folder}: a file; a snapshot is a folder")
    if folder.is_dir() and not (folder / manifests.NAME).exists():
        strangers = sorted(entry.name for entry in folder.iterdir() if entry.name not in _WITHOUT_MANIFEST)
        if strangers:
            raise ForeignFolderError(
                f"{folder}: holds {strangers[0]} and no snapshot; name an empty folder, or a new one"
            )
    place = RealFolder(folder, create=True)
    with closing(place.lock(_LOCK)) as lock:
        lock.acquire()
        try:
            yield place
        finally:
            lock.release()


def _former(log: Log, folder: Path) -> Manifest | None:
    """Return the manifest of the snapshot so far, None where there is none. Raises SnapshotError where nothing may be added to it."""
    manifest = _of_log(log, folder)
    if manifest is not None and (wrong := next(manifests.missing(folder, manifest), None)):
        raise BrokenSnapshotError(f"{folder}/{wrong}; make a new snapshot in another folder")
    return manifest


def _of_log(log: Log, folder: Path) -> Manifest | None:
    """Return the manifest in a folder, None where there is none. Raises SnapshotError for that of another log or history."""
    manifest = manifests.read(folder)
    if manifest is None:
        return None
    if manifest.log_id != log.id.hex():
        raise ForeignFolderError(f"{folder}: a snapshot of another store, {manifest.origin}; this one is {log.origin}")
    end = log.refresh()
    if manifest.end > end:
        what = f"the store ends at #{end:,}, and its snapshot at #{manifest.end:,}"
        raise OtherHistoryError(f"{folder}: {what}: records were lost, or the store is an old copy")
    if _root(log, manifest.end) != manifest.root:
        what = f"the first {manifest.end:,} records of the store are not those that the snapshot was made of"
        raise OtherHistoryError(f"{folder}: {what}: its history was replaced")
    return manifest


def _root(log: Log, end: int) -> str:
    return log.tip_at(end).tree.root().hex()


# Files ---------------------------------------------------------------------------------------------------------------


def _tidy(folder: Path, manifest: Manifest) -> None:
    """Remove what a run left that died: files that the manifest does not list, and those it was writing."""
    (folder / manifests.UNFINISHED).unlink(missing_ok=True)
    if (folder / _INCOMING).exists():
        shutil.rmtree(folder / _INCOMING)
    listed = {file.path for file in manifest.files}
    for table in TABLES:
        for path in (folder / table).glob("month=*/*.parquet"):
            if path.relative_to(folder).as_posix() not in listed and _FILE_NAME.fullmatch(path.name):
                path.unlink()


def _write(exporter: Exporter, folder: Path, before: Manifest, stop: int, progress: Progress | None) -> list[File]:
    """Write the files of the records from the former end to `stop`, then move them to their places; return them."""
    stretches = exporter.stretches(before.end, stop)
    incoming = RealFolder(folder / _INCOMING, create=True)
    have = {file.table for file in before.files}
    files: list[File] = []
    for stretch in stretches:
        for number, table in enumerate(TABLES):
            if progress is not None:
                share = (stretch.stop - stretch.start) * number // len(TABLES)
                progress(stretch.start + share - before.end, stop - before.end)
            file = _write_one(exporter, incoming, table, stretch)
            # An engine cannot read a table without a file: each has one, if need be an empty one.
            if file.rows or table not in have:
                files.append(file)
                have.add(table)
    for file in files:
        _move(folder, incoming, file)
    return files


def _write_one(exporter: Exporter, incoming: RealFolder, table: str, stretch: Stretch) -> File:
    """Write one file aside, whole and on the disk."""
    path = f"{table}/month={stretch.month}/{stretch.start:020d}-{stretch.stop:020d}.parquet"
    aside = _aside(path)
    rows = exporter.write(table, stretch, incoming.path / aside)
    with closing(incoming.open(aside, writable=True)) as written:
        written.sync()
        size = written.size()
    digest = manifests.sha256(incoming.path / aside)
    return File(path, table, stretch.month, stretch.start, stretch.stop, rows, size, digest)


def _aside(path: str) -> str:
    return path.replace("/", ".")


def _move(folder: Path, incoming: RealFolder, file: File) -> None:
    target = folder / file.path
    place = RealFolder(target.parent, create=True)
    incoming.rename(_aside(file.path), str(target.absolute()))
    place.sync_names()
