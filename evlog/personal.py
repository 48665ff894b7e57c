"""Sealed values, opened for whoever reads the log: the one place that knows what a reader gets for each.

With its key a value is what was put. Where a record says that the key was erased, a text reads ERASED and any other value is absent,
because no number may stand for one that is gone. Where the key is missing and no record says so, reading stops: that is damage. Only
whoever looks at a backup, which never holds keys, gets SEALED instead.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from evlog import codec
from evlog.errors import BrokenSealError, LogError, MissingKeyError
from evlog.records import Entry, Erased, NodePut, Record, Sealed
from evlog.sealing import Cipher, Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evlog.frame import Frame
    from evlog.log import Log
    from evlog.records import Change, Properties, Value
    from evlog.subject_keys import SubjectKeys

ERASED: Final = "[erased]"
SEALED: Final = "[sealed]"
MAPS: Final = ("properties", "custom_properties")
_TEXT: Final = "STRING"
_REPORT_RECORDS: Final = 1_000
_HAS_ERASED: Final = (
    b"\xa1t\xa6erased"  # Where these bytes are not in a frame, it erases nothing; where they are, it may.
)
_HAS_SEALED: Final = b"\xa6sealed"  # Likewise: a word of the envelope.


class Erasures:
    """Which keys the records of a log erased. Asked only about keys that are not there, or that a hint calls erased."""

    def __init__(
        self, keys: SubjectKeys, frames: Callable[[int, int], Iterator[Frame]], end: Callable[[], int]
    ) -> None:
        """frames: of the records [start, stop); end: how far the log goes now, whoever appends."""
        self._keys, self._frames, self._end = keys, frames, end
        self._erased: set[bytes] = set()
        self._read_to = 0

    def names(self, key_id: bytes) -> bool:
        """Tell whether a record erased a key."""
        if key_id in self._erased:
            return True
        hint = self._keys.erased_at(key_id)
        if hint is not None:
            with suppress(LogError):  # A hint is not worth an alarm: the log is read instead.
                self._take(hint, hint + 1)
        if key_id not in self._erased and self._read_to < (end := self._end()):
            self._take(self._read_to, end)
            self._read_to = end
        return key_id in self._erased

    def _take(self, start: int, stop: int) -> None:
        for frame in self._frames(start, stop):
            if _HAS_ERASED in frame.body:
                for change in codec.decode(frame).changes:
                    if isinstance(change, Erased):
                        self._erased.update(change.keys)


class Opener:
    """Opens the sealed values of the records of one read. Not kept: a key is read anew each time, and forgotten after."""

    def __init__(self, keys: SubjectKeys, erasures: Erasures, log_id: bytes, *, apart: Callable[[], bool]) -> None:
        """Begin a read. apart: tells whether this is a look at a backup."""
        self._keys, self._erasures, self._log_id, self._apart = keys, erasures, log_id, apart
        self._ciphers: dict[bytes, Cipher | str] = {}  # A word: what texts read whose key is not to be had.

    def open(self, record: Record, offset: int) -> Record:
        """Return a record with what is sealed in it. Raises MissingKeyError, BrokenSealError."""
        return Record(record.envelope, [self._opened(change, offset) for change in record.changes])

    def _opened(self, change: Any, offset: int) -> Any:
        if not isinstance(change, NodePut):
            return change
        fields = {field for field, _, _ in sealed_values(change)}
        opened = {}
        for field in fields:
            values: Properties = {}
            for name, value in getattr(change, field).items():
                if not isinstance(value, Sealed):
                    values[name] = value
                elif isinstance(cipher := self.cipher(value.key_id, offset), Cipher):
                    values[name] = _unsealed(cipher, value, context_of(self._log_id, change, field, name), offset)
                elif value.type == _TEXT:
                    values[name] = cipher
            opened[field] = values
        return msgspec.structs.replace(change, **opened) if opened else change

    def cipher(self, key_id: bytes, offset: int = -1) -> Cipher | str:
        """Return what opens values of a key, or what texts read instead: ERASED or SEALED. Raises MissingKeyError, BrokenSealError."""
        if key_id not in self._ciphers:
            self._ciphers[key_id] = self._find(key_id, offset)
        return self._ciphers[key_id]

    def _find(self, key_id: bytes, offset: int) -> Cipher | str:
        # The hint first: a key that was put back after it was erased is not to be believed.
        if self._keys.erased_at(key_id) is None and (found := self._keys.key(key_id)) is not None:
            return Cipher(key_id, found.key)
        if self._erasures.names(key_id):
            return ERASED
        if (found := self._keys.key(key_id)) is not None:  # The hint was wrong.
            return Cipher(key_id, found.key)
        if self._apart():
            return SEALED
        raise MissingKeyError(key_id=key_id, place=self._keys.place, offset=offset)


def stored_entries(log: Log, stop: int, progress: Callable[[int, int], None] | None = None) -> Iterator[Entry]:
    """Yield, of the first `stop` records, those that seal something or erase it, as they are stored.

    progress: told (records, records to read).
    """
    for frame in log.frames(0, stop):
        if progress is not None and frame.offset % _REPORT_RECORDS == 0:
            progress(frame.offset, stop)
        if _HAS_SEALED in frame.body or _HAS_ERASED in frame.body:
            yield Entry(frame.offset, frame.time_us, codec.decode(frame))


def erases(log: Log, start: int, stop: int) -> bool:
    """Tell whether one of the records [start, stop) may erase something: what was made of earlier ones is not to be used then."""
    return any(_HAS_ERASED in frame.body for frame in log.frames(start, stop))


def sealed_values(change: Change | NodePut) -> Iterator[tuple[str, str, Sealed]]:
    """Yield (map, name, value) for each sealed value of a change: none of what is no node."""
    if isinstance(change, NodePut):
        for field in MAPS:
            for name, value in getattr(change, field).items():
                if isinstance(value, Sealed):
                    yield field, name, value


def context_of(log_id: bytes, node: NodePut, field: str, name: str) -> Context:
    """Return where a value of a node stands."""
    return Context(log_id, str(node.__struct_config__.tag), node.id, field, name)


def _unsealed(cipher: Cipher, sealed: Sealed, context: Context, offset: int) -> Value:
    try:
        return cipher.unseal(sealed, context)
    except BrokenSealError as error:
        raise BrokenSealError(error.reason, key_id=error.key_id, offset=offset) from None
