"""Filters -> SQL. One condition on the listed node `n`, every value a parameter; no cross product, however many variables.

A filter asks whether some choice of rows, one for each variable, makes its expression true (`projections.query`). The choices are
pushed as far inwards as they go: over OR into each side, over AND into the one side that speaks of the variable. So twenty
neighbours that are asked for independently are twenty short searches, each of which stops at the first row that fits. A property
is no choice at all: the node has one row of it or none.

Conditions that a few nodes meet may also drive the search, see `Driver`: `listing` decides.
"""

from __future__ import annotations

from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from projections.query import Column, Constant, Expression, Filter, Kind, Operation, Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_json: Final = msgspec.json.Encoder().encode
COMPILED_FILTERS: Final = 256
_LIST_MAX: Final = 64  # Longer lists of constants go to SQLite as one JSON array.
STRUCT_PREFIX: Final = "mlmd-struct::"


class Sql(NamedTuple):
    """A piece of SQL and the values of its parameters, in order."""

    text: str
    values: tuple[Any, ...] = ()


class Driver(NamedTuple):
    """A search that gives the ids of all nodes which may pass one of the conditions, and perhaps of some more.

    sql: selects `id`; ids may repeat. property: (column, key) that needs an index before the search is worth anything.
    ascending: an index gives the ids in their order, each once, so a page needs no more of them than fill it.
    far: selects the neighbours that the ids are found by; where that is one, `link` with its id is the better search.
    """

    sql: Sql
    property: tuple[str, str] | None = None
    ascending: bool = False
    far: Sql | None = None
    link: str = ""

    def by_one(self, far_id: int) -> Driver:
        """Return the search by one neighbour."""
        return Driver(Sql(self.link, (far_id,)), ascending=True)


class Compiled(NamedTuple):
    """A filter as SQL over `n`, and the searches that may drive it."""

    condition: Sql
    drivers: tuple[Driver, ...]


class _Neighbour(NamedTuple):
    """Where the rows of a variable are: those of `link` whose `own` is the node's id; `far` is the neighbour's id in `table`."""

    link: str
    own: str
    far: str
    table: str


_NEIGHBOURS: Final[dict[tuple[Kind, str], _Neighbour]] = {
    ("artifact", "context"): _Neighbour("attribution", "artifact_id", "context_id", "context"),
    ("execution", "context"): _Neighbour("association", "execution_id", "context_id", "context"),
    ("context", "artifact"): _Neighbour("attribution", "context_id", "artifact_id", "artifact"),
    ("context", "execution"): _Neighbour("association", "context_id", "execution_id", "execution"),
    ("context", "parent_context"): _Neighbour("parent_context", "child_id", "parent_id", "context"),
    ("context", "child_context"): _Neighbour("parent_context", "parent_id", "child_id", "context"),
    ("artifact", "event"): _Neighbour("event", "artifact_id", "", ""),
    ("execution", "event"): _Neighbour("event", "execution_id", "", ""),
}
_PROPERTIES: Final = ("properties", "custom_properties")
_TYPE: Final = Column("type")
_FOUND_BY: Final = frozenset({"id", "name", "uri", "external_id", "execution_id", "artifact_id"})  # There is an index.
_TO_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_STRICT: Final = frozenset(
    {"=", "!=", "<", "<=", ">", ">=", "like", "in", "between"}
)  # Never true of a null first operand.


# Properties ----------------------------------------------------------------------------------------------------------


def json_path(key: str) -> str:
    """Return the path of a property as an SQL string: an index is found by the very text of its expression."""
    return "'$." + _json(key).decode().replace("'", "''") + "'"


def property_expression(column: str, key: str) -> str:
    """Return the SQL of a property's value, whatever its type: what an index of it holds."""
    return f"{column} ->> {json_path(key)}"


def _folded(key: str) -> str:
    return key.translate(_TO_LOWER)


def _present(variable: Variable) -> str:
    """Return the SQL of the JSON type of a property's value, null where the node has none."""
    column = f"n.{variable.relation}"
    exact = f"json_type({column}, {json_path(variable.name)})"
    if _folded(variable.name) == variable.name:
        return exact
    return f"coalesce({exact}, json_type({column}, {json_path(_folded(variable.name))}))"


def _raw(variable: Variable) -> str:
    """Return the SQL of a property's value; the exact spelling wins over the folded one."""
    # The plus keeps it from an index: which one drives the search is not for SQLite to guess.
    column = f"+n.{variable.relation}"
    exact = property_expression(column, variable.name)
    if _folded(variable.name) == variable.name:
        return f"({exact})"
    folded = property_expression(column, _folded(variable.name))
    return f"(case when json_type(n.{variable.relation}, {json_path(variable.name)}) is null then {folded} else {exact} end)"


