"""BACKUP: what a backup holds, as JSON that a person can read. It lies beside the files it speaks of and is written last.

{"format": 1, "log_id": hex, "origin": "evlog/...", "end": records, "root": hex, "made": RFC 3339, "version": "evlog 0.1",
 "files": [{"name": "LOGID", "size": bytes, "sha256": hex}, {"name": "00000000000000000000.seg", ...}, ...]}

Each file is as it was when the backup was made at least up to its size: what an interrupted, later backup put behind that is
not part of it. `made` is when HEAD was read: as of any moment before, the backup knows what the store held.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from evlog import identity, segment
from evlog.errors import UNDECODABLE, DamagedBackupError, FormatVersionError
from evlog.files import UNFINISHED, write_whole

if TYPE_CHECKING:
    from evlog.files import Folder

NAME: Final = "BACKUP"
STARTED: Final = (
    f"{NAME}{UNFINISHED}"  # There from the first moment on: so a folder whose first backup was interrupted is known.
)
FORMAT_VERSION: Final = 1
_SHA256_HEX: Final = 64
_LOG_ID_HEX: Final = 32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Copied(msgspec.Struct, frozen=True):
    """A file of a backup: its first `size` bytes and their SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds. end: records; root: of their tree, in hexadecimal; files: LOGID, then the segments in order."""

    format: int
    log_id: str
    origin: str
    end: int
    root: str
    made: datetime
    version: str
    files: list[Copied]

    @property
    def made_us(self) -> int:
        """Return when the backup was made, microseconds since 1970."""
        return (self.made - _EPOCH) // timedelta(microseconds=1)

    @property
    def segments(self) -> dict[int, Copied]:
        """Return the segments by their base offset, ascending."""
        return {base: file for file in self.files if (base := segment.base_of(file.name)) is not None}


def read(folder: Folder) -> Manifest | None:
    """Return the manifest of a backup, None where there is none. Raises FormatVersionError, DamagedBackupError."""
    try:
        file = folder.open(NAME)
    except FileNotFoundError:
        return None
    with closing(file):
        data = file.read(file.size(), 0)
    place = folder.describe(NAME)
    try:
        found = msgspec.json.decode(data, type=Manifest)
    except UNDECODABLE as error:
        _refuse_newer(data, place)
        raise DamagedBackupError(place, f"the manifest cannot be read ({error})") from None
    if found.format > FORMAT_VERSION:
        raise FormatVersionError(f"the backup {place}", found=found.format, known=FORMAT_VERSION)
    if (reason := _fault(found)) is not None:
        raise DamagedBackupError(place, reason)
    return found


def _refuse_newer(data: bytes, place: str) -> None:
    """Raise FormatVersionError for a manifest of a later release, whatever its other fields are."""
    try:
        said = msgspec.json.decode(data)
    except UNDECODABLE:
        return
    version = said.get("format") if isinstance(said, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise FormatVersionError(f"the backup {place}", found=version, known=FORMAT_VERSION)


def _fault(found: Manifest) -> str | None:
    """Return what is wrong with a manifest, None for a sound one."""
    bases = list(found.segments)
    if [file.name for file in found.files] != [identity.NAME, *map(segment.name_of, bases)] or bases != sorted(
        set(bases)
    ):
        return "the manifest does not list LOGID and the segments in order"
    if not bases or bases[0] != 0 or bases[-1] > found.end:
        return "the manifest lists other segments than its records are in"
    if any(file.size < 0 for file in found.files) or not all(
        _is_hex(text, _SHA256_HEX) for text in [found.root, *(file.sha256 for file in found.files)]
    ):
        return "the manifest holds a size or a hash that is none"
    if not _is_hex(found.log_id, _LOG_ID_HEX):
        return "the manifest holds an id of a log that is none"
    return "the time has no zone" if found.made.tzinfo is None else None


def _is_hex(text: str, digits: int) -> bool:
    try:
        return len(text) == digits and bytes.fromhex(text).hex() == text  # In one spelling only.
    except ValueError:
        return False


def write(folder: Folder, manifest: Manifest) -> None:
    """Write a manifest; the one before is there until this one is, whole and durable."""
    write_whole(folder, NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    folder.sync_names()
