"""Hypothesis strategies for filter queries: over the names that `strategies` puts, well typed, mistyped and misspelt.

What the reference is known to get wrong is not drawn (the Q numbers of its quirks stand beside): texts with both quotes or an escape,
texts that are the name of a column, enum words inside a text, property names with capitals or regular-expression characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from mlmd import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    Strategy = st.SearchStrategy[str]

INT, DOUBLE, STRING, BOOL = "int", "double", "string", "bool"
_FIELDS: Final = {INT: "int_value", DOUBLE: "double_value", STRING: "string_value", BOOL: "bool_value"}

# By kind: names of attributes by type, and neighbours: prefix -> names of fields by type.
_OWN: Final[dict[str, dict[str, list[str]]]] = {
    "artifact": {INT: ["id", "type_id", "state"], STRING: ["name", "uri", "external_id", "type"]},
    "execution": {INT: ["id", "type_id", "last_known_state"], STRING: ["name", "external_id", "type"]},
    "context": {INT: ["id", "type_id"], STRING: ["name", "external_id", "type"]},
}
_CONTEXT: Final = {INT: ["id"], STRING: ["name", "type"]}
_TIMES: Final = ["create_time_since_epoch", "last_update_time_since_epoch"]
_NEIGHBOURS: Final[dict[str, dict[str, dict[str, list[str]]]]] = {
    "artifact": {
        "contexts": _CONTEXT,
        "events": {INT: ["execution_id", "type", "milliseconds_since_epoch"], STRING: []},
    },
    "execution": {
        "contexts": _CONTEXT,
        "events": {INT: ["artifact_id", "type", "milliseconds_since_epoch"], STRING: []},
    },
    "context": {
        "parent_contexts": _CONTEXT,
        "child_contexts": _CONTEXT,
        "artifacts": {INT: ["id", "state"], STRING: ["name", "type", "uri"]},
        "executions": {INT: ["id", "last_known_state"], STRING: ["name", "type"]},
    },
}
_WORDS: Final[dict[str, list[str]]] = {
    "state": ["LIVE", "PENDING", "UNKNOWN", "MARKED_FOR_DELETION", "DELETED"],
    "last_known_state": ["RUNNING", "NEW", "UNKNOWN", "COMPLETE", "FAILED", "CACHED", "CANCELED"],
    "type": ["INPUT", "OUTPUT", "DECLARED_OUTPUT", "DECLARED_INPUT", "INTERNAL_INPUT", "INTERNAL_OUTPUT"],
}
_KEYS: Final = {
    INT: ["i", "i", "`a.b`", "I", "new", "zz", "s"],
    DOUBLE: ["d", "d", "`d`", "zz", "i"],
    STRING: ["s", "s", "`s`", "new", "zz", "i"],
    BOOL: ["b", "b", "zz", "s"],
}
_CUSTOM_KEYS: Final = {
    **{of: ["c", "c", "C", "`c.d`", "zz"] for of in (INT, DOUBLE, BOOL)},
    STRING: ["text", "text", "TEXT", "`text`", "zz"],  # The others may hold structs, whose text is the reference's own.
}
_LITERALS: Final = {
    INT: [
        "1",
        "2",
        "0",
        "10",
        "3",
        "-1",
        "13",
        "15",
        "0x1",
        "007",
        "123",
        "9223372036854775807",
        "-9223372036854775808",
        "9007199254740993",
        "18446744073709551615",
    ],
    DOUBLE: ["1.0", "1.5", "0.0", ".5", "1e0", "-2.25", "1E6", "2.", "9007199254740992.0", "9223372036854775807.0"],
    STRING: [
        "'a'",
        "'b'",
        "'s'",
        "'1'",
        "''",
        '"x"',
        "'Data'",
        "'data'",
        "'u'",
        "'größe 🙂'",
        "r'y'",
        "'''z'''",
        '"n1"',
    ],
    BOOL: ["true", "FALSE", "True"],
}
_PATTERNS: Final = ["'%'", "'a%'", "'A'", "'_'", "'%A%'", "'%ß%'", "'n_'", "''", "'GRÖSSE%'", "'%🙂'"]
_ALIASES: Final = ["a", "a", "b", "0", "a_1"]

_ODD: Final = st.sampled_from([False] * 11 + [True])


def _alias(draw: Callable[..., Any], prefix: str) -> str:
    return f"{prefix}_{draw(st.sampled_from(_ALIASES))}"


@st.composite
def _variable(draw: Callable[..., Any], kind: str, of: str) -> str:
    """Draw something that a node has: an attribute, a property, or a field of a neighbour."""
    shape = draw(st.sampled_from(["own", "own", "property", "custom", "neighbour"]))
    if shape == "neighbour":
        prefix = draw(st.sampled_from(sorted(_NEIGHBOURS[kind])))
        names = _NEIGHBOURS[kind][prefix].get(of)
        if names:
            return f"{_alias(draw, prefix)}.{draw(st.sampled_from(names))}"
    if shape == "own" and (names := _OWN[kind].get(of)):
        name = draw(st.sampled_from(names))
        return draw(st.sampled_from([name, name, name, name.upper(), f"`{name}`"]))
    if shape != "custom":
        return f"properties.{draw(st.sampled_from(_KEYS[of]))}.{_FIELDS[of]}"
    return f"custom_properties.{draw(st.sampled_from(_CUSTOM_KEYS[of]))}.{_FIELDS[of]}"


@st.composite
def _operand(draw: Callable[..., Any], kind: str, of: str, depth: int) -> str:
    """Draw an expression of a type."""
    shape = draw(
        st.sampled_from(["variable", "variable", "variable", "literal", "call"] if depth else ["variable", "literal"])
    )
    if draw(_ODD):  # Of another type, mostly.
        of = draw(st.sampled_from([INT, DOUBLE, STRING, BOOL]))
    if shape == "literal":
        return draw(st.sampled_from(_LITERALS[of]))
    if shape == "variable":
        return draw(_variable(kind, of))
    return draw(_call(kind, of, depth - 1))


@st.composite
def _call(draw: Callable[..., Any], kind: str, of: str, depth: int) -> str:
    """Draw an operator or function with a result of a type."""

    def one(type_: str = of) -> str:
        return draw(_operand(kind, type_, depth))

    shapes: dict[str, list[Callable[[], str]]] = {
        INT: [
            lambda: f"{one()} {draw(st.sampled_from(['+', '-', '*', '&', '|']))} {one()}",
            lambda: f"({one()} {draw(st.sampled_from(['+', '-', '*']))} {one()})",
            lambda: f"-{one()}",
            lambda: f"~ {one()}",
            lambda: f"{one()} {draw(st.sampled_from(['<<', '>>']))} {draw(st.sampled_from(['0', '1', '3']))}",
            lambda: f"LENGTH({one(STRING)})",
            lambda: f"abs({one()})",
            lambda: f"SIGN({one()})",
            lambda: f"CAST({one(STRING)} AS INT64)",
            lambda: f"CAST({one(BOOL)} AS INT64)",
        ],
        DOUBLE: [
            lambda: f"{one(INT)} / {one(INT)}",
            lambda: f"{one()} {draw(st.sampled_from(['+', '-', '*', '/']))} {one(INT)}",
            lambda: f"ROUND({one()})",
            lambda: f"abs({one()})",
            lambda: f"CAST({one(INT)} AS FLOAT64)",
        ],
        STRING: [
            lambda: f"LOWER({one()})",
            lambda: f"upper({one()})",
            lambda: f"SUBSTR({one()}, {draw(st.sampled_from(['1', '2', '-1', '0', '1, 1', '2, 1']))})",
            lambda: f"TRIM({one()})",
            lambda: f"REPLACE({one()}, {one()}, {one()})",
            lambda: f"CAST({one(INT)} AS STRING)",
        ],
        BOOL: [lambda: f"({draw(conditions(kind, depth))})"],
    }
    common: list[Callable[[], str]] = [
        lambda: f"COALESCE({one()}, {one()})",
        lambda: f"IFNULL({one()}, {one()})",
        lambda: f"NULLIF({one()}, {one()})",
        lambda: f"CASE WHEN {draw(conditions(kind, depth))} THEN {one()} ELSE {one()} END",
        lambda: f"CASE {one()} WHEN {one()} THEN {one()} END",
        lambda: f"({one()})",
    ]
    return draw(st.sampled_from([*shapes[of], *shapes[of], *common]))()


@st.composite
def _enum(draw: Callable[..., Any], kind: str) -> str:
    """Draw a comparison with words."""
    own = [name for name in _OWN[kind][INT] if name in _WORDS]
    near = [(prefix, name) for prefix, fields in _NEIGHBOURS[kind].items() for name in fields[INT] if name in _WORDS]
    if own and draw(st.booleans()):
        name = attribute = draw(st.sampled_from(own))
        equal_only = False
    else:
        prefix, name = draw(st.sampled_from(near))
        attribute = f"{_alias(draw, prefix)}.{name}"
        equal_only = prefix in ("artifacts", "executions")  # Q9
    words = [draw(st.sampled_from(_WORDS[name])) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3])))]
    if draw(_ODD):
        words[0] = draw(st.sampled_from(["NOPE", "live", "Live", "NULL", "'LIVE'", "SYNC"]))
    negated = not equal_only and draw(st.booleans())
    if len(words) > 1 or draw(st.booleans()):
        return f"{attribute} {'NOT ' if negated else ''}{draw(st.sampled_from(['IN', 'in']))} ({', '.join(words)})"
    blank = draw(st.sampled_from([" ", " ", ""]))
    return f"{attribute}{blank}{'!=' if negated else '='}{blank}{words[0]}"


@st.composite
def _predicate(draw: Callable[..., Any], kind: str, depth: int) -> str:
    shape = draw(st.sampled_from(["=", "=", "enum", "in", "between", "like", "null", "bool", "truth", "time"]))
    of = draw(st.sampled_from([INT, STRING, STRING, DOUBLE, BOOL]))
    if shape == "like":
        return f"{draw(_operand(kind, STRING, depth))} {draw(_NOT)}LIKE {draw(st.sampled_from(_PATTERNS))}"
    if shape == "enum":
        return draw(_enum(kind))
    if shape == "bool":
        return draw(_operand(kind, BOOL, depth))
    if shape == "time":  # Only what both stores agree on: the clock stands on another millisecond in each request.
        name = draw(st.sampled_from(_TIMES))
        return (
            f"{name} {draw(st.sampled_from(['>', '<', '=', '!=']))} {draw(st.sampled_from(['0', '9e18', _TIMES[0]]))}"
        )
    left = draw(_operand(kind, of, depth))
    if shape == "null":
        return f"{left} IS {draw(_NOT)}NULL"
    if shape == "truth":
        return f"{draw(_operand(kind, BOOL, depth))} IS {draw(_NOT)}{draw(st.sampled_from(['TRUE', 'false', 'UNKNOWN', 'NULL']))}"
    if shape == "in":
        odd = ["NULL"] if draw(_ODD) else []
        values = [draw(_operand(kind, of, 0)) for _ in range(draw(st.integers(1, 3)))] + odd
        return f"{left} {draw(_NOT)}IN ({', '.join(values)})"
    near = INT if of == DOUBLE and draw(st.booleans()) else of
    if shape == "between":
        return f"{left} {draw(_NOT)}BETWEEN {draw(_operand(kind, near, 0))} AND {draw(_operand(kind, of, 0))}"
    right = "NULL" if draw(_ODD) else draw(_operand(kind, near, depth))
    return f"{left} {draw(_COMPARISON)} {right}"


_NOT: Final = st.sampled_from(["", "", "NOT "])
_COMPARISON: Final = st.sampled_from(["=", "=", "=", "!=", "<>", "<", "<=", ">", ">="])


@st.composite
def conditions(draw: Callable[..., Any], kind: str, depth: int) -> str:
    """Draw a condition, mostly well typed."""
    shape = draw(st.sampled_from(["one", "one", "and", "or", "not", "group"] if depth else ["one"]))
    if shape == "one":
        return draw(_predicate(kind, depth))
    if shape == "not":
        return f"NOT {draw(conditions(kind, depth - 1))}"
    if shape == "group":
        return f"({draw(conditions(kind, depth - 1))})"
    word = draw(st.sampled_from([shape, shape.upper()]))
    return f"{draw(conditions(kind, depth - 1))} {word} {draw(conditions(kind, depth - 1))}"


_WEDGES: Final = [
    *(
        " ",
        "(",
        ")",
        ",",
        "1",
        "NULL",
        " AND ",
        " NOT ",
        "=",
        "'",
        '"',
        "`",
        ".",
        "-",
        "--",
        "/**/",
        " # x\n",
        "\t",
        "\n",
    ),
    *(
        "@p",
        "?",
        ";",
        "%",
        "!",
        "||",
        "^",
        "::",
        "é",
        "$",
        "\\",
        " true ",
        "id",
        " nope ",
        "/*",
        "*/",
        "[1]",
        "{",
        "e",
        "0x",
    ),
    *(
        " IS ",
        " IN ",
        "contexts_a",
        "contexts_a.",
        "events_.id",
        "properties.",
        "b'a'",
        " LIMIT 1",
        " = 1",
        "\0",
        "/* c */",
    ),
]


@st.composite
def filters(draw: Callable[..., Any], kind: str) -> str:
    """Draw a filter over nodes of a kind; one in eight is cut or has something wedged in."""
    text = draw(conditions(kind, draw(st.integers(0, 2))))
    if draw(st.sampled_from([False] * 7 + [True])):
        at = draw(st.integers(0, len(text)))
        stop = draw(st.integers(at, min(len(text), at + 3)))
        wedge = draw(st.sampled_from(["", *_WEDGES]))
        text = text[:at] + wedge + text[stop:]
    return text


def excused(text: str, ours: int, theirs: int, message: str) -> bool:
    """Tell whether the reference's refusal of a filter in a text, a code and a message, is one that we need not share."""
    if theirs == errors.INTERNAL:  # SQLite refuses what the reference made of the filter.
        return ours in (errors.OK, errors.INVALID_ARGUMENT)
    if theirs == errors.INVALID_ARGUMENT and "cannot be rewritten" in message:  # Q1, Q6
        return ours == errors.OK
    if (
        theirs == errors.INVALID_ARGUMENT and "Unrecognized name" in message
    ):  # A comment beside the operator of an enum word.
        return ours == errors.OK and any(comment in text for comment in ("/*", "#", "--"))
    return False
