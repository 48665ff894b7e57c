"""Who may see and do what on the pages of a store with tokens: browsers log in with one, programs send it along.

| a request has                     | it comes from                                                                           |
| `authorization: Bearer SECRET`    | the holder of that token; no page elsewhere can make a browser send it                  |
| the cookie of a session           | the holder of the token that was shown to POST /login; HttpOnly, SameSite=Strict,        |
|                                   | and under TLS Secure. Ends with the token, with POST /logout, with the server, in 12 h   |
| neither                           | nobody: a browser is sent to /login                                                     |

As long as the store has no tokens, everybody is `local` and may do all: such a site has to be bound to this machine, and nobody else is answered.
A form has to come from a page of this very site, and to carry what only that page knows. A secret never stands in an address.
"""

from __future__ import annotations

import hmac
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from evlog.author import Caller
from mlmd import errors
from mlmd.places import is_loopback
from mlmd.serving.admission import AUTH, AUTHORIZATION, HTTP_STATUS, Asked, Bearer, secret_in
from mlmd.serving.tokens import hidden
from mlmd.web.guard import LOOPBACK
from mlmd.web.sessions import LIFE_S, Attempts, Sessions
from mlmd.web.site import read_form
from mlmd.web.verified import PATH as VERIFIED
from mlmd.web.view import inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mlmd.serving.admission import Gate
    from mlmd.serving.tokens import Role
    from mlmd.web.site import Site

LOGIN: Final = "/login"
LOGOUT: Final = "/logout"
CSRF: Final = "csrf"
LOCAL: Final = Bearer("local", "admin")
_APPLICATION: Final = "evlog ui"
_COOKIE: Final = "evlog-"  # And the log: cookies are common to all ports of a host, which may serve several stores.
_USE: Final = "evlog_use"


class Visitor(Caller):
    """Who asks for a page. session: of his browser, None where he needs none. role: how far he may go."""

    session: str | None
    role: Role


