"""Search: what has a text in its name, uri or properties; what is named as people name things leads to its page at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mlmd import errors
from mlmd.display.tables import Table
from mlmd.kinds import ARTIFACT, KIND_NAMED
from mlmd.names import TYPE, name_of
from mlmd.recorder import references
from mlmd.recorder.aliases import label_of
from mlmd.recorder.standing import why_tainted
from mlmd.recorder.words import ALIAS_TYPE
from mlmd.web.page import Page
from mlmd.web.view import PLACES, Param, object_path
from mlmd.web.words import instant

if TYPE_CHECKING:
    from mlmd.mentions import Mention
    from mlmd.web.view import View

_RECORD: Final = re.compile(r"#(\d{1,15})")
_COLUMNS: Final = ("thing", "kind", "name", "type", "found_in", "tainted", "created")
PARAMS: Final = (
    Param(
        "q",
        "A text, or what names one thing: taxi:7, taxi@prod, art:3, run:5, ctx:2, type:Model, #12, a URI.",
        longest=1_000,
    ),
    Param("n", "How many to find.", 50, least=1, most=1_000),
)


def search_page(view: View) -> Page:
    """Return the page, or the way to that of the one thing that is named."""
    text, said = view["q"].strip(), ""
    if text:
        try:
            if path := _named(view, text):
                return Page.moved(path)
        except (errors.NotFoundError, errors.InvalidArgumentError) as error:
            said = str(error)
    rows = [_row(one) for one in view.store.search(text, limit=view["n"])] if text else []
    table = Table(_COLUMNS, [[row[name] for name in _COLUMNS] for row in rows])
    return Page(
        "search.html",
        f"Search: {text}" if text else "Search",
        {"text": text, "said": said, "rows": rows},
        table=table,
        command=view.command("search", text, "-n", str(view["n"])) if text else "",
        python=view.python(f".search({text!r}, limit={view['n']})") if text else "",
    )


def _named(view: View, text: str) -> str:
    """Return the path of what a text names, "" for a text to search for. Raises NotFoundError, InvalidArgumentError."""
    if (record := _RECORD.fullmatch(text)) is not None:
        return f"/audit/{record[1]}"
    if ":" not in text and "@" not in text and not references.is_uri(text):
        return ""
    kind, one = references.thing_of(view.store.metadata, text)
    if kind == TYPE:
        return "/types"
    if not getattr(view.store.metadata, f"get_{KIND_NAMED[kind].plural}_by_id")([one]):
        raise errors.NotFoundError(f"there is no {name_of((kind, one))}")
    return object_path(kind, int(one))


def _row(found: Mention) -> dict[str, Any]:
    node = found.node
    return {
        "id": node.id,
        "thing": name_of((found.kind, node.id)),
        "kind": "alias" if node.type == ALIAS_TYPE else found.kind,
        "name": label_of(node) if found.kind == "artifact" else node.name or name_of((found.kind, node.id)),
        "type": node.type,
        "found_in": found.field,
        "tainted": why_tainted(node) or None,
        "created": instant(node.create_time_since_epoch),
        "page": f"/{PLACES[ARTIFACT.name]}/{node.name}"
        if node.type == ALIAS_TYPE
        else object_path(found.kind, node.id),
    }
