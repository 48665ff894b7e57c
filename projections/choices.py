"""What a filter asks, taken apart: where in it there must be a row of which variable. No database here.

A filter is true of a node if some choice of rows, one for each variable, makes its expression true (`query`). Taken at its word that is
a cross product. So "not" is moved down to what is not taken apart, and each choice inwards as far as it goes: over OR into each side,
over AND into the one side that speaks of the variable. A property is no choice: the node has one row of it or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from projections.query import Column, Expression, Operation, Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROPERTIES: Final = ("properties", "custom_properties")


class Atom(NamedTuple):
    """A condition that is not taken apart."""

    expression: Expression
    columns: frozenset[Column]


class Group(NamedTuple):
    """Two conditions or more, between them the word "and" or "or"."""

    word: str
    parts: tuple[Tree, ...]
    columns: frozenset[Column]


class Exists(NamedTuple):
    """There is a row of a variable for which the body is true."""

    variable: Variable
    body: Tree
    columns: frozenset[Column]


Tree = Atom | Group | Exists


def _atom(expression: Expression) -> Atom:
    return Atom(expression, frozenset(columns(expression)))


def _group(word: str, parts: Sequence[Tree]) -> Tree:
    flat = [one for part in parts for one in (part.parts if isinstance(part, Group) and part.word == word else (part,))]
    if len(flat) == 1:
        return flat[0]
    return Group(word, tuple(flat), frozenset().union(*(part.columns for part in flat)))


def _taken_apart(expression: Expression, *, negated: bool = False) -> Tree:
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
        column.variable is not None and column.variable.relation not in PROPERTIES for column in columns(expression)
    )


def _pushed(variable: Variable, tree: Tree) -> Tree:
    """Return "there is a row of the variable for which the tree is true", pushed inwards as far as it goes.

    That the variable has a row at all is seen to elsewhere; so a side of an OR that does not speak of it stays as it is.
    """
    if not speaks(tree, variable):
        return tree
    if isinstance(tree, Exists):
        return tree._replace(body=_pushed(variable, tree.body))
    if isinstance(tree, Group):
        if tree.word == "or":
            return _group("or", [_pushed(variable, part) for part in tree.parts])
        of_it = [part for part in tree.parts if speaks(part, variable)]
        if len(of_it) < len(tree.parts):
            others = [part for part in tree.parts if not speaks(part, variable)]
            return _group("and", [*others, _pushed(variable, _group("and", of_it))])
    return Exists(variable, tree, tree.columns)


def speaks(tree: Tree, variable: Variable) -> bool:
    """Tell whether a condition mentions a variable."""
    return any(column.variable == variable for column in tree.columns)


def conjuncts(tree: Tree) -> tuple[Tree, ...]:
    """Return the conditions all of which must hold."""
    return tree.parts if isinstance(tree, Group) and tree.word == "and" else (tree,)


def pushed_inwards(expression: Expression, variables: Iterable[Variable]) -> Tree:
    """Return a condition with a choice of a row for each of the variables, each as far inwards as it goes."""
    tree = _taken_apart(expression)
    # Those first that stand in few conditions: what is left of them goes inside the others' searches.
    for variable in sorted(variables, key=lambda one: sum(speaks(part, one) for part in conjuncts(tree))):
        tree = _pushed(variable, tree)
    return tree


def columns(expression: Expression) -> Iterable[Column]:
    """Yield every column in an expression."""
    if isinstance(expression, Column):
        yield expression
    elif isinstance(expression, Operation):
        for operand in expression.operands:
            yield from columns(operand)
