"""`compare`, `impact`, `taint` and `untaint`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import show_one, show_rows, talk
from mlmd.cli.reading import metadata_of, putting_of
from mlmd.cli.refusal import REFUSED
from mlmd.cli.settings import FORMATS, PARQUET, Number
from mlmd.cli.things import table_rows
from mlmd.display.cells import apart, as_listed
from mlmd.recorder.compare import compare as comparison_of
from mlmd.recorder.impact import impact as impact_of
from mlmd.recorder.taint import foretell
from mlmd.recorder.taint import taint as taint_all
from mlmd.recorder.taint import untaint as untaint_all

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings
    from mlmd.marking import Tainted

_REASON = click.option("--because", metavar="TEXT", help="Why, for the record.")
_ALONE = click.option("--alone", is_flag=True, help="Only what is named, not what was made from it.")


@command(looks_back=True, formats=(*FORMATS, PARQUET), lists=True)  # No id: a difference has no name.
@with_settings
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--md", is_flag=True, help="The same as -o md: a table for a pull request.")
@click.pass_context
def compare(ctx: click.Context, settings: Settings, runs: tuple[str, ...], md: bool) -> None:
    """Tell what differs between runs: metrics with their difference, parameters, inputs, code, and where the lineages part. Exit 1 if anything does.

    What is equal is counted, not shown. An input is compared by its role, else by its name.

    Examples:
    evlog compare run:4 run:8
    evlog compare run:4 run:8 run:12 --json
    evlog compare run:4 run:8 --md > difference.md

    """
    if md:
        settings.form = "md"
    with metadata_of(settings) as store:
        found = comparison_of(store, *runs)
    table = found.table
    rows = table_rows(table)
    if settings.form == "table":  # Which cuts long texts: they are shown from where they part.
        for row in rows:
            texts = [label for label in found.labels if isinstance(row[label], str)]
            row.update(zip(texts, apart([as_listed(row[label]) for label in texts]), strict=True))
    show_rows(settings, rows, table.columns, table.note)
    if found:
        ctx.exit(REFUSED)


@command(looks_back=True, lists=True)
@with_settings
@click.argument("thing", metavar="OBJECT")
@click.option("-n", "--limit", type=Number(min=0), default=20, show_default=True, help="0: no limit.")
def impact(settings: Settings, thing: str, limit: int) -> None:
    """Tell everything that was made from an artifact or by a run, what is in use first.

    An artifact is in use where an alias stands for it, or where a run that pushes or deploys has read it.

    Examples:
    evlog impact taxi:6               by name and version; others are art:3, run:5, taxi@prod, a URI
    evlog impact art:3 -n 0 -o csv    all of it
    evlog --at now impact taxi:6      as it was at a moment

    """
    with metadata_of(settings) as store:
        found = impact_of(store, thing)
        table = found.table(limit or None)
    show_rows(settings, table_rows(table), [name for name in table.columns if name != "id"], table.note)
    if found and settings.at is None:
        talk(settings, f"to mark them all: {settings.command} taint {shlex.quote(thing)} --because '...'")


@command()
@with_settings
@click.argument("things", metavar="OBJECT...", nargs=-1, required=True)
@_REASON
@_ALONE
@click.option("--dry-run", is_flag=True, help="Mark nothing: tell what would be.")
def taint(settings: Settings, things: tuple[str, ...], because: str | None, alone: bool, dry_run: bool) -> None:
    """Mark artifacts or runs, and everything made from them, as not to be used: one record, with the reason.

    Lists show it, and `latest` and the cache pass over what is marked. What is marked already keeps its reason.

    Examples:
    evlog taint taxi:6 --dry-run
    evlog taint taxi:6 --because 'label leak, ticket 81'
    evlog taint run:5 art:3 --because 'wrong units' --alone

    """
    if dry_run:
        with metadata_of(settings) as store:
            _tell(settings, foretell(store, list(things), downstream=not alone), "would be tainted")
        return
    with putting_of(settings) as store:
        done = taint_all(store, list(things), _reason(because), downstream=not alone)
    _tell(settings, done, "tainted")


@command()
@with_settings
@click.argument("things", metavar="OBJECT...", nargs=-1, required=True)
@_REASON
@_ALONE
def untaint(settings: Settings, things: tuple[str, ...], because: str | None, alone: bool) -> None:
    """Take the mark of a taint away from artifacts or runs, and from what was made from them and bears the same one. One record, with the reason.

    Examples:
    evlog untaint taxi:6 --because 'the leak was in the test alone'
    evlog untaint run:5 --because 'the units were right' --alone

    """
    with putting_of(settings) as store:
        done = untaint_all(store, list(things), _reason(because), downstream=not alone)
    _tell(settings, done, "no longer tainted")


def _reason(because: str | None) -> str:
    if because is None:
        raise click.UsageError("why? --because '...' goes on record")
    return because


def _tell(settings: Settings, done: Tainted, what: str) -> None:
    told = f"{len(done.artifacts):,} artifacts, {len(done.executions):,} runs {what}; {done.already:,} stay as they are"
    row = {
        "artifacts": [f"art:{one}" for one in done.artifacts],
        "runs": [f"run:{one}" for one in done.executions],
        "unchanged": done.already,
    }
    show_one(settings, row, told)
