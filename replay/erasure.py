"""A subject erased: its keys destroyed on the record, and everything made anew that was made of what they sealed.

    1 keys/subjects/ERASING says what is going to be done       from here on it will be done, by this process or the next that opens
    2 each key is buried: a hint for readers, which counts once there is the record; so nobody who knows the record reads what it erased
    3 the record with `Erased` is appended, durable
    4 each key is overwritten and removed                       2 to 4 under the log's writer lock
    5 the views are made anew, their old files removed
    6 published snapshots are made anew
    7 ERASING is removed

Each step may be done twice. No frame is touched: every proof, checkpoint and root stays what it was.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from evlog import actors
from evlog.author import clock_us
from evlog.errors import LogError, UnknownSubjectError
from evlog.files import RealFolder, held
from evlog.group import packed
from evlog.personal import sealed_values, stored_entries
from evlog.records import Erased, Record
from evlog.subject_keys import Intent, Published
from projections.errors import ExportError, MissingLibraryError, ViewError
from projections.generations import CURRENT, FROZEN_FOLDER, HISTORY, HISTORY_LOCK
from replay import manifest
from replay.manifest import SnapshotError
from replay.rebuild import rebuild
from replay.things import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.author import Author
    from evlog.log import Log
    from projections.sqlite.apply import Bodies
    from replay.follow import Progress
    from replay.things import Key

API: Final = "Erase"
LOST: Final = ""
SNAPSHOT: Final = "snapshot"
BACKUP: Final = "backup"
EXPORT: Final = "export"
_PLANS: Final = {
    SNAPSHOT: "made anew",
    BACKUP: "holds no keys: nothing to do",
    EXPORT: "to be done by hand: export it again, and delete it",
    "": "to be done by hand: it is no snapshot and no backup of this store",
}


@dataclass(frozen=True)
class Found:
    """What erasing a subject takes away. subject: "" for keys that are lost. values: how many are sealed, in so many versions of nodes."""

    subject: str
    keys: list[bytes]
    nodes: list[Key]
    versions: int
    values: int
    copies: list[Published]


@dataclass(frozen=True)
class Looked:
    """What became of a copy. done: nothing is left to do by hand."""

    copy: Published
    outcome: str
    done: bool


@dataclass(frozen=True)
class Erasure:
    """What was erased, by which record."""

    subject: str
    keys: list[bytes]
    offset: int
    copies: list[Looked]
    found: Found | None = None  # Of an erasure that another process had begun nobody knows.


def find(log: Log, subject: str, copies: Sequence[Path] = (), progress: Progress | None = None) -> Found:
    """Return what erasing a subject would take away. copies: folders beside those that the store remembers.

    subject: LOST for what is sealed under keys that are not there, though no record erased them. Raises UnknownSubjectError where
    there is nothing to erase.
    """
    if subject == LOST:
        if lost := _lost(log, progress):
            return _found(log, subject, lost, copies, progress)
        raise UnknownSubjectError(subject, erased=[])
    keys = [found.key_id for found in log.subject_keys.of(subject)]
    if not keys:
        entries = stored_entries(log, log.refresh(), progress)
        raise UnknownSubjectError(
            subject,
            erased=[
                entry.offset
                for entry in entries
                for change in entry.record.changes
                if isinstance(change, Erased) and change.subject == subject
            ],
        )
    return _found(log, subject, set(keys), copies, progress)


def _lost(log: Log, progress: Progress | None) -> set[bytes]:
    needed: set[bytes] = set()
    for entry in stored_entries(log, log.refresh(), progress):
        for change in entry.record.changes:
            needed.update(value.key_id for _, _, value in sealed_values(change))
            if isinstance(change, Erased):
                needed.difference_update(change.keys)
    return needed - set(log.subject_keys.ids())


def _found(log: Log, subject: str, keys: set[bytes], named: Sequence[Path], progress: Progress | None) -> Found:
    nodes: dict[Key, None] = {}
    versions = values = 0
    for entry in stored_entries(log, log.refresh(), progress):
        for change in entry.record.changes:
            if sealed := sum(value.key_id in keys for _, _, value in sealed_values(change)):
                nodes[key_of(change)] = None
                versions, values = versions + 1, values + sealed
    copies = [*log.subject_keys.published(), *(Published(_kind(log, path), str(path.absolute())) for path in named)]
    return Found(subject, sorted(keys), list(nodes), versions, values, list(dict.fromkeys(copies)))


def _kind(log: Log, path: Path) -> str:
    """Return what kind of copy a folder is, "" for one that is none of this log's."""
    try:
        found = manifest.read(path)
    except (SnapshotError, OSError):
        found = None
    if found is not None and found.log_id == log.id.hex():
        return SNAPSHOT
    return BACKUP if (path / "log" / "BACKUP").is_file() else ""


