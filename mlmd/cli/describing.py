"""Writes what is made from the commands themselves: the grammar for completion, and the document. `make command` runs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mlmd.cli import COMMANDS, EXITS, cli
from mlmd.cli.command import Command
from mlmd.cli.grammar import FILE, described

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT: Final = "docs/command.md"


def grammar() -> str:
    """Return the grammar of all commands, a command a line."""
    lines = [f"{json.dumps(name)}: {json.dumps(described(found), ensure_ascii=False)}" for name, found in _commands()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def document() -> str:
    """Return the document of all commands."""
    parts = [
        _ABOUT.format(
            options="\n".join(_options(cli.params)), exits="\n".join(f"| {code} | {means} |" for code, means in EXITS)
        )
    ]
    for title, group in COMMANDS.items():
        links = ", ".join(f"[{name}](#evlog-{name})" for name in group)
        parts.append(f"## {title}\n\n{links}\n")
        parts += [_section(found) for name, found in _commands() if name in group]
    return "\n".join(parts)


def _commands() -> Iterator[tuple[str, Command]]:
    ctx = click.Context(cli, info_name="evlog")
    for name in cli.list_commands(ctx):
        found = cli.get_command(ctx, name)
        assert isinstance(found, Command), "a command of ours"
        yield name, found


def _section(found: Command) -> str:
    """Return what there is to say of a command."""
    arguments = [_called(param) for param in found.own_params if isinstance(param, click.Argument)]
    usage = " ".join([f"evlog {found.name}", "[OPTIONS]", *arguments])
    parts = [f"### evlog {found.name}\n", f"`{usage}`\n", f"{(found.help or '').strip()}\n"]
    options = [*_options(found.own_params)]
    if options:
        parts.append("| option | means |\n| --- | --- |\n" + "\n".join(options) + "\n")
    facts = [f"Formats: {', '.join(found.formats)}."]
    if found.looks_back:
        facts.append("Looks back with `--at`.")
    parts.append(" ".join(facts) + "\n")
    parts.append(f"```text\n{found.examples.strip()}\n```\n")
    return "\n".join(parts)


def _options(params: list[click.Parameter]) -> Iterator[str]:
    """Yield a row for each option that the help shows. In our own words: click's differ from release to release."""
    for param in params:
        if isinstance(param, click.Option) and not param.hidden:
            words = f"{', '.join(param.opts)} {'' if param.is_flag else _called(param)}".strip()
            default = f" Default: {param.default}." if param.show_default and param.default is not None else ""
            yield f"| `{_cell(words)}` | {_cell((param.help or '') + default)} |"


def _called(param: click.Parameter) -> str:
    """Return what a value is called."""
    if param.metavar:
        return param.metavar
    if isinstance(param.type, click.Choice):
        return f"{{{'|'.join(map(str, param.type.choices))}}}"
    if isinstance(param, click.Option):
        return "N" if isinstance(param.type, click.IntRange | click.FloatRange) else "TEXT"
    return f"{(param.name or '').upper()}{'...' if param.nargs < 0 else ''}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


_ABOUT: Final = """\
# The command `evlog`

Made by `make command` from the commands themselves; a test checks that it is theirs. `evlog COMMAND --help` says the same.

```text
evlog [OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]
```

Options of all commands stand before the command's name or after it.

| option | means |
| --- | --- |
{options}

**STORE** is a folder, or `HOST:PORT` (also `grpc://HOST:PORT`; `grpcs://HOST:PORT` over TLS) of a server. Not named, it is what `EVLOG_STORE` says; else the first store
from here upward, as git finds a repository: a folder that is a store (it holds `log/LOGID`), or one called `metadata` in it, which is what
`evlog init` makes. A server answers what is asked by ML Metadata's own calls, and takes what is put by them: status, show, runs, latest, search,
artifacts, executions, contexts, types, lineage, path, open, cached, alias, compare, impact, taint, mark, doctor. What reads the log itself, such as
log, diff, blame, sql, export and verify, says so, and works on the folder.

**WHEN** is an offset (`'#31907'`, the store of its first 31,907 records), a date or time (`2026-03-01T09:30`), `today`, `yesterday`, so long ago
(`2h`, `3d`), or a name that `evlog mark` gave a moment (`mark:release-4`). **OBJECT** is a version (`taxi:7`), an alias (`taxi-model@prod`), a name
(`taxi`, its newest version that may be used), a URI, or `art:2`, `run:1`, `ctx:7`, `type:NAME`.

**Output.** Data goes to standard output, everything else to standard error. A list is a table on a terminal, and tab-separated with a
header in a pipe: all fields, whole, without colour (nor is there any where `NO_COLOR` is set). `EVLOG_OUTPUT` names another format for both.
`-o id` gives names for a further command: `evlog artifacts Model -o id | xargs -n 1 evlog show`.

**Errors** are one line that says what and where, then `try:` with the next command.

| exit status | means |
| --- | --- |
{exits}
"""


def main() -> None:
    """Write both."""
    FILE.write_text(grammar(), encoding="utf-8")
    Path(sys.argv[1] if len(sys.argv) > 1 else DOCUMENT).write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
