"""What can go wrong with a log, each with the facts as attributes.

LogError
├── NoLogError              there is no log where one was expected
├── FormatVersionError      written by a newer release: upgrade to read it
├── CorruptLogError         acknowledged bytes are damaged or gone; nothing is cut, nothing is opened for writing
│   ├── MissingSegmentError     a segment file is gone
│   └── LostRecordsError        the log ends before what was acknowledged
├── ReplacedLogError        another log, or another history, where this one was
├── UnknownTagError         a record holds a change this release does not know
├── SealedValueError        a sealed personal value cannot be opened
│   ├── MissingKeyError         its key is gone, and no erasure names it
│   └── BrokenSealError         it is not what was sealed, or the key is not the one
├── BrokenKeysError         a file beside the keys of subjects cannot be read
├── UnknownSubjectError     there is no key of a subject that shall be erased
├── RecordTooLargeError     one put is over the limit of a frame
├── LogClosedError          closed, or poisoned by a failed write: reopen
├── ForkedError             opened before fork(), used after it: reopen in the child
├── FutureError             a moment after the end of the log was asked for
├── BackupError             a folder cannot take this backup, or is none
│   ├── DivergedError           the store and its backup are not one history any more
│   └── DamagedBackupError      a backup does not hold what it says it holds
├── RepairError             a log cannot be mended with what is at hand, or a loss is not the one that was named
│   └── LackingError            no copy has records that the log lost, or nothing says that a copy's are those
├── EvidenceError           a note, key, proof or policy is not what it must be, or does not prove what it should
├── WorkerDiedError         a process that worked for this one ended before its work was done
└── StorageError            the device refused
    ├── ReadOnlyError           read-only medium or read-only opening
    └── DiskFullError           no space left
"""

from __future__ import annotations

import errno
from typing import Final

import msgspec

# What msgspec raises for bytes that are not what they should be: text that is no UTF-8, and nesting without end, have errors of their own.
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class LogError(Exception):
    """Base of everything this package raises on purpose."""


class NoLogError(LogError):
    """There is no log where one was expected."""

    def __init__(self, place: str) -> None:
        super().__init__(f"{place}: there is no log here; create a store with `evlog init` or name another folder")
        self.place = place


class FormatVersionError(LogError):
    """The log or a record was written in a format that this release does not read."""

    def __init__(self, what: str, *, found: int, known: int) -> None:
        super().__init__(
            f"{what} has format version {found}, this release reads up to {known}: upgrade evlog-mlmd to open it"
        )
        self.found, self.known = found, known


class CorruptLogError(LogError):
    """Acknowledged bytes fail their check. Opening refuses, and never cuts them off."""

    def __init__(self, reason: str, *, file: str, position: int, offset: int) -> None:
        super().__init__(
            f"{file}: byte {position} (offset {offset}): {reason}; nothing was changed: "
            "`evlog verify` gives the full report, `evlog repair --from COPY` takes what is damaged from a copy"
        )
        self.reason, self.file, self.position, self.offset = reason, file, position, offset


class MissingSegmentError(CorruptLogError):
    """A segment file that must exist does not."""


class LostRecordsError(CorruptLogError):
    """The log ends before a record that was acknowledged."""


class ReplacedLogError(LogError):
    """Where a log was read, or a view made of it, there is another log now, or one with another history."""

    def __init__(self, reason: str, *, place: str, offset: int) -> None:
        super().__init__(
            f"{place}: the log is not the one that was read up to offset {offset}: {reason}; nothing was changed: "
            "put the log back, or make anew what was made from it"
        )
        self.reason, self.place, self.offset = reason, place, offset


class UnknownTagError(LogError):
    """A record holds a kind of change that this release does not know; skipping it would be a lie."""

    def __init__(self, reason: str, *, offset: int) -> None:
        super().__init__(
            f"record {offset} cannot be read by this release ({reason}): upgrade evlog-mlmd; nothing was skipped"
        )
        self.reason, self.offset = reason, offset


class SealedValueError(LogError):
    """A sealed personal value cannot be opened. key_id: of the key that it needs; offset: of its record, -1 where that is not known."""

    def __init__(self, reason: str, *, key_id: bytes, offset: int = -1) -> None:
        where = f"record {offset}: " if offset >= 0 else ""
        super().__init__(f"{where}a value sealed under key {key_id.hex()} cannot be opened: {reason}")
        self.reason, self.key_id, self.offset = reason, key_id, offset


class MissingKeyError(SealedValueError):
    """The key of a subject is not there, and no record says that it was erased."""

    def __init__(self, *, key_id: bytes, place: str, offset: int = -1) -> None:
        reason = (
            f"the key is not in {place}, and no record says that it was erased: put that folder back from a copy, or, if the keys"
            " are gone for good, put that on record with `evlog erase --lost-keys`"
        )
        super().__init__(reason, key_id=key_id, offset=offset)
        self.place = place


