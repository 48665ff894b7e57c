"""`import`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find
from mlmd.cli.refusal import Refusal
from mlmd.exchange.database import Database
from mlmd.exchange.errors import ExchangeError
from mlmd.exchange.importing import import_database

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
    place = settings.store or find(settings)
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
