"""Text of a filter -> syntax tree. MLMD's subset of GoogleSQL: what a word means, and whether types fit, is for `filter_query`.

A parser of our own: a general one accepts much that MLMD refuses, and binds `|` and `&` alike. docs/architecture.md has the figures.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any, Final, NamedTuple

DEPTH_MAX: Final = 250
_UINT64_MAX: Final = 2**64 - 1
_CODE_POINT_MAX: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


class FilterError(Exception):
    """A filter is wrong; the message says what, and where it stands as [at line:column]."""

    def __init__(self, reason: str, text: str = "", at: int | None = None) -> None:
        where = ""
        if at is not None:
            line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
            where = f" [at {line}:{column}]"
        super().__init__(f"Invalid `filter_query`: {reason}{where}")


class Is(Enum):
    """What a token is."""

    WORD = auto()  # a keyword or a bare name
    QUOTED = auto()  # a name in back quotes
    FIELD = auto()  # contexts_a.name: value is (relation, alias, field)
    PROPERTY = auto()  # properties.span.int_value: value is (column, key, field)
    STRING = auto()
    BYTES = auto()
    INTEGER = auto()
    FLOAT = auto()
    ENUM = auto()  # a word that an attribute is compared with: value is (attribute, word)
    SIGN = auto()
    END = auto()


class Token(NamedTuple):
    """One token: `text` as it was written, `value` what it stands for."""

    kind: Is
    text: str
    value: Any
    at: int
    stop: int


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


class Attribute(NamedTuple):
    """An attribute that is compared with bare words: a name, or (relation, field) of a neighbour."""

    relation: str | None
    field: str


# Tokens --------------------------------------------------------------------------------------------------------------

RELATIONS: Final = ("contexts", "events", "artifacts", "executions", "parent_contexts", "child_contexts")
_BLANK: Final = re.compile(r"(?:\s+|--[^\n]*|#[^\n]*|/\*.*?\*/)+", re.DOTALL)
_PROPERTY: Final = re.compile(
    r"(?P<column>properties|custom_properties)\.(?P<key>\w+|`[^`]+`)\.(?P<field>(?:int|double|string|bool)\w*)",
    re.ASCII,
)
_FIELD: Final = re.compile(rf"(?P<relation>{'|'.join(RELATIONS)})_(?P<alias>\w+)\.", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_QUOTED: Final = re.compile(r"`([^`\n]*)`")
_NUMBER: Final = re.compile(
    r"(?P<hex>0[xX][0-9A-Fa-f]+)|(?P<float>\d+\.\d*|\.\d+|\d+(?=[eE][+-]?\d))(?:[eE][+-]?\d+)?|\d+", re.ASCII
)
_STRING: Final = re.compile(r"(?P<prefix>[rR]?[bB]?|[bB][rR])(?P<quote>'''|\"\"\"|'|\")")
_SIGN: Final = re.compile(r"!=|<>|<=|>=|<<|>>|\|\||@@|[-=<>+*/&|^~(),.;?@\[\]{}:]")
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-3][0-7]{2})|(.))", re.DOTALL
)
_ESCAPED: Final = {
    **{c: c for c in "\\?'\"`"},
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


class _Lexer:
    """Cuts a text into tokens; what is wrong with it is kept, because some other faults are told first."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        self.error: FilterError | None = None
        try:
            self._cut()
        except FilterError as error:
            self.error = error
            self.tokens.append(Token(Is.END, "", None, len(text), len(text)))

    def _fail(self, reason: str, at: int) -> FilterError:
        return FilterError(f"Syntax error: {reason}", self.text, at)

    def _cut(self) -> None:
        text, at = self.text, 0
        while True:
            if blank := _BLANK.match(text, at):
                at = blank.end()
            if at == len(text):
                self.tokens.append(Token(Is.END, "", None, at, at))
                return
            if text.startswith("/*", at):
                raise self._fail("Unclosed comment", at)
            token = self._token(at)
            self.tokens.append(token)
            at = token.stop

    def _token(self, at: int) -> Token:
        text = self.text
        if match := _PROPERTY.match(text, at):
            return Token(Is.PROPERTY, match[0], match.group("column", "key", "field"), at, match.end())
        if match := _FIELD.match(text, at):
            return self._field(match)
        if match := _STRING.match(text, at):
            return self._string(match)
        if match := _WORD.match(text, at):
            return Token(Is.WORD, match[0], match[0], at, match.end())
        if match := _QUOTED.match(text, at):
            if not match[1]:
                raise self._fail("Invalid empty identifier", at)
            return Token(Is.QUOTED, match[0], match[1], at, match.end())
        if match := _NUMBER.match(text, at):
            return self._number(match)
        if match := _SIGN.match(text, at):
            return Token(Is.SIGN, match[0], match[0], at, match.end())
        if text[at] == "`":
            raise self._fail("Unclosed identifier literal", at)
        raise self._fail(f'Illegal input character "{text[at]}"', at)

    def _field(self, match: re.Match[str]) -> Token:
        start = match.end()
        if blank := _BLANK.match(self.text, start):
            start = blank.end()
        name = _WORD.match(self.text, start) or _QUOTED.match(self.text, start)
        if name is None:
            raise self._fail('Expected end of input but got "."', match.end() - 1)
        value = (*match.group("relation", "alias"), name[0].strip("`"))
        return Token(Is.FIELD, self.text[match.start() : name.end()], value, match.start(), name.end())

    def _number(self, match: re.Match[str]) -> Token:
        digits, at, stop = match[0], match.start(), match.end()
        if not digits.endswith(".") and _WORD.match(self.text, stop):
            raise self._fail("Missing whitespace between literal and alias", stop)
        if match["float"]:
            return Token(Is.FLOAT, digits, float(digits), at, stop)
        number = int(digits, 16 if match["hex"] else 10)
        if number > _UINT64_MAX:
            raise FilterError(f"Invalid integer literal: {digits}", self.text, at)
        return Token(Is.INTEGER, digits, number, at, stop)

    def _string(self, match: re.Match[str]) -> Token:
        text, at, quote = self.text, match.start(), match["quote"]
        stop = match.end()
        while not text.startswith(quote, stop):
            if stop >= len(text) or (text[stop] == "\n" and len(quote) == 1):
                raise self._fail("Unclosed string literal", at)
            stop += 2 if text[stop] == "\\" else 1
        inner, prefix = text[match.end() : stop], match["prefix"].lower()
        value = inner if "r" in prefix else self._unescaped(inner, match.end())
        stop += len(quote)
        return Token(Is.BYTES if "b" in prefix else Is.STRING, text[at:stop], value, at, stop)

    def _unescaped(self, inner: str, start: int) -> str:
        def one(match: re.Match[str]) -> str:
            hexadecimal = match[1] or match[2] or match[3]
            if hexadecimal or match[4]:
                code = int(hexadecimal, 16) if hexadecimal else int(match[4], 8)
                if code <= _CODE_POINT_MAX and code not in _SURROGATES:
                    return chr(code)
            elif match[5] in _ESCAPED:
                return _ESCAPED[match[5]]
            raise self._fail(f"Illegal escape sequence: {match[0]}", start + match.start())

        return _ESCAPE.sub(one, inner) if "\\" in inner else inner


