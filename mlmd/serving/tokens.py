"""Access tokens of a store: who may use its servers, and how far.

    STORE/keys/tokens/           for its owner alone: 0700, files 0600
      TOKENS                     JSON: format, tokens (name, role, hash, tail, made_ms, expires_ms), sum: SHA-256 of the tokens as they stand there
      LOCK                       flock of whoever adds or removes one

A secret is `evlog_` and 256 bits by chance, shown once. Only its SHA-256 is kept, which is enough for what nobody can guess, and its last four
characters, so that people tell tokens apart. Adding and removing one is a record of the log, without either.

A token works once its record is durable, and stops working before its removal is recorded: a crash between the two leaves a record of a token
that opens nothing, or a token that opens nothing and is still listed, without hash, which `remove` finishes.

Once there is the file, servers ask for a token: also when the last one is removed. A file that cannot be read, or is gone under a server that
has read it, lets nobody in. Nor does one that is gone while the log tells of a token that was added and not removed: it was lost, or the
folder is a restored backup, which has none.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import time
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

import msgspec

from evlog.errors import UNDECODABLE
from evlog.files import RealFolder, held, write_whole
from evlog.records import TokenAdded, TokenRemoved
from mlmd import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from evlog.author import Caller
    from mlmd.engine import Engine

Role = Literal["reader", "writer", "auditor", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
# What each role reaches: what is there for readers, for writers, and so on.
REACHES: Final[Mapping[Role, frozenset[Role]]] = {
    "reader": frozenset({"reader"}),
    "writer": frozenset({"reader", "writer"}),
    "auditor": frozenset({"reader", "auditor"}),
    "admin": frozenset(ROLES),
}
PLACE: Final = "keys/tokens"
NAME: Final = "TOKENS"
START: Final = "evlog_"
TOKEN: Final = "EVLOG_TOKEN"  # noqa: S105 - where clients have theirs: an argument would be seen by whoever lists processes.
NAME_MAX: Final = 100  # Characters.
_SECRET: Final = re.compile(rf"{START}[\w-]{{20,}}")
_LOCK: Final = "LOCK"
_FORMAT: Final = 1
_SECRET_BYTES: Final = 32
_SECRET_MAX: Final = 200  # Characters. Longer texts are no secret of ours, and are not hashed.
_TAIL: Final = 4


class TokensError(errors.DataLossError):
    """Which tokens a store has cannot be told: their file is damaged, or gone."""

    def __init__(self, file: Path, what: str) -> None:
        super().__init__(
            f"{file}: {what}; nobody is let in: put a copy of it back, or remove it and add the tokens anew"
        )
        self.file = file


class LostTokensError(TokensError):
    """The file is gone, and the log tells of tokens. names: of those."""

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        super().__init__(file, f"is gone, and the log tells of tokens: {', '.join(names)}")
        self.names = names


class Token(msgspec.Struct, frozen=True):
    """A token. hash: SHA-256 of its secret, hexadecimal; "" opens nothing: its removal is not on record yet. tail: the secret's last characters."""

    name: str
    role: Role
    hash: str
    tail: str
    made_ms: int
    expires_ms: int | None = None

    def is_over(self) -> bool:
        """Tell whether it has expired."""
        return self.expires_ms is not None and now_ms() >= self.expires_ms


class _File(msgspec.Struct):
    format: int
    tokens: list[Token]
    sum: str


class Made(NamedTuple):
    """A new token, and its secret, which nobody can tell again."""

    token: Token
    secret: str


class Tokens:
    """The tokens of the store in a folder, as they are at each look."""

    def __init__(self, store: Path) -> None:
        self.store, self.file = store, store / PLACE / NAME
        self._read: tuple[tuple[int, ...], Sequence[Token]] | None = None  # Of the last look; set as a whole.

    def known(self) -> Sequence[Token] | None:
        """Return all tokens, None where the store never had one. Raises TokensError."""
        read = self._read
        try:
            if read is not None and _mark(self.file.stat()) == read[0]:
                return read[1]
            with self.file.open("rb") as file:
                mark, data = _mark(os.fstat(file.fileno())), file.read()
        except FileNotFoundError:
            if read is None:
                return None
            raise TokensError(self.file, "is gone, and was here") from None
        except OSError as error:
            raise TokensError(self.file, error.strerror or "cannot be read") from None
        try:
            tokens = parse(data)
        except ValueError as error:
            raise TokensError(self.file, str(error)) from None
        self._read = mark, tokens
        return tokens

    def find(self, secret: str) -> Token | None:
        """Return the token of a secret, be it over or not; None for a secret that is none. Raises TokensError."""
        return self.hashed(_hash(secret)) if len(secret) <= _SECRET_MAX else None

    def hashed(self, asked: str) -> Token | None:
        """Return the token whose secret has a hash, None where there is none. Raises TokensError."""
        found = None
        for token in self.known() or ():  # All of them, so that the time tells nothing.
            if hmac.compare_digest(token.hash, asked):
                found = token
        return found

    @contextmanager
    def changing(self) -> Iterator[list[Token]]:
        """Yield all tokens, to nobody else who would change them."""
        folder = RealFolder(self.file.parent, create=True, private=True)
        with closing(folder.lock(_LOCK)) as lock, held(lock):
            yield list(self.known() or ())

    def write(self, tokens: Sequence[Token]) -> None:
        """Let these be the tokens, durably. Within `changing`. Raises StorageError."""
        folder = RealFolder(self.file.parent, private=True)
        write_whole(folder, NAME, written(tokens))
        folder.sync_names()


