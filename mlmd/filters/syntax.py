"""Tokens of a filter -> syntax tree. MLMD's subset of GoogleSQL: what a word means, and whether types fit, is for `filters.query`.

A parser of our own: a general one accepts much that MLMD refuses, and binds `|` and `&` alike. docs/architecture.md has the figures.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from mlmd.filters.tokens import FilterError, Is, Lexer, Token
from mlmd.filters.words import Attribute, mark_words, refuse_two_spellings

DEPTH_MAX: Final = 250


class Node(NamedTuple):
    """One node of the tree: an operator, function or leaf by `name`, its operands, and where it stands in the text.

    Leaves are "literal" (value: what it stands for), "name" (value: the words between dots), "field" and "property"
    (value: as of their tokens), and "word" (value: (attribute, word)), which an attribute is compared with. "not_word" has the
    attribute and such words as its operands: it is != or NOT IN.
    """

    name: str
    operands: tuple[Node, ...]
    at: int
    value: Any = None


class Syntax(NamedTuple):
    """A parsed filter."""

    text: str
    tree: Node


_OR, _AND, _NOT, _COMPARISON, _SUM, _UNARY = 1, 2, 3, 4, 8, 10
_BINARY: Final = {
    "OR": _OR,
    "AND": _AND,
    **dict.fromkeys(("=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "IN", "BETWEEN", "IS", "NOT"), _COMPARISON),
    "|": 5,
    "&": 6,
    "<<": 7,
    ">>": 7,
    "+": _SUM,
    "-": _SUM,
    "*": 9,
    "/": 9,
}
_RESERVED_WORDS: Final = (
    "ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS CREATE CROSS CUBE "
    "CURRENT DEFAULT DEFINE DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE FETCH "
    "FOLLOWING FOR FROM FULL GROUP GROUPING GROUPS HASH HAVING IF IGNORE IN INNER INTERSECT INTERVAL INTO IS "
    "JOIN LATERAL LEFT LIKE LIMIT LOOKUP MERGE NATURAL NEW NO NOT NULL NULLS OF ON OR ORDER OUTER OVER "
    "PARTITION PRECEDING PROTO RANGE RECURSIVE RESPECT RIGHT ROLLUP ROWS SELECT SET SOME STRUCT TABLESAMPLE "
    "THEN TO TREAT TRUE UNBOUNDED UNION UNNEST USING WHEN WHERE WINDOW WITH WITHIN"
)
_RESERVED: Final = frozenset(_RESERVED_WORDS.split())
_CONSTANTS: Final = {"TRUE": True, "FALSE": False, "NULL": None}
_CALLED: Final = frozenset({"IF", "LEFT", "RIGHT", "CAST"})  # Reserved, and names of functions.


class _Parser:
    def __init__(self, lexer: Lexer, negated: dict[int, int]) -> None:
        """negated: of `mark_words`."""
        self._text, self._tokens, self._negated = lexer.text, lexer.tokens, negated
        self._index = 0
        self._depth = 0

    def parse(self) -> Node:
        """Return the tree of the whole text."""
        tree = self._expression(_OR)
        if self._token.kind is not Is.END:
            raise self._fail(f"Expected end of input but got {_shown(self._token)}")
        return tree

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _keyword(self) -> str:
        """Return the keyword or sign that comes next, in upper case; "" for anything else."""
        token = self._token
        return token.text.upper() if token.kind in (Is.WORD, Is.SIGN) else ""

    def _fail(self, reason: str) -> FilterError:
        return FilterError(f"Syntax error: {reason}", self._text, self._token.at)

    def _unexpected(self) -> FilterError:
        return self._fail(f"Unexpected {_shown(self._token)}")

    def _take(self, *wanted: str) -> bool:
        """Step over these keywords or signs if they come next; tell whether they did."""
        upcoming = self._tokens[self._index : self._index + len(wanted)]
        if [token.text.upper() for token in upcoming if token.kind in (Is.WORD, Is.SIGN)] != list(wanted):
            return False
        self._index += len(wanted)
        return True

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            sign = f'"{wanted}"' if not wanted.isalpha() else f"keyword {wanted}"
            raise self._fail(f"Expected {sign} but got {_shown(self._token)}")

    def _expression(self, lowest: int) -> Node:
        """Parse operators that bind at least as tightly as `lowest`."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise FilterError(f"nested more than {DEPTH_MAX} deep")
        tightest = _AND if self._keyword() == "NOT" else _UNARY  # What it negates ends where AND or OR begins.
        left = self._prefix(lowest)
        while (level := _BINARY.get(operator := self._keyword(), 0)) >= lowest and level <= tightest:
            if operator == "NOT" and self._tokens[self._index + 1].text.upper() not in ("LIKE", "IN", "BETWEEN"):
                break
            left = self._comparison(left) if level == _COMPARISON else self._chain(left, operator, level)
            tightest = _AND if level <= _COMPARISON else level  # Comparisons do not chain.
        self._depth -= 1
        return left

    def _chain(self, left: Node, operator: str, level: int) -> Node:
        """Parse the operands of one operator: all of a chain at once for AND and OR, two for the others."""
        operands, at = [left], self._token.at
        while self._take(operator):
            operands.append(self._expression(level + 1))
            if level > _AND:
                break
        return Node(operator.lower(), tuple(operands), left.at if level <= _AND else at)

    def _comparison(self, left: Node) -> Node:
        at, negated = self._token.at, self._take("NOT")
        if self._take("IS"):
            return self._is(left, at)
        if self._take("IN"):
            node = Node("in", (left, *self._list()), at)
        elif self._take("BETWEEN"):
            low = self._expression(_COMPARISON + 1)
            self._need("AND")
            node = Node("between", (left, low, self._expression(_COMPARISON + 1)), at)
        else:
            operator = self._keyword().lower().replace("<>", "!=")
            self._index += 1
            if operator == "like" and self._keyword() in ("ANY", "SOME", "ALL"):
                raise FilterError(f"LIKE {self._keyword()} is not supported", self._text, self._token.at)
            node = Node(operator, (left, self._expression(_COMPARISON + 1)), at)
        return Node("not", (node,), at) if negated else node

    def _is(self, left: Node, at: int) -> Node:
        negated = self._take("NOT")
        if self._take("DISTINCT", "FROM"):
            raise FilterError("IS DISTINCT FROM is not supported", self._text, at)
        for what in ("NULL", "TRUE", "FALSE", "UNKNOWN"):
            if self._take(what):
                node = Node(f"is_{what.lower()}", (left,), at)
                return Node("not", (node,), at) if negated else node
        raise self._fail(f"Expected keyword FALSE, NULL, TRUE or UNKNOWN but got {_shown(self._token)}")

    def _list(self) -> list[Node]:
        """Parse one expression or more, in parentheses."""
        self._need("(")
        elements = [self._expression(_OR)]
        while self._take(","):
            elements.append(self._expression(_OR))
        self._need(")")
        return elements

    def _prefix(self, lowest: int) -> Node:
        """Parse what an expression can begin with."""
        token, keyword = self._token, self._keyword()
        if (stop := self._negated.get(self._index)) is not None:
            return self._not_word(stop)
        if keyword == "(":
            self._index += 1
            inner = self._expression(_OR)
            self._need(")")
            return inner
        if keyword == "NOT" and lowest <= _NOT:
            self._index += 1
            return Node("not", (self._expression(_NOT),), token.at)
        if keyword in ("-", "+", "~"):
            self._index += 1
            return Node(f"unary{keyword}", (self._expression(_UNARY),), token.at)
        if keyword == "CASE":
            return self._case()
        if token.kind in (Is.STRING, Is.BYTES, Is.INTEGER, Is.FLOAT):
            self._index += 1
            value = token.value.encode() if token.kind is Is.BYTES else token.value
            return Node("literal", (), token.at, value)
        if keyword in _CONSTANTS:
            self._index += 1
            return Node("literal", (), token.at, _CONSTANTS[keyword])
        if keyword in ("@", "@@", "?"):
            raise FilterError("Query parameters are not supported: write the value", self._text, token.at)
        if token.kind is Is.ENUM:
            self._index += 1
            return Node("word", (), token.at, token.value)
        return self._named()

    def _not_word(self, stop: int) -> Node:
        """Parse an attribute and the words that it is not, up to the token `stop`."""
        attribute = self._named()
        words = [token for token in self._tokens[self._index : stop] if token.kind is Is.ENUM]
        self._index = stop
        leaves = (Node("word", (), token.at, token.value) for token in words)
        return Node("not_word", (attribute, *leaves), attribute.at)

    def _named(self) -> Node:
        """Parse a function call, a name, a field of a neighbour or a property."""
        token = self._token
        if token.kind in (Is.FIELD, Is.PROPERTY):
            self._index += 1
            return Node(token.kind.name.lower(), (), token.at, token.value)
        called = self._tokens[min(self._index + 1, len(self._tokens) - 1)].text == "("
        reserved = token.kind is Is.WORD and token.text.upper() in _RESERVED
        if token.kind not in (Is.WORD, Is.QUOTED) or (reserved and not (called and token.text.upper() in _CALLED)):
            raise self._unexpected()
        self._index += 1
        if called:
            return self._call(token)
        words = [token.value]
        while self._take("."):
            if self._token.kind not in (Is.WORD, Is.QUOTED):
                raise self._unexpected()
            words.append(self._token.value)
            self._index += 1
        return Node("name", (), token.at, tuple(words))

    def _call(self, token: Token) -> Node:
        name = token.value.lower()
        if name in ("cast", "safe_cast"):
            self._need("(")
            operand = self._expression(_OR)
            self._need("AS")
            to = self._token
            if to.kind not in (Is.WORD, Is.QUOTED):
                raise self._unexpected()
            self._index += 1
            self._need(")")
            return Node(name, (operand,), token.at, to.value.upper())
        if self._take("(", "*", ")"):
            return Node("call", (), token.at, name)
        operands = () if self._take("(", ")") else tuple(self._list())
        return Node("call", operands, token.at, name)

    def _case(self) -> Node:
        """Parse CASE; operands: the value compared or none, then conditions and results in turn, then the ELSE or none."""
        at = self._token.at
        self._need("CASE")
        compared = () if self._keyword() == "WHEN" else (self._expression(_OR),)
        branches: list[Node] = []
        while self._take("WHEN"):
            branches.append(self._expression(_OR))
            self._need("THEN")
            branches.append(self._expression(_OR))
        if not branches:
            raise self._unexpected()
        otherwise = (self._expression(_OR),) if self._take("ELSE") else ()
        self._need("END")
        return Node("case", (*compared, *branches, *otherwise), at, (len(compared), len(otherwise)))


def _shown(token: Token) -> str:
    if token.kind is Is.END:
        return "end of expression"
    if token.kind is Is.WORD and token.text.upper() in _RESERVED:
        return f"keyword {token.text.upper()}"
    return f'"{token.text}"'


def parse(text: str, enums: dict[Attribute, frozenset[str]]) -> Syntax:
    """Return the tree of a filter. Raises FilterError.

    enums: the attributes that are compared with bare words, and the words each has. Wrong words are told before names spelt in
    two ways, those before wrong syntax.
    """
    lexer = Lexer(text)
    negated = mark_words(lexer, enums)
    refuse_two_spellings(lexer.tokens)
    if lexer.error is not None:
        raise lexer.error
    return Syntax(text, _Parser(lexer, negated).parse())
