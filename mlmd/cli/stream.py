"""Rows as they come, without an end in sight: what `output.show_rows` is for rows that are all there."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from mlmd.cli.output import DELIMITERS, Table, name_of, picked, separated
from mlmd.cli.settings import PARQUET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings


class RowStream:
    """Writes rows in the format that was asked for, and flushes each batch: whoever reads has it at once.

    columns: those of a table; the other formats hold the fields of the first row. json: an array, which `end` closes.
    """

    def __init__(self, settings: Settings, columns: Sequence[str]) -> None:
        self._settings, self._form = settings, settings.form
        if self._form in ("md", PARQUET):
            raise click.UsageError(f"-o {self._form} is for rows that are all there, and these come one by one")
        self._table = Table(settings.fields or columns)
        self._separated: Callable[[Row], object] | None = None
        self._array = False  # It has begun.

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows."""
        if not rows:
            return
        rows = list(picked(self._settings, rows))
        if self._form == "table":
            self._table.write(rows)
        elif self._form in DELIMITERS:
            self._separated = self._separated or separated(list(rows[0]), self._form)
            for row in rows:
                self._separated(row)
        elif self._form == "id":
            sys.stdout.writelines(f"{name_of(row)}\n" for row in rows)
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
