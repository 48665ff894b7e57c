"""The gRPC server of a store: listen, say when ready, drain when told to stop.

Threads, not asyncio: a put waits in the engine's line for its group, a read takes microseconds on a connection of its thread.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from mlmd.serving import service
from mlmd.serving.admission import gate_of
from mlmd.serving.awaited import Awaited
from mlmd.serving.life import ListenError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlmd.engine import Engine
    from mlmd.serving.admission import Gate

MESSAGE_BYTES_MAX: Final = 100_000_000
WORKERS: Final = 32  # As many puts can share a sync; a thread that waits costs nothing but its stack.
DRAIN_S: Final = 30.0


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


class _Streams:
    """Calls that last as long as their callers like. No work waits in them, so a server that drains does not wait for them."""

    def __init__(self) -> None:
        self._lock = Lock()  # Held for what follows.
        self._open: set[Any] = set()
        self._ended = False

    def add(self, context: Any) -> None:
        """Take in a stream that begins; one that comes too late is ended at once."""
        with self._lock:
            self._open.add(context)
            ended = self._ended
        if not context.add_callback(lambda: self._forget(context)):
            self._forget(context)  # Over already.
        if ended:
            context.cancel()

    def _forget(self, context: Any) -> None:
        with self._lock:
            self._open.discard(context)

    def end(self) -> None:
        """End all streams, also those yet to come."""
        with self._lock:
            self._ended = True
            streams = list(self._open)
        for context in streams:
            context.cancel()


class _Health(health.HealthServicer):
    """Health; a watch is a stream."""

    def __init__(self, streams: _Streams) -> None:
        super().__init__()
        self._streams = streams

    def Watch(self, request: Any, context: grpc.ServicerContext, send_response_callback: Any = None) -> Any:  # noqa: N802
        """Say how a service is, and each time that it changes."""
        self._streams.add(context)
        return super().Watch(request, context, send_response_callback)


class _Reflection(reflection.ReflectionServicer):
    """Reflection; each of its calls is a stream, and holds a worker. gate: the door of the store, if it has one. most: calls at a time."""

    def __init__(self, names: Sequence[str], streams: _Streams, gate: Gate | None, most: int) -> None:
        super().__init__(names)
        self._streams, self._gate = streams, gate
        self._most, self._places = most, BoundedSemaphore(most)

    def ServerReflectionInfo(self, request_iterator: Iterable[Any], context: Any) -> Any:  # noqa: N802
        """Answer questions about the messages of the service."""
        if self._gate is not None:
            service.admit_or_abort(self._gate, context, "ServerReflectionInfo")
        if not self._places.acquire(blocking=False):
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self._most} ask for reflection already: ask again later"
            )
        if not context.add_callback(self._places.release):
            self._places.release()  # Over already.
        self._streams.add(context)
        return super().ServerReflectionInfo(request_iterator, context)


class Server:
    """A store's server. The engine is the caller's, to be closed after `stop`."""

    def __init__(self, engine: Engine, options: Options) -> None:
        """Listen. Raises ListenError, TokensError."""
        self._gate = gate_of(engine)
        settings = [
            ("grpc.max_receive_message_length", options.message_bytes_max),
            ("grpc.max_send_message_length", options.message_bytes_max),
            ("grpc.so_reuseport", 0),  # Else a second server on the port would take half of the calls.
            *options.channel,
        ]
        self._pool = ThreadPoolExecutor(options.workers, thread_name_prefix="evlog")
        self._server = grpc.server(self._pool, options=settings)
        self._awaited = Awaited(options.workers)
        self._server.add_generic_rpc_handlers((service.handlers(engine, self._gate, self._awaited),))
        self._streams = _Streams()
        self._health = _Health(self._streams)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (service.NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            _Reflection(names, self._streams, self._gate, max(1, options.workers // 8)), self._server
        )
        self.host, self.port = options.host, self._listen(options)

    def _listen(self, options: Options) -> int:
        address = f"[{options.host}]:{options.port}" if ":" in options.host else f"{options.host}:{options.port}"
        try:
            if options.tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, _credentials(options.tls))
        except RuntimeError as error:
            which = "" if options.tls is None else " or not with this key and certificate"
            raise ListenError(f"{address}: cannot listen there{which}: {error}") from None
        if port == 0:
            raise ListenError(f"{address}: cannot listen there")
        return port

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()
        self._awaited.start()
        for name in ("", service.NAME):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, drain_s: float = DRAIN_S) -> None:
        """Refuse new calls, let those that run finish, then let go of the port."""
        drained = self._server.stop(drain_s)
        self._awaited.drain()
        self._health.enter_graceful_shutdown()  # Waits for those who watch to take it in, so it comes second.
        self._streams.end()
        drained.wait()
        self._awaited.stop()
        self._pool.shutdown()
        if self._gate is not None:
            self._gate.close()


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], root_certificates=tls.ca, require_client_auth=tls.ca is not None
    )
