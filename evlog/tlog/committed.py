"""What outsiders were promised of a log, leaf by leaf: checkpoints, and the tiles that lead to their roots."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog import segment
from evlog.errors import CorruptLogError, EvidenceError, LogError
from evlog.frame import RECORD, Frame
from evlog.tlog.leaves import Leaves
from evlog.tlog.proof import check_consistency, consistency, inclusion, node_of, root_of_inclusion, root_of_range
from evlog.tlog.tiles import WIDTH, Tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evlog.files import Folder
    from evlog.frame import BadFrame
    from evlog.tlog.checkpoint import Checkpoint
    from evlog.tlog.note import VerifierKey
    from evlog.tlog.review import Promise
    from evlog.tlog.shelf import Shelf

_HEIGHT: Final = WIDTH.bit_length() - 1  # Levels of the tree in one tile.


class Published:
    """The roots that were promised, by size, and the leaves below the newest of them of which there are sound tiles."""

    def __init__(self, shelf: Shelf, checkpoints: Sequence[Checkpoint]) -> None:
        self.sizes = {one.size: one.root for one in checkpoints}
        self._tiles = Tiles(shelf)
        newest_first = sorted(self.sizes.items(), reverse=True)
        self._tiled = next((size for size, root in newest_first if self._tiles.root(size) == root), 0)
        self._node = self._tiles.node(self._tiled)
        self._checked: dict[int, list[bytes]] = {}

    @property
    def tiled(self) -> int:
        """Return the number of leaves below a promised root of which there are tiles."""
        return self._tiled

    def root(self, size: int) -> bytes | None:
        """Return the root of the first `size` leaves, None where nothing that was promised tells it."""
        if size in self.sizes or size > self._tiled or size == 0:
            return self.sizes.get(size)
        try:
            root = root_of_range(self._node, 0, size)
            path = consistency(self._node, size, self._tiled)
            check_consistency((size, root), (self._tiled, self.sizes[self._tiled]), path)
        except EvidenceError:
            return None
        return root

    def leaf(self, offset: int) -> bytes | None:
        """Return the hash of a leaf that is in the promised tree, None where no sound tile tells it."""
        if offset >= self._tiled:
            return None
        number, at = divmod(offset, WIDTH)
        tile = self._checked.get(number)
        if tile is None:
            tile = self._checked[number] = self._tile(number)
        return tile[at] if tile else None

    def _tile(self, number: int) -> list[bytes]:
        """Return the leaves of a tile that leads to the root, none if it does not. The last, partial one does: it was read for it."""
        width = min(WIDTH, self._tiled - number * WIDTH)
        try:
            tile = self._tiles.hashes(0, number, width)
            if width == WIDTH:
                above = inclusion(self._node, number * WIDTH, self._tiled)[_HEIGHT:]
                top = root_of_range(node_of(tile), 0, WIDTH)
                if root_of_inclusion(top, number, -(-self._tiled // WIDTH), above) != self.sizes[self._tiled]:
                    return []
        except EvidenceError:
            return []
        return tile


def believed(promises: Sequence[Promise], keys: Sequence[VerifierKey]) -> list[Checkpoint]:
    """Return those of a store's own checkpoints that the key of their origin signed. A damaged one says nothing; `verify` tells of it."""
    found = []
    for one in promises:
        signed = one.signed
        try:
            if signed.note.signers([key for key in keys if key.name == signed.checkpoint.origin]):
                found.append(signed.checkpoint)
        except EvidenceError:
            continue
    return found


class Other(NamedTuple):
    """A record that is not the one that was promised, and where it stands: at a byte of the segment `base`."""

    offset: int
    base: int
    position: int


def first_other(
    folder: Folder, seed: int, published: Published, progress: Callable[[int, int], None] | None = None
) -> Other | None:
    """Return the first record of a log whose leaf is not the promised one; None where no sound tile tells, or the log cannot be read so far.

    progress: told (leaves compared, leaves that are published).
    """
    try:
        try:
            offset = _first_other_leaf(folder, seed, published, published.tiled, progress)
        except CorruptLogError as error:
            # Of two records that do not fit each other, the leaf of the first tells which was altered.
            offset = _first_other_leaf(folder, seed, published, min(error.offset, published.tiled), progress)
        if offset is None:
            return None
        with closing(Leaves.of_segment(folder, seed, offset)) as leaves:
            leaves.read(offset)
            base, position = leaves.place
        with closing(segment.open_file(folder, base)) as file:
            frames = segment.walk(file, position, seed=seed)  # Other frames may stand before the record.
            return next((Other(offset, base, one.position) for one in frames if _is_record(one)), None)
    except LogError:
        return None  # An audit tells of it.


def _is_record(one: Frame | BadFrame) -> bool:
    return isinstance(one, Frame) and one.kind == RECORD


def _first_other_leaf(
    folder: Folder, seed: int, published: Published, stop: int, progress: Callable[[int, int], None] | None
) -> int | None:
    with closing(Leaves.of_segment(folder, seed, 0)) as leaves:
        while (start := leaves.tip.end) < stop:
            _, hashes = leaves.read(min(start + WIDTH, stop))
            for offset, found in enumerate(hashes, start):
                if published.leaf(offset) not in (None, found):
                    return offset
            if progress is not None:
                progress(leaves.tip.end, published.tiled)
    return None
