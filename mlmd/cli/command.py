"""The form of every command: shared options, and a help text whose `Examples:` stay as they were written."""

from __future__ import annotations

import inspect
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from mlmd.cli.settings import FORMATS, PARQUET, ROW_FORMATS, VARIABLE, Settings, shared_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EXAMPLES: Final = "\n\nExamples:\n"
_CONTEXT: Final = {"help_option_names": ["-h", "--help"]}


class Command(click.Command):
    """A command of evlog. What is not for it, it refuses as wrong usage.

    looks_back: it answers `--at`; formats: of `-o`; lists: what it tells is rows, which a pipe gets as tsv.
    """

    def __init__(
        self,
        name: str,
        *,
        looks_back: bool,
        formats: Sequence[str],
        lists: bool,
        params: list[click.Parameter],
        text: str,
        **rest: Any,
    ) -> None:
        about, _, self.examples = text.partition(_EXAMPLES)
        self._shared: list[click.Parameter] = [*shared_options()]
        self.own_params = params
        super().__init__(name, help=about, params=[*params, *self._shared], context_settings=_CONTEXT, **rest)
        self.looks_back, self.formats, self.lists = looks_back, formats, lists

    def invoke(self, ctx: click.Context) -> Any:
        """Run, unless a moment or a format is asked for that the command does not know."""
        settings = ctx.ensure_object(Settings)
        for param in self.own_params:
            if not _is_text(ctx.params.get(param.name or "")):
                raise click.BadParameter("these bytes are no text in UTF-8", ctx, param)
        if settings.at is not None and not self.looks_back:
            raise click.UsageError(f"--at is for looking back, and `{self.name}` has no past", ctx)
        settings.form = settings.form or self._usual_form()
        if settings.form not in self.formats:
            raise click.UsageError(f"`{self.name}` has no format {settings.form}: -o {', '.join(self.formats)}", ctx)
        if settings.form == PARQUET and sys.stdout.isatty() and not any(param.name == "file" for param in self.params):
            raise click.UsageError("parquet is nothing for a terminal: send it to a file with >", ctx)
        return super().invoke(ctx)

    def _usual_form(self) -> str:
        """Return the format where none is asked for: people look at terminals, programs at the other end of a pipe."""
        if (named := os.environ.get(VARIABLE, "")) in self.formats:
            return named
        return "tsv" if self.lists and not sys.stdout.isatty() else "table"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the command's own options; those of all commands by name only."""
        own = [record for param in self.params if param not in self._shared and (record := param.get_help_record(ctx))]
        if own:
            with formatter.section("Options"):
                formatter.write_dl(own)
        with formatter.section("Options of every command (evlog --help)"):
            names = [max(param.opts, key=len) for param in self._shared if self.looks_back or param.name != "at"]
            formatter.write_text(" ".join([*names, "--help"]))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they stand."""
        write_examples(formatter, self.examples)


def _is_text(value: Any) -> bool:
    """Tell whether texts can be written as UTF-8: a shell may hand over any bytes. The name of a file may be made of them, and is a Path."""
    if isinstance(value, tuple):
        return all(map(_is_text, value))
    return not isinstance(value, str) or value.encode(errors="ignore").decode() == value


def write_examples(formatter: click.HelpFormatter, examples: str) -> None:
    """Write the section of examples verbatim."""
    with formatter.section("Examples"):
        for line in inspect.cleandoc(examples).splitlines():
            formatter.write(f"  {line}".rstrip() + "\n")


def command(
    *, looks_back: bool = False, name: str | None = None, formats: Sequence[str] | None = None, lists: bool = False
) -> Callable[[Callable[..., None]], Command]:
    """Make a command of a function, its help and examples from the docstring, its parameters from click's decorators."""

    def make(function: Callable[..., None]) -> Command:
        params: list[click.Parameter] = list(reversed(getattr(function, "__click_params__", [])))
        text = inspect.cleandoc(function.__doc__ or "")
        return Command(
            name or function.__name__,
            looks_back=looks_back,
            formats=formats or (ROW_FORMATS if lists else FORMATS),
            lists=lists,
            params=params,
            text=text,
            callback=function,
        )

    return make


# What a command is given first: the Settings.
with_settings: Final = click.make_pass_decorator(Settings, ensure=True)
