"""Property values as JSON text, for databases. The type of a value stays plain: 1 is an int, 1.0 a double, true a bool.

A struct is an object; a proto is an array, which no other value is: [type url, base64]. JSON has no NaN and no infinities; they are
written as JSON5 and JavaScript do. SQLite reads null for NaN and 9e999 for Infinity, DuckDB what they are.
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Final

import msgspec

from evlog.records import Proto, Struct

if TYPE_CHECKING:
    from evlog.records import Properties

_json: Final = msgspec.json.Encoder().encode
_SIMPLE: Final = frozenset({int, str, bool})


def as_json(properties: Properties) -> bytes | None:
    """Return properties as JSON text, None where there is none."""
    if not properties:
        return None
    for value in properties.values():
        if value.__class__ not in _SIMPLE and not (value.__class__ is float and math.isfinite(value)):
            return _value_json(properties)
    return _json(properties)


def _value_json(value: object) -> bytes:
    if isinstance(value, float) and not math.isfinite(value):
        return b"NaN" if math.isnan(value) else b"Infinity" if value > 0 else b"-Infinity"
    if isinstance(value, Proto):
        return _json([value.type_url, base64.b64encode(value.value).decode()])
    if isinstance(value, Struct):
        return _value_json(value.fields)
    if isinstance(value, dict):
        return b"{" + b",".join(_json(key) + b":" + _value_json(item) for key, item in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(_value_json, value)) + b"]"
    return b"null" if isinstance(value, msgspec.msgpack.Ext) else _json(value)
