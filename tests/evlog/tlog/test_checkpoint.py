"""Checkpoints: what may stand in one."""

from __future__ import annotations

import pytest

from evlog.errors import EvidenceError
from evlog.tlog import checkpoint, keys
from evlog.tlog.checkpoint import Checkpoint

ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


def test_a_checkpoint_is_signed_by_its_key() -> None:
    key = keys.new("evlog/one")
    signed = checkpoint.seal(Checkpoint("evlog/one", 3, bytes(32)), key)
    assert checkpoint.parse(signed.data) == signed
    assert signed.note.signers([key.verifier]) == [key.verifier]
    assert not signed.unsigned


def test_an_unsigned_checkpoint_says_so() -> None:
    signed = checkpoint.seal(Checkpoint("evlog/one", 3, bytes(32)), None)
    assert signed.data.endswith(b"\nunsigned\n\n")
    assert checkpoint.parse(signed.data) == signed
    assert signed.unsigned


def test_lines_after_the_root_are_allowed_and_signed() -> None:
    signed = checkpoint.parse(f"a\n1\n{ROOT}\nmore\nand more\n\n".encode())
    assert signed.checkpoint.size == 1
    assert signed.note.text.endswith("and more\n")


@pytest.mark.parametrize(
    "text",
    [
        "a\n1\n",
        f"\n1\n{ROOT}\n",
        f"a\n01\n{ROOT}\n",
        f"a\n-1\n{ROOT}\n",
        f"a\n\u0661\n{ROOT}\n",
        f"a\n{10**19}\n{ROOT}\n",
        f"a\n{2**63}\n{ROOT}\n",
        f"a\n1\n{ROOT[:-4]}\n",
        f"a\n1\n{ROOT[:-1]}\n",
        f"a\x9b\n1\n{ROOT}\n",
        f"a\n1\n{ROOT}\n\nmore\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError):
        checkpoint.parse(f"{text}\n".encode())
