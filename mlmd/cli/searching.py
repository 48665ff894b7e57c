"""`runs`, `latest` and `search`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import NAMED, WORDS, Row, show_one, show_rows, talk
from mlmd.cli.reading import metadata_of
from mlmd.cli.refusal import REFUSED, USAGE, Refusal
from mlmd.cli.settings import THING_FORMATS, Number
from mlmd.cli.things import node_row, table_rows
from mlmd.errors import InvalidArgumentError
from mlmd.kinds import ARTIFACT, KIND_NAMED
from mlmd.names import name_of
from mlmd.recorder import search as searches
from mlmd.recorder import words
from mlmd.recorder.rows import COLUMNS, noted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlmd.cli.settings import Settings
    from mlmd.display.tables import Table

KEYS_SHOWN = 8


@command(looks_back=True, lists=True)
@with_settings
@click.argument("wanted", metavar="[FILTER]", required=False, default="")
@click.option(
    "--sort",
    metavar="KEY",
    default="-created",
    show_default=True,
    help="m.KEY, p.KEY, t.KEY, id, created or updated; the highest first with a minus.",
)
@click.option("-n", "--limit", type=Number(min=0), default=20, show_default=True, help="0: no limit.")
@click.option("--type", "types", metavar="TYPE", multiple=True, help="Only runs of this type; may be repeated.")
@click.option(
    "--state",
    type=click.Choice(searches.STATES, case_sensitive=False),
    help="Only runs shown in this state: LOST are those whose process has gone.",
)
@click.option("--cols", metavar="KEYS", help="Show these of the parameters, metrics and tags: m.acc,p.lr.")
@click.option(
    "--differing",
    is_flag=True,
    help=f"Show every one in which the runs shown differ; else {KEYS_SHOWN} of them at most.",
)
def runs(
    settings: Settings,
    wanted: str,
    sort: str,
    limit: int,
    types: tuple[str, ...],
    state: str | None,
    cols: str | None,
    differing: bool,
) -> None:
    """List runs: those that a filter leaves, with the parameters, metrics and tags in which they differ.

    FILTER is ML Metadata's language with a few words more: m.KEY, p.KEY and t.KEY are metrics, parameters and tags, `state`, `created`, `type`
    and `id` are the run's, `tainted` is whether it is. A key that is no word stands in back quotes: p.`max-depth`.

    Examples:
    evlog runs                                            the last 20
    evlog runs 'type = "Trainer" and m.acc > 0.9' --sort -m.acc -n 2
    evlog runs 'p.lr = 0.1 and state = FAILED and not tainted'
    evlog runs --state LOST                               whose process ended without a word
    evlog runs 'm.acc > 0.9' --cols m.acc,p.lr -o csv -n 0
    evlog --at '#100' runs --sort -m.acc                  as they were

    """
    if cols is not None and differing:
        raise click.UsageError("--cols names the columns, --differing lets them be chosen: give one of the two")
    columns = None if cols is None else [name.strip() for name in cols.split(",") if name.strip()]
    if columns is None and settings.fields:
        columns = [name for name in settings.fields if name not in COLUMNS]
    with metadata_of(settings) as store:
        try:
            found = searches.runs(store, wanted, state=state, sort=sort, types=types or None)
        except InvalidArgumentError as error:
            raise Refusal(str(error), "evlog runs --help", USAGE) from error
        keys_max = None if differing or settings.form not in WORDS else KEYS_SHOWN
        table = found.table(limit or None, columns, keys_max=keys_max)
        total = len(found)
        _refuse_unknown(table, columns or (), found)
    names = [name for name in table.columns if name != "type" or len({row[1] for row in table.rows}) > 1]
    show_rows(settings, _rows(settings, table), names, table.note)
    if settings.form not in WORDS and len(table.rows) < total and limit:
        talk(settings, f"{len(table.rows):,} of {total:,} runs: -n 0 for all")


def _refuse_unknown(table: Table, columns: Iterable[str], found: searches.Runs) -> None:
    """Raise Refusal for a name that no field of the runs shown has; a metric, parameter or tag may be lacking in all of them."""
    odd = [name for name in columns if not name.startswith((words.METRIC, words.PARAMETER, words.TAG))]
    held = {
        name for name, *values in zip(table.columns, *table.rows, strict=True) if any(one is not None for one in values)
    }
    if not table.rows or not (odd := [name for name in odd if name not in held]):
        return
    known = sorted({name for run in found[: len(table.rows)] for name in noted(run.message)})
    raise Refusal(
        f"no run here has a field {odd[0]!r}: it is one of {', '.join((*COLUMNS, *known))}", "evlog runs -o json", USAGE
    )


def _rows(settings: Settings, table: Table) -> list[Row]:
    rows = table_rows(table)
    for row in rows if "tainted" in settings.fields else ():
        row.setdefault("tainted", False)  # The table leaves the column out where none is.
    if settings.form in NAMED:
        for row in rows:
            row["run"] = name_of(("execution", row["run"]))
    return rows


@command(looks_back=True, formats=THING_FORMATS)
@with_settings
@click.argument("type_name", metavar="TYPE")
@click.argument("wanted", metavar="[FILTER]", required=False, default="")
@click.option("--name", metavar="NAME", help="Of which it is a version.")
@click.option(
    "--even-tainted", "even", is_flag=True, help="Also what is tainted, marked for deletion, deleted or abandoned."
)
def latest(settings: Settings, type_name: str, wanted: str, name: str | None, even: bool) -> None:
    """Show the artifact of a type that was made last, such as a model to begin with; exit 1 where there is none.

    What is tainted, marked for deletion, deleted or abandoned is passed over. FILTER speaks of the artifact's own properties.

    Examples:
    evlog latest Model                          the last one that may be used
    evlog latest Model 'acc > 0.5' --name taxi-model
    evlog latest Model -o json                  for a program

    """
    with metadata_of(settings) as store:
        try:
            found = searches.latest(store, type_name, wanted, name=name, even=even)
        except InvalidArgumentError as error:
            raise Refusal(str(error), "evlog latest --help", USAGE) from error
    if found is None:
        hint = "types" if even else f"latest {shlex.quote(type_name)} --even-tainted"
        raise Refusal(f"there is no {type_name} that passes", f"{settings.command} {hint}", REFUSED)
    show_one(settings, {"artifact": name_of(("artifact", found.id))} | node_row(ARTIFACT, found.message))


@command(looks_back=True, lists=True)
@with_settings
@click.argument("text", metavar="TEXT")
@click.option("-n", "--limit", type=Number(min=1, max=10_000), default=20, show_default=True)
def search(settings: Settings, text: str, limit: int) -> None:
    """Find artifacts, runs and contexts with a text in their name, uri or properties, best first; exit 1 where there is none.

    Examples:
    evlog search taxi                names first, then uris, then properties
    evlog search s3://demo/taxi -n 5
    evlog search serving -o id       the names alone, for another command

    """
    with metadata_of(settings) as store:
        try:
            found = searches.search(store, text, limit=limit)
        except InvalidArgumentError as error:
            raise Refusal(str(error), "evlog search --help", USAGE) from error
    rows = [
        {"thing": name_of((one.kind, one.node.id)), "found_in": one.field} | node_row(KIND_NAMED[one.kind], one.node)
        for one in found
    ]
    show_rows(
        settings, rows, ["thing", "type", "name", "tainted", "found_in", "uri", "updated"], f"{len(rows):,} found"
    )
    if not rows:
        raise Refusal(f"nothing mentions {text!r}", None, REFUSED)
