"""Filters -> the SQL of DuckDB: properties are looked up in VARIANT columns, functions mean what they mean in the serving view.

One thing is different on purpose: where 64 bits do not hold an integer, the serving view goes on with a double, and DuckDB refuses.
An integer and a double are compared as doubles. FORMAT is SQLite's own, and is not here.
"""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase
from typing import ClassVar, Final

from projections.choices import PROPERTIES
from projections.compiler import INT64_END, STRUCT_PREFIX, Compiler, Sql, filled, folded
from projections.duck.wide import text
from projections.errors import QueryError
from projections.query import Column, Constant, Expression, Operation, Variable

_NAN: Final = "'nan'::double"
# DuckDB's own change every letter of Unicode, SQLite's those of ASCII alone: as they do where all are ASCII, which is 20 times as fast.
_LOWER: Final = (
    "(case when strlen({0}) = length({0}) then lower({0})"
    f" else translate({{0}}, '{ascii_uppercase}', '{ascii_lowercase}') end)"
)
_UPPER: Final = (
    "(case when strlen({0}) = length({0}) then upper({0})"
    f" else translate({{0}}, '{ascii_lowercase}', '{ascii_uppercase}') end)"
)
# A text as a number is what it begins with, 0 where that is none.
_INTEGER: Final = r"regexp_replace({}, '^[\t\n\v\f\r ]*([+-]?)([0-9]*)(.|\n)*$', '\10\2')"
_REAL: Final = r"regexp_replace(regexp_replace({}, '^[\t\n\v\f\r ]*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)?(.|\n)*$', '\1'), '^$', '0')"
_SAME: Final = "length trim ltrim rtrim starts_with ends_with abs coalesce ifnull nullif"
_SHIFTS: Final = "{1} not between 0 and 63 then error('a shift is by 0 to 63 bits')"
# DuckDB shifts no negative number to the left, and no bit out of sight: so the lower 64 of 128 bits are taken, and their sign.
_SHIFTED: Final = "(xor({0}::hugeint * (1::hugeint << {1}::hugeint) & 18446744073709551615, 9223372036854775808) - 9223372036854775808)::bigint"
_TEMPLATES: Final = {
    "is_null": "({} is null)",
    "is_true": "({} is true)",
    "is_false": "({} is false)",
    "not": "(not {})",
    "between": "({} between {} and {})",
    "like": f"({_LOWER} like {_LOWER.replace('0', '1')})",
    "unary-": "(- {})",
    "unary~": "(~ {})",
    "/": f"nullif({{}}::double / nullif({{}}::double, 0), {_NAN})",
    "<<": f"(case when {_SHIFTS} else {_SHIFTED} end)",
    ">>": f"(case when {_SHIFTS} else {{0}} >> {{1}} end)",
    "lower": _LOWER,
    "upper": _UPPER,
    "substr": "substring({}, {})",
    "unicode": "nullif(unicode({}), -1)",  # Of an empty text.
    "replace": "(case {1} when '' then {0} else replace({0}, {1}, {2}) end)",  # SQLite does not look at the third then.
    "sign": "sign({})::bigint",
    "round": "round({}::double)",
}
_WITH_ANOTHER: Final = {  # With one operand more.
    "substr": "substring({}, {}, {})",
    "round": "round({}::double, least(greatest({}, 0), 30)::integer)",
}
_BLANK: Final = Sql("' '")
# How the result of a cast is made of what type.
_CASTS: Final[dict[tuple[str, str | None], str]] = {
    ("cast_int", "string"): f"{_INTEGER}::bigint",
    ("cast_int", "double"): "trunc({})::bigint",
    ("cast_double", "string"): f"{_REAL}::double",
    ("cast_bool", "string"): f"({_REAL}::double <> 0)",
}
_PLAIN_CASTS: Final = {
    "cast_int": "({}::bigint)",
    "cast_double": "({}::double)",
    "cast_string": "({}::varchar)",
    "cast_bool": "({} <> 0)",
}


