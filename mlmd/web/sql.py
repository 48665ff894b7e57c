"""SQL: a question to the history, its answer as a table, and as much of it as there is for download."""

from __future__ import annotations

import csv
import io
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import msgspec

from evlog.errors import LogError
from mlmd.errors import (
    DATA_LOSS,
    DeadlineExceededError,
    InvalidArgumentError,
    ResourceExhaustedError,
    StatusError,
    status_error,
)
from mlmd.web import saved
from mlmd.web.page import Page, Stream, as_csv_cell, told
from mlmd.web.putting import refuse_read_only
from mlmd.web.view import DONE, Param

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd.web.view import View
    from projections.duck.console import Answer, SqlError

QUERY_MAX: Final = 4_000
# Questions to begin with, which any store answers: title and text. docs/sql.md has more.
EXAMPLES: Final[list[tuple[str, str]]] = re.findall(
    r"^-- (.+)\n([^;]+);", Path(__file__).with_name("examples.sql").read_text(encoding="utf-8"), re.MULTILINE
)
_COLUMNS_MAX: Final = 10_000
_ROWS_AT_ONCE: Final = 500
_Q: Final = Param("q", "A question in DuckDB's SQL.", longest=QUERY_MAX)
_SAVED: Final = Param("saved", "The name of a saved question, in place of q: NAME for queries/NAME.sql.", longest=64)
PARAMS: Final = (_Q, _SAVED)
SAVE: Final = (
    Param("name", "What the question is called.", longest=64),
    Param("q", "The question.", longest=saved.BYTES_MAX),
    Param("replace", "It may take the place of one of that name.", default=False),
)


def sql_page(view: View) -> Page:
    """Return the page: what can be asked, the question, and its answer."""
    query = _query(view)
    if not query.strip():
        view.site.desk.prepare()
        return _page(view, "", _no_answer())
    whole: Any = {form: lambda form=form: _stream(view, query, form) for form in ("json", "csv", "parquet")}
    if view.wanted in whole:
        return _page(view, query, _no_answer(), streams=whole)
    try:
        return _page(view, query, _shown(view, query), streams=whole)
    except _sql_errors() as error:
        facts = _no_answer() | {"error": _where(query, error)}
        return _page(view, query, facts, error=_status_of(error))
    except (LogError, StatusError) as error:
        told = status_error(error)
        if told.error_code != DATA_LOSS:
            raise
        facts = _no_answer() | {"error": _said(f"SQL is asked of every record, and one cannot be read: {told}")}
        return _page(view, query, facts, error=told, status=500)


def save(view: View) -> str:
    """Save a question as a file, and show it."""
    refuse_read_only(view)
    name = view["name"].strip()
    saved.save(view.site.place, name, view["q"], replace=view["replace"])
    return f"/sql?{urlencode({'saved': name, DONE: 'saved'})}"


def _query(view: View) -> str:
    """Return what is asked. Raises InvalidArgumentError, NotFoundError."""
    query, name = view["q"], view["saved"]
    if name and query:
        raise InvalidArgumentError("q and saved: give one of them")
    text: str = saved.read(view.site.place, name) if name else query.replace("\r\n", "\n")
    return text


def _page(view: View, query: str, answer: dict[str, Any], **more: Any) -> Page:
    limits = view.site.desk.limits
    facts = {
        "q": query,
        "saved": view["saved"],
        **answer,
        "limits": {
            "seconds": limits.timeout_s,
            "download_seconds": limits.whole_s,
            "bytes": limits.memory_bytes,
            "rows": limits.rows,
        },
        "queries": [one._asdict() for one in saved.listed(view.site.place)],
        "examples": [{"title": title, "query": text} for title, text in EXAMPLES],
        "schema": [] if view.wanted and query else _schema(view),
    }
    return Page(
        "sql.html",
        "SQL",
        facts,
        command=view.command("sql", query) if query else "",
        python=view.python(f".sql({query!r}).df()") if query else "",
        islands=("sql",),
        **{"status": 400 if "error" in more else 200, **more},
    )


def _schema(view: View) -> list[dict[str, Any]]:
    """Return tables and macros, those of the schema before the wide views."""
    from projections.duck.wide import quoted  # noqa: PLC0415 - as in `_sql_errors`

    found = sorted(view.site.desk.described(), key=lambda one: (not one.columns, one.call.startswith("type_")))
    return [
        {
            "name": one.call,
            "about": one.about,
            "query": f"from {quoted(one.call)} limit 100" if one.columns else "",
            "columns": [{"name": name, "type": form, "about": about} for name, form, about in one.columns],
        }
        for one in found
    ]


