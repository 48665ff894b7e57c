"""The door of a store that is served: who comes in, as far as the role goes, and what of it is noted. The same for gRPC, pages and events.

A store without tokens has no door: what its server then does, it decides itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from mlmd import errors
from mlmd.serving.access import Access
from mlmd.serving.tokens import REACHES, Tokens, TokensError, check_lost, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmd.engine import Engine
    from mlmd.serving.tokens import Role, Token

AUTHORIZATION: Final = "authorization"
# How HTTP says what the door says.
HTTP_STATUS: Final = {
    errors.INVALID_ARGUMENT: 400,
    errors.UNAUTHENTICATED: 401,
    errors.PERMISSION_DENIED: 403,
    errors.RESOURCE_EXHAUSTED: 429,
    errors.UNAVAILABLE: 503,
}
AUTH: Final = "token"  # In the envelope of what is put with one.
_SCHEME: Final = "bearer"
_LOG: Final = logging.getLogger(__name__)
_Found = TypeVar("_Found")


class Bearer(NamedTuple):
    """Who came in."""

    actor: str
    role: Role

    def may(self, role: Role) -> bool:
        """Tell whether what is there for a role is there for him."""
        return role in REACHES[self.role]


class Asked(NamedTuple):
    """What somebody asks for. where: grpc, web, openlineage; peer: his address."""

    where: str
    what: str
    peer: str


class Gate:
    """The door of one store in a folder. Takes up tokens as they are added and removed."""

    def __init__(self, tokens: Tokens) -> None:
        """Make the door. Raises TokensError, InvalidArgumentError for a setting that is none."""
        tokens.known()
        self._tokens, self._access = tokens, Access(tokens.store)
        self._complained = ""

    def is_open(self) -> bool:
        """Tell whether the store has no tokens: nobody is asked for one. Raises UnavailableError where that cannot be told."""
        return self._told(self._tokens.known) is None

    def token(self, secret: str | None) -> Token | None:
        """Return the token of a secret, None where there is none. Raises UnavailableError."""
        return self._told(lambda: self._tokens.find(secret)) if secret else None

    def hashed(self, asked: str) -> Token | None:
        """Return the token whose secret has a hash, None where there is none. Raises UnavailableError."""
        return self._told(lambda: self._tokens.hashed(asked))

    def admit(self, secret: str | None, role: Role, asked: Asked) -> Bearer:
        """Let a caller in for what is there for a role. A refusal is noted; what comes of the rest, whoever answers notes.

        Raises UnauthenticatedError, PermissionDeniedError, UnavailableError.
        """
        if secret is None:
            self.note(None, asked, errors.UNAUTHENTICATED)
            raise errors.UnauthenticatedError(
                "this store asks who calls: send `authorization: Bearer SECRET`, or set EVLOG_TOKEN for a client of ours;"
                " `evlog token add NAME --role ROLE` makes one"
            )
        return self.admit_token(self.token(secret), role, asked)

    def admit_token(self, token: Token | None, role: Role, asked: Asked) -> Bearer:
        """Let the holder of a token in, as `admit`."""
        bearer = None if token is None else Bearer(token.name, token.role)
        try:
            if token is None or bearer is None:
                raise errors.UnauthenticatedError("this is no token of this store, or it was removed")
            if token.is_over():
                raise errors.UnauthenticatedError(
                    f"the token {token.name} has expired: `evlog token add` makes another"
                )
            if not bearer.may(role):
                raise errors.PermissionDeniedError(
                    f"{asked.what} is for the role {role}, the token {token.name} is a {token.role}'s"
                )
        except errors.StatusError as error:
            self.note(bearer, asked, error.error_code)
            raise
        return bearer

    def note(self, bearer: Bearer | None, asked: Asked, result: int | str) -> None:
        """Put a use into the access record. result: how it ended, as of mlmd.errors, or in the words of who was asked."""
        actor, role = (None, None) if bearer is None else bearer
        told = errors.NAMES[result] if isinstance(result, int) else result
        self._access.note(actor, role, asked.where, asked.what, told, asked.peer)

    def close(self) -> None:
        """Write what waits to be recorded."""
        self._access.close()

    def _told(self, look: Callable[[], _Found]) -> _Found:
        try:
            return look()
        except TokensError as error:
            if self._complained != error.message:  # Once, not with each request.
                self._complained = error.message
                _LOG.error("%s", error.message)
            raise errors.UnavailableError("who may call cannot be told: the log of the server says why") from None


def gate_of(engine: Engine) -> Gate | None:
    """Return the door of an open store, None for one in memory. Raises TokensError, also for tokens that were lost; InvalidArgumentError."""
    tokens = tokens_of(engine)
    if tokens is None:
        return None
    check_lost(engine, tokens)
    return Gate(tokens)


def secret_in(header: str | None) -> str | None:
    """Return the secret in an `authorization` header, None where there is none."""
    scheme, _, secret = (header or "").partition(" ")
    return (secret.strip() or None) if scheme.lower() == _SCHEME else None
