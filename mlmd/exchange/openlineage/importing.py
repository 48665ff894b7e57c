"""A file of events of OpenLineage into a store, event by event: a line of JSON each, or one JSON text of one or many."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import msgspec

from mlmd.engine import Engine
from mlmd.errors import StatusError
from mlmd.exchange.errors import EventError, SourceError
from mlmd.exchange.openlineage.putting import PUT_EVENT, Unchanged
from mlmd.exchange.openlineage.reading import EVENT_BYTES_MAX, Event, read_event
from mlmd.opening import LOG_FOLDER, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replay.follow import Progress

TEXT_BYTES_MAX: Final = 128 << 20  # Of one JSON text, which is read as a whole. Lines may go on for ever.
STDIN: Final = "-"
_REPORT_EVENTS: Final = 50
_SPACE: Final = b" \t\r\n"
_MARK: Final = b"\xef\xbb\xbf"  # With which some programs begin a text in UTF-8.


class Located(NamedTuple):
    """An event, and where it stands: "line 7" or "event 7"."""

    where: str
    event: Event


@dataclass
class Report:
    """What an import did. taken: events that changed something; unchanged: those of which all was known; states: taken, by state."""

    source: str
    taken: int = 0
    unchanged: int = 0
    records: int = 0
    states: dict[str, int] = field(default_factory=dict)


@contextmanager
def opened(source: str, stdin: IO[bytes]) -> Iterator[IO[bytes]]:
    """Open a file of events, or take standard input for `-`. Raises SourceError."""
    if source == STDIN:
        yield stdin
        return
    try:
        file = Path(source).open("rb")  # noqa: SIM115 - closed below; only the opening is looked after here
    except (OSError, ValueError) as error:
        raise SourceError(f"{source}: {getattr(error, 'strerror', None) or error}") from None
    with file:
        yield file


def events_in(file: IO[bytes]) -> Iterator[Located]:
    """Yield the events of a file in their order. Raises EventError, which says where the first that is wrong stands."""
    number, seen = 0, False
    while line := file.readline(EVENT_BYTES_MAX + 2):
        number += 1
        text = line.removeprefix(_MARK).strip(_SPACE)
        if not text:
            continue
        if not seen and text.startswith(b"["):
            yield from _of_array(text + _rest(file))
            return
        if len(line) > EVENT_BYTES_MAX + 1:
            raise EventError(f"line {number}: longer than an event can be, {EVENT_BYTES_MAX:,} bytes")
        if not seen and text.startswith(b"{") and not _is_whole(text):  # One event on many lines, as people write it.
            yield _read("event 1", text + b"\n" + _rest(file))
            return
        seen = True
        yield _read(f"line {number}", text)


def import_events(located: Iterator[Located], place: Path, name: str, progress: Progress | None = None) -> Report:
    """Put events into the store at `place`, a new one if there is none; each is in it as a whole, or not at all.

    Raises EventError, StatusError, LogError, ViewError: the events before are in the store, and the same again goes on.
    """
    report = Report(name)
    first = next(located, None)  # Before a store is made for it.
    if first is None:
        raise SourceError(f"{name}: there is no event in it")
    new = not (place / LOG_FOLDER / "LOGID").is_file()
    if new:
        place.parent.mkdir(parents=True, exist_ok=True)
    with closing(Engine(open_folder(place, create=new, progress=progress))) as engine:
        before = engine.log.end
        _put(engine, report, first)
        for one in located:
            _put(engine, report, one)
            done = report.taken + report.unchanged
            if progress is not None and done % _REPORT_EVENTS == 0:
                progress(done, done + 1)  # Nobody knows how many there are.
        report.records = engine.log.end - before
    return report


def _put(engine: Engine, report: Report, one: Located) -> None:
    try:
        engine.answer(PUT_EVENT, one.event)
    except Unchanged:
        report.unchanged += 1
    except StatusError as error:
        raise EventError(f"{one.where}: the store refuses it: {error}") from error
    else:
        report.taken += 1
        report.states[one.event.state] = report.states.get(one.event.state, 0) + 1


def _of_array(data: bytes) -> Iterator[Located]:
    try:
        texts = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise EventError(f"this is no JSON: {error}") from None
    for number, text in enumerate(texts, 1):
        yield _read(f"event {number}", bytes(text))


def _read(where: str, text: bytes) -> Located:
    try:
        return Located(where, read_event(text))
    except EventError as error:
        raise EventError(f"{where}: {error}") from None


def _is_whole(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _rest(file: IO[bytes]) -> bytes:
    rest = file.read(TEXT_BYTES_MAX + 1)
    if len(rest) > TEXT_BYTES_MAX:
        raise EventError(
            f"a JSON text of more than {TEXT_BYTES_MAX:,} bytes: write an event a line, of which there may be any number"
        )
    return rest
