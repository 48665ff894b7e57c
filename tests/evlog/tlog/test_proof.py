"""Proofs: the vectors of RFC 6962's authors, every path beside an implementation of the definitions, and everything that is no proof."""

from __future__ import annotations

import pytest
import rfc6962
from hypothesis import given
from hypothesis import strategies as st
from rfc6962 import LEAVES, ROOTS

from evlog.errors import EvidenceError
from evlog.merkle import leaf_hash
from evlog.tlog import proof

SIZE_MAX = 66


def leaves_of(size: int) -> list[bytes]:
    return [f"leaf {number}".encode() for number in range(size)]


def node_of(leaves: list[bytes]) -> proof.Node:
    return proof.node_of([leaf_hash(leaf) for leaf in leaves])


def test_the_roots_are_those_of_certificate_transparency() -> None:
    for size, root in enumerate(ROOTS):
        assert proof.root_of_range(node_of(LEAVES), 0, size).hex() == root
        assert rfc6962.mth(LEAVES[:size]).hex() == root, "the definitions in the kit are right too"


def test_the_paths_are_those_of_certificate_transparency() -> None:
    found = [one.hex() for one in proof.inclusion(node_of(LEAVES), 0, 8)]
    assert found == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [one.hex() for one in proof.consistency(node_of(LEAVES), 6, 8)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_every_path_of_small_trees_is_the_defined_one_and_leads_to_the_root() -> None:
    leaves = leaves_of(SIZE_MAX)
    node = node_of(leaves)
    for size in range(1, SIZE_MAX + 1):
        root = rfc6962.mth(leaves[:size])
        assert proof.root_of_range(node, 0, size) == root
        for index in range(size):
            path = proof.inclusion(node, index, size)
            assert path == rfc6962.path(index, leaves[:size])
            assert proof.root_of_inclusion(leaf_hash(leaves[index]), index, size, path) == root


def test_every_larger_tree_begins_with_every_smaller_one() -> None:
    leaves = leaves_of(SIZE_MAX)
    node = node_of(leaves)
    roots = [rfc6962.mth(leaves[:size]) for size in range(SIZE_MAX + 1)]
    for new in range(1, SIZE_MAX + 1):
        proof.check_consistency((0, roots[0]), (new, roots[new]), [])
        for old in range(1, new + 1):
            path = proof.consistency(node, old, new)
            assert path == rfc6962.proof(old, leaves[:new])
            proof.check_consistency((old, roots[old]), (new, roots[new]), path)


@pytest.mark.deep
@given(st.integers(1, 40), st.data())
def test_a_path_that_is_not_the_leaf_s_leads_to_another_root_or_nowhere(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    path = rfc6962.path(index, leaves)
    where = data.draw(st.integers(0, size + 3))
    kind = data.draw(st.sampled_from(["index", "longer", "shorter", "swapped", "flipped", "leaf"]))
    leaf, changed = leaves[index], list(path)
    if kind == "index":
        index = where
    elif kind == "longer":
        changed.insert(data.draw(st.integers(0, len(path))), bytes(32))
    elif kind == "shorter" and path:
        changed.pop(data.draw(st.integers(0, len(path) - 1)))
    elif kind == "swapped":
        changed.reverse()
    elif kind == "flipped" and path:
        at = data.draw(st.integers(0, len(path) - 1))
        changed[at] = bytes([changed[at][0] ^ 1]) + changed[at][1:]
    else:
        leaf += b"x"
    same = changed == path and leaf == leaves[index % size] and index < size and path == rfc6962.path(index, leaves)
    try:
        root = proof.root_of_inclusion(leaf_hash(leaf), index, size, changed)
    except EvidenceError:
        assert not same
    else:
        assert (root == rfc6962.mth(leaves)) == same


@pytest.mark.deep
@given(st.integers(1, 40), st.integers(0, 8), st.data())
def test_no_tree_is_said_to_begin_with_one_that_it_does_not_begin_with(
    old: int, more: int, data: st.DataObject
) -> None:
    leaves, new = leaves_of(old + more), old + more
    other = list(leaves)
    other[data.draw(st.integers(0, old - 1))] = b"rewritten"
    said, path = (old, rfc6962.mth(other[:old])), rfc6962.proof(old, leaves)
    for one in (path, rfc6962.proof(old, other), path[::-1], path[1:], [*path, bytes(32)]):
        with pytest.raises(EvidenceError):
            proof.check_consistency(said, (new, rfc6962.mth(leaves)), one)
    with pytest.raises(EvidenceError):
        proof.check_consistency((new + 1, said[1]), (new, rfc6962.mth(leaves)), path)


def test_a_path_has_the_one_length_that_it_must_have() -> None:
    leaves = leaves_of(11)
    for size in range(2, 12):
        for index in range(size):
            path = rfc6962.path(index, leaves[:size])
            with pytest.raises(EvidenceError, match="too short"):
                proof.root_of_inclusion(leaf_hash(leaves[index]), index, size, path[:-1])
            with pytest.raises(EvidenceError, match="too long"):
                proof.root_of_inclusion(leaf_hash(leaves[index]), index, size, [*path, bytes(32)])


def test_the_frontier_is_that_of_the_growing_tree() -> None:
    from evlog.merkle import Frontier

    leaves, tree = leaves_of(SIZE_MAX), Frontier()
    for size in range(SIZE_MAX + 1):
        assert proof.frontier(node_of(leaves), size) == tree.hashes
        if size < SIZE_MAX:
            tree.append(leaf_hash(leaves[size]))
