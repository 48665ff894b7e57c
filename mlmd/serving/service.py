"""MetadataStoreService over gRPC: bytes in, the engine, bytes out. One handler for each method of the table.

Who puts goes into the record's envelope: the name of his token, where the store has tokens; the identity that TLS proved, else what the caller
says of itself in `x-evlog-actor`, else its user agent. `x-evlog-transaction`, a UUID, makes a put safe to send again. `x-evlog-subject` says whose personal values are put.
`x-evlog-guarded` refuses to overwrite what others put since the caller read it: see `mlmd.serving.guarding`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError

from evlog.author import SAID_MAX, Caller
from mlmd import errors, moment
from mlmd.methods import METHODS
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.serving.admission import AUTH, AUTHORIZATION, Asked, secret_in
from mlmd.serving.guarding import GUARDED, guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlmd.engine import Engine
    from mlmd.methods import Method
    from mlmd.serving.admission import Bearer, Gate
    from mlmd.serving.awaited import Awaited

    Handler = Callable[[Iterator[bytes], grpc.ServicerContext], bytes]

NAME: Final = service.DESCRIPTOR.services_by_name["MetadataStoreService"].full_name
ACTOR: Final = "x-evlog-actor"
REASON: Final = "x-evlog-reason"
SUBJECT: Final = "x-evlog-subject"
TRANSACTION: Final = "x-evlog-transaction"
AS_OF: Final = "x-evlog-as-of"
_PLAIN: Final = frozenset(range(0x20, 0x7F)) - frozenset(b"%")
_USER_AGENT: Final = "user-agent"
DETAILS_MAX: Final = 4_096  # Bytes on the wire. Above 8 KiB of trailers gRPC answers with a status of its own.
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_IDENTITIES: Final = ("x509_common_name", "x509_subject_alternative_name")


def handlers(engine: Engine, gate: Gate | None, awaited: Awaited) -> grpc.GenericRpcHandler[bytes, bytes]:
    """Return the service of a store: all methods, as gRPC wants them. gate: its door, None for a store in memory.

    gRPC is told that each takes a stream, of which one message is read: else a worker would wait for the message before anybody asked who calls.
    """
    methods = {
        name: grpc.stream_unary_rpc_method_handler(_handler(engine, method, gate, awaited))
        for name, method in METHODS.items()
    }
    return grpc.method_handlers_generic_handler(NAME, methods)


def _handler(engine: Engine, method: Method, gate: Gate | None, awaited: Awaited) -> Handler:
    parse, answer, puts = method.request.FromString, engine.answer, method.command is not None

    def ask(data: bytes, context: grpc.ServicerContext, bearer: Bearer | None) -> bytes:
        if puts:
            found = answer(_guarded(method, context), parse(data), caller_of(context, bearer))
        else:
            if _said(context, GUARDED) is not None:
                context.set_trailing_metadata(((GUARDED, str(engine.shown())),))
            found = answer(method, parse(data), at=_at(engine, context))
        return found if found.__class__ is bytes else found.SerializeToString()

    def handle(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        bearer = None
        try:
            if gate is not None:
                bearer = admitted(gate, context, method.name, puts=puts)
            found = ask(awaited.message(requests, context), context, bearer)
        except errors.StatusError as error:
            refused = error
        except DecodeError:
            refused = errors.InvalidArgumentError("Could not parse proto")
        else:
            if gate is not None and bearer is not None and not puts:  # A put is in the log.
                gate.note(bearer, _asked(context, method.name), errors.OK)
            return found
        if gate is not None and bearer is not None:
            gate.note(bearer, _asked(context, method.name), refused.error_code)
        return _refuse(context, refused)

    return handle


def admitted(gate: Gate, context: grpc.ServicerContext, what: str, *, puts: bool = False) -> Bearer | None:
    """Return who comes through the door of a store, None where it asks nobody. Raises StatusError."""
    if gate.is_open():
        return None
    said: dict[str, Any] = dict(context.invocation_metadata())
    secret = secret_in(said.get(AUTHORIZATION))
    return gate.admit(secret, "writer" if puts else "reader", _asked(context, what))


def admit_or_abort(gate: Gate, context: grpc.ServicerContext, what: str) -> None:
    """Let a caller in whose answer is a stream: one who is refused is told so here, and nothing after it runs."""
    try:
        bearer = admitted(gate, context, what)
    except errors.StatusError as error:
        context.abort(_CODES[error.error_code], _details(error.message))
    if bearer is not None:
        gate.note(bearer, _asked(context, what), errors.OK)


def _asked(context: grpc.ServicerContext, what: str) -> Asked:
    return Asked("grpc", what, _host(context.peer()))


def _guarded(method: Method, context: grpc.ServicerContext) -> Method:
    """Return the put that a caller means. Raises InvalidArgumentError."""
    said = _said(context, GUARDED)
    return method if said is None else guarded(method, said)


def _said(context: grpc.ServicerContext, wanted: str) -> str | None:
    """Return what a caller says under a key."""
    found = next((value for key, value in context.invocation_metadata() if key == wanted), None)
    return found if found is None or isinstance(found, str) else found.decode("ascii", "replace")


def _refuse(context: grpc.ServicerContext, error: errors.StatusError) -> bytes:
    context.set_code(_CODES[error.error_code])
    context.set_details(_details(error.message))
    return b""


def _details(message: str) -> str:
    """Return as much of a message as DETAILS_MAX allows: on the wire a byte is one, or three where it is not plain ASCII."""
    size = 0
    data = message.encode()
    for at, byte in enumerate(data):
        size += 1 if byte in _PLAIN else 3
        if size > DETAILS_MAX:
            return data[:at].decode(errors="ignore") + " ..."
    return message


def caller_of(context: grpc.ServicerContext, bearer: Bearer | None = None) -> Caller:
    """Return who calls: the bearer of a token, whatever else he says of himself. Raises InvalidArgumentError for metadata that cannot be kept."""
    said = dict(context.invocation_metadata())
    if AS_OF in said:
        raise errors.InvalidArgumentError(
            f"{AS_OF}: the past cannot be put into; leave it out, or ask with a Get method"
        )
    agent = _text(said, _USER_AGENT) or "grpc"
    asserted, proven = _text(said, ACTOR) or agent, _proven(context)
    if bearer is not None:
        actor, auth = bearer.actor, AUTH
    elif proven is not None:
        actor, auth = proven, "tls"
    else:
        actor, auth = asserted, "asserted"
    reason, subject = _text(said, REASON), _text(said, SUBJECT)
    return Caller(actor, auth, agent, _host(context.peer()), reason, _transaction(said), subject)


def _at(engine: Engine, context: grpc.ServicerContext) -> int | None:
    """Return the offset as of which a caller asks, None for now. Raises StatusError."""
    asked = _said(context, AS_OF)
    if asked is None:
        return None
    # Of two, one would be passed over in silence.
    if sum(key == AS_OF for key, _ in context.invocation_metadata()) > 1:
        raise errors.InvalidArgumentError(f"{AS_OF}: it is said more than once; an answer is of one moment")
    try:
        return engine.offset_at(moment.from_the_wire(asked))
    except ValueError as error:
        raise errors.InvalidArgumentError(f"{AS_OF}: {error}") from None


def _proven(context: grpc.ServicerContext) -> str | None:
    """Return the name in the certificate that the caller proved to own, None where none was asked for."""
    proven: Any = context.auth_context()
    return next((proven[key][0].decode("utf-8", "replace") for key in _IDENTITIES if proven.get(key)), None)


def _text(said: dict[str, Any], key: str) -> str | None:
    """Return what is said under a key: percent-encoded UTF-8, for metadata is ASCII."""
    value = unquote(said.get(key, ""))
    if len(value) > SAID_MAX:
        raise errors.InvalidArgumentError(f"{key}: {len(value):,} characters; {SAID_MAX:,} at most")
    return value or None


def _transaction(said: dict[str, Any]) -> bytes | None:
    value = said.get(TRANSACTION)
    if value is None:
        return None
    try:
        return uuid.UUID(value).bytes
    except ValueError:
        raise errors.InvalidArgumentError(
            f"{TRANSACTION}: {value!r} is no UUID; send a new one with each put"
        ) from None


def _host(peer: str) -> str:
    """Return the address in gRPC's name of a peer, such as "ipv4:127.0.0.1:5000" or "ipv6:%5B::1%5D:5000"."""
    _, _, address = peer.partition(":")
    return address.rpartition(":")[0].replace("%5B", "").replace("%5D", "") or peer
