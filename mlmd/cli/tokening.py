"""`token`."""

from __future__ import annotations

import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from evlog.author import Author
from mlmd import moment
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import Row, rfc3339, show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import Refusal
from mlmd.engine import Engine
from mlmd.errors import AlreadyExistsError, NotFoundError
from mlmd.opening import open_folder
from mlmd.places import command_of
from mlmd.serving import access, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from mlmd.cli.settings import Settings
    from mlmd.serving.tokens import Role, Token

_COLUMNS = ("name", "role", "ends_with", "created", "expires", "state")
_USUAL = 50
_USES = ("time", "actor", "role", "where", "what", "result", "peer", "times")


class _Ahead(click.ParamType):  # type: ignore[type-arg] # As in `settings`.
    """An option that names a time to come: see `moment.ahead`."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return milliseconds since 1970. Fails as wrong usage."""
        try:
            return value if isinstance(value, int) else int(moment.ahead(value).timestamp() * 1000)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@command(lists=True)
@with_settings
@click.argument("action", metavar="add|ls|rm|uses", type=click.Choice(["add", "ls", "rm", "uses"]))
@click.argument("name", metavar="[TOKEN]", required=False)
@click.option("--role", type=click.Choice(tokens.ROLES), help="For `add`: what the token is good for.")
@click.option(
    "--expires", "expires_ms", metavar="30d", type=_Ahead(), help="For `add`: when it ends by itself; 12h, or a date."
)
@click.option("--reason", metavar="TEXT", help="For `add` and `rm`: why, for the record; else EVLOG_REASON.")
@click.option(
    "-n", "limit", type=click.IntRange(0), metavar="N", help="For `uses`: the last so many; 50 if not given, 0 for all."
)
def token(
    settings: Settings,
    action: str,
    name: str | None,
    role: Role | None,
    expires_ms: int | None,
    reason: str | None,
    limit: int | None,
) -> None:
    """Say who may use servers of the store, and see who did. A token is a secret for a name and a role, shown once, by `add`.

    Once there was a token, a server of the store asks for one. A reader gets; a writer also puts; an auditor gets, and sees the pages of
    evidence; an admin may do all. The name is the actor on record. Servers that run take up what is added and removed.

    Examples:
    evlog token add ana --role reader
    evlog token add ci --role writer --expires 30d --reason "ticket 81"
    EVLOG_TOKEN=evlog_... evlog -s grpcs://HOST:8080 runs
    evlog token ls
    evlog token rm ci
    evlog token uses ci -n 100                 what ci read, and was refused; what it put: evlog log

    """
    given = {"--role": role, "--expires": expires_ms, "--reason": reason, "-n": limit}
    fitting = {"add": ("--role", "--expires", "--reason"), "rm": ("--reason",), "uses": ("-n",), "ls": ()}[action]
    for option, value in given.items():
        if value is not None and option not in fitting:
            raise click.UsageError(f"{option} is not for `token {action}`")
    if action == "ls":
        if name is not None:
            raise click.UsageError("`token ls` lists all tokens: it takes no name")
        _list(settings)
    elif action == "uses":
        _uses(settings, name, _USUAL if limit is None else limit or sys.maxsize)
    elif name is None:
        raise click.UsageError(f"which token? evlog token {action} NAME")
    elif action == "rm":
        _remove(settings, name, reason)
    elif role is None:
        raise click.UsageError(f"which role? --role {', '.join(tokens.ROLES)}")
    else:
        _add(settings, name, role, expires_ms, reason)


def _add(settings: Settings, name: str, role: Role, expires_ms: int | None, reason: str | None) -> None:
    place = find_store(settings)
    with closing(_engine(settings, place, reason)) as engine:
        first = tokens.Tokens(place).known() is None
        with _listed(place):
            made = tokens.add(engine, name, role, expires_ms)
    show_one(settings, {"name": name, "role": role, "expires": _time(expires_ms), "secret": made.secret})
    talk(settings, "the secret is shown this once, and kept nowhere: clients take it from EVLOG_TOKEN")
    if first:
        talk(settings, "from here on servers of this store ask for a token, also those that run")


def _remove(settings: Settings, name: str, reason: str | None) -> None:
    place = find_store(settings)
    with closing(_engine(settings, place, reason)) as engine, _listed(place):
        left = tokens.remove(engine, name)
    show_rows(settings, map(_row, left), _COLUMNS)
    found = tokens.Tokens(place)
    if not left and found.known() is not None:
        talk(
            settings,
            f"none is left: servers let nobody in. For servers that ask nobody, remove {found.file} and start them again",
        )


def _list(settings: Settings) -> None:
    place = find_store(settings)
    found = tokens.Tokens(place)
    known = found.known()
    if known is None:
        with closing(Engine(open_folder(place, writable=False))) as engine:
            tokens.check_lost(engine, found)
    none = "servers ask nobody" if known is None else "servers let nobody in"
    footer = None if known else f"there is no token, so {none}: evlog token add NAME --role reader"
    show_rows(settings, map(_row, known or ()), _COLUMNS, footer)


def _uses(settings: Settings, name: str | None, limit: int) -> None:
    place = find_store(settings)
    found = access.last_uses(place, limit, name)
    rows = ({column: getattr(use, column) for column in _USES} for use in found.uses)
    footer = f"reads, and what was refused, the newest first; puts are in the log: {command_of(place)} log"
    show_rows(
        settings,
        rows,
        [column for column in _USES if column != "times" or any(u.times > 1 for u in found.uses)],
        footer,
    )
    if found.damaged:
        talk(settings, f"{found.damaged:,} lines of {place / access.FOLDER} cannot be read, and are left out")


@contextmanager
def _listed(place: Path) -> Iterator[None]:
    """Let a name that is taken, or is none, lead to the list of names."""
    try:
        yield
    except (AlreadyExistsError, NotFoundError) as error:
        raise Refusal(error.message, f"{command_of(place)} token ls") from error


def _engine(settings: Settings, place: Path, reason: str | None) -> Engine:
    with progress_of(settings, "making a view") as progress:
        opened = open_folder(place, progress=progress)
    return Engine(opened, Author(reason=reason))


def _row(one: Token) -> Row:
    state = "removed, not on record yet: evlog token rm" if not one.hash else "expired" if one.is_over() else None
    return {
        "name": one.name,
        "role": one.role,
        "ends_with": one.tail,
        "created": _time(one.made_ms),
        "expires": _time(one.expires_ms),
        "state": state,
    }


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else rfc3339(time_ms * 1000)
