"""Sealed segments, compressed in place: checked, written anew, checked again, and only then is the file before removed.

Order, each step durable before the next: the segment is read again from the device and is what its seal says; the compressed file is
written under a name that no reader knows, and synced; it is read again from the device and is, decompressed, the same bytes; it gets
its name and mode 0444; the file that it replaces is removed. While both have their names, the one as written is read. What a crash
leaves is finished, or written anew, by the next run.

A segment is compressed once HEAD speaks of a later one: whoever appends, and has it open still, learns from HEAD to go on. The lock is
held for one segment at a time, and is not that of those who append: they never wait.
"""

from __future__ import annotations

import errno
from contextlib import closing, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog import head, recovery, segment
from evlog.errors import CorruptLogError, LogError, storage_error
from evlog.files import UNFINISHED, held
from evlog.seekable import BLOCK_BYTES, SeekableFile, compressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from evlog.files import File, Folder
    from evlog.segment import Seal

    Breathe = Callable[[], object]
    Tell = Callable[[int, int], None]

LOCK_NAME: Final = "COMPRESS"


class Compressed(NamedTuple):
    """A segment that was compressed, its bytes before and after."""

    base: int
    size: int
    size_compressed: int


def waiting(folder: Folder, *, seed: int) -> list[int]:
    """Return the bases of the segments that can be compressed and are not; none where HEAD is lost, and with it what is written to."""
    mark = head.read(folder, seed=seed)
    if mark is None:
        return []
    names = frozenset(folder.names())
    return [base for base in segment.bases(folder) if base < mark.base and segment.name_of(base) in names]


def compress_all(folder: Folder, *, seed: int, tell: Tell | None = None) -> list[Compressed]:
    """Compress every segment that waits, each frame, link and leaf of it checked; return those that were.

    tell: told (bytes done, bytes in all). Raises CorruptLogError for a damaged segment, which stays as it is, StorageError.
    """
    sizes = {base: segment.size_of(folder, base) for base in waiting(folder, seed=seed)}
    done, total, found = 0, sum(sizes.values()), []
    for base, size in sizes.items():
        with closing(folder.lock(LOCK_NAME)) as lock, held(lock):
            one = compress(folder, base, seed=seed, frames=True)
        if one is not None:
            found.append(one)
        done += size
        if tell is not None:
            tell(done, total)
    return found


def compress(
    folder: Folder, base: int, *, seed: int, frames: bool, breathe: Breathe = lambda: None
) -> Compressed | None:
    """Compress one of the segments that wait; None where somebody else did. The caller holds the lock.

    frames: walk over all of them too; else all bytes are compared with the digest in the seal, and no more. breathe: called between
    blocks; what it raises ends this, and all is as it was. Raises CorruptLogError for a damaged segment, StorageError.
    """
    name, small = segment.name_of(base), segment.compressed_name_of(base)
    try:
        raw = folder.open(name)
    except FileNotFoundError:
        return None
    with closing(raw):
        raw.forget()
        seal, digest = _check(raw, base, seed=seed, breathe=breathe)
        if frames:
            _walk(folder, seal, seed=seed)
        # Left by a crash, it may be whole, and the bytes of it durable: they were before it got its name.
        if small not in folder.names() or not _holds(folder, small, raw.size(), digest, base, breathe):
            _write(folder, raw, small, digest, base, breathe)
        size = raw.size()
    segment.protect(folder, small)
    folder.sync_names()
    folder.remove(name)
    folder.sync_names()
    with closing(folder.open(small)) as file:
        return Compressed(base, size, file.size())


def _check(raw: File, base: int, *, seed: int, breathe: Breathe) -> tuple[Seal, bytes]:
    """Return the seal of a segment and the SHA-256 of the whole file. Raises CorruptLogError where it is not what the seal says."""
    place = segment.read_seal(raw, seed=seed)
    if place is None or place.seal.base != base:
        raise CorruptLogError("the segment has no valid seal", file=raw.name, position=raw.size(), offset=base)
    digest = sha256()
    for data in segment.pieces(raw, 0, place.position, BLOCK_BYTES):
        digest.update(data)
        breathe()
    if digest.digest() != place.seal.sha256:
        reason = "the bytes before the seal are not those it was made for"
        raise CorruptLogError(reason, file=raw.name, position=place.position, offset=base)
    digest.update(raw.read(raw.size() - place.position, place.position))
    return place.seal, digest.digest()


def _walk(folder: Folder, seal: Seal, *, seed: int) -> None:
    """Check every frame of a segment and that they lead to the root in its seal. Raises CorruptLogError."""
    active = recovery.begin(folder, [seal.base], seed=seed, writable=False)
    try:
        bad = recovery.advance(active, folder, seed=seed, writable=False, stop=seal.end)
        reason = bad.reason if bad is not None else segment.check_seal(seal, active.tip, active.base)
        if reason is not None:
            position = bad.position if bad is not None else active.position
            raise CorruptLogError(reason, file=active.file.name, position=position, offset=active.tip.end)
    finally:
        active.file.close()


def _holds(folder: Folder, name: str, size: int, digest: bytes, base: int, breathe: Breathe) -> bool:
    """Tell whether a compressed file, read from the device, holds so many bytes with this SHA-256."""
    found = sha256()
    with closing(folder.open(name)) as file:
        file.forget()
        try:
            whole = SeekableFile(file, offset=base)
            for data in segment.pieces(whole, 0, whole.size(), BLOCK_BYTES):
                found.update(data)
                breathe()
        except CorruptLogError:
            return False
    return (whole.size(), found.digest()) == (size, digest)


def _write(folder: Folder, raw: File, name: str, digest: bytes, base: int, breathe: Breathe) -> None:
    """Write the compressed form of a file, durable and read again before it gets its name."""
    temporary = name + UNFINISHED
    try:
        with closing(folder.create(temporary)) as file:
            position = 0
            for data in compressed(segment.pieces(raw, 0, raw.size(), BLOCK_BYTES)):
                file.write(data, position)
                position += len(data)
                breathe()
            file.sync()
        if not _holds(folder, temporary, raw.size(), digest, base, breathe):
            cause = OSError(errno.EIO, "what was read again is not what was written")
            raise storage_error("the segment is left as it is", folder.describe(temporary), cause)
        folder.rename(temporary, name)
    except (Exception, KeyboardInterrupt):
        with suppress(LogError, FileNotFoundError):
            folder.remove(temporary)
        raise
