"""What functions of a filter take and give: GoogleSQL's types and signatures, as far as filters have them.

Pure tables and rules over types; `filters.query` applies them to expressions. Source: the contract of ml-metadata 1.17.1.
"""

from __future__ import annotations

import re
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from projections.query import Expression


class T(StrEnum):
    """The type of an expression. UINT is that of an integer literal above INT, NULL that of the literal NULL, alone.

    ANY is that of a property of the short language before it is decided: see `filters.short`.
    """

    INT = "INT64"
    UINT = "UINT64"
    DOUBLE = "DOUBLE"
    STRING = "STRING"
    BOOL = "BOOL"
    BYTES = "BYTES"
    NULL = "NULL"
    ANY = "PROPERTY"


class Typed(NamedTuple):
    """A checked expression."""

    expression: Expression
    type: T


NUMBERS: Final = (T.INT, T.UINT, T.DOUBLE)
FUNCTIONS: Final[dict[str, tuple[tuple[T, ...], int, T]]] = {  # name -> (operands, how many are needed, result)
    "length": ((T.STRING,), 1, T.INT),
    "lower": ((T.STRING,), 1, T.STRING),
    "upper": ((T.STRING,), 1, T.STRING),
    "substr": ((T.STRING, T.INT, T.INT), 2, T.STRING),
    "trim": ((T.STRING, T.STRING), 1, T.STRING),
    "ltrim": ((T.STRING, T.STRING), 1, T.STRING),
    "rtrim": ((T.STRING, T.STRING), 1, T.STRING),
    "replace": ((T.STRING, T.STRING, T.STRING), 3, T.STRING),
    "starts_with": ((T.STRING, T.STRING), 2, T.BOOL),
    "ends_with": ((T.STRING, T.STRING), 2, T.BOOL),
    "round": ((T.DOUBLE, T.INT), 1, T.DOUBLE),
    "unicode": ((T.STRING,), 1, T.INT),
}
OF_ANY_NUMBER: Final = ("abs", "sign")
OF_ANY: Final = {"coalesce": (1, None), "ifnull": (2, 2), "nullif": (2, 2)}  # name -> (fewest, most) operands
_AGGREGATE_NAMES: Final = (
    "any_value array_agg avg bit_and bit_or bit_xor corr count countif logical_and logical_or max min stddev string_agg sum"
    " variance"
)
AGGREGATES: Final = frozenset(_AGGREGATE_NAMES.split())
CASTS: Final = {
    **dict.fromkeys(("INT64", "INT32", "UINT64", "UINT32"), T.INT),
    **dict.fromkeys(("FLOAT64", "DOUBLE", "FLOAT", "FLOAT32"), T.DOUBLE),
    "STRING": T.STRING,
    **dict.fromkeys(("BOOL", "BOOLEAN"), T.BOOL),
}


def common_type(types: Iterable[T]) -> T | None:
    """Return the type that values of all these types have, None where there is none."""
    found = set(types) - {T.NULL}
    if T.DOUBLE in found and found <= {*NUMBERS}:
        return T.DOUBLE
    if len(found) > 1:
        return None
    return found.pop() if found else T.NULL


def result_type(name: str, types: Sequence[T]) -> T | None:
    """Return the type that a function has of operands of these types, None where they do not fit."""
    if name in OF_ANY:
        fewest, most = OF_ANY[name]
        if len(types) < fewest or (most is not None and len(types) > most):
            return None
        return common_type(types)
    if name in OF_ANY_NUMBER:
        return types[0] if len(types) == 1 and types[0] in (*NUMBERS, T.NULL) else None
    wanted, needed, result = FUNCTIONS[name]
    if not needed <= len(types) <= len(wanted):
        return None
    fits = all(
        given in (want, T.NULL) or (want is T.DOUBLE and given in NUMBERS)
        for given, want in zip(types, wanted, strict=False)
    )
    return result if fits else None


# CAST ----------------------------------------------------------------------------------------------------------------

_HEXADECIMAL: Final = re.compile(r"[-+]?0[xX][0-9A-Fa-f]+")
_INT64_MAX: Final = 2**63 - 1


def cast_text(text: str, to: T) -> int | float | bool | None:
    """Return the value of a text that is spelt as GoogleSQL spells one of this type; None for any other, and for inf and nan."""
    if to is T.BOOL:
        return {"true": True, "false": False}.get(text.lower())
    try:
        hexadecimal = _HEXADECIMAL.fullmatch(text)
        if to is T.INT or hexadecimal:
            number = int(text, 16 if hexadecimal else 10)
            return float(number) if to is T.DOUBLE else number if -_INT64_MAX - 1 <= number <= _INT64_MAX else None
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


# FORMAT --------------------------------------------------------------------------------------------------------------

_SPECIFIER: Final = re.compile(r"%[-+ #0']*(?P<width>\*|\d*)(?:\.(?P<precision>\*|\d*))?(?P<letter>.?)", re.DOTALL)
_ANY: Final = tuple(T)
_LETTERS: Final[dict[str, tuple[T, ...]]] = {
    **dict.fromkeys("dioxX", (T.INT, T.UINT, T.NULL)),
    "u": (T.UINT, T.NULL),
    **dict.fromkeys("eEfFgG", (T.DOUBLE, T.NULL)),
    "s": (T.STRING, T.NULL),
    **dict.fromkeys("tT", _ANY),
}


def format_fault(pattern: str, types: Sequence[T]) -> str | None:
    """Return why FORMAT does not take operands of these types for a pattern, None if it does. Nothing is converted."""
    wanted: list[tuple[T, ...]] = []
    for match in _SPECIFIER.finditer(pattern):
        letter = match["letter"]
        if letter == "%":
            continue
        wanted += [(T.INT, T.NULL) for size in (match["width"], match["precision"]) if size == "*"]
        if letter not in _LETTERS:
            return f'Invalid format specifier character "{letter}" in FORMAT string: "{pattern}"'
        wanted.append(_LETTERS[letter])
    if len(types) != len(wanted):
        few = "few" if len(types) < len(wanted) else "many"
        return (
            f'Too {few} arguments to FORMAT for pattern "{pattern}"; Expected {len(wanted) + 1}; Got {len(types) + 1}'
        )
    for number, (given, allowed) in enumerate(zip(types, wanted, strict=True), 2):
        if given not in allowed:
            return f"Invalid type for argument {number} to FORMAT; Expected {allowed[0]}; Got {given}"
    return None
