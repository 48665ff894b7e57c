"""`demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.refusal import DAMAGE, Refusal
from mlmd.demo import ask, record_workflow
from mlmd.opening import BODIES, LOG_FOLDER, VIEWS_FOLDER
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.store import MetadataStore
from projections.sqlite.view import View
from replay.asof import as_of
from replay.rebuild import rebuild

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings
    from mlmd.demo import Workflow
    from mlmd.engine import Engine


@command()
@with_settings
@click.argument("folder", metavar="[FOLDER]", type=click.Path(path_type=Path), default=Path("demo-store"))
def demo(settings: Settings, folder: Path) -> None:
    """Record a training run in a new store, ask about it, look back, and rebuild the views from the log.

    Examples:
    evlog demo                  in demo-store
    evlog demo somewhere        in another new folder

    """
    if (folder / LOG_FOLDER).exists():
        raise Refusal(f"{folder}: there is a store already", f"evlog -s {folder} status, or evlog demo ANOTHER-FOLDER")
    config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(folder)))
    store = MetadataStore(config)
    try:
        engine = store._engine  # noqa: SLF001 - the demo looks under the bonnet
        offsets: list[int] = []

        def told(step: int, text: str) -> None:
            offsets.append(engine.log.end)
            click.echo(f"  {step}  {text:<56} record #{engine.log.end - 1}")

        click.echo(f"A training workflow, recorded in {folder}:")
        ids = record_workflow(store, told)
        _answer(store, ids)
        _look_back(engine, ids, offsets[6])
        _rebuild(engine, folder)
    finally:
        store.close()
    click.echo(f"\nNow try:\n  evlog -s {folder} status\n  evlog -s {folder} show art:{ids.model}")
    click.echo(f"  evlog -s {folder} log run:{ids.run}\n  evlog -s {folder} verify")
    del settings


def _answer(store: MetadataStore, ids: Workflow) -> None:
    answers = ask(store, ids.model)
    [model] = store.get_artifacts_by_id([ids.model])
    [data] = answers.data
    others = [one for one in answers.also_made if one.id != model.id]
    click.echo("\nWhat the store knows of the model:")
    click.echo(f"  trained on       art:{data.id}  {data.uri}, day {data.properties['day'].int_value}")
    told = ", ".join(f"{key}={value}" for key, value in answers.parameters.items())
    click.echo(f"  with parameters  {told}")
    click.echo(f"  by               run:{answers.run.id}  {answers.run.type}")
    click.echo(f"  in experiments   {', '.join(one.name for one in answers.experiments)}")
    click.echo(f"  from that data   {len(answers.also_made)} artifact made, {len(others)} besides this model")
    click.echo("\nIts lineage:")
    click.echo(f"  art:{model.id}  SavedModel  {model.properties['name'].string_value}")
    click.echo(f"  └ run:{answers.run.id}  Trainer  {answers.parameters['state']}")
    click.echo(f"    └ art:{data.id}  DataSet  {data.uri}")


def _look_back(engine: Engine, ids: Workflow, offset: int) -> None:
    from mlmd.methods import METHODS  # noqa: PLC0415 - shown as the one place it is

    method = METHODS["GetExecutionsByID"]
    view = as_of(engine.log, offset, BODIES)
    assert method.query is not None, "a get"
    query, request = method.query, method.request(execution_ids=[ids.run])
    [run] = view.ask(lambda lookup: query(lookup, request)).executions
    view.close()
    click.echo(f"\nAs of #{offset}, before it was done, run:{run.id} was {run.properties['state'].string_value}.")


def _rebuild(engine: Engine, folder: Path) -> None:
    live = engine.view.digest()
    records = rebuild(engine.log, folder / VIEWS_FOLDER, BODIES)
    fresh = View.open(folder / VIEWS_FOLDER, engine.log.id, BODIES, writable=False)
    rebuilt = fresh.digest()
    fresh.close()
    click.echo(f"\nThe views, rebuilt from the {records} records of the log:")
    click.echo(f"  live     {live}\n  rebuilt  {rebuilt}  {'identical' if live == rebuilt else 'DIFFERENT'}")
    if live != rebuilt:
        raise click.exceptions.Exit(DAMAGE)
