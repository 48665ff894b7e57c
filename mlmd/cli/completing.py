"""`completion`, and what a shell is told when somebody presses Tab: names of the store beside click's own words.

Costs click, one file of the grammar and one look at the view, no command's module: a person waits.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from mlmd import places
from mlmd.cli import COMPLETING
from mlmd.cli.command import command
from mlmd.cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from projections.sqlite.naming import Names


PROGRAM: Final = "evlog"
_LIMIT: Final = 50
_NEWEST: Final = 20
_BREAKS: Final = "\"'><=;|&(:@"  # As COMP_WORDBREAKS has them: to bash, art:1 is three words.
_ID_NAMES: Final = {"art": "artifact", "run": "execution", "ctx": "context"}
_TABLES: Final = {
    "artifacts": "artifact",
    "executions": "execution",
    "contexts": "context",
    "runs": "execution",
    "latest": "artifact",
}
_FILTER_WORDS: Final = {
    "artifact": ("id", "name", "type", "state", "uri", "create_time_since_epoch", "last_update_time_since_epoch"),
    "execution": ("id", "name", "type", "state", "create_time_since_epoch", "last_update_time_since_epoch"),
    "context": ("id", "name", "type", "create_time_since_epoch", "last_update_time_since_epoch"),
}
_SHORT: Final = ("p.", "m.", "t.")  # Properties that the short language of filters names as they are.


@command(formats=("table",))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Write what makes a shell complete commands, options, and the names of the store's runs, artifacts, types and aliases.

    Examples:
    evlog completion bash              in ~/.bashrc: eval "$(evlog completion bash)"
    evlog completion zsh               in ~/.zshrc: eval "$(evlog completion zsh)"
    evlog completion fish              into ~/.config/fish/completions/evlog.fish

    """
    found = Bash if shell == "bash" else get_completion_class(shell)
    assert found is not None, "one of click's"
    click.echo(
        found.source_template % {"complete_func": "_evlog_completion", "complete_var": COMPLETING, "prog_name": PROGRAM}
    )


