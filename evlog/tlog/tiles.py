"""The tree as tiles: files of 256 hashes that any static server can publish. Source: c2sp.org/tlog-tiles.

    tile/LEVEL/N[.p/WIDTH]      hashes of 32 bytes: at level 0 of leaves, above of the full tiles one level below
    tile/entries/N[.p/WIDTH]    the leaves themselves, 96 bytes each (merkle.py) after two bytes of size, big-endian

N is written in groups of three digits, all but the last after an x: 1234067 is x001/x234/067. The last tile of a level is partial
and says how wide it is. Tiles hold commitments, no payload, and are made again from the log at any time.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from evlog.errors import EvidenceError
from evlog.merkle import LEAF, leaf_hash
from evlog.tlog.checkpoint import HASH_BYTES
from evlog.tlog.proof import root_of_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evlog.tlog.proof import Node
    from evlog.tlog.shelf import Shelf

FOLDER: Final = "tile"
WIDTH: Final = 256
_HEIGHT: Final = 8  # Levels of the tree in one tile.
_ENTRIES: Final = "entries"
_BUNDLED: Final = struct.Struct(f">H{LEAF.size}s")


def name_of(level: int | str, number: int, width: int = WIDTH) -> str:
    """Return the name of a tile; level: a number, or "entries"."""
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"{FOLDER}/{level}/{path}" + (f".p/{width}" if width < WIDTH else "")


class Tiles:
    """The tiles on a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def extend(self, size: int, entries: Sequence[bytes], hashes: Sequence[bytes]) -> None:
        """Write the tiles of the tree that has `entries`, of these hashes, after its first `size` leaves, whose tiles are there."""
        self._write_bundles(size, entries)
        level, start = 0, size
        while hashes:
            number, kept = divmod(start, WIDTH)
            row = [*(self.hashes(level, number, kept) if kept else ()), *hashes]
            tiles = [row[at : at + WIDTH] for at in range(0, len(row), WIDTH)]
            for at, tile in enumerate(tiles, number):
                self._write(level, at, len(tile), b"".join(tile))
            level, start, hashes = level + 1, number, [_fold(tile) for tile in tiles if len(tile) == WIDTH]

    def _write_bundles(self, size: int, entries: Sequence[bytes]) -> None:
        number, kept = divmod(size, WIDTH)
        row = [*(self.entries(number, kept) if kept else ()), *entries]
        for at in range(0, len(row), WIDTH):
            bundle = row[at : at + WIDTH]
            data = b"".join(_BUNDLED.pack(LEAF.size, entry) for entry in bundle)
            self._write(_ENTRIES, number + at // WIDTH, len(bundle), data)

    def _write(self, level: int | str, number: int, width: int, data: bytes) -> None:
        self._shelf.write(name_of(level, number, width), data)
        if width == WIDTH:  # The full one holds what the partial ones held.
            self._shelf.remove(name_of(level, number) + ".p")

    def hashes(self, level: int, number: int, width: int) -> list[bytes]:
        """Return the first `width` hashes of a tile. Raises EvidenceError where they are not there."""
        data = self._read(level, number, width, HASH_BYTES)
        return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]

    def entries(self, number: int, width: int) -> list[bytes]:
        """Return the first `width` leaves of a bundle. Raises EvidenceError where they are not there."""
        data = self._read(_ENTRIES, number, width, _BUNDLED.size)
        found = list(_BUNDLED.iter_unpack(data))
        if any(size != LEAF.size for size, _ in found):
            raise EvidenceError(f"{name_of(_ENTRIES, number)}: an entry has not {LEAF.size} bytes")
        return [entry for _, entry in found]

    def node(self, size: int) -> Node:
        """Return the nodes of the tree over the first `size` leaves. They raise EvidenceError where a tile is not there."""
        read: dict[tuple[int, int], list[bytes]] = {}

        def node(level: int, index: int) -> bytes:
            row, height = divmod(level, _HEIGHT)
            number, at = divmod(index << height, WIDTH)
            tile = read.get((row, number))
            if tile is None:
                width = min(WIDTH, (size >> row * _HEIGHT) - number * WIDTH)
                tile = read[row, number] = self.hashes(row, number, width)
            return _fold(tile[at : at + (1 << height)])

        return node

    def root(self, size: int) -> bytes | None:
        """Return the root of the tree over the first `size` leaves, None where its tiles are not all there."""
        try:
            return root_of_range(self.node(size), 0, size)
        except EvidenceError:
            return None

    def faults(self, size: int, progress: Callable[[int, int], None] | None = None) -> Iterator[str]:
        """Yield what is wrong with the tiles of the first `size` leaves, every hash of them computed again from the leaves.

        progress: told (leaves looked at, leaves there are).
        """
        row, level = size, 0
        below: list[bytes] = []
        while row:
            above: list[bytes] = []
            for number in range(-(-row // WIDTH)):
                width = min(WIDTH, row - number * WIDTH)
                name = name_of(level, number, width)
                try:
                    tile = self.hashes(level, number, width)
                    made = below[number * WIDTH :][:width] if level else self._leaf_hashes(number, width)
                    if tile != made:
                        yield f"{name}: it does not fit " + ("the tiles below it" if level else "the entries")
                    if width == WIDTH:
                        above.append(_fold(tile))
                except EvidenceError as error:
                    yield str(error)
                    above.append(b"")
                if level == 0 and progress is not None:
                    progress(number * WIDTH + width, size)
            below, row, level = above, row // WIDTH, level + 1

    def _leaf_hashes(self, number: int, width: int) -> list[bytes]:
        return [leaf_hash(entry) for entry in self.entries(number, width)]

    def _read(self, level: int | str, number: int, width: int, each: int) -> bytes:
        """Return the first `width` items of a tile; once it is full, a narrower one may be gone."""
        for wide in dict.fromkeys((width, WIDTH)):
            data = self._shelf.read(name_of(level, number, wide))
            if data is None:
                continue
            if len(data) != wide * each:
                raise EvidenceError(f"{name_of(level, number, wide)}: it has {len(data)} bytes, not {wide * each}")
            return data[: width * each]
        raise EvidenceError(f"{name_of(level, number, width)}: the tile is missing")


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [
            sha256(b"\x01" + left + right).digest() for left, right in zip(hashes[::2], hashes[1::2], strict=True)
        ]
    return hashes[0]
