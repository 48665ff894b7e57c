"""Rows for people and for programs: an aligned table, or json, jsonl, tsv, csv, md, parquet, id. Data to stdout, talk to stderr.

A row is a dict with plain values; field names are the same in every format. A table and Markdown show the columns they are given, in
words for people; the other formats hold every field. `--fields` chooses from all of them, whatever the format.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mlmd.cli.refusal import USAGE, Refusal
from mlmd.cli.settings import PARQUET
from mlmd.display.cells import EMPTY, as_listed, calendar_time, cut, printable, width_of, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mlmd.cli.settings import Settings

Row = dict[str, Any]
WORDS: Final = ("table", "md")  # Formats for people.
NAMED: Final = (
    *WORDS,
    "id",
    "tsv",
    "csv",
)  # Where a row says run:5, to be pasted; in JSON and Parquet it has the number.
_TIMES: Final = ("time", "created", "updated", "started", "expires", "since")
_COLUMN_MIN: Final = 12
# What names a row in a further command: art:1, run:2, ctx:3, or a name.
_NAMES: Final = ("thing", "artifact", "execution", "context", "run", "alias", "mark", "key", "name", "id")
DELIMITERS: Final = {"csv": ",", "tsv": "\t"}


def rfc3339(time_us: int) -> str:
    """Return a time, microseconds since 1970, as RFC 3339 in UTC; one that no calendar holds, as it is."""
    time = calendar_time(time_us)
    if time is None:
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
    rows, columns = picked(settings, rows), settings.fields or columns
    every_column = every_column or bool(settings.fields)
    if settings.form == "json":
        click.echo(json.dumps(list(rows), indent=1, ensure_ascii=False))
    elif settings.form == PARQUET:
        _write_parquet(list(rows), columns)
    elif settings.form not in WORDS:
        _stream_rows(settings.form, rows, columns)
    else:
        held = [{name: row[name] for name in columns if name in row} for row in rows]
        if held or every_column:
            shown = [name for name in columns if every_column or any(row.get(name) not in EMPTY for row in held)]
            if settings.form == "md":
                _write_markdown(held, shown)
            else:
                Table(shown).write(held)
        if footer:
            talk(settings, footer)


def picked(settings: Settings, rows: Iterable[Row]) -> Iterable[Row]:
    """Return the rows with the fields that were asked for, all if none were."""
    return ({name: _field(row, name) for name in settings.fields} for row in rows) if settings.fields else rows


def _field(row: Row, name: str) -> Any:
    """Return a field, or what stands under a name within one. Raises Refusal for a name that no field has."""
    if name in row:
        return row[name]
    outer, _, inner = name.partition(".")
    if not inner or outer not in row:
        raise Refusal(f"there is no field {name!r}: it is one of {', '.join(row)}", "the same with -o json", USAGE)
    found = row[outer]
    return found.get(inner) if isinstance(found, dict) else None


def _write_markdown(rows: list[Row], columns: Sequence[str]) -> None:
    from mlmd.display.tables import Table as Markdown  # noqa: PLC0415 - only who writes it needs it

    words = [
        [row.get(name) if _is_number(row.get(name)) else in_words(name, row.get(name)) for name in columns]
        for row in rows
    ]
    click.echo(Markdown([name.replace("_", " ") for name in columns], words).markdown())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _write_parquet(rows: list[Row], columns: Sequence[str]) -> None:
    from projections.duck.rows import write_rows  # noqa: PLC0415 - DuckDB is slow to import, and need not be installed

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        write_rows(rows, list(rows[0]) if rows else columns, file)
        with file.open("rb") as written:
            shutil.copyfileobj(written, sys.stdout.buffer)


def name_of(row: Row) -> str:
    """Return how a further command names what a row is of."""
    named = next((str(row[name]) for name in _NAMES if row.get(name) is not None), None)
    if named is not None:
        return named
    return f"#{row['offset']}" if row.get("offset") is not None else in_words("", next(iter(row.values())))


def stream_rows(settings: Settings, rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Write rows one after the other, as jsonl, csv, tsv or id. columns: named above where there is no row; else its fields are."""
    _stream_rows(settings.form, picked(settings, rows), settings.fields or columns)


def _stream_rows(form: str, rows: Iterable[Row], columns: Sequence[str]) -> None:
    if form in ("jsonl", "id"):
        encode = json.JSONEncoder(ensure_ascii=False).encode if form == "jsonl" else name_of
        for row in rows:
            click.echo(encode(row))
        return
    write = None
    for row in rows:
        write = write or separated(list(row), form)
        write(row)
    if write is None:
        separated(columns, form)


