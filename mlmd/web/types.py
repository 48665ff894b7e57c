"""Types: their properties, how many nodes they have, and the lists of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlmd.convert import property_types, text_of, unframed
from mlmd.display.tables import Table
from mlmd.filters.short import MARK
from mlmd.finding import FIND, Find
from mlmd.kinds import KINDS, SYSTEM_TYPE_NAMES
from mlmd.names import TYPE, name_of
from mlmd.recorder.search import order_of
from mlmd.web.page import Page
from mlmd.web.view import PLACES, Param
from projections.query import OrderBy

if TYPE_CHECKING:
    from mlmd.finding import Found
    from mlmd.kinds import Kind, Type
    from mlmd.web.view import View
    from projections.query import Kind as KindName
    from projections.sqlite.lookup import Lookup

PARAMS: Final = (
    Param("kind", "Only types of this kind.", choices=tuple(kind.name for kind in KINDS)),
    Param("system", "The nine types that every store begins with, too.", default=False),
)
_COLUMNS: Final = ("id", "kind", "name", "version", "base_type", "properties", "count", "description")


def types_page(view: View) -> Page:
    """Return the page."""
    rows = [
        row
        for row in view.ask(_rows)
        if view["kind"] in ("", row["kind"])
        and (view["system"] or row["count"] or row["name"] not in SYSTEM_TYPE_NAMES)
    ]
    table = Table(_COLUMNS, [[row[name] for name in _COLUMNS] for row in rows])
    return Page(
        "types.html", "Types", {"rows": rows}, table=table, command=_command(view, rows), python=_python(view, rows)
    )


def _command(view: View, rows: list[dict[str, Any]]) -> str:
    """Return the command that lists the same, "" for types of one kind: it lists those of all."""
    return "" if view["kind"] else view.command("types", *(["--system"] if _has_system(rows) else []))


def _has_system(rows: list[dict[str, Any]]) -> bool:
    return any(row["name"] in SYSTEM_TYPE_NAMES for row in rows)


def _python(view: View, rows: list[dict[str, Any]]) -> str:
    """Return the Python that lists the same, "" with types of the system: ML Metadata's methods leave them out."""
    if _has_system(rows):
        return ""
    kinds = [kind.name for kind in KINDS if view["kind"] in ("", kind.name)]
    opened = view.python(".metadata").replace("mlmd.open", "store = mlmd.open")
    return f"{opened}\n[{', '.join(f'*store.get_{kind}_types()' for kind in kinds)}]"


def _rows(lookup: Lookup) -> list[dict[str, Any]]:
    with lookup.snapshot():
        found = [(kind, lookup.types(kind.name), lookup.count_by_type(kind.name)) for kind in KINDS]
    return [
        _row(kind, kind.type_message.FromString(unframed(body)), counts)
        for kind, bodies, counts in found
        for body in bodies
    ]


def _row(kind: Kind, message: Type, counts: dict[int, int]) -> dict[str, Any]:
    return {
        "id": message.id,
        "kind": kind.name,
        "name": message.name,
        "thing": name_of((TYPE, message.name)),
        "version": text_of(message, "version"),
        "base_type": kind.base_types.get(message.base_type),
        "description": text_of(message, "description"),
        "properties": dict(sorted(property_types(message).items())),
        "count": counts.get(message.id, 0),
        "list": f"/{PLACES[kind.name]}",
    }


def found_of(view: View, kind: KindName, wanted: str) -> Found:
    """Return the page of nodes that a list asks for by `sort`, `skip` and `n`, counted. wanted: a filter. Raises InvalidArgumentError."""
    by, ascending = order_of(kind, view["sort"])
    asked = Find(kind, wanted, by, ascending, skip=view["skip"], limit=view["n"], counted=True)
    found: Found = view.store.metadata.answer(FIND, asked)
    return found


def elsewhere(view: View, kind: Kind, wanted: str) -> tuple[str, str]:
    """Return the command and the Python that list the same as `found_of`; "" where they cannot: by a property they order runs alone."""
    by, ascending = order_of(kind.name, view["sort"])
    if not isinstance(by, OrderBy):
        return "", ""
    skip, last, text = view["skip"], view["skip"] + view["n"], as_pasted(wanted.removesuffix(MARK), view["q"])
    words = [*(["--filter", text] if text else []), "--sort", view["sort"].removeprefix("-")]
    options = [f"limit={last}", f"order_by=mlmd.OrderByField.{by.name}", f"is_asc={ascending}"]
    options += [f"filter_query={wanted!r}"] if wanted else []
    listed = f".metadata.get_{kind.plural}(mlmd.ListOptions({', '.join(options)}))"
    return (
        view.command(kind.plural, *words, *([] if ascending else ["--desc"]), "-n", str(last)),
        view.python(listed + (f"[{skip}:]" if skip else "")),
    )


def as_pasted(wanted: str, own: str) -> str:
    """Return a filter in one line, where what a person wrote of it, `own`, allows: a comment in it would end at the line's end."""
    return wanted if "--" in own or "\n" in own else wanted.replace("\n)", ")")


def counted(view: View, kind: KindName) -> list[dict[str, Any]]:
    """Return the names of the types of a kind that have nodes, with how many: all versions of a name together."""

    def question(lookup: Lookup) -> dict[str, int]:
        with lookup.snapshot():
            names, found = lookup.type_names(), dict[str, int]()
            for type_id, count in lookup.count_by_type(kind).items():
                found[names[type_id]] = found.get(names[type_id], 0) + count
        return found

    return [{"type": name, "count": count} for name, count in sorted(view.ask(question).items())]
