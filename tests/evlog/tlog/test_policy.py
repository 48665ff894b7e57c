"""Policies: quorums of witnesses, and every line that a policy may not have."""

from __future__ import annotations

import itertools

import published
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evlog.errors import EvidenceError
from evlog.tlog import checkpoint, keys, note, policy
from evlog.tlog.checkpoint import Checkpoint

LOG = keys.SigningKey("evlog/one", bytes(32))
OTHER = keys.SigningKey("evlog/two", b"2" * 32)
WITNESSES = {name: keys.SigningKey(f"{name}.example", name.encode() * 16) for name in ("X1", "X2", "X3", "Y1", "Y2")}
VKEYS = {
    name: note.VerifierKey(key.verifier.name, note.COSIGNATURE, key.verifier.public) for name, key in WITNESSES.items()
}
LINES = [f"log {LOG.verifier.vkey} https://example.com/"]
LINES += [f"\twitness  {name} {key.vkey}" for name, key in VKEYS.items()]
GROUPS = ["group X 2 X1 X2 X3", "group Y any Y1 Y2", "# a comment \u00e9", "", "group XY all X Y"]


def cosigned(*names: str, key: keys.SigningKey = LOG) -> checkpoint.Signed:
    """Return a checkpoint of the log, cosigned by witnesses."""
    signed = checkpoint.seal(Checkpoint("evlog/one", 3, bytes(32)), key)
    data = signed.data
    for name in names:
        message = f"cosignature/v1\ntime 7\n{signed.note.text}".encode()
        value = (7).to_bytes(8) + WITNESSES[name]._private.sign(message)
        data += note.sign_line(VKEYS[name].name, VKEYS[name].key_id, value).encode()
    return checkpoint.parse(data)


def text_of(*lines: str) -> bytes:
    return "\n".join(lines).encode() + b"\n"


@pytest.mark.parametrize("names", [names for size in range(6) for names in itertools.combinations(WITNESSES, size)])
def test_a_quorum_is_reached_by_those_who_make_it_up(names: tuple[str, ...]) -> None:
    signed, verifier = cosigned(*names), published.verifier()
    enough_x, some_y = len({"X1", "X2", "X3"} & {*names}) >= 2, bool({"Y1", "Y2"} & {*names})
    for quorum, expected in (("XY", enough_x and some_y), ("X", enough_x), ("Y1", "Y1" in names), ("none", True)):
        text = text_of(*LINES, *GROUPS, f"quorum {quorum}")
        agreed = published.outcome(lambda text=text: policy.parse(text).check(signed), EvidenceError)
        assert (agreed is not None) == expected
        assert agreed is None or agreed == (["evlog/one"], [*names])
        found = published.outcome(
            lambda text=text: verifier.check_checkpoint(signed.data, text.decode()), verifier.Wrong
        )
        assert (found is not None) == expected, "the verifier agrees"


def test_only_a_log_of_the_policy_counts() -> None:
    with pytest.raises(EvidenceError, match="no log of the policy signed"):
        policy.parse(text_of(f"log {OTHER.verifier.vkey}", "quorum none")).check(cosigned())
    with pytest.raises(EvidenceError, match="nobody signed"):
        unsigned = checkpoint.seal(Checkpoint("evlog/one", 3, bytes(32)), None)
        policy.parse(text_of(LINES[0], "quorum none")).check(unsigned)
    with pytest.raises(EvidenceError, match="trusts: none"):
        policy.parse(b"quorum none\n").check(cosigned())


def test_a_key_of_another_log_cannot_speak_for_this_one() -> None:
    both = text_of(f"log {LOG.verifier.vkey}", f"log {OTHER.verifier.vkey}", "quorum none")
    with pytest.raises(EvidenceError, match="no log of the policy"):
        policy.parse(both).check(cosigned(key=OTHER))


WRONG = [
    b"",
    b"quorum",
    b"quorum nobody",
    b"quorum none\nquorum none",
    b"quorum none none",
    b"log",
    b"log x",
    b"hello world",
    b"log \x00",
    text_of(LINES[0], LINES[0], "quorum none"),
    text_of(f"log {VKEYS['X1'].vkey}", "quorum none"),
    text_of(f"witness X1 {LOG.verifier.vkey}", "quorum none"),
    text_of(f"witness none {VKEYS['X1'].vkey}", "quorum none"),
    text_of(LINES[1], LINES[1].replace("X1", "X9"), "quorum none"),
    text_of(LINES[1], LINES[2].replace("X2 ", "X1 "), "quorum none"),
    text_of("group G all X1", LINES[1], "quorum none"),
    text_of(LINES[1], "group G 2 X1", "quorum none"),
    text_of(LINES[1], "group G 0 X1", "quorum none"),
    text_of(LINES[1], "group G 01 X1", "quorum none"),
    text_of(LINES[1], "group G all", "quorum none"),
    text_of(LINES[1], "group G all X1 X1", "quorum none"),
    text_of(LINES[1], "group G all X1", "group H all X1", "quorum none"),
    text_of(LINES[1], "group G all none", "quorum none"),
    text_of(LINES[1], "group G all G", "quorum none"),
    text_of(LINES[1], "group X1 all X1", "quorum none"),
    text_of("quorum X1", LINES[1]),
]


@pytest.mark.parametrize("data", WRONG)
def test_a_policy_that_does_not_say_what_a_policy_says_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        policy.parse(data)
    verifier = published.verifier()
    if b"\0" not in data:
        with pytest.raises(verifier.Wrong):
            verifier.parse_policy(data.decode())


WORDS = ["log", "witness", "group", "quorum", "none", "all", "any", "1", "X1", "G", "#", "\t", "\n", "\x85", "\ud800"]
WORDS += [LOG.verifier.vkey, VKEYS["X1"].vkey]


@pytest.mark.deep
@given(st.binary(max_size=100) | st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
def test_whatever_comes_a_policy_is_read_or_refused_and_the_verifier_agrees(text: bytes | str) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    verifier, signed = published.verifier(), cosigned("X1")
    found = published.outcome(lambda: policy.parse(data).check(signed), EvidenceError)
    same = data.decode("utf-8", "surrogateescape")
    other = published.outcome(lambda: verifier.check_checkpoint(signed.data, same), verifier.Wrong)
    assert other is not None or found is None
    assert other is None or found is not None or any(byte < 32 and byte not in b"\t\n" for byte in data) or 127 in data
