"""Values as MLMD stores them in columns <-> values of records.

A struct is text with a prefix, a proto base64 (in PostgreSQL its bytes); both are messages of protobuf below that.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

from evlog.records import Proto
from mlmd.convert import value_of
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from evlog.records import Value

STRUCT_PREFIX: Final = "mlmd-struct::"
NULL_TEXT: Final = "__MLMD_NULL__"  # What MLMD takes for a text that is not there.

NO_VALUE: Final = "a property without a value"
SEVERAL_VALUES: Final = "a property with several values: the first that ML Metadata reads was taken"
NOT_OF_COLUMN: Final = "a value that is not of its column's type"
BAD_STRUCT: Final = "a text that says it is a struct and is none: it was taken as text"
BAD_PROTO: Final = "a proto that is none"
NO_TYPE_URL: Final = "a proto without type_url, which ML Metadata cannot read: it was taken as it is"
NULL_VALUE: Final = f"the text {NULL_TEXT}, which ML Metadata cannot read: it was taken as it is"
NOT_UTF8: Final = "a text that is not UTF-8: each byte that is none became \\xNN"


def stored_value(columns: tuple[Any, ...], *, proto_in_base64: bool) -> tuple[Value | None, str | None]:
    """Return the value in the columns int, double, string, byte, proto and bool, None for none, and what is wrong, None if nothing."""
    integer, double, string, _, proto, boolean = columns
    value: Value | None
    wrong: str | None
    if integer is not None:
        value, wrong = (integer, None) if integer.__class__ is int else (None, NOT_OF_COLUMN)
    elif double is not None:
        value, wrong = (float(double), None) if isinstance(double, int | float) else (None, NOT_OF_COLUMN)
    elif string is not None:
        value, wrong = stored_text(string)
    elif proto is not None:
        value, wrong = _proto(proto, in_base64=proto_in_base64)
    elif boolean is not None:
        value, wrong = (bool(boolean), None) if boolean in (0, 1) else (None, NOT_OF_COLUMN)
    else:
        return None, NO_VALUE
    if wrong is None and sum(one is not None for one in columns) > 1:
        wrong = SEVERAL_VALUES
    return value, wrong


def stored_text(string: Any) -> tuple[Value | None, str | None]:
    """Return the value in a column of texts, a string or a struct, and what is wrong."""
    if isinstance(string, bytes):
        return string.decode(errors="backslashreplace"), NOT_UTF8
    if string.__class__ is not str:
        return None, NOT_OF_COLUMN
    if string.startswith(STRUCT_PREFIX):
        message = pb.Value()
        try:
            message.struct_value.ParseFromString(base64.b64decode(string[len(STRUCT_PREFIX) :], validate=True))
            return value_of(message, "struct_value"), None
        except (binascii.Error, DecodeError, ValueError):
            return string, BAD_STRUCT
    return string, NULL_VALUE if string == NULL_TEXT else None


def _proto(stored: str | bytes, *, in_base64: bool) -> tuple[Value | None, str | None]:
    message = pb.Value()
    try:
        message.proto_value.ParseFromString(base64.b64decode(stored, validate=True) if in_base64 else bytes(stored))  # type: ignore[arg-type]
        value = value_of(message, "proto_value")
    except (binascii.Error, DecodeError, ValueError, TypeError):
        return None, BAD_PROTO
    assert isinstance(value, Proto), "it was put in that arm"
    return value, None if value.type_url else NO_TYPE_URL
