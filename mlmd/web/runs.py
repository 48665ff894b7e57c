"""The list of runs: a filter, an order, a part of them; columns of what differs. Asks the store for the rows that it shows, and for their number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mlmd.display.cells import time_of
from mlmd.errors import InvalidArgumentError
from mlmd.kinds import SYSTEM_TYPE_NAMES
from mlmd.recorder import words
from mlmd.recorder.rows import Rows, noted, rows_of
from mlmd.recorder.standing import is_tainted, why_tainted
from mlmd.web.page import Page
from mlmd.web.view import Param

if TYPE_CHECKING:
    from mlmd.recorder.rows import Row
    from mlmd.recorder.things import Run
    from mlmd.web.view import View

NEWEST: Final = "-created"
_KEYS_MAX: Final = 8
_COLUMNS_MAX: Final = 50
_KNOWN_MAX: Final = 200  # So many properties are offered as columns.
_ENDS_SHOWN: Final = 3
_CHIPS_MAX: Final = 12
_STATES: Final = ("COMPLETE", "FAILED", "RUNNING", "LOST", "CACHED", "CANCELED", "NEW")
_PLACE: Final = re.compile(r"\s*\[at (\d+):(\d+)\]$")
_BEFORE: Final = "Invalid `filter_query`: "
_SORTED: Final = (words.METRIC, words.PARAMETER, words.TAG)

PARAMS: Final = (
    Param("q", "which runs: a filter such as m.acc > 0.9 and not tainted"),
    Param("type", "runs of these types alone", (), most=50),
    Param("state", "runs in this state alone", choices=_STATES),
    Param(
        "sort", "in which order: created, updated, id or a property such as m.acc, after a minus the last first", NEWEST
    ),
    Param("column", "the properties to show; where none is named, those that differ", (), most=_COLUMNS_MAX),
    Param("skip", "how many to leave out", 0),
    Param("limit", "how many to show", 50, least=1, most=500),
)


def runs_page(view: View) -> Page:
    """Return the page."""
    asked = {param.name: view[param.name] for param in PARAMS}
    types = sorted({one.name for one in view.store.metadata.get_execution_types()} - SYSTEM_TYPE_NAMES)
    offered = {
        "types": types if len(types) > _CHIPS_MAX else [],
        "chips": types if len(types) <= _CHIPS_MAX else list(view["type"]),
        "states": list(_STATES),
    }
    try:
        found, rows = _found(view)
    except InvalidArgumentError as error:
        empty = {"error": _placed(str(error), view["q"]), "columns": [], "known": [], "rows": [], "total": 0, "runs": 0}
        return Page("runs.html", "Runs", plain_asked(asked) | offered | empty, status=400, error=error)
    facts = {
        "error": None,
        "columns": [_column(name, rows) for name in rows.columns],
        "known": _known(rows),
        "rows": [_row(one, rows.columns) for one in rows.rows],
        "total": found.total,
        "runs": found.everything,
    }
    return Page(
        "runs.html",
        "Runs",
        plain_asked(asked) | offered | facts,
        table=rows.table,
        command=_command(view),
        python=_python(view),
    )


def plain_asked(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked as facts of a page."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items()}


def _found(view: View) -> tuple[Any, Rows]:
    """Return the part of the list that was asked for, and its rows. Raises InvalidArgumentError."""
    runs = view.store.runs(
        view["q"].strip(), state=view["state"] or None, sort=view["sort"], types=view["type"] or None
    )
    found = runs.page(view["skip"], view["limit"])
    chosen = list(view["column"]) or None
    return found, rows_of(view.store.metadata, found.nodes, chosen, runs.sorted_by, _KEYS_MAX)


def _placed(message: str, text: str) -> dict[str, Any]:
    """Return what is wrong, and the text before, at and after the place where it is."""
    place = _PLACE.search(message)
    said = _PLACE.sub("", message).removeprefix(_BEFORE)
    if place is None or not text:
        return {"message": said, "before": "", "at": "", "after": ""}
    line, column = int(place[1]), int(place[2])
    at = sum(len(one) for one in text.splitlines(keepends=True)[: line - 1]) + column - 1
    return {"message": said, "before": text[:at], "at": text[at : at + 1], "after": text[at + 1 :]}


def short_facts(run: Run) -> dict[str, Any]:
    """Return what every list of runs says of one."""
    message = run.message
    return {
        "id": run.id,
        "label": run.label,
        "name": message.name,
        "type": message.type,
        "state": run.state,
        "tainted": why_tainted(message) if is_tainted(message) else None,
        "started": time_of(message.create_time_since_epoch),
        "duration_s": run.duration_s,
    }


def _row(row: Row, columns: Any) -> dict[str, Any]:
    return short_facts(row.run) | {
        "values": {name: row.values.get(name) for name in columns},
        "inputs": _ends(row.inputs),
        "outputs": _ends(row.outputs),
        "inputs_total": len(row.inputs),
        "outputs_total": len(row.outputs),
    }


def _ends(ends: Any) -> list[dict[str, Any]]:
    return [{"id": one, "label": label} for one, label in ends[:_ENDS_SHOWN]]


def _column(name: str, rows: Rows) -> dict[str, Any]:
    values = [row.values[name] for row in rows.rows if row.values.get(name) is not None]
    numbers = bool(values) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
    return {"name": name, "kind": "number" if numbers else "", "sort": name if name.startswith(_SORTED) else None}


def _known(rows: Rows) -> list[str]:
    """Return the properties that there are to show."""
    names = {name for row in rows.rows for name in noted(row.run.message)} | set(rows.columns)
    return sorted(names, key=lambda name: (name not in rows.columns, name))[:_KNOWN_MAX]


def _command(view: View) -> str:
    """Return the command that lists the same."""
    parts = ["runs", *filter(None, [view["q"].strip()])]
    parts += [] if view["sort"] == NEWEST else ["--sort", view["sort"]]
    parts += [part for one in view["type"] for part in ("--type", one)]
    parts += ["--state", view["state"]] if view["state"] else []
    parts += ["--cols", ",".join(view["column"])] if view["column"] else []
    return view.command(*parts, "-n", str(view["skip"] + view["limit"]))


def _python(view: View) -> str:
    """Return the Python that lists the same."""
    more = f", state={view['state']!r}" if view["state"] else ""
    more += "" if view["sort"] == NEWEST else f", sort={view['sort']!r}"
    more += f", types={list(view['type'])!r}" if view["type"] else ""
    return view.python(f".runs({view['q'].strip()!r}{more})[{view['skip']}:{view['skip'] + view['limit']}]")
