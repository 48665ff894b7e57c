"""`import` and `export`."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.copies import note_copy
from mlmd.cli.output import show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find, store_of
from mlmd.cli.refusal import Refusal
from mlmd.exchange.database import Database
from mlmd.exchange.errors import ExchangeError
from mlmd.exchange.exporting import export_mlmd
from mlmd.exchange.importing import import_database
from replay import erasure

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings
    from mlmd.exchange.importing import Report


@command(name="import")
@with_settings
@click.argument("source", metavar="SOURCE")
def import_(settings: Settings, source: str) -> None:
    """Import a database of ML Metadata, schema versions 4 to 10, into a new store. Run again, it goes on, or adds what is new.

    SOURCE is a SQLite file, a mysql:// or a postgresql:// URL; a password may be in MYSQL_PWD or PGPASSWORD. It is only read. Rows that
    are not valid are listed, and kept in the log.

    Examples:
    evlog -s my-store import metadata.db
    evlog -s my-store import mysql://root@127.0.0.1:3306/metadb
    evlog -s my-store import postgresql://mlmd@db.example/metadb -o json

    """
    place = find(settings)
    settings.store = place
    started = time.perf_counter()
    try:
        database = Database.open(source)
        try:
            with progress_of(settings, "importing", "rows") as progress:
                report = import_database(database, place, progress)
        except KeyboardInterrupt:
            talk(settings, "stopped: the same command goes on from here")
            raise
        finally:
            database.close()
    except ExchangeError as error:
        raise Refusal(str(error), error.hint) from error
    _show(settings, report, time.perf_counter() - started)


def _show(settings: Settings, report: Report, took_s: float) -> None:
    tables = [asdict(table) for table in report.tables.values()]
    kept = [{"table": table, "rows": rows, "why": why} for (table, why), rows in sorted(report.kept.items())]
    if settings.form == "table":
        show_rows(settings, [{**row, "digest": row["digest"][:16]} for row in tables], list(tables[0]))
        for one in kept:
            click.echo(f"kept {one['rows']:,} of {one['table']}: {one['why']}")
    elif settings.form == "json":
        show_one(
            settings,
            {
                "store": str(settings.store),
                "source": report.source,
                "schema_version": report.schema_version,
                "records": report.records,
                "digest": report.digest,
                "tables": tables,
                "kept": kept,
            },
        )
    else:
        show_rows(settings, tables, list(tables[0]))
    rows = sum(table.rows for table in report.tables.values())
    added = f"{report.records:,} records appended" if report.records else "nothing new"
    talk(
        settings,
        f"{rows:,} rows of schema {report.schema_version}, {added}; digest {report.digest[:16]}; {took_s:.1f} s",
    )
    if kept:
        talk(settings, f"kept rows: evlog -s {settings.store} log -n 0 -o jsonl, changes of type foreign_row")


@command(looks_back=True)
@with_settings
@click.argument("target", metavar="mlmd", type=click.Choice(["mlmd"]))
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def export(settings: Settings, target: str, file: Path) -> None:
    """Export the store, now or as it was, as a SQLite database of ML Metadata, schema version 10.

    FILE must not be there yet. What ML Metadata cannot hold is listed.

    Examples:
    evlog export mlmd metadata.db
    evlog --at 2026-03-01 export mlmd march.db

    """
    started = time.perf_counter()
    try:
        with store_of(settings) as store, progress_of(settings, "exporting", "rows") as progress:
            note_copy(settings, store.place, erasure.EXPORT, file)
            report = store.ask(lambda lookup: export_mlmd(lookup, file, progress))
            end = store.end
    except ExchangeError as error:
        raise Refusal(str(error), error.hint) from error
    notes = [
        {"table": table, "values": values, "what": what, "first": report.first[table, what]}
        for (table, what), values in sorted(report.notes.items())
    ]
    rows = [{"table": table, "rows": rows} for table, rows in report.rows.items()]
    if settings.form == "json":
        show_one(settings, {"file": str(file), "format": target, "end": end, "tables": rows, "notes": notes})
    else:
        show_rows(settings, rows, list(rows[0]))
    if settings.form == "table":
        for one in notes:
            click.echo(f"{one['values']:,} in {one['table']} ({one['first']}): {one['what']}")
    talk(
        settings, f"{sum(report.rows.values()):,} rows as of #{end:,} in {file}; {time.perf_counter() - started:.1f} s"
    )
