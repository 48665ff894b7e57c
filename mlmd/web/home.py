"""The first page: what is wrong, what is new, what there is, and how the store is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from evlog.records import NodePut
from mlmd import moment
from mlmd.changes import difference_in_words
from mlmd.display.tables import Table
from mlmd.errors import InvalidArgumentError
from mlmd.names import name_of
from mlmd.recorder.things import LOST, Run
from mlmd.web.page import Page
from mlmd.web.run import put_by
from mlmd.web.runs import short_facts
from mlmd.web.view import PLACES, Param, object_path
from projections.sqlite.lookup import Lookup
from replay.things import kind_of

if TYPE_CHECKING:
    from mlmd.web.view import View
    from replay.things import Difference

_NEWEST: Final = 10
_SHOWN: Final = 10
_UNEASY: Final = "state IN (FAILED, RUNNING)"  # In one look: there is no index of states.
_LOOKED_AT_MAX: Final = 200  # So many of the newest.
_DIFF_RECORDS_MAX: Final = 5_000
_DIFF_SHOWN: Final = 15

PARAMS: Final = (Param("since", "tell what happened since this moment", moment=True),)


def home_page(view: View) -> Page:
    """Return the page."""
    newest = view.store.runs()
    page = newest.page(0, _NEWEST)
    runs = [short_facts(Run(view.store.metadata, node)) for node in page.nodes]
    facts = {
        "records": view.offset,
        "runs_total": page.total,
        "runs": runs,
        "broken": _broken(view),
        "calendar": view.where_sound(lambda: view.site.calendar.bars(view.offset), None),
        "since": view.where_sound(lambda: _since(view), None) if view["since"] else None,
    }
    columns = tuple(runs[0]) if runs else ("id", "label", "type", "state")
    return Page(
        "home.html",
        view.site.name,
        facts,
        table=Table(columns, [tuple(run.values()) for run in runs]),
        command=view.command("status"),
        python=view.python(".runs()"),
        islands=("home",),
    )


def _broken(view: View) -> dict[str, Any]:
    """Return the newest runs that failed, those that were running when their process ended, and how many run; `whole`: of all, not the newest alone."""
    uneasy = view.store.runs(_UNEASY)[: _LOOKED_AT_MAX + 1]
    found = [(run, run.state) for run in uneasy[:_LOOKED_AT_MAX]]
    return {
        "looked_at": len(found),
        "whole": len(found) == len(uneasy),
        "failed": [short_facts(run) | {"error": _last_line(run)} for run, state in found if state == "FAILED"][:_SHOWN],
        "lost": [short_facts(run) for run, state in found if state == LOST][:_SHOWN],
        "running": sum(state == "RUNNING" for _, state in found),
    }


def _last_line(run: Run) -> str | None:
    """Return what a traceback comes to."""
    return run.error.rstrip().rpartition("\n")[2] if isinstance(run.error, str) else None


# Since the last visit ------------------------------------------------------------------------------------------------


def _since(view: View) -> dict[str, Any]:
    """Return what the records since a moment did. Raises InvalidArgumentError, OutOfRangeError."""
    try:
        at = moment.parse(view["since"]).at
    except ValueError as error:
        raise InvalidArgumentError(f"since: {error}") from None
    start = min(view.site.engine.offset_at(at), view.offset)
    told = {"asked": view["since"], "offset": start, "records": view.offset - start, "counts": None, "shown": []}
    if not 0 < view.offset - start <= _DIFF_RECORDS_MAX:
        return told
    found = view.store.diff(start, view.offset)
    nodes = [one for one in found.differences if isinstance(one.after, NodePut)]
    counts = Counter((kind_of(one.after), one.what) for one in nodes)
    nodes.sort(key=lambda one: -one.by.offset)
    types = view.ask(Lookup.type_names)
    return told | {
        "counts": [{"kind": kind, "what": what, "count": count} for (kind, what), count in sorted(counts.items())],
        "nodes": len(nodes),
        "shown": [_difference(one, types) for one in nodes[:_DIFF_SHOWN]],
    }


def _difference(one: Difference, types: dict[int, str]) -> dict[str, Any]:
    after = one.after
    assert isinstance(after, NodePut), "the caller chose them"
    kind = kind_of(after)
    return put_by(one.by) | {
        "what": one.what,
        "thing": name_of((kind, after.id)),
        "path": object_path(kind, after.id) if kind in PLACES else None,
        "type": types.get(after.type_id),
        "name": after.name,
        "state": None if (state := getattr(after, "state", None)) == "RUNNING" else state,  # It may be lost by now.
        "said": difference_in_words(one) if one.what == "changed" else [],
    }