class BrokenSealError(SealedValueError):
    """A sealed value, or the key in its file, is not what it was."""


class BrokenKeysError(LogError):
    """A file beside the keys of subjects cannot be read."""


class UnknownSubjectError(LogError):
    """Nothing is sealed for a subject. erased: the offsets of the records that erased it before."""

    def __init__(self, subject: str, *, erased: list[int]) -> None:
        before = f"it was erased by {', '.join(f'#{offset}' for offset in erased)}, and " if erased else ""
        what = f"subject {subject!r}: {before}nothing is sealed for it now" if subject else "no key is lost"
        super().__init__(f"{what}; nothing was changed")
        self.subject, self.erased = subject, erased


class RecordTooLargeError(LogError):
    """One record is larger than a frame may be."""

    def __init__(self, size: int, *, limit: int) -> None:
        super().__init__(f"one put of {size:,} bytes is over the limit of {limit:,}: split it into several puts")
        self.size, self.limit = size, limit


class LogClosedError(LogError):
    """The log was closed, or a failed write closed it."""


class ForkedError(LogError):
    """The log was opened in another process (before a fork)."""

    def __init__(self, *, opened_by: int, used_by: int) -> None:
        super().__init__(
            f"opened by process {opened_by}, used by its child {used_by}: "
            "a fork shares file positions and locks; open the store anew in the child"
        )
        self.opened_by, self.used_by = opened_by, used_by


class FutureError(LogError):
    """A moment was asked for that the log has not reached."""

    def __init__(self, *, asked: object, end: int) -> None:
        super().__init__(f"{asked} is a moment that the log has not reached: it ends at offset {end}")
        self.asked, self.end = asked, end


class BackupError(LogError):
    """A folder cannot take the backup that was asked for, or holds none."""


class DivergedError(BackupError):
    """The backup holds records that the store does not: the store lost or rewrote them, or somebody put into the backup."""

    def __init__(self, place: str, *, offset: int, backup_end: int, end: int) -> None:
        what = "the store ends there" if offset == end else "from there on they are two histories"
        super().__init__(
            f"{place}: the backup holds {backup_end:,} records, the store {end:,}, and they part at #{offset:,}: {what};"
            " nothing was changed: keep both, and back up to another folder"
        )
        self.offset, self.backup_end, self.end = offset, backup_end, end


class DamagedBackupError(BackupError):
    """A file of a backup is not what its manifest says."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}: this backup cannot be trusted; make a new one in another folder")
        self.file = file


class RepairError(LogError):
    """A log cannot be mended, or cut, as was asked. Nothing was changed."""


class LackingError(RepairError):
    """Records are gone, and no copy at hand has them, or has them so that anything says that they are the same.

    The log is whole up to `offset`; `known` records were acknowledged.
    """

    def __init__(self, reason: str, *, file: str, offset: int, known: int) -> None:
        super().__init__(
            f"{file}: {reason}; nothing was changed: name a copy that has them (--from), a checkpoint over them (--checkpoint),"
            f" or accept that the log ends at offset {offset}"
        )
        self.reason, self.file, self.offset, self.known = reason, file, offset, known


class EvidenceError(LogError):
    """A note, a key, a proof or a policy is not what it must be, or does not prove what it should."""


class WorkerDiedError(LogError):
    """A process that checked a segment for this one was killed, or could not go on."""

    def __init__(self, file: str, code: int) -> None:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        super().__init__(
            f"{file}: the process that checked it {how}, so nothing can be said of the log; run it again, with one process"
        )
        self.file, self.code = file, code


class StorageError(LogError):
    """The device refused a read, a write or a sync."""

    def __init__(self, what: str, *, file: str, cause: OSError) -> None:
        super().__init__(f"{file}: {what}: {cause.strerror or cause}")
        self.file, self.errno, self.cause = file, cause.errno, cause


class ReadOnlyError(StorageError):
    """The medium, or the way the log was opened, forbids writing."""


class DiskFullError(StorageError):
    """There is no space left; what was acknowledged is safe."""


FORBIDDEN: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Who asks may not: another user, or a disk that is mounted otherwise, may."""


def storage_error(what: str, file: str, cause: OSError) -> StorageError:
    """Return the specific error for what the operating system said."""
    if cause.errno in FORBIDDEN:
        return ReadOnlyError(what, file=file, cause=cause)
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"{what}: free some space, then reopen the store", file=file, cause=cause)
    return StorageError(what, file=file, cause=cause)
