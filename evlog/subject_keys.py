"""The keys of subjects: one random key each, in files beside the log, never in it. Destroying one erases what it sealed, everywhere.

    keys/subjects/               for its owner alone: 0700, files 0600
      ID.key                     JSON: format, id, log, subject, key, check; ID is 32 hexadecimal digits, by chance
      SHA256.subject             ID of the key under which a subject's values are sealed now; named by SHA-256 of the subject
      ID.erased                  the offset of the record that erased the key: a hint, the record is the proof
      ERASING                    an erasure that was begun: what is left of it the next opening does
      COPIES                     where the store was published since there are keys: snapshots, backups, exports
      LOCK                       flock of whoever erases, or notes a copy

A key is durable before the first record that needs it is written; both happen under the log's writer lock, and so does its destruction.
Keys are read anew for each read of the log and never kept: what was erased by any process is erased for all.

These files are not in a backup, and must not be kept as long as one: a key that can be brought back was not destroyed.
"""

from __future__ import annotations

import hmac
import secrets
from contextlib import closing, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from evlog.errors import UNDECODABLE, BrokenKeysError, BrokenSealError
from evlog.files import held, write_whole
from evlog.records import Envelope, Erased  # noqa: TC001 - msgspec looks them up when it reads an Intent
from evlog.sealing import KEY_BYTES, KEY_ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evlog.files import Folder, Lock

PLACE: Final = "keys/subjects"
KEY: Final = ".key"
BURIED: Final = ".erased"
_SUBJECT: Final = ".subject"
_ERASING: Final = "ERASING"
_COPIES: Final = "COPIES"
_LOCK: Final = "LOCK"
_FORMAT: Final = 1
_OFFSET_DIGITS_MAX: Final = 19
_PIECE_BYTES: Final = 64 * 1024


class SubjectKey(NamedTuple):
    """The key of a subject."""

    key_id: bytes
    subject: str
    key: bytes


class _Stored(msgspec.Struct):
    format: int
    id: str
    log: str
    subject: str
    key: str
    check: str = ""  # Files of before it have none.


class Published(msgspec.Struct, frozen=True):
    """Where the store was published. kind: snapshot, backup, export, or "" for what somebody named and nobody knows."""

    kind: str
    path: str


class Intent(msgspec.Struct):
    """An erasure that was begun: its record, the end of the log before it, and the copies to look after."""

    start: int
    envelope: Envelope
    change: Erased
    copies: list[Published]


