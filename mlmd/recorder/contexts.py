"""Contexts of the recorder's own: aliases and marks, found by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlmd import errors
from mlmd.kinds import CONTEXT
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmd.store import MetadataStore

_TRIES: Final = 5


def put_named(
    metadata: MetadataStore, type_name: str, properties: Mapping[str, int], name: str, said: pb.Context
) -> pb.Context:
    """Put the context with a name, which is made where there is none; return it as it is then. One record.

    properties: of the type, as of `types.id_of`. said: those properties as they are from now on, and custom properties; nothing else of
    a context that is there changes.
    """
    mask = [f"properties.{key}" for key in properties] + [f"custom_properties.{key}" for key in said.custom_properties]
    for attempt in range(_TRIES):
        context = pb.Context(name=name)
        context.MergeFrom(said)
        known = metadata.get_context_by_type_and_name(type_name, name)
        if known is None:
            context.type_id = types.id_of(metadata, CONTEXT, type_name, properties)
        else:
            context.id = known.id
        try:
            [context_id] = metadata.put_contexts([context], mask)
        except errors.AlreadyExistsError:  # Another writer made it this very moment.
            if attempt == _TRIES - 1:
                raise
            continue
        [context] = metadata.get_contexts_by_id([context_id])
        return context
    raise AssertionError("the loop returns or raises")
