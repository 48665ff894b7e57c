"""A value sealed for one subject: AES-256-GCM under the subject's key, and commitments to the key and to the value. Bytes only.

    plaintext         salt (16 bytes) | u32 size | the value as MessagePack (size bytes) | zeros to a multiple of 64
    key               HMAC-SHA256(subject's key, "evlog sealed value: encryption")
    key commitment    HMAC-SHA256(subject's key, "evlog sealed value: commitment")
    value commitment  SHA-256("evlog sealed value: plaintext" | plaintext)
    associated data   MessagePack of ["evlog sealed value 1", log id, kind, id of the node, name of the map, name of the property, type]

GCM alone commits to neither key nor plaintext: without the commitments somebody could make up, later, a key under which the same bytes
say something else. The salt is chance and inside the ciphertext, so once the key is gone the commitment to the value tells nothing.
The associated data ties a sealed value to its place: moved to another node, property or log it does not open. The padding hides most
of the length, which outlives the key.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from evlog.errors import BrokenSealError
from evlog.records import Proto, Sealed, Struct, Value

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 16
_NONCE_BYTES: Final = 12  # By chance: safe for 2^32 values of one subject.
_SALT_BYTES: Final = 16
_SIZE_BYTES: Final = 4
_BLOCK: Final = 64
_CONTEXT: Final = "evlog sealed value 1"
_TYPES: Final[dict[type, str]] = {
    int: "INT",
    float: "DOUBLE",
    str: "STRING",
    bool: "BOOLEAN",
    Struct: "STRUCT",
    Proto: "PROTO",
}
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Value).decode


class Context(NamedTuple):
    """Where a value stands. kind: artifact, execution or context; field: properties or custom_properties; name: of the property."""

    log_id: bytes
    kind: str
    node_id: int
    field: str
    name: str


class Cipher:
    """The key of one subject, at work."""

    def __init__(self, key_id: bytes, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - slow to import, most stores seal nothing

        self.key_id = key_id
        # Two keys of one, so that what is published is not what encrypts.
        self._aead = AESGCM(hmac.digest(key, b"evlog sealed value: encryption", "sha256"))
        self._commitment = hmac.digest(key, b"evlog sealed value: commitment", "sha256")

    def seal(self, value: Value, context: Context) -> Sealed:
        """Return a value, sealed."""
        data = _encode(value)
        plaintext = secrets.token_bytes(_SALT_BYTES) + len(data).to_bytes(_SIZE_BYTES, "little") + data
        plaintext += bytes(-len(plaintext) % _BLOCK)
        kind, nonce = _TYPES[value.__class__], secrets.token_bytes(_NONCE_BYTES)
        ciphertext = self._aead.encrypt(nonce, plaintext, _place(context, kind))
        return Sealed(kind, self.key_id, nonce, self._commitment, _value_commitment(plaintext), ciphertext)

    def unseal(self, sealed: Sealed, context: Context) -> Value:
        """Return the value. Raises BrokenSealError for another key or place, and for bytes that are not those that were sealed."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above

        if not hmac.compare_digest(self._commitment, sealed.key_commitment):
            raise BrokenSealError("the key is not the one it was sealed with", key_id=sealed.key_id)
        try:
            plaintext = self._aead.decrypt(sealed.nonce, sealed.ciphertext, _place(context, sealed.type))
        except (InvalidTag, ValueError):  # ValueError: a nonce of another size.
            raise BrokenSealError("it was altered, or stood in another place", key_id=sealed.key_id) from None
        if not hmac.compare_digest(_value_commitment(plaintext), sealed.value_commitment):
            raise BrokenSealError("the value is not the one that it commits to", key_id=sealed.key_id)
        start = _SALT_BYTES + _SIZE_BYTES
        size = int.from_bytes(plaintext[_SALT_BYTES:start], "little")
        try:
            return _decode(plaintext[start : start + size])
        except msgspec.DecodeError as error:
            raise BrokenSealError(f"no value is in it: {error}", key_id=sealed.key_id) from error


def _value_commitment(plaintext: bytes) -> bytes:
    return sha256(b"evlog sealed value: plaintext" + plaintext).digest()


def _place(context: Context, kind: str) -> bytes:
    return _encode([_CONTEXT, *context, kind])
