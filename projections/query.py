"""Questions to a view, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple

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
    """A page of nodes: of one type, of one context, or all; `limit` None gives every one.

    order_by: a property to list by its value, numbers before texts; those without it come last, whichever way. A page by a property
    has no `after`, but how many to skip.
    """

    kind: Kind
    type_id: int | None = None
    context_id: int | None = None
    order_by: OrderBy | Variable = OrderBy.ID
    ascending: bool = True
    after: After | None = None
    limit: int | None = None
    filter: Filter | None = None
    skip: int = 0


class Listed(NamedTuple):
    """One node of a listing, with what a page token needs."""

    body: bytes
    id: int
    value: Any


# Lineage: plain tuples, because a walk makes thousands.
Edge = tuple[int, int, bytes]
"""An event as met from one of its ends: the id of the node left, the id of the node reached, body without tag."""
Link = tuple[int, int, int]
"""An attribution or association: its place in the order of puts, the context's id, that of the artifact or execution."""


# Filters -------------------------------------------------------------------------------------------------------------
#
# A filter is true of a node if there is a choice of one row for each of its variables, among the rows that belong to the node,
# which makes the expression true: not false, and not null. A variable without any row rules the node out.


class Variable(NamedTuple):
    """What a filter speaks of besides the node itself.

    relation: "properties" or "custom_properties", of which `name` is one, so there is a row or none; or "context", "event",
    "artifact", "execution", "parent_context" or "child_context", where each `name` ranges over all of the node's.
    exact: of a property: no other spelling of its name will do.
    """

    relation: str
    name: str
    exact: bool = False


class Column(NamedTuple):
    """A field of the node, or of a variable's row.

    Of a property: "int", "double", "string" or "bool": its value where it was put with that type, else null; "number": where it was put
    with either of the first two; "any": not null where it is there. Of nodes and events: the columns of the view, and `type` for the name
    of a node's type.
    """

    field: str
    variable: Variable | None = None


class Constant(NamedTuple):
    """A value: int, float, str, bool, or None for null."""

    value: int | float | str | bool | None


class Operation(NamedTuple):
    """An operator or function over expressions; all but "and", "or", "not" and "is_..." are null where an operand is.

    and or not = != < <= > >= like in between is_null is_true is_false; + - * / & | << >> unary- unary~; case (conditions and
    results in turn, then the rest); cast_int cast_double cast_string cast_bool; and functions by name.
    """

    name: str
    operands: tuple[Expression, ...]


Expression = Column | Constant | Operation


@dataclass(frozen=True, eq=False, slots=True)
class Filter:
    """A checked filter over nodes of one kind: `expression` is a condition, `variables` are those it mentions, each once.

    Equal to itself alone, because 1, 1.0 and true are equal and not the same.
    """

    kind: Kind
    expression: Expression
    variables: tuple[Variable, ...]
