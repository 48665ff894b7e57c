"""Rows of an MLMD database that could not be put as they are: kept whole, each with what is wrong. Nothing is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from evlog.records import ForeignRowKept
from mlmd.exchange.values import NOT_OF_COLUMN, NOT_UTF8, NULL_TEXT

if TYPE_CHECKING:
    from mlmd.exchange.schema import Table
    from mlmd.exchange.sources import Row

_ID_MAX: Final = 2**62  # Of 2**63: the next row of the store needs an id too, and all that come after it.

NO_ID: Final = "an id that is not a positive integer"
HIGH_ID: Final = "an id so high that not enough could come after it"
NO_OWNER: Final = "what it belongs to is not there, or could not be put"
NULL_FIELD: Final = f"{NULL_TEXT}, which ML Metadata reads as not set"
SAME_EXTERNAL_ID: Final = "the external_id is that of a lower id: this one was put without"
NO_NAME: Final = "no name: it became the id"


class Kept:
    """What was kept since it was last taken."""

    def __init__(self) -> None:
        self._rows: list[ForeignRowKept] = []

    def keep(self, table: Table, row: Row, why: str) -> None:
        """Keep a row whole."""
        columns = {one.name: value for one, value in zip(table.columns, row, strict=False)}
        self.keep_as(table, columns, why)

    def keep_as(self, table: Table, columns: dict[str, Any], why: str) -> None:
        """Keep what is known of a row."""
        self._rows.append(ForeignRowKept(table.name, columns, why))

    def take(self) -> list[ForeignRowKept]:
        """Return what was kept, and begin anew."""
        taken, self._rows = self._rows, []
        return taken

    def text(self, table: Table, row: Row, text: Any) -> str | None:
        """Return a text of a row as MLMD reads it, None for none; a row with one that is odd is kept."""
        if text is None or (text.__class__ is str and text != NULL_TEXT):
            return text
        if text == NULL_TEXT:
            self.keep(table, row, NULL_FIELD)
            return None
        if isinstance(text, bytes):
            self.keep(table, row, NOT_UTF8)
            return text.decode(errors="backslashreplace")
        self.keep(table, row, NOT_OF_COLUMN)
        return str(text)


def wrong_id(value: Any) -> str | None:
    """Return why a value cannot be the id of something that is put, None if it can."""
    if value.__class__ is not int or value <= 0:
        return NO_ID
    return HIGH_ID if value > _ID_MAX else None
