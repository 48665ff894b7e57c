"""Whether a table's ids are in the order in which its rows were put, and of their create times: then id order needs no index.

A store's own puts keep both. What an import brings need not: its ids and times are those of other writers with clocks of their own. So
the first row that breaks an order is noted in `disorder`, and from then on who depends on that order goes another way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from projections.query import KINDS

if TYPE_CHECKING:
    import apsw

_LAST: Final[dict[str, str]] = {
    **{kind: f"select id, create_time from {kind} order by id desc limit 1" for kind in KINDS},
    **{table: f"select id, 0 from {table} order by id desc limit 1" for table in ("type", "event", "parent_context")},
}
_NONE: Final = (0, -(2**63))
_IDS: Final = "id"
_TIMES: Final = "create_time"


class Order:
    """Watches the rows that are put on one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._last: dict[str, tuple[int, int]] = {}  # Of each table: the highest id, and its create time.
        self._noted: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Drop what was learned: a rollback took rows back, or another process put some."""
        self._last.clear()
        self._noted.clear()

    def before(self, table: str, row_id: int, create_time: int = 0) -> bool:
        """Look at a row that is about to be put; return whether `after` has to look again: it is an update, or comes late."""
        last_id, last_time = self._last.get(table) or self._look(table)
        if row_id <= last_id:
            self._connection.set_last_insert_rowid(0)
            return True
        if create_time < last_time:
            self._note(table, _TIMES)
        self._last[table] = (row_id, create_time)
        return False

    def after(self, table: str, row_id: int) -> None:
        """Look at a row that was put: one that was inserted, not updated, came after one of a higher id."""
        if self._connection.last_insert_rowid() == row_id:
            self._note(table, _IDS)
            if table in KINDS:
                self._note(table, _TIMES)

    def _look(self, table: str) -> tuple[int, int]:
        rows: Any = self._connection.execute(_LAST[table]).fetchall()
        last = self._last[table] = rows[0] if rows else _NONE
        return last

    def _note(self, table: str, column: str) -> None:
        if (table, column) in self._noted:
            return
        self._noted.add((table, column))
        self._connection.execute("insert into disorder values (?, ?) on conflict do nothing", (table, column))
        if column == _TIMES:
            self._connection.execute(f"create index if not exists {table}_create_time on {table} (create_time)")


def ids_as_put(connection: apsw.Connection, table: str) -> bool:
    """Tell whether no row of a table was put after one of a higher id."""
    return not _noted(connection, table, _IDS)


def ids_as_created(connection: apsw.Connection, kind: str) -> bool:
    """Tell whether no node of a kind has an earlier create time than one of a lower id. If not, create times have an index."""
    return not _noted(connection, kind, _TIMES)


def _noted(connection: apsw.Connection, table: str, column: str) -> bool:
    sql = "select 1 from main.disorder where tab = ? and col = ?"
    return bool(connection.execute(sql, (table, column)).fetchall())
