"""Rows of plain values, as a notebook, a terminal and a data frame show them. Nothing here knows a store.

A value is an int, float, str, bool, None, datetime, list or dict. In columns of one type (Arrow, Polars) a column of ints and floats
is one of floats; one whose values are of several types, or lists or dicts, is one of JSON text: what one run calls `0.1` another may
call `"auto"`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from mlmd.display.cells import CELL_MAX, apart, cut, in_words, printable
from projections.errors import MissingLibraryError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXTRA: Final = "notebook"
_ROWS_MAX: Final = 60  # So many are shown; every other form holds all.
_HTML_CELL_MAX: Final = 200
_INT64: Final = range(-(2**63), 2**63)
_PADDING: Final = "padding:.15em .7em"


def library(name: str) -> Any:
    """Import a library that only some have. Raises MissingLibraryError, which says how to install it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(error.name or name, extra=EXTRA) from error


@dataclass(frozen=True)
class Table:
    """Rows under named columns. note: the line below them, such as how many there are in all.

    compared: the columns [start, stop) whose values are compared, row by row: long ones are shown from where they part.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    compared: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        """Return how many rows there are here."""
        return len(self.rows)

    def __str__(self) -> str:
        """Return aligned columns; of many rows the first ones."""
        shown = self._shown()
        cells = [self._titles(), *(self._cells(row, CELL_MAX) for row in shown)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        right = self._numeric()
        lines = [
            "  ".join(
                text.rjust(width) if number else text.ljust(width)
                for text, width, number in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in cells
        ]
        return "\n".join([*lines, *self._feet()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return a table of HTML without script or outside style."""
        aligned = [f"text-align:{'right' if number else 'left'};{_PADDING}" for number in self._numeric()]
        head = _html_row("th", self._titles(), aligned)
        body = "".join(_html_row("td", self._cells(row, _HTML_CELL_MAX), aligned) for row in self._shown())
        feet = "<br>".join(map(escape, self._feet()))
        foot = (
            f'<tfoot><tr><td colspan="{max(1, len(self.columns))}" style="text-align:left">{feet}</td></tr></tfoot>'
            if feet
            else ""
        )
        return f'<table style="border-collapse:collapse"><thead>{head}</thead><tbody>{body}</tbody>{foot}</table>'

    def records(self) -> list[dict[str, Any]]:
        """Return each row as a dict."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def first(self, most: int) -> list[dict[str, Any]]:
        """Return the first rows, at most so many, each as a dict."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows[:most]]

    def df(self) -> Any:
        """Return a pandas.DataFrame. Raises MissingLibraryError."""
        return library("pandas").DataFrame(list(map(list, self.rows)), columns=list(self.columns))

    def arrow(self) -> Any:
        """Return a pyarrow.Table. Raises MissingLibraryError."""
        return library("pyarrow").table(self._typed())

    def polars(self) -> Any:
        """Return a polars.DataFrame. Raises MissingLibraryError."""
        return library("polars").DataFrame(self._typed(), strict=True)

    def markdown(self) -> str:
        """Return a table of GitHub's Markdown."""
        right = self._numeric()
        lines = [list(map(_markdown, self._titles())), ["--:" if number else "---" for number in right]]
        lines += [list(map(_markdown, self._cells(row, _HTML_CELL_MAX))) for row in self.rows]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{text}\n\n{_markdown(printable(self.note))}" if self.note else text

    def _cells(self, row: Sequence[Any], longest: int) -> list[str]:
        texts = [in_words(value) for value in row]
        cells = [cut(text, longest) for text in texts]
        start, stop = self.compared
        cells[start:stop] = apart(texts[start:stop], longest)
        return cells

    def _titles(self) -> list[str]:
        return [printable(str(name)) for name in self.columns]

    def _shown(self) -> Sequence[Sequence[Any]]:
        return self.rows[:_ROWS_MAX]

    def _feet(self) -> list[str]:
        more = len(self.rows) - _ROWS_MAX
        return [*([f"… {more:,} more rows"] if more > 0 else []), *([printable(self.note)] if self.note else [])]

    def _column(self, at: int) -> list[Any]:
        return [row[at] for row in self.rows]

    def _numeric(self) -> list[bool]:
        return [
            any(value is not None for value in column)
            and all(
                value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in column
            )
            for column in map(self._column, range(len(self.columns)))
        ]

    def _typed(self) -> dict[str, list[Any]]:
        return {name: _of_one_type(self._column(at)) for at, name in enumerate(self.columns)}


def _of_one_type(values: list[Any]) -> list[Any]:
    """Return a column whose values are all of one type, or None."""
    types = {type(value) for value in values} - {type(None)}
    if types == {int, float}:
        return [None if value is None else float(value) for value in values]
    fits = types != {int} or all(value is None or value in _INT64 for value in values)
    zones = {value.tzinfo for value in values if isinstance(value, datetime)}
    if len(types) <= 1 and not types & {list, dict, tuple} and fits and len(zones) <= 1:
        return values
    return [None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in values]


def _html_row(tag: str, texts: Sequence[str], styles: Sequence[str]) -> str:
    cells = "".join(f'<{tag} style="{style}">{escape(text)}</{tag}>' for text, style in zip(texts, styles, strict=True))
    return f"<tr>{cells}</tr>"


def _markdown(text: str) -> str:
    """Return a text that no reader of Markdown takes for markup."""
    return "".join(f"\\{char}" if char in "\\|`*_[]~#" else char for char in escape(text, quote=False))
