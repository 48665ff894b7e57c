"""Expressions and conditions -> SQL over the listed node `n`. Every value is a parameter; only property names are part of the text."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from projections.choices import PROPERTIES, Exists, Group, Tree, columns
from projections.query import Column, Constant, Expression, Kind, Operation, Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_json: Final = msgspec.json.Encoder().encode
_LIST_MAX: Final = 64  # Longer lists of constants go to SQLite as one JSON array.
STRUCT_PREFIX: Final = "mlmd-struct::"


class Sql(NamedTuple):
    """A piece of SQL and the values of its parameters, in order."""

    text: str
    values: tuple[Any, ...] = ()


class Neighbour(NamedTuple):
    """Where the rows of a variable are: those of `link` whose `own` is the node's id; `far` is the neighbour's id in `table`."""

    link: str
    own: str
    far: str
    table: str


NEIGHBOURS: Final[dict[tuple[Kind, str], Neighbour]] = {
    ("artifact", "context"): Neighbour("attribution", "artifact_id", "context_id", "context"),
    ("execution", "context"): Neighbour("association", "execution_id", "context_id", "context"),
    ("context", "artifact"): Neighbour("attribution", "context_id", "artifact_id", "artifact"),
    ("context", "execution"): Neighbour("association", "context_id", "execution_id", "execution"),
    ("context", "parent_context"): Neighbour("parent_context", "child_id", "parent_id", "context"),
    ("context", "child_context"): Neighbour("parent_context", "parent_id", "child_id", "context"),
    ("artifact", "event"): Neighbour("event", "artifact_id", "", ""),
    ("execution", "event"): Neighbour("event", "execution_id", "", ""),
}
TYPE: Final = Column("type")
_OWN_TYPE: Final = "(select t.name from type t where t.id = n.type_id)"
_TO_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


# Properties ----------------------------------------------------------------------------------------------------------


def json_path(key: str) -> str:
    """Return the path of a property as an SQL string: an index is found by the very text of its expression."""
    return "'$." + _json(key).decode().replace("'", "''") + "'"


def property_expression(column: str, key: str) -> str:
    """Return the SQL of a property's value, whatever its type: what an index of it holds."""
    return f"{column} ->> {json_path(key)}"


def folded(key: str) -> str:
    """Return the name under which a property is looked for if it is not there as it was written."""
    return key.translate(_TO_LOWER)


def present(variable: Variable) -> str:
    """Return the SQL of the JSON type of a property's value, null where the node has none."""
    column = f"n.{variable.relation}"
    exact = f"json_type({column}, {json_path(variable.name)})"
    if folded(variable.name) == variable.name:
        return exact
    return f"coalesce({exact}, json_type({column}, {json_path(folded(variable.name))}))"


def _raw(variable: Variable) -> str:
    """Return the SQL of a property's value; the exact spelling wins over the folded one."""
    # The plus keeps it from an index: which one drives the search is not for SQLite to guess.
    column = f"+n.{variable.relation}"
    exact = property_expression(column, variable.name)
    if folded(variable.name) == variable.name:
        return f"({exact})"
    lower = property_expression(column, folded(variable.name))
    return f"(case when json_type(n.{variable.relation}, {json_path(variable.name)}) is null then {lower} else {exact} end)"


_JSON_TYPES: Final = {"int": "= 'integer'", "double": "= 'real'", "string": "= 'text'", "bool": "in ('true', 'false')"}


def _property(column: Column) -> str:
    """Return the SQL of one field of a property: null unless the value has that type."""
    assert column.variable is not None, "a property"
    kind, raw = present(column.variable), _raw(column.variable)
    if column.field == "double":  # JSON has no NaN, and SQLite none either.
        return f"case when {kind} = 'real' then {raw} end"
    struct = f" when {kind} = 'object' then '{STRUCT_PREFIX}' || {raw}" if column.field == "string" else ""
    return f"case when {kind} {_JSON_TYPES[column.field]} then {raw}{struct} end"


