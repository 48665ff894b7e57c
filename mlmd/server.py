"""The gRPC server of a store: listen, say when ready, drain when told to stop.

Threads, not asyncio: a put waits in the engine's line for its group, a read takes microseconds on a connection of its thread.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mlmd import service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlmd.engine import Engine

MESSAGE_BYTES_MAX: Final = 100_000_000
WORKERS: Final = 32  # As many puts can share a sync; a thread that waits costs nothing but its stack.
DRAIN_S: Final = 30.0


class ListenError(Exception):
    """The server cannot listen where it was told to, or not with these certificates."""


@dataclass(frozen=True)
class Tls:
    """PEM texts. ca: of the callers' certificates; given, callers must prove one."""

    key: bytes
    certificate: bytes
    ca: bytes | None = None


@dataclass(frozen=True)
class Options:
    """How to serve. port: 0 for any free one. channel: further options of gRPC's core, by name."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = WORKERS
    message_bytes_max: int = MESSAGE_BYTES_MAX
    tls: Tls | None = None
    channel: Sequence[tuple[str, int | str]] = field(default_factory=tuple)


class Server:
    """A store's server. The engine is the caller's, to be closed after `stop`."""

    def __init__(self, engine: Engine, options: Options) -> None:
        """Listen. Raises ListenError."""
        settings = [
            ("grpc.max_receive_message_length", options.message_bytes_max),
            ("grpc.max_send_message_length", options.message_bytes_max),
            ("grpc.so_reuseport", 0),  # Else a second server on the port would take half of the calls.
            *options.channel,
        ]
        self._pool = ThreadPoolExecutor(options.workers, thread_name_prefix="evlog")
        self._server = grpc.server(self._pool, options=settings)
        self._server.add_generic_rpc_handlers((service.handlers(engine),))
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (service.NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self.host, self.port = options.host, self._listen(options)

    def _listen(self, options: Options) -> int:
        address = f"[{options.host}]:{options.port}" if ":" in options.host else f"{options.host}:{options.port}"
        try:
            if options.tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, _credentials(options.tls))
        except RuntimeError as error:
            raise ListenError(f"{address}: {error}") from None
        if port == 0:
            raise ListenError(f"{address}: cannot listen there")
        return port

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()
        for name in ("", service.NAME):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, drain_s: float = DRAIN_S) -> None:
        """Refuse new calls, let those that run finish, then let go of the port."""
        self._health.enter_graceful_shutdown()
        self._server.stop(drain_s).wait()
        self._pool.shutdown()


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], root_certificates=tls.ca, require_client_auth=tls.ca is not None
    )


@contextmanager
def told_to_end() -> Iterator[Callable[[], object]]:
    """Take SIGTERM and SIGINT from now on; yields what waits for the first of them. From the main thread alone.

    A handler runs in the main thread, between any two of its steps: it must not take a lock that the waiter may hold at that moment,
    as that of a `threading.Event`. A byte in a pipe needs none.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)

    def handle(*_: object) -> None:
        with suppress(BlockingIOError):  # Full: it was told often enough.
            os.write(tell, b"!")

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: os.read(told, 1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(told)
        os.close(tell)
