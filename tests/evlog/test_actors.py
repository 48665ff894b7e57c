"""Signatures by actors: what is signed, and what no longer fits."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import msgspec
import pytest
import records
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from evlog import actors, codec
from evlog.author import Author
from evlog.errors import EvidenceError
from evlog.frame import unpack_body
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.merkle import changes_root
from evlog.records import ActorSignature, Record
from evlog.tlog import keys

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.records import Envelope

ORIGIN = "evlog/test"
ANA = keys.new("ana")
CHANGES = [b"\0one", b"\0two"]
ROOT = changes_root(CHANGES)


def signed(reason: str | None = "ticket 81") -> Envelope:
    author = Author(application="tests").acting(reason=reason, signer=ANA)
    return actors.sign(ANA, ORIGIN, author.envelope("PutArtifacts", 1), CHANGES)


def test_a_signature_fits_its_record_and_names_its_key() -> None:
    envelope = signed()
    assert (envelope.actor, envelope.auth) == ("ana", "signed")
    found = actors.check(ORIGIN, envelope, 2, ROOT)
    assert found == (ANA.verifier, False)
    assert actors.check(ORIGIN, envelope, 2, ROOT, [ANA.verifier]) == (ANA.verifier, True)
    assert actors.signer_of(envelope) == ANA.verifier.vkey


def test_what_is_signed_can_be_checked_with_nothing_of_ours() -> None:
    envelope = signed("é\n")
    text = (
        f"evlog-record/v1\n{ORIGIN}\ntransaction {envelope.transaction.hex()}\n"
        'api "PutArtifacts"\nactor "ana"\nreason "\\u00e9\\n"\n'
        f"changes 2 {base64.b64encode(ROOT).decode()}\n"
    )
    assert json.loads('"\\u00e9\\n"') == "é\n"
    assert envelope.signature is not None
    Ed25519PublicKey.from_public_bytes(envelope.signature.public).verify(envelope.signature.value, text.encode())


@pytest.mark.parametrize(
    "field", ["transaction", "api", "actor", "reason", "count", "root", "origin", "public", "value"]
)
def test_whatever_is_altered_the_signature_no_longer_fits(field: str) -> None:
    envelope, origin, count, root = signed(), ORIGIN, 2, ROOT
    assert envelope.signature is not None
    replace = msgspec.structs.replace
    if field == "origin":
        origin = "evlog/other"
    elif field == "count":
        count = 3
    elif field == "root":
        root = changes_root(CHANGES[::-1])
    elif field in ("public", "value"):
        kept = {"public": envelope.signature.public, "value": envelope.signature.value}
        kept[field] = keys.new("ana").verifier.public if field == "public" else bytes(64)
        envelope = replace(envelope, signature=ActorSignature(**kept))
    else:
        envelope = replace(envelope, **{field: bytes(16) if field == "transaction" else "other"})
    with pytest.raises(EvidenceError, match="is wrong"):
        actors.check(origin, envelope, count, root)


def test_a_key_that_is_not_known_as_the_actors_is_refused() -> None:
    others = [keys.new("ana").verifier, keys.new("bob").verifier]
    with pytest.raises(EvidenceError, match="whose key it is not known to be"):
        actors.check(ORIGIN, signed(), 2, ROOT, others)


def test_a_record_that_says_it_is_signed_and_is_not_is_refused() -> None:
    bare = msgspec.structs.replace(signed(), signature=None)
    with pytest.raises(EvidenceError, match="bears no signature"):
        actors.check(ORIGIN, bare, 2, ROOT)
    assert actors.check(ORIGIN, Author(actor="bob").envelope("Put", 1), 2, ROOT, [ANA.verifier]) is None


@given(st.text(), st.text())
def test_no_two_reasons_have_one_signature(one: str, other: str) -> None:
    try:
        envelope = signed(one)
    except UnicodeEncodeError:  # A lone surrogate; it is no reason that a put may bear.
        return
    changed = msgspec.structs.replace(envelope, reason=other)
    if one == other:
        assert actors.check(ORIGIN, changed, 2, ROOT) is not None
        return
    with pytest.raises(EvidenceError):
        actors.check(ORIGIN, changed, 2, ROOT)


def test_the_log_keeps_the_signature_over_the_bytes_that_it_stores() -> None:
    log = Log.open(MemoryFolder(), create=True)
    author = Author(application="tests").acting(signer=ANA)
    with log.claim() as group:
        entry = group.add(Record(author.envelope("Put", 1), [records.artifact(1)]), signer=author.signer)
        group.commit()
    [again] = log.read(0)
    assert again == entry
    stored, changes = unpack_body(log.frame(0).body, 1)
    envelope = codec.decode_envelope(stored, offset=0)
    assert actors.check(log.origin, envelope, 1, changes_root(changes), [ANA.verifier]) is not None
    log.close()


def test_the_environment_names_the_key_of_whoever_acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.write(ANA, tmp_path / "ana.key")
    monkeypatch.delenv("EVLOG_ACTOR", raising=False)
    monkeypatch.setenv("EVLOG_ACTOR_KEY", str(tmp_path / "ana.key"))
    assert (Author().actor, Author().auth) == ("ana", "signed")
    other = Author().acting(actor="bob")
    assert (other.actor, other.auth, other.signer) == ("bob", "asserted", None)
    monkeypatch.setenv("EVLOG_ACTOR", "bob")
    with pytest.raises(EvidenceError, match="the key is that of ana, the actor is bob"):
        Author()
    monkeypatch.setenv("EVLOG_ACTOR_KEY", str(tmp_path / "none.key"))
    with pytest.raises(EvidenceError, match="cannot be read"):
        Author()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "there is no key"),
        (b"# nobody\n\n", "there is no key"),
        (b"ana", "is no verifier key"),
        (b"\xff", "is not UTF-8"),
        (b"x" * (actors.KEYS_BYTES_MAX + 1), "over the limit"),
    ],
)
def test_a_file_of_keys_that_is_none_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(EvidenceError, match=reason):
        actors.parse_keys(data)


def test_a_file_of_keys_names_actors_one_a_line() -> None:
    bob = keys.new("bob").verifier
    text = f"# staff\n{ANA.verifier.vkey}\n\n  {bob.vkey}\n"
    assert actors.parse_keys(text.encode()) == [ANA.verifier, bob]
