"""The digest of a file's or folder's content: the same bytes are the same version, wherever they lie.

A file's is the SHA-256 of its bytes, as `sha256sum` prints it. A folder's is the SHA-256 of a list of what is under it, in the order of
the paths as bytes, each `HEX  PATH` and a zero byte: as `sha256sum -z` writes it. PATH is relative, with / between the parts; HEX is that
of the file. A folder with nothing in it is `-  PATH/`. A link to a file is that file; one to a folder is not followed, but is
`@  PATH  TARGET`. Times, owners and modes do not count.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from mlmd.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREFIX: Final = "sha256:"
_HEX: Final = frozenset("0123456789abcdef")
_HEX_SIZE: Final = 64
_LOG: Final = logging.getLogger(__name__)
_CHUNK: Final = 1 << 20
_TELL_S: Final = 5.0
_SETTLED_NS: Final = 2 * 10**9
_REMEMBERED_MAX: Final = 10_000

# A file of the same size and times is not read again. Only one that had not been touched for a while when it was read: times are coarse.
_REMEMBERED: Final[dict[tuple[int, ...], str]] = {}


class Digest(NamedTuple):
    """What a place holds. digest: "sha256:HEX"; bytes: of all its files."""

    digest: str
    bytes: int


def digits_of(text: str) -> str | None:
    """Return the digits of "sha256:HEX", or of HEX alone, which are small letters; None for any other text."""
    digits = text.removeprefix(PREFIX)
    return digits if len(digits) == _HEX_SIZE and _HEX.issuperset(digits) else None


class _Reader:
    """Reads one place; says now and then how far it is. told: (bytes read), else a line of the log after some seconds."""

    def __init__(self, place: Path, told: Callable[[int], None] | None) -> None:
        self._place, self._told = place, told
        self._read = 0
        self._next_s = time.monotonic() + _TELL_S

    def file(self, path: Path) -> Digest:
        """Return the digest of a file, as hexadecimal digits. Raises InvalidArgumentError for what is neither file nor folder."""
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InvalidArgumentError(f"{path}: neither a file nor a folder: it has no content to take a digest of")
        known = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if (found := _REMEMBERED.get(known)) is not None:
            return Digest(found, status.st_size)
        began_ns = time.time_ns()
        hashed, size = hashlib.sha256(), 0
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                hashed.update(chunk)
                size += len(chunk)
                self._tell(len(chunk))
        if size == status.st_size and began_ns - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
            if len(_REMEMBERED) >= _REMEMBERED_MAX:
                _REMEMBERED.clear()
            _REMEMBERED[known] = hashed.hexdigest()
        return Digest(hashed.hexdigest(), size)

    def _tell(self, size: int) -> None:
        self._read += size
        if self._told is not None:
            self._told(self._read)
        elif time.monotonic() > self._next_s:
            self._next_s = time.monotonic() + _TELL_S
            _LOG.warning("%s: taking its digest, %.1f GB so far", self._place, self._read / 1e9)


def digest_of(place: Path, told: Callable[[int], None] | None = None) -> Digest:
    """Return the digest of a file or folder. told: called with the number of bytes read so far.

    Raises InvalidArgumentError for a place that cannot be read, or changes meanwhile.
    """
    reader = _Reader(place, told)
    try:
        if not place.is_dir():
            found = reader.file(place)
            return Digest(PREFIX + found.digest, found.bytes)
        lines = sorted(_lines(place, reader))
    except OSError as error:
        raise InvalidArgumentError(
            f"{error.filename or place}: {error.strerror}: its digest cannot be taken"
        ) from error
    hashed = hashlib.sha256()
    for line in lines:
        hashed.update(line.text)
    return Digest(PREFIX + hashed.hexdigest(), sum(line.bytes for line in lines))


class _Line(NamedTuple):
    """What stands for one file, link or empty folder. path: what it is sorted by."""

    path: bytes
    text: bytes
    bytes: int = 0


def _lines(folder: Path, reader: _Reader) -> Iterator[_Line]:
    """Yield a line for each thing under a folder, in the order of the disk."""
    for place, folders, files in os.walk(folder, onerror=_fail):
        base = Path(place)
        for name in files:
            path = _relative(base / name, folder)
            found = reader.file(base / name)
            yield _Line(path, b"%b  %b\0" % (found.digest.encode(), path), found.bytes)
        for name in folders:
            if (base / name).is_symlink():
                path, target = _relative(base / name, folder), os.fsencode((base / name).readlink())
                yield _Line(path, b"@  %b  %b\0" % (path, target))
        if not files and not folders and base != folder:
            path = _relative(base, folder) + b"/"
            yield _Line(path, b"-  %b\0" % path)


def _relative(path: Path, folder: Path) -> bytes:
    return os.fsencode(path.relative_to(folder).as_posix())


def _fail(error: OSError) -> None:
    raise error
