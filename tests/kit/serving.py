"""A server of a store, in this process or in one of its own, for tests and measurements."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import grpc

from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import open_folder, open_memory
from mlmd.serving.server import Options, Server
from mlmd.serving.service import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def served(engine: Engine | None = None, **options: Any) -> Iterator[Server]:
    """Serve a store, one in memory if none is given, on a free port of this process."""
    own = engine is None
    engine = engine or Engine(open_memory())
    server = Server(engine, Options(port=0, **options))
    server.start()
    try:
        yield server
    finally:
        server.stop(5)
        if own:
            engine.close()


@contextmanager
def reached(place: Path, by: str) -> Iterator[str]:
    """Return what `-s` names a store by: its folder, or a server of it. by: folder or server."""
    if by == "folder":
        yield str(place)
        return
    engine = Engine(open_folder(place))
    with served(engine) as server:
        yield f"localhost:{server.port}"
    engine.close()


class Process:
    """`evlog serve` in a process of its own."""

    def __init__(self, store: Path | None, *arguments: str, python: Path | None = None) -> None:
        """python: another interpreter than this one, which has the package installed."""
        place = ["-s", str(store)] if store is not None else []
        command = [python or sys.executable, "-m", "mlmd.cli", *place, "serve", "--grpc", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline().strip()
        self.port = int(self.line.rpartition(":")[2]) if self.line else 0

    def end(self) -> tuple[int, str]:
        """Tell the server to end; return its exit status and what it said."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            _, said = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()  # Else it would be a later test that fails, of a process left behind.
            raise
        return self.process.returncode, said

    def kill(self) -> None:
        """End the server at once."""
        self.process.kill()
        self.process.communicate(timeout=60)


class Caller:
    """A plain gRPC client: no retries, and the status as it travels."""

    def __init__(self, port: int, credentials: grpc.ChannelCredentials | None = None, host: str = "localhost") -> None:
        limit = [("grpc.max_receive_message_length", -1)]
        target = f"{host}:{port}"
        self.channel = (
            grpc.insecure_channel(target, limit)
            if credentials is None
            else grpc.secure_channel(target, credentials, limit)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def ask(self, name: str, request: Any = None, **metadata: str) -> Any:
        """Return the answer to a request. Raises grpc.RpcError. metadata: with _ for -."""
        method = METHODS[name]
        call: Any = self.channel.unary_unary(
            f"/{NAME}/{name}", method.request.SerializeToString, method.response.FromString
        )
        said = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
        return call(request if request is not None else method.request(), timeout=30, metadata=said)

    def refused(self, name: str, request: Any = None, **metadata: str) -> tuple[grpc.StatusCode, str]:
        """Return status and details of a request that is refused."""
        try:
            answer = self.ask(name, request, **metadata)
        except grpc.RpcError as error:
            return error.code(), error.details()
        message = f"{name} was not refused: {answer}"
        raise AssertionError(message)


class ServedStore:
    """A store in memory behind a server on loopback; call it as RawStore is called."""

    def __init__(self) -> None:
        self.engine = Engine(open_memory())
        self._server = Server(self.engine, Options(port=0, workers=2))
        self._server.start()
        self._channel = grpc.insecure_channel(f"{self._server.host}:{self._server.port}")

    def call(self, name: str, request: bytes) -> tuple[int, str, bytes]:
        """Return status code, message and response."""
        try:
            return errors.OK, "", self._channel.unary_unary(f"/{NAME}/{name}")(request, timeout=60)
        except grpc.RpcError as error:
            return error.code().value[0], error.details(), b""

    def close(self) -> None:
        """Stop the server and close the store."""
        self._channel.close()
        self._server.stop(0)
        self.engine.close()
