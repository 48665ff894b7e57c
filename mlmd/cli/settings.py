"""What every command is told: which store, as of when, in which format, how talkative. Before or after the command's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from mlmd import moment, places

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from mlmd.moment import Moment
    from mlmd.places import Place

PARQUET: Final = "parquet"
FORMATS: Final = ("table", "json", "jsonl", "tsv", "csv", "md")  # Of every command.
THING_FORMATS: Final = (*FORMATS, "id")  # Of one that tells of one thing, or several, that have names.
ROW_FORMATS: Final = (*FORMATS, PARQUET, "id")  # Of one that lists things.
VARIABLE: Final = "EVLOG_OUTPUT"


@dataclass
class Settings:
    """The options that all commands share."""

    store: Place | None = None
    at: Moment | None = None
    form: str = ""  # What EVLOG_OUTPUT says, else what suits the command: see `Command.invoke`.
    fields: tuple[str, ...] = ()
    quiet: bool = False
    verbose: bool = False

    @property
    def command(self) -> str:
        """Return how a hint begins: so that it means this store, and can be pasted."""
        return "evlog" if self.store is None else places.command_of(self.store)


class Store(click.ParamType):  # type: ignore[type-arg] # As below.
    """An option that names a store: see `places`."""

    name = "store"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a Place. Fails as wrong usage."""
        if not isinstance(value, str):  # A place already.
            return value
        try:
            return places.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """Let the shell offer folders."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - for who presses Tab

        return [CompletionItem(incomplete, type="dir")]


class _Ascii:
    """A number in the digits that every program reads: Python would take those of any script for them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Fails as wrong usage."""
        if isinstance(value, str) and not value.isascii():
            raise click.BadParameter(f"{value!r} is no number: write it in the digits 0 to 9", ctx, param)
        return super().convert(value, param, ctx)  # type: ignore[misc] # Of the class beside this.


class Number(_Ascii, click.IntRange):
    """An option that is a whole number."""


class Decimal(_Ascii, click.FloatRange):
    """An option that is a number."""


class When(click.ParamType):  # type: ignore[type-arg] # Generic from click 8.4 on only.
    """An option that names a moment: see `moment`."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a Moment. Fails as wrong usage."""
        if isinstance(value, moment.Moment):
            return value
        try:
            return moment.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def offer(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
    """Let the shell offer what `completing` knows for a parameter."""
    from mlmd.cli.completing import offered  # noqa: PLC0415 - for who presses Tab

    return offered(ctx, param, incomplete)


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep an option's value for whoever runs; the one nearest to the end of the line wins."""
    settings = ctx.ensure_object(Settings)
    if value in (None, False):
        return
    if param.name == "json":
        settings.form = "json"
    elif param.name == "fields":
        settings.fields = tuple(name for one in value.split(",") if (name := one.strip()))
    elif param.name == "at":
        settings.at = None if value.text == moment.NOW else value
    else:
        assert param.name is not None, "every option below has a name"
        setattr(settings, param.name, value)


def shared_options() -> list[click.Option]:
    """Return the options anew: each command gets its own, and so does `evlog` itself."""
    return [
        click.Option(
            ["-s", "--store"],
            type=Store(),
            metavar="STORE",
            help="A folder, or HOST:PORT of a server; else EVLOG_STORE, else the first store from here upward.",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["--at"],
            type=When(),
            metavar="WHEN",
            shell_complete=offer,
            help="Look at the store as it was: '#31907' (the first 31,907 records), 2026-03-01T09:30, yesterday, 3d, 2h, mark:NAME.",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["-o", "--output", "form"],
            type=click.Choice(ROW_FORMATS),
            metavar="FORMAT",
            help="table, json, jsonl, tsv, csv, md; of lists also parquet; and id: names for a further command. A list is a table on a"
            " terminal and tsv in a pipe, unless EVLOG_OUTPUT says otherwise. Data goes to standard output, talk to standard error.",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["--fields"],
            metavar="A,B",
            help="Only these fields, in this order; those within as properties.acc. -o json names them all.",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(["--json"], is_flag=True, help="The same as -o json.", expose_value=False, callback=_remember),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            help="No talk, only data and errors.",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            help="Say more: which store, how long, where an unexpected error came from.",
            expose_value=False,
            callback=_remember,
        ),
    ]
