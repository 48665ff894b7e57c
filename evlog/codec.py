"""Record <-> stored bytes. An old record passes through `upcast`; stored bytes are never decoded and encoded again.

A stored change is one byte that tells its form (0: plain MessagePack) and the bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from evlog import upcast
from evlog.errors import UNDECODABLE, FormatVersionError, UnknownTagError
from evlog.frame import unpack_body
from evlog.records import RECORD_VERSION, Change, Envelope, Record

if TYPE_CHECKING:
    from evlog.frame import Frame

PLAIN: Final = b"\x00"
_U32: Final = struct.Struct("<I")

_encoder = msgspec.msgpack.Encoder()
_envelope_decoder = msgspec.msgpack.Decoder(Envelope)
_change_decoder = msgspec.msgpack.Decoder(Change)
_plain_decoder = msgspec.msgpack.Decoder(dict[str, Any])


def encode(record: Record) -> tuple[bytes, list[bytes]]:
    """Return the stored envelope and the stored changes of a record."""
    encode_one = _encoder.encode
    return encode_envelope(record.envelope), [PLAIN + encode_one(change) for change in record.changes]


def encode_envelope(envelope: Envelope) -> bytes:
    """Return an envelope as it is stored."""
    return _encoder.encode(envelope)


def decode(frame: Frame) -> Record:
    """Return the record in a frame that passed its checks. Raises as `decode_stored`."""
    if frame.changes == 1 and (record := _decode_usual(frame.body)) is not None:
        return record
    try:
        envelope, changes = unpack_body(frame.body, frame.changes)
    except ValueError as error:
        raise UnknownTagError(str(error), offset=frame.offset) from error
    return decode_stored(envelope, changes, offset=frame.offset)


def decode_envelope(stored: bytes, *, offset: int) -> Envelope:
    """Return a stored envelope. Raises UnknownTagError where it is none."""
    try:
        return _envelope_decoder.decode(stored)
    except UNDECODABLE as error:
        raise UnknownTagError(str(error), offset=offset) from error


def _decode_usual(body: bytes) -> Record | None:
    """Return the record in a body that is as by far the most are, of one plain change and of this version; None for any other.

    What is wrong with a body is for the long way to tell. This one takes two thirds of its time, and it is what every view waits for.
    """
    size = len(body)
    if size <= _U32.size:
        return None
    change_at = _U32.size + _U32.unpack_from(body)[0]
    plain_at = change_at + _U32.size
    if plain_at >= size or plain_at + _U32.unpack_from(body, change_at)[0] != size or body[plain_at] != PLAIN[0]:
        return None
    try:
        envelope = _envelope_decoder.decode(body[_U32.size : change_at])
        if envelope.v == RECORD_VERSION:
            return Record(envelope, [_change_decoder.decode(body[plain_at + 1 :])])
    except (*UNDECODABLE, ValueError):
        pass
    return None


def decode_stored(envelope_bytes: bytes, stored: list[bytes], *, offset: int) -> Record:
    """Return the record of a stored envelope and stored changes.

    Raises UnknownTagError for a change or form that this release does not know, FormatVersionError for a newer record.
    """
    try:
        envelope = _envelope_decoder.decode(envelope_bytes)
        if envelope.v == RECORD_VERSION:
            decode_one = _change_decoder.decode
            changes = [decode_one(_plain(change, offset)) for change in stored]
        elif envelope.v > RECORD_VERSION:
            raise FormatVersionError(f"record {offset}", found=envelope.v, known=RECORD_VERSION)
        else:
            changes = [_old(_plain(change, offset), envelope.v) for change in stored]
    except (*UNDECODABLE, ValueError, KeyError) as error:
        raise UnknownTagError(str(error), offset=offset) from error
    return Record(envelope, changes)


def _plain(stored: bytes, offset: int) -> bytes:
    if stored[:1] != PLAIN:
        raise UnknownTagError(f"a change is stored in form {stored[:1].hex() or 'empty'}", offset=offset)
    return stored[1:]


def _old(change: bytes, version: int) -> Change:
    converted: Change = msgspec.convert(upcast.upcast(_plain_decoder.decode(change), version), Change)
    return converted
