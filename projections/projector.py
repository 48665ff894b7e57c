"""The contract of a projector, and the one loop that feeds every view: live, at start-up, in a rebuild, as of a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from projections.errors import OutOfOrderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evlog.records import Entry


class Projector(Protocol):
    """Turns records into rows. Rows and applied offset move together, in the transaction the caller holds."""

    applied: int
    """The offset of the next record to apply."""

    def apply(self, entry: Entry) -> None:
        """Turn one record into rows; the caller has checked that it is the next."""
        ...


def catch_up(projector: Projector, entries: Iterable[Entry], progress: Callable[[int], None] | None = None) -> None:
    """Apply records in order. Raises OutOfOrderError for one that is not the next; nothing of it is applied.

    progress: told the applied offset after each record.
    """
    for entry in entries:
        if entry.offset != projector.applied:
            raise OutOfOrderError(expected=projector.applied, offset=entry.offset)
        projector.apply(entry)
        projector.applied = entry.offset + 1
        if progress is not None:
            progress(projector.applied)