class DuckCompiler(Compiler):
    """Compiles the expressions of one filter for DuckDB."""

    functions: ClassVar[frozenset[str]] = frozenset(_SAME.split())
    templates: ClassVar[dict[str, str]] = _TEMPLATES

    def constant(self, value: float | str | None) -> Sql:
        """See Compiler. A parameter has a type, or DuckDB would guess one."""
        if value is None or isinstance(value, bool):
            return Sql({None: "null", True: "true", False: "false"}[value])
        if isinstance(value, str):
            return Sql("?::varchar", (value,))
        if isinstance(value, int) and -INT64_END <= value < INT64_END:
            return Sql("?::bigint", (value,))
        return Sql("?::double", (float(value),))

    def property_field(self, variable: Variable, field: str) -> str:
        """See Compiler."""
        raw = _raw(variable)
        if field == "any":
            return raw
        if field == "number":
            parts = (self.property_field(variable, part) for part in ("double", "int"))
            return "coalesce(" + ", ".join(f"({part})::double" for part in parts) + ")"
        kind = f"variant_type({raw})"
        if field == "int":
            # As it lies there, without a minus in 64 bits without sign: a cast to another type costs ten times as much.
            unsigned = f"when 'UINT64' then try_cast({raw} as ubigint)::bigint"
            return f"case {kind} {unsigned} when 'INT64' then try_cast({raw} as bigint) end"
        if field == "double":
            return f"case when {kind} = 'DOUBLE' then nullif(try_cast({raw} as double), {_NAN}) end"
        if field == "bool":
            return f"case {kind} when 'BOOL_TRUE' then true when 'BOOL_FALSE' then false end"
        struct = f"when 'OBJECT' then '{STRUCT_PREFIX}' || ({raw})::json::varchar"
        return f"case {kind} when 'VARCHAR' then try_cast({raw} as varchar) {struct} end"

    def present(self, variable: Variable) -> str:
        """See Compiler."""
        return _raw(variable)

    def operation(self, expression: Operation, parts: list[Sql]) -> Sql:
        """See Compiler."""
        name = expression.name
        if name == "format":
            raise QueryError("Error when executing query: FORMAT is answered by the serving view alone")
        if name in _PLAIN_CASTS:
            return filled(_CASTS.get((name, _type(expression.operands[0])), _PLAIN_CASTS[name]), parts)
        if name in ("+", "-", "*") and _type(expression) == "double":
            return filled(f"nullif({{}} {name} {{}}, {_NAN})", parts)  # SQLite knows no NaN either.
        if name in _WITH_ANOTHER and _WITH_ANOTHER[name].count("{}") == len(parts):
            return filled(_WITH_ANOTHER[name], parts)
        if name in ("trim", "ltrim", "rtrim") and len(parts) == 1:  # Alone they take off more than the blank.
            parts = [*parts, _BLANK]
        return super().operation(expression, parts)


def _raw(variable: Variable) -> str:
    """Return the SQL of a property's value, null where the node has none; the exact spelling wins over the folded one."""
    exact = f"n.{variable.relation}[{text(variable.name)}]"
    if folded(variable) == variable.name:
        return exact
    return f"coalesce({exact}, n.{variable.relation}[{text(folded(variable))}])"


# Types ---------------------------------------------------------------------------------------------------------------

_RESULTS: Final = {
    **dict.fromkeys(("&", "|", "<<", ">>", "unary~", "length", "unicode", "sign", "cast_int"), "int"),
    **dict.fromkeys(("/", "round", "cast_double"), "double"),
    **dict.fromkeys(("lower", "upper", "substr", "trim", "ltrim", "rtrim", "replace", "cast_string"), "string"),
}
_OF_OPERANDS: Final = frozenset({"+", "-", "*", "unary-", "abs", "coalesce", "ifnull", "nullif"})
_STRINGS: Final = frozenset({"name", "type", "uri", "external_id", "state"})
_NUMBERS: Final = {"number": "double"}  # What a field of a property is.


def _type(expression: Expression) -> str | None:
    """Return int, double, string or bool, as the checker found it; None for the literal NULL."""
    if isinstance(expression, Constant):
        names = {bool: "bool", int: "int", float: "double", str: "string", type(None): None}
        return names[type(expression.value)]
    if isinstance(expression, Column):
        if expression.variable is not None and expression.variable.relation in PROPERTIES:
            return _NUMBERS.get(expression.field, expression.field)
        return "string" if expression.field in _STRINGS else "int"
    name, operands = expression
    if name == "case":
        operands = (*operands[1::2], operands[-1])
    elif name not in _OF_OPERANDS:
        return _RESULTS.get(name, "bool")
    found = {_type(operand) for operand in operands} - {None}
    return "double" if "double" in found else next(iter(found), None)
