"""`follow`, and what it shares with `log -f`: records handed on as others put them."""

from __future__ import annotations

import select
import shlex
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import DELIMITERS, talk
from mlmd.cli.program import Program, State
from mlmd.cli.reading import log_of, settled
from mlmd.cli.refusal import Refusal
from mlmd.cli.settings import When
from mlmd.cli.stream import RowStream
from mlmd.cli.things import record_row
from replay import follow as follow_log
from replay.asof import offset_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from evlog.log import Log
    from evlog.records import Entry
    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings
    from mlmd.moment import Moment


class Feed:
    """A projector that keeps nothing: it hands on a row for each record, at once."""

    def __init__(
        self, hand_on: Callable[[Row], object], row_of: Callable[[Entry], Row | None], applied: int, prev: bytes
    ) -> None:
        """Begin at an offset, with what names the record before. row_of: None for a record that is not wanted."""
        self.applied, self.prev = applied, prev
        self._hand_on, self._row_of = hand_on, row_of

    def begin(self) -> None:
        """See Projector."""

    def apply(self, entry: Entry) -> None:
        """See Projector."""
        if (row := self._row_of(entry)) is not None:
            self._hand_on(row)

    def commit(self, prev: bytes) -> None:
        """See Projector."""
        self.prev = prev

    def rollback(self) -> None:
        """See Projector. What was handed on cannot be taken back: whoever uses this ends here."""


def feed_reader(log: Log, feed: Feed) -> None:
    """Hand on records until the reader of standard output has gone. Raises BrokenPipeError then, even if none come."""
    gone = threading.Event()

    def watch(fd: int) -> None:
        hang_up = select.poll()
        hang_up.register(fd, 0)  # Errors alone, such as a pipe that nobody reads any more.
        hang_up.poll()
        gone.set()

    with suppress(OSError, ValueError):  # No file behind it, as in a test.
        threading.Thread(target=watch, args=(sys.stdout.fileno(),), daemon=True).start()
    follow_log(log, feed, stop_event=gone)
    raise BrokenPipeError


@command()
@with_settings
@click.option(
    "--from", "start", type=When(), metavar="WHEN", help="Begin there, such as '#100'; else with the first record."
)
@click.option("--exec", "line", metavar="CMD", help="Feed this program, started once; else standard output.")
@click.option(
    "--state",
    "state_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep there up to where CMD has taken the records, and go on there next time.",
)
def follow(settings: Settings, start: Moment | None, line: str | None, state_file: Path | None) -> None:
    """Feed records to a program: those that are there, then each as it is put, a line of JSON each. Ends on Ctrl-C.

    With --state, a line of CMD's output is an offset and says: done, up to that record. What it has not said is fed again next time.

    Examples:
    evlog follow | jq .changes                          in a pipe
    evlog follow --from now --exec './mail.py --to ana'
    evlog follow --exec ./index.py --state index.state  goes on where index.py was, whatever died

    """
    if settings.form in (*DELIMITERS, "md"):
        raise click.UsageError(f"-o {settings.form}: records are fed as lines of JSON")
    if state_file is not None and line is None:
        raise click.UsageError("--state needs --exec: who reads standard output cannot say what is done")
    words = None if line is None else _words(line)
    settings.form = "jsonl"
    with log_of(settings) as log:
        begin = 0 if start is None else offset_of(log, settled(settings, start))
        if words is not None:
            state = State(state_file, log, begin)
            if state.applied != begin:
                talk(settings, f"going on at #{state.applied:,}, as {state_file} says")
            _feed_program(settings, log, words, state)
        else:
            stream = RowStream(settings, [])
            feed_reader(log, Feed(lambda row: stream.write([row]), record_row, begin, log.leaf_prefix(begin)))


def _words(line: str) -> list[str]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise click.UsageError(f"--exec {line!r}: {error}") from None
    if not words:
        raise click.UsageError("--exec names no command")
    return words


def _feed_program(settings: Settings, log: Log, words: list[str], state: State) -> None:
    feed = Feed(lambda row: program.give(row), record_row, state.applied, state.prev)  # noqa: PLW0108 - bound below
    with Program(words, state) as program:
        follow_log(log, feed, stop_event=program.ended)
    # It ended by itself, or we were not here.
    done = f", and has done those before #{state.applied:,}" if state.kept else ""
    stood = f"it was fed the records before #{program.given:,}{done}"
    if not program.status:
        talk(settings, f"{words[0]} ended: {stood}")
        return
    how = f"ended with status {program.status}" if program.status > 0 else f"was killed by signal {-program.status}"
    again = (
        "the same again, which goes on there"
        if state.kept
        else "the same with --state FILE, which goes on where it was"
    )
    raise Refusal(f"{words[0]} {how}: {stood}", again)
