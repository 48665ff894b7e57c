"""An HTTP server in a thread of its own: it listens, answers by an ASGI application, and drains when told to stop.

Whoever connects and then says nothing, or sends half a request, or takes no answer, would keep a place for as long as he likes, and needs no
token for it. So where connections become many, the one that has waited for its client the longest is closed: no number of them keeps others out.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from mlmd.serving.life import ListenError
from projections.errors import MissingLibraryError

try:
    import h11
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError:
    raise MissingLibraryError("uvicorn", extra="ui") from None

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

_WAITING_MAX: Final = 256  # Requests at a time; one more is answered with 503.
CONNECTIONS_MAX: Final = 200  # Fewer, so that it is not reached by connections on which nothing is asked.
_STOP_S: Final = 10.0


@dataclass(frozen=True)
class TlsFiles:
    """PEM files. ca: of the callers' certificates; given, callers must prove one."""

    key: Path
    certificate: Path
    ca: Path | None = None


class Beside(Protocol):
    """What goes on in the background while a server answers."""

    def start(self) -> None:
        """Begin."""
        ...

    def close(self) -> None:
        """End."""
        ...


class _Connection(H11Protocol):
    """A connection: makes room for itself where there are too many."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # As its base has it.
        """Begin."""
        self.since_s = self.loop.time()
        super().connection_made(transport)
        others: Any = self.connections - {self}
        if len(others) >= CONNECTIONS_MAX and (idle := [one for one in others if one.waits]):
            longest = min(idle, key=lambda one: one.since_s)
            # Its end is told only when the loop comes round again: others may come before.
            self.connections.discard(longest)
            longest.transport.abort()

    def on_response_complete(self) -> None:
        """Note when it began to wait for the next request."""
        self.since_s = self.loop.time()
        super().on_response_complete()

    @property
    def waits(self) -> bool:
        """Tell whether it is the client's turn: to send the rest of a request, or to take an answer."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY) or self.flow.write_paused


class HttpServer:
    """A server at work. `host`, `port`: where it listens; `url`: as a browser is told."""

    def __init__(
        self,
        application: ASGIApp,
        host: str,
        port: int,
        tls: TlsFiles | None = None,
        *,
        beside: Beside | None = None,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Listen. port: 0 for any free one. Raises ListenError.

        beside: starts and ends with it. ending: called when it is told to stop, to end answers that would last.
        """
        import ssl  # noqa: PLC0415 - most listen without

        certificates: dict[str, Any] = {}
        if tls is not None:
            certificates = {"ssl_keyfile": str(tls.key), "ssl_certfile": str(tls.certificate)}
            if tls.ca is not None:
                certificates |= {"ssl_ca_certs": str(tls.ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http=_Connection,
            h11_max_incomplete_event_size=1 << 16,  # A link may carry a question in SQL.
            loop="asyncio",
            server_header=False,
            proxy_headers=False,  # Who calls is who connects.
            limit_concurrency=_WAITING_MAX,
            timeout_graceful_shutdown=int(_STOP_S),
            **certificates,
        )
        try:
            config.load()
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family)
            # Else the second part of an answer waits 40 ms for the browser to acknowledge the first; asyncio sets it on sockets of its own alone.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, ValueError) as error:  # An SSLError is an OSError.
            raise ListenError(
                f"{host}:{port}: cannot listen there: {getattr(error, 'strerror', None) or error}"
            ) from None
        self.host, self.port = host, int(self._socket.getsockname()[1])
        named = f"[{host}]" if ":" in host else host
        self.url = f"{'http' if tls is None else 'https'}://{named}:{self.port}/"
        self._server, self._beside, self._ending = uvicorn.Server(config), beside, ending
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="http", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        if self._beside is not None:
            self._beside.start()
        self._thread.start()

    def stop(self) -> None:
        """Let requests that run finish, then let go of the port."""
        self._ending()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(2 * _STOP_S)
        self._socket.close()
        if self._beside is not None:
            self._beside.close()
