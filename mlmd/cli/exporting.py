"""`export`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.copies import note_copy
from mlmd.cli.output import show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import store_of
from mlmd.cli.refusal import Refusal
from mlmd.cli.things import parse_named
from mlmd.exchange.errors import ExchangeError
from replay import erasure

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings
    from replay.things import Thing


@command(looks_back=True)
@with_settings
@click.argument("target", metavar="mlmd|prov", type=click.Choice(["mlmd", "prov"]))
@click.argument("words", metavar="[OBJECT] FILE", nargs=-1, required=True)
def export(settings: Settings, target: str, words: tuple[str, ...]) -> None:
    """Export the store, now or as it was: for ML Metadata (a SQLite database, schema version 10) or as W3C PROV (PROV-JSON).

    FILE must not be there yet. OBJECT is an artifact or a run: of prov, its lineage alone. What a format cannot hold is listed.

    Examples:
    evlog export mlmd metadata.db
    evlog --at 2026-03-01 export mlmd march.db
    evlog export prov store.json                 everything
    evlog export prov art:2 model.json           what a model was made from, and what was made from it

    """
    *named, file = words
    if len(named) > (target != "mlmd"):
        raise click.UsageError(f"export {target}: {' '.join(words)!r} is too much: name one file to make")
    thing = parse_named(named[0]) if named else None
    started = time.perf_counter()
    try:
        _EXPORTS[target](settings, thing, Path(file), started)
    except ExchangeError as error:
        raise Refusal(str(error), error.hint) from error


def _mlmd(settings: Settings, _thing: Thing | None, file: Path, started: float) -> None:
    from mlmd.exchange.exporting import export_mlmd  # noqa: PLC0415 - each format costs its own alone

    with store_of(settings) as store, progress_of(settings, "exporting", "rows") as progress:
        note_copy(settings, store.place, erasure.EXPORT, file)
        report = store.ask(lambda lookup: export_mlmd(lookup, file, progress))
        end = store.end
    notes = [
        {"table": table, "values": values, "what": what, "first": report.first[table, what]}
        for (table, what), values in sorted(report.notes.items())
    ]
    rows = [{"table": table, "rows": rows} for table, rows in report.rows.items()]
    if settings.form == "json":
        show_one(settings, {"file": str(file), "format": "mlmd", "end": end, "tables": rows, "notes": notes})
    else:
        show_rows(settings, rows, list(rows[0]))
    if settings.form == "table":
        for one in notes:
            click.echo(f"{one['values']:,} in {one['table']} ({one['first']}): {one['what']}")
    _tell(settings, f"{sum(report.rows.values()):,} rows", file, end, started)


def _prov(settings: Settings, thing: Thing | None, file: Path, started: float) -> None:
    from mlmd.exchange import prov  # noqa: PLC0415 - as above
    from mlmd.exchange.newfile import fresh  # noqa: PLC0415
    from mlmd.exchange.selection import select  # noqa: PLC0415

    with (
        fresh(file, "evlog export prov NEW-FILE.json") as temporary,
        store_of(settings) as store,
        progress_of(settings, "reading records") as progress,
    ):
        note_copy(settings, store.place, erasure.EXPORT, file)
        found = select(store.log, store.view, store.end, thing, progress)
        made = prov.document(found)
        temporary.write_text(prov.as_json(made), encoding="utf-8")
    _show_made(settings, "prov", file, found.citation, prov.counts(made), started)


def _show_made(
    settings: Settings, target: str, file: Path, citation: Any, counted: dict[str, int], started: float
) -> None:
    """Tell what a document holds, and what it cites."""
    cited = {"log": citation.log, "offset": citation.offset, "root": citation.root}
    row: Row = {"file": str(file), "format": target, **cited, "records": counted}
    if settings.form == "json":
        show_one(settings, row)
    else:
        show_rows(settings, [{"what": what, "count": count} for what, count in counted.items()], ("what", "count"))
    _tell(settings, f"{sum(counted.values()):,} statements", file, citation.offset, started)


def _tell(settings: Settings, what: str, file: Path, end: int, started: float) -> None:
    talk(settings, f"{what} as of #{end:,} in {file}; {time.perf_counter() - started:.1f} s")


_EXPORTS: Final[dict[str, Callable[[Settings, Thing | None, Path, float], None]]] = {"mlmd": _mlmd, "prov": _prov}
