"""`import`."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

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
    from pathlib import Path

    from mlmd.cli.settings import Settings
    from mlmd.exchange.importing import Report

_EVENTS: Final = "openlineage:"


@command(name="import")
@with_settings
@click.argument("source", metavar="SOURCE")
def import_(settings: Settings, source: str) -> None:
    """Import a database of ML Metadata, schema versions 4 to 10, or events of OpenLineage. Run again, it goes on, or adds what is new.

    SOURCE is a SQLite file, a mysql:// or a postgresql:// URL; a password may be in MYSQL_PWD or PGPASSWORD. It is only read, and the
    store is a new one. Rows that are not valid are listed, and kept in the log.

    Or SOURCE is openlineage:FILE, `-` for standard input: an event of JSON a line, or one JSON text. The store may be there, and others
    may use it. Each event is a record; one that the store has already changes nothing.

    Examples:
    evlog -s my-store import metadata.db
    evlog -s my-store import mysql://root@127.0.0.1:3306/metadb
    evlog -s my-store import postgresql://mlmd@db.example/metadb -o json
    evlog -s my-store import openlineage:events.jsonl

    """
    place = find(settings)
    settings.store = place
    started = time.perf_counter()
    try:
        if source.startswith(_EVENTS):
            _import_events(settings, place, source.removeprefix(_EVENTS), started)
        else:
            _import_database(settings, place, source, started)
    except ExchangeError as error:
        raise Refusal(str(error), error.hint) from error


def _import_database(settings: Settings, place: Path, source: str, started: float) -> None:
    database = Database.open(source)
    try:
        with progress_of(settings, "importing", "rows") as progress:
            report = import_database(database, place, progress)
    except KeyboardInterrupt:
        talk(settings, "stopped: the same command goes on from here")
        raise
    finally:
        database.close()
    _show(settings, report, time.perf_counter() - started)


def _import_events(settings: Settings, place: Path, source: str, started: float) -> None:
    from mlmd.exchange.openlineage import importing  # noqa: PLC0415 - who imports a database needs it not

    with importing.opened(source, sys.stdin.buffer) as file, progress_of(settings, "importing", "events") as progress:
        report = importing.import_events(importing.events_in(file), place, source, progress)
    show_one(settings, {"store": str(place), **asdict(report)})
    took_s = time.perf_counter() - started
    talk(settings, f"{report.taken + report.unchanged:,} events, {report.records:,} records appended; {took_s:.1f} s")


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
        talk(settings, f"kept rows: {settings.command} log -n 0 -o jsonl, changes of type foreign_row")
