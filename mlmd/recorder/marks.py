"""Marks: a name for a moment of the store, such as release-4, kept in the store itself. `mark:release-4` is a moment wherever one is asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from mlmd import errors
from mlmd.moment import NOW
from mlmd.moment import at as at_of
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words
from mlmd.recorder.contexts import put_named
from mlmd.recorder.values import name_of

if TYPE_CHECKING:
    from mlmd.moment import At
    from mlmd.store import MetadataStore


class Marked(NamedTuple):
    """A mark. offset: how many records there were; None for those before the mark's own record. time_ms: when it was put last."""

    name: str
    offset: int | None
    time_ms: int


def mark(store: MetadataStore, name: str, when: At | str = NOW) -> Marked:
    """Give a moment a name, on record; one that is there moves. when: as of `as_of`.

    Of a server a moment is now or an offset, because it does not tell which offset a time is. Raises InvalidArgumentError,
    OutOfRangeError for a moment that is yet to come, UnimplementedError.
    """
    name_of(name, "the mark")
    offset = _offset(store, when)

    said = pb.Context()
    if offset is not None:
        said.properties[words.MARK_OFFSET].int_value = offset
    said.custom_properties[words.MARKED_MS].int_value = time.time_ns() // 1_000_000
    return _marked(put_named(store, words.MARK_TYPE, {words.MARK_OFFSET: pb.INT}, name, said))


def _offset(store: MetadataStore, when: At | str) -> int | None:
    """Return how many records had been put at a moment; None for now, where a server is asked."""
    past = store.as_of(when)
    offset: int | None = getattr(past._backend, "offset", None)  # noqa: SLF001 - one face of the same house
    if offset is not None or when == NOW:
        return offset
    at = at_of(when)
    if not isinstance(at, int):
        raise errors.UnimplementedError(
            f"a server does not tell which record {when} is: mark now, or an offset such as '#31907', or ask where its folder is"
        )
    past.get_context_types()  # The server says whether it has come that far.
    return at


def marks(store: MetadataStore) -> list[Marked]:
    """Return all marks, the one put last first."""
    found = map(_marked, store.get_contexts_by_type(words.MARK_TYPE))
    return sorted(found, key=lambda one: (-one.time_ms, one.name))


def _marked(context: pb.Context) -> Marked:
    offset = context.properties[words.MARK_OFFSET].int_value if words.MARK_OFFSET in context.properties else None
    return Marked(context.name, offset, context.last_update_time_since_epoch)
