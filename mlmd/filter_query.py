"""Filters in MLMD's language -> `projections.query.Filter`: names, words and types are checked here.

Three steps that know nothing of each other: `filter_syntax` parses, this checks, `projections.compiler` compiles.
Source: the contract of ml-metadata 1.17.1; departures are listed in docs/compatibility.md.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from mlmd.errors import InvalidArgumentError
from mlmd.filter_syntax import Attribute, FilterError, Node, parse
from mlmd.kinds import ARTIFACT, CONTEXT, EVENT_NUMBERS, EXECUTION
from projections.query import KINDS, Column, Constant, Expression, Filter, Kind, Operation, Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

CACHED_FILTERS: Final = 256
_INT64_MAX: Final = 2**63 - 1


class T(StrEnum):
    """The type of an expression; NULL is that of the literal alone."""

    INT = "INT64"
    DOUBLE = "DOUBLE"
    STRING = "STRING"
    BOOL = "BOOL"
    BYTES = "BYTES"
    NULL = "NULL"


class Typed(NamedTuple):
    """A checked expression."""

    expression: Expression
    type: T


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
# What is compared with words, and the words: of each kind.
_ENUMS: Final[dict[Kind, dict[Attribute, frozenset[str]]]] = {
    kind: {
        Attribute(relation, name): frozenset(field.numbers)
        for relation, fields in (
            (None, _ATTRIBUTES[kind]),
            *((relation, fields) for relation, (_, fields) in _RELATIONS[kind].items()),
        )
        for name, field in fields.items()
        if field.numbers is not None
    }
    for kind in KINDS
}


# Functions -----------------------------------------------------------------------------------------------------------

_FUNCTIONS: Final[dict[str, tuple[tuple[T, ...], int, T]]] = {  # name -> (operands, how many are needed, result)
    "length": ((T.STRING,), 1, T.INT),
    "lower": ((T.STRING,), 1, T.STRING),
    "upper": ((T.STRING,), 1, T.STRING),
    "substr": ((T.STRING, T.INT, T.INT), 2, T.STRING),
    "trim": ((T.STRING, T.STRING), 1, T.STRING),
    "ltrim": ((T.STRING, T.STRING), 1, T.STRING),
    "rtrim": ((T.STRING, T.STRING), 1, T.STRING),
    "replace": ((T.STRING, T.STRING, T.STRING), 3, T.STRING),
    "starts_with": ((T.STRING, T.STRING), 2, T.BOOL),
    "ends_with": ((T.STRING, T.STRING), 2, T.BOOL),
    "round": ((T.DOUBLE, T.INT), 1, T.DOUBLE),
    "unicode": ((T.STRING,), 1, T.INT),
}
_OF_ANY_NUMBER: Final = ("abs", "sign")
_OF_ANY: Final = {"coalesce": (1, None), "ifnull": (2, 2), "nullif": (2, 2)}  # name -> (fewest, most) operands
_AGGREGATE_NAMES: Final = (
    "any_value array_agg avg bit_and bit_or bit_xor corr count countif logical_and logical_or max min stddev string_agg sum"
    " variance"
)
_AGGREGATES: Final = frozenset(_AGGREGATE_NAMES.split())
_CASTS: Final = {
    **dict.fromkeys(("INT64", "INT32", "UINT64", "UINT32"), T.INT),
    **dict.fromkeys(("FLOAT64", "DOUBLE", "FLOAT", "FLOAT32"), T.DOUBLE),
    "STRING": T.STRING,
    **dict.fromkeys(("BOOL", "BOOLEAN"), T.BOOL),
}
_CAST_NAMES: Final = {T.INT: "cast_int", T.DOUBLE: "cast_double", T.STRING: "cast_string", T.BOOL: "cast_bool"}


class _Checker:
    def __init__(self, kind: Kind, text: str) -> None:
        self._kind, self._text = kind, text
        self.variables: dict[Variable, None] = {}
        self._checks: dict[str, Callable[[Node], Typed]] = {
            "literal": self._literal,
            "name": self._name,
            "field": self._field,
            "property": self._property,
            "enum": self._enum,
            "call": self._call,
            "cast": self._cast,
            "case": self._case,
            "in": self._comparison,
            "between": self._comparison,
            "like": self._like,
            **dict.fromkeys(("=", "!=", "<", "<=", ">", ">="), self._comparison),
            **dict.fromkeys(("and", "or", "not", "is_true", "is_false", "is_unknown"), self._logic),
            "is_null": lambda node: Typed(Operation("is_null", self._expressions(node)), T.BOOL),
            **dict.fromkeys(("+", "-", "*", "/", "unary-", "unary+"), self._arithmetic),
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
        return [self.check(operand) for operand in node.operands]

    def _expressions(self, node: Node) -> tuple[Expression, ...]:
        return tuple(one.expression for one in self._operands(node))

    # Leaves ---------------------------------------------------------------------------------------------------------

    def _literal(self, node: Node) -> Typed:
        value = node.value
        if isinstance(value, bytes):
            return Typed(Constant(None), T.BYTES)  # Fits nothing that a node has.
        types = {bool: T.BOOL, int: T.INT, float: T.DOUBLE, str: T.STRING, type(None): T.NULL}
        return Typed(Constant(value), types[type(value)])

    def _name(self, node: Node) -> Typed:
        field = _ATTRIBUTES[self._kind].get(node.value[0].lower())
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

    def _enum(self, node: Node) -> Typed:
        """Check an attribute compared with words; unlike other comparisons, != and NOT IN match where it is unset."""
        (attribute,) = node.operands
        if attribute.name == "field":
            column, _ = self._neighbour(attribute)
        else:
            column = Column(_ATTRIBUTES[self._kind][attribute.value[0]].column)
        negated, words = node.value
        constants = tuple(Constant(word) for word in words)
        condition: Expression = (
            Operation("in", (column, *constants)) if len(words) > 1 else Operation("=", (column, *constants))
        )
        if negated:
            condition = Operation("or", (Operation("not", (condition,)), Operation("is_null", (column,))))
        return Typed(condition, T.BOOL)

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
        operands = self._operands(node)
        if node.name not in ("in", "between"):
            self._refuse_null(node, operands)
        if _common(one.type for one in operands) in (None, T.BYTES):
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
                raise self._fail(f"Operands of {node.name.upper()} cannot be literal NULL: use IS NULL", operand)

    def _arithmetic(self, node: Node) -> Typed:
        operands = self._operands(node)
        common = _common(one.type for one in operands)
        if common not in (T.INT, T.DOUBLE, T.NULL):
            raise self._no_signature(node, f"operator {node.name.removeprefix('unary')}", operands)
        if node.name == "unary+":
            return operands[0]
        self._refuse_unsigned(node, operands)
        first = operands[0].expression
        if node.name == "unary-" and isinstance(first, Constant) and isinstance(first.value, int | float):
            return Typed(Constant(-first.value), operands[0].type)
        result = T.DOUBLE if node.name == "/" or common is T.DOUBLE else T.INT
        return Typed(Operation(node.name, tuple(one.expression for one in operands)), result)

    def _bits(self, node: Node) -> Typed:
        operands = self._operands(node)
        if any(one.type not in (T.INT, T.NULL) for one in operands):
            raise self._no_signature(node, f"operator {node.name.removeprefix('unary')}", operands)
        self._refuse_unsigned(node, operands)
        return Typed(Operation(node.name, tuple(one.expression for one in operands)), T.INT)

    def _refuse_unsigned(self, node: Node, operands: Sequence[Typed]) -> None:
        """Raise FilterError where a literal is too large to count with; to compare with, any unsigned one will do."""
        most = _INT64_MAX + (node.name == "unary-")
        for one in operands:
            value = one.expression.value if isinstance(one.expression, Constant) else None
            if isinstance(value, int) and value > most:
                raise self._fail(f"Could not cast literal {value} to type INT64", node)

    # Functions ------------------------------------------------------------------------------------------------------

    def _call(self, node: Node) -> Typed:
        name = node.value
        if name in _AGGREGATES:
            raise self._fail(f"Aggregate function {name.upper()} not allowed in a filter", node)
        if name == "format":
            return self._format(node)
        if name not in _FUNCTIONS and name not in _OF_ANY_NUMBER and name not in _OF_ANY:
            raise self._fail(f"Function not found: {name.upper()}", node)
        operands = self._operands(node)
        result = _result(name, [one.type for one in operands])
        if result is None:
            raise self._no_signature(node, f"function {name.upper()}", operands)
        return Typed(Operation(name, tuple(one.expression for one in operands)), result)

    def _format(self, node: Node) -> Typed:
        operands = self._operands(node)
        if not operands or operands[0].type not in (T.STRING, T.NULL):
            raise self._no_signature(node, "function FORMAT", operands)
        return Typed(Operation("format", tuple(one.expression for one in operands)), T.STRING)

    def _cast(self, node: Node) -> Typed:
        operand, to = self.check(node.operands[0]), _CASTS.get(node.value)
        if to is None:
            raise self._fail(f"Type not found: {node.value}; there are: {', '.join(_CASTS)}", node)
        if operand.type is T.BYTES or {operand.type, to} == {T.BOOL, T.DOUBLE}:
            raise self._fail(f"Invalid cast from {operand.type} to {to}", node)
        expression = operand.expression
        if isinstance(expression, Constant) and isinstance(expression.value, float) and to is T.INT:
            return Typed(Operation(_CAST_NAMES[to], (Operation("round", (expression,)),)), to)  # A literal is rounded.
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
            if _common(one.type for one in [operands[0], *conditions]) is None:
                raise self._no_signature(node, "operator CASE", operands)
            conditions = [Typed(Operation("=", (operands[0].expression, one.expression)), T.BOOL) for one in conditions]
        result = _common(one.type for one in results)
        if result is None or any(one.type not in (T.BOOL, T.NULL) for one in conditions):
            raise self._no_signature(node, "operator CASE", operands)
        pairs = [one.expression for pair in zip(conditions, results, strict=False) for one in pair]
        last = operands[-1].expression if otherwise else Constant(None)
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


def _common(types: Iterable[T]) -> T | None:
    """Return the type that values of all these types have, None where there is none."""
    found = set(types) - {T.NULL}
    if found == {T.INT, T.DOUBLE}:
        return T.DOUBLE
    if len(found) > 1:
        return None
    return found.pop() if found else T.NULL


def _result(name: str, types: list[T]) -> T | None:
    """Return the type that a function has of operands of these types, None where they do not fit."""
    if name in _OF_ANY:
        fewest, most = _OF_ANY[name]
        if len(types) < fewest or (most is not None and len(types) > most):
            return None
        return _common(types)
    if name in _OF_ANY_NUMBER:
        return types[0] if len(types) == 1 and types[0] in (T.INT, T.DOUBLE, T.NULL) else None
    wanted, needed, result = _FUNCTIONS[name]
    if not needed <= len(types) <= len(wanted):
        return None
    fits = all(
        given in (want, T.NULL) or (want is T.DOUBLE and given is T.INT)
        for given, want in zip(types, wanted, strict=False)
    )
    return result if fits else None


@lru_cache(CACHED_FILTERS)
def filter_query(kind: Kind, text: str) -> Filter:
    """Return a checked filter over nodes of a kind. Raises InvalidArgumentError that says what is wrong and where."""
    try:
        if isinstance(text, bytes):
            raise FilterError("Syntax error: the text is no UTF-8")
        syntax = parse(text, _ENUMS[kind])
        checker = _Checker(kind, text)
        checked = checker.check(syntax.tree)
        if checked.type is not T.BOOL:
            raise FilterError(f"Given query string is not a valid boolean expression: {text}")
    except FilterError as error:
        raise InvalidArgumentError(str(error)) from None
    except RecursionError:  # How deep Python goes depends on who called.
        raise InvalidArgumentError("Invalid `filter_query`: nested too deep") from None
    return Filter(kind, checked.expression, tuple(checker.variables))
