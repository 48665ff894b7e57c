"""The list of contexts: pipelines, experiments, runs of pipelines, and whatever else artifacts and runs were put into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlmd.display.tables import Table
from mlmd.kinds import CONTEXT
from mlmd.recorder.rows import noted
from mlmd.recorder.search import filter_text
from mlmd.recorder.words import ALIAS_TYPE, MARK_TYPE
from mlmd.web.page import Page
from mlmd.web.types import counted, elsewhere, found_of
from mlmd.web.view import Param
from mlmd.web.words import instant

if TYPE_CHECKING:
    from mlmd.kinds import Node
    from mlmd.web.view import View
    from projections.sqlite.lookup import Lookup

_COLUMNS: Final = ("id", "context", "type", "runs", "artifacts", "properties", "created", "updated")
_OURS: Final = (ALIAS_TYPE, MARK_TYPE)  # They have pages of their own: artifacts, and the chip of the moment.
PARAMS: Final = (
    Param("q", "A filter in ML Metadata's language, or the short one: name LIKE 'taxi%'."),
    Param("type", "Only contexts of this type."),
    Param("sort", "created, updated, id or a property; the highest first with a minus.", "-created"),
    Param("skip", "How many to pass over.", 0, most=10_000_000),
    Param("n", "How many to show.", 50, least=1, most=1_000),
)


def contexts_page(view: View) -> Page:
    """Return the page. Aliases and marks are contexts too, and are shown where their type is asked for."""
    found = found_of(view, CONTEXT.name, _wanted(view))
    rows = rows_of(view, found.nodes)
    facts = {
        "rows": rows,
        "types": [one for one in counted(view, CONTEXT.name) if one["type"] not in _OURS],
        "total": found.total,
    }
    table = Table(_COLUMNS, [[row[name] for name in _COLUMNS] for row in rows])
    command, python = elsewhere(view, CONTEXT, _wanted(view))
    return Page("contexts.html", "Pipelines", facts, table=table, command=command, python=python)


def _wanted(view: View) -> str:
    if view["type"]:
        return filter_text("context", view["q"], types=view["type"])
    return filter_text("context", view["q"], f"type NOT IN ({', '.join(map(repr, _OURS))})")


def rows_of(view: View, contexts: list[Node]) -> list[dict[str, Any]]:
    """Return what a list says of contexts."""
    ids = [one.id for one in contexts]

    def question(lookup: Lookup) -> tuple[dict[int, int], dict[int, int]]:
        return lookup.members("execution", ids), lookup.members("artifact", ids)

    runs, artifacts = view.ask(question)
    return [
        {
            "id": one.id,
            "context": one.name,
            "type": one.type,
            "runs": runs.get(one.id, 0),
            "artifacts": artifacts.get(one.id, 0),
            "properties": noted(one),
            "created": instant(one.create_time_since_epoch),
            "updated": instant(one.last_update_time_since_epoch),
        }
        for one in contexts
    ]
