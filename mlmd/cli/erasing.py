"""`personal` and `erase`."""

from __future__ import annotations

import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evlog.author import Author
from evlog.files import RealFolder
from evlog.log import Log
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import Row, show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store, store_of
from mlmd.cli.refusal import USAGE, Refusal
from mlmd.engine import Engine
from mlmd.files import read_file
from mlmd.names import name_of
from mlmd.opening import BODIES, LOG_FOLDER, VIEWS_FOLDER, acknowledged_by, open_folder
from mlmd.personal import DECLARE, rules_of
from mlmd.places import command_of
from projections.sqlite.lookup import Lookup
from replay import erasure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmd.cli.settings import Settings
    from replay.erasure import Erasure, Found

_RULES_BYTES_MAX = 1024 * 1024
_COLUMNS = ("property", "kind", "type", "subject_property", "subject")


@command()
@with_settings
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--reason", metavar="TEXT", help="Why, for the record; else EVLOG_REASON.")
def personal(settings: Settings, file: Path | None, reason: str | None) -> None:
    """Say which properties hold personal values, or, without FILE, tell what was said. On the record, and from here on.

    Their values are sealed then, each under a key of its subject, so that `evlog erase SUBJECT` can take them away. FILE is TOML, a
    table [[personal]] for each rule; it takes the place of what was said before.

    Examples:
    evlog personal                    the rules that hold
    evlog personal rules.toml         [[personal]]
                                      type = "Trainer"              of all types if left out
                                      property = "operator"         or a pattern, such as patient_*
                                      subject_property = "user"     says whose; or subject = "u-17"
    evlog personal rules.toml --reason "ticket 81" --json

    """
    if file is not None:
        rules = rules_of(_text_of(file))
        place = find_store(settings)
        with progress_of(settings, "making a view") as progress:
            opened = open_folder(place, progress=progress)
        with closing(Engine(opened, Author(reason=reason))) as engine:
            engine.call(DECLARE, rules)
        talk(settings, "from here on; values that were put before stay as they are")
    with store_of(settings) as store:
        rules = store.ask(Lookup.personal)
    rows = [{column: getattr(rule, column) or None for column in _COLUMNS} for rule in rules]
    show_rows(settings, rows, _COLUMNS, None if rows else "nothing is personal: evlog personal --help")


def _text_of(file: Path) -> str:
    try:
        data = read_file(file, _RULES_BYTES_MAX)
        if len(data) > _RULES_BYTES_MAX:
            raise Refusal(f"{file}: over the limit of {_RULES_BYTES_MAX:,} bytes", "evlog personal --help")
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refusal(f"{file}: is no text: {error.reason}", "evlog personal --help") from None


@command()
@with_settings
@click.argument("subject", metavar="[SUBJECT]", required=False)
@click.option("--reason", metavar="TEXT", help="Why, for the record; else EVLOG_REASON; asked for on a terminal.")
@click.option("--basis", metavar="TEXT", help="The legal basis, for the record.")
@click.option(
    "--copy",
    "copies",
    metavar="DIR",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="A snapshot that the store does not know of, because it was moved; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Erase nothing: tell what would go.")
@click.option(
    "--lost-keys", is_flag=True, help="Instead of a subject: put on record that the keys which are missing are gone."
)
def erase(
    settings: Settings,
    subject: str | None,
    reason: str | None,
    basis: str | None,
    copies: tuple[Path, ...],
    dry_run: bool,
    lost_keys: bool,
) -> None:
    """Erase the personal values of a subject, for good and on the record. Nobody can bring them back.

    The subject's keys are destroyed, the views and the snapshots made anew without its values; a text reads [erased] then, at every
    moment of the past, and any other value is absent. The log is not touched: every proof, checkpoint and root holds as before.

    Examples:
    evlog erase u-17 --dry-run                 keys, nodes, versions and copies that would go
    evlog erase u-17 --reason "request 4711" --basis "GDPR Art. 17"
    evlog erase u-17 --reason "request 4711" --copy lake
    evlog erase --lost-keys --reason "disk 3 died"    so that the rest can be read

    """
    if (subject is None) != lost_keys or subject == "":
        raise click.UsageError("whom? name one SUBJECT, or --lost-keys")
    wanted = erasure.LOST if subject is None else subject
    place = find_store(settings)
    folder = RealFolder(place / LOG_FOLDER)
    acknowledged = acknowledged_by(place / VIEWS_FOLDER, folder)
    with progress_of(settings, "erasing") as progress:
        if dry_run:
            with closing(Log.open(folder, writable=False, acknowledged=acknowledged)) as log:
                show_one(settings, _found_row(erasure.find(log, wanted, copies, progress)))
            return
        author = Author(reason=reason)
        if author.reason is None:
            author.reason = _ask_reason(place, wanted)
        with closing(Log.open(folder, acknowledged=acknowledged)) as log:
            done = erasure.erase(
                log, place / VIEWS_FOLDER, BODIES, wanted, author, basis=basis, copies=copies, progress=progress
            )
            root = log.tip_at(done.offset + 1).tree.root().hex()
    show_one(settings, _done_row(done, root))
    talk(settings, "no frame was touched: every proof, checkpoint and root of before holds as it did")
    for one in done.copies:
        if not one.done:
            talk(settings, f"left to do: {one.copy.kind or 'copy'} {one.copy.path}: {one.outcome}")


def _ask_reason(place: Path, subject: str) -> str:
    """Return why, as somebody at a terminal says. Raises Refusal where nobody can be asked."""
    if not sys.stdin.isatty():
        what = "why? an erasure cannot be undone, and its reason goes on record"
        named = shlex.quote(subject) if subject else "--lost-keys"
        raise Refusal(what, f'{command_of(place)} erase {named} --reason "..."', USAGE)
    said: str = click.prompt(f"erase {subject or 'what lost keys sealed'}, for good; why", err=True)
    return said


def _found_row(found: Found) -> Row:
    return {
        "subject": found.subject or None,
        "keys": [key_id.hex() for key_id in found.keys],
        "nodes": _nodes(found),
        "versions": found.versions,
        "values": found.values,
        "copies": [f"{copy.kind or 'copy'} {copy.path}: {erasure.plan(copy)}" for copy in found.copies],
    }


def _done_row(done: Erasure, root: str) -> Row:
    row: dict[str, Any] = {"subject": done.subject or None, "record": f"#{done.offset}", "root": root}
    if done.found is not None:
        row |= {"nodes": _nodes(done.found), "versions": done.found.versions, "values": done.found.values}
    return {
        **row,
        "keys": [key_id.hex() for key_id in done.keys],
        "copies": [
            {"kind": one.copy.kind or None, "path": one.copy.path, "outcome": one.outcome, "done": one.done}
            for one in done.copies
        ],
    }


def _nodes(found: Found) -> Sequence[str]:
    return [name_of((str(kind), node_id)) for kind, node_id in found.nodes]
