"""The manifest of a snapshot: `manifest.json`, which says of which log it is, how far it goes, and which files belong to it.

It is written last and takes its place in one step, so what it lists is there, whole. Nothing else in the folder counts.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from evlog import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evlog.files import RealFolder

NAME: Final = "manifest.json"
UNFINISHED: Final = f"{NAME}{files.UNFINISHED}"
FORMAT: Final = 1


class SnapshotError(Exception):
    """Base of what is wrong with a snapshot, or with the store beside it.

    SnapshotError
    ├── ForeignFolderError   the folder holds something else: files of somebody, or a snapshot of another store
    ├── BrokenSnapshotError  a file of it is gone or is not what was written
    └── OtherHistoryError    the store has lost records, or others took their place, since the snapshot was made
    """


class ForeignFolderError(SnapshotError):
    """The folder holds something else."""


class BrokenSnapshotError(SnapshotError):
    """A file of the snapshot is not what was written."""


class OtherHistoryError(SnapshotError):
    """The log is not the one that the snapshot was made of, or no longer."""


class File(msgspec.Struct, frozen=True):
    """One Parquet file: the rows of a table that the records [start, stop) put, all in one month (UTC)."""

    path: str  # Below the snapshot's folder, with slashes.
    table: str
    month: str
    start: int
    stop: int
    rows: int
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot holds: the first `end` records of a log. root: of the Merkle tree over them, hexadecimal."""

    format: int
    log_id: str
    origin: str
    end: int
    root: str
    files: list[File]


class _Formatted(msgspec.Struct):
    format: int


def read(folder: Path) -> Manifest | None:
    """Return the manifest in a folder, None where there is none. Raises BrokenSnapshotError."""
    path = folder / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = msgspec.json.decode(data, type=_Formatted).format
        if found != FORMAT:
            raise ForeignFolderError(f"{path}: made by another release (format {found}, this one knows {FORMAT})")
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise BrokenSnapshotError(f"{path}: cannot be read: {error}; make a new snapshot in another folder") from error


def write(folder: RealFolder, manifest: Manifest) -> None:
    """Put a manifest in the place of the one before, in one step."""
    files.write_whole(folder, NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    folder.sync_names()


def missing(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with the files of a snapshot at a glance: those that are gone or of another size."""
    for file in manifest.files:
        try:
            size = (folder / file.path).stat().st_size
        except FileNotFoundError:
            yield f"{file.path}: is gone"
            continue
        if size != file.size_bytes:
            yield f"{file.path}: has {size:,} bytes, {file.size_bytes:,} were written"


def damaged(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with the files of a snapshot, every byte looked at."""
    gone = list(missing(folder, manifest))
    yield from gone
    wrong = {line.split(": ", 1)[0] for line in gone}
    for file in manifest.files:
        if file.path not in wrong and sha256(folder / file.path) != file.sha256:
            yield f"{file.path}: is not what was written: its SHA-256 differs"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
