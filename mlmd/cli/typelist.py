"""`types`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import Row, show_rows
from mlmd.cli.reading import Served, gets_of, types_of
from mlmd.cli.refusal import Refusal
from mlmd.cli.things import type_row
from mlmd.convert import unframed
from mlmd.kinds import KINDS, SYSTEM_TYPE_NAMES
from mlmd.names import TYPE, name_of
from mlmd.places import command_of

if TYPE_CHECKING:
    from mlmd.cli.reading import Store
    from mlmd.cli.settings import Settings


@command(looks_back=True, lists=True)
@with_settings
@click.argument("name", required=False)
@click.option("--system", is_flag=True, help="The nine types that every store has, too.")
def types(settings: Settings, name: str | None, system: bool) -> None:
    """List types with their properties, and how many nodes each has.

    Examples:
    evlog types                   those of this store
    evlog types Trainer -o json   one, all versions
    evlog types --system          the ones every store begins with, too

    """
    with gets_of(settings) as store:
        rows = type_rows(store)
        place = store.place
    shown = [row for row in rows if (row["name"] == name if name else system or row["name"] not in SYSTEM_TYPE_NAMES)]
    if name and not shown:
        raise Refusal(f"there is no type {name!r}", f"{command_of(place)} types")
    for row in shown if settings.form == "id" else ():
        row["thing"] = name_of((TYPE, row["name"]))
    columns = ["id", "kind", "name", "version", "base_type", "properties", "nodes"]
    show_rows(settings, shown, columns, f"{len(shown):,} types")


def type_rows(store: Store | Served) -> list[Row]:
    """Return every type as a row, with its number of nodes; a server tells neither that nor the types of the system."""
    rows = []
    for kind in KINDS:
        if isinstance(store, Served):
            rows += [type_row(kind, message) for message in types_of(store, kind)]
            continue
        for body in store.ask(lambda lookup, kind=kind: lookup.types(kind.name)):  # type: ignore[misc]
            row = type_row(kind, kind.type_message.FromString(unframed(body)))
            row["nodes"] = store.ask(lambda lookup, kind=kind, row=row: lookup.count(kind.name, row["id"]))  # type: ignore[misc]
            rows.append(row)
    return rows
