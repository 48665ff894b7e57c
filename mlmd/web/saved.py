"""Saved questions: files NAME.sql in the folder `queries/` of a store, written here or by an editor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog.errors import StorageError
from evlog.files import RealFolder, write_whole
from mlmd.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = "queries"
BYTES_MAX: Final = 1 << 20
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SUFFIX: Final = ".sql"
_LISTED_MAX: Final = 500


class Saved(NamedTuple):
    """A saved question: its name, and its first line, which may be a comment that says what it asks."""

    name: str
    about: str


def listed(place: Path | None) -> list[Saved]:
    """Return the saved questions of a store, by name. What cannot be read is left out."""
    if place is None or not (place / FOLDER).is_dir():
        return []
    names = sorted(path.stem for path in (place / FOLDER).glob(f"*{_SUFFIX}") if _NAME.fullmatch(path.stem))
    found = []
    for name in names[:_LISTED_MAX]:
        try:
            text = read(place, name)
        except (InvalidArgumentError, NotFoundError):
            continue
        found.append(Saved(name, text.strip().split("\n", 1)[0].removeprefix("--").strip()))
    return found


def read(place: Path | None, name: str) -> str:
    """Return the text of a saved question. Raises NotFoundError; InvalidArgumentError for what is no name, or a file that is no text."""
    _check(name)
    path = None if place is None else place / FOLDER / f"{name}{_SUFFIX}"
    if path is None or not path.is_file():
        raise NotFoundError(f"saved: there is no question {name!r} in the folder {FOLDER}/ of the store")
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
        if len(data) > BYTES_MAX:
            raise InvalidArgumentError(f"{path.name}: has more than {BYTES_MAX:,} bytes")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"{path.name}: cannot be read: {error}") from None


def save(place: Path | None, name: str, text: str, *, replace: bool) -> None:
    """Save a question. Raises InvalidArgumentError, AlreadyExistsError, FailedPreconditionError."""
    _check(name)
    if not text.strip():
        raise InvalidArgumentError("q: write a question to save")
    data = (text.replace("\r\n", "\n").rstrip() + "\n").encode()
    if len(data) > BYTES_MAX:
        raise InvalidArgumentError(f"q: {len(data):,} bytes; {BYTES_MAX:,} at most")
    if place is None:
        raise FailedPreconditionError("a store in memory has no folder to save a question in")
    if not replace and (place / FOLDER / f"{name}{_SUFFIX}").exists():
        raise AlreadyExistsError(
            f"there is a question {name!r} already: choose another name, or tick that it is to be replaced"
        )
    try:
        folder = RealFolder(place / FOLDER, create=True)
        write_whole(folder, f"{name}{_SUFFIX}", data)
        folder.sync_names()
    except (OSError, StorageError) as error:
        raise FailedPreconditionError(f"{FOLDER}/{name}{_SUFFIX}: cannot be written: {error}") from None


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgumentError(f"name: {name!r}: up to 64 of a-z, 0-9, _ and -, the first a letter or digit")
