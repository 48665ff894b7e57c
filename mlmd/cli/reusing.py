"""`cached` and `alias`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import local_time, show_one, show_rows, talk
from mlmd.cli.reading import metadata_of, putting_of
from mlmd.cli.refusal import REFUSED
from mlmd.cli.settings import THING_FORMATS
from mlmd.cli.things import cell, table_rows
from mlmd.display.cells import printable
from mlmd.recorder import aliases, caching, references
from mlmd.recorder.aliases import label_of
from mlmd.recorder.things import Run

if TYPE_CHECKING:
    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings


_SHOWN: Final = 12  # Digits of a digest.


def _value(text: str) -> Any:
    """Return a parameter's value: JSON where it is some, such as 0.1, true or [64, 32]; else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    """Return what options of the form KEY=VALUE say. Raises BadParameter."""
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{text!r}: write KEY=VALUE", param_hint=option)
        found[key] = value
    return found


@command(looks_back=True, formats=THING_FORMATS)
@with_settings
@click.argument("type_name", metavar="TYPE")
@click.option(
    "--input", "inputs", metavar="[ROLE=]OBJECT", multiple=True, help="What it reads, as taxi:7; may be repeated."
)
@click.option(
    "--param", "params", metavar="KEY=VALUE", multiple=True, help="A parameter, in JSON or as text; may be repeated."
)
@click.option("--code", metavar="SHA256|FILE", help="Which code; without it, that of the newest run of the type.")
@click.pass_context
def cached(
    ctx: click.Context,
    settings: Settings,
    type_name: str,
    inputs: tuple[str, ...],
    params: tuple[str, ...],
    code: str | None,
) -> None:
    """Tell whether a run was made before: the same type, code, inputs and parameters. Exit 1 if it was not; the first difference is named.

    What failed, was lost, is tainted or marked for deletion does not count. An input that has a role is ROLE=OBJECT.

    Examples:
    evlog cached Trainer --input churn:3 --param lr=0.1 --param epochs=3
    evlog cached Trainer --input churn:3 --param lr=0.1 --param epochs=3 -o json    and exit 0: nothing to do
    evlog --at now cached Trainer --input churn --param lr=0.1 --param epochs=3     the newest version that may be used

    """
    with metadata_of(settings) as store:
        began = time.perf_counter()
        wanted = [_input(text) for text in inputs]
        values = {key: _value(text) for key, text in _pairs("--param", params).items()}
        found = caching.cached(caching.Question(store, type_name, wanted, values, code))
        took_ms = (time.perf_counter() - began) * 1e3
        row = _row(found)
    if settings.form == "table":
        click.echo(_line(row, len(inputs), len(params)))
        talk(settings, f"{took_ms:.1f} ms")
    elif found or settings.form != "id":
        show_one(settings, row)
    if not found:
        ctx.exit(REFUSED)


def _line(row: Row, inputs: int, params: int) -> str:
    """Return the answer for people: what is found in a line, what differs in one each."""
    if not row["cached"]:
        return "MISS  " + "\n      ".join(map(printable, row["differences"] or [row["why"]]))
    code = f"same code {row['code'][:_SHOWN]}, " if row["code"] else ""
    counted = f"{inputs} input{'s' * (inputs != 1)}, {params} parameter{'s' * (params != 1)}"
    made = f" -> {printable(', '.join(row['outputs']))}" if row["outputs"] else ""
    return f"HIT   {row['run']}  {local_time(row['ended'] or '')}  {code}{counted}{made}"


def _input(text: str) -> caching.Wanted:
    """Return the input that an option means. A URI may hold an = too: what is one as it stands has no role."""
    role, equals, rest = text.partition("=")
    if not equals or references.is_uri(text) or "/" in role:
        return caching.Wanted("", text)
    return caching.Wanted(role, rest)


def _row(found: Run | caching.Miss) -> Row:
    """Return the answer as a row; the same fields for a hit and a miss."""
    run = found if isinstance(found, Run) else found.run
    outputs = [one.label for one in found.outputs] if isinstance(found, Run) else []
    return {
        "cached": isinstance(found, Run),
        "run": None if run is None else run.label,
        "why": None if isinstance(found, Run) else found.reason,
        "differences": [] if isinstance(found, Run) else list(found.differences),
        "code": None if run is None else run.code,
        "ended": None if run is None or run.ended is None else cell(run.ended),
        "outputs": outputs,
    }


@command(looks_back=True, lists=True)
@with_settings
@click.argument("name", metavar="[NAME@ALIAS]", required=False)
@click.argument("thing", metavar="[OBJECT]", required=False)
@click.option("--remove", is_flag=True, help="Take the alias away; its past stays.")
@click.option("--history", is_flag=True, help="What the alias stood for, by whom and why.")
def alias(settings: Settings, name: str | None, thing: str | None, remove: bool, history: bool) -> None:
    """Let an alias stand for an artifact; without OBJECT tell what it stands for, without NAME@ALIAS list them all.

    Each move is a record: --at tells what it stood for at any moment. NAME alone lists the aliases of that name. Who moves it and why is
    said by EVLOG_ACTOR and EVLOG_REASON. NAME@latest needs no setting: it is the newest version that may be used.

    Examples:
    evlog alias taxi-model@prod taxi-model:5
    evlog alias                                   all of them; with --at as they were then
    evlog alias taxi-model@prod                   what it stands for: --at 2026-03-03 says which model was live on 3 March
    evlog alias taxi-model@prod --history
    evlog alias taxi-model@prod --remove

    """
    if (remove or history) and (name is None or thing is not None):
        raise click.UsageError(
            f"--{'remove' if remove else 'history'} is about one alias: evlog alias NAME@ALIAS --{'remove' if remove else 'history'}"
        )
    if remove and history:
        raise click.UsageError("--remove or --history, not both")
    if thing is not None or remove:
        if settings.at is not None:
            raise click.UsageError("--at looks back, and what was cannot be moved: leave it out")
        _move(settings, str(name), thing)
        return
    with metadata_of(settings) as store:
        if history:
            table = aliases.history_of(store, str(name))
        elif name is None or "@" not in name:
            table = aliases.table_of(store, name)
        else:
            found = references.named_artifact(store, name)
            show_one(
                settings,
                {
                    "alias": name,
                    "artifact": label_of(found),
                    "thing": f"art:{found.id}",
                    "type": found.type,
                    "uri": found.uri,
                },
            )
            return
    show_rows(settings, table_rows(table), table.columns, table.note)


def _move(settings: Settings, name: str, thing: str | None) -> None:
    """Move an alias, or take it away where there is no thing."""
    with putting_of(settings) as store:
        artifact = None if thing is None else references.artifact_of(store, thing)
        moved = aliases.move(store, name, artifact)
    label = None if artifact is None else label_of(artifact)
    if settings.form == "table":
        talk(settings, f"{moved.name} stands for {label or 'nothing'}")
    else:
        thing = None if artifact is None else f"art:{artifact.id}"
        show_one(settings, {"alias": moved.name, "artifact": label, "thing": thing})
