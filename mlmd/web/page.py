"""What a page holds. Its forms are all made of this, so that they never disagree: HTML, JSON, CSV, Parquet, SVG."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from mlmd.errors import NotFoundError
from mlmd.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlmd.display.graph import Graph
    from mlmd.display.tables import Table
    from mlmd.errors import StatusError
    from mlmd.web.view import View

FORMS: Final = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "svg": "image/svg+xml",
}


_FORMULA: Final = re.compile(r"[=@\t\r]|[+-](?![\d.]+(e[+-]?\d+)?\Z)", re.ASCII | re.IGNORECASE)  # A number is none.


class Stream(NamedTuple):
    """Data that is sent while it is made. close: called when nobody takes any more of it, from any thread."""

    pieces: Iterator[bytes]
    close: Callable[[], None]


@dataclass(frozen=True)
class Page:
    """A page before it is drawn.

    template: in `templates/`; it sees the facts by name. facts: plain values, which are the JSON as they stand. table: the CSV and
    Parquet. graph, or picture where it is drawn otherwise: the SVG. command, python: what shows the same elsewhere. islands: names of
    scripts in `static/`. error: what is wrong with what was asked, which the page shows where it was asked; other forms are refused.
    to: the path of the page that the browser goes to instead. streams: the data of a form, sent while it is made, for those forms that are
    too large to be made first.
    """

    template: str
    title: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    table: Table | None = None
    graph: Graph | None = None
    picture: Callable[[], str] | None = None
    command: str = ""
    python: str = ""
    islands: tuple[str, ...] = ()
    status: int = 200
    error: StatusError | None = None
    to: str = ""
    streams: Mapping[str, Callable[[], Stream]] = field(default_factory=dict)

    @classmethod
    def moved(cls, path: str) -> Page:
        """Return what sends the browser to another page, at the same moment and in the same form."""
        return cls("", "", to=path)

    @property
    def forms(self) -> list[str]:
        """Return the forms there are of it, beside HTML."""
        # One without rows or nodes is there all the same.
        rows, drawn = self.table is not None, self.graph is not None or self.picture is not None
        there = (("json", True), ("csv", rows), ("parquet", rows), ("svg", drawn))
        return [form for form, has in there if has or form in self.streams]


def rendered(page: Page, form: str, view: View) -> bytes:
    """Return a page in a form of FORMS. Raises NotFoundError where it has none such, and the error of the page."""
    if page.error is not None:
        raise page.error
    if form == "json":
        return as_json(page, view)
    if form not in page.forms:
        raise NotFoundError(f"this page has no .{form}: it has .{', .'.join(page.forms)}")
    if form == "svg":
        return (page.picture() if page.picture is not None else page.graph.svg()).encode()  # type: ignore[union-attr] # `forms` says so
    assert page.table is not None, "`forms` says so"
    return as_csv(page.table) if form == "csv" else as_parquet(page.table)


def as_json(page: Page, view: View) -> bytes:
    """Return the facts, with what they cite."""
    return msgspec.json.format(msgspec.json.encode(told(page.title, page.facts, view)), indent=1)


def told(title: str, facts: Mapping[str, Any], view: View) -> Any:
    """Return what the JSON of a page holds."""
    unread = {"unread": view.unread} if view.unread else {}
    return plain({"title": title, "at": view.at, **view.cited, **unread, "facts": facts})


def as_csv(table: Table) -> bytes:
    """Return a table as CSV; lists and dicts in it as JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(as_csv_cell, table.columns))
    for row in table.rows:
        writer.writerow(map(as_csv_cell, row))
    return text.getvalue().encode(errors="backslashreplace")


def as_csv_cell(value: Any) -> Any:
    """Return a value as a cell of CSV has it, which spreadsheets open: they would run a text as a formula, and whoever puts chooses texts.

    Source: OWASP, CSV Injection.
    """
    cell = as_cell(value)
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def as_parquet(table: Table) -> bytes:
    """Return a table as a file of Parquet. Raises MissingLibraryError, ExportError."""
    from projections.duck.rows import write_rows  # noqa: PLC0415 - DuckDB takes 90 ms, and need not be installed

    rows = [{name: as_cell(value) for name, value in record.items()} for record in table.records()]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        write_rows(rows, list(table.columns), file)
        return file.read_bytes()


def as_cell(value: Any) -> Any:
    """Return a value as a cell of a file has it: times as RFC 3339, what has parts as JSON."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple | dict):
        return msgspec.json.encode(plain(value)).decode()
    return plain(value)
