"""The audit page: the log with filters, and each record in full. A browser can verify what they show: see `web/src/verify.ts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from evlog import frame as frames
from evlog import merkle
from evlog.frame import unpack_body
from evlog.tip import leaf_of
from mlmd.display.tables import Table
from mlmd.errors import InvalidArgumentError, NotFoundError
from mlmd.names import is_number
from mlmd.web.page import Page
from mlmd.web.trail import SCANNED_MAX, Wanted, trail, whole_facts
from mlmd.web.view import Param

if TYPE_CHECKING:
    from evlog.log import Log
    from mlmd.web.view import View
    from projections.sqlite.view import View as Rows

ROWS: Final = 30
_COLUMNS: Final = ("offset", "time", "actor", "auth", "application", "host", "api", "reason", "what")
PARAMS: Final = (
    Param("by", "the actor"),
    Param("object", "an object, such as art:2, run:1, ctx:7 or type:Trainer"),
    Param("type", "the name of a type: its nodes, and what links them"),
    Param("api", "the call, such as PutArtifacts or Restore"),
    Param("reason", "a text that the reason has in it"),
    Param("since", "a moment: only records put from then on", moment=True),
    Param("until", "a moment: only records put before", moment=True),
    Param("before", "an offset: only records before it", default=-1, least=-1),
    Param("limit", "records on the page", default=ROWS, least=1, most=500),
)


def audit_page(view: View) -> Page:
    """Return the page of the log."""
    asked = {name: view[name].strip() for name in ("by", "object", "type", "api", "reason", "since", "until")}
    wanted = Wanted(**asked, before=None if view["before"] < 0 else view["before"])
    found = view.review(lambda log, rows, end: trail(log, rows, end, wanted, view["limit"]))
    facts = {
        "filters": asked,
        "rows": [_without_words(row) for row in found.rows],
        "scanned": found.scanned,
        "scanned_max": SCANNED_MAX,
        "go_on": found.go_on,
    }
    table = Table(_COLUMNS, [[row[name] for name in _COLUMNS] for row in found.rows])
    return Page(
        "audit.html",
        "Audit",
        facts,
        table=table,
        command=_command(view, asked),
        python=_python(view, asked["object"]),
        islands=("verify",),
    )


def _without_words(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the page, which says in words what it does not say field by field."""
    return {name: one for name, one in row.items() if name != "what" or not row["differences"]}


def _command(view: View, asked: dict[str, str]) -> str:
    words = ["log", *([asked["object"]] if asked["object"] else []), "-n", str(view["limit"])]
    for name in ("by", "type", "api", "reason", "since", "until"):
        words += [f"--{name}", asked[name]] if asked[name] else []
    return view.command(*words, at=_until(view))


def _python(view: View, thing: str) -> str:
    if thing:
        return view.python(f".history({thing!r})", _until(view))
    return view.python(
        f".metadata.log.read(0, {min(view['before'], view.offset) if view['before'] >= 0 else view.offset})", ""
    )


def _until(view: View) -> str:
    """Return the moment at which the part of the log that is shown ends."""
    return f"#{min(view['before'], view.offset)}" if view["before"] >= 0 else view.at


def record_page(view: View) -> Page:
    """Return the page of one record."""
    offset = offset_of(view.named["offset"])
    facts = view.review(lambda log, rows, end: _record(log, rows, end, offset))
    return Page(
        "audit_record.html",
        f"Record {offset:,}",
        facts,
        command=view.command("prove", f"#{offset}", "-O", f"record-{offset}.tlog-proof", at=""),
        python=view.python(f".prove('#{offset}')", ""),
        islands=("verify",),
    )


def offset_of(text: str) -> int:
    """Return the offset that a path names. Raises InvalidArgumentError."""
    if not is_number(text):
        raise InvalidArgumentError(f"{text[:100]!r} is no offset: a record is named by its number")
    return int(text)


def _record(log: Log, rows: Rows, end: int, offset: int) -> dict[str, Any]:
    if offset >= end:
        raise NotFoundError(f"there is no record {offset:,}: there are {end:,}")
    stored = log.frame(offset)
    envelope, changes = unpack_body(stored.body, stored.changes)
    leaf = leaf_of(stored, envelope, changes)
    return whole_facts(log, rows, next(log.read(offset, offset + 1))) | {
        "leaf": leaf.hex(),
        "leaf_hash": merkle.leaf_hash(leaf).hex(),
        "bytes": len(stored.body),
        "frame_bytes": frames.HEADER.size + len(stored.body),
        "before": offset - 1 if offset > 0 else None,
        "after": offset + 1 if offset + 1 < end else None,
    }
