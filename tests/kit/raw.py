"""Our store behind the reference's door: request bytes in; status code, message and response bytes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import DecodeError

from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import open_memory
from mlmd.server import Options, Server
from mlmd.service import NAME

if TYPE_CHECKING:
    from google.protobuf.message import Message


class RawStore:
    """A store in memory, or one that is open already."""

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine or Engine(open_memory())

    def call(self, name: str, request: bytes) -> tuple[int, str, bytes]:
        """Return status code, message and response, as the reference's binding does."""
        method = METHODS[name]
        try:
            message = method.request.FromString(request)
        except DecodeError:
            return errors.INVALID_ARGUMENT, "Could not parse proto", b""
        try:
            return errors.OK, "", self.engine.call(method, message).SerializeToString(deterministic=True)
        except errors.StatusError as error:
            return error.error_code, error.message, b""

    def ask(self, name: str, request: Message) -> Message:
        """Return the answer to a request. Raises StatusError."""
        return self.engine.call(METHODS[name], request)

    def close(self) -> None:
        """Close the store."""
        self.engine.close()


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