def plain_property_comparison(expression: Operation) -> tuple[Column, Sequence[Constant]] | None:
    """Return (property, constants) where one is compared with constants, which its value alone decides; else None."""
    column, *constants = expression.operands
    if not isinstance(column, Column) or column.variable is None or column.variable.relation not in PROPERTIES:
        return None
    ordered = column.field in ("int", "double", "bool") and expression.name in ("<", "<=", ">", ">=", "between")
    if not (ordered or expression.name in ("=", "in")):
        return None
    plain = [one for one in constants if isinstance(one, Constant)]
    if len(plain) < len(constants) or any(
        one.value is None or (isinstance(one.value, str) and one.value.startswith(STRUCT_PREFIX)) for one in plain
    ):
        return None
    return column, plain


# Expressions ---------------------------------------------------------------------------------------------------------

_SAME_IN_SQLITE: Final = (
    "length lower upper substr trim ltrim rtrim replace unicode round sign coalesce ifnull nullif format"
)
_FUNCTIONS: Final = frozenset(_SAME_IN_SQLITE.split())
_TEMPLATES: Final = {  # {} is an operand; repeated operands are given twice.
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
_OWNTYPE: Final = "(select t.name from type t where t.id = n.type_id)"
_BINARY: Final = frozenset({"=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "&", "|", "<<", ">>"})


class Compiler:
    """Compiles the expressions of one filter. Tables: `n` is the node, `v1`, `v2` ... the rows of the variables."""

    def __init__(self, kind: Kind, variables: Iterable[Variable]) -> None:
        self.kind = kind
        neighbours = [variable for variable in variables if variable.relation not in PROPERTIES]
        self.tables = {variable: f"v{number}" for number, variable in enumerate(neighbours, 1)}

    def sql(self, expression: Expression) -> Sql:
        """Return an expression as SQL."""
        if isinstance(expression, Constant):
            return _constant(expression)
        if isinstance(expression, Column):
            return Sql(self._column(expression))
        name, operands = expression
        if name in ("and", "or"):
            return joined(name, [self.sql(operand) for operand in operands])
        if name == "in":
            return self._in(*operands)
        if name == "case":
            return self._case(operands)
        parts = [self.sql(operand) for operand in operands]
        if name in _BINARY:
            return Sql(f"({parts[0].text} {name} {parts[1].text})", parts[0].values + parts[1].values)
        if name in _FUNCTIONS:
            return Sql(f"{name}({', '.join(part.text for part in parts)})", _values(parts))
        return _filled(_TEMPLATES[name], parts)

    def _column(self, column: Column) -> str:
        variable, field = column.variable, column.field
        if variable is None:
            return _OWN_TYPE if field == "type" else f"n.{field}"
        if variable.relation in PROPERTIES:
            return f"({_property(column)})"
        table, neighbour = self.tables[variable], NEIGHBOURS[self.kind, variable.relation]
        if not neighbour.table:
            return f"{table}.{field}"
        if field == "id":
            return f"{table}.{neighbour.far}"
        if field == "type":
            return f"(select t.name from type t where t.id = {table}n.type_id)"
        return f"{table}n.{field}"

    def _in(self, value: Expression, *elements: Expression) -> Sql:
        left = self.sql(value)
        constants = [element.value for element in elements if isinstance(element, Constant)]
        if len(constants) == len(elements) > _LIST_MAX:
            return Sql(f"({left.text} in (select value from json_each(?)))", (*left.values, _json(constants)))
        parts = [self.sql(element) for element in elements]
        return Sql(f"({left.text} in ({', '.join(part.text for part in parts)}))", left.values + _values(parts))

    def _case(self, operands: Sequence[Expression]) -> Sql:
        *pairs, last = [self.sql(operand) for operand in operands]
        branches = [f"when {when.text} then {then.text}" for when, then in zip(pairs[::2], pairs[1::2], strict=True)]
        return Sql(f"(case {' '.join(branches)} else {last.text} end)", _values([*pairs, last]))

    def condition(self, tree: Tree) -> Sql:
        """Return a condition of which only matters whether it is true."""
        if isinstance(tree, Exists):
            own = f"{self.tables[tree.variable]}.{NEIGHBOURS[self.kind, tree.variable.relation].own}"
            body = self.condition(tree.body)
            return Sql(f"exists (select 1 from {self.rows(tree)} where {own} = n.id and {body.text})", body.values)
        if isinstance(tree, Group):
            return joined(tree.word, [self.condition(part) for part in tree.parts])
        return self._atom(tree.expression)

    def _atom(self, expression: Expression) -> Sql:
        if isinstance(expression, Operation) and (plain := plain_property_comparison(expression)) is not None:
            column, constants = plain
            assert column.variable is not None, "a property"
            # The value first: most nodes are done after one look into the JSON.
            fits = compared(_raw(column.variable), expression.name, constants)
            return Sql(f"({fits.text} and {present(column.variable)} {_JSON_TYPES[column.field]})", fits.values)
        if {*columns(expression)} == {TYPE}:
            # A type's name never changes, and there are few types. The plus: see _raw.
            types = self.types_where(expression)
            return Sql(f"(+n.type_id in ({types.text}))", types.values)
        return self.sql(expression)

    def types_where(self, expression: Expression) -> Sql:
        """Return the select of the types whose name fits a condition on the node's type."""
        by_name = self.sql(expression)
        condition = by_name.text.replace(_OWN_TYPE, "t.name")
        return Sql(f"select t.id from type t where t.kind = '{self.kind}' and {condition}", by_name.values)

    def rows(self, tree: Exists, *, found: bool = False) -> str:
        """Return what to select a variable's rows from; the neighbour's own table only where its fields are asked for.

        found: the neighbour is found by its fields, rather than through the link.
        """
        variable, table = tree.variable, self.tables[tree.variable]
        neighbour = NEIGHBOURS[self.kind, variable.relation]
        fields = {column.field for column in tree.body.columns if column.variable == variable}
        if not neighbour.table or fields <= {"id"}:
            return f"{neighbour.link} {table}"
        far = f"{neighbour.table}_found" if found else neighbour.table
        return f"{neighbour.link} {table} join {far} {table}n on {table}n.id = {table}.{neighbour.far}"


def _constant(constant: Constant) -> Sql:
    value = constant.value
    if value is None or isinstance(value, bool):
        return Sql({None: "null", True: "true", False: "false"}[value])
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)  # As SQLite reads a literal that long.
    return Sql("?", (value,))


def compared(text: str, operator: str, constants: Sequence[Constant]) -> Sql:
    """Return SQL compared with constants: = != < <= > >= in between."""
    parts = [_constant(constant) for constant in constants]
    if operator == "between":
        return Sql(f"({text} between {parts[0].text} and {parts[1].text})", _values(parts))
    if operator == "in":
        return Sql(f"({text} in ({', '.join(part.text for part in parts)}))", _values(parts))
    return Sql(f"({text} {operator} {parts[0].text})", _values(parts))


def _values(parts: Iterable[Sql]) -> tuple[Any, ...]:
    return tuple(value for part in parts for value in part.values)


def _filled(template: str, parts: Sequence[Sql]) -> Sql:
    if "{0}" not in template:
        return Sql(template.format(*(part.text for part in parts)), _values(parts))
    # An operand that stands twice gives its values twice, in the order of the text.
    order = [int(piece[0]) for piece in template.split("{")[1:]]
    return Sql(template.format(*(part.text for part in parts)), _values(parts[number] for number in order))


def joined(word: str, parts: Sequence[Sql]) -> Sql:
    """Join conditions as a balanced tree: SQLite allows a thousand levels, a chain would be one a condition."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    left, right = joined(word, parts[:half]), joined(word, parts[half:])
    return Sql(f"({left.text} {word} {right.text})", left.values + right.values)
