"""Records on their way into a log: the right to append, and what becomes durable together.

Halves of `evlog.log.Log`, whose private parts they use: what they change of it is under its lock.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from evlog import actors, codec, merkle, resume, segment
from evlog.errors import DiskFullError, ForkedError, LogClosedError, RecordTooLargeError, StorageError
from evlog.frame import BODY_MAX, RECORD, SYNC, pack, pack_body
from evlog.records import Entry, Record

if TYPE_CHECKING:
    from types import TracebackType

    from evlog import recovery
    from evlog.actors import Signer
    from evlog.log import Log

RESERVE_BYTES_MIN: Final = 16 * 1024
RESERVE_BYTES_MAX: Final = 1024 * 1024


class Claim:
    """The writer lock of a log, as a `with` block that yields the Group to append."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __enter__(self) -> Group:
        return self._log._enter()  # noqa: SLF001 - two halves of one thing

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log._leave()  # noqa: SLF001 - two halves of one thing


class Group:
    """Records that become durable together: `add` each, then `commit` once. Without `commit` nothing happened."""

    def __init__(self, log: Log, active: recovery.Active) -> None:
        self._log, self._active = log, active
        self._tip = active.tip.copy()
        self._synced = active.tip.end
        self._frames: list[bytes] = []
        self._position = active.position
        self._index: list[int] = []
        self._first_us = active.first_us
        self._noted = active.is_due
        if self._noted:
            # It rides along: what it speaks of is durable already, and no write or sync is made for it alone.
            self._frames.append(resume.pack_state(active.state, self._tip, seed=log.seed))
            self._position += len(self._frames[0])

    @property
    def end(self) -> int:
        """Return the offset the next record gets."""
        return self._tip.end

    @property
    def full(self) -> bool:
        """Tell whether the segment is full, so that the next record belongs to the next group."""
        return self._log.fills_segment(self._tip.end - self._active.base, self._position)

    def now(self) -> int:
        """Return the time, in microseconds since 1970, for the next record: the clock's, but later than that of any record."""
        return max(self._log._clock(), self._tip.time_us + 1)  # noqa: SLF001 - the log's other half

    def add(self, record: Record, time_us: int | None = None, signer: Signer | None = None) -> Entry:
        """Give a record its offset and time and keep it for `commit`.

        time_us: what `now` said before the record was decided; the time of adding if None. signer: the key of its actor, who signs it.
        Raises RecordTooLargeError, EvidenceError for a key that does not sign; the group goes on without it.
        """
        log = self._log
        if log._group is not self:  # noqa: SLF001 - the log's other half
            raise _over()
        envelope, changes, body = packed(record)
        if signer is not None:
            record = Record(actors.sign(signer, log.origin, record.envelope, changes), record.changes)
            envelope, changes, body = packed(record)
        tip = self._tip
        offset, prev = tip.end, tip.prev
        if time_us is None:
            time_us = self.now()
        entry = merkle.leaf(kind=RECORD, flags=0, offset=offset, time_us=time_us, envelope=envelope, changes=changes)
        frame = pack(
            RECORD,
            body,
            changes=len(changes),
            offset=offset,
            time_us=time_us,
            synced=self._synced,
            prev=prev,
            seed=log.seed,
        )
        position = self._position
        self._position = position + len(frame)  # First, and the frame last: `commit` then sees if this was interrupted.
        tip.add(entry, time_us)
        segment.note_position(self._index, offset, self._active.base, position)
        self._first_us = self._first_us or time_us
        self._frames.append(frame)
        return Entry(offset, time_us, record)

    def commit(self) -> None:
        """Make what was added durable: one write, one sync, then HEAD. Raises StorageError, which closes the log."""
        if self._tip.end > self._synced:
            self._write()
            self._log._dirty = True  # noqa: SLF001 - the log's other half

    def _write(self) -> None:
        log = self._log
        if log._group is not self:  # noqa: SLF001 - the log's other half
            raise _over()
        if os.getpid() != log._pid:  # noqa: SLF001 - the log's other half
            raise ForkedError(opened_by=log._pid, used_by=os.getpid())  # noqa: SLF001 - the log's other half
        active, frames, before = self._active, self._frames, self._active.position
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        assert self._position == active.position + len(data), "an `add` was interrupted, and its caller went on"
        log._group = None  # noqa: SLF001 - even if this fails, it is not tried again
        written = False
        try:
            active.file.write(data, active.position)
            written = True
            if self._position > active.reserved:
                _reserve(active, self._position)
            active.file.sync()
            active.tip, active.position, active.first_us = self._tip, self._position, self._first_us
            active.index.extend(self._index)
            active.synced = False
            if self._noted:
                self._note(before)
            log._move_head()  # noqa: SLF001 - the log's other half
        except BaseException as error:
            if isinstance(error, DiskFullError) and not written and _taken_back(active):
                raise DiskFullError(
                    "nothing was put: free some space, then put again", file=active.file.name, cause=error.cause
                ) from error
            log._poison(error)  # noqa: SLF001 - the log's other half
            raise

    def _note(self, position: int) -> None:
        active, mark = self._log._writer()  # noqa: SLF001 - the log's other half
        active.noted_end, active.noted_position = self._synced, position
        mark.point(active.base, position)

    def sync(self) -> None:
        """Write a SYNC frame, or the CHECKPOINT frame that is due, which says the same: everything before it is durable."""
        active, tip = self._active, self._tip
        if active.synced or tip.end > self._synced:
            return
        if not self._frames:
            frame = pack(
                SYNC,
                b"",
                changes=0,
                offset=tip.end,
                time_us=tip.time_us,
                synced=tip.end,
                prev=tip.prev,
                seed=self._log.seed,
            )
            self._frames, self._position = [frame], active.position + len(frame)
        self._write()
        active.synced, self._log._dirty = True, False  # noqa: SLF001 - the log's other half


def packed(record: Record) -> tuple[bytes, list[bytes], bytes]:
    """Return the stored envelope and changes of a record, and the body of both. Raises RecordTooLargeError."""
    envelope, changes = codec.encode(record)
    body = pack_body(envelope, changes)
    if len(body) > BODY_MAX:
        raise RecordTooLargeError(len(body), limit=BODY_MAX)
    return envelope, changes, body


def _reserve(active: recovery.Active, position: int) -> None:
    """Write zeros behind a frame that ends at a position. Where there is no room for them, it goes without.

    A sync that finds the file as long as before needs no journal: on ext4 it costs half. Zeros to the end of the file are no frames.
    """
    size = min(max(position, RESERVE_BYTES_MIN), RESERVE_BYTES_MAX)
    with contextlib.suppress(DiskFullError):
        active.file.write(bytes(size), position)
        active.reserved = position + size


def _taken_back(active: recovery.Active) -> bool:
    """Cut off what a write left that found no room, and tell whether that worked: then the file is what it was before.

    Unlike after a failed sync, nothing that was on the disk is in doubt.
    """
    try:
        active.file.truncate(active.position)
        active.file.sync()
    except StorageError:
        return False
    active.reserved = 0
    return True


def _over() -> LogClosedError:
    return LogClosedError("this group is over, committed or left: claim the log again")