class SubjectKeys:
    """The keys that belong to one log."""

    def __init__(self, log_folder: Folder, log_id: bytes) -> None:
        self._log_folder, self._log_id = log_folder, log_id
        self.folder = log_folder.beside(PLACE)

    @property
    def place(self) -> str:
        """Return the folder's name, for messages."""
        return self.folder.describe("")

    # Reading ------------------------------------------------------------------------------------------------------------

    def key(self, key_id: bytes) -> SubjectKey | None:
        """Return a key, None where it is not there. Raises BrokenSealError for a file that does not hold it."""
        data = self._read(key_id.hex() + KEY)
        if data is None:
            return None
        try:
            stored = msgspec.json.decode(data, type=_Stored)
            key = bytes.fromhex(stored.key)
        except (*UNDECODABLE, ValueError):
            raise self._damaged(key_id, "is no key") from None
        if stored.format != _FORMAT:
            raise self._damaged(key_id, f"has format {stored.format}, this release reads {_FORMAT}: upgrade evlog-mlmd")
        if (stored.id, stored.log, len(key)) != (key_id.hex(), self._log_id.hex(), KEY_BYTES):
            raise self._damaged(key_id, "is another key, or that of another log")
        if stored.check and stored.check != _check_of(key, stored.subject):
            raise self._damaged(key_id, "is damaged: its key and its subject do not belong together")
        return SubjectKey(key_id, stored.subject, key)

    def _damaged(self, key_id: bytes, what: str) -> BrokenSealError:
        return BrokenSealError(f"{self.folder.describe(key_id.hex() + KEY)} {what}", key_id=key_id)

    def erased_at(self, key_id: bytes) -> int | None:
        """Return the offset that the hint of an erased key names, None where there is none."""
        data = self._read(key_id.hex() + BURIED)
        return int(data) if data is not None and data.isdigit() and len(data) <= _OFFSET_DIGITS_MAX else None

    def ids(self, ending: str = KEY) -> list[bytes]:
        """Return the ids of the keys that are there, or with BURIED of those that a hint calls erased."""
        found = []
        for name in self.folder.names():
            if name.endswith(ending):
                with suppress(ValueError):
                    found.append(bytes.fromhex(name.removesuffix(ending)))
        return [key_id for key_id in found if len(key_id) == KEY_ID_BYTES]

    def of(self, subject: str) -> Iterator[SubjectKey]:
        """Yield every key of a subject: one, as a rule. Looks at all keys, so that none is overlooked."""
        for key_id in self.ids():
            found = self.key(key_id)
            if found is not None and found.subject == subject:
                yield found

    # Writing: under the log's writer lock ---------------------------------------------------------------------------------

    def for_subject(self, subject: str) -> SubjectKey:
        """Return the key under which a subject's values are sealed, made and durable where there is none yet."""
        data = self._read(_pointer(subject))
        if data is not None:
            with suppress(ValueError):
                found = self.key(bytes.fromhex(data.decode("ascii", "replace")))
                if found is not None and found.subject == subject and self.erased_at(found.key_id) is None:
                    return found
        made = SubjectKey(secrets.token_bytes(KEY_ID_BYTES), subject, secrets.token_bytes(KEY_BYTES))
        name = made.key_id.hex()
        check = _check_of(made.key, subject)
        stored = _Stored(_FORMAT, name, self._log_id.hex(), subject, made.key.hex(), check)
        self.folder = self._log_folder.beside(PLACE, create=True)
        # The key before what points to it: a key that nothing points to is merely not used.
        for file, content in ((name + KEY, msgspec.json.encode(stored)), (_pointer(subject), name.encode())):
            write_whole(self.folder, file, content)
            self.folder.sync_names()
        return made

    def begin_erasure(self, intent: Intent) -> None:
        """Note durably what is going to be erased: from here on it will be, whatever happens."""
        self._write(_ERASING, msgspec.msgpack.encode(intent))

    def begun_erasure(self) -> Intent | None:
        """Return the erasure that was begun and not finished."""
        advice = "an erasure was begun: remove this file, and run `evlog erase` again for its subject"
        return self._decoded(_ERASING, Intent, msgspec.msgpack.decode, advice)

    def finish_erasure(self) -> None:
        """Forget what was begun: it is done."""
        self._remove(_ERASING)
        self.folder.sync_names()

    def lock(self) -> Lock:
        """Return the lock of those who erase, not yet taken."""
        self.folder = self._log_folder.beside(PLACE, create=True)
        return self.folder.lock(_LOCK)

    def published(self) -> list[Published]:
        """Return where the store was published."""
        advice = "remove it, and name every copy with --copy when something is erased"
        return self._decoded(_COPIES, list[Published], msgspec.json.decode, advice) or []

    def note_published(self, copy: Published) -> None:
        """Remember a copy of the store, if anything in it may have to be erased. Raises StorageError."""
        if self.folder.names() and copy not in self.published():
            with closing(self.lock()) as lock, held(lock):
                self._write(_COPIES, msgspec.json.encode([*self.published(), copy]))

    def bury(self, key_id: bytes, offset: int) -> None:
        """Note that the record at an offset erases a key. Before there is that record: whoever knows it believes in the key no more."""
        self._write(key_id.hex() + BURIED, str(offset).encode())

    def destroy(self, key_id: bytes, subject: str) -> None:
        """Destroy a key: its bytes on the disk, then its name."""
        name = key_id.hex() + KEY
        try:
            with closing(self.folder.open(name, writable=True)) as file:
                file.write(bytes(file.size()), 0)
                file.sync()
        except FileNotFoundError:
            pass
        self._remove(name)
        if self._read(_pointer(subject)) == key_id.hex().encode():
            self._remove(_pointer(subject))
        self.folder.sync_names()

    def _write(self, name: str, data: bytes) -> None:
        self.folder = self._log_folder.beside(PLACE, create=True)
        write_whole(self.folder, name, data)
        self.folder.sync_names()

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.folder.remove(name)

    def _read(self, name: str) -> bytes | None:
        try:
            with closing(self.folder.open(name)) as file:
                # Not by its size: whoever destroys it may have taken its name this moment.
                pieces = [file.read(_PIECE_BYTES, 0)]
                while len(pieces[-1]) == _PIECE_BYTES:
                    pieces.append(file.read(_PIECE_BYTES, _PIECE_BYTES * len(pieces)))
        except FileNotFoundError:
            return None
        return b"".join(pieces)

    def _decoded(self, name: str, kind: Any, decode: Any, advice: str) -> Any:
        """Return what a file of ours holds, None where it is not there. Raises BrokenKeysError."""
        data = self._read(name)
        try:
            return None if data is None else decode(data, type=kind)
        except UNDECODABLE as error:
            raise BrokenKeysError(f"{self.folder.describe(name)}: cannot be read: {error}: {advice}") from None


def _check_of(key: bytes, subject: str) -> str:
    """Return what binds a key to its subject: with a subject that rotted, an erasure would not find the key."""
    return hmac.digest(key, b"evlog subject key: " + subject.encode(), "sha256").hex()


def _pointer(subject: str) -> str:
    return sha256(subject.encode()).hexdigest() + _SUBJECT
