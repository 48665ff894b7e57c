"""Tiles: where the specification puts them, what it puts in them, and every byte of them checked."""

from __future__ import annotations

from functools import cache

import pytest
import rfc6962
from hypothesis import given
from hypothesis import strategies as st

from evlog.errors import EvidenceError
from evlog.merkle import leaf_hash
from evlog.tlog.shelf import MemoryShelf
from evlog.tlog.tiles import Tiles, name_of


def entries(count: int, start: int = 0) -> list[bytes]:
    return [f"{number:096d}".encode() for number in range(start, start + count)]


def extend(tiles: Tiles, size: int, found: list[bytes]) -> None:
    tiles.extend(size, found, [leaf_hash(entry) for entry in found])


def grown(*counts: int) -> tuple[MemoryShelf, Tiles, list[bytes]]:
    """Return the tiles of a tree that grew by so many leaves at a time."""
    shelf, size = MemoryShelf(), 0
    tiles = Tiles(shelf)
    for count in counts:
        extend(tiles, size, entries(count, size))
        size += count
    return shelf, tiles, entries(size)


def test_a_tile_is_named_as_the_specification_names_it() -> None:
    assert name_of(0, 1234067) == "tile/0/x001/x234/067"
    assert name_of(0, 273, 112) == "tile/0/273.p/112"
    assert name_of("entries", 5) == "tile/entries/005"
    assert name_of(2, 1000) == "tile/2/x001/000"


def test_a_tree_of_70_000_leaves_has_the_tiles_of_the_specification() -> None:
    shelf, tiles, leaves = grown(70_000)
    hashes = {name: len(data) // 32 for name, data in shelf.files.items() if "entries" not in name}
    full = {name_of(0, number): 256 for number in range(273)} | {name_of(1, 0): 256}
    assert hashes == full | {name_of(0, 273, 112): 112, name_of(1, 1, 17): 17, name_of(2, 0, 1): 1}
    assert tiles.root(70_000) == rfc6962.mth(leaves)
    assert [*tiles.faults(70_000)] == []


def test_a_tree_of_256_leaves_has_a_full_tile_and_one_hash_above() -> None:
    shelf, _, leaves = grown(256)
    assert {name: len(data) // 32 for name, data in shelf.files.items() if "entries" not in name} == {
        "tile/0/000": 256,
        "tile/1/000.p/1": 1,
    }
    assert shelf.files["tile/1/000.p/1"] == rfc6962.mth(leaves)
    assert shelf.files["tile/entries/000"][:98] == b"\x00\x60" + leaves[0]


@cache
def root(size: int) -> bytes:
    return rfc6962.mth(entries(size))


@pytest.mark.deep
@given(st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_however_a_tree_grew_its_tiles_give_every_root_and_path(counts: list[int]) -> None:
    shelf, tiles, leaves = grown(*counts)
    once = grown(len(leaves))[0]
    assert {name: data for name, data in shelf.files.items() if name in once.files} == once.files
    size = 0
    for count in counts:
        size += count
        assert tiles.root(size) == root(size)
    node = tiles.node(size)
    for index in {size // 2, size - 1}:
        from evlog.tlog.proof import inclusion

        assert inclusion(node, index, size) == rfc6962.path(index, leaves)
    assert not any(f"{name}.p" in other for name in shelf.files for other in shelf.files), (
        "a full tile has no partial one"
    )


def test_a_missing_or_cut_tile_is_no_tree() -> None:
    for name in grown(600)[0].files:
        for change in (None, b"", b"x"):
            shelf, tiles, _ = grown(600)
            if change is None:
                del shelf.files[name]
            else:
                shelf.files[name] = shelf.files[name][:-1] if change == b"x" else b""
            assert [*tiles.faults(600)], name
            if "entries" not in name:
                assert tiles.root(600) is None or name in {"tile/0/000", "tile/0/001"}


@pytest.mark.deep
@given(st.integers(1, 600), st.data())
def test_a_bit_flipped_anywhere_in_the_tiles_is_found(size: int, data: st.DataObject) -> None:
    shelf, tiles, _ = grown(size)
    name = data.draw(st.sampled_from(sorted(shelf.files)))
    flipped = bytearray(shelf.files[name])
    flipped[data.draw(st.integers(0, len(flipped) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    shelf.files[name] = bytes(flipped)
    assert [*tiles.faults(size)] or tiles.root(size) != root(size)


@pytest.mark.deep
@given(st.binary(max_size=300), st.integers(1, 300))
def test_whatever_is_in_a_tile_it_is_read_or_refused(data: bytes, size: int) -> None:
    shelf, tiles, _ = grown(size)
    for name in list(shelf.files):
        shelf.files[name] = data
        assert [*tiles.faults(size)]
        try:
            tiles.entries(0, min(size, 256))
        except EvidenceError:
            continue
