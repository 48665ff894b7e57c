"""`open`."""

from __future__ import annotations

import tempfile
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import show_one, talk
from mlmd.cli.reading import Served, Store, gets_of
from mlmd.cli.refusal import USAGE, Refusal
from mlmd.cli.showing import node_in_full
from mlmd.cli.status import status_of
from mlmd.cli.things import node_row
from mlmd.display import walk
from mlmd.display.cells import EMPTY
from mlmd.display.pages import page
from mlmd.display.tables import Table
from mlmd.files import write_file
from mlmd.kinds import ARTIFACT, EXECUTION, KIND_NAMED
from mlmd.names import name_of
from mlmd.recorder.references import thing_of
from mlmd.recorder.things import Artifact, Run
from mlmd.store import ListOptions, OrderByField

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings

_NEWEST: Final = 20
_LISTS: Final = ("events", "versions")
_Parts = list[tuple[str, str]]


@command(looks_back=True, name="open")
@with_settings
@click.argument("thing", metavar="[OBJECT]", required=False)
@click.option(
    "-O",
    "--out",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write the page; else a temporary file.",
)
@click.option("--no-browser", is_flag=True, help="Write the page and open nothing.")
def open_(settings: Settings, thing: str | None, path: Path | None, *, no_browser: bool) -> None:
    """Show a thing in the browser: its card, lineage and every field on one page that holds all it shows, without script.

    Without an OBJECT the page tells of the store: what it holds, the newest runs and artifacts. It says as of which record it was made,
    and the root of the log there, so that it can be quoted and checked.

    Examples:
    evlog open                                  the store
    evlog open taxi-model@prod                  what is live now
    evlog open run:1 --no-browser -O run.html   a page to send or to keep
    evlog --at '#12' open art:2                 as it was

    """
    with gets_of(settings) as store:
        title, parts = _store(store) if thing is None else _thing(store, thing)
        cited = _citation(store)
    file = path or Path(tempfile.mkdtemp(prefix="evlog-")) / "page.html"
    write_file(file, page(title, parts, cited).encode())
    show_one(settings, {"page": str(file), "title": title, "citation": cited})
    if not no_browser and not webbrowser.open(file.resolve().as_uri()):
        talk(settings, f"no browser could be opened: open {file} in one")


def _thing(store: Store | Served, text: str) -> tuple[str, _Parts]:
    """Return title and parts of the page of a thing."""
    thing = thing_of(store.metadata, text)
    kind = KIND_NAMED.get(thing[0])
    if kind not in (ARTIFACT, EXECUTION) or not isinstance(thing[1], int):
        raise Refusal(f"{name_of(thing)} has no page: artifacts and runs have", f"evlog show {name_of(thing)}", USAGE)
    fields = node_in_full(store, kind, thing[1])
    [message] = getattr(store.metadata, f"get_{kind.plural}_by_id")([thing[1]])
    card = (Artifact if kind is ARTIFACT else Run)(store.metadata, message).card()
    graph = walk.lineage(store.metadata, text)
    parts = [("", replace(card, graph=None)._repr_html_()), ("Lineage", graph.svg())]
    parts += [("Every field", _fields(fields))]
    parts += [(name.capitalize(), _rows(fields[name])) for name in _LISTS if fields.get(name)]
    return card.title, parts


def _store(store: Store | Served) -> tuple[str, _Parts]:
    """Return title and parts of the page of a whole store."""
    newest = ListOptions(limit=_NEWEST, order_by=OrderByField.ID, is_asc=False)
    runs = [node_row(EXECUTION, one) for one in store.metadata.get_executions(newest)]
    artifacts = [node_row(ARTIFACT, one) for one in store.metadata.get_artifacts(newest)]
    parts = [("What it holds", _fields(status_of(store)))] if isinstance(store, Store) else []
    return f"Store {store.place}", [*parts, ("Newest runs", _rows(runs)), ("Newest artifacts", _rows(artifacts))]


def _fields(row: Row) -> str:
    """Return the fields of a thing as a table, but for those that have one of their own."""
    told = [(name.replace("_", " "), value) for name, value in row.items() if name not in _LISTS and value not in EMPTY]
    return Table(("field", "value"), told)._repr_html_()


def _rows(rows: Sequence[Row]) -> str:
    columns = dict.fromkeys(name for row in rows for name, value in row.items() if value not in EMPTY)
    return Table(list(columns), [[row.get(name) for name in columns] for row in rows])._repr_html_()


def _citation(store: Store | Served) -> str:
    if isinstance(store, Served):
        return f"From the server {store.place}, which says neither as of which record nor with which root."
    root = store.log.tip_at(store.end).tree.root().hex()
    return f"Made from the first {store.end:,} records of log {store.log.id.hex()}, root {root}. `evlog prove` and `evlog verify` check it."
