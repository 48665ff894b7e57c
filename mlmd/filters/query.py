"""Filters in MLMD's language, or in the short one -> `projections.query.Filter`: names, words and types are checked here.

Three steps that know nothing of each other: `filters.syntax` parses, this checks, `projections.compiler` compiles.
Source: the contract of ml-metadata 1.17.1; departures are listed in docs/compatibility.md.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from mlmd.errors import InvalidArgumentError
from mlmd.filters.functions import (
    AGGREGATES,
    CASTS,
    FUNCTIONS,
    NUMBERS,
    OF_ANY,
    OF_ANY_NUMBER,
    T,
    Typed,
    cast_text,
    common_type,
    format_fault,
    result_type,
)
from mlmd.filters.short import MARK, as_condition, as_decided, named, names_of, short_property
from mlmd.filters.syntax import Node, parse
from mlmd.filters.tokens import FilterError
from mlmd.filters.words import Attribute
from mlmd.kinds import ARTIFACT, CONTEXT, EVENT_NUMBERS, EXECUTION
from projections.query import KINDS, Column, Constant, Expression, Filter, Kind, Operation, Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CACHED_FILTERS: Final = 256
_INT64_MAX: Final = 2**63 - 1
_DOUBLE_EXACT: Final = 2.0**53  # Below it, each integer is a double.


# Names ---------------------------------------------------------------------------------------------------------------


class Field(NamedTuple):
    """What can be asked for by name: a column of the view and its type. numbers: of the words, where it holds words."""

    column: str
    type: T
    numbers: Mapping[str, int] | None = None


_IDS: Final = {"id": Field("id", T.INT), "name": Field("name", T.STRING), "type": Field("type", T.STRING)}
_TIMES: Final = {
    "create_time_since_epoch": Field("create_time", T.INT),
    "last_update_time_since_epoch": Field("update_time", T.INT),
}
_EXTERNAL_ID: Final = {"external_id": Field("external_id", T.STRING)}
_ARTIFACT: Final = {
    "uri": Field("uri", T.STRING),
    "state": Field("state", T.INT, ARTIFACT.state_numbers),
}
_EXECUTION: Final = {"last_known_state": Field("state", T.INT, EXECUTION.state_numbers)}
_EVENT: Final = {
    "type": Field("type", T.INT, EVENT_NUMBERS),
    "milliseconds_since_epoch": Field("time", T.INT),
}
_NEIGHBOUR: Final = {**_IDS, **_TIMES}
_ATTRIBUTES: Final[dict[Kind, dict[str, Field]]] = {
    kind.name: {**_IDS, "type_id": Field("type_id", T.INT), **_EXTERNAL_ID, **_TIMES, **own}
    for kind, own in ((ARTIFACT, _ARTIFACT), (EXECUTION, _EXECUTION), (CONTEXT, {}))
}
# Of each kind, its neighbours by the word that a filter begins their names with.
_RELATIONS: Final[dict[Kind, dict[str, tuple[str, dict[str, Field]]]]] = {
    "artifact": {
        "contexts": ("context", _NEIGHBOUR),
        "events": ("event", {**_EVENT, "execution_id": Field("execution_id", T.INT)}),
    },
    "execution": {
        "contexts": ("context", _NEIGHBOUR),
        "events": ("event", {**_EVENT, "artifact_id": Field("artifact_id", T.INT)}),
    },
    "context": {
        "parent_contexts": ("parent_context", _NEIGHBOUR),
        "child_contexts": ("child_context", _NEIGHBOUR),
        "artifacts": ("artifact", {**_NEIGHBOUR, **_EXTERNAL_ID, **_ARTIFACT}),
        "executions": ("execution", {**_NEIGHBOUR, **_EXTERNAL_ID, **_EXECUTION}),
    },
}
_PROPERTY_FIELDS: Final = {
    "int_value": ("int", T.INT),
    "double_value": ("double", T.DOUBLE),
    "string_value": ("string", T.STRING),
    "bool_value": ("bool", T.BOOL),
}
# What the short language calls them.
_SHORT_NAMES: Final = {
    "state": "last_known_state",
    "created": "create_time_since_epoch",
    "updated": "last_update_time_since_epoch",
}


def _attributes(kind: Kind, *, short: bool) -> Mapping[str, Field]:
    """Return the attributes of a kind by name."""
    own = _ATTRIBUTES[kind]
    if not short:
        return own
    return {**{name: own[long] for name, long in _SHORT_NAMES.items() if long in own}, **own}


def _enums(kind: Kind, *, short: bool) -> dict[Attribute, frozenset[str]]:
    """Return what is compared with words, and the words."""
    return {
        Attribute(relation, name): frozenset(field.numbers)
        for relation, fields in (
            (None, _attributes(kind, short=short)),
            *((relation, fields) for relation, (_, fields) in _RELATIONS[kind].items()),
        )
        for name, field in fields.items()
        if field.numbers is not None
    }


_ENUMS: Final = {(kind, short): _enums(kind, short=short) for kind in KINDS for short in (False, True)}


# Expressions ---------------------------------------------------------------------------------------------------------

_CAST_NAMES: Final = {T.INT: "cast_int", T.DOUBLE: "cast_double", T.STRING: "cast_string", T.BOOL: "cast_bool"}


class _Checker:
    def __init__(self, kind: Kind, text: str, *, short: bool) -> None:
        self._kind, self._text, self._short = kind, text, short
        self._attributes = _attributes(kind, short=short)
        self.variables: dict[Variable, None] = {}
        self._checks: dict[str, Callable[[Node], Typed]] = {
            "literal": self._literal,
            "name": self._name,
            "field": self._field,
            "property": self._property,
            "word": lambda node: Typed(Constant(self._number(node)), T.INT),
            "not_word": self._not_word,
            "call": self._call,
            "cast": self._cast,
            "safe_cast": self._cast,
            "case": self._case,
            "in": self._comparison,
            "between": self._comparison,
            "like": self._like,
            **dict.fromkeys(("=", "!=", "<", "<=", ">", ">="), self._comparison),
            **dict.fromkeys(("and", "or", "not", "is_true", "is_false", "is_unknown"), self._logic),
            "is_null": lambda node: Typed(Operation("is_null", self._expressions(node)), T.BOOL),
            **dict.fromkeys(("+", "-", "*", "/", "unary+"), self._arithmetic),
            "unary-": self._minus,
            **dict.fromkeys(("&", "|", "<<", ">>", "unary~"), self._bits),
        }

    def check(self, node: Node) -> Typed:
        """Return an expression with its type. Raises FilterError for a wrong name, or operands that do not fit."""
        return self._checks[node.name](node)

    def _fail(self, reason: str, node: Node) -> FilterError:
        return FilterError(reason, self._text, node.at)

    def _no_signature(self, node: Node, what: str, operands: Sequence[Typed]) -> FilterError:
        types = ", ".join(one.type for one in operands)
        given = f"for argument types: {types}" if operands else "with no arguments"
        return self._fail(f"No matching signature for {what} {given}", node)

    def _operands(self, node: Node) -> list[Typed]:
        operands = [self.check(operand) for operand in node.operands]
        return as_decided(node, operands) if self._short else operands

    def _expressions(self, node: Node) -> tuple[Expression, ...]:
        return tuple(one.expression for one in self._operands(node))

    # Leaves ---------------------------------------------------------------------------------------------------------

    def _literal(self, node: Node) -> Typed:
        value = node.value
        if isinstance(value, bytes):
            return Typed(Constant(None), T.BYTES)  # Fits nothing that a node has.
        types = {bool: T.BOOL, int: T.INT, float: T.DOUBLE, str: T.STRING, type(None): T.NULL}
        above = type(value) is int and value > _INT64_MAX
        return Typed(Constant(value), T.UINT if above else types[type(value)])

    def _name(self, node: Node) -> Typed:
        field = self._attributes.get(node.value[0].lower())
        if self._short and (field is None or len(node.value) > 1):
            if (found := named(self._kind, node.value)) is None:
                raise self._fail(f"Unrecognized name: {node.value[0]}; {names_of(self._kind, self._attributes)}", node)
            return found
        if field is None:
            raise self._fail(f"Unrecognized name: {node.value[0]}", node)
        if len(node.value) > 1:
            raise self._fail(f"Cannot access field {node.value[1]} on a value with type {field.type}", node)
        return _value(Column(field.column), field)

    def _field(self, node: Node) -> Typed:
        column, field = self._neighbour(node)
        return _value(column, field)

    def _neighbour(self, node: Node) -> tuple[Column, Field]:
        relation, alias, name = node.value
        found = _RELATIONS[self._kind].get(relation)
        if found is None:
            raise self._fail(f"Unrecognized name: {relation}_{alias}", node)
        field = found[1].get(name.lower())
        if field is None:
            raise self._fail(f"Field name {name} does not exist; there are: {', '.join(found[1])}", node)
        return Column(field.column, self._mention(Variable(found[0], alias.lower()))), field

    def _property(self, node: Node) -> Typed:
        column, key, name = node.value
        found = _PROPERTY_FIELDS.get(name.lower())
        if found is None:
            raise self._fail(f"Field name {name} does not exist; there are: {', '.join(_PROPERTY_FIELDS)}", node)
        return Typed(Column(found[0], self._mention(Variable(column, key.strip("`")))), found[1])

    def _mention(self, variable: Variable) -> Variable:
        self.variables[variable] = None
        return variable

    def _number(self, word: Node) -> int:
        attribute, text = word.value
        fields = _RELATIONS[self._kind][attribute.relation][1] if attribute.relation else self._attributes
        numbers = fields[attribute.field].numbers
        assert numbers is not None, "the parser was told which attributes have words"
        return numbers[text]

    def _is_one_of(self, attribute: Node, words: Sequence[Node]) -> Operation:
        """Return that an attribute is one of its words: as words, which is how they are stored."""
        if attribute.name == "field":
            column, _ = self._neighbour(attribute)
        else:
            column = Column(self._attributes[attribute.value[0]].column)
        return Operation("in" if len(words) > 1 else "=", (column, *(Constant(word.value[1]) for word in words)))

    def _not_word(self, node: Node) -> Typed:
        """Check != and NOT IN with words: unlike other comparisons, they match where the attribute is unset."""
        attribute, *words = node.operands
        condition = self._is_one_of(attribute, words)
        unset = Operation("is_null", condition.operands[:1])
        return Typed(Operation("or", (Operation("not", (condition,)), unset)), T.BOOL)

    # Operators ------------------------------------------------------------------------------------------------------

    def _logic(self, node: Node) -> Typed:
        operands = self._operands(node)
        name = node.name.upper().replace("IS_", "IS ")
        if name == "NOT" and operands[0].type is T.NULL:
            raise self._fail("Operands of NOT cannot be literal NULL", node.operands[0])
        if any(one.type not in (T.BOOL, T.NULL) for one in operands):
            raise self._no_signature(node, f"operator {name}", operands)
        called = "is_null" if node.name == "is_unknown" else node.name
        return Typed(Operation(called, tuple(one.expression for one in operands)), T.BOOL)

    def _comparison(self, node: Node) -> Typed:
        first, *others = node.operands
        if node.name in ("=", "in") and first.name in ("name", "field") and all(one.name == "word" for one in others):
            return Typed(self._is_one_of(first, others), T.BOOL)
        operands = _reconciled(self._operands(node), compared=True)
        if node.name not in ("in", "between"):
            self._refuse_null(node, operands)
        types = {one.type for one in operands}
        signed_and_not = types == {T.INT, T.UINT} and node.name not in ("in", "between")
        if common_type(types) in (None, T.BYTES) and not signed_and_not:
            raise self._no_signature(node, f"operator {node.name.upper()}", operands)
        return Typed(Operation(node.name, tuple(one.expression for one in operands)), T.BOOL)

    def _like(self, node: Node) -> Typed:
        operands = self._operands(node)
        self._refuse_null(node, operands)
        if any(one.type is not T.STRING for one in operands):
            raise self._no_signature(node, "operator LIKE", operands)
        return Typed(Operation("like", tuple(one.expression for one in operands)), T.BOOL)

    def _refuse_null(self, node: Node, operands: Sequence[Typed]) -> None:
        for operand, one in zip(node.operands, operands, strict=True):
            if one.type is T.NULL:
                name = node.name.removeprefix("unary").upper()
                raise self._fail(f"Operands of {name} cannot be literal NULL: use IS NULL", operand)

    def _arithmetic(self, node: Node) -> Typed:
        operands = _reconciled(self._operands(node), as_double=node.name == "/")
        self._refuse_null(node, operands)
        common = common_type(one.type for one in operands)
        if common is None or common not in NUMBERS or (node.name == "unary-" and common is T.UINT):
            raise self._no_signature(node, f"operator {node.name.removeprefix('unary')}", operands)
        if node.name == "unary+":
            return operands[0]
        result = T.DOUBLE if node.name == "/" else common
        return Typed(Operation(node.name, tuple(one.expression for one in operands)), result)

    def _minus(self, node: Node) -> Typed:
        """Check a sign; before a literal it belongs to it, so that the smallest INT64 can be written."""
        (operand,) = node.operands
        if type(operand.value) not in (int, float):
            return self._arithmetic(node)
        if operand.value > _INT64_MAX + 1 and isinstance(operand.value, int):
            raise self._fail(f"Invalid integer literal: -{operand.value}", node)
        return Typed(Constant(-operand.value), T.INT if isinstance(operand.value, int) else T.DOUBLE)

    def _bits(self, node: Node) -> Typed:
        operands = _reconciled(self._operands(node))
        types = [one.type for one in operands]
        if node.name in ("<<", ">>"):
            fits = types[0] in (T.INT, T.UINT, T.NULL) and types[1] in (T.INT, T.NULL)
        else:
            self._refuse_null(node, operands)
            fits = common_type(types) in (T.INT, T.UINT)
        if not fits:
            raise self._no_signature(node, f"operator {node.name.removeprefix('unary')}", operands)
        return Typed(Operation(node.name, tuple(one.expression for one in operands)), types[0])

    # Functions ------------------------------------------------------------------------------------------------------

    def _call(self, node: Node) -> Typed:
        name = node.value
        if name in AGGREGATES:
            raise self._fail(f"Aggregate function {name.upper()} not allowed in a filter", node)
        if name == "format":
            return self._format(node)
        if name not in FUNCTIONS and name not in OF_ANY_NUMBER and name not in OF_ANY:
            raise self._fail(f"Function not found: {name.upper()}", node)
        operands = self._operands(node)
        if name in OF_ANY or name in OF_ANY_NUMBER:
            operands = _reconciled(operands)
        result = result_type(name, [one.type for one in operands])
        if result is None:
            raise self._no_signature(node, f"function {name.upper()}", operands)
        return Typed(Operation(name, tuple(one.expression for one in operands)), result)

    def _format(self, node: Node) -> Typed:
        operands = self._operands(node)
        if not operands or operands[0].type not in (T.STRING, T.NULL):
            raise self._no_signature(node, "function FORMAT", operands)
        pattern = node.operands[0].value if node.operands[0].name == "literal" else None
        fault = format_fault(pattern, [one.type for one in operands[1:]]) if isinstance(pattern, str) else None
        if fault is not None:
            raise self._fail(fault, node)
        return Typed(Operation("format", tuple(one.expression for one in operands)), T.STRING)

    def _cast(self, node: Node) -> Typed:
        operand, to = self.check(node.operands[0]), CASTS.get(node.value)
        if to is None:
            raise self._fail(f"Type not found: {node.value}; there are: {', '.join(CASTS)}", node)
        if operand.type is T.BYTES or {operand.type, to} == {T.BOOL, T.DOUBLE}:
            raise self._fail(f"Invalid cast from {operand.type} to {to}", node)
        expression = operand.expression
        literal = node.operands[0].value if node.operands[0].name == "literal" else None
        if isinstance(literal, str) and to is not T.STRING:
            value = cast_text(literal, to)
            if value is not None or node.name == "safe_cast":
                return Typed(Constant(value), to)
        elif operand.type is T.STRING and to is not T.STRING and node.name == "safe_cast":
            raise self._fail(f"SAFE_CAST to {to} takes a number or a literal: a STRING can be CAST only", node)
        if isinstance(literal, float) and to is T.INT:
            return Typed(Operation(_CAST_NAMES[to], (Operation("round", (expression,)),)), to)  # A literal is rounded.
        if operand.type is T.UINT and to is T.STRING:
            return Typed(Constant(str(literal)), to)
        if operand.type is T.BOOL and to is T.STRING:
            words = (expression, Constant("true"), Operation("not", (expression,)), Constant("false"))
            return Typed(Operation("case", (*words, Constant(None))), to)
        return Typed(Operation(_CAST_NAMES[to], (expression,)), to)

    def _case(self, node: Node) -> Typed:
        compared, otherwise = node.value
        operands = self._operands(node)
        branches = operands[compared : len(operands) - otherwise]
        conditions, results = branches[::2], branches[1::2]
        if otherwise:
            results = [*results, operands[-1]]
        if compared:
            first, *others = _reconciled([operands[0], *conditions], compared=True)
            if common_type(one.type for one in (first, *others)) is None:
                raise self._no_signature(node, "operator CASE", operands)
            conditions = [Typed(Operation("=", (first.expression, one.expression)), T.BOOL) for one in others]
        results = _reconciled(results)
        result = common_type(one.type for one in results)
        if result is None or any(one.type not in (T.BOOL, T.NULL) for one in conditions):
            raise self._no_signature(node, "operator CASE", operands)
        pairs = [one.expression for pair in zip(conditions, results, strict=False) for one in pair]
        last = results[-1].expression if otherwise else Constant(None)
        return Typed(Operation("case", (*pairs, last)), result)


def _value(column: Column, field: Field) -> Typed:
    """Return a field as a value; words become their numbers."""
    if field.numbers is None:
        return Typed(column, field.type)
    pairs = [
        one
        for word, number in field.numbers.items()
        for one in (Operation("=", (column, Constant(word))), Constant(number))
    ]
    return Typed(Operation("case", (*pairs, Constant(None))), field.type)


def _reconciled(operands: list[Typed], *, compared: bool = False, as_double: bool = False) -> list[Typed]:
    """Return numbers of several types as numbers of one, as MLMD does: doubles if one of them is, or else INT64 at most.

    compared: with each other and no more. Then a column of integers may stay one, and keep its index, where that makes no difference.
    """
    types = {one.type for one in operands}
    if types <= {T.INT, T.NULL} or not types <= {*NUMBERS, T.NULL}:
        return operands
    if compared and any(short_property(one) for one in operands):
        return operands  # Its value may be of either type, and is compared by that.
    if as_double or T.DOUBLE in types:
        exact = compared and all(_is_small(one.expression) for one in operands if one.type is T.DOUBLE)
        return [_as_double(one, exact=exact) for one in operands]
    return [one._replace(expression=Constant(_INT64_MAX)) if _is_above(one) else one for one in operands]


def _is_above(one: Typed) -> bool:
    """Tell whether this is a literal above INT64."""
    return one.type is T.UINT and isinstance(one.expression, Constant)


def _is_small(expression: Expression) -> bool:
    """Tell whether this is a number so small that any INT64 compares with it as the double next to that one does."""
    value = expression.value if isinstance(expression, Constant) else None
    return isinstance(value, float) and abs(value) < _DOUBLE_EXACT


def _as_double(one: Typed, *, exact: bool) -> Typed:
    """Return a number as a double. exact: what is no literal is compared as it is."""
    if one.type in (T.DOUBLE, T.NULL):
        return one
    expression = one.expression
    if isinstance(expression, Constant):
        assert isinstance(expression.value, int), "a literal of an integer type"
        return Typed(Constant(float(expression.value)), T.DOUBLE)
    return Typed(expression if exact else Operation("cast_double", (expression,)), T.DOUBLE)


@lru_cache(CACHED_FILTERS)
def filter_query(kind: Kind, text: str) -> Filter:
    """Return a checked filter over nodes of a kind. Raises InvalidArgumentError that says what is wrong and where.

    A text that ends in the mark of the short language is in that: see `filters.short`.
    """
    try:
        if isinstance(text, bytes):
            raise FilterError("Syntax error: the text is no UTF-8")
        short = text.endswith(MARK)
        text = text.removesuffix(MARK)
        syntax = parse(text, _ENUMS[kind, short])
        checker = _Checker(kind, text, short=short)
        checked = as_condition(checker.check(syntax.tree))
        if checked.type is not T.BOOL:
            raise FilterError(f"Given query string is not a valid boolean expression: {text}")
    except FilterError as error:
        raise InvalidArgumentError(str(error)) from None
    except RecursionError:  # How deep Python goes depends on who called.
        raise InvalidArgumentError("Invalid `filter_query`: nested too deep") from None
    return Filter(kind, checked.expression, tuple(checker.variables))
