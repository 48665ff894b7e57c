"""Sessions of browsers: which token a browser has shown. In memory, so they end with the server; and what their forms prove themselves by."""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict, deque
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

LIFE_S: Final = 12 * 3600
_ID_BYTES: Final = 32
_SESSIONS_MAX: Final = 10_000  # Of more, the oldest ends.
_FAILED_MAX: Final = 10  # Logins of one peer that may fail in _FAILED_S.
_FAILED_S: Final = 60.0
_PEERS_MAX: Final = 1_000


class _Session(NamedTuple):
    token_hash: str
    until_s: float


class Sessions:
    """The sessions of one server. clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._key = clock, secrets.token_bytes(_ID_BYTES)
        self._lock = Lock()  # Held for what follows.
        self._open: OrderedDict[bytes, _Session] = (
            OrderedDict()
        )  # By hash: how long a look-up takes tells nothing of an id.

    def begin(self, token_hash: str) -> str:
        """Return the id of a new session of the token with a hash."""
        made = secrets.token_urlsafe(_ID_BYTES)
        with self._lock:
            self._open[_hash(made)] = _Session(token_hash, self._clock() + LIFE_S)
            if len(self._open) > _SESSIONS_MAX:
                self._open.popitem(last=False)
        return made

    def token_hash(self, session: str) -> str | None:
        """Return the hash of the token of a session, None for one that is over or never was."""
        with self._lock:
            found = self._open.get(_hash(session))
            if found is None or self._clock() >= found.until_s:
                self._open.pop(_hash(session), None)
                return None
        return found.token_hash

    def end(self, session: str) -> None:
        """End a session."""
        with self._lock:
            self._open.pop(_hash(session), None)

    def csrf(self, session: str) -> str:
        """Return what forms of a session carry. A page elsewhere can neither read nor make it."""
        return hmac.digest(self._key, session.encode(errors="replace"), "sha256").hex()


class Attempts:
    """Logins that failed, by peer: who fails too often waits. clock: as above."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()  # Held for what follows.
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, peer: str) -> float:
        """Return how long a peer has to wait for another attempt, 0 for one that need not."""
        with self._lock:
            failed = self._failed.get(peer)
            if failed is None or len(failed) < _FAILED_MAX:
                return 0
            return max(0.0, failed[0] + _FAILED_S - self._clock())

    def failed(self, peer: str) -> None:
        """Remember that a login of a peer failed."""
        with self._lock:
            self._failed.setdefault(peer, deque(maxlen=_FAILED_MAX)).append(self._clock())
            self._failed.move_to_end(peer)
            if len(self._failed) > _PEERS_MAX:
                self._failed.popitem(last=False)


def _hash(session: str) -> bytes:
    return sha256(session.encode(errors="replace")).digest()
