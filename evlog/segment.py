"""One segment: a file of frames, named by the offset of its first record, as it was written or compressed.

    SEGMENT frame | record and SYNC frames ... | SEAL frame (once it is full)

The SEGMENT frame carries the tree's frontier at the segment's start, the SEAL frame the root at its end, so every segment
verifies alone and a damaged one is located exactly. The link between two segments is by root, not by a digest of bytes.
Body of both: u32 n, a MessagePack map of n bytes; of SEAL also zeros to a multiple of 8, u32 size of the whole frame,
b"SEAL": the last eight bytes of the file lead to its last frame.

A sealed one may be compressed (seekable.py; compression.py does it): then `.zst` follows its name, and what `open_file` returns reads
as before. Positions are always those of the uncompressed bytes. Where both files are there, the compressed one does not count yet.
"""

from __future__ import annotations

import struct
from contextlib import ExitStack, closing, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from evlog.errors import UNDECODABLE, CorruptLogError, ReadOnlyError, StorageError
from evlog.frame import ALIGNMENT, HEADER, SEAL, SEGMENT, BadFrame, Frame, pack, unpack
from evlog.seekable import SeekableFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from hashlib import _Hash as Hash

    from evlog.files import File, Folder
    from evlog.tip import Tip

SUFFIX: Final = ".seg"
COMPRESSED: Final = ".zst"  # Behind the name of a segment.
NAME_DIGITS: Final = 20
NAMES_AT_ONCE: Final = 256  # Linux lists some 600 of such names in one go.
INDEX_STEP: Final = 256  # Every 256th record's position is kept: a look-up walks at most 255 frames.
READ_BYTES: Final = 1024 * 1024
FIRST_READ_BYTES: Final = 128 * 1024  # Who wants one record finds it in here: it is at most INDEX_STEP frames on.
_U32: Final = struct.Struct("<I")
_TRAILER: Final = struct.Struct("<I4s")
_TRAILER_MAGIC: Final = b"SEAL"


class SegmentHeader(msgspec.Struct, frozen=True):
    """What a segment knows about the log before it. frontier: hashes of the perfect subtrees, largest first."""

    v: int
    log_id: bytes
    number: int
    base: int
    root: bytes
    frontier: list[bytes]
    prev: bytes
    time_us: int
    writer: str


class Seal(msgspec.Struct, frozen=True):
    """What a full segment says of itself. sha256: of all bytes before the SEAL frame; index: positions."""

    v: int
    generation: int
    base: int
    end: int
    root: bytes
    sha256: bytes
    first_us: int
    last_us: int
    index: list[int]


_Form = TypeVar("_Form", SegmentHeader, Seal)


class SealPlace(NamedTuple):
    """A seal and the position of its frame."""

    seal: Seal
    position: int


def name_of(base: int) -> str:
    """Return the file name of the segment whose first record has offset `base`."""
    return f"{base:0{NAME_DIGITS}d}{SUFFIX}"


def compressed_name_of(base: int) -> str:
    """Return the file name of that segment once it is compressed."""
    return name_of(base) + COMPRESSED


def base_of(name: str) -> int | None:
    """Return the base offset in a segment's file name, None for any other name."""
    name = name.removesuffix(COMPRESSED)
    stem = name.removesuffix(SUFFIX)
    if len(stem) == NAME_DIGITS and stem.isascii() and stem.isdigit() and name.endswith(SUFFIX):
        return int(stem)
    return None


def bases(folder: Folder) -> list[int]:
    """Return the base offsets of the segments in a folder, ascending."""
    names = folder.names()
    # The system reads a long listing in parts: a segment that is compressed between two of them may be in neither, in neither form.
    while len(names) > NAMES_AT_ONCE and (again := folder.names()) != names:
        names = again
    return sorted({base for name in names if (base := base_of(name)) is not None})


