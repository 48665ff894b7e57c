"""Has this been run before? A run is found by its key: the SHA-256 of its type, code, inputs and parameters."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FORM: Final = "evlog key 1"
_encode: Final = msgspec.json.Encoder(order="sorted").encode
_EXACT: Final = 1 << 53


def key_of(type_name: str, code: str | None, inputs: Sequence[tuple[str, str]], params: Mapping[str, Any]) -> str:
    """Return the key of a run, in hexadecimal. inputs: (role, identity), in any order; params: plain values."""
    parts = [_FORM, type_name, code, sorted(inputs), canonical(params)]
    return hashlib.sha256(_encode(parts)).hexdigest()


def canonical(value: Any) -> Any:
    """Return a plain value so that equal ones are the same JSON: 1.0 is 1, and NaN and the infinities are words."""
    if isinstance(value, dict):
        return {key: canonical(one) for key, one in value.items()}
    if isinstance(value, list):
        return [canonical(one) for one in value]
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN alone
            return {"float": repr(value)}
        if value.is_integer() and abs(value) <= _EXACT:
            return int(value)
    return value
