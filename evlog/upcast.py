"""Old records in today's words: a pure function from each version to the next, plain builtins in and out.

A record's version stands in its envelope (`v`). UPCASTERS[n] takes one change of version n as decoded MessagePack
(a dict with its tag under "t") and returns the same fact in the words of version n + 1. History is never rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from evlog.records import RECORD_VERSION

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Final[Mapping[int, Upcaster]] = {}  # Version 1 is the first: nothing is older.


def upcast(change: dict[str, Any], version: int, upcasters: Mapping[int, Upcaster] = UPCASTERS) -> dict[str, Any]:
    """Return a change of `version` as RECORD_VERSION says it. Raises KeyError for a version without an upcaster."""
    for number in range(version, RECORD_VERSION):
        change = upcasters[number](change)
    return change
