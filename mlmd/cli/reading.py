"""The store that a command reads: found, opened read-only, at the moment that was asked for."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from evlog.files import RealFolder
from evlog.log import Log
from evlog.tlog.archive import CHECKPOINT
from mlmd.cli.output import local_time, rfc3339, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.refusal import Refusal
from mlmd.engine import Engine
from mlmd.methods import METHODS, WHOLE_LINEAGE
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, acknowledged_by, open_folder
from projections.sqlite.view import peek

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlmd.cli.settings import Settings
    from mlmd.proto import metadata_store_pb2 as pb
    from projections.sqlite.lookup import Lookup

_Answer = TypeVar("_Answer")


class Store:
    """An open store at one moment: `end` is the offset up to which it is looked at."""

    def __init__(self, place: Path, engine: Engine, at: int | None) -> None:
        self.place, self.log, self.view = place, engine.log, engine.view
        self.end = engine.view.applied if at is None else at
        self._at = at

    def ask(self, question: Callable[[Lookup], _Answer], at: int | None = None) -> _Answer:
        """Return the answer to a question to the view, as of the moment; at: as of another offset."""
        return self.view.ask(question, self._at if at is None else at)

    def get(self, method: str, **fields: Any) -> Any:
        """Return the answer to a get of `mlmd.methods`. Raises StatusError."""
        found = METHODS[method]
        request = found.request(**fields)
        return self.ask(lambda lookup: found.ask(lookup, request))

    def lineage(self, options: pb.LineageSubgraphQueryOptions) -> pb.LineageGraph:
        """Return a lineage with whole nodes. Raises StatusError."""
        request = WHOLE_LINEAGE.request(lineage_subgraph_query_options=options)
        graph: pb.LineageGraph = self.ask(lambda lookup: WHOLE_LINEAGE.ask(lookup, request))
        return graph


def find(settings: Settings) -> Path:
    """Return the store's folder: -s, else EVLOG_STORE, else the first from here upward that holds one."""
    if settings.store is not None:
        return settings.store
    if named := os.environ.get("EVLOG_STORE"):
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / LOG_FOLDER / "LOGID").is_file():
            return folder
    raise Refusal(
        f"{here}: there is no store here or in a folder above", "evlog -s FOLDER COMMAND, or evlog init FOLDER"
    )


def find_store(settings: Settings) -> Path:
    """Return the folder of a store, whole or damaged. Raises Refusal where there never was one."""
    place = find(settings)
    log_folder = place / LOG_FOLDER
    # A folder of another program may have a `log` too. A view or a checkpoint beside a log that is gone is an alarm.
    if not any(log_folder.glob("*.seg*")) and not any((log_folder / name).is_file() for name in ("LOGID", "HEAD")):
        if place.is_file():
            raise Refusal(f"{place}: a file; a store is a folder", "evlog -s FOLDER status")
        if peek(place / VIEWS_FOLDER) is None and not (place / TLOG_FOLDER / CHECKPOINT).is_file():
            raise Refusal(f"{place}: there is no store", "evlog -s FOLDER status, or evlog init FOLDER")
    settings.store = place  # So that every hint names it.
    return place


@contextmanager
def store_of(settings: Settings) -> Iterator[Store]:
    """Open the store for reading, as of the moment asked for; close it at the end."""
    place = find(settings)
    with progress_of(settings, "making a view") as progress:
        opened = open_folder(place, writable=False, progress=progress)
    settings.store = place
    try:
        if opened.replayed:
            talk(
                settings,
                f"the view on disk cannot be used, this is a replay in memory: evlog -s {place} replay mends it",
            )
        engine = Engine(opened)
        at = None if settings.at is None else engine.offset_at(settings.at.at)
        if at is not None:
            talk(settings, f"as of {settings.at}: {_reached(opened.log, at)}")
        yield Store(place, engine, at)
    finally:
        opened.close()


@contextmanager
def log_of(settings: Settings) -> Iterator[Log]:
    """Open the log of the store for reading, without its view; close it at the end."""
    place = find_store(settings)
    folder = RealFolder(place / LOG_FOLDER)
    log = Log.open(folder, writable=False, acknowledged=acknowledged_by(place / VIEWS_FOLDER, folder))
    try:
        yield log
    finally:
        log.close()


def _reached(log: Log, end: int) -> str:
    """Return what the first `end` records are: a moment is understood when one sees what it holds."""
    if end == 0:
        return "before the first record"
    last = next(log.read(end - 1, end))
    return f"records #0 to #{end - 1:,}, the last of {local_time(rfc3339(last.time_us))}"
