"""The short language: MLMD's own, and a few words more for what the recorder notes.

| word                       | means                                                                                  |
| `p.KEY`, `m.KEY`, `t.KEY`  | of a run: parameter, metric, tag                                                       |
| `KEY`                      | of an artifact or context: its custom property, where it is no attribute               |
| `evlog.KEY`                | what the recorder notes beside those: see `recorder.words`                             |
| `tainted`                  | whether it is                                                                          |
| `state`,`created`,`updated`| last_known_state of a run, create_time_since_epoch, last_update_time_since_epoch       |

A metric is a number, a tag a text; any other property has the type that it is compared as. A number is an integer or a double, compared by
its value: `p.lr = 1` finds 1 and 1.0.
One that is not there is null, so it fails its own comparison and nothing else; MLMD rules out the whole node. A key that is no word
stands in back quotes. A filter in this language ends in a comment that says so: whoever takes filters takes these too, and a server of
MLMD that does not know them refuses the words alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlmd.filters.functions import FUNCTIONS, T, Typed
from mlmd.recorder import words
from projections.query import Column, Operation, Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlmd.filters.syntax import Node
    from projections.query import Expression, Kind

MARK: Final = "\n--evlog"
_PREFIXES: Final = (words.PARAMETER, words.METRIC, words.TAG)
_CALLED: Final[dict[Kind, str]] = {"execution": "a run", "artifact": "an artifact", "context": "a context"}
_LOGIC: Final = frozenset({"and", "or", "not", "is_true", "is_false", "is_unknown"})
_TYPES: Final = {words.METRIC: T.DOUBLE, words.TAG: T.STRING}  # Of a run's, whatever they are compared with.
_FIELDS: Final = {T.DOUBLE: "number", T.STRING: "string", T.BOOL: "bool"}


def marked(text: str) -> str:
    """Return a filter in the short language as whoever takes filters takes it; "" for none."""
    return text if not text or text.endswith(MARK) else text + MARK


def property_named(kind: Kind, name: str) -> Variable | None:
    """Return the custom property that a name stands for, None where it stands for none of this kind."""
    prefix = next((one for one in (*_PREFIXES, words.OURS) if name.startswith(one) and name != one), None)
    if prefix is None and (kind == "execution" or not name):
        return None
    return Variable("custom_properties", name, exact=True)


def named(kind: Kind, path: Sequence[str]) -> Typed | None:
    """Return what the words of a name mean that is no attribute, None where that is nothing."""
    if list(path) == ["tainted"]:
        there = Column("any", Variable("custom_properties", words.TAINTED, exact=True))
        return Typed(Operation("not", (Operation("is_null", (there,)),)), T.BOOL)
    variable = property_named(kind, ".".join(path))
    if variable is None:
        return None
    found = Typed(Column("any", variable), T.ANY)
    known = _TYPES.get(f"{path[0]}.") if kind == "execution" else None
    return found if known is None else _as(known, found)


def names_of(kind: Kind, attributes: Iterable[str]) -> str:
    """Return what a name can be, in words."""
    own = "p.KEY, m.KEY, t.KEY" if kind == "execution" else "any custom property"
    return f"of {_CALLED[kind]} there are {own}, tainted, {', '.join(attributes)}; a key that is no word stands in back quotes: p.`max-depth`"


def as_decided(node: Node, operands: list[Typed]) -> list[Typed]:
    """Return the operands of an operator or function, each property with the type that it is asked for as."""
    if node.name == "is_null":  # Of whatever type it is.
        return [one._replace(expression=_there(one.expression)) for one in operands]
    beside = {one.type for one in operands}
    return [
        _as(_wanted(node, number, beside), one) if one.type is T.ANY else one for number, one in enumerate(operands)
    ]


def as_condition(one: Typed) -> Typed:
    """Return the whole of a filter; a property alone is a condition where it is true."""
    return _as(T.BOOL, one) if one.type is T.ANY else one


def short_property(one: Typed) -> bool:
    """Tell whether this is a property whose value may be an integer or a double."""
    return isinstance(one.expression, Column) and one.expression.field == "number"


def _there(expression: Expression) -> Expression:
    """Return a property as what is null only where it is not there; any other expression as it is."""
    ours = isinstance(expression, Column) and expression.variable is not None and expression.variable.exact
    return expression._replace(field="any") if ours and isinstance(expression, Column) else expression


def _as(wanted: T, one: Typed) -> Typed:
    assert isinstance(one.expression, Column), "nothing else is undecided"
    return Typed(one.expression._replace(field=_FIELDS[wanted]), wanted)


def _wanted(node: Node, number: int, beside: set[T]) -> T:
    """Return the type that the operand of a number has to have."""
    takes = FUNCTIONS[node.value][0] if node.name == "call" and node.value in FUNCTIONS else ()
    if number < len(takes):
        return T.STRING if takes[number] is T.STRING else T.DOUBLE
    if node.name == "like" or T.STRING in beside:
        return T.STRING
    if node.name in _LOGIC or (T.BOOL in beside and node.name != "case"):
        return T.BOOL
    return T.DOUBLE
