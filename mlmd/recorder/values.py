"""What a user gives -> what ML Metadata keeps, and back: names, parameters, metrics, tags. Refused at the call that brought it."""

from __future__ import annotations

import os
import re
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from evlog.records import Struct
from mlmd.convert import set_values
from mlmd.errors import InvalidArgumentError
from mlmd.plain import WRAPPED, unwrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf import struct_pb2

    from mlmd.proto import metadata_store_pb2 as pb

KEY_MAX: Final = 250
TEXT_MAX: Final = 1 << 20
_NAME: Final = re.compile(r"\w(?:[\w.+ -]*[\w.+-])?")
_NAME_MAX: Final = 200
_WORDS: Final = frozenset({"art", "artifact", "run", "execution", "ctx", "context", "type", "mark"})  # As in art:3.
_INT64: Final = range(-(1 << 63), 1 << 63)
_EXACT: Final = 1 << 53  # Below it, each integer is a double, and a struct holds doubles.
_PLAIN: Final = frozenset({str, float, int, bool})  # What a property holds as it is.
_DEPTH_MAX: Final = 50  # protobuf reads 100 levels, two for each of these.


# Names --------------------------------------------------------------------------------------------------------------


def name_of(value: Any, what: str = "name") -> str:
    """Return a name that NAME:VERSION and NAME@ALIAS can be made of. Raises InvalidArgumentError."""
    if not isinstance(value, str) or not is_name(value):
        raise InvalidArgumentError(
            f"{what}: {value!r} is none: letters, digits, spaces and . _ + - ({_NAME_MAX} at most), and not"
            f" {', '.join(sorted(_WORDS))}"
        )
    return value


def is_name(text: str) -> bool:
    """Tell whether a text can be the name of an artifact, or an alias."""
    return len(text) <= _NAME_MAX and _NAME.fullmatch(text) is not None and text not in _WORDS


def text_of(value: Any, what: str, *, longest: int = KEY_MAX) -> str:
    """Return a text that is not empty. Raises InvalidArgumentError."""
    if value.__class__ is str and value.isascii() and len(value) <= longest and value and not value.isspace():
        return value  # Nearly every one.
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{what}: {_shown(value)} is a {type(value).__name__}: give a text")
    if not value.strip():
        raise InvalidArgumentError(f"{what}: an empty text: give one that says something")
    if len(value) > longest:
        raise InvalidArgumentError(f"{what}: {len(value):,} characters; {longest:,} at most")
    return _unicode(value, what)