def tokens_of(engine: Engine) -> Tokens | None:
    """Return the tokens of an open store, None for one in memory, which has none."""
    folder = engine.log.folder
    return Tokens(folder.path.parent) if isinstance(folder, RealFolder) else None


def on_record(engine: Engine) -> list[str]:
    """Return the names of the tokens that the log tells of: added, and not removed. Raises StatusError."""
    found: list[str] = engine.review(lambda _log, view, _end: view.ask(lambda lookup: lookup.tokens()))
    return found


def check_lost(engine: Engine, tokens: Tokens) -> None:
    """Raise LostTokensError where there is no file and should be one: a store that lost its tokens is not open to everybody for that."""
    if tokens.known() is None and (names := on_record(engine)):
        raise LostTokensError(tokens.file, names)


def add(engine: Engine, name: str, role: Role, expires_ms: int | None = None, caller: Caller | None = None) -> Made:
    """Make a token, on record. Raises StatusError: ALREADY_EXISTS for a name that has one, FAILED_PRECONDITION for a store in memory."""
    _check_name(name)
    tokens, made_ms = _in_folder(engine), now_ms()
    if expires_ms is not None and expires_ms <= made_ms:
        raise errors.InvalidArgumentError("a token that has expired opens nothing: let it end later")
    with tokens.changing() as known:
        if any(token.name == name for token in known):
            raise errors.AlreadyExistsError(
                f"there is a token {name} already; `evlog token rm {name}` removes it, another name is another token"
            )
        secret = START + secrets.token_urlsafe(_SECRET_BYTES)
        made = Token(name, role, _hash(secret), secret[-_TAIL:], made_ms, expires_ms)
        _record(engine, "AddToken", TokenAdded(name, role, expires_ms), caller)
        tokens.write([*known, made])
    return Made(made, secret)


def remove(engine: Engine, name: str, caller: Caller | None = None) -> list[Token]:
    """Remove a token, on record; return those that are left. Raises StatusError: NOT_FOUND.

    Also one that is on record alone, because the file was lost: so that it is not missed any more.
    """
    _check_name(name)
    tokens = _in_folder(engine)
    with tokens.changing() as known:
        if all(token.name != name for token in known):
            if name in on_record(engine):
                _record(engine, "RemoveToken", TokenRemoved(name), caller)
                return known
            names = ", ".join(token.name for token in known)
            raise errors.NotFoundError(
                f"there is no token {name}: {f'there are {names}' if names else 'there is none'}"
            )
        # Dead first: a full disk must not keep a token alive that somebody stole.
        tokens.write([msgspec.structs.replace(token, hash="") if token.name == name else token for token in known])
        _record(engine, "RemoveToken", TokenRemoved(name), caller)
        left = [token for token in known if token.name != name]
        tokens.write(left)
    return left


def written(tokens: Sequence[Token]) -> bytes:
    """Return what the file of these tokens holds."""
    return msgspec.json.encode(_File(_FORMAT, list(tokens), _sum(tokens))) + b"\n"


def parse(data: bytes) -> list[Token]:
    """Return the tokens that the file holds. Raises ValueError for bytes that are not such a file, whole."""
    try:
        found = msgspec.json.decode(data, type=_File)
    except UNDECODABLE as error:
        raise ValueError(f"is damaged: {error}") from None
    if found.format != _FORMAT:
        raise ValueError(f"has format {found.format}, this release reads {_FORMAT}: upgrade evlog-mlmd")
    if found.sum != _sum(found.tokens):
        raise ValueError("is damaged: it is not what was written")
    return found.tokens


def hidden(text: str) -> str:
    """Return a text without the secrets that somebody put into it, such as an address."""
    return _SECRET.sub(f"{START}...", text)


def _record(engine: Engine, api: str, change: TokenAdded | TokenRemoved, caller: Caller | None) -> None:
    """Put a change into the log. By no RPC: who may add a token has the store itself."""
    from mlmd.methods import Method  # noqa: PLC0415 - who only looks at tokens needs none

    engine.answer(
        Method(api, type(None), type(None), lambda draft, _: draft.changes.append(change), None), None, caller
    )


def _in_folder(engine: Engine) -> Tokens:
    tokens = tokens_of(engine)
    if tokens is None:
        raise errors.FailedPreconditionError("a store in memory has no tokens: they lie in the folder of a store")
    return tokens


def _check_name(name: str) -> None:
    if name.startswith(START) and len(name) > _SECRET_BYTES:
        raise errors.InvalidArgumentError("this is the secret of a token, not its name, and was not kept: name it")
    if not name or name != name.strip() or not name.isprintable() or len(name) > NAME_MAX:
        raise errors.InvalidArgumentError(
            f"{name[:NAME_MAX]!r} is no name of a token: it is who acts, such as ana or ci, {NAME_MAX} characters at most"
        )


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="replace")).hexdigest()


def _sum(tokens: Sequence[Token]) -> str:
    return sha256(msgspec.json.encode(tokens)).hexdigest()


def _mark(status: os.stat_result) -> tuple[int, ...]:
    """Return what tells a file from the one that a change puts in its place."""
    return status.st_ino, status.st_mtime_ns, status.st_size


def now_ms() -> int:
    """Return the wall clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000
