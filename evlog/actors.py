"""Signatures by actors: who put a record signed what it changes, why, and under which transaction.

What is signed is a text, in UTF-8, each line ended by a line feed; `CHANGES` is what the leaf of the record commits to (merkle.py):

    evlog-record/v1
    ORIGIN of the log
    transaction ID in hexadecimal
    api NAME as JSON
    actor NAME as JSON
    reason TEXT as JSON, or null
    changes COUNT BASE64(the root over the stored changes)

The signature, of Ed25519, stands in the envelope, with the public key: so it can be seen whether a record was altered, or the signature
taken from another. Whose key that is must be known from elsewhere: from a file of verifier keys, one a line, names those of the actors.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from evlog.errors import EvidenceError
from evlog.merkle import changes_root
from evlog.records import ActorSignature
from evlog.tlog.note import ED25519, VerifierKey, encode64, parse_vkey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.records import Envelope

SIGNED: Final = "signed"  # How the actor of such a record is known.
KEYS_BYTES_MAX: Final = 1024 * 1024


class Signer(Protocol):
    """A key that signs texts: of a file, or of an ssh-agent."""

    verifier: VerifierKey

    def signature(self, text: str) -> bytes:
        """Return the signature over a text, 64 bytes."""


class Signed(NamedTuple):
    """A signature that fits its record. known: the key is one of those that are known as the actor's."""

    key: VerifierKey
    known: bool


def sign(signer: Signer, origin: str, envelope: Envelope, changes: Sequence[bytes]) -> Envelope:
    """Return an envelope with the signature of its actor. changes: as stored. Raises EvidenceError where the key's agent does not sign."""
    text = _text(origin, envelope, len(changes), changes_root(changes))
    return msgspec.structs.replace(envelope, signature=ActorSignature(signer.verifier.public, signer.signature(text)))


def check(origin: str, envelope: Envelope, count: int, root: bytes, known: Sequence[VerifierKey] = ()) -> Signed | None:
    """Return the signature of a record, None where it bears none. Raises EvidenceError where it does not fit.

    count, root: how many changes the record has, and the root over them as stored. known: the keys of actors; given, one that bears
    this actor's name must have signed.
    """
    signed = envelope.signature
    if signed is None:
        if envelope.auth == SIGNED:
            raise EvidenceError(f"the record says that {envelope.actor} signed it, and bears no signature")
        return None
    key = VerifierKey(envelope.actor, ED25519, signed.public)
    if not key.verifies(_text(origin, envelope, count, root), signed.value):
        raise EvidenceError(
            f"the signature of {envelope.actor} is wrong: the record was altered, or another was signed"
        )
    if known and key not in known:
        raise EvidenceError(f"the key {key.vkey} signed for {envelope.actor}, whose key it is not known to be")
    return Signed(key, bool(known))


def signer_of(envelope: Envelope) -> str | None:
    """Return the verifier key that a record says signed it, unchecked; None where it bears no signature."""
    signed = envelope.signature
    return VerifierKey(envelope.actor, ED25519, signed.public).vkey if signed is not None else None


def parse_keys(data: bytes) -> list[VerifierKey]:
    """Return the keys in a file of actors: a verifier key a line; empty lines and those that begin with # say nothing. Raises EvidenceError."""
    if len(data) > KEYS_BYTES_MAX:
        raise EvidenceError(f"a file of keys of {len(data):,} bytes is over the limit of {KEYS_BYTES_MAX:,}")
    try:
        lines = [line.strip() for line in data.decode().splitlines()]
    except UnicodeDecodeError as error:
        raise EvidenceError("the file of keys is not UTF-8") from error
    found = [parse_vkey(line) for line in lines if line and not line.startswith("#")]
    if not found:
        raise EvidenceError("there is no key in the file: write one a line, as `evlog keys show --actor NAME` tells it")
    if odd := [key.name for key in found if key.kind != ED25519]:
        raise EvidenceError(f"the key {odd[0]} is one of a witness, not of an actor")
    return found


def _text(origin: str, envelope: Envelope, count: int, root: bytes) -> str:
    return (
        f"evlog-record/v1\n{origin}\ntransaction {envelope.transaction.hex()}\napi {json.dumps(envelope.api)}\n"
        f"actor {json.dumps(envelope.actor)}\nreason {json.dumps(envelope.reason)}\nchanges {count} {encode64(root)}\n"
    )
