"""`artifacts`, `executions`, `contexts`: one code for three kinds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from mlmd.cli.command import Command, command, with_settings
from mlmd.cli.output import show_rows, talk
from mlmd.cli.reading import store_of
from mlmd.cli.refusal import Refusal
from mlmd.cli.things import node_row
from mlmd.convert import unframed
from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, Kind
from mlmd.names import SHORT
from projections.query import Listing, OrderBy

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings

_ORDERS: Final = {"id": OrderBy.ID, "created": OrderBy.CREATE_TIME, "updated": OrderBy.UPDATE_TIME}


def _lister(kind: Kind, columns: list[str]) -> Command:
    def run(settings: Settings, type_name: str | None, limit: int, sort: str, desc: bool) -> None:
        started = time.perf_counter()
        with store_of(settings) as store:
            type_ids = None
            if type_name is not None:
                types = getattr(store.get(f"Get{kind.name.capitalize()}Types"), f"{kind.name}_types")
                type_ids = [one.id for one in types if one.name == type_name]
                if not type_ids:
                    raise Refusal(f"there is no {kind.name} type {type_name!r}", f"evlog -s {store.place} types")
            listings = [
                Listing(kind.name, type_id=type_id, order_by=_ORDERS[sort], ascending=not desc, limit=limit or None)
                for type_id in (type_ids or [None])
            ]
            found = [listed for one in listings for listed in store.ask(lambda lookup, one=one: lookup.page(one))]  # type: ignore[misc]
            found.sort(key=lambda listed: (listed.value, listed.id), reverse=desc)
            total = store.ask(lambda lookup: sum(lookup.count(kind.name, one.type_id) for one in listings))
            shown = found[:limit] if limit else found
            rows = [node_row(kind, kind.message.FromString(unframed(listed.body))) for listed in shown]
        took_ms = (time.perf_counter() - started) * 1000
        for row in rows if settings.form == "table" else ():
            row[kind.name] = f"{SHORT[kind.name]}:{row['id']}"
        show_rows(settings, rows, columns, f"{len(rows):,} of {total:,} {kind.plural}, {took_ms:.1f} ms")

        if settings.form != "table" and len(rows) < total:  # A program that got a part should not take it for all.
            talk(settings, f"{len(rows):,} of {total:,} {kind.plural}: -n 0 for all")

    one = kind.name
    run.__doc__ = f"""List {kind.plural}, those of a type or all.

    Examples:
    evlog {one}s                       the first 20, by id
    evlog {one}s -n 5 --sort updated --desc
    evlog --at yesterday {one}s        as they were
    evlog {one}s -n 0 -o csv           all of them, for a spreadsheet
    """
    decorators: list[Any] = [
        with_settings,
        click.option("--desc", is_flag=True, help="The last ones first."),
        click.option("--sort", type=click.Choice(list(_ORDERS)), default="id", show_default=True, help="The order."),
        click.option("-n", "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="0: no limit."),
        click.argument("type_name", metavar="[TYPE]", required=False),
    ]
    decorated: Any = run
    for decorate in decorators:
        decorated = decorate(decorated)
    return command(looks_back=True, name=kind.plural)(decorated)


artifacts: Final = _lister(ARTIFACT, ["artifact", "type", "name", "state", "uri", "properties", "updated"])
executions: Final = _lister(EXECUTION, ["execution", "type", "name", "state", "properties", "updated"])
contexts: Final = _lister(CONTEXT, ["context", "type", "name", "properties", "updated"])
