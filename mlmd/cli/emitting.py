"""`export openlineage`: run events to a file of lines, to standard output, or to who takes them at a URL. At least once."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack, closing
from typing import IO, TYPE_CHECKING, Any, Final

import click

from mlmd import marks
from mlmd.cli.copies import note_copy
from mlmd.cli.following import Feed, feed_reader
from mlmd.cli.output import talk
from mlmd.cli.program import State
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.engine import Engine
from mlmd.exchange.newfile import fresh
from mlmd.exchange.openlineage import sending
from mlmd.exchange.openlineage.writing import Writer
from mlmd.opening import open_folder
from replay import erasure
from replay import follow as follow_log
from replay.asof import offset_of

if TYPE_CHECKING:
    from evlog.records import Entry
    from mlmd.cli.exporting import Asked
    from mlmd.cli.output import Row
    from mlmd.exchange.openlineage.sending import Send
    from mlmd.moment import Moment

_STDOUT: Final = "-"
_STATE_RECORDS: Final = 1_000  # Without an event, after which the state is kept all the same.
_REPORT_RECORDS: Final = 100


def emit(asked: Asked) -> dict[str, Any]:
    """Send the events of all records, then of each as it is put if that was asked for; return how many, of which records.

    Raises UsageError, ExchangeError, StatusError, Refusal.
    """
    if asked.following and asked.settings.at is not None:
        raise click.UsageError("--follow is for what comes, --at for what was")
    place = find_store(asked.settings)
    with ExitStack() as stack:
        send, file = _target(asked, stack)
        if file is not None:
            note_copy(asked.settings, place, erasure.EXPORT, asked.path)
        engine = stack.enter_context(closing(Engine(open_folder(place, writable=False))))
        return _Emitter(asked, engine, send, file).run()


def _target(asked: Asked, stack: ExitStack) -> tuple[Send, IO[bytes] | None]:
    """Return what takes events, and the file that it is, if it is one."""
    if sending.is_url(asked.target):
        return stack.enter_context(sending.to_url(asked.target)), None
    if asked.target == _STDOUT:
        return sending.to_lines(sys.stdout.buffer, "standard output"), None
    if asked.following:
        file = stack.enter_context(sending.appended(asked.path))
    elif asked.state_file is not None:
        raise click.UsageError("--state is for a URL, or a file with --follow: any other file is made anew, as a whole")
    else:
        temporary = stack.enter_context(fresh(asked.path, "evlog export openlineage NEW-FILE.jsonl"))
        file = stack.enter_context(temporary.open("wb"))
    return sending.to_lines(file, asked.target), file


def _offset(engine: Engine, when: Moment) -> int:
    return offset_of(engine.log, engine.view.ask(lambda lookup: marks.settled(lookup, when.at)))


class _Emitter:
    """One run of the command."""

    def __init__(self, asked: Asked, engine: Engine, send: Send, file: IO[bytes] | None) -> None:
        self._asked, self._engine, self._send, self._file = asked, engine, send, file
        at = asked.settings.at
        self._stop = engine.log.end if at is None else engine.offset_at(at.at)
        begin = 0 if asked.start is None else min(self._stop, _offset(engine, asked.start))
        self._state = State(asked.state_file, engine.log, begin)
        if self._state.applied != begin:
            talk(asked.settings, f"going on at #{self._state.applied:,}, as {asked.state_file} says")
        self._begin = self._state.applied
        self._writer = Writer(engine, self._begin, asked.namespace)
        self._sent = 0

    def run(self) -> dict[str, Any]:
        """Send what there is to send."""
        log = self._engine.log
        if self._asked.following:
            feed = Feed(self._hand_on, self._row_of, self._begin, self._state.prev)
            if self._asked.target == _STDOUT:
                feed_reader(log, feed)
            follow_log(log, feed, stop_event=threading.Event())  # Until an interrupt.
        with progress_of(self._asked.settings, "sending") as progress:
            for entry, events in self._writer.read(max(self._begin, self._stop)):
                self._hand_on({"offset": entry.offset, "events": events})
                if progress is not None and entry.offset % _REPORT_RECORDS == 0:
                    progress(entry.offset, self._stop)
        self._state.done(self._stop)
        return {"events": self._sent, "log": log.id.hex(), "begin": self._begin, "end": self._stop}

    def _row_of(self, entry: Entry) -> Row:
        return {"offset": entry.offset, "events": self._writer.events(entry)}

    def _hand_on(self, row: Row) -> None:
        """Send the events of a record, then say in the state that it is done: whatever dies in between, they are sent again."""
        for event in row["events"]:
            self._send(event)
        self._sent += len(row["events"])
        if self._state.kept and (row["events"] or row["offset"] % _STATE_RECORDS == 0):
            if self._file is not None:
                os.fsync(self._file.fileno())
            self._state.done(row["offset"] + 1)
