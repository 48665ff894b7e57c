"""What `evlog doctor` and the page of operations look at in the folder of a store: the machine under it, the log, the views, what is signed. Changes nothing."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from evlog import ballast, head, identity, segment, storage
from evlog.files import RealFolder
from evlog.log import LOCK_NAME
from evlog.tlog import anchors, keys
from evlog.tlog.archive import CHECKPOINT
from mlmd.opening import BODIES, LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, newest_checkpoint, opened_log
from mlmd.places import command_of
from projections.errors import ViewError
from projections.generations import HISTORY
from projections.sqlite.view import View
from replay.rebuild import fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOM_BAD: Final = 64 << 20
_ROOM_LOW: Final = 1 << 30
_GIB: Final = 1 << 30
_DAY_S: Final = 86_400


class Checked(NamedTuple):
    """What one look found. next: the command that mends it; damage: what the store promised is broken."""

    check: str
    state: Literal["ok", "note", "bad"]
    what: str
    next: str | None = None
    damage: bool = False


# The machine under the store -----------------------------------------------------------------------------------------


def _disk(place: Path) -> Iterator[Checked]:
    log = place / LOG_FOLDER
    doubt = storage.doubt(log)
    if doubt is not None:
        yield Checked("file system", "note", doubt, "a local disk, such as ext4 or xfs")
    else:
        yield Checked("file system", "ok", storage.file_system(log))
    free = shutil.disk_usage(log).free
    told = f"{free / _GIB:,.1f} GiB free"
    if free < _ROOM_LOW:
        yield Checked("room", "bad" if free < _ROOM_BAD else "note", told, "room on the disk, before puts are refused")
    else:
        yield Checked("room", "ok", told)
    if not os.access(log, os.W_OK | os.X_OK):
        yield Checked("rights", "note", f"{log}: this user may read it, not write")
    elif ballast.NAME not in RealFolder(log).names():
        yield Checked(
            "reserve", "note", "the file that is given up on a full disk is not there; who next writes makes it"
        )


def _users(place: Path) -> Iterator[Checked]:
    """Yield who holds the writer's lock, and which processes have files of the log open, as far as this system tells."""
    if not Path("/proc/locks").is_file():
        yield Checked("processes", "note", "this system does not tell who has the store open")
        return
    log = place / LOG_FOLDER
    holders = holders_of(log / LOCK_NAME)
    users = users_of(log)
    others = f"open in {_processes(users)}" if users else "open nowhere else, as far as this user can see"
    if holders:
        yield Checked("processes", "ok", f"being written by {_processes(holders)}; {others}")
    else:
        yield Checked("processes", "ok", f"nobody holds the lock; {others}")


