"""Who may see and do what. A store without tokens is open to whoever reaches it, which is this machine alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from evlog.author import Caller
from mlmd import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from mlmd.serving.tokens import Role
    from mlmd.web.site import Site

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]", "::1")


class Guard(Protocol):
    """What decides who may do what. hosts: the names under which the site may be asked for, None for any."""

    hosts: Sequence[str] | None

    async def who(self, request: Request, role: Role) -> Caller:
        """Return who asks, if he has the role. Raises UnauthenticatedError, PermissionDeniedError."""
        ...

    def check_form(self, request: Request, fields: Sequence[tuple[str, str]]) -> None:
        """Raise PermissionDeniedError for a form that no page of ours sent."""
        ...

    def csrf_of(self, caller: Caller) -> str:
        """Return what a form of ours carries."""
        ...

    def asked_to_log_in(self, request: Request, form: str, error: Exception) -> Response | None:
        """Return where a browser goes that has to prove who it is; None for any other error."""
        ...

    def routes(self, site: Site) -> list[BaseRoute]:
        """Return the pages that the guard itself needs."""
        ...

    def middleware(self) -> list[Middleware]:
        """Return what the guard has to see of every request."""
        ...


class OpenGuard:
    """Everybody is welcome: the site is bound to this machine. Forms of other sites are not."""

    hosts: Sequence[str] | None = LOOPBACK

    async def who(self, request: Request, role: Role) -> Caller:
        """Return the person at this machine."""
        return Caller("local", "asserted", "evlog ui", request.client.host if request.client else "", None)

    def check_form(self, request: Request, fields: Sequence[tuple[str, str]]) -> None:
        """Raise PermissionDeniedError for a form of another site."""
        origin = request.headers.get("origin")
        if origin is None or origin.partition("://")[2] != request.headers.get("host"):
            raise errors.PermissionDeniedError("a form is taken from pages of this site alone")

    def csrf_of(self, caller: Caller) -> str:
        """Return nothing: the origin is enough where nobody logs in."""
        return ""

    def asked_to_log_in(self, request: Request, form: str, error: Exception) -> Response | None:
        """Return None: nobody logs in."""
        return None

    def routes(self, site: Site) -> list[BaseRoute]:
        """Return none."""
        return []

    def middleware(self) -> list[Middleware]:
        """Return none."""
        return []