class TokenGuard:
    """Decides by the store's tokens: see `Guard`. gate: its door, None for a store in memory."""

    def __init__(self, gate: Gate | None, host: str, log_id: bytes) -> None:
        """Guard a site that listens at a host. Raises UnavailableError where the tokens cannot be told."""
        self._gate, self._bound = gate, is_loopback(host)
        self._sessions, self._attempts = Sessions(), Attempts()
        self._cookie = f"{_COOKIE}{log_id.hex()[:8]}"
        is_open = gate is None or gate.is_open()
        # A name that points here is enough to look like this site. With tokens that gives nothing away, and a proxy may have any name.
        self.hosts: Sequence[str] | None = LOOPBACK if is_open and self._bound else None

    async def who(self, request: Request, role: Role) -> Visitor:
        """Return who asks, if he has the role. Raises UnauthenticatedError, PermissionDeniedError, UnavailableError."""
        peer = _peer(request)
        if self._gate is None or self._gate.is_open():
            if not self._bound:
                raise errors.PermissionDeniedError(
                    "this store has no tokens, so its pages are for its own machine alone"
                )
            return _visitor(LOCAL, "asserted", peer, "")
        query = f"?{request.url.query}" if request.url.query else ""
        asked = Asked("web", hidden(f"{request.method} {request.url.path}{query}"), peer)
        secret, session = secret_in(request.headers.get(AUTHORIZATION)), None
        token_hash = None
        if secret is None and (session := request.cookies.get(self._cookie)):
            token_hash = self._sessions.token_hash(session)
        if token_hash is None:
            session = None
            bearer = self._gate.admit(secret, role, asked)
        else:
            bearer = self._gate.admit_token(self._gate.hashed(token_hash), role, asked)
        if (
            request.url.path != VERIFIED
        ):  # An open page asks for it again and again, by itself: that is no use of what is held.
            setattr(request.state, _USE, (bearer, asked))
        return _visitor(bearer, AUTH, peer, session)

    def csrf_of(self, caller: Caller) -> str:
        """Return what a form of ours carries."""
        session = getattr(caller, "session", None)
        return "" if session is None else self._sessions.csrf(session)

    def check_form(self, request: Request, fields: Sequence[tuple[str, str]]) -> None:
        """Raise PermissionDeniedError for a form that no page of ours sent. One with a token in its header needs none."""
        self._check_origin(request)
        if self._gate is not None and not self._gate.is_open() and secret_in(request.headers.get(AUTHORIZATION)):
            return
        session = "" if self._gate is None or self._gate.is_open() else request.cookies.get(self._cookie, "")
        sent = next((value for name, value in fields if name == CSRF), "")
        if not hmac.compare_digest(sent.encode(), self._sessions.csrf(session).encode()):
            raise errors.PermissionDeniedError("this form is not of a page of now: load the page again, then send it")

    def _check_origin(self, request: Request) -> None:
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
        foreign = origin is not None and origin.partition("://")[2] != request.headers.get("host")
        if foreign or site not in ("same-origin", "none"):
            raise errors.PermissionDeniedError("a form is taken from pages of this site alone")

    def asked_to_log_in(self, request: Request, form: str, error: Exception) -> Response | None:
        """Return where a browser goes that has to prove who it is; None for any other error."""
        if form or not isinstance(error, errors.UnauthenticatedError) or not _is_browser(request):
            return None
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{LOGIN}?next={quote(here, safe='/')}" if request.method == "GET" else LOGIN, 303)

    def _asks(self) -> bool:
        return self._gate is not None and not self._gate.is_open()

    def middleware(self) -> list[Middleware]:
        """Return what notes how each use ended."""
        return [] if self._gate is None else [Middleware(_Noting, gate=self._gate)]

    def routes(self, site: Site) -> list[BaseRoute]:
        """Return the page to log in, and what its forms do."""

        def answered(function: Any) -> Any:
            async def endpoint(request: Request) -> Response:
                try:
                    answer: Response = await function(site, request)
                except Exception as error:  # noqa: BLE001 - every failure is an answer
                    return site.refused(request, "", error)
                return answer

            return endpoint

        return [
            Route(LOGIN, answered(self._login_page), methods=["GET"]),
            Route(LOGIN, answered(self._login), methods=["POST"]),
            Route(LOGOUT, answered(self._logout), methods=["POST"]),
        ]

    async def _login_page(self, site: Site, request: Request) -> Response:
        to = inside(request.query_params.get("next", ""))
        return self._page(site, to) if self._asks() else RedirectResponse(to, 303)

    def _page(self, site: Site, to: str, said: str = "", status: int = 200, wait_s: float = 0) -> Response:
        text = site.templates.get_template("login.html").render(site=site, to=to, said=said)
        headers = {"retry-after": str(ceil(wait_s))} if wait_s else None
        return Response(text, status, headers, "text/html")

    async def _login(self, site: Site, request: Request) -> Response:
        """Begin a session for who shows a token."""
        self._check_origin(request)
        fields = dict(await read_form(request))
        to, peer = inside(fields.get("next", "")), _peer(request)
        if self._gate is None or not self._asks():
            return RedirectResponse(to, 303)
        if wait_s := self._attempts.wait_s(peer):
            return self._page(site, to, f"too many attempts: wait {ceil(wait_s)} s", 429, wait_s)
        secret = fields.get("token", "").strip()
        asked = Asked("web", f"POST {LOGIN}", peer)
        try:
            token = await run_in_threadpool(self._gate.token, secret)
            bearer = self._gate.admit_token(token, "reader", asked)
        except errors.UnauthenticatedError as error:
            self._attempts.failed(peer)
            return self._page(site, to, error.message if secret else "no token was given", 401)
        assert token is not None, "it was let in"
        setattr(request.state, _USE, (bearer, asked))
        answer = RedirectResponse(to, 303)
        answer.set_cookie(
            self._cookie,
            self._sessions.begin(token.hash),
            max_age=LIFE_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def _logout(self, site: Site, request: Request) -> Response:
        """End the session of the browser."""
        fields = await read_form(request)
        session = request.cookies.get(self._cookie)
        if session and self._sessions.token_hash(session) is not None:
            self.check_form(request, fields)
            self._sessions.end(session)
        answer = RedirectResponse(LOGIN, 303)
        answer.delete_cookie(self._cookie, httponly=True, samesite="strict")
        return answer


class _Noting:
    """Middleware: notes how what was let in ended, and tells a program what is asked for."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                if (use := state.pop(_USE, None)) is not None:
                    bearer, asked = use
                    self._gate.note(bearer, asked, str(message["status"]))
                if message["status"] == HTTP_STATUS[errors.UNAUTHENTICATED]:
                    MutableHeaders(scope=message)["www-authenticate"] = "Bearer"
            await send(message)

        await self._app(scope, receive, send_on)


def _visitor(bearer: Bearer, auth: str, peer: str, session: str | None) -> Visitor:
    made = Visitor(bearer.actor, auth, _APPLICATION, peer)
    made.session, made.role = session, bearer.role
    return made


def _peer(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
