"""Witnesses: a good one signs what only grows; whatever a bad one answers, nothing false is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import published
import pytest
from witnessing import Witness, serving

from evlog.errors import EvidenceError
from evlog.tlog import archive, checkpoint, evidence, policy
from evlog.tlog.shelf import FolderShelf
from evlog.tlog.witness import cosign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evlog.tlog.checkpoint import Signed


@pytest.fixture
def witness(made: published.Published) -> Iterator[Witness]:
    with serving(Witness(made.key.verifier)) as found:
        yield found


def ask(made: published.Published, witness: Witness, signed: Signed | None = None) -> Signed:
    signed = signed or made.publish()
    return cosign(witness.url, [witness.verifier], signed, made.tiles().node(signed.checkpoint.size), timeout_s=5)


def quorum(made: published.Published, witness: Witness) -> policy.Policy:
    return policy.parse(f"log {made.key.verifier.vkey}\nwitness w {witness.verifier.vkey}\nquorum w\n".encode())


def test_a_witness_signs_a_log_as_it_grows_and_its_proofs_reach_the_quorum(
    made: published.Published, witness: Witness
) -> None:
    text = f"log {made.key.verifier.vkey}\nwitness w {witness.verifier.vkey}\nquorum w\n"
    for count in (1, 1, 5, 300, 1):
        made.fill(count)
        signed = ask(made, witness)
        assert quorum(made, witness).check(signed).witnesses == ["w"]
        with pytest.raises(EvidenceError, match="quorum"):
            quorum(made, witness).check(made.publish())
        data = evidence.pack(made.prove(0, signed))
        assert published.verifier().verify(data, text)["signed_by"] == [made.log.origin, "w"]
    assert ask(made, witness).checkpoint == signed.checkpoint, "the same tree may be signed again"
    assert witness.seen == (signed.checkpoint.size, signed.checkpoint.root)


def test_a_checkpoint_that_a_witness_signed_is_kept_and_proofs_prefer_it(
    made: published.Published, witness: Witness
) -> None:
    made.fill(10)
    signed = ask(made, witness)
    archive.keep_cosigned(made.tlog, signed)
    assert made.publish() == signed, "nothing is new"
    shelf = FolderShelf(made.tlog)
    for count in (10, 300, 300):
        made.fill(count)
        made.publish()
    assert archive.sizes(shelf) == [10, 20, 320, 620], "one tile's last, and what a witness signed"
    assert archive.best(shelf, 9) == signed
    latest = archive.newest(shelf)
    assert latest is not None
    assert archive.best(shelf, 10) == latest
    assert archive.best(shelf, 620) is None
    assert evidence.check(made.prove(9, signed)).offset == 9, "the tiles of that size can still be read"
    archive.keep_cosigned(made.tlog, signed)
    assert archive.newest(shelf) == latest, "an older one does not replace it"


def test_a_witness_that_saw_another_history_does_not_sign(made: published.Published, witness: Witness) -> None:
    made.fill(10)
    signed = made.publish()
    witness.seen = (7, bytes(32))
    with pytest.raises(EvidenceError, match="saw another history"):
        ask(made, witness)
    witness.seen = (10, bytes(32))
    with pytest.raises(EvidenceError, match="another tree of this size"):
        ask(made, witness)
    witness.seen = (11, bytes(32))
    with pytest.raises(EvidenceError, match="it was cut"):
        ask(made, witness)
    witness.seen, witness.log = None, witness.verifier._replace(name=made.log.origin)
    with pytest.raises(EvidenceError, match="does not know the key"):
        ask(made, witness)
    witness.log = witness.verifier
    with pytest.raises(EvidenceError, match="does not know this log"):
        ask(made, witness)
    assert made.publish() == signed


BAD = [
    (200, b""),
    (200, b"hello"),
    (200, b"\xff\xff"),
    (200, b"x" * 100_000),
    (200, "— witness.example AAAAAAAAAAAA\n".encode()),
    (200, b"\n\nmore text\n\n"),
    (201, b""),
    (302, b""),
    (409, b"x\n"),
    (409, b"-1\n"),
    (409, b"99999999999999999999999\n"),
    (418, b""),
    (500, b"oops"),
]


@pytest.mark.parametrize("answer", BAD)
def test_whatever_a_witness_answers_nothing_false_is_taken(
    made: published.Published, witness: Witness, answer: tuple[int, bytes]
) -> None:
    made.fill(3)
    witness.spoil = lambda _: answer
    with pytest.raises(EvidenceError, match="127.0.0.1"):
        ask(made, witness)


def test_a_signature_over_another_text_or_by_another_key_is_not_taken(
    made: published.Published, witness: Witness
) -> None:
    made.fill(3)
    other = Witness(made.key.verifier, "other.example")
    for line in (witness.cosignature("another\ntext\n"), other.cosignature(made.publish().note.text)):
        witness.spoil = lambda _, line=line: (200, line.encode())  # type: ignore[misc]
        with pytest.raises(EvidenceError, match="of no worth"):
            ask(made, witness)
    text = made.publish().note.text
    witness.spoil = lambda _: (200, (other.cosignature(text) + witness.cosignature(text)).encode())
    assert [one.name for one in ask(made, witness).note.signatures] == [made.log.origin, "witness.example"]


def test_a_witness_that_is_not_there_is_told_so(made: published.Published, witness: Witness) -> None:
    made.fill(3)
    signed = made.publish()
    node = made.tiles().node(3)
    for url in (
        "http://127.0.0.1:1/",
        "file:///etc/passwd",
        "witness.example",
        "http://",
        "http://[::1",
        "http://127.0.0.1:x",
        "https://127.0.0.1:1",
    ):
        with pytest.raises(EvidenceError, match="witness"):
            cosign(url, [witness.verifier], signed, node, timeout_s=1)
    assert checkpoint.parse(signed.data) == signed
