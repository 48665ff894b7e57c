"""Marks: names for moments. A mark is a context of type `evlog.Mark`; this finds the moment that one stands for, as of now.

Its property `offset` says which; one without stands for the moment before its own record, so that a client of a server can mark it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmd import errors
from mlmd.convert import unframed
from mlmd.moment import PREFIX, Mark
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words
from projections.query import Listing

if TYPE_CHECKING:
    from datetime import datetime

    from mlmd.moment import At
    from projections.sqlite.lookup import Lookup


def settled(lookup: Lookup, at: At) -> int | datetime:
    """Return a moment as an offset or a time. Raises NotFoundError for a mark that is not there."""
    return _offset(lookup, at.name) if isinstance(at, Mark) else at


def _offset(lookup: Lookup, name: str) -> int:
    type_id = lookup.type_id_named("context", words.MARK_TYPE, "")
    body = None if type_id is None else lookup.node_named("context", type_id, name)
    if body is None:
        raise errors.NotFoundError(f"there is no mark {name!r}: {_known(lookup, type_id)}")
    mark = pb.Context.FromString(unframed(body))
    if words.MARK_OFFSET in mark.properties:
        return mark.properties[words.MARK_OFFSET].int_value
    return lookup.last_put_at("context", [mark.id], lookup.applied())[mark.id]


def _known(lookup: Lookup, type_id: int | None) -> str:
    """Return which marks there are, in words."""
    listed: list[Any] = lookup.page(Listing("context", type_id=type_id, limit=10)) if type_id is not None else []
    names = [PREFIX + pb.Context.FromString(unframed(one.body)).name for one in listed]
    return (
        f"there are {', '.join(names)}; `evlog mark` lists them all"
        if names
        else "there are none; `evlog mark NAME` makes one"
    )
