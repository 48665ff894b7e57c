"""`init`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlmd import places
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import show_one, talk
from mlmd.cli.reading import new_folder
from mlmd.cli.refusal import Refusal
from mlmd.engine import Engine
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, open_folder
from mlmd.places import command_of

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings


def _unnamed(here: Path) -> Path:
    """Return where a store without a name is made."""
    return here if places.is_store(here) else here / places.DEFAULT


@command()
@with_settings
@click.argument("folder", metavar="[FOLDER]", type=click.Path(path_type=Path), required=False)
def init(settings: Settings, folder: Path | None) -> None:
    """Make a store in a folder: in `metadata`, where commands run here or below find it, if none is named.

    Examples:
    evlog init my-store      then: evlog -s my-store status
    evlog init               then: evlog status, here or in any folder below

    """
    place = folder or new_folder(settings) or _unnamed(Path())
    if places.is_store(place):
        raise Refusal(f"{place}: there is a store already", f"{command_of(place)} status")
    if place.is_dir() and not {entry.name for entry in place.iterdir()} <= {LOG_FOLDER, VIEWS_FOLDER, TLOG_FOLDER}:
        raise Refusal(f"{place}: the folder is not empty and holds no store", "evlog init NEW-FOLDER")
    with suppress(FileExistsError, NotADirectoryError):  # Opening tells what is wrong.
        place.parent.mkdir(parents=True, exist_ok=True)
    engine = Engine(open_folder(place, create=True))
    row = {"store": str(place), "log_id": engine.log.id.hex(), "records": engine.log.end}
    engine.close()
    show_one(settings, row)
    talk(settings, f"next: {command_of(place)} status, or mlmd.MetadataStore with sqlite.filename_uri = {str(place)!r}")
