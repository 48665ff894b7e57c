"""The state of a store as a replay of its log gives it, for comparison with what views give: see `projections.state`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evlog.records import NodePut, TypePut
from projections.state import VERSIONED, Row, State, row_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from evlog.records import Entry
    from projections.projector import Projector


class Replayed:
    """A projector of nothing but the state. `states`: copies of it at the offsets that were asked for.

    Remembers 200 bytes for each type and node. beside: another projector, given each record too; its transactions are this one's.
    """

    def __init__(self, stops: Collection[int], beside: Projector | None = None) -> None:
        self.applied, self.prev = 0, b""
        self.beside, self._stops = beside, frozenset(stops)
        self._state = State()
        self._held: dict[str, dict[int, bytes]] = {table: {} for table in VERSIONED}  # The hash of what holds, by id.
        self.states = {0: State()}

    def begin(self) -> None:
        """See Projector."""
        if self.beside is not None:
            self.beside.begin()

    def apply(self, entry: Entry) -> None:
        """See Projector. Put twice by one record, only the last is a version."""
        last: dict[object, tuple[Row, int | None]] = {}
        for number, change in enumerate(entry.record.changes):
            found = row_of(change, entry.offset)
            if found is None:
                continue
            if isinstance(change, NodePut | TypePut):
                last[found.table, change.id] = (found, change.id)
            else:
                last[number] = (found, None)
        for found, versioned_id in last.values():
            if versioned_id is not None:
                self._replace(found, versioned_id, entry.offset)
            self._state.add(found)
        if entry.offset + 1 in self._stops:
            self.states[entry.offset + 1] = self._state.copy()
        if self.beside is not None:
            self.beside.apply(entry)
            self.beside.applied = entry.offset + 1

    def _replace(self, found: Row, its_id: int, offset: int) -> None:
        """Take out the version that a row replaces, where there is one."""
        held = self._held[found.table]
        before = held.get(its_id)
        if before is not None:
            self._state.remove(Row(found.table, before))
            self._state.end(Row(found.table, before), offset)
        held[its_id] = found.hash

    def commit(self, prev: bytes) -> None:
        """See Projector."""
        self.prev = prev
        if self.beside is not None:
            self.beside.commit(prev)

    def rollback(self) -> None:
        """See Projector. What was half applied is of no use to anyone."""
        if self.beside is not None:
            self.beside.rollback()
