"""Our store behind the reference's door: request bytes in; status code, message and response bytes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import open_memory

if TYPE_CHECKING:
    from google.protobuf.message import Message


class RawStore:
    """A store in memory, or one that is open already; at: as it was after so many records."""

    def __init__(self, engine: Engine | None = None, at: int | None = None) -> None:
        self.engine, self.at = engine or Engine(open_memory()), at

    def call(self, name: str, request: bytes) -> tuple[int, str, bytes]:
        """Return status code, message and response, as the reference's binding does."""
        method = METHODS[name]
        try:
            message = method.request.FromString(request)
        except DecodeError:
            return errors.INVALID_ARGUMENT, "Could not parse proto", b""
        try:
            return errors.OK, "", self.ask(name, message).SerializeToString(deterministic=True)
        except errors.StatusError as error:
            return error.error_code, error.message, b""

    def ask(self, name: str, request: Message) -> Message:
        """Return the answer to a request. Raises StatusError."""
        method = METHODS[name]
        return method.message(self.engine.answer(method, request, at=self.at))

    def close(self) -> None:
        """Close the store."""
        self.engine.close()