def quoted(text: str) -> str:
    """Return a text as a literal of a filter."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _unicode(text: str, what: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(f"{what}: {text!r} is no Unicode text: {error.reason}") from None
    return text


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."  # noqa: PLR2004 - a line


# Values -------------------------------------------------------------------------------------------------------------


def plain(value: Any, what: str) -> Any:
    """Return a value as Python's own types: int, float, str, bool, or list, dict and None of these. Raises InvalidArgumentError.

    A number of numpy or torch is taken for what it holds, a path for its text.
    """
    kind = value.__class__
    if kind is float or kind is bool:
        return value
    if kind is str:
        return value if len(value) <= KEY_MAX and value.isascii() else _text(value, what)
    if kind is int:
        if value not in _INT64:
            raise InvalidArgumentError(f"{what}: {_shown(value)} does not fit 64 bits: give it as a float, or as text")
        return value
    if value is None or isinstance(value, list | tuple | dict):
        if isinstance(value, dict) and value.keys() == {WRAPPED}:
            raise InvalidArgumentError(f"{what}: {WRAPPED} alone is how a list is kept: name the key otherwise")
        return _nested(value, what, 0)
    return plain(_unwrapped(value, what), what)


def _text(value: str, what: str) -> str:
    if len(value) > TEXT_MAX:
        raise InvalidArgumentError(
            f"{what}: {len(value):,} characters; keep it in a file, and give that as an artifact"
        )
    return _unicode(value, what)


def _unwrapped(value: Any, what: str) -> Any:
    """Return the plain value of a subclass, a path, or a number of another library. Raises InvalidArgumentError."""
    if isinstance(value, str):
        return str.__str__(value)  # What it holds: `str(value)` of an enum is the name of its member.
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, bytes | bytearray | memoryview):
        raise InvalidArgumentError(
            f"{what}: bytes are no value: give a text, or keep them in a file and give that as an artifact"
        )
    if getattr(value, "shape", None) == () and callable(
        item := getattr(value, "item", None)
    ):  # A number of numpy, torch or jax.
        found = item()
        if found.__class__ in (bool, int, float, str):
            return found
    raise InvalidArgumentError(
        f"{what}: {_shown(value)} is a {type(value).__name__}: give an int, float, str or bool, or a list or dict of them"
    )


def _nested(value: Any, what: str, depth: int) -> Any:
    """Return a value that a struct can hold."""
    if depth > _DEPTH_MAX:
        raise InvalidArgumentError(f"{what}: lists and dicts over {_DEPTH_MAX} deep: give it as text")
    if value is None:
        return None
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InvalidArgumentError(
                    f"{what}: the key {_shown(key)} is a {type(key).__name__}: the keys of a dict are texts"
                )
        return {_text(key, what): _nested(item, f"{what}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nested(item, f"{what}[{at}]", depth + 1) for at, item in enumerate(value)]
    found = plain(value, what)
    if found.__class__ is int and not -_EXACT <= found <= _EXACT:
        raise InvalidArgumentError(
            f"{what}: {found} is not exact in a list or dict, which hold doubles: give it as text"
        )
    return found


def stored(value: Any) -> Any:
    """Return a value of `plain` as a Value of a record."""
    if value.__class__ in _PLAIN:
        return value
    return Struct(_in_struct(value if value.__class__ is dict else {WRAPPED: value}))


def _in_struct(value: Any) -> Any:
    """Return a value as a struct has it: a number is a double, and a dict is in the order of its keys."""
    kind = value.__class__
    if kind is dict:
        return {key: _in_struct(value[key]) for key in sorted(value)}
    if kind is list:
        return [_in_struct(item) for item in value]
    return float(value) if kind is int else value


def put(messages: Any, key: str, value: Any) -> None:
    """Set one of a map of Value messages to a value of `plain`."""
    messages.pop(key, None)
    set_values(messages, {key: stored(value)})


def python_of(message: pb.Value) -> Any:
    """Return the value of a message, as `plain` would give it; None for one of a kind that is none of ours (proto)."""
    arm = message.WhichOneof("value")
    if arm is None or arm == "proto_value":
        return None
    value = getattr(message, arm)
    if arm != "struct_value":
        return value
    fields = _struct(value)
    return unwrapped(fields)


def _struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    return {key: _item(item) for key, item in struct.fields.items()}


def _item(item: struct_pb2.Value) -> Any:
    arm = item.WhichOneof("kind")
    if arm == "struct_value":
        return _struct(item.struct_value)
    if arm == "list_value":
        return [_item(one) for one in item.list_value.values]
    if arm == "number_value":  # A struct holds no integers: what is whole is taken for one.
        number = item.number_value
        return int(number) if isfinite(number) and number.is_integer() and abs(number) <= _EXACT else number
    return None if arm in (None, "null_value") else getattr(item, arm)


def number_of(value: Any, what: str) -> float:
    """Return a metric as a double. Raises InvalidArgumentError."""
    if value.__class__ is float:
        return value
    found = plain(value, what)
    if found.__class__ not in (int, float):
        raise InvalidArgumentError(
            f"{what}: {_shown(value)} is no number: a metric is one; note what else there is as a tag"
        )
    return float(found)


def mapping_of(value: Any, what: str) -> Mapping[str, Any]:
    """Return what must be a mapping with texts for keys. Raises InvalidArgumentError."""
    if not hasattr(value, "items"):
        raise InvalidArgumentError(
            f"{what}: {_shown(value)} is a {type(value).__name__}: give a dict, such as {{'lr': 0.1}}"
        )
    for key in value:
        text_of(key, f"{what}: a key")
    return value
