"""Questions to a view, as plain values."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple

Kind = Literal["artifact", "execution", "context"]
KINDS: tuple[Kind, ...] = ("artifact", "execution", "context")


class OrderBy(StrEnum):
    """What a listing is ordered by; ties are broken by id, in the same direction."""

    ID = "id"
    CREATE_TIME = "create_time"
    UPDATE_TIME = "update_time"


class After(NamedTuple):
    """Where the page before ended: the value of the order field (None: the first page's start) and the id."""

    value: int
    id: int


class Listing(NamedTuple):
    """A page of nodes: of one type, of one context, or all; `limit` None gives every one."""

    kind: Kind
    type_id: int | None = None
    context_id: int | None = None
    order_by: OrderBy = OrderBy.ID
    ascending: bool = True
    after: After | None = None
    limit: int | None = None


class Listed(NamedTuple):
    """One node of a listing, with what a page token needs."""

    body: bytes
    id: int
    value: int
