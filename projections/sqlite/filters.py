"""Filters -> SQL: the condition that a listed node meets, and the searches that may drive it, of which `listing` chooses."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from projections.choices import Atom, Exists, Tree, conjuncts
from projections.compiler import NEIGHBOURS, TYPE, Sql, folded, joined
from projections.query import Column, Constant, Filter, Kind, Operation, Variable
from projections.sqlite.expressions import SqliteCompiler, compared, plain_property_comparison, property_expression

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMPILED_FILTERS: Final = 256
_FOUND_BY: Final = frozenset({"id", "name", "uri", "external_id", "execution_id", "artifact_id"})  # There is an index.


class Driver(NamedTuple):
    """A search that gives the ids of all nodes which may pass one of the conditions, and perhaps of some more.

    sql: selects `id`; ids may repeat. of_node: `sql` is a condition on the node itself instead, which an index finds.
    property: (column, key) that needs an index before the search is worth anything.
    ascending: an index gives the ids in their order, each once, so a page needs no more of them than fill it.
    far: selects the neighbours that the ids are found by; where that is one, `link` with its id is the better search.
    within: the condition on the node itself by which an index of the property finds them.
    """

    sql: Sql
    property: tuple[str, str] | None = None
    ascending: bool = False
    far: Sql | None = None
    link: str = ""
    of_node: bool = False
    within: Sql | None = None

    def table(self, kind: Kind) -> str:
        """Return the name of the nodes that a condition on themselves finds: see `past`."""
        return f"{kind}_found" if self.property is None else f"{kind}_valued"

    def by_one(self, far_id: int) -> Driver:
        """Return the search by one neighbour."""
        return Driver(Sql(self.link, (far_id,)), ascending=True)


class Compiled(NamedTuple):
    """A filter as SQL over `n`, and the searches that may drive it."""

    condition: Sql
    drivers: tuple[Driver, ...]


@lru_cache(COMPILED_FILTERS)
def compiled(wanted: Filter) -> Compiled:
    """Return a filter as SQL over the table of its kind, called `n`."""
    compiler = SqliteCompiler(wanted.kind, wanted.variables)
    condition, parts = compiler.whole(wanted)
    return Compiled(condition, (*_drivers(compiler, parts), *_property_drivers(wanted.kind, parts)))


def _drivers(compiler: SqliteCompiler, parts: Sequence[Tree]) -> Iterable[Driver]:
    """Yield the searches through a neighbour that an index finds, or through the node's type."""
    for part in parts:
        if isinstance(part, Atom) and part.columns == {TYPE}:
            types = compiler.types_where(part.expression)
            # A node's type never changes: now is then.
            yield Driver(Sql(f"select id from main.{compiler.kind} where type_id in ({types.text})", types.values))
        elif isinstance(part, Atom) and _finds(part) and all(column.variable is None for column in part.columns):
            yield Driver(compiler.condition(part), of_node=True)
        elif (
            isinstance(part, Exists)
            and all(column.variable == part.variable for column in part.columns)
            and any(_finds(one) for one in conjuncts(part.body))
        ):
            yield _neighbour_driver(compiler, part)


def _neighbour_driver(compiler: SqliteCompiler, part: Exists) -> Driver:
    neighbour, table = NEIGHBOURS[compiler.kind, part.variable.relation], compiler.tables[part.variable]
    body = compiler.condition(part.body)
    rows = compiler.rows(part, suffix="_found")
    sql = Sql(f"select {table}.{neighbour.own} as id from {rows} where {body.text}", body.values)
    if not neighbour.table:
        return Driver(sql)
    by_itself = body.text.replace(f"{table}.{neighbour.far}", f"{table}n.id")
    far = Sql(f"select {table}n.id from {neighbour.table}_found {table}n where {by_itself}", body.values)
    link = f"select {neighbour.own} as id from {neighbour.link} where {neighbour.far} = ?"
    return Driver(sql, far=far, link=link)


def _finds(tree: Tree) -> bool:
    """Tell whether an index finds the few rows for which a condition is true."""
    if (
        not isinstance(tree, Atom)
        or not isinstance(tree.expression, Operation)
        or tree.expression.name not in ("=", "in")
    ):
        return False
    first, *others = tree.expression.operands
    return isinstance(first, Column) and first.field in _FOUND_BY and all(isinstance(one, Constant) for one in others)


def _property_drivers(kind: Kind, parts: Sequence[Tree]) -> Iterable[Driver]:
    """Yield for each property the search by all that it is compared with."""
    comparisons: dict[Variable, list[Sql]] = {}
    equal: set[Variable] = set()
    for part in parts:
        if not isinstance(part, Atom) or not isinstance(part.expression, Operation):
            continue
        found = plain_property_comparison(part.expression)
        if found is None or (variable := found[0].variable) is None or folded(variable) != variable.name:
            continue
        value = f"({property_expression(f'n.{variable.relation}', variable.name)})"
        comparisons.setdefault(variable, []).append(compared(value, part.expression.name, found[1]))
        if part.expression.name == "=":
            equal.add(variable)
    for variable, found_by in comparisons.items():
        condition = joined("and", found_by)
        driving = (variable.relation, variable.name)
        if variable in equal:  # An index gives them in the order of their ids.
            yield Driver(condition, driving, ascending=True, of_node=True, within=condition)
        else:  # These are sorted anyhow, and looked at again.
            ever = Sql(f"select id from {kind}_ever n where {condition.text}", condition.values)
            yield Driver(ever, driving, within=condition)
