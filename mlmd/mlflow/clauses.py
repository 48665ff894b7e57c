"""One comparison of an MLflow filter: checked on a node as MLflow's database checks it, and said in the store's own language.

What the store finds by the words of a clause is all that passes it, and now and then more; `exact` tells which. Where there are no words
every node is looked at. As in a database, what is not there passes no comparison.
"""

from __future__ import annotations

import math
import operator
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlmd.recorder.values import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    Value = Callable[[Any], Any]

_ORDERED: Final = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")  # As SQLite's `lower`.
_INT64: Final = 2**63


class Clause(NamedTuple):
    """passes: tell whether a node does. words: a condition of the store's language, "" where there is none."""

    passes: Callable[[Any], bool]
    words: str = ""
    exact: bool = False


def named(prefix: str, key: str) -> str:
    """Return what the store's language calls a property; "" where it has no way to write its key, which then no run has."""
    return "" if not key or set("`\n\r") & set(key) else f"{prefix}`{key}`"


@lru_cache(256)
def like(pattern: str, *, fold: bool) -> re.Pattern[str]:
    """Return LIKE as a regular expression. fold: the upper and lower case of ASCII are one."""
    pattern = pattern.translate(_LOWER) if fold else pattern
    parts = (".*" if part == "%" else "." if part == "_" else re.escape(part) for part in pattern)
    return re.compile("".join(parts), re.DOTALL)


def compare(value: Any, comparator: str, wanted: Any) -> bool:
    """Tell whether a value passes a comparison; what is not there (None) passes IS NULL alone."""
    if value is None or comparator.startswith("IS "):
        return (comparator == "IS NULL") == (value is None) and comparator.startswith("IS ")
    if comparator == "LIKE":
        return like(wanted, fold=False).fullmatch(value) is not None
    if comparator == "ILIKE":
        return like(wanted, fold=True).fullmatch(value.translate(_LOWER)) is not None
    if comparator in ("IN", "NOT IN"):
        return (value in wanted) == (comparator == "IN")
    return bool(_ORDERED[comparator](value, wanted))


def text_clause(value: Value, name: str, comparator: str, wanted: Any) -> Clause:
    """Return the clause of a text. name: what the store's language calls it, "" where it does not."""

    def passes(node: Any) -> bool:
        return compare(value(node), comparator, wanted)

    if not name:
        return Clause(passes)
    if comparator.startswith("IS "):
        return Clause(passes, f"{name} {comparator}", exact=True)
    if comparator in ("IN", "NOT IN"):
        return Clause(
            passes, f"{name} {comparator} ({', '.join(map(quoted, wanted))})" if wanted else "", exact=bool(wanted)
        )
    if comparator in ("LIKE", "ILIKE"):  # The store's LIKE takes the two cases for one.
        return Clause(passes, f"{name} LIKE {quoted(wanted)}", exact=comparator == "ILIKE")
    return Clause(passes, f"{name} {comparator} {quoted(wanted)}", exact=True)


def number_clause(value: Value, name: str, comparator: str, wanted: float) -> Clause:
    """Return the clause of a number; a NaN is like none, but for being unequal to every number."""

    def passes(node: Any) -> bool:
        found = value(node)
        if found is not None and math.isnan(found):
            return comparator == "!="
        return compare(found, comparator, wanted)

    sayable = math.isfinite(wanted) and abs(wanted) < (_INT64 if isinstance(wanted, int) else math.inf)
    if not name or comparator == "!=" or not sayable:
        return Clause(passes)
    return Clause(passes, f"{name} {comparator} {wanted!r}", exact=True)
