"""What every answer says to the browser, and under which names the site may be asked for."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.responses import Response

from mlmd.display.svg import STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STYLE_HASH: Final = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' 'sha256-{_STYLE_HASH}'",  # The one style that our pictures bring along.
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_KEPT: Final = "public, max-age=31536000, immutable"


class Headers:
    """Middleware: refuses foreign names of the host, which a page elsewhere may have let point here; adds headers."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._hosts is not None and _host(scope) not in self._hosts:
            told = "this site is not to be had under that name: open it as http://127.0.0.1 with its port\n"
            await Response(told, 421, media_type="text/plain")(scope, receive, send)
            return
        kept = scope["path"].startswith("/static/") and bool(scope["query_string"])

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = POLICY
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "same-origin"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
                headers.setdefault("cache-control", _KEPT if kept else "private, no-cache")
            await send(message)

        await self._app(scope, receive, send_on)


def _host(scope: Scope) -> str:
    """Return the name that was asked for, without the port."""
    host: str = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host


def json_response(told: Any, status: int = 200) -> Response:
    """Return plain values as an answer."""
    return Response(msgspec.json.encode(told), status, media_type="application/json")
