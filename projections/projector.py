"""The contract of a projector, and the one loop that feeds every view: live, at start-up, in a rebuild, as of a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from projections.errors import OutOfOrderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evlog.records import Entry


class Projector(Protocol):
    """Turns records into rows, in transactions: `begin`, `apply` for each record, then `commit` or `rollback`.

    It keeps `applied` and `prev` where its rows are and commits them together, so that each record is applied exactly once, whenever
    its process dies. One that names `batch_records` gets so many at most in one transaction. See docs/projectors.md.
    """

    applied: int
    """The offset of the next record to apply. Moved by the caller of `apply`; `rollback` moves it back."""
    prev: bytes
    """What the last `commit` was given: names the history that was applied. Any bytes where nothing was."""

    def begin(self) -> None:
        """Begin a transaction, alone among all who would, and read `applied` and `prev` anew: another process may have moved them."""
        ...

    def apply(self, entry: Entry) -> None:
        """Turn one record into rows; the caller has checked that it is the next."""
        ...

    def commit(self, prev: bytes) -> None:
        """Make the rows durable, and `applied` and `prev` with them: all or nothing."""
        ...

    def rollback(self) -> None:
        """Undo what was done since `begin`."""
        ...


def catch_up(projector: Projector, entries: Iterable[Entry], progress: Callable[[int], None] | None = None) -> None:
    """Apply records in order, in an open transaction. Raises OutOfOrderError for one that is not the next; nothing of it is applied.

    progress: told the applied offset after each record.
    """
    for entry in entries:
        if entry.offset != projector.applied:
            raise OutOfOrderError(expected=projector.applied, offset=entry.offset)
        projector.apply(entry)
        projector.applied = entry.offset + 1
        if progress is not None:
            progress(projector.applied)
