"""Evidence: every record and every change can be proven, and nothing else; our check and docs/verifier.py agree on all of it."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import msgspec
import published
import pytest
import records
import rfc6962
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evlog.errors import EvidenceError, LogError
from evlog.tlog import checkpoint, evidence, policy
from evlog.tlog.shelf import MemoryShelf
from evlog.tlog.tiles import Tiles

if TYPE_CHECKING:
    from pathlib import Path

VERIFIER = published.verifier()


def both(data: bytes, text: str) -> tuple[evidence.Proven | None, Any]:
    """Return what our check and the verifier say of a file; None for refused."""

    def ours() -> evidence.Proven:
        found = evidence.parse(data)
        policy.parse(text.encode()).check(found.signed)
        return evidence.check(found)

    return published.outcome(ours, EvidenceError), published.outcome(
        lambda: VERIFIER.verify(data, text), VERIFIER.Wrong
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> published.Published:
    store = published.Published(tmp_path_factory.mktemp("filled"))
    store.put(*records.small_store(300))
    store.publish()
    return store


def test_every_record_of_a_store_is_proven_and_read_by_the_verifier(filled: published.Published) -> None:
    signed = filled.publish()
    leaves = filled.leaves()
    assert rfc6962.mth(leaves) == signed.checkpoint.root, "the root is that of the leaves which the document describes"
    for offset in range(filled.log.end):
        made = filled.prove(offset, signed)
        assert made.leaf == leaves[offset]
        assert evidence.parse(evidence.pack(made)) == made
        proven, told = both(evidence.pack(made), filled.policy)
        assert proven is not None
        entry = next(filled.log.read(offset, offset + 1))
        assert (proven.offset, proven.time_us, proven.changes) == (offset, entry.time_us, len(entry.record.changes))
        assert told["envelope"]["actor"] == entry.record.envelope.actor
        assert told["offset"] == offset
        assert [told["shown"][at]["t"] for at in range(len(made.shown))] == [
            msgspec.to_builtins(change)["t"] for change in entry.record.changes
        ]


def test_a_change_is_proven_without_the_others_of_its_record(filled: published.Published) -> None:
    signed = filled.publish()
    frame = filled.log.frame(302)
    assert frame.changes == 5
    for number in range(frame.changes):
        made = filled.prove(302, signed, [number])
        data = evidence.pack(made)
        proven, told = both(data, filled.policy)
        assert proven == (302, frame.time_us, 5)
        assert [*told["shown"]] == [number]
        hidden = [one.change for one in filled.prove(302, signed).shown if one.number != number]
        assert not any(change in evidence._pack_extra(made) for change in hidden)


def test_an_unsigned_proof_convinces_nobody_but_by_its_root(filled: published.Published) -> None:
    signed = filled.publish()
    unsigned = checkpoint.seal(signed.checkpoint, None)
    data = evidence.pack(filled.prove(3, unsigned))
    assert both(data, filled.policy) == (None, None)
    found = evidence.parse(data)
    assert evidence.check(found).offset == 3
    assert found.signed.unsigned


def test_a_proof_is_of_no_worth_under_the_policy_of_another_log(filled: published.Published, tmp_path: Path) -> None:
    other = published.Published(tmp_path)
    data = evidence.pack(filled.prove(3, filled.publish()))
    assert both(data, other.policy) == (None, None)
    assert both(data, other.policy.replace("quorum", f"log {filled.key.verifier.vkey}\nquorum"))[0] is not None
    other.close()


def parts_changed(made: evidence.Evidence) -> list[evidence.Evidence]:
    """Return what a forger would try."""
    leaf, shown = made.leaf, made.shown[0]
    flipped = [leaf[:at] + bytes([leaf[at] ^ 1]) + leaf[at + 1 :] for at in range(len(leaf))]
    head = made.signed.checkpoint
    grown = checkpoint.Signed(head._replace(size=head.size + 1), made.signed.note, made.signed.data)
    return [
        *(made._replace(leaf=one) for one in flipped),
        made._replace(envelope=made.envelope + b"x"),
        made._replace(envelope=made.envelope.replace(b"test", b"best")),
        made._replace(offset=made.offset + 1),
        made._replace(path=made.path[1:]),
        made._replace(path=made.path[::-1]),
        made._replace(path=[*made.path, bytes(32)]),
        made._replace(shown=[shown._replace(change=shown.change + b"x")]),
        made._replace(shown=[shown._replace(number=shown.number + 1)]),
        made._replace(shown=[shown._replace(path=[*shown.path, bytes(32)])]),
        made._replace(shown=[shown, shown]),
        made._replace(signed=grown._replace(data=head._replace(size=head.size + 1).text.encode() + b"\n")),
    ]


def test_whatever_a_forger_changes_is_refused_by_both(filled: published.Published) -> None:
    made = filled.prove(302, filled.publish(), [2])
    assert both(evidence.pack(made), filled.policy)[0] is not None
    whole = evidence._pack_extra(made)
    for extra in (whole + b"x", whole[:-1]):
        data = evidence.pack(made).replace(b64encode(whole), b64encode(extra))
        assert both(data, filled.policy) == (None, None), "nothing may follow, nothing may lack"
    for changed in parts_changed(made):
        assert both(evidence.pack(changed), filled.policy) == (None, None), changed


@pytest.mark.deep
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_byte_changed_anywhere_in_a_proof_is_refused_by_both(
    filled: published.Published, data: st.DataObject
) -> None:
    whole = evidence.pack(filled.prove(data.draw(st.integers(0, 303)), filled.publish()))
    at = data.draw(st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "insert", "drop", "double"]))
    changed = {
        "flip": whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
        "cut": whole[:at],
        "insert": whole[:at] + data.draw(st.binary(min_size=1, max_size=9)) + whole[at:],
        "drop": whole[:at] + whole[at + 1 :],
        "double": whole[:at] + whole[at : at + 40] + whole[at:],
    }[how]
    if changed == whole:
        return
    ours, theirs = both(changed, filled.policy)
    if ours is None and theirs is None:
        return
    # What remains: the name of the signer in another line, which nobody trusts, and which proves the same.
    assert evidence.parse(changed)._replace(signed=None) == evidence.parse(whole)._replace(signed=None)  # type: ignore[arg-type]
    assert evidence.parse(changed).signed.checkpoint == evidence.parse(whole).signed.checkpoint


@pytest.mark.deep
@given(st.binary(max_size=300) | st.text("c2sp.org/tlog-proof@v1\nextra index 0AAAA==— ", max_size=200).map(str.encode))
def test_whatever_comes_a_proof_is_read_or_refused(data: bytes) -> None:
    for whole in (
        data,
        b"c2sp.org/tlog-proof@v1\n" + data,
        b"c2sp.org/tlog-proof@v1\nextra " + data + b"\nindex 0\n\n",
    ):
        assert both(whole, "quorum none") == (None, None)


@pytest.mark.deep
@given(st.binary(max_size=400))
def test_whatever_the_extra_data_is_it_is_read_or_refused(extra: bytes) -> None:
    try:
        evidence._parse_extra(extra)
    except EvidenceError:
        return


def test_tiles_that_were_tampered_with_make_a_proof_that_does_not_hold(filled: published.Published) -> None:
    signed, shelf = filled.publish(), MemoryShelf()
    leaves = filled.leaves()
    leaves[7] = bytes(96)
    from evlog.merkle import leaf_hash

    Tiles(shelf).extend(0, leaves, [leaf_hash(leaf) for leaf in leaves])
    frame = filled.log.frame(3)
    made = evidence.make(frame, [0], Tiles(shelf).node(signed.checkpoint.size), signed)
    with pytest.raises(LogError, match="does not lead"):
        evidence.check(made)
