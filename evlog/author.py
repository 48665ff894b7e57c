"""Who puts records: what every envelope of this process says."""

from __future__ import annotations

import copy
import getpass
import os
import secrets
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog.actors import SIGNED
from evlog.errors import EvidenceError
from evlog.records import RECORD_VERSION, Answered, Envelope

if TYPE_CHECKING:
    from evlog.actors import Signer

KEY_VARIABLE: Final = "EVLOG_ACTOR_KEY"
SAID_MAX: Final = 1_024  # Characters of what somebody says of himself: who he is, or why he puts.


class Caller(NamedTuple):
    """Who asks for one put through a server.

    transaction: 16 bytes of the caller's choice, so that sending the put again does not repeat it; None leaves it to us.
    subject: whose personal values are put, where they do not say it themselves. In no envelope.
    """

    actor: str
    auth: str
    application: str
    host: str
    reason: str | None = None
    transaction: bytes | None = None
    subject: str | None = None


class Author:
    """The source of envelopes. Unnamed facts come from the environment, else from the operating system.

    EVLOG_ACTOR, EVLOG_APPLICATION and EVLOG_REASON name who, through what and why; a name given this way or here is
    "asserted", the name of the operating system's user is "os". EVLOG_ACTOR_KEY names the file of an actor's key, who then signs
    each record: "signed". Raises EvidenceError for a key that cannot be used, or that is another actor's.
    """

    def __init__(self, *, actor: str | None = None, application: str | None = None, reason: str | None = None) -> None:
        asserted = actor or os.environ.get("EVLOG_ACTOR")
        self.actor, self.auth = (_text(asserted), "asserted") if asserted else (_os_user(), "os")
        self.signer: Signer | None = None
        if key := os.environ.get(KEY_VARIABLE):
            self._sign_with(read_key(Path(key)), self.actor if asserted else None)
        self.application = _text(
            application or os.environ.get("EVLOG_APPLICATION") or Path(sys.argv[0]).name or "python"
        )
        why = reason or os.environ.get("EVLOG_REASON")
        self.reason = _text(why) if why else None
        self.subject: str | None = None  # As of a Caller.
        self.host = socket.gethostname()
        self.pid = os.getpid()

    def acting(
        self,
        *,
        actor: str | None = None,
        reason: str | None = None,
        subject: str | None = None,
        signer: Signer | None = None,
    ) -> Author:
        """Return the author of what this process puts for another actor, reason or subject; what is None stays as it is.

        signer: the key of an actor, who signs each record. Raises EvidenceError where that is not the actor who is named.
        """
        other = copy.copy(self)
        if signer is not None:
            other._sign_with(signer, actor)  # noqa: SLF001 - a copy of this one
        elif actor is not None:
            other.actor, other.auth, other.signer = actor, "asserted", None
        if reason is not None:
            other.reason = reason
        if subject is not None:
            other.subject = subject
        return other

    def _sign_with(self, signer: Signer, actor: str | None) -> None:
        named = signer.verifier.name
        if actor not in (None, named):
            raise EvidenceError(f"the key is that of {named}, the actor is {actor}: nobody signs for somebody else")
        self.actor, self.auth, self.signer = named, SIGNED, signer

    def envelope(
        self,
        api: str,
        wall_us: int,
        caller: Caller | None = None,
        answered: Answered | None = None,
        *,
        sealed: bool = False,
    ) -> Envelope:
        """Return the envelope of one call of `api` made now, by this process or the caller that it speaks for.

        answered: given with a transaction that the caller chose; any other gets an id of its own. sealed: values are.
        """
        if caller is not None:
            return Envelope(
                RECORD_VERSION,
                caller.transaction or transaction_id(wall_us // 1000),
                wall_us,
                api,
                caller.actor,
                caller.auth,
                caller.application,
                caller.host,
                0,
                caller.reason,
                answered,
                sealed=sealed,
            )
        return Envelope(
            RECORD_VERSION,
            transaction_id(wall_us // 1000),
            wall_us,
            api,
            self.actor,
            self.auth,
            self.application,
            self.host,
            self.pid,
            self.reason,
            sealed=sealed,
        )


def read_key(path: Path) -> Signer:
    """Return the key of an actor in a file. Raises EvidenceError."""
    from evlog.tlog import keys  # noqa: PLC0415 - for those who sign

    return keys.read_any(path)


def clock_us() -> int:
    """Return the wall clock, microseconds since 1970."""
    return time.time_ns() // 1000


def transaction_id(time_ms: int) -> bytes:
    """Return a new UUIDv7: 48 bits of time, then chance. Source: RFC 9562 section 5.7."""
    chance = int.from_bytes(secrets.token_bytes(10))
    version, variant = 0x7 << 76, 0x2 << 62
    bits = (time_ms & 0xFFFF_FFFF_FFFF) << 80 | version | chance >> 4 & 0xFFF << 64 | variant | chance & (1 << 62) - 1
    return bits.to_bytes(16)


def _text(said: str) -> str:
    """Return what the environment or a command line says, as text: bytes that are none, which Python hands on, become escapes."""
    return said.encode(errors="backslashreplace").decode()


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container may run under a number without a name.
        return f"uid:{os.getuid()}"