def show_one(settings: Settings, row: Row, footer: str | None = None) -> None:
    """Write one thing: a line a field for people, one object or row for programs."""
    if settings.form == "json":
        [row] = picked(settings, [row])
        click.echo(json.dumps(row, indent=1, ensure_ascii=False))
    elif settings.form == "md":
        [row] = picked(settings, [row])
        _write_markdown(
            [{"field": name, "value": in_words(name, value)} for name, value in row.items()], ["field", "value"]
        )
    elif settings.form != "table":
        show_rows(settings, [row], list(row))
    else:
        [row] = picked(settings, [row])
        told = {name: value for name, value in row.items() if settings.fields or value not in EMPTY}
        width = max((len(name) for name in told), default=0)
        for name, value in told.items():
            lines = _lines(name, value)
            click.echo(f"{name.replace('_', ' '):<{width}}  {lines[0]}")
            for line in lines[1:]:
                click.echo(f"{'':<{width}}  {line}")
        if footer:
            talk(settings, footer)


def in_words(name: str, value: Any) -> str:
    """Return a value as a person reads it."""
    return local_time(value) if name in _TIMES and value and isinstance(value, str) else as_listed(value)


def _lines(name: str, value: Any) -> list[str]:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ["  ".join(in_words(key, item) for key, item in one.items()) for one in value]
    return [in_words(name, value)]


class Table:
    """An aligned table. Its columns are as wide as the rows that are written first need, and widen for later ones.

    On a narrow terminal the widest ones are shortened, numbers and times never; where that is not enough, the last columns are left out.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._widths, self._shown = [0] * len(columns), len(columns)
        self._numeric = [False] * len(columns)
        self._terminal = sys.stdout.isatty()
        self._room = shutil.get_terminal_size().columns if self._terminal else 0  # 0: as much as is needed.

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows, the titles before the first ones."""
        columns, cells = (
            self._columns,
            [[cut(in_words(name, row.get(name))) for name in self._columns] for row in rows],
        )
        if not any(self._widths):
            self._numeric = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in columns]
            titles = [printable(name.replace("_", " ")) for name in columns]
            self._widen([titles, *cells])
            line = self._line(titles)
            click.echo(click.style(line, dim=True) if self._terminal and not os.environ.get("NO_COLOR") else line)
        else:
            self._widen(cells)
        for one in cells:
            click.echo(self._line(one))

    def _widen(self, lines: Sequence[Sequence[str]]) -> None:
        self._widths = [max([width, *(width_of(line[at]) for line in lines)]) for at, width in enumerate(self._widths)]
        if self._room:
            self._fit()

    def _fit(self) -> None:
        """Choose how many columns are shown, and shorten the widest of these until all fit."""
        widths = self._widths
        fixed = [number or name in _TIMES for number, name in zip(self._numeric, self._columns, strict=True)]
        least = [width if whole else min(width, _COLUMN_MIN) for width, whole in zip(widths, fixed, strict=True)]
        self._shown = len(widths)
        while self._shown > 1 and sum(least[: self._shown]) + self._between() > self._room:
            self._shown -= 1
        while (
            sum(widths[: self._shown]) + self._between() > self._room and widths[: self._shown] != least[: self._shown]
        ):
            widths[max(range(self._shown), key=lambda at: (widths[at] > least[at]) * widths[at])] -= 1

    def _between(self) -> int:
        """Return how much is taken by what stands between the columns, and by the sign that there are more."""
        return 2 * (self._shown - (self._shown == len(self._widths)))

    def _line(self, values: Sequence[str]) -> str:
        padded = []
        for value, width, right in zip(values[: self._shown], self._widths, self._numeric, strict=False):
            shown = within(value, width)
            padding = " " * (width - width_of(shown))
            padded.append(padding + shown if right else shown + padding)
        text = "  ".join(padded).rstrip() if self._shown == len(values) else f"{'  '.join(padded)} …"
        return within(text, self._room) if self._room else text


def separated(names: Sequence[str], form: str) -> Callable[[Row], object]:
    """Write a line of csv or tsv with the names of fields; return what writes a row of them."""
    writer = csv.writer(sys.stdout, delimiter=DELIMITERS[form], lineterminator="\n")
    writer.writerow(names)
    return lambda row: writer.writerow([_flat(row.get(name)) for name in names])


def _flat(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
