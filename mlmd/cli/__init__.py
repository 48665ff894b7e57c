"""The command `evlog`. A command's module is imported when it runs: `evlog --help` costs click and nothing else."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from mlmd import __version__
from mlmd.cli.command import write_examples
from mlmd.cli.refusal import BROKEN_PIPE, INTERRUPTED, OK, USAGE, Refusal, refusal_of
from mlmd.cli.settings import Settings, shared_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmd.cli.command import Command


class Entry(NamedTuple):
    """Where a command lives, and its line in the list: the first line of its docstring. function: where it is not the command's name."""

    module: str
    line: str
    function: str | None = None


COMMANDS: Final[dict[str, dict[str, Entry]]] = {
    "Start": {
        "init": Entry("starting", "Make a store."),
        "completion": Entry(
            "completing", "Write what makes a shell complete commands, options and names of the store."
        ),
        "demo": Entry("showcase", "Record three pipelines in a new store, and what goes wrong in practice."),
        "doctor": Entry(
            "doctoring", "Look at Python, libraries, settings and the store, and say what to do about what is wrong."
        ),
    },
    "Look": {
        "status": Entry("status", "Tell what the store holds and how it is."),
        "show": Entry("showing", "Show one thing with all that belongs to it."),
        "runs": Entry("searching", "List runs, by a filter, with what differs among them."),
        "latest": Entry("searching", "Show the artifact of a type that was made last and may be used."),
        "search": Entry("searching", "Find what mentions a text."),
        "artifacts": Entry("listing", "List artifacts: data sets, models, whatever was made or read."),
        "executions": Entry("listing", "List executions: the runs that read and made artifacts."),
        "contexts": Entry("listing", "List contexts: what groups artifacts and executions."),
        "types": Entry("typelist", "List types with their properties."),
        "sql": Entry("querying", "Ask in SQL: every version of everything ever put, in DuckDB's dialect."),
    },
    "Lineage": {
        "lineage": Entry("tracing", "Show what a thing was made from and what was made from it."),
        "path": Entry("tracing", "Show how data came from one thing to another."),
        "open": Entry("viewing", "Show a thing in the browser, on one page that holds all it shows.", "open_"),
    },
    "Decide": {
        "cached": Entry("reusing", "Tell whether a run was made before: the same type, code, inputs and parameters."),
        "alias": Entry("reusing", "Let an alias stand for an artifact, or list aliases."),
        "compare": Entry("deciding", "Tell what differs between runs, and where their lineages part."),
        "impact": Entry("deciding", "Tell everything that was made from a thing, what is in use first."),
        "taint": Entry("deciding", "Mark things, and everything made from them, as not to be used."),
        "untaint": Entry("deciding", "Take the mark of a taint away."),
    },
    "Time": {
        "log": Entry("history", "Show the records, or the life of a thing: who put what, when, through what, why."),
        "diff": Entry("hindsight", "Tell what was added, changed and linked between two moments."),
        "blame": Entry("hindsight", "Tell which record set each field of a thing."),
        "mark": Entry("naming", "Give a moment a name, or list those that have one."),
        "follow": Entry("following", "Feed records to a program, each as it is put."),
    },
    "Move": {
        "import": Entry(
            "exchanging",
            "Import a database of ML Metadata, schema versions 4 to 10, or events of OpenLineage.",
            "import_",
        ),
        "export": Entry(
            "exporting",
            "Export the store, now or as it was: for ML Metadata, as W3C PROV, events of OpenLineage, or an RO-Crate.",
        ),
        "snapshot": Entry("snapshotting", "Write the history as Parquet files for DuckDB, Polars, Spark."),
    },
    "Serve": {
        "ui": Entry("browsing", "Show the store in the browser: runs, lineage through time, SQL, the evidence."),
        "serve": Entry("serving", "Serve a store over gRPC to any client of ML Metadata."),
        "token": Entry("tokening", "Say who may use servers of the store, and see who did."),
        "mcp": Entry("agents", "Serve read-only tools to agents, by the Model Context Protocol."),
    },
    "Keep": {
        "backup": Entry("keeping", "Copy the store's log to a folder while others go on writing."),
        "restore": Entry("keeping", "Bring a store back from a backup, at any moment, into a new folder."),
        "compress": Entry("compressing", "Compress the sealed segments of the log, while others read and write."),
        "repair": Entry("repairing", "Make a damaged log whole, from copies, by what is committed."),
        "accept-loss": Entry(
            "repairing",
            "Let a log go on without records that are lost for good, and put that on record.",
            "accept_loss",
        ),
    },
    "Forget": {
        "retain": Entry("retaining", "Mark for deletion what a policy does not keep."),
        "personal": Entry("erasing", "Say which properties hold personal values, or tell what was said."),
        "erase": Entry("erasing", "Erase the personal values of a subject, on the record."),
    },
    "Trust": {
        "verify": Entry("verifying", "Check every byte of the log, and the views against a replay."),
        "replay": Entry("rebuilding", "Make a view anew from the log."),
        "keys": Entry("keyring", "Make the key that signs checkpoints of a store, or tell its public half."),
        "checkpoint": Entry("checkpointing", "Sign what the log holds now."),
        "prove": Entry("proving", "Write a file that shows that a record is in the log."),
        "check": Entry("checking", "Tell whether a proof holds, and what it proves."),
    },
}
COMPLETING: Final = "_EVLOG_COMPLETE"  # Set by a shell that asks what to offer, as click names it.
_ENTRIES: Final = {name: entry for group in COMMANDS.values() for name, entry in group.items()}
_ABOUT: Final = "A store of ML metadata whose truth is a log: nothing is overwritten, every past moment can be asked."
_EXAMPLES: Final = """
evlog demo                          record three pipelines, and tell what went wrong in them
evlog status                        what the store here holds
evlog show art:2                    one thing; others are run:1 (execution), ctx:1 (context), type:NAME
evlog --at yesterday executions     the store as it was
evlog log run:1 -o json             every record about a run, for a program
"""
EXITS: Final = [("0", "fine"), ("1", "refused"), ("2", "wrong usage"), ("3", "damage found")]