# Answers -------------------------------------------------------------------------------------------------------------


def _no_answer() -> dict[str, Any]:
    return {"answered": False, "columns": [], "rows": [], "numbers": [], "more": False, "error": None}


def _shown(view: View, query: str) -> dict[str, Any]:
    """Return the first rows of an answer. Raises SqlError."""
    limits = view.site.desk.limits
    with _ask(view, query) as answer:
        columns = _columns_of(answer)
        most = max(1, min(limits.rows, limits.cells // max(len(columns), 1)))
        rows: list[list[Any]] = []
        more = False
        for row in islice(answer.rows(), most + 1):
            more = len(rows) == most or (answer.size > limits.size and bool(rows))
            if more:
                break
            rows.append(row)
    numbers = [
        name
        for at, name in enumerate(columns)
        if any(row[at] is not None for row in rows)
        and all(row[at] is None or type(row[at]) in (int, float) for row in rows)
    ]
    return _no_answer() | {"answered": True, "columns": columns, "rows": rows, "numbers": numbers, "more": more}


def _ask(view: View, query: str, *, parquet: bool = False, whole: bool = False) -> Answer:
    who = view.who
    return view.site.desk.ask(query, view.offset, f"{who.actor} {who.host}", parquet=parquet, whole=whole)


def _columns_of(answer: Answer) -> list[str]:
    """Return the names of the columns. Raises SqlError where they are too many to be shown."""
    from projections.duck.console import SqlError  # noqa: PLC0415 - as in `_sql_errors`

    if len(answer.columns) > _COLUMNS_MAX:
        raise SqlError(f"the answer has {len(answer.columns):,} columns, {_COLUMNS_MAX:,} at most")
    return answer.columns


def _sql_errors() -> type[SqlError]:
    from projections.duck.console import SqlError  # noqa: PLC0415 - who asks no SQL needs no DuckDB

    return SqlError


def _status_of(error: SqlError) -> StatusError:
    """Return what a program is told."""
    from projections.duck.console import SqlLimitError  # noqa: PLC0415 - as above

    if not isinstance(error, SqlLimitError):
        return InvalidArgumentError(str(error))
    return (DeadlineExceededError if "longer than" in str(error) else ResourceExhaustedError)(str(error))


def _where(query: str, error: SqlError) -> dict[str, str]:
    """Return what is wrong, and the question before, at and after the place where it is."""
    at = error.position
    if at is None:
        return _said(str(error))
    stop = at + 1
    while stop < len(query) and (query[stop].isalnum() or query[stop] == "_") and query[at].isalnum():
        stop += 1
    return {"message": str(error), "before": query[:at], "at": query[at:stop], "after": query[stop:]}


def _said(message: str) -> dict[str, str]:
    """Return what is wrong with no place in the question."""
    return {"message": message, "before": "", "at": "", "after": ""}


# Downloads -----------------------------------------------------------------------------------------------------------


def _stream(view: View, query: str, form: str) -> Stream:
    """Return the whole answer in a form, as it comes. Raises StatusError for what is refused at once."""
    try:
        answer = _ask(view, query, parquet=form == "parquet", whole=True)
    except _sql_errors() as error:
        raise _status_of(error) from error
    if form == "parquet":
        return Stream(answer.parquet(), answer.close)
    pieces = _csv(answer) if form == "csv" else _json(view, query, answer)
    return Stream(pieces, answer.close)


def _csv(answer: Answer) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(as_csv_cell, answer.columns))
    for number, row in enumerate(answer.rows(), 1):
        writer.writerow(map(as_csv_cell, row))
        if number % _ROWS_AT_ONCE == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _json(view: View, query: str, answer: Answer) -> Iterator[bytes]:
    """Yield the JSON of the page, with every row, a line for each."""
    whole = msgspec.json.encode(told("SQL", {"q": query, "columns": answer.columns, "rows": []}, view))
    assert whole.endswith(b"[]}}"), "the rows stand last"
    yield whole.removesuffix(b"]}}") + b"\n"
    before = b""
    for row in answer.rows():
        yield before + msgspec.json.encode(row)
        before = b",\n"
    yield b"\n]}}\n"
