"""Signing keys: an Ed25519 key of a log, or of an actor, in a file outside the store that only its owner can read.

    PRIVATE+KEY+NAME+ID in hexadecimal+BASE64(type 1, 32 bytes of seed)
    AGENT+KEY+NAME+ID in hexadecimal+BASE64(type 1, 32 bytes of public key)

The first form is that of Go's sumdb/note; of the second an ssh-agent has the secret (agent.py). The name is the log's origin, as
c2sp.org/tlog-policy wants it, or the actor's name. Whoever has a log's key can sign another history; whoever has only the store cannot.
So the two are kept, and backed up, apart.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from evlog.errors import EvidenceError
from evlog.tlog import agent
from evlog.tlog.note import ED25519, PUBLIC_BYTES, VerifierKey, decode64, encode64, is_name, parse_vkey, sign_line

VARIABLE: Final = "EVLOG_KEY"
_START: Final = "PRIVATE+KEY+"
_FILE_BYTES_MAX: Final = 4096
_OTHERS: Final = 0o077


class SigningKey:
    """A key that signs notes."""

    def __init__(self, name: str, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - slow to import

        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, ED25519, self._private.public_key().public_bytes_raw())

    def signature(self, text: str) -> bytes:
        """Return this key's signature over a text, 64 bytes."""
        return self._private.sign(text.encode())

    def sign(self, text: str) -> str:
        """Return the line of this key's signature over a note's text."""
        return sign_line(self.verifier.name, self.verifier.key_id, self.signature(text))

    def written(self) -> str:
        """Return what stands in the key's file: the secret."""
        key = self.verifier
        return f"{_START}{key.name}+{key.key_id.hex()}+{encode64(bytes([ED25519]) + self._seed)}"


Key = SigningKey | agent.AgentKey


def new(name: str) -> SigningKey:
    """Return a new key by chance."""
    return SigningKey(name, secrets.token_bytes(PUBLIC_BYTES))


def parse(text: str) -> Key:
    """Return the key that a file's text tells. Raises EvidenceError, which never quotes it."""
    if text.startswith(agent.START):
        verifier = parse_vkey(text.strip().removeprefix(agent.START))
        if verifier.kind != ED25519:
            raise EvidenceError(f"a key of type {verifier.kind} signs no checkpoint")
        return agent.AgentKey(verifier)
    name, _, rest = text.strip().removeprefix(_START).partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        material = decode64(encoded)
    except EvidenceError:
        material = b""
    if not text.startswith(_START) or not is_name(name) or len(material) != 1 + PUBLIC_BYTES or material[0] != ED25519:
        raise EvidenceError("this is no signing key; `evlog keys new` makes one")
    key = SigningKey(name, material[1:])
    if key.verifier.key_id.hex() != key_id:
        raise EvidenceError("the signing key is damaged: its id does not fit it; take it from a copy")
    return key


def place_of(log_id: bytes) -> Path:
    """Return where the signing key of a log lies: EVLOG_KEY, else a file of the user's configuration."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return _folder() / f"{log_id.hex()}.key"


def _folder() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "evlog" / "keys"


def place_of_actor(name: str) -> Path:
    """Return where the key of an actor lies if no file is named: beside those of logs."""
    return _folder() / f"{name}.actor"


def memory_of(path: Path) -> Path:
    """Return where the last checkpoint is kept that the key in a file signed: beside it."""
    return path.with_name(f"{path.name}.signed")


def read(path: Path, origin: str) -> Key:
    """Return the key of a log in a file. Raises EvidenceError where it is none, is another log's, or others may read it."""
    key = read_any(path)
    if key.verifier.name != origin:
        raise EvidenceError(f"{path}: this key signs for {key.verifier.name}, not for {origin}")
    return key


def read_any(path: Path) -> Key:
    """Return the key in a file, whoever's it is. Raises EvidenceError where it is none, or others may read it."""
    try:
        with path.open("rb") as file:
            shown = os.fstat(file.fileno()).st_mode & _OTHERS
            data = file.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise EvidenceError(f"{path}: the signing key cannot be read: {error.strerror}") from error
    if shown:
        raise EvidenceError(f"{path}: others may read this key: chmod 600 {path}, and make a new one if anybody did")
    try:
        return parse(data.decode("utf-8", "replace"))
    except EvidenceError as error:
        raise EvidenceError(f"{path}: {error}") from None


def write(key: Key, path: Path) -> None:
    """Write a key into a new file that only its owner may read. Raises EvidenceError where there is a file already."""
    if path.exists():
        raise EvidenceError(
            f"{path}: is there already, and a key is never replaced: `evlog keys show` tells what it is"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EvidenceError(f"{path}: cannot be written: {error.strerror}") from error
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(key.written() + "\n")
        file.flush()
        os.fsync(fd)
