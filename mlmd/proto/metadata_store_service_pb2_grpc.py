"""What protoc's gRPC plugin would generate for MetadataStoreService: stub, servicer, and how a servicer joins a server.

Made from the descriptor, so that there is one list of methods. For programs written against MLMD's own module of this name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.experimental

from mlmd.proto import metadata_store_service_pb2 as service

_SERVICE: Final = service.DESCRIPTOR.services_by_name["MetadataStoreService"]
# Name -> (request, response).
_METHODS: Final = {
    method.name: (getattr(service, method.input_type.name), getattr(service, method.output_type.name))
    for method in _SERVICE.methods
}


class MetadataStoreServiceStub:
    """The client side: each method of the service is a callable attribute that takes its request and returns its response."""

    def __init__(self, channel: grpc.Channel) -> None:
        for name, (request, response) in _METHODS.items():
            call = channel.unary_unary(f"/{_SERVICE.full_name}/{name}", request.SerializeToString, response.FromString)
            setattr(self, name, call)

    def __getattr__(self, name: str) -> Any:
        """Say that there is no such method; for type checkers, that there may be."""
        raise AttributeError(f"MetadataStoreService has no method {name}")


class MetadataStoreServiceServicer:
    """The server side, to be subclassed: every method answers UNIMPLEMENTED."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def _unimplemented(_self: Any, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG001 - its name is public
    """Answer that there is no such method here."""
    context.set_code(grpc.StatusCode.UNIMPLEMENTED)
    context.set_details("Method not implemented!")
    raise NotImplementedError("Method not implemented!")


def add_MetadataStoreServiceServicer_to_server(servicer: MetadataStoreServiceServicer, server: grpc.Server) -> None:  # noqa: N802 - as generated
    """Let a server answer the service's methods with those of a servicer."""
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, name),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )
        for name, (request, response) in _METHODS.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE.full_name, handlers),))


class MetadataStoreService:
    """Calls without a channel of one's own: each method is a static function of request and target."""


def _single_call(name: str) -> Any:
    request_class, response_class = _METHODS[name]

    def call(
        request: Any,
        target: str,
        options: Any = (),
        channel_credentials: Any = None,
        call_credentials: Any = None,
        insecure: bool = False,
        compression: Any = None,
        wait_for_ready: bool | None = None,
        timeout: float | None = None,
        metadata: Any = None,
    ) -> Any:
        return grpc.experimental.unary_unary(
            request,
            target,
            f"/{_SERVICE.full_name}/{name}",
            request_class.SerializeToString,
            response_class.FromString,
            options,
            channel_credentials,
            insecure,
            call_credentials,
            compression,
            wait_for_ready,
            timeout,
            metadata,
        )

    return call


for _name in _METHODS:
    setattr(MetadataStoreServiceServicer, _name, _unimplemented)
    setattr(MetadataStoreService, _name, staticmethod(_single_call(_name)))
