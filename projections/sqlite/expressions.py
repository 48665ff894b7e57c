"""Filters -> the SQL of SQLite: properties are looked up in JSONB columns, by the very text that an index of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from projections.choices import PROPERTIES
from projections.compiler import INT64_END, STRUCT_PREFIX, Compiler, Sql, filled, folded, values_of
from projections.query import Column, Constant, Expression, Operation, Variable

if TYPE_CHECKING:
    from collections.abc import Sequence

_json: Final = msgspec.json.Encoder().encode
_LIST_MAX: Final = 64  # Longer lists of constants go to SQLite as one JSON array.


# Properties ----------------------------------------------------------------------------------------------------------


def json_path(key: str) -> str:
    """Return the path of a property as an SQL string: an index is found by the very text of its expression."""
    return "'$." + _json(key).decode().replace("'", "''") + "'"


def property_expression(column: str, key: str) -> str:
    """Return the SQL of a property's value, whatever its type: what an index of it holds."""
    return f"{column} ->> {json_path(key)}"


def present(variable: Variable) -> str:
    """Return the SQL of the JSON type of a property's value, null where the node has none."""
    column = f"n.{variable.relation}"
    exact = f"json_type({column}, {json_path(variable.name)})"
    if folded(variable) == variable.name:
        return exact
    return f"coalesce({exact}, json_type({column}, {json_path(folded(variable))}))"


def _raw(variable: Variable) -> str:
    """Return the SQL of a property's value; the exact spelling wins over the folded one."""
    # The plus keeps it from an index: which one drives the search is not for SQLite to guess.
    column = f"+n.{variable.relation}"
    exact = property_expression(column, variable.name)
    if folded(variable) == variable.name:
        return f"({exact})"
    lower = property_expression(column, folded(variable))
    return f"(case when json_type(n.{variable.relation}, {json_path(variable.name)}) is null then {lower} else {exact} end)"


_JSON_TYPES: Final = {
    "int": "= 'integer'",
    "double": "= 'real'",
    "number": "in ('integer', 'real')",
    "string": "= 'text'",
    "bool": "in ('true', 'false')",
}


def _field(variable: Variable, field: str) -> str:
    """Return the SQL of one field of a property: null unless the value has that type."""
    kind, raw = present(variable), _raw(variable)
    if field == "any":
        return kind
    if field == "double":  # JSON has no NaN, and SQLite none either.
        return f"case when {kind} = 'real' then {raw} end"
    struct = f" when {kind} = 'object' then '{STRUCT_PREFIX}' || {raw}" if field == "string" else ""
    return f"case when {kind} {_JSON_TYPES[field]} then {raw}{struct} end"


def plain_property_comparison(expression: Operation) -> tuple[Column, Sequence[Constant]] | None:
    """Return (property, constants) where one is compared with constants, which its value alone decides; else None."""
    column, *constants = expression.operands
    if not isinstance(column, Column) or column.variable is None or column.variable.relation not in PROPERTIES:
        return None
    ordered = column.field in ("int", "double", "number", "bool") and expression.name in (
        "<",
        "<=",
        ">",
        ">=",
        "between",
    )
    if not (ordered or expression.name in ("=", "in")):
        return None
    plain = [one for one in constants if isinstance(one, Constant)]
    if len(plain) < len(constants) or any(
        one.value is None or (isinstance(one.value, str) and one.value.startswith(STRUCT_PREFIX)) for one in plain
    ):
        return None
    return column, plain


# Expressions ---------------------------------------------------------------------------------------------------------

_SAME: Final = "length lower upper substr trim ltrim rtrim replace unicode round sign coalesce ifnull nullif format"
_TEMPLATES: Final = {
    "is_null": "({} is null)",
    "is_true": "({} is true)",
    "is_false": "({} is false)",
    "not": "(not {})",
    "like": "({} like {})",
    "between": "({} between {} and {})",
    "unary-": "(- {})",
    "unary~": "(~ {})",
    "/": "(cast({} as real) / {})",
    "cast_int": "cast({} as integer)",
    "cast_double": "cast({} as real)",
    "cast_string": "cast({} as text)",
    "cast_bool": "(cast({} as numeric) <> 0)",
    "abs": "(case {0} when -9223372036854775808 then 9223372036854775808.0 else abs({0}) end)",  # Like other overflows.
    "starts_with": "(substr({0}, 1, length({1})) = {1})",
    "ends_with": "({1} = '' or substr({0}, -length({1})) = {1})",
}


class SqliteCompiler(Compiler):
    """Compiles the expressions of one filter for SQLite."""

    functions: ClassVar[frozenset[str]] = frozenset(_SAME.split())
    templates: ClassVar[dict[str, str]] = _TEMPLATES

    def constant(self, value: float | str | None) -> Sql:
        """See Compiler."""
        return _constant(value)

    def property_field(self, variable: Variable, field: str) -> str:
        """See Compiler."""
        return _field(variable, field)

    def present(self, variable: Variable) -> str:
        """See Compiler."""
        return present(variable)

    def one_of(self, value: Expression, *elements: Expression) -> Sql:
        """See Compiler."""
        constants = [element.value for element in elements if isinstance(element, Constant)]
        if len(constants) == len(elements) > _LIST_MAX:
            left = self.sql(value)
            return Sql(f"({left.text} in (select value from json_each(?)))", (*left.values, _json(constants)))
        return super().one_of(value, *elements)

    def atom(self, expression: Expression) -> Sql:
        """See Compiler."""
        if isinstance(expression, Operation) and (plain := plain_property_comparison(expression)) is not None:
            column, constants = plain
            assert column.variable is not None, "a property"
            # The value first: most nodes are done after one look into the JSON.
            fits = compared(_raw(column.variable), expression.name, constants)
            return Sql(f"({fits.text} and {present(column.variable)} {_JSON_TYPES[column.field]})", fits.values)
        found = super().atom(expression)
        # The plus: see _raw.
        return found._replace(text=found.text.replace("(n.type_id in", "(+n.type_id in", 1))


def _constant(value: float | str | None) -> Sql:
    if value is None or isinstance(value, bool):
        return Sql({None: "null", True: "true", False: "false"}[value])
    if isinstance(value, int) and not -INT64_END <= value < INT64_END:
        value = float(value)  # As SQLite reads a literal that long.
    return Sql("?", (value,))


def compared(text: str, operator: str, constants: Sequence[Constant]) -> Sql:
    """Return SQL compared with constants: = != < <= > >= in between."""
    parts = [_constant(constant.value) for constant in constants]
    if operator == "between":
        return filled("({} between {} and {})", [Sql(text), *parts])
    if operator == "in":
        return Sql(f"({text} in ({', '.join(part.text for part in parts)}))", values_of(parts))
    return filled(f"({{}} {operator} {{}})", [Sql(text), *parts])
