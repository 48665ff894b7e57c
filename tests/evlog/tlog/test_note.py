"""Notes and their keys: the vectors of the specification and of Go's sumdb/note, and whatever is no note."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evlog.errors import EvidenceError
from evlog.tlog import checkpoint, keys, note

# golang.org/x/mod/sumdb/note: its example, and its test with two signatures.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
# c2sp.org/tlog-checkpoint and tlog-cosignature: their examples.
COSIGNED = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
SALVATORE = """Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""


def test_the_example_of_the_go_library_is_signed_and_checked_alike() -> None:
    key = keys.parse(PETER_SECRET + "\n")
    assert key.verifier.vkey == PETER
    assert key.written() == PETER_SECRET
    assert key.sign(TEXT) == PETER_LINE
    found = note.parse(f"{TEXT}\n{PETER_LINE}".encode())
    assert found.text == TEXT
    assert found.signers([note.parse_vkey(PETER)]) == [key.verifier]


def test_of_several_signatures_those_of_known_keys_count() -> None:
    both = [note.parse_vkey(PETER), note.parse_vkey(ENOCH)]
    assert [key.vkey for key in both] == [PETER, ENOCH]
    found = note.parse(f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}".encode())
    assert found.signers(both) == both
    assert found.signers(both[1:]) == both[1:]
    assert found.signers([]) == []
    assert note.parse(f"{TEXT}\n{ENOCH_LINE}".encode()).signers(both[:1]) == [], "an unknown key is passed over"


def test_a_wrong_signature_of_a_known_key_makes_the_note_worthless() -> None:
    swapped = PETER_LINE.replace("ZJkuBS", "ZJkuBT")
    found = note.parse(f"{TEXT}\n{ENOCH_LINE}{swapped}".encode())
    with pytest.raises(EvidenceError, match="signature of PeterNeumann is wrong"):
        found.signers([note.parse_vkey(ENOCH), note.parse_vkey(PETER)])
    with pytest.raises(EvidenceError):
        note.parse(f"{TEXT.upper()}\n{PETER_LINE}".encode()).signers([note.parse_vkey(PETER)])


def test_the_examples_of_the_specifications_are_read() -> None:
    signed = checkpoint.parse(COSIGNED.encode())
    assert signed.checkpoint.origin == "example.com/behind-the-sofa"
    assert signed.checkpoint.size == 20852163
    assert signed.checkpoint.text == COSIGNED.partition("\n\n")[0] + "\n"
    assert [one.name for one in signed.note.signatures] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert int.from_bytes(signed.note.signatures[1].value[:8]) == 1679315147
    poem = note.parse(SALVATORE.encode())
    assert poem.text.count("\n") == 4, "an empty line may stand in a text"


def test_a_witness_signs_a_time_and_the_text() -> None:
    key = keys.new("witness.example")
    witness = note.VerifierKey("witness.example", note.COSIGNATURE, key.verifier.public)
    text = COSIGNED.partition("\n\n")[0] + "\n"
    value = 1679315147
    signature = key._private.sign(f"cosignature/v1\ntime {value}\n{text}".encode())
    line = note.sign_line(witness.name, witness.key_id, value.to_bytes(8) + signature)
    assert note.parse_vkey(witness.vkey) == witness
    assert note.parse(f"{text}\n{line}".encode()).signers([witness]) == [witness]
    later = note.sign_line(witness.name, witness.key_id, (value + 1).to_bytes(8) + signature)
    with pytest.raises(EvidenceError):
        note.parse(f"{text}\n{later}".encode()).signers([witness])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\nno dash\n",
        "text\n\n— name\n".encode(),
        "text\n\n— name AAAA".encode(),
        "text\n\n— na me AAAAAAAA\n".encode(),
        "text\n\n— name AAAA\n".encode(),
        "text\n\n— name AAAAAAAB=\n".encode(),
        "text\n\n— na+me AAAAAAAA\n".encode(),
        "text\r\n\n— name AAAAAAAA\n".encode(),
        "text\x1b[0m\n\n— name AAAAAAAA\n".encode(),
        b"text\xff\n\n\xe2\x80\x94 name AAAAAAAA\n",
        "\n\n— name AAAAAAAA\n".encode(),
        b"x" * (note.NOTE_BYTES_MAX + 1),
        ("text\n\n" + "— name AAAAAAAA\n" * 101).encode(),
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        note.parse(data)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("PeterNeumann", "PeterNeuman"),
        PETER[:-1],
        PETER + "=",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2Q==",
        note.VerifierKey("name", 2, bytes(32)).vkey,
    ],
)
def test_what_is_no_key_is_refused(vkey: str) -> None:
    with pytest.raises(EvidenceError):
        note.parse_vkey(vkey)


@pytest.mark.deep
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_comes_a_note_is_read_or_refused(data: bytes) -> None:
    try:
        found = note.parse(data)
    except EvidenceError:
        return
    lines = "".join(note.sign_line(one.name, one.key_id, one.value) for one in found.signatures)
    assert f"{found.text}\n{lines}".encode() == data, "what was read is what was written"


@pytest.mark.deep
@given(st.integers(0, 5), st.data())
def test_a_note_changed_anywhere_is_never_accepted(flips: int, data: st.DataObject) -> None:
    whole = bytearray(f"{TEXT}\n{PETER_LINE}".encode())
    for _ in range(flips + 1):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= data.draw(st.integers(1, 255))
    changed = bytes(whole)
    try:
        accepted = note.parse(changed).signers([note.parse_vkey(PETER)])
    except EvidenceError:
        return
    assert not accepted or changed == f"{TEXT}\n{PETER_LINE}".encode()
