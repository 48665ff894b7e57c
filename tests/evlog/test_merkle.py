"""The tree: RFC 6962, byte for byte."""

from __future__ import annotations

from hashlib import sha256

import pytest
from rfc6962 import LEAVES, ROOTS, mth

from evlog.merkle import EMPTY_ROOT, LEAF, Frontier, changes_root, leaf, leaf_hash


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
        assert tree.root() == mth(leaves)
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
        mth([b"one", b"two"]),
    )
    assert leaf_hash(entry) == sha256(b"\x00" + entry).digest()
    assert mth([]) == EMPTY_ROOT