_JSON_TYPES: Final = {"int": "= 'integer'", "double": "= 'real'", "string": "= 'text'", "bool": "in ('true', 'false')"}


def _property(column: Column) -> str:
    """Return the SQL of one field of a property: null unless the value has that type."""
    assert column.variable is not None, "a property"
    present, raw = _present(column.variable), _raw(column.variable)
    if column.field == "double":  # JSON has no NaN, and SQLite none either.
        return f"case when {present} = 'real' then {raw} end"
    struct = f" when {present} = 'object' then '{STRUCT_PREFIX}' || {raw}" if column.field == "string" else ""
    return f"case when {present} {_JSON_TYPES[column.field]} then {raw}{struct} end"


def _plain_property_comparison(expression: Operation) -> tuple[Column, Sequence[Constant]] | None:
    """Return (property, constants) where one is compared with constants, which its value alone decides; else None."""
    column, *constants = expression.operands
    if not isinstance(column, Column) or column.variable is None or column.variable.relation not in _PROPERTIES:
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


# Choices -------------------------------------------------------------------------------------------------------------


class _Atom(NamedTuple):
    """A condition that is not taken apart."""

    expression: Expression
    columns: frozenset[Column]


class _Group(NamedTuple):
    """Two conditions or more, between them the word "and" or "or"."""

    word: str
    parts: tuple[_Tree, ...]
    columns: frozenset[Column]


class _Exists(NamedTuple):
    """There is a row of a variable for which the body is true."""

    variable: Variable
    body: _Tree
    columns: frozenset[Column]


_Tree = _Atom | _Group | _Exists


def _atom(expression: Expression) -> _Atom:
    return _Atom(expression, frozenset(columns(expression)))


def _group(word: str, parts: Sequence[_Tree]) -> _Tree:
    flat = [
        one for part in parts for one in (part.parts if isinstance(part, _Group) and part.word == word else (part,))
    ]
    if len(flat) == 1:
        return flat[0]
    return _Group(word, tuple(flat), frozenset().union(*(part.columns for part in flat)))


def _taken_apart(expression: Expression, *, negated: bool = False) -> _Tree:
    """Return a condition with "not" moved down to what is not taken apart; true of the same rows, by De Morgan's laws."""
    if isinstance(expression, Operation):
        name, operands = expression
        if name == "not":
            return _taken_apart(operands[0], negated=not negated)
        if name in ("and", "or"):
            word = name if not negated else "or" if name == "and" else "and"
            return _group(word, [_taken_apart(operand, negated=negated) for operand in operands])
        if name == "in" and any(_mentions_neighbour(element) for element in operands[1:]):
            either = tuple(Operation("=", (operands[0], element)) for element in operands[1:])
            return _taken_apart(Operation("or", either), negated=negated)
    return _atom(Operation("not", (expression,)) if negated else expression)


def _mentions_neighbour(expression: Expression) -> bool:
    return any(
        column.variable is not None and column.variable.relation not in _PROPERTIES for column in columns(expression)
    )


def _chosen(variable: Variable, tree: _Tree) -> _Tree:
    """Return "there is a row of the variable for which the tree is true", pushed inwards as far as it goes.

    That the variable has a row at all is seen to elsewhere; so a side of an OR that does not speak of it stays as it is.
    """
    if not _speaks(tree, variable):
        return tree
    if isinstance(tree, _Exists):
        return tree._replace(body=_chosen(variable, tree.body))
    if isinstance(tree, _Group):
        if tree.word == "or":
            return _group("or", [_chosen(variable, part) for part in tree.parts])
        of_it = [part for part in tree.parts if _speaks(part, variable)]
        if len(of_it) < len(tree.parts):
            others = [part for part in tree.parts if not _speaks(part, variable)]
            return _group("and", [*others, _chosen(variable, _group("and", of_it))])
    return _Exists(variable, tree, tree.columns)


def _speaks(tree: _Tree, variable: Variable) -> bool:
    return any(column.variable == variable for column in tree.columns)


