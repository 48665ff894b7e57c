"""LOGID: which log this is. Four lines of text, written once, so that a person can read them.

evlog log, format 1
id 0193c2...            32 hexadecimal digits, random
origin evlog/0193c2...  the name of the log in checkpoints
crc 1a2b3c4d            CRC-32C of the three lines before
"""

from __future__ import annotations

import re
import secrets
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog.errors import CorruptLogError, FormatVersionError, NoLogError
from evlog.files import write_whole
from evlog.frame import crc32c

if TYPE_CHECKING:
    from evlog.files import Folder

NAME: Final = "LOGID"
FORMAT_VERSION: Final = 1
_OUR_LINE: Final = b"evlog log, format %d\n" % FORMAT_VERSION
_FIRST_LINE: Final = re.compile(rb"evlog log, format (\d+)\n")
_TEXT: Final = re.compile(rb"evlog log, format 1\nid ([0-9a-f]{32})\norigin ([!-~]+)\ncrc ([0-9a-f]{8})\n")


class Identity(NamedTuple):
    """A log's id (16 bytes) and its origin."""

    log_id: bytes
    origin: str


def create(folder: Folder) -> Identity:
    """Write a new identity; it is there whole or not at all."""
    log_id = secrets.token_bytes(16)
    identity = Identity(log_id, f"evlog/{log_id.hex()}")
    write(folder, identity)
    return identity


def write(folder: Folder, identity: Identity) -> None:
    """Write an identity into a folder that has none; it is there whole or not at all."""
    write_whole(folder, NAME, _text(identity))
    folder.sync_names()


def read(folder: Folder) -> Identity:
    """Return the identity. Raises NoLogError, FormatVersionError for a newer log, CorruptLogError for a damaged file."""
    place = folder.describe(NAME)
    try:
        file = folder.open(NAME)
    except FileNotFoundError:
        raise NoLogError(place.removesuffix("/" + NAME)) from None
    with closing(file):
        text = file.read(4096, 0)
    identity, first = _parse(text), _FIRST_LINE.match(text)
    if identity is not None:
        return identity
    # A newer release has a checksum of its own: where ours fits but for the number, the number is what is damaged.
    if first is not None and int(first[1]) != FORMAT_VERSION and _parse(_OUR_LINE + text[first.end() :]) is None:
        raise FormatVersionError(f"the log {place}", found=int(first[1]), known=FORMAT_VERSION)
    raise CorruptLogError("the log's identity is damaged", file=place, position=0, offset=0)


def _parse(text: bytes) -> Identity | None:
    """Return the identity that a text of our format holds, None where it is none."""
    match = _TEXT.fullmatch(text)
    if match is None or crc32c(text[: match.start(3) - 4]) != int(match[3], 16):
        return None
    return Identity(bytes.fromhex(match[1].decode()), match[2].decode())


def write_again(folder: Folder, identity: Identity) -> None:
    """Write the same bytes in place and sync them: what was read may never have reached the disk."""
    with closing(folder.open(NAME, writable=True)) as file:
        file.write(_text(identity), 0)
        file.sync()


def _text(identity: Identity) -> bytes:
    text = f"evlog log, format {FORMAT_VERSION}\nid {identity.log_id.hex()}\norigin {identity.origin}\n".encode()
    return text + f"crc {crc32c(text):08x}\n".encode()
