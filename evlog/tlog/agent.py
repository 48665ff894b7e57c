"""Keys in an ssh-agent: the agent signs, so that who writes to the store never holds the key. Source: RFC 9987.

Each message is `u32` bytes, a byte of type, its content; a string is `u32` bytes and the bytes. Integers are big-endian. An Ed25519
signature of SSH is over the bare data, so it is that of a note.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Final, NamedTuple

from evlog.errors import EvidenceError
from evlog.tlog.note import ED25519, VerifierKey, sign_line

VARIABLE: Final = "SSH_AUTH_SOCK"
START: Final = "AGENT+KEY+"
TIMEOUT_S: Final = 60.0  # A person may have to touch a token.
_KIND: Final = b"ssh-ed25519"
_REQUEST_IDENTITIES, _IDENTITIES = 11, 12
_SIGN_REQUEST, _SIGN_RESPONSE = 13, 14
_MESSAGE_BYTES_MAX: Final = 256 * 1024
_U32: Final = struct.Struct(">I")


class AgentIdentity(NamedTuple):
    """An Ed25519 key that an agent holds."""

    public: bytes
    comment: str


class AgentKey:
    """A key that signs notes through the agent that SSH_AUTH_SOCK names."""

    def __init__(self, verifier: VerifierKey) -> None:
        self.verifier = verifier

    def sign(self, text: str) -> str:
        """Return the line of this key's signature over a note's text. Raises as `signature`."""
        return sign_line(self.verifier.name, self.verifier.key_id, self.signature(text))

    def signature(self, text: str) -> bytes:
        """Return this key's signature over a text, 64 bytes. Raises EvidenceError where the agent does not sign."""
        key, data = self.verifier, text.encode()
        answer = _ask(_SIGN_REQUEST, _string(_blob(key.public)) + _string(data) + _U32.pack(0), _SIGN_RESPONSE)
        kind, rest = _take(_take(answer)[0])
        signature, _ = _take(rest)
        if kind != _KIND or not key.verifies(text, signature):
            raise EvidenceError("the ssh-agent answered with a signature that is not this key's")
        return signature

    def written(self) -> str:
        """Return what stands in the key's file: its public half, and that an agent has the other."""
        return START + self.verifier.vkey


def identities() -> list[AgentIdentity]:
    """Return the Ed25519 keys that the agent holds. Raises EvidenceError where there is no agent."""
    answer = _ask(_REQUEST_IDENTITIES, b"", _IDENTITIES)
    found = []
    (count,), answer = _U32.unpack(_exactly(answer, _U32.size)), answer[_U32.size :]
    for _ in range(count):
        blob, answer = _take(answer)
        comment, answer = _take(answer)
        kind, rest = _take(blob)
        if kind == _KIND:
            found.append(AgentIdentity(_take(rest)[0], comment.decode("utf-8", "replace")))
    return found


def key_named(name: str, comment: str) -> AgentKey:
    """Return the one key of the agent that bears a comment, as the key of a log. Raises EvidenceError where there is not one."""
    held = identities()
    fitting = [one for one in held if one.comment == comment]
    if len(fitting) != 1:
        there = ", ".join(repr(one.comment) for one in held) or "none"
        raise EvidenceError(f"{len(fitting)} Ed25519 keys of the ssh-agent are called {comment!r}; it holds: {there}")
    return AgentKey(VerifierKey(name, ED25519, fitting[0].public))


def _ask(kind: int, content: bytes, expected: int) -> bytes:
    place = os.environ.get(VARIABLE)
    if not place:
        raise EvidenceError(f"there is no ssh-agent: {VARIABLE} is not set")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            agent.settimeout(TIMEOUT_S)
            agent.connect(place)
            agent.sendall(_string(bytes([kind]) + content))
            (size,) = _U32.unpack(_receive(agent, _U32.size))
            if not 0 < size <= _MESSAGE_BYTES_MAX:
                raise EvidenceError(f"the ssh-agent answered with {size:,} bytes")
            answer = _receive(agent, size)
    except OSError as error:
        raise EvidenceError(f"{place}: the ssh-agent cannot be asked: {error}") from error
    if answer[0] != expected:
        raise EvidenceError("the ssh-agent refused: does it hold the key? `ssh-add -L` tells")
    return answer[1:]


def _receive(agent: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = agent.recv(size - len(data))
        if not more:
            raise EvidenceError("the ssh-agent hung up")
        data += more
    return data


def _blob(public: bytes) -> bytes:
    return _string(_KIND) + _string(public)


def _string(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data


def _take(data: bytes) -> tuple[bytes, bytes]:
    """Return the string at the front, and the rest."""
    (size,) = _U32.unpack(_exactly(data, _U32.size))
    found = _exactly(data[_U32.size :], size)
    return found, data[_U32.size + size :]


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise EvidenceError("the answer of the ssh-agent ends too early")
    return data[:size]
