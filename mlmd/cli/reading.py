"""The store that a command reads: found, opened read-only, at the moment that was asked for."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evlog.tlog.archive import CHECKPOINT
from mlmd import marks, places
from mlmd.cli.output import local_time, rfc3339, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.refusal import Refusal
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.moment import Mark
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, open_folder, opened_log
from mlmd.past import Past
from mlmd.places import Server, command_of
from mlmd.store import MetadataStore
from projections.sqlite.view import peek

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from evlog.log import Log
    from mlmd.cli.settings import Settings
    from mlmd.kinds import Kind, Type
    from mlmd.moment import At, Moment
    from mlmd.places import Place
    from projections.sqlite.lookup import Lookup

_Answer = TypeVar("_Answer")


class Store:
    """An open store at one moment: `end` is the offset up to which it is looked at."""

    def __init__(self, place: Path, engine: Engine, at: int | None) -> None:
        self.place, self.log, self.view = place, engine.log, engine.view
        self.end = engine.view.applied if at is None else at
        self._engine, self._at = engine, at

    @property
    def metadata(self) -> MetadataStore:
        """The store with MLMD's own methods, at the moment; open as long as this is."""
        return MetadataStore.over(self._engine if self._at is None else Past(self._engine, self._at))

    def ask(self, question: Callable[[Lookup], _Answer], at: int | None = None) -> _Answer:
        """Return the answer to a question to the view, as of the moment; at: as of another offset."""
        return self.view.ask(question, self._at if at is None else at)

    def settled(self, when: Moment) -> int | datetime:
        """Return a moment as an offset or a time; a mark is looked up as of now, whatever the store is looked at. Raises StatusError."""
        return self.view.ask(lambda lookup: marks.settled(lookup, when.at))

    def get(self, method: str, **fields: Any) -> Any:
        """Return the answer to a get of `mlmd.methods`. Raises StatusError."""
        found = METHODS[method]
        request = found.request(**fields)
        return self.ask(lambda lookup: found.ask(lookup, request))


class Served:
    """The store of a server at one moment: what MLMD's own gets tell."""

    def __init__(self, place: Server, at: At | None) -> None:
        from mlmd.client import Remote  # noqa: PLC0415 - a folder needs no gRPC

        self.place, self._remote = place, Remote(place.config(), at)
        self.metadata = MetadataStore.over(self._remote)

    def get(self, method: str, **fields: Any) -> Any:
        """Return the answer to a get of `mlmd.methods`. Raises StatusError."""
        found = METHODS[method]
        return self._remote.call(found, found.request(**fields))

    def close(self) -> None:
        """Close the connection."""
        self._remote.close()


def types_of(store: Store | Served, kind: Kind) -> Sequence[Type]:
    """Return the types of a kind, without those that every store has."""
    types: Sequence[Type] = getattr(store.get(f"Get{kind.name.capitalize()}Types"), f"{kind.name}_types")
    return types


def place_of(settings: Settings) -> Place:
    """Return the store that is named, else the one that is found: see `mlmd.places`. Raises Refusal where there is none."""
    if settings.store is not None:
        return settings.store
    try:
        place = places.found()
    except ValueError as error:
        raise Refusal(f"{places.VARIABLE}: {error}", "evlog -s STORE COMMAND") from None
    if place is None:
        raise Refusal(
            f"{Path.cwd()}: there is no store here or in a folder above",
            "evlog -s STORE COMMAND, or evlog init FOLDER, or evlog demo",
        )
    return place


def find(settings: Settings) -> Path:
    """Return the folder of the store. Raises Refusal for a server, which has its log to itself."""
    place = place_of(settings)
    if isinstance(place, Server):
        command = click.get_current_context().info_name
        raise Refusal(
            f"{place}: `{command}` reads the log, which a server does not hand out",
            f"evlog -s FOLDER {command}, on the machine of the server",
        )
    return place


def new_folder(settings: Settings) -> Path | None:
    """Return the folder that -s names for a store to be made, None where it names none. Raises Refusal for a server."""
    return find(settings) if settings.store is not None else None


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
                f"the view on disk cannot be used, this is a replay in memory: {command_of(place)} replay mends it",
            )
        engine = Engine(opened)
        at = None if settings.at is None else engine.offset_at(settings.at.at)
        if at is not None:
            talk(settings, f"as of {settings.at}: {_reached(opened.log, at)}")
        yield Store(place, engine, at)
    finally:
        opened.close()


def settled(settings: Settings, when: Moment) -> int | datetime:
    """Return a moment as an offset or a time, for who has the log open and no view. Raises StatusError, Refusal.

    Which one a mark stands for, only the view knows: for one, the store is opened.
    """
    if not isinstance(when.at, Mark):
        return when.at
    opened = open_folder(find(settings), writable=False)
    try:
        return opened.view.ask(lambda lookup: marks.settled(lookup, when.at))
    finally:
        opened.close()


@contextmanager
def gets_of(settings: Settings) -> Iterator[Store | Served]:
    """Open the store, in a folder or of a server, for what a server answers too, as of the moment; close it at the end."""
    place = place_of(settings)
    if isinstance(place, Server):
        settings.store = place
        with closing(Served(place, settings.at and settings.at.at)) as served:
            yield served
        return
    with store_of(settings) as opened:
        yield opened


@contextmanager
def metadata_of(settings: Settings) -> Iterator[MetadataStore]:
    """Open the store, in a folder or of a server, as of the moment asked for; close it at the end."""
    with gets_of(settings) as store:
        yield store.metadata


@contextmanager
def putting_of(settings: Settings) -> Iterator[MetadataStore]:
    """Open the store, in a folder or of a server, for putting; close it at the end."""
    place = place_of(settings)
    settings.store = place
    if isinstance(place, Server):
        with closing(Served(place, None)) as served:
            yield served.metadata
        return
    with progress_of(settings, "making a view") as progress:
        opened = open_folder(place, progress=progress)
    with closing(Engine(opened)) as engine:
        yield MetadataStore.over(engine)


@contextmanager
def log_of(settings: Settings) -> Iterator[Log]:
    """Open the log of the store for reading, without its view; close it at the end."""
    with closing(opened_log(find_store(settings))) as log:
        yield log


def _reached(log: Log, end: int) -> str:
    """Return what the first `end` records are: a moment is understood when one sees what it holds."""
    if end == 0:
        return "before the first record"
    last = next(log.read(end - 1, end))
    return f"records #0 to #{end - 1:,}, the last of {local_time(rfc3339(last.time_us))}"
