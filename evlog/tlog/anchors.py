"""Anchors: places elsewhere that hold copies of a log's checkpoints, so that what becomes of the store cannot hide what it promised.

    anchors               beside log/: a place a line, a folder or a file, as an absolute path; it is not published
    PLACE/ID-SIZE.checkpoint   in a folder: id of the log in hexadecimal, size in 20 digits; none is ever replaced
    PLACE                 a file: the newest one

Whoever opens the store compares it with the newest copy at each, as far as it can be read; whoever signs puts copies there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog.errors import EvidenceError, LogError, ReplacedLogError
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog.archive import newest
from evlog.tlog.note import NOTE_BYTES_MAX
from evlog.tlog.review import Promise, path_between
from evlog.tlog.shelf import FolderShelf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evlog.identity import Identity
    from evlog.tlog.checkpoint import Signed

NAME: Final = "anchors"
SUFFIX: Final = ".checkpoint"


class Anchored(NamedTuple):
    """The newest copies at the anchors of a store, and of those that could not be read, why."""

    promises: list[Promise]
    unread: list[str]


def places_of(store: Path) -> list[Path]:
    """Return the anchors of a store."""
    return [
        Path(line) for line in (FolderShelf(store).read(NAME) or b"").decode("utf-8", "replace").splitlines() if line
    ]


def check_name(place: Path) -> None:
    """Raise EvidenceError for a place that cannot be written down."""
    if not str(place).isprintable():
        raise EvidenceError(f"{str(place)!a}: the name of an anchor is one line of text")


def remember(store: Path, place: Path) -> None:
    """Take a place into the anchors of a store."""
    known, new = places_of(store), place.absolute()
    check_name(new)
    if new not in known:
        _write(store, [*known, new])


def forget(store: Path, place: Path) -> None:
    """Take a place out of the anchors of a store; what is there stays. Raises EvidenceError where it is none."""
    known, gone = places_of(store), place.absolute()
    if gone not in known:
        there = ", ".join(map(str, known)) or "there are none"
        raise EvidenceError(f"{gone}: is no anchor of this store: {there}")
    _write(store, [one for one in known if one != gone])


def set_aside(store: Path, ident: Identity, size: int, target: Path) -> list[Path]:
    """Take out of the anchors of a store those that know of more than `size` records, or cannot be asked; return them.

    target: a folder in which `anchors` then names them. What is at the places stays.
    """
    places = places_of(store)
    gone = [one for one in places if _may_know_more(one, ident, size)]
    if gone:
        shelf = FolderShelf(target)
        before = (shelf.read(NAME) or b"").decode("utf-8", "replace").splitlines()
        text = "".join(f"{line}\n" for line in dict.fromkeys([*before, *map(str, gone)]))
        shelf.write(NAME, text.encode(), durable=True)
        _write(store, [one for one in places if one not in gone])
    return gone


def _may_know_more(place: Path, ident: Identity, size: int) -> bool:
    try:
        found = copies_at(place, ident) if place.is_dir() or place.is_file() else None
        return found is None or any(read(one, ident).signed.checkpoint.size > size for one in found[-1:])
    except (EvidenceError, OSError):
        return True


def _write(store: Path, places: list[Path]) -> None:
    text = "".join(f"{one}\n" for one in places)
    FolderShelf(store).write(NAME, text.encode(), durable=True)


def copies_at(place: Path, ident: Identity) -> list[Path]:
    """Return the files at a place that hold copies of a log's checkpoints, the smallest first; none where it cannot be listed."""
    if place.is_dir():
        return sorted(place.glob(f"{ident.log_id.hex()}-*{SUFFIX}"))
    return [place] if place.exists() else []


def read(path: Path, ident: Identity) -> Promise:
    """Return the copy in a file. Raises EvidenceError where it is none of this log's."""
    try:
        with path.open("rb") as file:
            signed = checkpoints.parse(file.read(NOTE_BYTES_MAX + 1))
    except OSError as error:
        raise EvidenceError(f"{path}: cannot be read: {error.strerror}") from error
    except EvidenceError as error:
        raise EvidenceError(f"{path}: {error}") from error
    if signed.checkpoint.origin != ident.origin:
        raise EvidenceError(f"{path}: a checkpoint of the log {signed.checkpoint.origin}; this one is {ident.origin}")
    return Promise(str(path), signed)


def newest_of(store: Path, ident: Identity) -> Anchored:
    """Return the newest copy at each anchor of a store. One that cannot be read hinders nobody: `verify` tells of it."""
    promises, unread = [], []
    for place in places_of(store):
        try:
            found = copies_at(place, ident)[-1:] if place.is_dir() or place.is_file() else []  # A pipe would never end.
            promises += [read(one, ident) for one in found]
            unread += [] if found else [f"{place}: there is no copy of a checkpoint of this log"]
        except (EvidenceError, OSError) as error:
            unread.append(str(error))
    return Anchored(promises, unread)


def check(promises: list[Promise], tlog: Path, place: str) -> None:
    """Raise ReplacedLogError where the published tree of a store does not begin with a copy, as far as there are tiles to tell.

    That the log is not shorter than a copy is for whoever opens it.
    """
    try:
        newest(FolderShelf(tlog))
    except LogError:
        return  # `verify` tells of it.
    for one in promises:
        old = one.signed.checkpoint
        try:
            path_between(tlog, old)
        except EvidenceError as error:
            reason = f"its tree does not begin with the checkpoint over {old.size} records in {one.file} ({error})"
            raise ReplacedLogError(reason, place=place, offset=old.size) from error


def copy(signed: Signed, ident: Identity, place: Path, tlog: Path) -> Path:
    """Write a copy of a checkpoint to a place, in which it replaces nothing newer; return the file.

    tlog: the published folder, whose tree must begin with the newest copy there. Raises EvidenceError where another log's is there, ReplacedLogError where a newer one, or one with another history, is.
    """
    new = signed.checkpoint
    for one in copies_at(place, ident)[-1:]:
        try:
            promise = read(one, ident)
        except EvidenceError as error:
            raise EvidenceError(f"{error}; it stays as it is") from error
        old = promise.signed.checkpoint
        if old.size > new.size or (old.size == new.size and old.root != new.root):
            reason = (
                f"{one} holds a checkpoint over {old.size:,} records with another history than this log of {new.size:,}"
            )
            raise ReplacedLogError(reason, place=ident.origin, offset=new.size)
        check([promise], tlog, ident.origin)
    target = place / f"{ident.log_id.hex()}-{new.size:020d}{SUFFIX}" if place.is_dir() else place
    shelf = FolderShelf(target.parent)
    if shelf.read(target.name) != signed.data:
        shelf.write(target.name, signed.data, durable=True)
    return target


def copy_to_all(store: Path, signed: Signed, ident: Identity, tlog: Path) -> Iterator[LogError]:
    """Copy a checkpoint to all anchors of a store; yield what hindered it, place by place."""
    for place in places_of(store):
        try:
            if not place.parent.is_dir():
                raise EvidenceError(f"{place}: the anchor cannot be reached")
            copy(signed, ident, place, tlog)
        except LogError as error:
            yield error
