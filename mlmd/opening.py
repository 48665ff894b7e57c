"""What a ConnectionConfig opens: a folder with a log and a view, or both in memory."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlsplit

from evlog import identity, storage
from evlog.errors import FORBIDDEN, EvidenceError, NoLogError, StorageError
from evlog.files import RealFolder
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.personal import erases
from evlog.tlog import keys
from mlmd import errors
from mlmd.convert import Bodies
from mlmd.files import who_may
from mlmd.proto import metadata_store_pb2 as pb
from projections.errors import ViewError
from projections.sqlite.view import View, peek
from replay import erasure
from replay.asof import as_of
from replay.follow import bring_up
from replay.rebuild import fitting, open_current

if TYPE_CHECKING:
    from evlog.tlog.checkpoint import Checkpoint
    from evlog.tlog.checkpointer import Checkpointer
    from replay.follow import Progress

_LOG: Final = logging.getLogger(__name__)
LOG_FOLDER: Final = "log"
VIEWS_FOLDER: Final = "views"
TLOG_FOLDER: Final = "tlog"
COMPRESS: Final = (
    "EVLOG_COMPRESS"  # on or off: are sealed segments of a store that is written to compressed in the background?
)
ANCHORS_FILE: Final = "anchors"  # As evlog.tlog.anchors, which is not imported for the stores that have none.
BODIES: Final = Bodies()
_MLMD_FILE: Final = b"SQLite format 3\0"
_SETTLE_S: Final = 1.0
_SETTLE_STEP_S: Final = 0.01
_Mode = pb.SqliteMetadataSourceConfig
_MODES_OF_URI: Final = {"ro": _Mode.READONLY, "rw": _Mode.READWRITE, "rwc": _Mode.READWRITE_OPENCREATE}


class OpenError(RuntimeError):
    """A store could not be opened. As in MLMD a RuntimeError; the status code and the cause are kept."""

    def __init__(self, message: str, error_code: int = errors.INTERNAL) -> None:
        super().__init__(message)
        self.error_code = error_code


@dataclass
class Opened:
    """An open log and its view.

    views: the folder of the view, ending in a slash; None for a view in memory. replayed: the view is a replay in memory that
    follows the log, because the one on disk cannot be used. checkpointer: signs what is put, where there is a key.
    """

    log: Log
    view: View
    writable: bool
    views: str | None = None
    replayed: bool = False
    checkpointer: Checkpointer | None = None

    def is_fresh(self, view: View) -> bool:
        """Tell whether a view is still the one to read. Asked before every read."""
        if self.views is not None:
            return view.is_current(self.views)
        return not self.replayed or self.log.refresh() == view.applied

    def fresh_view(self, view: View) -> View:
        """Return the view to read from now on, in place of one that is no longer fresh."""
        if self.views is None:
            if erases(self.log, view.applied, self.log.end):
                return self.anew()
            bring_up(self.log, view, self.log.end)
            return view
        folder = Path(self.views)
        if self.writable:
            return open_current(self.log, folder, BODIES)
        return View.open(folder, self.log.id, BODIES, writable=False)

    def anew(self) -> View:
        """Return a view in memory, made of the whole log."""
        return as_of(self.log, self.log.end, BODIES)

    def close(self) -> None:
        """Close both."""
        self.view.close()
        self.log.close()
        if self.checkpointer is not None:
            self.checkpointer.close()


def open_config(config: pb.ConnectionConfig) -> Opened:
    """Open what a config names. Raises OpenError."""
    backend = config.WhichOneof("config")
    if backend is None:
        raise OpenError(
            "Unset: the ConnectionConfig names no backend; set sqlite.filename_uri to a folder, or fake_database",
            errors.INVALID_ARGUMENT,
        )
    if backend in ("mysql", "postgresql"):
        raise OpenError(
            f"{backend} is no backend of evlog-mlmd: set sqlite.filename_uri to a folder for the store; `evlog import` brings"
            " in what such a database holds",
            errors.UNIMPLEMENTED,
        )
    place, mode = _place(config.sqlite) if backend == "sqlite" else (None, _Mode.READWRITE)
    try:
        if place is None:
            if mode == _Mode.READONLY:
                raise OpenError(
                    "attempt to write a readonly database: a store in memory begins empty: open it without READONLY, or name a folder"
                )
            return open_memory()
        return open_folder(
            place, create=mode in (_Mode.UNKNOWN, _Mode.READWRITE_OPENCREATE), writable=mode != _Mode.READONLY
        )
    except OpenError:
        raise
    except (OSError, StorageError) as error:
        raise _not_opened(error) from error
    except Exception as error:
        status = errors.status_error(error)
        raise OpenError(status.message, status.error_code) from error


def _not_opened(error: OSError | StorageError) -> OpenError:
    """Return what a caller is told of what the operating system refused."""
    if error.errno not in FORBIDDEN:
        status = errors.status_error(error)
        return OpenError(status.message, status.error_code)
    file = error.file if isinstance(error, StorageError) else str(error.filename)
    what = str(error) if isinstance(error, StorageError) else f"{file}: {error.strerror}"
    told = f"{what}: `{who_may(file)}` tells who may; where reading is enough, connection_mode READONLY of the config will do"
    return OpenError(told, errors.PERMISSION_DENIED)


def open_memory() -> Opened:
    """Open a new store that lives as long as its process."""
    log = Log.open(MemoryFolder(), create=True)
    return Opened(log, View.create(None, log.id, BODIES), writable=True)


def open_folder(
    place: Path, *, create: bool = False, writable: bool = True, progress: Progress | None = None
) -> Opened:
    """Open the store in a folder. Raises OpenError, LogError, ViewError.

    create: make it where there is nothing. progress: told of a view that has to be made anew.
    """
    _refuse_foreign(place, create=create and writable)
    log_folder, views = place / LOG_FOLDER, place / VIEWS_FOLDER
    acknowledged = acknowledged_by(views, RealFolder(log_folder))
    if not writable:
        log = Log.open(log_folder, writable=False, acknowledged=acknowledged)
        view = _view_for_reading(log, views)
        if view is not None:
            return Opened(log, view, writable=False, views=f"{views}{os.sep}")
        return Opened(log, as_of(log, log.refresh(), BODIES, progress), writable=False, replayed=True)
    log = Log.open(log_folder, create=create, acknowledged=acknowledged, compress=_compresses())
    if (doubt := storage.doubt(log_folder)) is not None:
        _LOG.warning("%s lies on %s", place, doubt)
    try:
        if (erased := erasure.resume(log, views, BODIES, progress)) is not None:
            _LOG.warning("%s: finished the erasure of %r that was begun (#%d)", place, erased.subject, erased.offset)
        view = open_current(log, views, BODIES, progress)
    except BaseException:
        log.close()
        raise
    return Opened(log, view, writable=True, views=f"{views}{os.sep}", checkpointer=_checkpointer(place, log))


def opened_log(place: Path) -> Log:
    """Open the log of the store in a folder for reading, held to what view, checkpoint and anchors say was acknowledged."""
    folder = RealFolder(place / LOG_FOLDER)
    return Log.open(folder, writable=False, acknowledged=acknowledged_by(place / VIEWS_FOLDER, folder))


def acknowledged_by(views: Path, log_folder: RealFolder) -> int:
    """Return how many records the view, the newest checkpoint and the anchors say were acknowledged: witnesses for recovery.

    Raises OpenError where no log is left, ReplacedLogError where an anchor knows another history.
    """
    place = log_folder.path.parent
    witness, signed = peek(views), newest_checkpoint(place / TLOG_FOLDER)
    anchored = anchored_size(place)
    if witness is None and signed is None:
        return anchored
    try:
        known = identity.read(log_folder)
    except NoLogError:
        beside = views if witness is not None else log_folder.path.parent / TLOG_FOLDER
        records = witness[1] if witness is not None else signed.size if signed is not None else 0
        raise OpenError(
            f"{log_folder.path}: the log is gone, and {beside} speaks of {records} records of it: restore the log from"
            f" a copy; to begin anew, remove {beside} too",
            errors.DATA_LOSS,
        ) from None
    seen = witness[1] if witness is not None and witness[0] == known.log_id else 0
    return max(seen, anchored, signed.size if signed is not None and signed.origin == known.origin else 0)


def anchored_size(place: Path) -> int:
    """Return how many records the anchors of a store know of, 0 where it has none. Raises ReplacedLogError for another history."""
    if not (place / ANCHORS_FILE).is_file():
        return 0
    from evlog.tlog import anchors  # noqa: PLC0415 - most stores have none

    try:
        promises = anchors.newest_of(place, identity.read(RealFolder(place / LOG_FOLDER))).promises
    except NoLogError:
        return 0  # Whoever opens the log finds that out.
    anchors.check(promises, place / TLOG_FOLDER, str(place / LOG_FOLDER))
    return max((one.signed.checkpoint.size for one in promises), default=0)


def newest_checkpoint(tlog: Path) -> Checkpoint | None:
    """Return the newest checkpoint, None where there is none that can be read: `verify` tells, opening does not depend on it."""
    if not tlog.is_dir():
        return None
    from evlog.tlog.archive import newest  # noqa: PLC0415 - most stores have none
    from evlog.tlog.shelf import FolderShelf  # noqa: PLC0415

    try:
        signed = newest(FolderShelf(tlog))
    except EvidenceError:
        return None
    return signed.checkpoint if signed is not None else None


def _compresses() -> bool:
    """Tell whether sealed segments are to be compressed in the background. Raises OpenError for a setting that is none."""
    setting = os.environ.get(COMPRESS) or "on"
    if setting not in ("on", "off"):
        raise OpenError(f"{COMPRESS}={setting}: on or off", errors.INVALID_ARGUMENT)
    return setting == "on"


def _checkpointer(place: Path, log: Log) -> Checkpointer | None:
    """Return what signs checkpoints of a store that is written to, None where the user has no key for it."""
    key = keys.place_of(log.id)
    if not os.environ.get(keys.VARIABLE) and not key.is_file():  # One that is named and not there shall be missed.
        return None
    from evlog.tlog.checkpointer import Checkpointer  # noqa: PLC0415 - only who has a key needs it

    return Checkpointer(place / LOG_FOLDER, place / TLOG_FOLDER, key, identity.Identity(log.id, log.origin))


def _view_for_reading(log: Log, views: Path) -> View | None:
    """Return the current view, None where it is behind the log and nobody brings it up."""
    until = time.monotonic() + _SETTLE_S
    while True:
        try:
            view = fitting(log, View.open(views, log.id, BODIES, writable=False))
        except ViewError:
            return None
        if view.applied >= log.end:
            return view
        view.close()
        if time.monotonic() > until:  # A writer that lives shows its records within moments.
            return None
        time.sleep(_SETTLE_STEP_S)


def _refuse_foreign(place: Path, *, create: bool) -> None:
    """Raise OpenError where a store neither is nor may be made."""
    try:
        os.fspath(place.absolute()).encode()
    except UnicodeEncodeError:  # Before anything is made: SQLite would refuse it later.
        message = f"{place}: the name of the folder is no text in UTF-8, and SQLite opens nothing in it: rename it"
        raise OpenError(message, errors.INVALID_ARGUMENT) from None
    if place.is_file():
        with place.open("rb") as file:
            if file.read(len(_MLMD_FILE)) == _MLMD_FILE:
                raise OpenError(
                    f"{place} is a SQLite database, not an evlog store: `evlog -s NEW-FOLDER import {place}` copies an MLMD"
                    " database into a new store"
                )
        raise OpenError(f"{place}: file is not a database: an evlog store is a folder")
    if not place.exists():
        if place.is_symlink():
            raise OpenError(
                f"{place}: unable to open database file: it is a link to {place.readlink()}, which is not there"
            )
        if (above := next((one for one in place.parents if one.is_file()), None)) is not None:
            raise OpenError(f"{place}: unable to open database file: {above} is a file: name a folder elsewhere")
        if not create:
            raise OpenError(f"{place}: unable to open database file: there is no store; `evlog init {place}` makes one")
        if not place.parent.is_dir():
            raise OpenError(f"{place}: unable to open database file: the folder {place.parent} does not exist")
    elif not any((place / name).is_dir() for name in (LOG_FOLDER, VIEWS_FOLDER, TLOG_FOLDER)) and any(place.iterdir()):
        raise OpenError(f"{place}: the folder is not empty and holds no store: name another one")


def _place(config: pb.SqliteMetadataSourceConfig) -> tuple[Path | None, int]:
    """Return the folder of a sqlite config, None for memory, and the mode. A `file:` URI may ask for less than connection_mode."""
    uri, mode = config.filename_uri, config.connection_mode
    if not uri or uri == ":memory:":
        return None, mode
    if not uri.startswith("file:"):
        return Path(uri), mode
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise OpenError(f"{uri}: invalid uri authority: {parts.netloc}: a store is a folder of this machine")
    for asked in parse_qs(parts.query, keep_blank_values=True).get("mode", []):
        if asked == "memory":
            return None, _Mode.READWRITE
        if asked not in _MODES_OF_URI:
            raise OpenError(f"{uri}: no such access mode: {asked}; use ro, rw, rwc or memory")
        if _MODES_OF_URI[asked] > (mode or _Mode.READWRITE_OPENCREATE):
            raise OpenError(f"{uri}: access mode not allowed: {asked}: more than {_Mode.ConnectionMode.Name(mode)}")
        mode = _MODES_OF_URI[asked]
    if unquote(parts.path) in ("", ":memory:"):
        return None, mode
    return Path(unquote(parts.path)), mode
