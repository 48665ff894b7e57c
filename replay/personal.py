"""Are sealed values what they were sealed as, and are those that nobody can open gone on the record? A list of findings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from evlog.errors import BrokenSealError
from evlog.personal import context_of, sealed_values, stored_entries
from evlog.records import Erased, NodePut
from evlog.sealing import Cipher
from evlog.subject_keys import BURIED
from replay.verify import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evlog.log import Log
    from evlog.records import Change
    from replay.follow import Progress


def verify_personal(log: Log, progress: Progress | None = None) -> list[Finding]:
    """Open every sealed value of a log. One without a key is damage, unless a record erased that key; of a backup a note."""
    check = _Check(log)
    for entry in stored_entries(log, log.refresh(), progress):
        for change in entry.record.changes:
            check.take(change, entry.offset)
    return [*check.findings()]


class _Check:
    """What was seen so far. Which keys were erased is known only at the end: a record may erase what came before it."""

    def __init__(self, log: Log) -> None:
        self._keys, self._log_id, self._is_backup = log.subject_keys, log.id, log.is_backup()
        self._ciphers: dict[
            bytes, Cipher | str | None
        ] = {}  # A text: what is wrong with the key. None: it is not there.
        self._erased: dict[bytes, int] = {}
        self._values: Counter[bytes] = Counter()
        self._first: dict[bytes, int] = {}
        self._broken: list[Finding] = []

    def take(self, change: Change, offset: int) -> None:
        """Look at one change of a record."""
        if isinstance(change, Erased):
            self._erased.update(dict.fromkeys(change.keys, offset))
        if not isinstance(change, NodePut):
            return
        for field, name, value in sealed_values(change):
            self._values[value.key_id] += 1
            self._first.setdefault(value.key_id, offset)
            cipher = self._cipher(value.key_id)
            if isinstance(cipher, Cipher):
                try:
                    cipher.unseal(value, context_of(self._log_id, change, field, name))
                except BrokenSealError as error:
                    self._broken.append(Finding("damage", f"{field}.{name}: {error}", offset=offset))

    def _cipher(self, key_id: bytes) -> Cipher | str | None:
        if key_id not in self._ciphers:
            try:
                found = self._keys.key(key_id)
                self._ciphers[key_id] = None if found is None else Cipher(key_id, found.key)
            except BrokenSealError as error:
                self._ciphers[key_id] = error.reason
        return self._ciphers[key_id]

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, once every record was looked at."""
        yield from self._broken
        for key_id, values in self._values.items():
            cipher, erased = self._ciphers[key_id], key_id in self._erased
            if isinstance(cipher, str) and not erased:
                yield self._of_key(key_id, "damage", f"{values:,} values cannot be opened: {cipher}")
            elif cipher is None and not erased:
                what = (
                    f"{values:,} values are sealed under key {key_id.hex()}, which is not here, and no record erased it"
                )
                yield self._of_key(key_id, "note" if self._is_backup else "damage", what)
        for key_id in sorted(set(self._keys.ids()) & set(self._erased)):
            what = f"key {key_id.hex()} was erased by #{self._erased[key_id]}, and its file is here again: erase the subject again"
            yield Finding("damage", what, self._keys.place)
        for key_id in sorted(set(self._keys.ids(BURIED)) - set(self._erased)):
            what = f"{key_id.hex()}{BURIED} says that the key was erased, and no record does: the file is not believed; remove it"
            yield Finding("damage", what, self._keys.place)
        if self._keys.begun_erasure() is not None:
            what = "an erasure was begun and is not finished: the next opening for writing finishes it"
            yield Finding("note", what, self._keys.place)

    def _of_key(self, key_id: bytes, severity: Literal["damage", "note"], what: str) -> Finding:
        return Finding(severity, what, self._keys.place, offset=self._first[key_id])
