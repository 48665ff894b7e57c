"""`demo`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mlmd import places
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import Row, show_one
from mlmd.cli.progress import progress_of
from mlmd.cli.refusal import DAMAGE, Refusal
from mlmd.cli.settings import Number
from mlmd.places import command_of
from mlmd.story import BAD, RUNS, record_story

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings
    from mlmd.cli.walkthrough import Say
    from mlmd.recorder.store import Store

_FOLDER: Final = Path("demo-store")
_ALTERED: Final = "s3://demo/taxi/models/3"
_NEXT: Final = """
Now try:
  {command} status
  {command} lineage taxi-model:4 --up 4
  {command} show taxi-model@prod
  {command} log --by ana
  {command} diff 1h --type Model
  evlog demo {folder} --tamper"""


@command()
@with_settings
@click.argument("folder", metavar="[FOLDER]", type=click.Path(path_type=Path), default=_FOLDER)
@click.option("--runs", type=Number(1, 1_000_000), default=RUNS, show_default=True, metavar="N", help="How many.")
@click.option("--guide", is_flag=True, help="Instead: the nine steps of ML Metadata's guide, by its own calls.")
@click.option("--tamper", is_flag=True, help="Alter a record in a copy of the store, for `verify` to find.")
def demo(settings: Settings, folder: Path, runs: int, guide: bool, tamper: bool) -> None:
    """Record three pipelines in a new store: models that start from others, a bad data set, failed and cached runs, a taint.

    With --tamper the store may be there already; its copy is FOLDER-tampered.

    Examples:
    evlog demo                  60 runs in demo-store
    evlog demo many --runs 100   in another new folder
    evlog demo demo-store --tamper     then: evlog -s demo-store-tampered verify, which ends with 3
    evlog demo small --guide    the training workflow of ML Metadata's guide, step by step

    """
    if guide and tamper:
        raise click.UsageError("--tamper alters the store of pipelines, not that of --guide")
    there = places.is_store(folder)
    if there and not tamper:
        raise Refusal(
            f"{folder}: there is a store already", f"{command_of(folder)} status, or evlog demo ANOTHER-FOLDER"
        )
    if guide:
        from mlmd.cli.walkthrough import walk  # noqa: PLC0415 - what the other story does not need

        walk(settings, folder)
        return
    from mlmd.cli.walkthrough import say_of  # noqa: PLC0415 - as above

    say = say_of(settings)
    row: Row = {"store": str(folder)}
    if not there:
        row |= _record(settings, folder, runs, say)
    if tamper:
        row |= _tamper(folder, say)
    elif settings.form == "table":
        say(_NEXT.format(command=command_of(folder), folder=shlex.quote(str(folder))))
    if settings.form != "table":
        show_one(settings, row)
    if "views" in row and not row["views"]["identical"]:
        raise click.exceptions.Exit(DAMAGE)


def _record(settings: Settings, folder: Path, runs: int, say: Say) -> Row:
    """Record the story; tell it, the lineage of what went wrong, and that the view is what the log says."""
    from mlmd.cli.walkthrough import rebuilt  # noqa: PLC0415 - as above
    from mlmd.engine import Engine  # noqa: PLC0415 - as above
    from mlmd.recorder.store import open_store  # noqa: PLC0415 - as above

    started = time.perf_counter()
    with open_store(folder) as store:
        with progress_of(settings, "recording", "runs") as progress:
            story = record_story(store, runs, progress)
        engine = store.metadata._backend  # noqa: SLF001 - the demo looks under the bonnet
        assert isinstance(engine, Engine), "a store in a folder"
        took_s = time.perf_counter() - started
        say(f"{story.runs:,} runs of three pipelines, recorded in {folder}: {engine.log.end:,} records, {took_s:.2f} s")
        for sentence in story.happened:
            say(f"  - {sentence}")
        lineage = _lineage(store, say) if story.tainted else None
        views = rebuilt(engine, folder, say)
        return {
            "runs": story.runs,
            "records": engine.log.end,
            "happened": story.happened,
            "lineage": lineage,
            "views": views,
        }


def _lineage(store: Store, say: Say) -> str:
    from mlmd.display.walk import lineage  # noqa: PLC0415 - as above

    text = lineage(store.metadata, "taxi-model:4", up=4).text()
    say(f"\nWhat the newest tainted model was made from ({BAD} is the culprit):")
    for line in text.splitlines():
        say(f"  {line}")
    return text


def _tamper(folder: Path, say: Say) -> Row:
    from mlmd.tampering import tampered_copy  # noqa: PLC0415 - as above

    copy = folder.with_name(f"{folder.name}-tampered")
    if copy.exists():
        raise Refusal(f"{copy}: it is there already", f"{command_of(copy)} verify")
    done = tampered_copy(folder, copy, _ALTERED)
    if done is None:
        raise Refusal(
            f"{folder}: no record of it names {_ALTERED}, so it is not the demo's", "evlog demo NEW-FOLDER --tamper"
        )
    say(f"In the copy {copy}, record #{done.offset} says {done.new} in place of {done.old}.")
    say("One byte was changed, and the frame's checksums were made right again, as one who knows the format would.")
    say(f"Record #{done.offset + 1} holds a hash of what #{done.offset} said when it was put.")
    say(f"\nNow try:\n  {command_of(copy)} verify")
    return {"tampered": str(copy), "offset": done.offset, "file": str(done.file), "old": done.old, "new": done.new}
