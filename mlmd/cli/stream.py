"""Rows as they come, without an end in sight: what `output.show_rows` is for rows that are all there."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from mlmd.cli.output import DELIMITERS, Table, separated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings


class RowStream:
    """Writes rows in the format that was asked for, and flushes each batch: whoever reads has it at once.

    columns: those of a table; the other formats hold the fields of the first row. json: an array, which `end` closes.
    """

    def __init__(self, settings: Settings, columns: Sequence[str]) -> None:
        self._form = settings.form
        self._table = Table(columns)
        self._separated: Callable[[Row], object] | None = None
        self._array = False  # It has begun.

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows."""
        if not rows:
            return
        if self._form == "table":
            self._table.write(rows)
        elif self._form in DELIMITERS:
            self._separated = self._separated or separated(list(rows[0]), self._form)
            for row in rows:
                self._separated(row)
        else:
            for row in rows:
                self._write_json(row)
        sys.stdout.flush()

    def end(self) -> None:
        """Write what closes the stream."""
        if self._form == "json":
            sys.stdout.write("]\n" if self._array else "[]\n")
            sys.stdout.flush()

    def _write_json(self, row: Row) -> None:
        before = ""
        if self._form == "json":
            before, self._array = "," if self._array else "[\n", True
        sys.stdout.write(f"{before}{json.dumps(row, ensure_ascii=False)}\n")  # A whole line, for who reads by lines.
