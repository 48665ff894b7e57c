"""The endpoint that senders of OpenLineage know from Marquez: POST /api/v1/lineage takes an event, and answers when it is durable.

| answer | means                                                                                                        |
| 201    | the event is in the store; also if it was before                                                             |
| 200    | to /api/v1/lineage/batch, an array of events: all of them are                                                 |
| 400    | an event is wrong, and why; of a batch also which: the others are in the store                                |
| 401    | the store asks for a token, and this is none: send `authorization: Bearer SECRET` (OPENLINEAGE_API_KEY)      |
| 403    | the token is not that of a writer; or a web page sent it: no sender of events is one                         |
| 413    | the body is too large, packed or unpacked                                                                    |
| 415    | the content is no JSON, or packed otherwise than by gzip                                                     |
| 503    | the store cannot take it now, such as for a full disk: sending it again is right, and harmless               |

Marquez has no batch; the path is that of OpenLineage's own specification. An answer with a reason is JSON: {"code": 400, "message": ...}.
"""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from evlog.author import SAID_MAX, Caller
from evlog.errors import RecordTooLargeError
from mlmd import errors
from mlmd.exchange.errors import EventError
from mlmd.exchange.openlineage.putting import PUT_EVENT, Unchanged
from mlmd.exchange.openlineage.reading import EVENT_BYTES_MAX, read_event
from mlmd.serving.admission import AUTH, AUTHORIZATION, HTTP_STATUS, Asked, gate_of, secret_in
from projections.errors import MissingLibraryError

try:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route
except ImportError:
    raise MissingLibraryError("starlette", extra="openlineage") from None

if TYPE_CHECKING:
    from starlette.requests import Request

    from mlmd.engine import Engine
    from mlmd.serving.admission import Bearer, Gate

PATH: Final = "/api/v1/lineage"
BATCH_BYTES_MAX: Final = 64 << 20
_ACTOR: Final = "x-evlog-actor"
_REASON: Final = "x-evlog-reason"
_BUSY: Final = frozenset({errors.UNAVAILABLE, errors.ABORTED, errors.RESOURCE_EXHAUSTED, errors.DEADLINE_EXCEEDED})
_GZIP: Final = 31  # zlib's word for a gzip header and the largest window.
_LOG: Final = logging.getLogger(__name__)


class _Refused(Exception):  # noqa: N818 - an answer, not a fault
    """Ends a request with a status and a reason."""

    def __init__(self, status: int, reason: str, **more: Any) -> None:
        super().__init__(reason)
        headers = {"www-authenticate": "Bearer"} if status == HTTP_STATUS[errors.UNAUTHENTICATED] else None
        self.answer = JSONResponse({"code": status, "message": reason, **more}, status, headers)


def application(engine: Engine) -> Starlette:
    """Return the endpoint as an ASGI application. The engine is the caller's."""
    gate = gate_of(engine)

    async def one(request: Request) -> Response:
        try:
            caller = _caller(request, gate)
            text = await _body(request, EVENT_BYTES_MAX)
            reason = await run_in_threadpool(_put, engine, text, caller)
            if reason is not None:
                raise _Refused(400, reason)
        except _Refused as refused:
            return refused.answer
        return Response(status_code=201)

    async def batch(request: Request) -> Response:
        try:
            caller = _caller(request, gate)
            texts = _texts(await _body(request, BATCH_BYTES_MAX))
            reasons = [await run_in_threadpool(_put, engine, text, caller) for text in texts]
            failed = [{"index": at, "reason": reason} for at, reason in enumerate(reasons) if reason is not None]
            if failed:
                raise _Refused(400, f"{len(failed):,} of {len(texts):,} events are wrong", failed_events=failed)
        except _Refused as refused:
            return refused.answer
        return JSONResponse({"received": len(texts)})

    return Starlette(routes=[Route(PATH, one, methods=["POST"]), Route(f"{PATH}/batch", batch, methods=["POST"])])


def _put(engine: Engine, text: bytes, caller: Caller) -> str | None:
    """Put an event; return why it is wrong, None where it is in the store. Raises _Refused where the store is at fault."""
    try:
        engine.answer(PUT_EVENT, read_event(text), caller)
    except Unchanged:
        return None
    except EventError as error:
        return str(error)
    except errors.StatusError as error:
        if error.error_code == errors.INVALID_ARGUMENT:
            return str(error)
        if isinstance(error.__cause__, RecordTooLargeError):  # However often it is sent.
            raise _Refused(413, f"with what is known of its run it is too large: {error}") from error
        if error.error_code not in _BUSY:
            _LOG.exception("an event of OpenLineage could not be put")
        raise _Refused(503 if error.error_code in _BUSY else 500, str(error)) from error
    return None


def _texts(data: bytes) -> list[bytes]:
    try:
        return [bytes(one) for one in msgspec.json.decode(data, type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _Refused(400, f"this is no array of events in JSON: {error}") from None


def _caller(request: Request, gate: Gate | None) -> Caller:
    """Return who sends, as the gRPC server has it: the bearer of a token, else what he says of himself, else the program. Raises _Refused."""
    agent = _said(request, "user-agent") or "http"
    host = request.client.host if request.client is not None else ""
    actor, auth = _said(request, _ACTOR) or agent, "asserted"
    if (bearer := _admitted(request, gate, host)) is not None:
        actor, auth = bearer.actor, AUTH
    return Caller(actor, auth, agent, host, _said(request, _REASON))


def _admitted(request: Request, gate: Gate | None, peer: str) -> Bearer | None:
    """Return who comes in, None where nobody is asked. Raises _Refused."""
    try:
        if gate is None or gate.is_open():
            return None
        asked = Asked("openlineage", f"POST {request.url.path}", peer)
        return gate.admit(secret_in(request.headers.get(AUTHORIZATION)), "writer", asked)
    except errors.StatusError as error:
        raise _Refused(HTTP_STATUS[error.error_code], error.message) from None


def _said(request: Request, header: str) -> str | None:
    value = unquote(request.headers.get(header, ""))
    if len(value) > SAID_MAX:
        raise _Refused(400, f"{header}: {len(value):,} characters; {SAID_MAX:,} at most")
    return value or None


# Bodies ---------------------------------------------------------------------------------------------------------------


async def _body(request: Request, bytes_max: int) -> bytes:
    """Return the body of a request, unpacked. Raises _Refused.

    A web page may send a plain form to any address without asking; JSON it may not, and its origin it has to tell.
    """
    if "origin" in request.headers:
        raise _Refused(403, "events are not taken from web pages")
    content = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content != "application/json":
        raise _Refused(415, f"content-type: {content or 'none'}; an event is application/json")
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip"):
        raise _Refused(415, f"content-encoding: {packing}; gzip is known here, or none")
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > bytes_max:
                raise _too_large(bytes_max)
            parts.append(part)
    except ClientDisconnect:  # Nobody hears it.
        raise _Refused(400, "the body was cut off") from None
    data = b"".join(parts)
    return data if packing == "identity" else await run_in_threadpool(_unpacked, data, bytes_max)


def _unpacked(data: bytes, bytes_max: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise _Refused(400, f"this is no gzip: {error}") from None
    if len(text) > bytes_max:
        raise _too_large(bytes_max)
    if not unpacker.eof:
        raise _Refused(400, "the gzip is cut off")
    return text


def _too_large(bytes_max: int) -> _Refused:
    return _Refused(413, f"the body is larger than {bytes_max:,} bytes")