# Words that stand for numbers ----------------------------------------------------------------------------------------


_WORD_LIKE: Final = (Is.WORD, Is.INTEGER, Is.FLOAT, Is.FIELD, Is.PROPERTY)


def _words(lexer: _Lexer, enums: dict[Attribute, frozenset[str]]) -> dict[int, int]:
    """Make the words that attributes are compared with tokens of their own; return {attribute of != or NOT IN: after its words}.

    Raises FilterError for a word that the attribute does not have. Looked at before the syntax, as MLMD does, which writes numbers
    in the place of the words: so `1 + state = LIVE` is a comparison with 2, while `state != LIVE` is one operand, in brackets.
    """
    found, tokens = {}, lexer.tokens
    for index, token in enumerate(tokens):
        attribute = _attribute(token)
        words = enums.get(attribute)
        if words is None or (index and tokens[index - 1].text == "."):
            continue
        comparison = _comparison(tokens, index + 1)
        if comparison is None:
            continue
        negated, listed, first = comparison
        if listed and _one_letter_between_commas(tokens, first):
            continue
        stop = first
        given = []
        while tokens[stop].kind in _WORD_LIKE:
            if tokens[stop].text not in words:
                raise FilterError(f"Unsupported enum value specified in the query: {tokens[stop].text}")
            given.append(stop)
            stop += 1
            if not listed or tokens[stop].text != ",":
                break
            stop += 1
        if given and (not listed or tokens[stop].text == ")") and tokens[stop - 1].text != ",":
            for at in given:
                tokens[at] = tokens[at]._replace(kind=Is.ENUM, value=(attribute, tokens[at].text))
            if negated:
                found[index] = stop + listed
    return found