def holders_of(file: Path) -> list[int]:
    """Return the processes that hold a lock on a file."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return []
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    found = set()
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
        words = line.split()  # 1: FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF; -> for who waits.
        if "->" not in words and len(words) > 5 and words[5] == wanted:  # noqa: PLR2004 - as above
            found.add(int(words[4]))
    return sorted(found)


def users_of(folder: Path) -> list[int]:
    """Return the processes but this one that have files in a folder open, as far as they can be looked at."""
    inside = f"{folder.resolve()}{os.sep}"
    found = []
    for process in Path("/proc").glob("[0-9]*/fd"):
        try:
            opened = any(str(link.readlink()).startswith(inside) for link in process.iterdir())
        except OSError:  # Another user's, or gone.
            continue
        if opened and (pid := int(process.parent.name)) != os.getpid():
            found.append(pid)
    return sorted(found)


def _processes(pids: list[int]) -> str:
    return ", ".join(f"{pid} ({_program(pid)})" for pid in pids)


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "ended"


# The store itself ----------------------------------------------------------------------------------------------------


def _log(place: Path) -> Iterator[Checked]:
    folder = RealFolder(place / LOG_FOLDER)
    with closing(opened_log(place)) as log:
        bases = segment.bases(folder)
        yield Checked("log", "ok", f"opens; {log.end:,} records in {len(bases):,} segments, id {log.id.hex()}")
        mark = head.read(folder, seed=log.seed)
        if mark is None:
            yield Checked(
                "HEAD",
                "note",
                "missing or damaged, and made anew with the next put; until then every open reads the log's end",
            )
            return
        state = "behind" if mark.end < log.end else "at"
        yield Checked("HEAD", "ok", f"#{mark.end:,}, {state} the log's end")
        beyond = segment.size_of(folder, bases[-1]) - mark.position if mark.base == bases[-1] else 0
        if beyond > 0 and mark.end == log.end:
            yield Checked(
                "tail",
                "note",
                f"{beyond:,} bytes after the last acknowledged record: who next writes cuts them off, on record",
            )
        else:
            yield Checked("tail", "ok", "the log ends with its last record")
        if quarantined := sum(1 for _ in folder.path.glob("quarantine/*")):
            yield Checked(
                "quarantine",
                "note",
                f"{quarantined:,} files that recovery set aside",
                f"{command_of(place)} log --api LogRecovered",
            )


def _view(place: Path) -> Iterator[Checked]:
    views, replay = place / VIEWS_FOLDER, f"{command_of(place)} replay"
    with closing(opened_log(place)) as log:
        try:
            view = fitting(log, View.open(views, log.id, BODIES, writable=False))
        except ViewError as error:
            yield Checked("view", "note", f"{error}: every command replays the log in memory", replay)
        else:
            behind = log.refresh() - view.applied
            view.close()
            if behind > 0:
                yield Checked("view", "note", f"{behind:,} records behind the log: a writer died in between", replay)
            else:
                yield Checked("view", "ok", "at the log's end, of this boot")


def _history(place: Path) -> Iterator[Checked]:
    if HISTORY.current(place / VIEWS_FOLDER) is None:
        yield Checked("history view", "ok", "none yet; the first question in SQL makes it")
        return
    from replay.analytics import shown  # noqa: PLC0415 - DuckDB is slow to import, and need not be installed

    with closing(opened_log(place)) as log:
        found = shown(log, place / VIEWS_FOLDER)
    if found is None:
        yield Checked("history view", "note", "of another history or release; the next question in SQL makes it anew")
    else:
        yield Checked(
            "history view", "ok", f"at #{found.applied:,}, {found.behind:,} records behind; a question brings it up"
        )


def _signing(place: Path) -> Iterator[Checked]:
    ident, tlog = identity.read(RealFolder(place / LOG_FOLDER)), place / TLOG_FOLDER
    path = keys.place_of(ident.log_id)
    if path.exists() or os.environ.get(keys.VARIABLE):
        key = keys.read(path, ident.origin)
        yield Checked("key", "ok", f"{path}: {key.verifier.name}")
    else:
        yield Checked(
            "key", "note", "none here: nothing that this user puts is signed", f"{command_of(place)} keys new"
        )
    signed = newest_checkpoint(tlog)
    if signed is None:
        yield Checked(
            "checkpoint",
            "note",
            "none: a rewriting of the whole log would not be noticed",
            f"{command_of(place)} checkpoint",
        )
        return
    with closing(opened_log(place)) as log:
        uncovered = log.end - signed.size
    age_s = time.time() - (tlog / CHECKPOINT).stat().st_mtime
    told = f"over {signed.size:,} records, {_age(age_s)} old, {uncovered:,} records not covered"
    state = Checked("checkpoint", "ok", told)
    yield state if uncovered <= 0 else state._replace(state="note", next=f"{command_of(place)} checkpoint")


def _anchors(place: Path) -> Iterator[Checked]:
    known = anchors.places_of(place)
    if not known:
        yield Checked(
            "anchors", "note", "no copy of a checkpoint elsewhere", f"{command_of(place)} checkpoint --copy-to PLACE"
        )
        return
    found = anchors.newest_of(place, identity.read(RealFolder(place / LOG_FOLDER)))
    for one in found.unread:
        yield Checked(
            "anchors", "bad", one, f"the place made reachable, or {command_of(place)} checkpoint --forget PLACE"
        )
    for promise in found.promises:
        yield Checked("anchors", "ok", f"{promise.file}: over {promise.signed.checkpoint.size:,} records")


def _subjects(place: Path) -> Iterator[Checked]:
    with closing(opened_log(place)) as log:
        held = log.subject_keys
        if ids := held.ids():
            read = sum(held.key(one) is not None for one in ids)  # One that is damaged ends this look.
            yield Checked("personal keys", "ok", f"{read:,} read")
        if held.begun_erasure() is not None:
            yield Checked(
                "erasure", "note", "one was begun and not finished; who next opens the store to write finishes it"
            )


def _age(seconds: float) -> str:
    if seconds >= _DAY_S:
        return f"{seconds / _DAY_S:,.0f} days"
    return f"{seconds / 3600:.0f} h" if seconds >= 3600 else f"{max(0, seconds) / 60:.0f} min"  # noqa: PLR2004 - an hour


LOOKS: Final[dict[str, Callable[[Path], Iterator[Checked]]]] = {
    "file system": _disk,
    "processes": _users,
    "log": _log,
    "view": _view,
    "history view": _history,
    "checkpoint": _signing,
    "anchors": _anchors,
    "personal keys": _subjects,
}
