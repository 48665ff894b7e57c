"""A projector kept up with a log: up to a stop, or for as long as others append.

`bring_up` applies what there is, in large transactions. `follow` goes on from there: it sleeps until the log grows, and applies what came
in one transaction for each wake-up. Whatever a projector has committed is neither applied again nor left out, however its process ends.
"""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Final, Protocol

from evlog.errors import LostRecordsError, ReplacedLogError
from evlog.log import Log
from evlog.tip import Link
from projections.errors import WrongViewError
from projections.projector import catch_up
from replay.wake import wakes

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.projector import Projector

    Progress = Callable[[int, int], None]
    """Told (records applied, records to apply)."""

BATCH_RECORDS: Final = (
    10_000  # One transaction each: large enough to be cheap, small enough to keep the write-ahead log short.
)
REPORT_RECORDS: Final = 1_000


class HasLog(Protocol):
    """What has a log to follow, such as a MetadataStore."""

    @property
    def log(self) -> Log:
        """The log."""
        ...


def follow(
    source: Log | HasLog, projector: Projector, from_offset: int = 0, *, stop_event: Event | None = None
) -> None:
    """Keep a projector up with a log that others append to. Returns when `stop_event` is set, else never.

    source: a log or a store, of this process or, opened for reading, of others. from_offset: where a projector begins that has applied
    nothing; any other goes on where it was. Every frame is checked, and proven to follow the one before.
    Raises FutureError for a `from_offset` that the log has not reached, ReplacedLogError and LostRecordsError for a log that is not the
    one that was applied or no longer holds it, CorruptLogError where it is damaged, and whatever the projector raises: the transaction
    is rolled back then.
    """
    given = source if isinstance(source, Log) else source.log
    # Its own, for reading: a log that is open for writing knows what others append only when it claims.
    log = Log.open(given.folder, writable=False)
    stop_event = stop_event or Event()
    try:
        _start(log, projector, from_offset)
        for _ in wakes(log, stop_event):
            end = log.refresh()
            while projector.applied < end and not stop_event.is_set():
                bring_up(log, projector, min(end, projector.applied + _batch_of(projector)), links=True)
    finally:
        log.close()


def _start(log: Log, projector: Projector, from_offset: int) -> None:
    """Bring the projector to where it begins, and prove that the log holds what it has applied."""
    projector.begin()
    applied = projector.applied
    if applied == 0 and from_offset:
        try:
            prev = log.leaf_prefix(from_offset)
            projector.applied = from_offset
        except BaseException:
            projector.rollback()
            raise
        projector.commit(prev)
        return
    projector.rollback()
    if applied:
        check_history(log, applied, projector.prev)


def check_history(log: Log, applied: int, prev: bytes) -> None:
    """Raise LostRecordsError or ReplacedLogError if the log is not the one of which so many records were applied.

    prev: what `Log.leaf_prefix(applied)` was then.
    """
    log.refresh()
    try:
        log.reach(applied)  # Whoever applied it is a witness: a power cut may have left HEAD behind.
    except LostRecordsError as error:
        reason = f"the log ends before record {applied}, which was applied"
        raise LostRecordsError(reason, file=error.file, position=error.position, offset=error.offset) from None
    if log.leaf_prefix(applied) != prev:
        reason = f"record {applied - 1} is another than the one that was applied"
        raise ReplacedLogError(reason, place=log.folder.describe(""), offset=applied)


def bring_up(
    log: Log, projector: Projector, stop: int, progress: Progress | None = None, *, links: bool = False
) -> None:
    """Apply the records up to `stop`, in transactions of the projector's `batch_records`, where it names it.

    links: prove too that each record follows the one before, for up to half as much work again. Raises what `Log.read` and the
    projector raise, the transaction rolled back, and WrongViewError for a projector that does not keep what it commits.
    """
    while (known := projector.applied) < stop:
        projector.begin()
        try:
            applied = projector.applied
            if applied < known:  # Without this, a projector that forgets would be fed the same records for ever.
                raise WrongViewError(
                    f"the projector was at offset {known} and began at {applied}: `commit` keeps `applied`"
                )
            link = Link(applied, projector.prev) if applied else Link()
            next_stop = max(applied, min(stop, applied + _batch_of(projector)))
            entries = log.read_on(link, next_stop) if links else log.read(applied, next_stop)
            catch_up(projector, entries, _reporter(progress, stop))
            prev = link.prev if links else log.leaf_prefix(next_stop)
        except BaseException:
            projector.rollback()
            raise
        projector.commit(prev)
    if progress is not None:
        progress(stop, stop)


def _batch_of(projector: Projector) -> int:
    return int(getattr(projector, "batch_records", BATCH_RECORDS))


def _reporter(progress: Progress | None, stop: int) -> Callable[[int], None] | None:
    if progress is None:
        return None

    def report(applied: int) -> None:
        if applied % REPORT_RECORDS == 0:
            progress(applied, stop)

    return report
