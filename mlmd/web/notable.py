"""Records that an auditor asks for first: erasures, taints, restores, repairs, accepted losses, what recovery cut off, tokens.

Nothing indexes them, so the log is read once, oldest first, for a moment at each look, and what was found is kept; a look tells how far it
came. A record is recognized by bytes that it must hold, so that few are decoded.
"""

from __future__ import annotations

import re
import time
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from evlog import codec
from evlog.records import (
    Entry,
    Erased,
    LogRecovered,
    LossAccepted,
    PersonalDeclared,
    Repaired,
    Restored,
    TokenAdded,
    TokenRemoved,
)
from mlmd.marking import TAINT
from mlmd.web.trail import entry_facts
from replay.reading import Gap, readable

if TYPE_CHECKING:
    from evlog.log import Log

LOOK_S: Final = 0.05
_FOUND_MAX: Final = 10_000
_KINDS: Final[dict[Any, str]] = {
    Erased: "erasure",
    PersonalDeclared: "personal",
    Restored: "restore",
    Repaired: "repair",
    LossAccepted: "loss accepted",
    LogRecovered: "recovery",
    TokenAdded: "token added",
    TokenRemoved: "token removed",
}
_MAY: Final = re.compile(
    b"|".join(
        re.escape(b"".join(map(msgspec.msgpack.encode, words)))
        for words in [("t", str(kind.__struct_config__.tag)) for kind in _KINDS] + [("api", TAINT.name)]
    )
)


class Look(NamedTuple):
    """What was found so far, the newest first, how many records were read for it, and which of them could not be."""

    rows: list[dict[str, Any]]
    read: int
    gaps: list[Gap]


class Notable:
    """The notable records of a log. Asked by many threads."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = Lock()  # Held for what follows.
        self._rows: list[dict[str, Any]] = []
        self._gaps: list[Gap] = []
        self._read = 0

    def look(self, end: int, seconds: float = LOOK_S) -> Look:
        """Read on for so long at most, to `end` at most; return what was found of the first `end` records."""
        with self._lock:
            until = time.monotonic() + seconds
            while self._read < end and time.monotonic() < until:
                stop = min(end, self._read + 1_024)
                for frame in readable(self._log.frames, self._read, stop):
                    if isinstance(frame, Gap):
                        self._gaps.append(frame)
                    elif len(self._rows) < _FOUND_MAX and _MAY.search(frame.body):
                        self._rows += _rows(Entry(frame.offset, frame.time_us, codec.decode(frame)))
                self._read = stop
            rows = [row for row in reversed(self._rows) if row["offset"] < end]
            return Look(rows, min(self._read, end), [gap for gap in self._gaps if gap.start < end])


def _rows(entry: Entry) -> list[dict[str, Any]]:
    """Return a row for each thing worth knowing that a record says; of a taint one."""
    facts = entry_facts(entry)
    said = {name: facts[name] for name in ("offset", "time", "actor", "reason", "what")}
    kinds = [_KINDS[type(one)] for one in entry.record.changes if type(one) in _KINDS]
    if entry.record.envelope.api == TAINT.name:
        kinds.append("taint")
    return [said | {"kind": kind} for kind in kinds]
