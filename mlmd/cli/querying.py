"""`sql`."""

from __future__ import annotations

import secrets
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import WORDS, show_rows, stream_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import store_of
from mlmd.cli.refusal import REFUSED, USAGE, Refusal
from mlmd.cli.settings import FORMATS, PARQUET, Decimal, Number
from mlmd.opening import VIEWS_FOLDER
from mlmd.places import command_of

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings
    from projections.duck.console import Answer, Task

_MIB: Final = 1 << 20


def _params(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of -p name=value: numbers, true, false and null as such, everything else as text."""
    params = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{one!r} is not NAME=VALUE")
        try:
            params[name] = msgspec.json.decode(value, type=int | float | bool | str | None)
        except msgspec.MsgspecError:
            params[name] = value
    return params


@command(looks_back=True, formats=(*FORMATS, PARQUET), lists=True)
@with_settings
@click.argument("query", metavar="[QUERY|-]", required=False)
@click.option(
    "-p", "--param", "params", metavar="NAME=VALUE", multiple=True, callback=_params, help="A value for $NAME."
)
@click.option(
    "-n",
    "--limit",
    type=Number(min=0),
    default=1_000,
    show_default=True,
    help="Rows of a table for people; 0: no limit.",
)
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the answer there; needed for parquet on a terminal.",
)
@click.option(
    "--timeout",
    type=Decimal(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the answer may take.",
)
@click.option(
    "--memory",
    type=Number(min=16),
    default=1_024,
    show_default=True,
    metavar="MIB",
    help="How much memory it may take.",
)
def sql(
    settings: Settings,
    query: str | None,
    params: dict[str, Any],
    limit: int,
    file: Path | None,
    timeout: float,
    memory: int,
) -> None:
    """Ask in SQL: every version of everything ever put, in DuckDB's dialect. Reads the store and nothing else.

    With --at, every name means what was known then. Tables, columns and worked questions: docs/sql.md.

    Examples:
    evlog sql "show tables"
    evlog sql "select type, count(*) from artifacts where is_current group by type"
    evlog sql 'from lineage_upstream($id)' -p id=2
    evlog --at yesterday sql "select id, state from executions where is_current" -o csv
    evlog sql "from artifacts" -o parquet -f artifacts.parquet

    """
    if settings.form == PARQUET and file is None and sys.stdout.isatty():
        raise click.UsageError("parquet is nothing for a terminal: name a file with -f, or send it somewhere")
    if file is not None and settings.form != PARQUET:
        raise click.UsageError("-f is for -o parquet; the other formats go to standard output")
    if file is not None and not file.parent.is_dir():
        raise Refusal(f"{file.parent}: there is no such folder", "the same with another -f")
    # Imported here, because `evlog sql --help` needs no database.
    from projections.duck.console import Answer, SqlError, Task  # noqa: PLC0415
    from replay.analytics import bring_up  # noqa: PLC0415

    text = _text(query)
    with store_of(settings) as store, progress_of(settings, "bringing up the history") as progress:
        views = store.place / VIEWS_FOLDER
        at = None if settings.at is None else store.end
        shown = bring_up(store.log, views, progress)
    started = time.perf_counter()
    task = Task(str(views), text, params, at, timeout_s=timeout, memory_bytes=memory * _MIB)
    try:
        if settings.form == PARQUET:
            told = _write_parquet(task, file)
        else:
            with Answer(task) as answer:
                told = _show(settings, answer, limit)
    except SqlError as error:
        raise Refusal(
            str(error), f'{command_of(store.place)} sql "show tables"', USAGE if error.usage else REFUSED
        ) from error
    # What was known at a moment is known whole, or it was refused.
    behind = f", {shown.behind:,} records behind the log" if shown.behind and at is None else ""
    talk(settings, f"{told}{behind}, {(time.perf_counter() - started) * 1000:.0f} ms")


def _show(settings: Settings, answer: Answer, limit: int) -> str:
    """Write the rows; return what to say of them."""
    rows = (dict(zip(answer.columns, row, strict=True)) for row in answer.rows())
    if settings.form not in (*WORDS, "json"):
        stream_rows(settings, rows, answer.columns)
        return _counted(answer.count, answer.offset)
    found = list(islice(rows, limit + 1 if limit and settings.form in WORDS else None))
    more = settings.form in WORDS and 0 < limit < len(found)
    show_rows(settings, found[:limit] if more else found, answer.columns, every_column=True)
    if more:
        return f"the first {limit:,} rows of #{answer.offset:,}, -n 0 for all"
    return _counted(len(found), answer.offset)


def _counted(rows: int, offset: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'} of #{offset:,}"


def _write_parquet(task: Task, file: Path | None) -> str:
    """Write the answer to a file, whole or not at all, or to standard output."""
    from projections.duck.console import Answer  # noqa: PLC0415 - as in `sql`

    task.parquet = True
    with Answer(task) as answer:
        if file is None:
            sys.stdout.buffer.writelines(answer.parquet())
        else:
            unfinished = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
            try:
                with unfinished.open("xb") as written:
                    written.writelines(answer.parquet())
                unfinished.replace(file)
            finally:
                unfinished.unlink(missing_ok=True)
    return f"{answer.size:,} bytes of #{answer.offset:,}"


def _text(query: str | None) -> str:
    if query is None and sys.stdin.isatty():
        raise click.UsageError('a question is missing: evlog sql "show tables"')
    return sys.stdin.read() if query in (None, "-") else str(query)
