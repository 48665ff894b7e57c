"""The store to import into: what it holds already, and records appended to it, each shown by its view.

A new store grows beside its place, as PLACE.importing, and takes its name when it is complete: whoever opens PLACE sees all or nothing. Its
view is filled without indexes, which are made last. A store that is there is added to where it lies.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from evlog.author import Author, clock_us
from evlog.errors import RecordTooLargeError
from evlog.files import sync_folder
from evlog.log import Log
from evlog.records import ForeignRowKept, Record
from mlmd.exchange.errors import DivergedError, TargetError
from mlmd.opening import BODIES, LOG_FOLDER, VIEWS_FOLDER, open_folder
from mlmd.places import command_of
from projections.projector import catch_up
from projections.sqlite import database
from projections.sqlite.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evlog.records import Change, Entry
    from projections.sqlite.lookup import Lookup
    from replay.follow import Progress

API: Final = "Import"
SUFFIX: Final = ".importing"
_NO_PUTS: Final = (API, "CreateStore", "Recover")
_encode: Final = msgspec.msgpack.Encoder(order="sorted").encode


class Target:
    """A store that is imported into. empty: it held nothing when it was opened. Not for two threads."""

    def __init__(self, place: Path, progress: Progress | None = None) -> None:
        """Open the store at `place`, or what was begun of it, or begin. Raises DivergedError where it has puts of its own."""
        self.place, self.folder = place, place
        if not (place / LOG_FOLDER).is_dir():
            _refuse_foreign(place)
            self.folder = place.with_name(place.name + SUFFIX)
            database.FILES.remove_unfinished(self.folder / VIEWS_FOLDER)  # By a run that was killed.
        self._file: Path | None = None  # Of a view that is not published yet.
        self.kept: Counter[bytes] = Counter()  # Of rows that are kept already, by their marks: see `mark_of`.
        self.last_reason: str | None = None
        if (self.folder / LOG_FOLDER / "LOGID").is_file():
            opened = open_folder(self.folder, progress=progress)
            self.log, self.view = opened.log, opened.view
        else:
            self.log = Log.open(self.folder / LOG_FOLDER, create=True)
            self.view = self._new_view()
        try:
            self._look_back(progress)
            if self.log.end == 0 and self._file is None:
                self.view.close()
                self.view = self._new_view()
        except BaseException:
            self.close()
            raise
        self.empty = self.view.lookup.last_id("type") == 0

    def _new_view(self) -> View:
        views = self.folder / VIEWS_FOLDER
        views.mkdir(exist_ok=True)
        self._file = database.new_file(views)
        return View.create(self._file, self.log.id, BODIES, indexes=False)

    def _look_back(self, progress: Progress | None) -> None:
        """Learn what was imported before. Raises DivergedError for a put by anybody else."""
        end = self.log.end
        for entry in self.log.read(0, end):
            envelope = entry.record.envelope
            if envelope.api == API:
                self.last_reason = envelope.reason
            elif envelope.api not in _NO_PUTS and entry.record.changes:
                raise DivergedError(
                    f"{self.folder}: the store has records of its own, the first is #{entry.offset} ({envelope.api} by"
                    f" {envelope.actor}): a database is imported into a new store, or into one that nobody else puts into",
                    f"evlog -s NEW-FOLDER import SOURCE, or {command_of(self.folder)} log",
                )
            self.kept.update(mark_of(change) for change in entry.record.changes if isinstance(change, ForeignRowKept))
            if progress is not None and entry.offset % 100 == 0:
                progress(entry.offset, end)

    @property
    def lookup(self) -> Lookup:
        """What the store holds, the records just appended included."""
        return self.view.lookup

    def append(self, changes: Sequence[Any], reason: str) -> int:
        """Append changes as one record, or as many as it takes; return how many. Raises DivergedError, TargetError, LogError."""
        try:
            self._append(list(changes), reason)
        except RecordTooLargeError as error:
            if len(changes) < 2:  # noqa: PLR2004 - one cannot be halved
                raise TargetError(f"{_about(changes[0])}: {error}") from error
            middle = len(changes) // 2
            return self.append(changes[:middle], reason) + self.append(changes[middle:], reason)
        return 1

    def _append(self, changes: list[Change], reason: str) -> None:
        log, view = self.log, self.view
        with log.claim() as group:
            if group.end != view.applied:
                raise DivergedError(
                    f"{self.folder}: another process put into the store meanwhile; nothing of that is lost"
                )
            author = Author(reason=reason)
            entry: Entry = group.add(Record(author.envelope(API, clock_us()), changes), signer=author.signer)
            view.begin()
            try:
                catch_up(view, (entry,))
                group.commit()
            except BaseException:
                view.rollback()
                raise
            view.commit(log.leaf_prefix(group.end))

    def finish(self) -> None:
        """Publish the view of a new store, and give the store its name; then close it."""
        if self._file is not None:
            self.view.index()
            self.view.close()
            with self.log.claim():
                database.FILES.publish(self.folder / VIEWS_FOLDER, self._file)
            self._file = None
        else:
            self.view.close()
        self.log.close()
        if self.folder == self.place:
            return
        try:
            self.folder.rename(self.place)
        except OSError as error:
            raise TargetError(
                f"{self.place}: the import is complete in {self.folder}, but this name was taken meanwhile: {error.strerror}",
                f"mv {self.folder} ANOTHER-NAME",
            ) from error
        sync_folder(self.place.absolute().parent)

    def close(self) -> None:
        """Close it as it is: another run goes on from here."""
        self.view.close()
        self.log.close()
        if self._file is not None:
            for leftover in self._file.parent.glob(f"{self._file.name}*"):
                leftover.unlink()


def mark_of(change: ForeignRowKept) -> bytes:
    """Return what tells a kept row from all that are not equal to it."""
    return sha256(_encode((change.table, change.row, change.why))).digest()


def _about(change: Any) -> str:
    return f"{type(change).__name__.removesuffix('Put').lower()} {getattr(change, 'id', '')}".strip()


def _refuse_foreign(place: Path) -> None:
    """Raise TargetError where no store may be made."""
    if place.is_file():
        raise TargetError(f"{place}: a file; a store is a folder: name a new one", "evlog -s NEW-FOLDER import SOURCE")
    if place.is_dir() and any(place.iterdir()):
        raise TargetError(
            f"{place}: the folder is not empty and holds no store: name a new one", "evlog -s NEW-FOLDER import SOURCE"
        )
    if not place.absolute().parent.is_dir():
        raise TargetError(f"{place}: the folder {place.absolute().parent} does not exist")