def open_file(folder: Folder, base: int, *, writable: bool = False) -> File:
    """Open a segment in whichever form it is there. Raises FileNotFoundError, CorruptLogError for a damaged compressed one.

    writable: has a meaning for the active one alone. Any other is sealed, and may be opened to be read only.
    """
    refused = None
    if writable:
        try:
            return folder.open(name_of(base), writable=True)
        except FileNotFoundError:
            pass
        except ReadOnlyError as error:
            refused = error  # By the mode of a sealed one, as a rule.
    try:
        file: File = folder.open(name_of(base))
    except FileNotFoundError:
        file = open_compressed(folder, base)  # It was there before the other went, whatever a listing said.
    if refused is not None and not _ends_in_seal(file):
        file.close()
        raise refused
    return file


def open_compressed(folder: Folder, base: int) -> SeekableFile:
    """Open a compressed segment. Raises FileNotFoundError where it is not compressed, CorruptLogError for a damaged one."""
    file = folder.open(compressed_name_of(base))
    with ExitStack() as on_error:
        on_error.callback(file.close)
        opened = SeekableFile(file, offset=base)
        on_error.pop_all()
    return opened


def open_each(folder: Folder, base: int) -> Iterator[File]:
    """Open each form in which a segment is there, one after the other: for who looks for what is left. The caller closes each."""
    # In this order: where one is compressed meanwhile, there is the other before it goes.
    with suppress(FileNotFoundError):
        yield folder.open(name_of(base))
    with suppress(FileNotFoundError, CorruptLogError):  # Not even how its bytes lie is to be found out.
        yield open_compressed(folder, base)


def protect(folder: Folder, name: str) -> None:
    """Make the file of a sealed segment read-only, where that can be done: a guard against mistakes, on which nothing rests."""
    with suppress(StorageError):  # A file system without modes, or a file of another user.
        folder.protect(name)


def size_of(folder: Folder, base: int) -> int:
    """Return the size of a segment, uncompressed, 0 where there is none."""
    try:
        file = open_file(folder, base)
    except FileNotFoundError:
        return 0
    with closing(file):
        return file.size()


def _ends_in_seal(file: File) -> bool:
    return file.read(_TRAILER.size, max(0, file.size() - _TRAILER.size)).endswith(_TRAILER_MAGIC)


def files_of(folder: Folder, base: int) -> list[str]:
    """Return the names of the files that hold a segment; none where it is gone."""
    return [name for name in folder.names() if base_of(name) == base]


def pack_header(header: SegmentHeader, *, seed: int) -> bytes:
    """Return the frame that begins a segment."""
    encoded = msgspec.msgpack.encode(header)
    return _pack_control(SEGMENT, _U32.pack(len(encoded)) + encoded, header.base, header.time_us, header.prev, seed)


def pack_seal(seal: Seal, *, prev: bytes, seed: int) -> bytes:
    """Return the frame that ends a segment."""
    encoded = msgspec.msgpack.encode(seal)
    body = _U32.pack(len(encoded)) + encoded
    body += bytes(-(len(body) + _TRAILER.size) % ALIGNMENT)
    body += _TRAILER.pack(HEADER.size + len(body) + _TRAILER.size, _TRAILER_MAGIC)
    return _pack_control(SEAL, body, seal.end, seal.last_us, prev, seed)


def _pack_control(kind: int, body: bytes, offset: int, time_us: int, prev: bytes, seed: int) -> bytes:
    return pack(kind, body, changes=0, offset=offset, time_us=time_us, synced=offset, prev=prev, seed=seed)


def decode_header(frame: Frame) -> SegmentHeader | str:
    """Return the header in a SEGMENT frame, or why it is none."""
    header = _decode(frame, SegmentHeader, SEGMENT)
    if isinstance(header, SegmentHeader) and len(header.frontier) != header.base.bit_count():
        return f"the header's frontier is not one of a tree of {header.base} records"
    return header


def decode_seal(frame: Frame) -> Seal | str:
    """Return the seal in a SEAL frame, or why it is none."""
    return _decode(frame, Seal, SEAL)


def _decode(frame: Frame, form: type[_Form], kind: int) -> _Form | str:
    if frame.kind != kind:
        return f"a frame of kind {frame.kind} stands where one of kind {kind} must"
    if len(frame.body) < _U32.size:
        return "the body is too short"
    (size,) = _U32.unpack_from(frame.body)
    try:
        return msgspec.msgpack.decode(frame.body[_U32.size : _U32.size + size], type=form)
    except UNDECODABLE as error:
        return str(error)


