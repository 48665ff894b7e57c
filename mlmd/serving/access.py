"""The access record: who read what through a server of the store, and what was refused. Who put is in the log itself.

    STORE/access/YYYY-MM-DD.jsonl    a line a use: time, actor, role, where (grpc, web, openlineage), what, result, peer; the day is that of UTC

Written in the background each second, appended whole, by any number of processes. It is no evidence: nothing is synced or chained, and a request
neither waits for it nor fails with it. What a full disk kept out is told to the program's log, and counted in the next line that fits.
Callers without a token of the store could fill a disk, so of their attempts a few a second have a line, the others a number.

Files are removed after 90 days, or as many as EVLOG_ACCESS_DAYS says.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import threading
from collections import deque
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, islice
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from evlog.errors import UNDECODABLE, LogError
from evlog.files import RealFolder
from mlmd import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

FOLDER: Final = "access"
DAYS: Final = "EVLOG_ACCESS_DAYS"
DAYS_USUAL: Final = 90
_DAYS_MAX: Final = 36_500
_FILE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.jsonl")
_FLUSH_S: Final = 1.0
_WAITING_MAX: Final = 10_000
_UNKNOWN_MAX: Final = 20  # Attempts of unknown callers that get a line of their own, between two flushes.
_TEXT_MAX: Final = 300
_DATE: Final = len("2026-03-01")
_LOG: Final = logging.getLogger(__name__)


class Use(msgspec.Struct, frozen=True, omit_defaults=True):
    """One use. time: RFC 3339, UTC. actor, role: None for a caller without a token of the store. times: so many of which this stands."""

    time: str
    actor: str | None
    role: str | None
    where: str
    what: str
    result: str
    peer: str
    times: int = 1


class Access:
    """Where a server notes uses. Its thread begins with the first one."""

    def __init__(self, store: Path) -> None:
        """Name the store's folder; nothing is made yet. Raises InvalidArgumentError for a setting that is none."""
        self._folder, self._days = store / FOLDER, _days()
        self._lock = threading.Lock()  # Held for what follows.
        self._waiting: deque[Use] = deque()
        self._unknown = self._unknown_more = self._lost = 0
        self._thread: threading.Thread | None = None
        self._wake, self._closed = threading.Event(), threading.Event()
        self._failed = False  # Of the thread: said once, until it works again.
        self._swept: date | None = None

    def note(self, actor: str | None, role: str | None, where: str, what: str, result: str, peer: str) -> None:
        """Note a use. Takes no time, never fails."""
        with self._lock:
            if actor is None:
                self._unknown += 1
                if self._unknown > _UNKNOWN_MAX:
                    self._unknown_more += 1
                    return
            if len(self._waiting) >= _WAITING_MAX:
                self._lost += 1
                return
            text = what[:_TEXT_MAX].encode(errors="backslashreplace").decode()
            self._waiting.append(Use(_now(), actor, role, where, text, result, peer))
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="access", daemon=True)
                self._thread.start()
                atexit.register(self.close)  # For who forgets.
        self._wake.set()

    def close(self) -> None:
        """Write what waits, and end."""
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.wait()
            self._wake.clear()
            self._closed.wait(_FLUSH_S)
            self._flush()
        self._flush()  # What came while the others were written.

    def _flush(self) -> None:
        with self._lock:
            uses = [*self._waiting, *self._sums()]
            waited, more, lost = len(self._waiting), self._unknown_more, self._lost
            self._unknown = 0
        try:
            for day, of_day in groupby(uses, key=lambda use: date.fromisoformat(use.time[:_DATE])):
                self._sweep(day)
                _append(self._folder, day, b"".join(msgspec.json.encode(use) + b"\n" for use in of_day))
        except (OSError, LogError) as error:
            if not self._failed:
                _LOG.error("the access record cannot be written, requests go on without: %s: %s", self._folder, error)
            self._failed = True
            self._wake.set()  # What waits is tried again; of what a full disk took in part, some lines come twice.
            return
        if self._failed:
            _LOG.warning("the access record is written again: %s", self._folder)
        self._failed = False
        with self._lock:
            for _ in range(waited):
                self._waiting.popleft()
            self._unknown_more -= more
            self._lost -= lost

    def _sums(self) -> Iterable[Use]:
        """Yield lines for what has none of its own."""
        if self._unknown_more:
            yield Use(_now(), None, None, "", "more of these", "UNAUTHENTICATED", "", self._unknown_more)
        if self._lost:
            yield Use(_now(), None, None, "", "uses that did not fit", "not recorded", "", self._lost)

    def _sweep(self, today: date) -> None:
        """Remove what is older than it is kept, once a day."""
        if self._swept == today:
            return
        for day in days_of(self._folder):
            if day < today - timedelta(days=self._days):
                with suppress(OSError):  # Another server was faster, or may: it is tried again tomorrow.
                    _file(self._folder, day).unlink()
        self._swept = today


def days_of(folder: Path) -> Sequence[date]:
    """Return the days of which there is a file, the newest first. Raises StorageError."""
    found = []
    for name in RealFolder(folder).names():
        if match := _FILE.fullmatch(name):
            with suppress(ValueError):
                found.append(date.fromisoformat(match[1]))
    return sorted(found, reverse=True)


class Uses(NamedTuple):
    """Uses, the newest first. damaged: lines that are none, such as one that a crash cut off."""

    uses: Sequence[Use]
    damaged: int


def last_uses(store: Path, limit: int, actor: str | None = None) -> Uses:
    """Return the last uses, of one actor or of all. Raises OSError, StorageError."""
    found: list[Use] = []
    damaged = 0
    decode = msgspec.json.Decoder(Use).decode
    for day in days_of(store / FOLDER):
        of_day: deque[Use] = deque(maxlen=limit - len(found))
        with _file(store / FOLDER, day).open("rb") as file:
            for line in file:
                try:
                    use = decode(line) if line.strip() else None
                except UNDECODABLE:
                    damaged += 1
                    continue
                if use is not None and (actor is None or use.actor == actor):
                    of_day.append(use)
        found += reversed(of_day)
        if len(found) >= limit:
            break
    return Uses(list(islice(found, limit)), damaged)


def _append(folder: Path, day: date, data: bytes) -> None:
    """Append lines to the file of a day. A line that a full disk cut off stays a line of its own. Raises OSError."""
    if not folder.is_dir():
        RealFolder(folder, create=True, private=True)
    fd = os.open(_file(folder, day), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            data = b"\n" + data
        written = os.write(fd, data)
        if written < len(data):  # The next write names the cause.
            os.write(fd, data[written:])
    finally:
        os.close(fd)


def _file(folder: Path, day: date) -> Path:
    return folder / f"{day.isoformat()}.jsonl"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _days() -> int:
    """Return how many days a file is kept. Raises InvalidArgumentError for a setting that is no number of days."""
    said = os.environ.get(DAYS) or str(DAYS_USUAL)
    if (wrong := wrong_days(said)) is not None:
        raise errors.InvalidArgumentError(f"{DAYS}={said}: {wrong}")
    return int(said)


def wrong_days(said: str) -> str | None:
    """Return what is wrong with a number of days to keep files, None where nothing is."""
    right = said.isascii() and said.isdecimal() and 1 <= int(said[:9]) <= _DAYS_MAX
    return None if right else f"a number of days, 1 to {_DAYS_MAX:,}"
