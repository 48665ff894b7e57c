"""Words that an attribute of a filter is compared with, such as LIVE: found among the tokens before the syntax is looked at, as in MLMD."""

from __future__ import annotations

from typing import Final, NamedTuple

from mlmd.filters.tokens import FilterError, Is, Lexer, Token


class Attribute(NamedTuple):
    """An attribute that is compared with bare words: a name, or (relation, field) of a neighbour."""

    relation: str | None
    field: str


# What people see, and no node has.
_NOT_STORED: Final = {
    "LOST": "; a run is shown as LOST that is RUNNING and whose process has ended, which nobody stores: ask for RUNNING, or with `--state LOST`, in Python `runs(state='LOST')`"
}
_WORD_LIKE: Final = (Is.WORD, Is.INTEGER, Is.FLOAT, Is.FIELD, Is.PROPERTY)


def mark_words(lexer: Lexer, enums: dict[Attribute, frozenset[str]]) -> dict[int, int]:
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
                word = tokens[stop].text
                raise FilterError(f"Unsupported enum value specified in the query: {word}{_NOT_STORED.get(word, '')}")
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


def refuse_two_spellings(tokens: list[Token]) -> None:
    """Raise FilterError where a neighbour or a property is spelt in two ways."""
    spelt: dict[str, str] = {}
    for token in tokens:
        if token.kind not in (Is.FIELD, Is.PROPERTY):
            continue
        name = f"{token.value[0]}_{token.value[1]}"
        folded = name.replace("`", "").lower()
        if spelt.setdefault(folded, name) != name:
            raise FilterError(f"Duplicate expression column name {folded}: spell it in one way throughout")
