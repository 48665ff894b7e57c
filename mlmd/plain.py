"""Values as JSON can hold them: what MLMD stores and JSON has no word for gets one."""

from __future__ import annotations

import base64
import math
from typing import Any, Final

import msgspec

from evlog.records import Proto, Struct

WRAPPED: Final = "__value__"  # A struct is an object; what is none lies in this field, as with TFX.
_PLAIN: Final = frozenset({str, int, bool, type(None)})


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what JSON has no number for becomes its name."""
    if type(value) in _PLAIN:  # Most are.
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Struct):
        return plain(value.fields)
    if isinstance(value, Proto):
        return {"type_url": value.type_url, "value": plain(value.value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if isinstance(value, msgspec.msgpack.Ext) else value


def unwrapped(value: Any) -> Any:
    """Return what lies in a struct because it is no object itself; any other value as it is."""
    return value[WRAPPED] if isinstance(value, dict) and value.keys() == {WRAPPED} else value