def read_header(file: File, *, seed: int) -> SegmentHeader | BadFrame:
    """Return the header of a segment, or why there is none."""
    frame = next(walk(file, 0, seed=seed), None)
    if frame is None:
        return BadFrame(0, "the file is empty")
    if isinstance(frame, BadFrame):
        return frame
    header = decode_header(frame)
    return BadFrame(0, header) if isinstance(header, str) else header


def read_seal(file: File, *, seed: int) -> SealPlace | None:
    """Return the seal that ends a segment, None where none does."""
    size = file.size()
    trailer = file.read(_TRAILER.size, max(0, size - _TRAILER.size))
    if len(trailer) < _TRAILER.size:
        return None
    frame_bytes, magic = _TRAILER.unpack(trailer)
    if magic != _TRAILER_MAGIC or not HEADER.size <= frame_bytes <= size:
        return None
    position = size - frame_bytes
    frame = unpack(file.read(frame_bytes, position), 0, seed=seed, position=position)
    if isinstance(frame, BadFrame):
        return None
    seal = decode_seal(frame)
    return None if isinstance(seal, str) else SealPlace(seal, position)


def walk(file: File, position: int, *, seed: int, stop: int | None = None) -> Iterator[Frame | BadFrame]:
    """Yield the frames from `position` to `stop` (the end of the file if None), in order.

    A BadFrame is the last thing yielded: what follows it has no known beginning. Zeros up to the end of the file are none: a
    writer puts them there, so that its next syncs find the file as long as before.
    """
    want = FIRST_READ_BYTES
    while stop is None or position < stop:
        data = file.read(want if stop is None else min(want, stop - position), position)
        if not data:
            return
        at = 0
        while at < len(data) and (stop is None or position + at < stop):
            frame = unpack(data, at, seed=seed, position=position)
            if isinstance(frame, BadFrame):
                if frame.needed and len(data) == want and (at > 0 or frame.needed > want):
                    want = max(READ_BYTES, frame.needed)  # The read ended inside the frame, not the file.
                    break
                if data[at:].lstrip(b"\0") or not _only_zeros(file, position + len(data)):
                    yield frame
                return
            yield frame
            at += frame.size
        else:
            want = READ_BYTES
        position += at


def _only_zeros(file: File, position: int) -> bool:
    while data := file.read(READ_BYTES, position):
        if data.lstrip(b"\0"):
            return False
        position += len(data)
    return True


def pieces(file: File, start: int, stop: int, size: int = READ_BYTES) -> Iterator[bytes]:
    """Yield the bytes [start, stop) of a file, `size` at a time. Raises CorruptLogError where it ends before."""
    while start < stop:
        data = file.read(min(size, stop - start), start)
        if not data:
            raise CorruptLogError(f"the file ends before byte {stop}", file=file.name, position=start, offset=0)
        yield data
        start += len(data)


def digest_before(file: File, position: int) -> bytes:
    """Return the SHA-256 of the first `position` bytes."""
    return hash_of(file, position).digest()


def hash_of(file: File, position: int) -> Hash:
    """Return SHA-256 fed with the first `position` bytes, ready for more."""
    digest, at = sha256(), 0
    while at < position:
        data = file.read(min(READ_BYTES, position - at), at)
        if not data:
            break
        digest.update(data)
        at += len(data)
    return digest


def note_position(index: list[int], frame_offset: int, base: int, position: int) -> None:
    """Keep the position of every INDEX_STEP-th record of a segment."""
    if (frame_offset - base) % INDEX_STEP == 0:
        index.append(position)


def check_seal(seal: Seal, tip: Tip, base: int) -> str | None:
    """Return why a seal does not fit the records before it, None where it does."""
    if seal.base != base or seal.end != tip.end:
        return f"the seal speaks of records {seal.base} to {seal.end}, the segment holds {base} to {tip.end}"
    if seal.root != tip.tree.root():
        return "the seal's root is not the root of the records before it"
    return None
