"""Proofs in the tree of RFC 6962: that a leaf is in it, and that a larger tree begins with a smaller one.

A prover asks for nodes: `node(level, index)` is the root of the perfect subtree over the leaves [index, index + 1) * 2**level.
Source: RFC 6962 section 2.1 (which hashes, in which order), RFC 9162 sections 2.1.3.2 and 2.1.4.2 (how they are checked).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from evlog.errors import EvidenceError
from evlog.merkle import EMPTY_ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Node = Callable[[int, int], bytes]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two."""
    return sha256(b"\x01" + left + right).digest()


def root_of_range(node: Node, start: int, stop: int) -> bytes:
    """Return the root over the leaves [start, stop), start being a multiple of the power of two that holds them."""
    size = stop - start
    if size == 0:
        return EMPTY_ROOT
    level = size.bit_length() - 1
    if size == 1 << level:
        return node(level, start >> level)
    middle = start + (1 << level)
    return node_hash(node(level, start >> level), root_of_range(node, middle, stop))


def frontier(node: Node, size: int) -> list[bytes]:
    """Return the roots of the perfect subtrees of the first `size` leaves, largest first."""
    found, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            found.append(node(level, start >> level))
            start += 1 << level
    return found


def inclusion(node: Node, index: int, size: int) -> list[bytes]:
    """Return the path from the leaf `index` up to the root over `size` leaves, the leaf's sibling first."""
    path, start, stop = [], 0, size
    while stop - start > 1:
        middle = _middle(start, stop)
        if index < middle:
            path.append(root_of_range(node, middle, stop))
            stop = middle
        else:
            path.append(root_of_range(node, start, middle))
            start = middle
    return path[::-1]


def consistency(node: Node, old: int, new: int) -> list[bytes]:
    """Return the hashes that show that the tree over `new` leaves begins with that over `old`; both above 0."""
    path, start, stop = [], 0, new
    while old < stop:
        middle = _middle(start, stop)
        if old <= middle:
            path.append(root_of_range(node, middle, stop))
            stop = middle
        else:
            path.append(root_of_range(node, start, middle))
            start = middle
    if start:  # Else it is the old tree itself, whose root is known.
        path.append(root_of_range(node, start, stop))
    return path[::-1]


def root_of_inclusion(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root to which a path leads from a leaf. Raises EvidenceError where it has another length than it must."""
    if not 0 <= index < size:
        raise EvidenceError(f"leaf {index} is not among the {size} of the tree")
    at, last, found = index, size - 1, leaf_hash
    for one in path:
        if last == 0:
            raise EvidenceError("the path of the proof is too long")
        if at & 1 or at == last:
            found = node_hash(one, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, one)
        at, last = at >> 1, last >> 1
    if last:
        raise EvidenceError("the path of the proof is too short")
    return found


def check_consistency(old: tuple[int, bytes], new: tuple[int, bytes], path: Sequence[bytes]) -> None:
    """Raise EvidenceError unless the path shows that the new tree begins with the old one. Each is (size, root)."""
    (old_size, old_root), (new_size, new_root) = old, new
    if old_size > new_size:
        raise EvidenceError(f"a tree of {new_size} leaves cannot begin with one of {old_size}")
    if old_size in (0, new_size):
        if path or old_root != (EMPTY_ROOT if old_size == 0 else new_root):
            raise EvidenceError("the two trees do not agree")
        return
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    rest = list(path)
    if at == 0:  # The old tree is perfect: its root is the first node.
        rest.insert(0, old_root)
    if not rest:
        raise EvidenceError("the path of the proof is too short")
    was = now = rest[0]
    for one in rest[1:]:
        if last == 0:
            raise EvidenceError("the path of the proof is too long")
        if at & 1 or at == last:
            was, now = node_hash(one, was), node_hash(one, now)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            now = node_hash(now, one)
        at, last = at >> 1, last >> 1
    if last or was != old_root or now != new_root:
        raise EvidenceError("the new tree does not begin with the old one")


def node_of(leaf_hashes: Sequence[bytes]) -> Node:
    """Return the nodes over some leaves held in memory."""

    def node(level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hashes[index]
        return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    return node


def _middle(start: int, stop: int) -> int:
    """Return where RFC 6962 splits a range: after the largest power of two smaller than its size."""
    return start + (1 << (stop - start - 1).bit_length() - 1)
