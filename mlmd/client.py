"""The other end of the wire: what `MetadataStore` asks when its config names a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import grpc

from evlog.author import Author
from mlmd import errors, moment, places
from mlmd.acting import author_of
from mlmd.finding import FIND, find_by_pages
from mlmd.kinds import KINDS
from mlmd.marking import FORETELL, RETIRE, TAINT, foretell_by_gets, retire_by_put, taint_by_put
from mlmd.mentions import MENTIONS, mentions_by_pages
from mlmd.methods import METHODS, WHOLE_LINEAGE
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.reaching import REACH, reach_by_events
from mlmd.running import RUN_PUT, put_run_by_calls
from mlmd.serving.admission import AUTHORIZATION
from mlmd.serving.guarding import Guard
from mlmd.serving.service import ACTOR, AS_OF, NAME, REASON, SUBJECT
from mlmd.serving.tokens import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmd.kinds import Kind
    from mlmd.methods import Method
    from mlmd.moment import At

# What a store in process does in one step, and how it is done with what the wire has.
_NOT_ON_THE_WIRE: Final[dict[Method, Callable[[Callable[[Method, Any], Any], Any], Any]]] = {
    FIND: find_by_pages,
    MENTIONS: mentions_by_pages,
    REACH: reach_by_events,
    TAINT: taint_by_put,
    FORETELL: foretell_by_gets,
    RETIRE: retire_by_put,
    RUN_PUT: put_run_by_calls,
}
_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


class Remote:
    """A server. Connects when it is first asked."""

    def __init__(self, config: pb.MetadataStoreClientConfig, at: At | None = None) -> None:
        """Name the server. at: ask what was there then; the server says whether it knows that moment.

        Raises InvalidArgumentError for a token in EVLOG_TOKEN that is none, or that others could read on its way, and for half of a
        certificate.
        """
        self._config = config
        options = _options(config.channel_arguments)
        self._token = _token(config)
        if self._token:
            options.append(("grpc.enable_http_proxy", 0))  # A proxy would read it.
        target = f"{config.host}:{config.port}"
        if config.HasField("ssl_config"):
            self._channel = grpc.secure_channel(target, _credentials(config.ssl_config), options)
        else:
            self._channel = grpc.insecure_channel(target, options)
        self._timeout_s = config.client_timeout_sec if config.HasField("client_timeout_sec") else None
        self.author = Author()
        self.is_past = at is not None
        self._at = ((AS_OF, moment.on_the_wire(at)),) if at is not None else None
        self._calls: dict[str, Any] = {}

    def call(self, method: Method, request: Any) -> Any:
        """Return the answer to a request. Raises StatusError, the gRPC error as its cause."""
        here = _NOT_ON_THE_WIRE.get(method)
        if here is not None:
            self._refuse_put(method)
            guard = Guard() if method.command is not None else None
            return here(lambda one, asked: self._send(one, asked, guard), request)
        return self._whole_lineage(request) if method is WHOLE_LINEAGE else self._send(method, request)

    def _send(self, method: Method, request: Any, guard: Guard | None = None) -> Any:
        self._refuse_put(method)
        author = author_of(self)
        if author.signer is not None and method.command is not None:
            raise errors.FailedPreconditionError(
                f"{author.actor} cannot sign what a server puts, because it settles the ids: put in process, or without the key"
            )
        call = self._calls.get(method.name)
        if call is None:
            call = self._calls[method.name] = self._channel.unary_unary(
                f"/{NAME}/{method.name}", method.request.SerializeToString, method.response.FromString
            )
        said = (self._at or _said_by(author)) + self._token
        try:
            if guard is None:
                return call(request, timeout=self._timeout_s, metadata=said)
            answer, told = call.with_call(request, timeout=self._timeout_s, metadata=said + guard.said(method))
        except grpc.RpcError as error:
            raise errors.make_exception(error.details() or "", error.code().value[0]) from error
        guard.hear(told.trailing_metadata())
        return answer

    def _refuse_put(self, method: Method) -> None:
        """Raise FailedPreconditionError for a put into the past."""
        if self._at is not None and method.command is not None:
            raise errors.FailedPreconditionError(f"{method.name}: the store as of {self._at[0][1]} cannot change")

    def _whole_lineage(self, request: service.GetLineageSubgraphRequest) -> pb.LineageGraph:
        """Return a subgraph with whole nodes: a server gives their ids, and further calls the rest."""
        wanted = set(request.read_mask.paths or pb.LineageGraph.DESCRIPTOR.fields_by_name)
        kinds = [kind for kind in KINDS if wanted & {kind.plural, f"{kind.name}_types"}]
        skeleton = service.GetLineageSubgraphRequest()
        skeleton.lineage_subgraph_query_options.CopyFrom(request.lineage_subgraph_query_options)
        # An empty mask would be everything, so it names what is always empty.
        skeleton.read_mask.paths.extend([kind.plural for kind in kinds] or ["parent_contexts"])
        skeleton.read_mask.paths.extend(sorted(wanted & {"events", "attributions", "associations"}))
        graph: pb.LineageGraph = self._send(METHODS["GetLineageSubgraph"], skeleton).lineage_subgraph
        for kind in kinds:
            ids = [node.id for node in getattr(graph, kind.plural)]
            graph.ClearField(kind.plural)  # type: ignore[arg-type]
            self._fill(graph, kind, ids, wanted)
        return graph

    def _fill(self, graph: pb.LineageGraph, kind: Kind, ids: list[int], wanted: set[str]) -> None:
        """Put whole nodes of a kind, and the types they have, into a graph, as far as they are wanted."""
        by_id = METHODS[f"Get{kind.plural.capitalize()}ByID"]
        nodes = getattr(self._send(by_id, by_id.request(**{f"{kind.name}_ids": ids})), kind.plural)
        if kind.plural in wanted:
            getattr(graph, kind.plural).extend(nodes)
        if (types := f"{kind.name}_types") in wanted:
            by_id = METHODS[f"Get{kind.name.capitalize()}TypesByID"]
            type_ids = sorted({node.type_id for node in nodes})
            getattr(graph, types).extend(getattr(self._send(by_id, by_id.request(type_ids=type_ids)), types))

    def review(self, question: object) -> Any:
        """Refuse a question to the log: the wire has no method for it. Raises UnimplementedError."""
        raise errors.UnimplementedError(
            "what happened is read from the log, which a client has not: open the store's folder, or run"
            " `evlog -s FOLDER diff` beside the server, or there log, blame, prove, alias --history"
        )

    def at(self, at: At) -> Remote:
        """Return the same server as of another moment."""
        return Remote(self._config, at)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    abandon = close


def _token(config: pb.MetadataStoreClientConfig) -> tuple[tuple[str, str], ...]:
    """Return the token of the environment as metadata, nothing where there is none. Raises InvalidArgumentError, which never quotes it."""
    secret = os.environ.get(TOKEN, "").strip()
    if not secret:
        return ()
    if not all("!" <= char <= "~" for char in secret):
        raise errors.InvalidArgumentError(f"{TOKEN}: this is no token; `evlog token add NAME --role ROLE` makes one")
    if not config.HasField("ssl_config") and not places.is_loopback(config.host):
        raise errors.InvalidArgumentError(
            f"{config.host}:{config.port}: {TOKEN} is not sent over a plain connection to another machine, where others could read it:"
            " name a server with TLS (grpcs://HOST:PORT, or ssl_config), or one of this machine at the end of a tunnel"
        )
    return ((AUTHORIZATION, f"Bearer {secret}"),)


def _said_by(author: Author) -> tuple[tuple[str, str], ...]:
    """Return who asks, and why, as metadata."""
    said = {ACTOR: author.actor, REASON: author.reason, SUBJECT: author.subject}
    return tuple((key, quote(value, safe=_PRINTABLE)) for key, value in said.items() if value)


def _options(arguments: pb.GrpcChannelArguments) -> list[tuple[str, int]]:
    options = []
    if arguments.HasField("max_receive_message_length"):
        options.append(("grpc.max_receive_message_length", arguments.max_receive_message_length))
    if arguments.HasField("http2_max_ping_strikes"):
        options.append(("grpc.http2.max_ping_strikes", arguments.http2_max_ping_strikes))
    return options


def _credentials(config: pb.MetadataStoreClientConfig.SSLConfig) -> grpc.ChannelCredentials:
    given = {field.name: text.encode("ascii") for field, text in config.ListFields()}
    key, chain = given.get("client_key") or None, given.get("server_cert") or None
    if (key is None) != (chain is None):  # gRPC would end the process at the first call.
        raise errors.InvalidArgumentError(
            "ssl_config: client_key and server_cert go together: the key and the certificate that the client shows"
        )
    return grpc.ssl_channel_credentials(given.get("custom_ca"), key, chain)
