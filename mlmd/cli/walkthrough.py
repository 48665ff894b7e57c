"""`demo --guide`: the workflow of ML Metadata's own guide, in nine steps, and what the store can say of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from mlmd.changes import difference_in_words, difference_row, thing_in_short
from mlmd.cli.output import Row, show_one
from mlmd.cli.refusal import DAMAGE
from mlmd.cli.things import provenance_row
from mlmd.demo import SQL_QUESTIONS, ask, record_workflow
from mlmd.engine import Engine
from mlmd.opening import BODIES, VIEWS_FOLDER
from mlmd.places import command_of
from mlmd.plain import plain
from mlmd.recorder.opening import open_metadata
from projections.errors import MissingLibraryError
from projections.sqlite.view import View
from replay.asof import as_of
from replay.rebuild import rebuild

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlmd.cli.settings import Settings
    from mlmd.demo import Workflow
    from mlmd.store import MetadataStore

    Say = Callable[[str], None]


def walk(settings: Settings, folder: Path) -> None:
    """Record the workflow in a new store, ask about it, look back, rebuild the views, tell what happened."""
    say = say_of(settings)
    store = open_metadata(folder)
    try:
        engine = store._backend  # noqa: SLF001 - the demo looks under the bonnet
        assert isinstance(engine, Engine), "a store in a folder"
        steps: list[Row] = []

        def told(step: int, text: str) -> None:
            steps.append({"step": step, "what": text, "end": engine.log.end})
            say(f"  {step}  {text:<56} record #{engine.log.end - 1}")

        say(f"A training workflow, recorded in {folder}:")
        ids = record_workflow(store, told)
        row: Row = {"store": str(folder), "steps": steps, "answers": _answer(store, ids, say)}
        row["as_of"] = _look_back(engine, ids, steps[6]["end"], say)
        row["views"] = rebuilt(engine, folder, say)
        row["diff"] = _diff(store, row["as_of"]["offset"], say)
        row["blame"] = _blame(store, f"run:{ids.run}", say)
        row["sql"] = _ask_in_sql(store, folder, ids, say)
    finally:
        store.close()
    if settings.form != "table":
        show_one(settings, row)
    say(f"\nNow try:\n  {command_of(folder)} status\n  {command_of(folder)} show art:{ids.model}")
    say(f"  {command_of(folder)} log run:{ids.run}\n  {command_of(folder)} diff '#3'\n  {command_of(folder)} verify")
    if not row["views"]["identical"]:
        raise click.exceptions.Exit(DAMAGE)


def say_of(settings: Settings) -> Say:
    """Return what tells people; a program reads the row at the end."""
    return click.echo if settings.form == "table" else lambda _line: None


def _answer(store: MetadataStore, ids: Workflow, say: Say) -> Row:
    answers = ask(store, ids.model)
    [model] = store.get_artifacts_by_id([ids.model])
    [data] = answers.data
    others = [one for one in answers.also_made if one.id != model.id]
    say("\nWhat the store knows of the model:")
    say(f"  trained on       art:{data.id}  {data.uri}, day {data.properties['day'].int_value}")
    say(f"  with parameters  {', '.join(f'{key}={value}' for key, value in answers.parameters.items())}")
    say(f"  by               run:{answers.run.id}  {answers.run.type}")
    say(f"  in experiments   {', '.join(one.name for one in answers.experiments)}")
    say(f"  from that data   {', '.join(f'art:{one.id}' for one in others) or 'nothing else'} was made")
    say("\nIts lineage:")
    say(f"  art:{model.id}  SavedModel  {model.properties['name'].string_value}")
    say(f"  └ run:{answers.run.id}  Trainer  {answers.parameters['state']}")
    say(f"    └ art:{data.id}  DataSet  {data.uri}")
    return {
        "model": f"art:{model.id}",
        "trained_on": [f"art:{one.id}" for one in answers.data],
        "parameters": answers.parameters,
        "made_by": f"run:{answers.run.id}",
        "experiments": [one.name for one in answers.experiments],
        "also_made": [f"art:{one.id}" for one in others],
    }


def _look_back(engine: Engine, ids: Workflow, offset: int, say: Say) -> Row:
    from mlmd.methods import METHODS  # noqa: PLC0415 - shown as the one place it is

    method = METHODS["GetExecutionsByID"]
    view = as_of(engine.log, offset, BODIES)
    request = method.request(execution_ids=[ids.run])
    [run] = view.ask(lambda lookup: method.ask(lookup, request)).executions
    view.close()
    state = run.properties["state"].string_value
    say(f"\nAs of #{offset}, before it was done, run:{run.id} was {state}.")
    return {"offset": offset, "run": f"run:{run.id}", "state": state}


def _ask_in_sql(store: MetadataStore, folder: Path, ids: Workflow, say: Say) -> list[Row]:
    try:
        from mlmd.analytics import sql  # noqa: PLC0415 - DuckDB need not be there
    except MissingLibraryError as error:
        say(f"\nFor questions in SQL: {error.install}")
        return []
    say("\nAnd in SQL, over every version of everything:")
    asked = []
    for words, question in SQL_QUESTIONS:
        query = question.format(**vars(ids))
        answer = sql(store, query)
        rows = [dict(zip(answer.columns, map(_shown, row), strict=True)) for row in answer.fetchall()]
        indented = query.replace("\n", "\n      ")
        say(f'\n  {words}\n    {command_of(folder)} sql "{indented}"')
        for row in rows:
            say(f"      {'  '.join(f'{name} {value}' for name, value in row.items())}")
        asked.append({"question": words, "sql": query, "answer": rows})
    return asked


def _shown(value: Any) -> Any:
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else value


def rebuilt(engine: Engine, folder: Path, say: Say) -> Row:
    """Make the view anew from the log, and compare."""
    live = engine.view.digest()
    records = rebuild(engine.log, folder / VIEWS_FOLDER, BODIES)
    fresh = View.open(folder / VIEWS_FOLDER, engine.log.id, BODIES, writable=False)
    rebuilt = fresh.digest()
    fresh.close()
    say(f"\nThe views, rebuilt from the {records} records of the log:")
    say(f"  live     {live}\n  rebuilt  {rebuilt}  {'identical' if live == rebuilt else 'DIFFERENT'}")
    return {"records": records, "live": live, "rebuilt": rebuilt, "identical": live == rebuilt}


def _diff(store: MetadataStore, offset: int, say: Say) -> list[Row]:
    found = store.diff(offset).differences
    say(f"\nWhat happened since #{offset}:")
    for one in found:
        mark = "~" if one.what == "changed" else "+"
        words = ", ".join(difference_in_words(one)) if one.what == "changed" else one.what
        say(f"  {mark} {thing_in_short(one.after):<16} {words:<40} by {one.by.actor}, #{one.by.offset}")
    return [difference_row(one) | provenance_row(one.by) for one in found]


def _blame(store: MetadataStore, thing: str, say: Say) -> list[Row]:
    found = store.blame(thing)
    say(f"\nWho set what of {thing}:")
    for one in found:
        say(f"  {one.field:<18} {one.value:<40} by {one.by.actor}, #{one.by.offset}, {one.by.api}")
    return [{"field": one.field, "value": plain(one.value)} | provenance_row(one.by) for one in found]
