"""Names that begin with what somebody has typed. For a shell that waits: no check of the view, no decoding, index look-ups alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import apsw

from projections.generations import CURRENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUSY_MS: Final = 50
_KEYS: Final = """
    select distinct key from (select custom_properties from {table} order by id desc limit 50), json_each(custom_properties)
    union select distinct key from (select properties from {table} order by id desc limit 50), json_each(properties) order by 1"""


class Names:
    """Names in the current view of a folder; none where there is no view that can be read. Close it soon."""

    def __init__(self, views: Path) -> None:
        path = CURRENT.current(views)
        self._connection: apsw.Connection | None = None
        if path is not None:
            try:
                self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
                self._connection.set_busy_timeout(_BUSY_MS)
            except apsw.Error:
                self._connection = None

    def types(self, start: str, kind: str | None, limit: int) -> Iterator[tuple[str, str]]:
        """Yield names and kinds of types. kind: of these alone."""
        where = "and kind = ?" if kind is not None else ""
        given: list[str | int] = [start, _after(start), *([kind] if kind is not None else []), limit]
        yield from self._rows(
            f"select name, min(kind) from type where name >= ? and name < ? {where} group by name order by min(id) desc limit ?",
            given,
        )

    def nodes(self, table: str, start: str, limit: int) -> Iterator[tuple[str, str]]:
        """Yield names of nodes and of their types. table: artifact, execution, context."""
        yield from self._rows(
            f"select node.name, type.name from {table} node join type on type.id = type_id"
            " where node.name >= ? and node.name < ? order by node.name limit ?",
            [start, _after(start), limit],
        )

    def newest(self, table: str, limit: int) -> Iterator[tuple[int, str]]:
        """Yield ids of the newest nodes, with the names of their types."""
        yield from self._rows(
            f"select node.id, type.name from {table} node join type on type.id = type_id order by node.id desc limit ?",
            [limit],
        )

    def properties(self, table: str) -> Iterator[tuple[str]]:
        """Yield names of properties, custom or not, of the newest nodes."""
        yield from self._rows(_KEYS.format(table=table), [])

    def _rows(self, query: str, given: list[str | int]) -> Iterator[tuple]:  # type: ignore[type-arg] # As wide as the question.
        if self._connection is not None:
            try:
                yield from self._connection.execute(query, given)
            except (
                apsw.Error
            ):  # A view of another release, or one that is being replaced: then there is nothing to offer.
                return

    def close(self) -> None:
        """Let go of the view."""
        if self._connection is not None:
            self._connection.close()


def _after(start: str) -> str:
    """Return a text that sorts after all that begin with one."""
    return start + "\U0010ffff"