def plan(copy: Published) -> str:
    """Return what is to become of a copy."""
    return _PLANS[copy.kind]


def erase(
    log: Log,
    views: Path | None,
    bodies: Bodies,
    subject: str,
    author: Author,
    *,
    basis: str | None = None,
    copies: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Erasure:
    """Erase a subject, or LOST keys. views: None for a store in memory, whose view the caller makes anew. basis: the legal one.

    copies: as of `find`. Raises UnknownSubjectError, and what the log raises; from the first step on, what is left is done at the next
    opening for writing.
    """
    keys = log.subject_keys
    with closing(keys.lock()) as lock, held(lock):
        begun = _finish(log, views, bodies, progress)  # By a process that did not end it.
        if begun is not None and begun.subject == subject:
            return begun
        found = find(log, subject, copies, progress)
        planned = [f"{copy.kind or 'copy'} {copy.path}: {plan(copy)}" for copy in found.copies]
        change = Erased(found.subject, found.keys, basis, planned)
        envelope = author.envelope(API, clock_us())
        _, stored, _ = packed(
            Record(envelope, [change])
        )  # Raises for a record too large: once begun, it has to be appended.
        if author.signer is not None:  # Now: another process, without the key, may have to end what is begun here.
            envelope = actors.sign(author.signer, log.origin, envelope, stored)
        keys.begin_erasure(Intent(log.refresh(), envelope, change, found.copies))
        done = _finish(log, views, bodies, progress)
    assert done is not None, "it was begun"
    return replace(done, found=found)


def resume(log: Log, views: Path | None, bodies: Bodies, progress: Progress | None = None) -> Erasure | None:
    """Finish an erasure that was begun and not ended; None where there is none. Waits for a process that is at it."""
    if log.subject_keys.begun_erasure() is None:
        return None
    with closing(log.subject_keys.lock()) as lock, held(lock):
        return _finish(log, views, bodies, progress)


def _finish(log: Log, views: Path | None, bodies: Bodies, progress: Progress | None) -> Erasure | None:
    keys = log.subject_keys
    intent = keys.begun_erasure()
    if intent is None:
        return None
    change = intent.change
    with log.claim() as group:
        known = _recorded(log, intent, group.end)
        offset = group.end if known is None else known
        for key_id in change.keys:
            keys.bury(key_id, offset)
        if known is None:
            group.add(Record(intent.envelope, [change]))
            group.commit()
        for key_id in change.keys:
            keys.destroy(key_id, change.subject)
    if views is not None:
        purge(log, views, bodies, progress)
    looked = [_look_after(log, views, copy, progress) for copy in intent.copies]
    keys.finish_erasure()
    return Erasure(change.subject, change.keys, offset, looked)


def _recorded(log: Log, intent: Intent, end: int) -> int | None:
    """Return the offset of the record of an erasure, None where it is not there yet."""
    for entry in log.read(min(intent.start, end), end, sealed=True):
        if intent.change in entry.record.changes:
            return entry.offset
    return None


def purge(log: Log, views: Path, bodies: Bodies, progress: Progress | None = None) -> None:
    """Make the views anew, so that no file holds what was made of older ones. The history view is made when it is next asked for."""
    views.mkdir(exist_ok=True)
    CURRENT.remove_of_the_dead(views)  # Whoever lives, and builds one, sees at its end what was erased.
    rebuild(log, views, bodies, progress)
    with closing(RealFolder(views).lock(HISTORY_LOCK)) as lock, held(lock):
        HISTORY.remove(views)
        if (views / FROZEN_FOLDER).exists():
            shutil.rmtree(views / FROZEN_FOLDER)


def _look_after(log: Log, views: Path | None, copy: Published, progress: Progress | None) -> Looked:
    if not Path(copy.path).exists():
        return Looked(copy, "is not there: if it was moved, erase it there by hand", done=copy.kind == BACKUP)
    if copy.kind != SNAPSHOT or views is None:
        return Looked(copy, plan(copy), copy.kind == BACKUP)
    try:
        from replay.snapshot import remake  # noqa: PLC0415 - DuckDB need not be there

        remake(log, views, Path(copy.path), progress)
    except (SnapshotError, ExportError, ViewError, MissingLibraryError, LogError, OSError) as error:
        return Looked(copy, f"to be done by hand: {error}", done=False)
    return Looked(copy, plan(copy), done=True)
