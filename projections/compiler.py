"""Filters -> SQL, as far as all databases speak it alike; each adds how it looks into properties, and its functions.

The SQL is over the listed node `n` and the tables of one moment: `artifact`, `execution`, `context`, `type`, `event`, `attribution`,
`association`, `parent_context`, with the columns of `projections/sqlite/schema.sql`. Every value is a parameter; only property names are
part of the text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from projections.choices import PROPERTIES, Atom, Exists, Group, Tree, columns, conjuncts, pushed_inwards
from projections.errors import TooDeepError
from projections.query import Column, Constant, Expression, Filter, Kind, Operation, Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# An operand that stands twice in a function's SQL doubles with each level of nesting. No filter of use comes near this.
TEXT_MAX: Final = 1_000_000
INT64_END: Final = 2**63
STRUCT_PREFIX: Final = "mlmd-struct::"
TYPE: Final = Column("type")
_OWN_TYPE: Final = "(select t.name from type t where t.id = n.type_id)"
_TO_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
# Never true where the first operand is null.
_STRICT: Final = frozenset({"=", "!=", "<", "<=", ">", ">=", "like", "in", "between"})
_BINARY: Final = frozenset({"=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "&", "|", "<<", ">>"})


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


def folded(variable: Variable) -> str:
    """Return the name under which a property is looked for if it is not there as it was written."""
    return variable.name if variable.exact else variable.name.translate(_TO_LOWER)


class Compiler(ABC):
    """Compiles the expressions of one filter. Tables: `n` is the node, `v1`, `v2` ... the rows of the variables."""

    functions: ClassVar[frozenset[str]]
    """Functions and operators that the database calls by the filter's names."""
    templates: ClassVar[dict[str, str]]
    """The others: {} is an operand; with {0}, {1} each may stand several times."""

    def __init__(self, kind: Kind, variables: Iterable[Variable]) -> None:
        self.kind = kind
        neighbours = [variable for variable in variables if variable.relation not in PROPERTIES]
        self.tables = {variable: f"v{number}" for number, variable in enumerate(neighbours, 1)}

    # What each database has its own way for -------------------------------------------------------------------------

    @abstractmethod
    def constant(self, value: float | str | None) -> Sql:
        """Return a value (an int may be a bool) as SQL."""

    @abstractmethod
    def property_field(self, variable: Variable, field: str) -> str:
        """Return the SQL of one field of a property: null unless the value has that type."""

    @abstractmethod
    def present(self, variable: Variable) -> str:
        """Return SQL that is null where the node has no such property, and nowhere else."""

    # Expressions ----------------------------------------------------------------------------------------------------

    def sql(self, expression: Expression) -> Sql:
        """Return an expression as SQL. Raises QueryError for one that the database cannot be asked."""
        if isinstance(expression, Constant):
            return self.constant(expression.value)
        if isinstance(expression, Column):
            return Sql(self._column(expression))
        name, operands = expression
        if name in ("and", "or"):
            return joined(name, [self.sql(operand) for operand in operands])
        if name == "in":
            return self.one_of(*operands)
        if name == "case":
            return self._case(operands)
        return self.operation(expression, [self.sql(operand) for operand in operands])

    def operation(self, expression: Operation, parts: list[Sql]) -> Sql:
        """Return an operator or function over operands that are SQL already."""
        name = expression.name
        if name in self.templates:
            return filled(self.templates[name], parts)
        if name in _BINARY:
            return filled(f"({{}} {name} {{}})", parts)
        assert name in self.functions, f"the checker knows no function {name}"
        return Sql(f"{name}({', '.join(part.text for part in parts)})", values_of(parts))

    def _column(self, column: Column) -> str:
        variable, field = column.variable, column.field
        if variable is None:
            return _OWN_TYPE if field == "type" else f"n.{field}"
        if variable.relation in PROPERTIES:
            return f"({self.property_field(variable, field)})"
        table, neighbour = self.tables[variable], NEIGHBOURS[self.kind, variable.relation]
        if not neighbour.table:
            return f"{table}.{field}"
        if field == "id":
            return f"{table}.{neighbour.far}"
        if field == "type":
            return f"(select t.name from type t where t.id = {table}n.type_id)"
        return f"{table}n.{field}"

    def one_of(self, value: Expression, *elements: Expression) -> Sql:
        """Return the condition that a value equals one of others."""
        left, parts = self.sql(value), [self.sql(element) for element in elements]
        return Sql(f"({left.text} in ({', '.join(part.text for part in parts)}))", left.values + values_of(parts))

    def _case(self, operands: Sequence[Expression]) -> Sql:
        *pairs, last = [self.sql(operand) for operand in operands]
        branches = [f"when {when.text} then {then.text}" for when, then in zip(pairs[::2], pairs[1::2], strict=True)]
        return Sql(f"(case {' '.join(branches)} else {last.text} end)", values_of([*pairs, last]))

    # Conditions -----------------------------------------------------------------------------------------------------

    def condition(self, tree: Tree) -> Sql:
        """Return a condition of which only matters whether it is true."""
        if isinstance(tree, Exists):
            own = f"{self.tables[tree.variable]}.{NEIGHBOURS[self.kind, tree.variable.relation].own}"
            body = self.condition(tree.body)
            return Sql(f"exists (select 1 from {self.rows(tree)} where {own} = n.id and {body.text})", body.values)
        if isinstance(tree, Group):
            return joined(tree.word, [self.condition(part) for part in tree.parts])
        return self.atom(tree.expression)

    def atom(self, expression: Expression) -> Sql:
        """Return a condition that is not taken apart."""
        if {*columns(expression)} == {TYPE}:  # A type's name never changes, and there are few types.
            types = self.types_where(expression)
            return Sql(f"(n.type_id in ({types.text}))", types.values)
        return self.sql(expression)

    def types_where(self, expression: Expression) -> Sql:
        """Return the select of the types whose name fits a condition on the node's type."""
        by_name = self.sql(expression)
        condition = by_name.text.replace(_OWN_TYPE, "t.name")
        return Sql(f"select t.id from type t where t.kind = '{self.kind}' and {condition}", by_name.values)

    def rows(self, tree: Exists, *, suffix: str = "") -> str:
        """Return what to select a variable's rows from; the neighbour's own table only where its fields are asked for.

        suffix: of the name of that table.
        """
        variable, table = tree.variable, self.tables[tree.variable]
        neighbour = NEIGHBOURS[self.kind, variable.relation]
        fields = {column.field for column in tree.body.columns if column.variable == variable}
        if not neighbour.table or fields <= {"id"}:
            return f"{neighbour.link} {table}"
        far = f"{neighbour.table}{suffix}"
        return f"{neighbour.link} {table} join {far} {table}n on {table}n.id = {table}.{neighbour.far}"

    def whole(self, wanted: Filter) -> tuple[Sql, Sequence[Tree]]:
        """Return the condition that a filter is, and the conditions that it joins."""
        parts = conjuncts(pushed_inwards(wanted.expression, self.tables))
        conditions = [self.condition(part) for part in parts]
        missing = [*self._not_without_row(parts), *self._not_without_property(wanted.variables, parts)]
        return joined("and", [*conditions, *missing]), parts

    def _not_without_row(self, parts: Sequence[Tree]) -> list[Sql]:
        """Return the conditions that each neighbour mentioned has a row, unless another condition says so already."""
        found = {part.variable.relation for part in parts if isinstance(part, Exists)}
        wanted = dict.fromkeys(variable.relation for variable in self.tables if variable.relation not in found)
        links = [NEIGHBOURS[self.kind, relation] for relation in wanted]
        return [Sql(f"exists (select 1 from {link.link} v where v.{link.own} = n.id)") for link in links]

    def _not_without_property(self, variables: Iterable[Variable], parts: Sequence[Tree]) -> list[Sql]:
        """Return the conditions that each property mentioned is there, unless another condition is never true without it."""
        needed = {column.variable for part in parts if isinstance(part, Atom) for column in _needed(part.expression)}
        return [
            Sql(f"({self.present(variable)} is not null)")
            for variable in variables
            if variable.relation in PROPERTIES and variable not in needed
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


# Pieces of SQL -------------------------------------------------------------------------------------------------------


def values_of(parts: Iterable[Sql]) -> tuple[Any, ...]:
    """Return the values of pieces that stand one after the other."""
    return tuple(value for part in parts for value in part.values)


def filled(template: str, parts: Sequence[Sql]) -> Sql:
    """Return a template with its operands filled in. Raises TooDeepError where the text gets out of hand."""
    if "{0}" in template:  # An operand that stands twice gives its values twice, in the order of the text.
        order = [int(piece[0]) for piece in template.split("{")[1:]]
        if sum(len(parts[number].text) for number in order) > TEXT_MAX:
            raise TooDeepError("Invalid `filter_query`: functions are nested too deep")
    else:
        order = list(range(len(parts)))
    return Sql(template.format(*(part.text for part in parts)), values_of(parts[number] for number in order))


def joined(word: str, parts: Sequence[Sql]) -> Sql:
    """Join conditions as a balanced tree: SQLite allows a thousand levels, a chain would be one a condition."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    left, right = joined(word, parts[:half]), joined(word, parts[half:])
    return Sql(f"({left.text} {word} {right.text})", left.values + right.values)