class Bash(BashComplete):
    """Click's own, but that a name may have a colon or an @, at which bash breaks words."""

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' response completion type value
    response=$(env COMP_LINE="${COMP_LINE:0:$COMP_POINT}" COMP_WORD="${COMP_WORDS[COMP_CWORD]}" \\
        %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        if [[ $type == 'dir' ]]; then
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("$value")
            [[ $value == *[:.] ]] && compopt -o nospace
        fi
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is typed, and that one as far as it goes."""
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)[1:]
        return (words, "") if not words or line[-1:].isspace() else (words[:-1], words[-1])

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return a line for the script: without what bash has broken off before the word it asks about."""
        _, typed = self.get_completion_args()
        word = os.environ.get("COMP_WORD", "").strip(_BREAKS)
        before = len(typed) - len(word) if typed.endswith(word) else 0
        cut = before if any(char in typed[:before] for char in _BREAKS) else 0
        return f"{item.type},{item.value[cut:]}"


add_completion_class(Bash)


def _folder(ctx: click.Context) -> Path | None:
    """Return the folder of the store that the command would look at; None where that is a server, or none."""
    settings = ctx.ensure_object(Settings)
    try:
        place: Path | places.Server | None = settings.store or places.found()
    except (ValueError, OSError):
        return None
    return None if isinstance(place, places.Server) else place


def _names(ctx: click.Context) -> Names | None:
    """Return the names of that store."""
    place = _folder(ctx)
    if place is None:
        return None
    from projections.sqlite.naming import Names  # noqa: PLC0415 - only names of the store cost SQLite

    return Names(place / "views")


def _objects(ctx: click.Context, typed: str) -> Iterator[CompletionItem[Any]]:
    """Yield what names a thing: a kind and a number of the newest, a name with its version, an alias."""
    names = _names(ctx)
    if names is None:
        return
    with closing(names):
        word, colon, _ = typed.partition(":")
        if colon and word == "type":
            yield from (
                CompletionItem(f"type:{name}", help=kind) for name, kind in names.types(typed[5:], None, _LIMIT)
            )
            return
        if colon and word in _ID_NAMES:
            newest = names.newest(_ID_NAMES[word], _NEWEST)
            yield from (
                CompletionItem(f"{word}:{id_}", help=type_)
                for id_, type_ in newest
                if f"{word}:{id_}".startswith(typed)
            )
            return
        yield from (CompletionItem(f"{word}:") for word in (*_ID_NAMES, "type") if f"{word}:".startswith(typed))
        yield from (CompletionItem(name, help=type_) for name, type_ in names.nodes("artifact", typed, _LIMIT))
        yield from _aliases_of(names, typed)


def _aliases_of(names: Names, typed: str) -> Iterator[CompletionItem[Any]]:
    from mlmd.recorder.words import ALIAS_TYPE  # noqa: PLC0415 - as in _names

    found = names.nodes("context", typed, _LIMIT)
    yield from (CompletionItem(name, help="alias") for name, type_ in found if type_ == ALIAS_TYPE)


def _aliases(ctx: click.Context, typed: str) -> Iterator[CompletionItem[Any]]:
    names = _names(ctx)
    if names is not None:
        with closing(names):
            yield from _aliases_of(names, typed)


def _types(ctx: click.Context, typed: str) -> Iterator[CompletionItem[Any]]:
    names = _names(ctx)
    if names is not None:
        with closing(names):
            kind = _TABLES.get(ctx.info_name or "")
            yield from (CompletionItem(name, help=kind) for name, kind in names.types(typed, kind, _LIMIT))


def _filters(ctx: click.Context, typed: str) -> Iterator[CompletionItem[Any]]:
    """Yield what a filter may speak of, in place of its last word."""
    before, space, word = typed.rpartition(" ")
    table = _TABLES.get(ctx.info_name or "", "execution")
    words = [*_FILTER_WORDS[table]]
    names = _names(ctx)
    if names is not None:
        with closing(names):
            keys = [key for (key,) in names.properties(table)]
        words += [key for key in keys if key.startswith(_SHORT)]
        words += [
            f"{part}.{key}." for key in keys if key.isidentifier() for part in ("properties", "custom_properties")
        ]
    yield from (CompletionItem(f"{before}{space}{one}") for one in words if one.startswith(word))


def _moments(ctx: click.Context, typed: str) -> Iterator[CompletionItem[Any]]:
    yield from (
        CompletionItem(word) for word in ("yesterday", "today", "now", "1h", "1d", "1w") if word.startswith(typed)
    )
    names = _names(ctx) if typed.startswith("mark:") else None
    if names is not None:
        from mlmd.recorder.words import MARK_TYPE  # noqa: PLC0415 - as in _names

        with closing(names):
            found = names.nodes("context", typed.removeprefix("mark:"), _LIMIT)
            yield from (CompletionItem(f"mark:{name}") for name, type_ in found if type_ == MARK_TYPE)


def _tokens(ctx: click.Context, typed: str) -> Iterator[CompletionItem[Any]]:
    place = _folder(ctx)
    if place is not None:
        from mlmd.serving.tokens import Tokens, TokensError  # noqa: PLC0415 - as in _names

        with suppress(TokensError):
            known = Tokens(place).known() or ()
            yield from (CompletionItem(one.name, help=one.role) for one in known if one.name.startswith(typed))


_OFFERS: Final[dict[str, Callable[[click.Context, str], Iterator[CompletionItem[Any]]]]] = {
    **dict.fromkeys(("OBJECT", "A", "B", "RUN", "NAME"), _objects),
    **dict.fromkeys(("WHEN", "FROM", "TO"), _moments),
    "TYPE": _types,
    "FILTER": _filters,
    "NAME@ALIAS": _aliases,
    "TOKEN": _tokens,
}


def offered(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem[Any]]:
    """Return what a parameter is completed with, by what the help calls it. For click's `shell_complete`."""
    offer = _OFFERS.get(_plain(param.metavar))
    return [] if offer is None else [*offer(ctx, typed)]


def _plain(metavar: str | None) -> str:
    """Return what the help calls a parameter, without what says that it may be left out or repeated."""
    return (metavar or "").strip("[]").removesuffix("...").strip("[]")
