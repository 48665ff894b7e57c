"""What forms do: taint and its opposite, aliases, marks. Each is one record, by who sent the form and with his reason."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from mlmd.display.facts import nodes_of
from mlmd.display.nodes import TAINTED
from mlmd.errors import InvalidArgumentError
from mlmd.names import name_of
from mlmd.recorder import references
from mlmd.recorder.aliases import aliases_of
from mlmd.recorder.taint import foretell
from mlmd.web.page import Page
from mlmd.web.putting import putting, refuse_read_only
from mlmd.web.view import DONE, Param, inside, object_path
from mlmd.web.words import instant

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mlmd.recorder.store import Store
    from mlmd.web.view import View
    from replay.things import Thing

_SHOWN: Final = 100
_OBJECT: Final = Param("object", "What is meant: art:3, run:5, taxi:7, taxi@prod.")
_BECAUSE: Final = Param("because", "Why, for the record.", longest=1_024)
_ALONE: Final = Param("alone", "Only the thing itself, not what was made from it.", default=False)
ASKED: Final = (_OBJECT, _ALONE)
TAINT: Final = (_OBJECT, _BECAUSE, _ALONE)
ALIAS: Final = (_OBJECT, Param("alias", "NAME@ALIAS, such as taxi-model@prod."), _BECAUSE)
UNALIAS: Final = (ALIAS[1], _BECAUSE)
MARK: Final = (
    Param("name", "What the moment is called from now on."),
    Param("when", "The moment: now, or #31907."),
    _BECAUSE,
    Param("back", "The page of this site to go on with."),
)


# Before: what would be marked ----------------------------------------------------------------------------------------


def taint_page(view: View) -> Page:
    """Return the page that tells what a taint would mark, and has the form that does."""
    return _foretold(view, away=False)


def untaint_page(view: View) -> Page:
    """Return the page that tells from what the mark would be taken away, and has the form that does."""
    return _foretold(view, away=True)


def _foretold(view: View, *, away: bool) -> Page:
    refuse_read_only(view)
    metadata = view.store.metadata
    thing = _thing(view.store, view["object"])
    found = foretell(metadata, name_of(thing), downstream=not view["alone"], away=away)
    marked = set(found.artifacts)
    aliases = {one: names for one, names in _aliases(view).items() if one in marked}
    first = sorted(found.artifacts, key=lambda one: (one not in aliases, one))[:_SHOWN]
    shown = [*(("artifact", one) for one in first), *(("execution", one) for one in found.executions[:_SHOWN])]
    nodes = {node.key: node for node in nodes_of(metadata, [*shown, _known(thing)])}
    rows = [
        {
            "thing": (key := name_of(one)),
            "kind": one[0],
            "name": nodes[key].label,
            "type": nodes[key].type,
            "live": aliases.get(one[1], []) if one[0] == "artifact" else [],
            "created": instant(nodes[key].time_ms),
            "page": object_path(*one),
        }
        for one in shown
    ]
    itself = nodes[name_of(thing)]
    facts = {
        "away": away,
        "thing": name_of(thing),
        "name": itself.label,
        "type": itself.type,
        "page_of": object_path(*_known(thing)),
        "tainted": TAINTED in itself.flags,
        "alone": view["alone"],
        "artifacts": len(found.artifacts),
        "runs": len(found.executions),
        "live": len(aliases),
        "unchanged": found.already,
        "rows": rows,
    }
    verb = "untaint" if away else "taint"
    alone = ["--alone"] if view["alone"] else []
    return Page(
        "taint.html",
        f"Take the taint of {itself.label} away" if away else f"Taint {itself.label}",
        facts,
        command=view.command(verb, name_of(thing), "--because", "...", *alone),
        python=view.python(
            f".{verb}({name_of(thing)!r}, because='...'{', downstream=False' if view['alone'] else ''})"
        ),
    )


def _aliases(view: View) -> dict[int, list[str]]:
    """Return all aliases by the id of what they stand for."""
    found: dict[int, list[str]] = {}
    for alias in aliases_of(view.store.metadata):
        found.setdefault(alias.artifact_id or 0, []).append(alias.name)
    return found


def _thing(store: Store, text: str) -> Thing:
    """Return the artifact or run that a form speaks of. Raises InvalidArgumentError, NotFoundError."""
    if not text.strip():
        raise InvalidArgumentError("object: name an artifact or a run, such as art:3, taxi:7 or run:5")
    thing = references.thing_of(store.metadata, text)
    if thing[0] not in ("artifact", "execution"):
        raise InvalidArgumentError(f"object: {text!r} is no artifact and no run")
    return thing


def _known(thing: Thing) -> tuple[str, int]:
    return thing[0], int(thing[1])


# What forms do -------------------------------------------------------------------------------------------------------


def taint(view: View) -> str:
    """Taint a thing, and what was made from it unless it is meant alone."""
    store, thing = _with_thing(view)
    store.taint(name_of(thing), view["because"], downstream=not view["alone"])
    return _page_of(thing, "tainted")


def untaint(view: View) -> str:
    """Take the mark of a taint away."""
    store, thing = _with_thing(view)
    store.untaint(name_of(thing), view["because"], downstream=not view["alone"])
    return _page_of(thing, "untainted")


def set_alias(view: View) -> str:
    """Let an alias stand for an artifact."""
    store = putting(view)
    artifact = store.artifact(view["object"])
    with _because(store, view["because"]):
        store.alias(view["alias"].strip(), artifact)
    return _page_of(artifact.thing, "alias")


def remove_alias(view: View) -> str:
    """Take an alias away from what it stands for."""
    store, alias = putting(view), view["alias"].strip()
    artifact = store.artifact(alias)
    with _because(store, view["because"]):
        store.alias(alias, None)
    return _page_of(artifact.thing, "unalias")


def mark(view: View) -> str:
    """Give a moment a name."""
    store = putting(view)
    with _because(store, view["because"]):
        store.mark(view["name"].strip(), view["when"].strip() or "now")
    back = urlsplit(inside(view["back"]))
    query = "&".join(filter(None, [back.query, urlencode({DONE: "mark"})]))
    return f"{back.path}?{query}"


def _with_thing(view: View) -> tuple[Store, Thing]:
    store = putting(view)
    return store, _thing(store, view["object"])


def _because(store: Store, text: str) -> AbstractContextManager[Any]:
    return store.acting(reason=text) if text.strip() else nullcontext()


def _page_of(thing: Thing, done: str) -> str:
    return f"{object_path(*_known(thing))}?{urlencode({DONE: done})}"
