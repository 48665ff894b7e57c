"""Keys in an ssh-agent: the real one signs, and whatever another answers is told in words."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evlog.errors import EvidenceError
from evlog.tlog import agent, keys, note

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = "evlog/one\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ssh-agent that holds two Ed25519 keys and an RSA key."""
    if not all(map(shutil.which, ("ssh-agent", "ssh-add", "ssh-keygen"))):
        pytest.skip("OpenSSH is not installed")
    with tempfile.TemporaryDirectory(prefix="evlog-") as folder:  # The path of a socket must be short.
        place = Path(folder)
        process = subprocess.Popen(["ssh-agent", "-D", "-a", place / "socket"], stdout=subprocess.DEVNULL)
        try:
            while not (place / "socket").exists():
                assert process.poll() is None
            monkeypatch.setenv("SSH_AUTH_SOCK", str(place / "socket"))
            for comment, kind in (("evlog", "ed25519"), ("twice", "ed25519"), ("other", "rsa")):
                file = place / comment
                subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", kind, "-C", comment, "-f", file], check=True)
                subprocess.run(["ssh-add", "-q", file], check=True, capture_output=True)
            yield
        finally:
            process.terminate()
            process.wait()


@pytest.mark.usefixtures("real")
def test_the_agent_of_openssh_signs_notes(tmp_path: Path) -> None:
    key = agent.key_named("evlog/one", "evlog")
    assert {one.comment for one in agent.identities()} == {"evlog", "twice"}
    found = note.parse(f"{TEXT}\n{key.sign(TEXT)}".encode())
    assert found.signers([key.verifier]) == [key.verifier]
    keys.write(key, tmp_path / "key")
    again = keys.read(tmp_path / "key", "evlog/one")
    assert again.verifier == key.verifier
    assert again.sign(TEXT) == key.sign(TEXT)
    subprocess.run(["ssh-add", "-q", "-D"], check=True, capture_output=True)
    with pytest.raises(EvidenceError, match="does it hold the key"):
        again.sign(TEXT)
    with pytest.raises(EvidenceError, match="it holds: none"):
        agent.key_named("evlog/one", "evlog")


@contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, data: bytes) -> Iterator[None]:
    """Let a program answer one message with some bytes, where an agent should be."""
    with tempfile.TemporaryDirectory(prefix="evlog-") as folder, socket.socket(socket.AF_UNIX) as server:
        path = f"{folder}/socket"
        server.bind(path)
        server.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", path)

        def answer() -> None:
            one, _ = server.accept()
            with one:
                one.recv(100_000)
                one.sendall(data)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


OTHER = framed(b"ssh-ed25519") + framed(bytes(64))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        framed(b""),
        framed(b"\x05"),
        framed(b"\x0e"),
        framed(b"\x0e\0\0\0\x09x"),
        framed(b"\x0e" + framed(b"")),
        framed(b"\x0e" + framed(framed(b"ssh-rsa") + framed(bytes(64)))),
        framed(b"\x0e" + framed(OTHER)),
        framed(b"\x0c\0\0\0\x05"),
        b"\xff\xff\xff\xff",
    ],
)
def test_whatever_an_agent_answers_is_a_signature_or_told_in_words(
    monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    key = agent.AgentKey(keys.new("evlog/one").verifier)
    with answering(monkeypatch, data), pytest.raises(EvidenceError, match="ssh-agent"):
        key.sign(TEXT)
    with answering(monkeypatch, data), pytest.raises(EvidenceError, match="ssh-agent"):
        agent.identities()


def test_without_an_agent_nothing_is_signed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(EvidenceError, match="there is no ssh-agent"):
        agent.identities()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "none"))
    with pytest.raises(EvidenceError, match="cannot be asked"):
        agent.identities()
    witness = note.VerifierKey("evlog/one", note.COSIGNATURE, bytes(32))
    for text in ("AGENT+KEY+", "AGENT+KEY+x", f"AGENT+KEY+{witness.vkey}"):
        with pytest.raises(EvidenceError):
            keys.parse(text)
