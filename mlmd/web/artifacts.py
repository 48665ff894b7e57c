"""The list of artifacts: those that a filter leaves, of a type or all, with what differs between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlmd.display.tables import Table
from mlmd.kinds import ARTIFACT
from mlmd.recorder.aliases import standing_for
from mlmd.recorder.rows import differing, noted
from mlmd.recorder.search import filter_text
from mlmd.recorder.things import Artifact
from mlmd.web.page import Page
from mlmd.web.types import counted, elsewhere, found_of
from mlmd.web.view import Param
from mlmd.web.words import instant

if TYPE_CHECKING:
    from mlmd.web.view import View

_KEYS_SHOWN: Final = 6
_COLUMNS: Final = ("id", "artifact", "type", "state", "tainted", "aliases", "uri", "created")
SKIP_MAX: Final = 10_000_000
PARAMS: Final = (
    Param("q", "A filter: acc > 0.9 and not tainted, name LIKE 'taxi%', or any of ML Metadata's language."),
    Param("type", "Only artifacts of this type."),
    Param("sort", "created, updated, id or a property; the highest first with a minus.", "-created"),
    Param("col", "A property to show; those that differ where none is given.", (), most=50),
    Param("skip", "How many to pass over.", 0, most=SKIP_MAX),
    Param("n", "How many to show.", 50, least=1, most=1_000),
)


def artifacts_page(view: View) -> Page:
    """Return the page."""
    found, metadata = found_of(view, ARTIFACT.name, _wanted(view)), view.store.metadata
    values = [noted(node) for node in found.nodes]
    columns = list(dict.fromkeys(filter(None, view["col"]))) or differing(values)[:_KEYS_SHOWN]
    aliases = standing_for(metadata, [node.id for node in found.nodes])
    rows = [
        artifact_row(Artifact(metadata, node), aliases.get(node.id, []))
        | {"values": {key: own[key] for key in columns if key in own}}
        for node, own in zip(found.nodes, values, strict=True)
    ]
    facts = {
        "rows": rows,
        "columns": columns,
        "numeric": [key for key in columns if _numeric([row["values"][key] for row in rows if key in row["values"]])],
        "known": sorted({key for own in values for key in own}.union(columns)),
        "types": counted(view, ARTIFACT.name),
        "total": found.total,
        "everything": found.everything,
    }
    cells = [[*(row[name] for name in _COLUMNS), *(row["values"].get(key) for key in columns)] for row in rows]
    table = Table((*_COLUMNS, *(_titled(key) for key in columns)), cells)
    command, python = elsewhere(view, ARTIFACT, _wanted(view))
    return Page("artifacts.html", "Artifacts", facts, table=table, command=command, python=python)


def _wanted(view: View) -> str:
    return filter_text("artifact", view["q"], types=view["type"] or None)


def artifact_row(artifact: Artifact, aliases: list[str]) -> dict[str, Any]:
    """Return what a list says of an artifact."""
    return {
        "id": artifact.id,
        "artifact": artifact.label,
        "type": artifact.type,
        "state": artifact.state,
        "tainted": artifact.tainted,
        "aliases": aliases,
        "uri": artifact.uri,
        "created": instant(artifact.message.create_time_since_epoch),
    }


def _numeric(values: list[Any]) -> bool:
    """Tell whether a column holds numbers alone, which stand right."""
    return bool(values) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)


def _titled(key: str) -> str:
    """Return the name of a property as a column: one that is called as a column of ours is told from it."""
    return f"property {key}" if key in _COLUMNS else key
