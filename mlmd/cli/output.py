"""Rows for people and for programs: an aligned table, or json, jsonl, tsv, csv. Data to standard output, talk to standard error.

A row is a dict with plain values; field names are the same in every format. A table shows the columns it is given, in words for
people; the other formats hold every field.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mlmd.cli.settings import Settings

Row = dict[str, Any]
NAMED: Final = (
    "table",
    "md",
    "id",
)  # Formats for people and for further commands, who say art:1 where a program has kind and id.
_TIMES: Final = ("time", "created", "updated")
_CELL_MAX: Final = 60
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})
_NONE: Final = "-"
DELIMITERS: Final = {"csv": ",", "tsv": "\t"}
# A name in the store may hold anything; what could steer a terminal is shown as an escape.
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x09: " ",
    0x0A: " ",
    0x0D: " ",
}


def rfc3339(time_us: int) -> str:
    """Return a time, microseconds since 1970, as RFC 3339 in UTC; one that no calendar holds, as it is."""
    try:
        time = datetime.fromtimestamp(time_us // 1_000_000, UTC).replace(microsecond=time_us % 1_000_000)
    except (ValueError, OverflowError, OSError):  # A caller may put any number as the time of an event.
        return f"{time_us // 1000} ms"
    return time.isoformat(timespec="microseconds" if time_us % 1000 else "milliseconds").replace("+00:00", "Z")


def local_time(text: str) -> str:
    """Return an RFC 3339 time as local time, to the second."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return text


def talk(settings: Settings, text: str) -> None:
    """Say something that is no data."""
    if not settings.quiet:
        click.echo(text, err=True)


def show_rows(
    settings: Settings,
    rows: Iterable[Row],
    columns: Sequence[str],
    footer: str | None = None,
    *,
    every_column: bool = False,
) -> None:
    """Write rows; jsonl, tsv and csv as they come.

    columns: those of a table, in order; one that is empty throughout is left out, unless every column is wanted.
    """
    if settings.form == "json":
        click.echo(json.dumps(list(rows), indent=1, ensure_ascii=False))
    elif settings.form != "table":
        stream_rows(settings, rows, columns)
    else:
        held = [{name: row[name] for name in columns if name in row} for row in rows]
        if held or every_column:
            shown = [name for name in columns if every_column or any(row.get(name) not in _EMPTY for row in held)]
            Table(shown).write(held)
        if footer:
            talk(settings, footer)


def stream_rows(settings: Settings, rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Write rows one after the other, as jsonl, csv or tsv. columns: named above where there is no row; else its fields are."""
    if settings.form == "jsonl":
        encode = json.JSONEncoder(ensure_ascii=False).encode
        for row in rows:
            click.echo(encode(row))
        return
    write = None
    for row in rows:
        write = write or separated(list(row), settings.form)
        write(row)
    if write is None:
        separated(columns, settings.form)


def show_one(settings: Settings, row: Row, footer: str | None = None) -> None:
    """Write one thing: a line a field for people, one object or row for programs."""
    if settings.form == "json":
        click.echo(json.dumps(row, indent=1, ensure_ascii=False))
    elif settings.form != "table":
        show_rows(settings, [row], list(row))
    else:
        told = {name: value for name, value in row.items() if value not in _EMPTY}
        width = max(len(name) for name in told)
        for name, value in told.items():
            lines = _lines(name, value)
            click.echo(f"{name.replace('_', ' '):<{width}}  {lines[0]}")
            for line in lines[1:]:
                click.echo(f"{'':<{width}}  {line}")
        if footer:
            talk(settings, footer)


def in_words(name: str, value: Any) -> str:
    """Return a value as a person reads it."""
    if value in _EMPTY:
        return _NONE
    if name in _TIMES and isinstance(value, str):
        return local_time(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{in_words('', key)}={in_words('', item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(in_words("", item) for item in value)
    return str(value).translate(_CONTROLS)


def _lines(name: str, value: Any) -> list[str]:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ["  ".join(in_words(key, item) for key, item in one.items()) for one in value]
    return [in_words(name, value)]


class Table:
    """An aligned table. Its columns are as wide as the rows that are written first need, and widen for later ones."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._widths = [0] * len(columns)
        self._numeric = [False] * len(columns)
        self._terminal = sys.stdout.isatty()

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows, the titles before the first ones."""
        columns, cells = (
            self._columns,
            [[_cut(in_words(name, row.get(name))) for name in self._columns] for row in rows],
        )
        if not any(self._widths):
            self._numeric = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in columns]
            titles = [name.replace("_", " ") for name in columns]
            self._widen([titles, *cells])
            line = self._line(titles)
            click.echo(click.style(line, dim=True) if self._terminal else line)
        else:
            self._widen(cells)
        for one in cells:
            click.echo(self._line(one))

    def _widen(self, lines: Sequence[Sequence[str]]) -> None:
        self._widths = [max([width, *(len(line[at]) for line in lines)]) for at, width in enumerate(self._widths)]

    def _line(self, values: Sequence[str]) -> str:
        padded = [
            value.rjust(width) if right else value.ljust(width)
            for value, width, right in zip(values, self._widths, self._numeric, strict=True)
        ]
        text = "  ".join(padded).rstrip()
        limit = shutil.get_terminal_size().columns if self._terminal else 0
        return text[: limit - 1] + "…" if limit and len(text) > limit else text


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CELL_MAX else text[: _CELL_MAX - 1] + "…"


def separated(names: Sequence[str], form: str) -> Callable[[Row], object]:
    """Write a line of csv or tsv with the names of fields; return what writes a row of them."""
    writer = csv.writer(sys.stdout, delimiter=DELIMITERS[form], lineterminator="\n")
    writer.writerow(names)
    return lambda row: writer.writerow([_flat(row.get(name)) for name in names])


def _flat(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
