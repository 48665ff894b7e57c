"""The zstd seekable format: a file in blocks that are compressed each alone, so that any byte is a block away.

    zstd frame | zstd frame | ... | skippable frame with the seek table

Every zstd decoder reads the whole file; the table lets one read a part. A block is one zstd frame with the size and the checksum of what
is in it. All blocks hold as many bytes as the first, but for the last, which may hold fewer.

| seek table | size | field                                                                |
| 0          | 4    | 0x184D2A5E, a skippable frame                                        |
| 4          | 4    | bytes of the rest                                                    |
| 8          | 8 n  | for each block: its bytes as compressed, u32, and uncompressed, u32  |
| 8 + 8 n    | 4    | n                                                                    |
| 12 + 8 n   | 1    | 0: the table has no checksums, the blocks have                       |
| 13 + 8 n   | 4    | 0x8F92EAB1                                                           |

Source: contrib/seekable_format/zstd_seekable_compression_format.md of zstd, version 0.1.1.
"""

from __future__ import annotations

import errno
import struct
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NoReturn

import zstandard

from evlog.errors import CorruptLogError, ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from evlog.files import File

BLOCK_BYTES: Final = 128 * 1024  # As much as one read of a single record asks for.
LEVEL: Final = 3
BLOCKS_KEPT: Final = (
    4  # A walk reads on from the middle of one; a look-up reads the seal, at the end, and then a record.
)
BLOCK_BYTES_MAX: Final = 8 * 1024 * 1024  # Of a block that is read: more is no table of ours, and is not allocated.
_HEADER: Final = struct.Struct("<II")
_ENTRY: Final = struct.Struct("<II")
_FOOTER: Final = struct.Struct("<IBI")
_SKIPPABLE: Final = 0x184D2A5E
_MAGIC: Final = 0x8F92EAB1


def compressed(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each block compressed, then the seek table. All blocks but the last are of one size."""
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    entries = []
    for block in blocks:
        frame = compressor.compress(block)
        entries.append(_ENTRY.pack(len(frame), len(block)))
        yield frame
    yield _HEADER.pack(_SKIPPABLE, _ENTRY.size * len(entries) + _FOOTER.size)
    yield b"".join(entries) + _FOOTER.pack(len(entries), 0, _MAGIC)


class SeekableFile:
    """A compressed file, read as the one it was made from. Positions and sizes are those of the uncompressed bytes.

    Used by one thread at a time. Raises CorruptLogError, with the position in the compressed file, where that is damaged.
    """

    def __init__(self, file: File, *, offset: int) -> None:
        """Read the seek table of a file, which is closed with this one. offset: of its first record, for errors."""
        self.name = file.name
        self._file, self._offset = file, offset
        self._decompressor = zstandard.ZstdDecompressor()
        self._kept: dict[int, bytes] = {}  # The blocks that were read last, oldest first.
        compressed_sizes, sizes = self._table()
        self._starts = [0, *accumulate(compressed_sizes)]
        self._block_bytes = sizes[0]
        self._size = sum(sizes)

    def _table(self) -> tuple[Sequence[int], Sequence[int]]:
        """Return the size of every block as compressed, and its size. Checked in a few steps: there may be thousands."""
        end = self._file.size()
        at = max(0, end - _FOOTER.size)
        footer = self._file.read(_FOOTER.size, at)
        if len(footer) < _FOOTER.size:
            self._refuse("the file is too short for a seek table", at)
        count, descriptor, magic = _FOOTER.unpack(footer)
        if magic != _MAGIC or descriptor != 0:
            self._refuse("the file does not end in a seek table", at)
        bytes_of_table = _HEADER.size + _ENTRY.size * count + _FOOTER.size
        start = end - bytes_of_table
        if count == 0 or start < 0:
            self._refuse(f"the seek table speaks of {count} blocks", at)
        table = self._file.read(bytes_of_table, start)
        if len(table) < bytes_of_table or _HEADER.unpack_from(table) != (_SKIPPABLE, bytes_of_table - _HEADER.size):
            self._refuse("no seek table begins where it should", start)
        numbers = struct.unpack_from(f"<{2 * count}I", table, _HEADER.size)
        compressed_sizes, sizes = numbers[::2], numbers[1::2]
        if not 0 < sizes[-1] <= sizes[0] <= BLOCK_BYTES_MAX or sizes[:-1].count(sizes[0]) != count - 1:
            self._refuse("the blocks in the seek table are not of one size", start)
        if sum(compressed_sizes) != start:
            self._refuse("the blocks in the seek table do not fill the file", start)
        return compressed_sizes, sizes

    def read(self, size: int, position: int) -> bytes:
        """See File."""
        stop = min(position + size, self._size)
        if position >= stop:
            return b""
        first, last = position // self._block_bytes, (stop - 1) // self._block_bytes
        start = first * self._block_bytes
        if first == last:
            return self._block(first)[position - start : stop - start]
        return b"".join(map(self._block, range(first, last + 1)))[position - start : stop - start]

    def _block(self, number: int) -> bytes:
        if (found := self._kept.get(number)) is not None:
            return found
        start, stop = self._starts[number : number + 2]
        frame = self._file.read(stop - start, start)
        expected = min(self._block_bytes, self._size - number * self._block_bytes)
        try:
            # Before anything is allocated for it: a damaged frame may claim to hold any size.
            if zstandard.get_frame_parameters(frame).content_size != expected:
                self._refuse(f"block {number} does not hold the {expected:,} bytes that the seek table says", start)
            data = self._decompressor.decompress(frame, allow_extra_data=False)
        except zstandard.ZstdError as error:
            self._refuse(f"block {number} cannot be decompressed ({error})", start)
        while len(self._kept) >= BLOCKS_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[number] = data
        return data

    def _refuse(self, reason: str, position: int) -> NoReturn:
        raise CorruptLogError(reason, file=self.name, position=position, offset=self._offset)

    def size(self) -> int:
        """See File."""
        return self._size

    def truncate(self, size: int) -> None:
        """See File. To cut nothing off is no change."""
        if size != self._size:
            self._refuse_to_write()

    def write(self, data: bytes, position: int) -> None:
        """Raise ReadOnlyError, unless the bytes are there already."""
        if self.read(len(data), position) != data:
            self._refuse_to_write()

    def _refuse_to_write(self) -> NoReturn:
        cause = OSError(errno.EROFS, "a compressed segment is never changed")
        raise ReadOnlyError("cannot be written", file=self.name, cause=cause)

    def sync(self) -> None:
        """See File. It was on stable storage before it got its name."""

    def forget(self) -> None:
        """See File."""
        self._kept.clear()
        self._file.forget()

    def close(self) -> None:
        """See File."""
        self._file.close()