def _one_letter_between_commas(tokens: list[Token], stop: int) -> bool:
    """Tell whether a list has an element of one letter or digit that is neither its first nor its last.

    MLMD then reads it as a list of expressions, so `IN (2, 3, 4)` finds what `IN (2, 3)` is refused for. TFX sends the former.
    """
    first = stop
    while tokens[stop].kind in (Is.WORD, Is.INTEGER) and tokens[stop + 1].text == ",":
        if stop > first and len(tokens[stop].text) == 1:
            return True
        stop += 2
    return False


def _attribute(token: Token) -> Attribute:
    """Return what a token may name, as it must be written to be compared with words: bare, in lower case, without blanks."""
    if token.kind is Is.WORD:
        return Attribute(None, token.text)
    if token.kind is Is.FIELD:
        relation, alias, field = token.value
        if token.text == f"{relation}_{alias}.{field}":
            return Attribute(relation, field)
    return Attribute(None, "")


def _comparison(tokens: list[Token], index: int) -> tuple[bool, bool, int] | None:
    """Return (negated, in a list, index of the first word) where a comparison with words begins; None where none does."""
    end = Token(Is.END, "", None, 0, 0)
    first, second, third, fourth = (tokens[index : index + 4] + [end] * 4)[:4]
    if first.text in ("=", "!="):
        if second.text.startswith("."):
            return None
        if (second.text, third.kind, fourth.text) == ("(", Is.WORD, ")"):
            raise FilterError(f"Unsupported enum value specified in the query: ({third.text})")
        return first.text == "!=", False, index + 1
    negated = first.text.upper() == "NOT"
    keyword, opening = (second, third) if negated else (first, second)
    if keyword.kind is not Is.WORD or keyword.text.upper() != "IN":
        return None
    if opening.kind is Is.WORD:
        raise FilterError(f"Expected a list of enum values enclosed in parentheses but got {opening.text}")
    if opening.text != "(" or opening.at == keyword.stop or _lists_expressions(tokens, index + 2 + negated):
        return None
    return negated, True, index + 2 + negated


def _lists_expressions(tokens: list[Token], start: int) -> bool:
    """Tell whether what follows a bracket is no list of words. As in MLMD, one digit alone is none either."""
    stop = start
    while tokens[stop].kind is not Is.END and tokens[stop].text != ")":
        stop += 1
    listed = tokens[start:stop]
    one_digit = len(listed) == 1 and listed[0].kind is Is.INTEGER and len(listed[0].text) == 1
    return one_digit or any(token.text != "," and token.kind not in (Is.WORD, Is.INTEGER) for token in listed)


def _refuse_two_spellings(tokens: list[Token]) -> None:
    spelt: dict[str, str] = {}
    for token in tokens:
        if token.kind not in (Is.FIELD, Is.PROPERTY):
            continue
        name = f"{token.value[0]}_{token.value[1]}"
        folded = name.replace("`", "").lower()
        if spelt.setdefault(folded, name) != name:
            raise FilterError(f"Duplicate expression column name {folded}: spell it in one way throughout")


# Syntax --------------------------------------------------------------------------------------------------------------

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
    def __init__(self, lexer: _Lexer, negated: dict[int, int]) -> None:
        """negated: of `_words`."""
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
            if to.kind is not Is.WORD:
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
    lexer = _Lexer(text)
    negated = _words(lexer, enums)
    _refuse_two_spellings(lexer.tokens)
    if lexer.error is not None:
        raise lexer.error
    return Syntax(text, _Parser(lexer, negated).parse())