def _parts(tree: _Tree) -> tuple[_Tree, ...]:
    """Return the conditions all of which must hold."""
    return tree.parts if isinstance(tree, _Group) and tree.word == "and" else (tree,)


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
_OWN_TYPE: Final = "(select t.name from type t where t.id = n.type_id)"
_BINARY: Final = frozenset({"=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "&", "|", "<<", ">>"})


class _Compiler:
    """Compiles the expressions of one filter. Tables: `n` is the node, `v1`, `v2` ... the rows of the variables."""

    def __init__(self, kind: Kind, variables: Iterable[Variable]) -> None:
        self.kind = kind
        neighbours = [variable for variable in variables if variable.relation not in _PROPERTIES]
        self.tables = {variable: f"v{number}" for number, variable in enumerate(neighbours, 1)}

    def sql(self, expression: Expression) -> Sql:
        """Return an expression as SQL."""
        if isinstance(expression, Constant):
            return _constant(expression)
        if isinstance(expression, Column):
            return Sql(self._column(expression))
        name, operands = expression
        if name in ("and", "or"):
            return _joined(name, [self.sql(operand) for operand in operands])
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
        if variable.relation in _PROPERTIES:
            return f"({_property(column)})"
        table, neighbour = self.tables[variable], _NEIGHBOURS[self.kind, variable.relation]
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

    def condition(self, tree: _Tree) -> Sql:
        """Return a condition of which only matters whether it is true."""
        if isinstance(tree, _Exists):
            own = f"{self.tables[tree.variable]}.{_NEIGHBOURS[self.kind, tree.variable.relation].own}"
            body = self.condition(tree.body)
            return Sql(f"exists (select 1 from {self.rows(tree)} where {own} = n.id and {body.text})", body.values)
        if isinstance(tree, _Group):
            return _joined(tree.word, [self.condition(part) for part in tree.parts])
        return self._atom(tree.expression)

    def _atom(self, expression: Expression) -> Sql:
        if isinstance(expression, Operation) and (plain := _plain_property_comparison(expression)) is not None:
            column, constants = plain
            assert column.variable is not None, "a property"
            # The value first: most nodes are done after one look into the JSON.
            compared = _compared(_raw(column.variable), expression.name, constants)
            return Sql(
                f"({compared.text} and {_present(column.variable)} {_JSON_TYPES[column.field]})", compared.values
            )
        if {*columns(expression)} == {_TYPE}:
            # A type's name never changes, and there are few types. The plus: see _raw.
            types = self.types_where(expression)
            return Sql(f"(+n.type_id in ({types.text}))", types.values)
        return self.sql(expression)

    def types_where(self, expression: Expression) -> Sql:
        """Return the select of the types whose name fits a condition on the node's type."""
        by_name = self.sql(expression)
        condition = by_name.text.replace(_OWN_TYPE, "t.name")
        return Sql(f"select t.id from type t where t.kind = '{self.kind}' and {condition}", by_name.values)

    def rows(self, tree: _Exists) -> str:
        """Return what to select a variable's rows from; the neighbour's own table only where its fields are asked for."""
        variable, table = tree.variable, self.tables[tree.variable]
        neighbour = _NEIGHBOURS[self.kind, variable.relation]
        fields = {column.field for column in tree.body.columns if column.variable == variable}
        if not neighbour.table or fields <= {"id"}:
            return f"{neighbour.link} {table}"
        return f"{neighbour.link} {table} join {neighbour.table} {table}n on {table}n.id = {table}.{neighbour.far}"


def _constant(constant: Constant) -> Sql:
    value = constant.value
    if value is None or isinstance(value, bool):
        return Sql({None: "null", True: "true", False: "false"}[value])
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)  # As SQLite reads a literal that long.
    return Sql("?", (value,))


def _compared(text: str, operator: str, constants: Sequence[Constant]) -> Sql:
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


def _joined(word: str, parts: Sequence[Sql]) -> Sql:
    """Join conditions as a balanced tree: SQLite allows a thousand levels, a chain would be one a condition."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    left, right = _joined(word, parts[:half]), _joined(word, parts[half:])
    return Sql(f"({left.text} {word} {right.text})", left.values + right.values)


def columns(expression: Expression) -> Iterable[Column]:
    """Yield every column in an expression."""
    if isinstance(expression, Column):
        yield expression
    elif isinstance(expression, Operation):
        for operand in expression.operands:
            yield from columns(operand)


# The whole -----------------------------------------------------------------------------------------------------------


@lru_cache(COMPILED_FILTERS)
def compiled(wanted: Filter) -> Compiled:
    """Return a filter as SQL over the table of its kind, called `n`."""
    compiler = _Compiler(wanted.kind, wanted.variables)
    tree = _taken_apart(wanted.expression)
    # Those first that stand in few conditions: what is left of them goes inside the others' searches.
    for variable in sorted(compiler.tables, key=lambda one: sum(_speaks(part, one) for part in _parts(tree))):
        tree = _chosen(variable, tree)
    parts = _parts(tree)
    conditions = [compiler.condition(part) for part in parts]
    missing = [*_not_without_row(compiler, parts), *_not_without_property(wanted.variables, parts)]
    return Compiled(
        _joined("and", [*conditions, *missing]), (*_drivers(compiler, parts), *_property_drivers(wanted.kind, parts))
    )


def _not_without_row(compiler: _Compiler, parts: Sequence[_Tree]) -> list[Sql]:
    """Return the conditions that each neighbour mentioned has a row, unless another condition says so already."""
    found = {part.variable.relation for part in parts if isinstance(part, _Exists)}
    wanted = dict.fromkeys(variable.relation for variable in compiler.tables if variable.relation not in found)
    links = [_NEIGHBOURS[compiler.kind, relation] for relation in wanted]
    return [Sql(f"exists (select 1 from {link.link} v where v.{link.own} = n.id)") for link in links]


def _not_without_property(variables: Iterable[Variable], parts: Sequence[_Tree]) -> list[Sql]:
    """Return the conditions that each property mentioned is there, unless another condition is never true without it."""
    needed = {column.variable for part in parts if isinstance(part, _Atom) for column in _needed(part.expression)}
    return [
        Sql(f"({_present(variable)} is not null)")
        for variable in variables
        if variable.relation in _PROPERTIES and variable not in needed
    ]


def _needed(expression: Expression) -> Iterable[Column]:
    """Yield columns without whose value a condition is never true."""
    if isinstance(expression, Column):
        yield expression
    elif isinstance(expression, Operation) and expression.name == "not":
        yield from _needed(expression.operands[0])
    elif isinstance(expression, Operation) and expression.name in _STRICT:
        first, *others = expression.operands
        # "not in" and "not between" may be true with a null among the others.
        for operand in [first] if expression.name in ("in", "between") else [first, *others]:
            if isinstance(operand, Column):
                yield operand


def _drivers(compiler: _Compiler, parts: Sequence[_Tree]) -> Iterable[Driver]:
    """Yield the searches through a neighbour that an index finds, or through the node's type."""
    for part in parts:
        if isinstance(part, _Atom) and part.columns == {_TYPE}:
            types = compiler.types_where(part.expression)
            yield Driver(Sql(f"select id from {compiler.kind} where type_id in ({types.text})", types.values))
        elif (
            isinstance(part, _Exists)
            and all(column.variable == part.variable for column in part.columns)
            and any(_finds(one) for one in _parts(part.body))
        ):
            yield _neighbour_driver(compiler, part)


def _neighbour_driver(compiler: _Compiler, part: _Exists) -> Driver:
    neighbour, table = _NEIGHBOURS[compiler.kind, part.variable.relation], compiler.tables[part.variable]
    body = compiler.condition(part.body)
    sql = Sql(f"select {table}.{neighbour.own} as id from {compiler.rows(part)} where {body.text}", body.values)
    if not neighbour.table:
        return Driver(sql)
    by_itself = body.text.replace(f"{table}.{neighbour.far}", f"{table}n.id")
    far = Sql(f"select {table}n.id from {neighbour.table} {table}n where {by_itself}", body.values)
    link = f"select {neighbour.own} as id from {neighbour.link} where {neighbour.far} = ?"
    return Driver(sql, far=far, link=link)


def _finds(tree: _Tree) -> bool:
    """Tell whether an index finds the few rows for which a condition is true."""
    if (
        not isinstance(tree, _Atom)
        or not isinstance(tree.expression, Operation)
        or tree.expression.name not in ("=", "in")
    ):
        return False
    first, *others = tree.expression.operands
    return isinstance(first, Column) and first.field in _FOUND_BY and all(isinstance(one, Constant) for one in others)


def _property_drivers(kind: Kind, parts: Sequence[_Tree]) -> Iterable[Driver]:
    """Yield for each property the search by all that it is compared with."""
    comparisons: dict[Variable, list[Sql]] = {}
    equal: set[Variable] = set()
    for part in parts:
        if not isinstance(part, _Atom) or not isinstance(part.expression, Operation):
            continue
        found = _plain_property_comparison(part.expression)
        if found is None or (variable := found[0].variable) is None or _folded(variable.name) != variable.name:
            continue
        value = f"({property_expression(variable.relation, variable.name)})"
        comparisons.setdefault(variable, []).append(_compared(value, part.expression.name, found[1]))
        if part.expression.name == "=":
            equal.add(variable)
    for variable, compared in comparisons.items():
        condition = _joined("and", compared)
        sql = Sql(f"select id from {kind} where {condition.text}", condition.values)
        yield Driver(sql, (variable.relation, variable.name), ascending=variable in equal)
