"""`doctor`: looks at everything that must be right for a store to work, and changes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.examining import environment
from mlmd.cli.output import in_words, show_rows, talk
from mlmd.cli.reading import Served, find_store, gets_of, place_of
from mlmd.cli.refusal import DAMAGE, REFUSED, Refusal, refusal_of
from mlmd.looking import LOOKS, Checked
from mlmd.places import Server, command_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd.cli.settings import Settings


@command(lists=True)
@with_settings
def doctor(settings: Settings) -> None:
    """Look at Python, libraries, settings and the store, and say what to do where something is wrong. Changes nothing.

    A line is ok, a note (worth knowing), or bad. `verify` reads every byte of the log; this reads as little as opening it does. Exit 1
    where something is bad, 3 where the store is damaged.

    Examples:
    evlog doctor                   of this environment, and the store that is found from here
    evlog -s my-store doctor -o json

    """
    found = [*environment(), *_of_store(settings)]
    counts = {state: sum(one.state == state for one in found) for state in ("ok", "note", "bad")}
    if settings.form == "table" and not settings.fields:
        _tell(found)
        talk(settings, ", ".join(f"{count} {state}" for state, count in counts.items()))
    else:
        show_rows(settings, [one._asdict() for one in found], Checked._fields)
    if counts["bad"]:
        raise click.exceptions.Exit(DAMAGE if any(one.damage for one in found) else REFUSED)


def _tell(found: list[Checked]) -> None:
    """Write a line for each, and below it what to do."""
    width = max(len(one.check) for one in found)
    for one in found:
        click.echo(f"{one.state:<4}  {one.check:<{width}}  {in_words('', one.what)}")
        if one.next:
            click.echo(f"{'':<4}  {'':<{width}}  try: {one.next}")


def _of_store(settings: Settings) -> Iterator[Checked]:
    try:
        place = place_of(settings)
    except Refusal as none:
        yield Checked("store", "note", none.what, none.hint)
        return
    if isinstance(place, Server):
        yield _server(settings)
        return
    try:
        folder = find_store(settings)
    except (Refusal, OSError) as none:
        yield _wrong("store", none, settings.store)
        return
    yield Checked("store", "ok", str(folder.resolve()))
    for check, look in LOOKS.items():
        try:
            yield from look(folder)
        except Exception as error:  # noqa: BLE001 - whatever a look meets is a finding, and the next one goes on
            yield _wrong(check, error, folder)


def _wrong(check: str, error: Exception, folder: object) -> Checked:
    """Return what to say of a look that failed."""
    told = refusal_of(error, command_of(folder)) or Refusal(
        f"{type(error).__name__}: {error}", f"{command_of(folder)} verify"
    )
    return Checked(check, "bad", " ".join(told.what.split()), told.hint, told.code == DAMAGE)


def _server(settings: Settings) -> Checked:
    """Return whether a server answers."""
    started = time.perf_counter()
    try:
        with gets_of(settings) as store:
            assert isinstance(store, Served), "a server"
            types = store.get("GetArtifactTypes").artifact_types
    except Exception as error:  # noqa: BLE001 - as in _of_store
        told = refusal_of(error, settings.command) or Refusal(str(error))
        return Checked("server", "bad", f"{settings.store}: {' '.join(told.what.split())}", told.hint)
    took_ms = (time.perf_counter() - started) * 1000
    return Checked("server", "ok", f"{settings.store} answers in {took_ms:.1f} ms, {len(types):,} artifact types")
