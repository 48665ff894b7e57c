"""The log: records by offset, appended in groups, never changed.

    log/
      LOGID                      which log this is (identity.py)
      LOCK                       flock of the one who appends, taken per group, so many processes may write
      HEAD                       how far it is acknowledged (head.py)
      00000000000000000000.seg   segments, named by their first record (segment.py); the last one is active, others may be .seg.zst
      COMPRESS                   flock of the one who compresses a segment (compression.py)
      quarantine/                every byte recovery ever cut (recovery.py), every file a repair replaced (repair.py)
      ballast                    room to recover with when the device is full (ballast.py)

Append is the commit point: frames in one write, one sync, then HEAD. A record is acknowledged only after that, and from then on
no crash loses it. After a failed write or sync this object appends no more; opening anew recovers. Only a write that found no room, and
could be taken back, leaves it open.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from evlog import ballast, head, identity, recovery, segment
from evlog.author import Author, clock_us
from evlog.compressor import Compressor
from evlog.errors import (
    CorruptLogError,
    DiskFullError,
    ForkedError,
    FutureError,
    LogClosedError,
    MissingSegmentError,
    NoLogError,
    ReadOnlyError,
)
from evlog.files import Folder, Lock, RealFolder, held
from evlog.frame import seed_of
from evlog.group import Claim, Group
from evlog.head import NAME as HEAD_NAME
from evlog.head import Head
from evlog.lookout import Lookout
from evlog.personal import Erasures, Opener
from evlog.reader import Reader
from evlog.records import Entry, Record
from evlog.subject_keys import SubjectKeys
from evlog.tip import Tip
from evlog.upkeep.manifest import NAME as MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evlog.frame import Frame
    from evlog.head import Mark
    from evlog.records import LogRecovered
    from evlog.tip import Link

LOCK_NAME: Final = "LOCK"
SEGMENT_RECORDS_MAX: Final = 65_536  # One full tile of the second level, so a sealed segment is one perfect subtree.
SEGMENT_BYTES_ROLL: Final = 64 * 1024 * 1024
SEGMENT_BYTES_MAX: Final = 1024 * 1024 * 1024
WRITER: Final = "evlog 0.1"


class Log:
    """An open log. Made by `create` and `open`; one object may be used by many threads, appends one at a time."""

    def __init__(self, folder: Folder, ident: identity.Identity, *, writable: bool, clock: Callable[[], int]) -> None:
        self.folder, self.id, self.origin, self.writable = folder, ident.log_id, ident.origin, writable
        self.seed = seed_of(ident.log_id)
        self._clock = clock
        self.subject_keys = SubjectKeys(folder, ident.log_id)
        self._erasures = Erasures(self.subject_keys, self.frames, self._end_of_all)
        self._reader = Reader(folder, self.seed, self.opener)
        self._pid = os.getpid()
        self._closed = ""
        self._head: Head | None = None  # Only of a writer, as the next.
        self._active: recovery.Active | None = None  # Moved under the lock.
        self._lookout = Lookout(folder, ident.log_id, self.seed, lambda: self._read_tip(None).end)  # Of a reader.
        self._end_at_close = 0
        self._lock: Lock | None = None
        self._group: Group | None = None  # The one that may write now. Set under the lock.
        self._compressor: Compressor | None = None  # Of a writer that was asked for it.
        self._dirty = False  # This object appended since the last SYNC frame.
        self._unreported: list[LogRecovered] = []  # What was cut and is not on record yet.
        self.recovered: LogRecovered | None = None

    # Opening --------------------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        folder: Folder | Path,
        *,
        create: bool = False,
        writable: bool = True,
        acknowledged: int = 0,
        compress: bool = False,
        clock: Callable[[], int] = clock_us,
    ) -> Log:
        """Open the log in a folder and recover it, if it is opened for writing.

        create: make it where there is none. acknowledged: records that a witness (a view) knows to be durable.
        compress: do so with sealed segments, in the background. clock: microseconds since 1970. Raises NoLogError, FormatVersionError, CorruptLogError, StorageError.
        """
        if isinstance(folder, Path):
            folder = RealFolder(folder, create=create and writable)
        if not writable:
            log = cls(folder, _identity(folder, create=False), writable=False, clock=clock)
            with contextlib.ExitStack() as on_error:
                on_error.callback(log._let_go)
                log._open_for_reading(acknowledged)
                on_error.pop_all()
            return log
        if not create:
            _identity(folder, create=False)  # Before the lock's file is made: where there is no log, nothing appears.
        try:
            log = cls._open_locked(folder, acknowledged, clock, create=create, compress=compress)
        except DiskFullError:
            if not ballast.give_up(folder):
                raise
            log = cls._open_locked(folder, acknowledged, clock, create=create, compress=compress)
        ballast.keep(folder)
        return log

    @classmethod
    def _open_locked(
        cls, folder: Folder, acknowledged: int, clock: Callable[[], int], *, create: bool, compress: bool
    ) -> Log:
        with contextlib.ExitStack() as on_error:
            lock = on_error.enter_context(contextlib.closing(folder.lock(LOCK_NAME)))
            with held(lock):
                log = cls(folder, _identity(folder, create=create), writable=True, clock=clock)
                on_error.callback(log._let_go)
                log._open_for_writing(acknowledged)
            on_error.pop_all()
        log._lock = lock
        if compress:
            log._compressor = Compressor(folder, log.seed)
            log._compressor.look()
        return log

    def _open_for_reading(self, acknowledged: int) -> None:
        recovery.check_sealed(self.folder, segment.bases(self.folder), seed=self.seed)
        self.refresh()
        self.reach(acknowledged)

    def _open_for_writing(self, acknowledged: int) -> None:
        if HEAD_NAME in self.folder.names():
            self._head = Head(self.folder.open(HEAD_NAME, writable=True), self.seed)
        else:
            self.folder.sync_names()  # LOGID first: without it, whatever else is there is damage.
            self._head = Head(self.folder.create(HEAD_NAME), self.seed)
        self._head.changed()
        mark = self._head.mark
        bases = segment.bases(self.folder)
        if not bases:
            if max(acknowledged, mark.end if mark else 0) > 0:
                raise self._gone()
            self._start_segment(None)
        else:
            recovery.check_sealed(self.folder, bases, seed=self.seed)
            point = self._head.checkpoint
            self._active = recovery.begin(self.folder, bases, seed=self.seed, writable=True, checkpoint=point)
            self._continue(acknowledged)
        identity.write_again(self.folder, identity.Identity(self.id, self.origin))
        self.folder.sync_names()
        self._move_head()
        self._report()

    def _continue(self, acknowledged: int = 0, *, catching_up: bool = False) -> None:
        """Read on to the end and make it safe to build on."""
        active, head = self._writer()
        mark = head.mark if catching_up else None  # Opening looks at every byte there is behind a checkpoint.
        bad = recovery.advance(active, self.folder, seed=self.seed, writable=True, mark=mark)
        recovery.settle(active, bad, self.folder, mark=head.mark, acknowledged=acknowledged, seed=self.seed)
        if head.mark is None or head.mark.base != active.base:
            self.folder.sync_names()  # Whoever made this segment may have died before its name was durable.
        cut = None
        if bad is not None:
            self._move_head()  # Should this writer die before its report, the others see that there is something to see.
            cut = recovery.cut(active, bad, self.folder)
        found = recovery.unreported(self.folder, active.tip.end)
        if found and cut is None:
            recovery.cut_again(active)
        self._unreported = [cut if cut and cut.quarantine == one.quarantine else one for one in found]
        self.recovered = cut or next(iter(found), self.recovered)
        if active.position == 0:
            self._write_segment_header()
        if active.sealed:
            self._start_segment(active)

    def _report(self) -> None:
        """Put what recovery cut on record."""
        if not self._unreported:
            return
        active, _ = self._writer()
        if self.fills_segment(active.tip.end - active.base, active.position):
            self._roll(active)
        self._group = group = Group(self, active)
        author = Author()
        group.add(Record(author.envelope("Recover", self._clock()), [*self._unreported]), signer=author.signer)
        group.commit()
        self._unreported = []

    # Appending ------------------------------------------------------------------------------------------------------

    def claim(self) -> Claim:
        """Return the right to append, held while its `with` block runs. Entering catches up with other writers."""
        return Claim(self)

    def _enter(self) -> Group:
        self._usable()
        lock = self._lock
        assert lock is not None, "only a writer gets here"
        lock.acquire()
        try:
            if self._closed:  # By another thread, while this one waited.
                raise LogClosedError(self._closed)
            active, head = self._writer()
            if head.changed() or recovery.unread(active):
                self._continue(catching_up=True)  # Another process appended, or one died after its write.
                self._move_head()
                self._report()
            if self.fills_segment(active.tip.end - active.base, active.position):
                self._roll(active)
            self._group = group = Group(self, active)
        except BaseException as error:  # Even an interrupt: it may have come between two steps of a roll.
            self._poison(error)
            lock.release()
            raise
        return group

    def _leave(self) -> None:
        self._group = None
        if self._lock is not None and os.getpid() == self._pid:  # A child that let go would free its parent's lock.
            self._lock.release()

    def _usable(self) -> None:
        if not self.writable:
            raise ReadOnlyError(
                "opened for reading", file=self.folder.describe(""), cause=OSError(30, "the log is open read-only")
            )
        if self._closed:
            raise LogClosedError(self._closed)
        if (pid := os.getpid()) != self._pid:
            raise ForkedError(opened_by=self._pid, used_by=pid)

    def _poison(self, error: BaseException) -> None:
        why = str(error) or type(error).__name__
        self._closed = self._closed or f"closed after a failure ({why}): reopen the store, which recovers it"

    def _writer(self) -> tuple[recovery.Active, Head]:
        assert self._active is not None, "only a writer gets here"
        assert self._head is not None, "only a writer gets here"
        return self._active, self._head

    def _roll(self, active: recovery.Active) -> None:
        """Seal the full segment and begin the next. Each step is durable before the next: sealed, then succeeded."""
        seal = segment.Seal(
            v=1,
            generation=0,
            base=active.base,
            end=active.tip.end,
            root=active.tip.tree.root(),
            sha256=segment.digest_before(active.file, active.position),
            first_us=active.first_us,
            last_us=active.tip.time_us,
            index=active.index,
        )
        frame = segment.pack_seal(seal, prev=active.tip.prev, seed=self.seed)
        active.file.write(frame, active.position)
        active.file.sync()
        active.position += len(frame)
        self._start_segment(active)
        self._move_head()
        segment.protect(self.folder, segment.name_of(seal.base))
        if self._compressor is not None:
            self._compressor.wake()

    @staticmethod
    def fills_segment(records: int, size: int) -> bool:
        """Tell whether a segment with so many records and bytes takes no more."""
        return (
            records >= SEGMENT_RECORDS_MAX
            or (size >= SEGMENT_BYTES_ROLL and records % segment.INDEX_STEP == 0)
            or size >= SEGMENT_BYTES_MAX
        )

    def _start_segment(self, before: recovery.Active | None) -> None:
        base = before.tip.end if before else 0
        if before is not None:
            # A seal is found from the end of its file. Even where nothing is left to cut: an earlier sync of it may have failed.
            before.file.truncate(before.position)
            before.file.sync()
        file = self.folder.create(segment.name_of(base))
        if before is None:
            self._active = recovery.Active(file, base=0, number=0, tip=Tip())
        else:
            before.enter(file)
        self._write_segment_header()
        self.folder.sync_names()

    def _write_segment_header(self) -> None:
        active, _ = self._writer()
        tip = active.tip
        header = segment.SegmentHeader(
            v=1,
            log_id=self.id,
            number=active.number,
            base=active.base,
            root=tip.tree.root(),
            frontier=tip.tree.hashes,
            prev=tip.prev,
            time_us=tip.time_us,
            writer=WRITER,
        )
        frame = segment.pack_header(header, seed=self.seed)
        active.file.write(frame, 0)
        active.file.sync()
        active.position = len(frame)

    def _move_head(self) -> None:
        active, head = self._writer()
        tip = active.tip
        head.move(end=tip.end, base=active.base, position=active.position, time_us=tip.time_us, prev=tip.prev)

    def close(self) -> None:
        """Close the log. A SYNC frame then says that all before it is durable, should HEAD be lost."""
        if self._compressor is not None and os.getpid() == self._pid:
            self._compressor.close()
        try:
            if self.writable and not self._closed and self._dirty and os.getpid() == self._pid:
                # Where there is no room for the frame, there still is HEAD.
                with contextlib.suppress(DiskFullError), self.claim() as group:
                    group.sync()
                    _trim(self._writer()[0])
        finally:
            self._closed = self._closed or "the log is closed"
            self._let_go()

    def abandon(self) -> None:
        """Close the log's files and write nothing: it neither takes the lock nor waits. What was acknowledged is durable already."""
        if self._compressor is not None and os.getpid() == self._pid:
            self._compressor.abandon()
        self._closed = self._closed or "the log is closed"
        self._let_go()

    def _let_go(self) -> None:
        """Close every file, once."""
        self._end_at_close = self.end
        active, self._active = self._active, None
        head, self._head = self._head, None
        lock, self._lock = self._lock, None
        with contextlib.ExitStack() as each:  # Goes on to the next should one fail.
            for one in (lock, head, active.file if active is not None else None):
                if one is not None:
                    each.callback(one.close)

    # Reading --------------------------------------------------------------------------------------------------------

    @property
    def end(self) -> int:
        """Return how many records are acknowledged, as far as this object knows; `refresh` looks."""
        active = self._active
        return active.tip.end if active is not None else max(self._end_at_close, self._lookout.end)

    @property
    def _mark(self) -> Mark | None:
        """Return what HEAD said when it was last read or written here."""
        return self._head.mark if self._head is not None else self._lookout.mark

    def refresh(self) -> int:
        """Look how far the log goes now and return its end. Of use to readers; a writer knows when it claims.

        Raises ReplacedLogError, LostRecordsError, NoLogError for what is no longer the log that was read up to here.
        """
        if not self.writable and not self._closed:
            self._lookout.look()
        return self.end

    def reach(self, acknowledged: int) -> None:
        """Go on to the records that a witness knows to be durable. Raises CorruptLogError where they are not there, whole.

        HEAD is never synced: after a power cut it may not speak of them, until the next opening for writing.
        """
        if acknowledged > self.end:
            self._read_tip(acknowledged)
            self._lookout.know(acknowledged)

    def read(self, start: int, stop: int | None = None, *, sealed: bool = False) -> Iterator[Entry]:
        """Yield the records [start, stop), to the end if `stop` is None.

        sealed: leave personal values as they are stored, which needs no key; else they are opened: see `evlog.personal`.
        Raises FutureError for a stop after the end, CorruptLogError where a record cannot be read, SealedValueError where a value
        cannot.
        """
        if stop is None:
            stop = self.end
        self._reached(stop)
        return self._reader.entries(start, stop, sealed=sealed)

    def read_on(self, link: Link, stop: int) -> Iterator[Entry]:
        """Yield the records [link.end, stop), each proven to follow the one before it; `link` moves along.

        Raises ReplacedLogError where the first does not follow what `link` names, CorruptLogError where a later one does not.
        """
        self._reached(stop)
        start = link.end
        try:
            yield from self._reader.entries(start, stop, link)
        except CorruptLogError:
            if link.end != start:
                raise
            # The old one's positions may be of a log that was replaced.
            self._reader = Reader(self.folder, self.seed, self.opener)
            yield from self._reader.entries(start, stop, link)

    def read_each(self, offsets: Sequence[int]) -> Iterator[Entry]:
        """Yield the records at ascending offsets. Raises as `read`."""
        if offsets:
            self._reached(offsets[-1] + 1)
        return self._reader.each(offsets)

    def read_backward(self, start: int, stop: int) -> Iterator[Entry]:
        """Yield the records [start, stop), the last one first, with their bytes in memory. Raises as `read`."""
        self._reached(stop)
        return self._reader.backward(start, stop)

    def frame(self, offset: int) -> Frame:
        """Return the frame of one record, as it is stored. Raises as `read`."""
        self._reached(offset + 1)
        return next(self.frames(offset, offset + 1))

    def frames(self, start: int, stop: int) -> Iterator[Frame]:
        """Yield the frames of the records [start, stop), as they are stored; the caller knows that they are there."""
        return self._reader.frames(start, stop)

    def opener(self) -> Opener:
        """Return what opens sealed values, for one read."""
        return Opener(self.subject_keys, self._erasures, self.id, apart=self.is_backup)

    def is_backup(self) -> bool:
        """Tell whether this is a backup, looked at as one: a folder with a manifest, open for reading."""
        return not self.writable and MANIFEST_NAME in self.folder.names()

    def _end_of_all(self) -> int:
        """Return how far the log goes, whoever appends: a writer learns of others' records only when it claims."""
        return max(self.end, self._lookout.look())

    def offset_at(self, time_us: int) -> int:
        """Return how many records had been put at a time: the offset that names the state of that moment."""
        mark = self._mark
        if mark is not None and mark.end == self.end and mark.time_us <= time_us:
            return mark.end  # Most who ask mean now: nothing is read for them.
        return self._reader.offset_at(time_us, self.end)

    def tip_at_end(self) -> Tip:
        """Return the tip of the log at `end`; a reader walks the last segment for it."""
        active = self._active
        return active.tip.copy() if active is not None else self.tip_at(self.end)

    def tip_at(self, offset: int) -> Tip:
        """Return the tip of the first `offset` records: their tree, its root; walks one segment for it."""
        self._reached(offset)
        return self._read_tip(offset)

    def mark_at_end(self) -> Mark:
        """Return what HEAD says of the end, or would say, had it not been left behind."""
        mark = self._mark
        if mark is not None and mark.end == self.end:
            return mark
        active = self._walked_to(self.end)
        return head.Mark(0, active.tip.end, active.base, active.position, active.tip.time_us, active.tip.prev)

    def _read_tip(self, stop: int | None) -> Tip:
        """Return the tip at `stop`, or as far as the log can be read if None. Raises as `_walked_to`."""
        return self._walked_to(stop).tip if stop or segment.bases(self.folder) else Tip()

    def _walked_to(self, stop: int | None) -> recovery.Active:
        """Return where `stop` is, or the end of what can be read if None; its file is closed. Raises CorruptLogError where it is not reached."""
        bases = [base for base in segment.bases(self.folder) if stop is None or base <= stop]
        if not bases:
            raise self._gone()
        point = head.read_checkpoint(self.folder, seed=self.seed)
        active = recovery.begin(self.folder, bases, seed=self.seed, writable=False, checkpoint=point, stop=stop)
        try:
            bad = recovery.advance(active, self.folder, seed=self.seed, writable=False, stop=stop)
            if bad is not None:
                recovery.refuse_damage(active, bad, self.folder, known=stop or 0, seed=self.seed)
            recovery.refuse_loss(active, known=stop or 0)
            return active
        finally:
            active.file.close()

    def _gone(self) -> CorruptLogError:
        place = self.folder.describe(segment.name_of(0))
        return MissingSegmentError("every segment is missing", file=place, position=0, offset=0)

    def leaf_prefix(self, offset: int) -> bytes:
        """Return the first 16 bytes of the hash of the leaf before `offset`: names the log's content up to it."""
        mark = self._mark
        if mark is not None and mark.end == offset:
            return mark.prev
        self._reached(offset)
        if offset < self.end:
            return self.frame(offset).prev
        return self.tip_at_end().prev

    def _reached(self, stop: int) -> None:
        if stop > self.end and stop > self.refresh():
            raise FutureError(asked=stop, end=self.end)


def _trim(active: recovery.Active) -> None:
    """Give back what was reserved. Another writer that has the file open merely extends it again."""
    if active.file.size() > active.position:
        active.file.truncate(active.position)
        active.reserved = 0


def _identity(folder: Folder, *, create: bool) -> identity.Identity:
    try:
        return identity.read(folder)
    except NoLogError:
        bases = segment.bases(folder)
        if bases or HEAD_NAME in folder.names():
            place = folder.describe(identity.NAME)
            raise CorruptLogError("the log's identity is missing", file=place, position=0, offset=0) from None
        if not create:
            raise
        return identity.create(folder)
