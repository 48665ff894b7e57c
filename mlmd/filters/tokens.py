"""Text of a filter -> tokens, by the lexical rules of GoogleSQL as MLMD applies them."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any, Final, NamedTuple

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


class Lexer:
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
