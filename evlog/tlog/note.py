"""Signed notes: a text, and who signed it. Source: c2sp.org/signed-note and, for witnesses, c2sp.org/tlog-cosignature.

    lines of text, each ended by a line feed
    <an empty line>
    — NAME BASE64(4 bytes of key id, the signature)

A key is known by name and id: id = SHA-256(name, line feed, type, public key)[:4]. A verifier key, "vkey", is written
NAME+ID in hexadecimal+BASE64(type, public key).
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterable

ED25519: Final = 0x01  # Over the text.
COSIGNATURE: Final = 0x04  # Of a witness: over a time and the text.
KEY_ID_BYTES: Final = 4
PUBLIC_BYTES: Final = 32
NOTE_BYTES_MAX: Final = 1024 * 1024
SIGNATURES_MAX: Final = 100
_SIGNATURE_BYTES: Final = 64
_TIME_BYTES: Final = 8
_DASH: Final = "— "


class VerifierKey(NamedTuple):
    """What it takes to check a signature. kind: ED25519 or COSIGNATURE."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Return the 4 bytes that stand before each signature of this key."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:KEY_ID_BYTES]

    @property
    def vkey(self) -> str:
        """Return the key as it is written in a policy."""
        return f"{self.name}+{self.key_id.hex()}+{encode64(bytes([self.kind]) + self.public)}"

    def verifies(self, text: str, signature: bytes) -> bool:
        """Tell whether this key made a signature over a note's text."""
        message = text.encode()
        if self.kind == COSIGNATURE:
            time_s = int.from_bytes(signature[:_TIME_BYTES])
            message = f"cosignature/v1\ntime {time_s}\n".encode() + message
            signature = signature[_TIME_BYTES:]
        return len(signature) == _SIGNATURE_BYTES and _verified(self.public, signature, message)


class Signature(NamedTuple):
    """One line below a note."""

    name: str
    key_id: bytes
    value: bytes


class Note(NamedTuple):
    """A text, its last line feed included, and the signatures below it; none of them is checked yet."""

    text: str
    signatures: list[Signature]

    def signers(self, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
        """Return those of the keys that signed. Raises EvidenceError where a signature of one of them is wrong."""
        found = []
        for key in keys:
            mine = [one for one in self.signatures if (one.name, one.key_id) == (key.name, key.key_id)]
            if not all(key.verifies(self.text, one.value) for one in mine):
                raise EvidenceError(
                    f"the signature of {key.name} is wrong: the text was changed, or never signed by it"
                )
            if mine:
                found.append(key)
        return found


def parse(data: bytes) -> Note:
    """Return the note in some bytes; one without signatures is unsigned. Raises EvidenceError."""
    if len(data) > NOTE_BYTES_MAX:
        raise EvidenceError(f"a note of {len(data):,} bytes is over the limit of {NOTE_BYTES_MAX:,}")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise EvidenceError("the note is not UTF-8") from error
    if any(char < " " and char != "\n" for char in whole):
        raise EvidenceError("the note holds control characters")
    text, blank, below = whole.rpartition("\n\n")
    if not blank or not text or (below and not below.endswith("\n")):
        raise EvidenceError("this is no note: a text, an empty line, and signatures")
    lines = below.split("\n")[:-1]
    if len(lines) > SIGNATURES_MAX:
        raise EvidenceError(f"{len(lines):,} signatures are over the limit of {SIGNATURES_MAX}")
    return Note(text + "\n", [_signature(line) for line in lines])


def sign_line(name: str, key_id: bytes, signature: bytes) -> str:
    """Return the line of a signature; the fields are those of Signature."""
    return f"{_DASH}{name} {encode64(key_id + signature)}\n"


def parse_vkey(text: str) -> VerifierKey:
    """Return the key that a vkey tells. Raises EvidenceError."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    material = decode64(encoded)
    if not is_name(name) or len(material) != 1 + PUBLIC_BYTES:
        raise EvidenceError(f"{text[:200]!r} is no verifier key: write NAME+ID+KEY, as `evlog keys show` does")
    key = VerifierKey(name, material[0], material[1:])
    if key.kind not in (ED25519, COSIGNATURE):
        raise EvidenceError(f"the key {name} is of type {key.kind}; 1 and 4, Ed25519, are those that are read here")
    if key_id != key.key_id.hex():
        raise EvidenceError(f"the id of the key {name} does not fit it: a character is wrong or missing")
    return key


def is_name(name: str) -> bool:
    """Tell whether a key may have this name: not empty, no space, no plus, nothing that cannot be printed."""
    return bool(name) and name.isprintable() and not any(char.isspace() or char == "+" for char in name)


def encode64(data: bytes) -> str:
    """Return bytes in standard base64."""
    return base64.b64encode(data).decode()


def decode64(text: str) -> bytes:
    """Return the bytes of standard base64, written in the one right way. Raises EvidenceError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if encode64(data) != text:
        raise EvidenceError(f"{text[:60]!r} is not base64")
    return data


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not is_name(name):
        raise EvidenceError(f"{line[:60]!r} is no line of a signature")
    value = decode64(encoded)
    if len(value) <= KEY_ID_BYTES:
        raise EvidenceError(f"the signature of {name} is too short")
    return Signature(name, value[:KEY_ID_BYTES], value[KEY_ID_BYTES:])


def _verified(public: bytes, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - slow to import, and rarely needed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
