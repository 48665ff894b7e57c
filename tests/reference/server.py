"""The reference behind two pipes: requests on stdin, answers on stdout, both as frames of bytes.

This file runs inside the reference's own interpreter, so it knows the standard library and `ml_metadata` and nothing of
ours. It hands serialized requests to the binding that the published Python client stands on: no message is decoded here.
Of the 52 RPCs the binding lacks three, GetLineageGraph, GetParentContextsByContexts and GetChildrenContextsByContexts:
they answer ABSENT, like any other name that is no RPC.

| request  | size   | meaning                                                      |
| handle   | 4      | chosen by the caller, unsigned, big-endian like all sizes    |
| method   | 2 + n  | "open", "close" or the name of an RPC, UTF-8                 |
| body     | 4 + n  | a ConnectionConfig for "open", else the serialized request   |

| answer   | size   | meaning                                                      |
| kind     | 1      | ANSWERED, REFUSED (a store that does not open) or ABSENT     |
| code     | 4      | the status code of an RPC, else 0                            |
| message  | 4 + n  | the text of a status or of a refusal, bytes as they came     |
| body     | 4 + n  | the serialized response                                      |

The process ends when stdin does. A request may kill it: some inputs run into a fatal assertion of the reference.
"""

from __future__ import annotations

import importlib
import os
import struct
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST: Final = struct.Struct(">IHI")  # handle, size of method, size of body
ANSWER: Final = struct.Struct(">BiII")  # kind, code, size of message, size of body

BINDING: Final = "ml_metadata.metadata_store.pywrap.metadata_store_extension"

ANSWERED: Final = 0
REFUSED: Final = 1
ABSENT: Final = 2

Answer = tuple[int, int, bytes, bytes]


def pack_request(handle: int, method: str, body: bytes) -> bytes:
    """Return the frame of one request."""
    name = method.encode()
    return REQUEST.pack(handle, len(name), len(body)) + name + body


def read_request(stream: BinaryIO) -> tuple[int, str, bytes] | None:
    """Return the next request, or None at the end of the stream."""
    header = stream.read(REQUEST.size)
    if len(header) < REQUEST.size:
        return None
    handle, method_size, body_size = REQUEST.unpack(header)
    return handle, stream.read(method_size).decode(), stream.read(body_size)


def pack_answer(kind: int, code: int, message: bytes, body: bytes) -> bytes:
    """Return the frame of one answer."""
    return ANSWER.pack(kind, code, len(message), len(body)) + message + body


def answer(binding: Mapping[str, Any], stores: dict[int, Any], handle: int, method: str, body: bytes) -> Answer:
    """Do what one request asks; `stores` holds what is open."""
    if method == "open":
        try:
            stores[handle] = binding["CreateMetadataStore"](body, b"")
        except RuntimeError as error:  # The binding drops the status code and keeps the message.
            return REFUSED, 0, str(error).encode(), b""
        return ANSWERED, 0, b"", b""
    if method == "close":
        del stores[handle]
        return ANSWERED, 0, b"", b""
    if not method.startswith(("Get", "Put")) or method not in binding:
        return ABSENT, 0, b"", b""
    response, message, code = binding[method](stores[handle], body)
    return ANSWERED, code, message, response


def main() -> None:
    """Answer requests until stdin ends."""
    # Whatever the reference prints must not land between two frames: stdout leads to stderr from here on.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    # Here and not above: client.py imports this file for its frames, where there is no ml_metadata.
    binding = vars(importlib.import_module(BINDING).metadata_store)
    stores: dict[int, Any] = {}
    while request := read_request(sys.stdin.buffer):
        answers.write(pack_answer(*answer(binding, stores, *request)))
        answers.flush()


if __name__ == "__main__":
    main()
