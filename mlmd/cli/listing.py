"""`artifacts`, `executions`, `contexts`: one code for three kinds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from mlmd.cli.command import Command, command, with_settings
from mlmd.cli.output import show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import Served, gets_of, types_of
from mlmd.cli.refusal import USAGE, Refusal
from mlmd.cli.settings import Number
from mlmd.cli.things import node_row
from mlmd.convert import unframed
from mlmd.errors import InvalidArgumentError
from mlmd.filters.query import filter_query
from mlmd.filters.short import marked
from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, Kind, Node
from mlmd.names import SHORT
from mlmd.opening import VIEWS_FOLDER
from mlmd.places import command_of
from mlmd.store import ListOptions, OrderByField
from projections.query import Filter, Listing, OrderBy

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmd.cli.output import Row
    from mlmd.cli.reading import Store
    from mlmd.cli.settings import Settings

_KEYS: Final[dict[str, Callable[[Node], tuple[int, int]]]] = {
    "id": lambda node: (node.id, 0),
    "created": lambda node: (node.create_time_since_epoch, node.id),
    "updated": lambda node: (node.last_update_time_since_epoch, node.id),
}
_ORDERS: Final = {"id": OrderBy.ID, "created": OrderBy.CREATE_TIME, "updated": OrderBy.UPDATE_TIME}


def _lister(kind: Kind, columns: list[str]) -> Command:
    def run(
        settings: Settings, type_name: str | None, wanted: str | None, source: str, limit: int, sort: str, desc: bool
    ) -> None:
        started = time.perf_counter()
        found = _filter(kind, wanted)
        with gets_of(settings) as store:
            type_ids = _type_ids(store, kind, type_name)
            if isinstance(store, Served):
                if source == "history":
                    raise click.UsageError("--from history reads the log, which a server does not hand out")
                rows = [node_row(kind, node) for node in _of_server(store, kind, type_ids, wanted, limit, sort, desc)]
                _show(settings, kind, columns, rows, f"{len(rows):,} {kind.plural} of {store.place}")
                return
            listings = [
                Listing(
                    kind.name,
                    type_id=type_id,
                    order_by=_ORDERS[sort],
                    ascending=not desc,
                    limit=limit or None,
                    filter=found,
                )
                for type_id in type_ids
            ]
            nodes = (
                _of_history(settings, store, kind, listings) if source == "history" else _of_view(store, kind, listings)
            )
            total = store.ask(lambda lookup: sum(lookup.count(kind.name, type_id) for type_id in type_ids))
        nodes.sort(key=_KEYS[sort], reverse=desc)
        rows = [node_row(kind, node) for node in (nodes[:limit] if limit else nodes)]
        took_ms = (time.perf_counter() - started) * 1000
        _show(settings, kind, columns, rows, f"{len(rows):,} of {total:,} {kind.plural}, {took_ms:.1f} ms")
        # A program that got a part should not take it for all.
        if settings.form != "table" and len(rows) == limit < total:
            talk(settings, f"{len(rows):,} of {total:,} {kind.plural}: -n 0 for all")

    one = kind.name
    run.__doc__ = f"""List {kind.plural}, those of a type or all.

    Examples:
    evlog {one}s                       the first 20, by id
    evlog {one}s -n 5 --sort updated --desc
    evlog {one}s --filter "name LIKE 'taxi%' AND NOT tainted"    in the language of `evlog runs`
    evlog --at yesterday {one}s        as they were
    evlog {one}s -n 0 -o csv           all of them, for a spreadsheet
    """
    decorators: list[Any] = [
        with_settings,
        click.option("--desc", is_flag=True, help="The last ones first."),
        click.option("--sort", type=click.Choice(list(_ORDERS)), default="id", show_default=True, help="The order."),
        click.option("-n", "--limit", type=Number(min=0), default=20, show_default=True, help="0: no limit."),
        click.option(
            "--from",
            "source",
            type=click.Choice(["view", "history"]),
            default="view",
            show_default=True,
            help="What finds them: the serving view, or the history in DuckDB, which scans faster where no index helps.",
        ),
        click.option(
            "--filter",
            "wanted",
            metavar="FILTER",
            help="Only those that a filter leaves: ML Metadata's language and a few words more.",
        ),
        click.argument("type_name", metavar="[TYPE]", required=False),
    ]
    decorated: Any = run
    for decorate in decorators:
        decorated = decorate(decorated)
    return command(looks_back=True, name=kind.plural, lists=True)(decorated)


def _show(settings: Settings, kind: Kind, columns: list[str], rows: list[Row], footer: str) -> None:
    rows = [{kind.name: f"{SHORT[kind.name]}:{row['id']}"} | row for row in rows]
    show_rows(settings, rows, columns, footer)


def _filter(kind: Kind, text: str | None) -> Filter | None:
    if not text:
        return None
    try:
        return filter_query(kind.name, marked(text))
    except InvalidArgumentError as error:
        raise Refusal(str(error), f"evlog {kind.plural} --help", USAGE) from error


def _type_ids(store: Store | Served, kind: Kind, name: str | None) -> list[int] | list[None]:
    """Return the ids of all versions of a type; of none where no type was named."""
    if name is None:
        return [None]
    found = [one.id for one in types_of(store, kind) if one.name == name]
    if not found:
        raise Refusal(f"there is no {kind.name} type {name!r}", f"{command_of(store.place)} types")
    return found


def _of_server(
    store: Served, kind: Kind, type_ids: list[int] | list[None], wanted: str | None, limit: int, sort: str, desc: bool
) -> list[Node]:
    """Return what a server lists."""
    of_types = " OR ".join(f"type_id = {type_id}" for type_id in type_ids if type_id is not None)
    options = ListOptions(
        limit=limit or None,
        order_by=OrderByField[_ORDERS[sort].name],
        is_asc=not desc,
        filter_query=marked(" AND ".join(f"({one}\n)" for one in (of_types, wanted) if one)) or None,
    )
    return getattr(store.metadata, f"get_{kind.plural}")(list_options=options)


def _of_view(store: Store, kind: Kind, listings: list[Listing]) -> list[Node]:
    bodies = [
        listed.body
        for one in listings
        for listed in store.ask(lambda lookup, one=one: lookup.page(one))  # type: ignore[misc]
    ]
    return [kind.message.FromString(unframed(body)) for body in bodies]


def _of_history(settings: Settings, store: Store, kind: Kind, listings: list[Listing]) -> list[Node]:
    """Return the nodes that the history finds, at the moment that the store is looked at; the serving view shows them."""
    from projections.duck.listing import find  # noqa: PLC0415 - DuckDB is slow to import, and need not be installed
    from projections.duck.reading import open_view  # noqa: PLC0415
    from replay.analytics import READER_PATIENCE_S, bring_up  # noqa: PLC0415

    views = store.place / VIEWS_FOLDER
    with progress_of(settings, "bringing up the history") as progress:
        shown = bring_up(store.log, views, progress)
    if shown.applied < store.end:
        raise Refusal(
            f"the history shows {shown.applied:,} records only, and cannot be brought up here",
            f"evlog {kind.plural} --from view",
        )
    connection = open_view(views, patience_s=READER_PATIENCE_S).connection
    try:
        ids = [node_id for one in listings for node_id in find(connection, one, store.end)]
    finally:
        connection.close()
    bodies = store.ask(lambda lookup: lookup.nodes(kind.name, ids), store.end)
    return [kind.message.FromString(unframed(body)) for body in bodies]


artifacts: Final = _lister(ARTIFACT, ["artifact", "type", "name", "state", "tainted", "uri", "properties", "updated"])
executions: Final = _lister(EXECUTION, ["execution", "type", "name", "state", "tainted", "properties", "updated"])
contexts: Final = _lister(CONTEXT, ["context", "type", "name", "properties", "updated"])
