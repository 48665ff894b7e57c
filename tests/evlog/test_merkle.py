"""The tree: RFC 6962, byte for byte."""

from __future__ import annotations

from hashlib import sha256

import pytest

from evlog.merkle import EMPTY_ROOT, LEAF, Frontier, changes_root, leaf, leaf_hash

# The leaves and roots that implementations of RFC 6962 test themselves with.
LEAVES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def root_by_definition(leaves: list[bytes]) -> bytes:
    """Return MTH as RFC 6962 section 2.1 writes it."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + root_by_definition(leaves[:split]) + root_by_definition(leaves[split:])).digest()


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_the_known_trees_have_the_known_roots(size: int) -> None:
    tree = Frontier()
    for entry in LEAVES[:size]:
        tree.append(leaf_hash(entry))
    assert tree.root().hex() == ROOTS[size]
    assert changes_root(LEAVES[:size]).hex() == ROOTS[size]


def test_the_root_is_that_of_the_definition_at_every_size() -> None:
    leaves, tree = [], Frontier()
    for number in range(130):
        leaves.append(number.to_bytes(2))
        tree.append(leaf_hash(leaves[-1]))
        assert tree.root() == root_by_definition(leaves)
        assert len(tree.hashes) == tree.size.bit_count()


def test_a_copy_grows_apart() -> None:
    tree = Frontier()
    for number in range(5):
        tree.append(leaf_hash(bytes([number])))
    root, twin = tree.root(), tree.copy()
    twin.append(b"x" * 32)
    assert (tree.root(), tree.size, twin.size) == (root, 5, 6)
    tree.append(b"x" * 32)
    assert tree.root() == twin.root()


def test_a_tree_goes_on_from_its_hashes() -> None:
    tree = Frontier()
    for number in range(11):
        tree.append(leaf_hash(bytes([number])))
    again = Frontier(tree.size, tree.hashes)
    assert again.root() == tree.root()


def test_a_frontier_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="perfect subtrees"):
        Frontier(3, [bytes(32)])


def test_a_leaf_holds_commitments_and_no_payload() -> None:
    entry = leaf(kind=1, flags=0x1234, offset=7, time_us=9, envelope=b"envelope", changes=[b"one", b"two"])
    assert LEAF.unpack(entry) == (
        b"MLJLEAF1",
        1,
        1,
        0x34,
        2,
        7,
        9,
        sha256(b"envelope").digest(),
        root_by_definition([b"one", b"two"]),
    )
    assert leaf_hash(entry) == sha256(b"\x00" + entry).digest()
    assert root_by_definition([]) == EMPTY_ROOT