class Evlog(click.Group):
    """The group of all commands: imports one when it is asked for, and ends every error in a line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; an empty one asks for help."""
        return super().parse_args(ctx, args or ["--help"])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, as they are listed."""
        return list(_ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Command | None:
        """Return a command, None where there is none."""
        if cmd_name not in _ENTRIES:
            return None
        entry = _ENTRIES[cmd_name]
        if COMPLETING in os.environ and (sketched := _sketch(cmd_name)) is not None:
            return sketched
        found: Command = getattr(import_module(f"mlmd.cli.{entry.module}"), entry.function or cmd_name)
        return found

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Return what a shell offers here: commands, without importing them, and options."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - for who presses Tab

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=entry.line) for name, entry in _ENTRIES.items() if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are for, without importing them."""
        width = max(len(name) for name in _ENTRIES)
        for title, group in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.line) for name, entry in group.items()])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands first: they are what one looks for."""
        self.format_commands(ctx, formatter)
        records = [record for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        with formatter.section("Options, before or after the command"):
            formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples and exit codes."""
        write_examples(formatter, _EXAMPLES)
        with formatter.section("Exit status"):
            formatter.write_text(", ".join(f"{code} {means}" for code, means in EXITS))

    def main(self, args: Sequence[str] | None = None, *rest: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run a command line and exit; an error becomes one line and a hint."""
        if COMPLETING in os.environ:
            import_module("mlmd.cli.completing")  # Which has a word in how bash is told.
        _fill_standard_files()
        try:
            code = super().main(args, *rest, standalone_mode=False, **extra)  # type: ignore[call-overload]
            sys.stdout.flush()
        except BrokenPipeError:
            code = _hang_up()
        except click.Abort:  # An interrupt, as click calls it.
            code = INTERRUPTED
        except click.ClickException as error:
            code = _tell(Refusal(*_usage(error), error.exit_code))
        except Refusal as refusal:
            code = _tell(refusal)
        except OSError as error:  # What no command wrote, such as help, or was written last.
            refused = refusal_of(error, "evlog")
            if refused is None:
                raise
            _hang_up()  # Else Python tries again at its end.
            code = _tell(refused)
        if standalone_mode:
            sys.exit(code or OK)
        return code or OK

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what its layers raise is a Refusal from here on."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # Here, because click would make it exit 1.
            return _hang_up()
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            settings = ctx.ensure_object(Settings)
            refusal = refusal_of(error, settings.command)
            if refusal is None:
                if settings.verbose:
                    raise
                what = f"unexpected {type(error).__name__}: {error}; this is a fault of evlog, please report it"
                refusal = Refusal(what, "the same with -v, which shows where it happened")
            refusal.hint = refusal.hint or f"evlog {ctx.invoked_subcommand} --help"
            if refusal is error:
                raise
            raise refusal from error


def _sketch(name: str) -> Command | None:
    from mlmd.cli.grammar import sketch  # noqa: PLC0415 - for who presses Tab

    return sketch(name)


def _tell(refusal: Refusal) -> int:
    with contextlib.suppress(OSError):  # Where nobody listens, the exit code is left.
        click.echo(f"evlog: {' '.join(refusal.what.split())}", err=True)
        if refusal.hint:
            click.echo(f"try: {refusal.hint}", err=True)
    return refusal.code


def _usage(error: click.ClickException) -> tuple[str, str]:
    """Return what was wrong with a command line, and the help to read."""
    if error.exit_code != USAGE:
        return error.format_message(), "evlog --help"
    text = error.format_message().rstrip(".")
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, click.BadOptionUsage) and error.option_name == "--at":
        text += "; a shell takes # for a comment, so quote an offset: --at '#31907'"
    return text[:1].lower() + text[1:], f"{ctx.command_path if ctx else 'evlog'} --help"


def _fill_standard_files() -> None:
    """Open the standard files that are closed, on nothing: else the next file opened, maybe the log, is where others write."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # In order: the lowest free number is taken.
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _hang_up() -> int:
    """Say nothing more to a reader that has gone, not even when Python flushes at its end."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: no file behind it, as in a test.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


cli: Final = Evlog(
    "evlog",
    help=_ABOUT,
    params=[*shared_options()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
)
click.version_option(__version__, prog_name="evlog", message="%(prog)s %(version)s")(cli)
main: Final = cli.main
