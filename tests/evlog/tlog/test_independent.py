"""Trees and paths beside pymerkle, an implementation that has nothing to do with ours, from the records of a log on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import published
import pytest

from evlog.tlog.proof import check_consistency, consistency, inclusion

if TYPE_CHECKING:
    from pathlib import Path

pymerkle = pytest.importorskip("pymerkle", reason="pymerkle, a second implementation of Merkle trees, is not installed")
COUNT = 300


@pytest.mark.parametrize("count", [1, 2, 7, 256, COUNT])
def test_another_implementation_has_the_same_trees_and_takes_our_paths(tmp_path: Path, count: int) -> None:
    made = published.Published(tmp_path)
    made.fill(count)
    signed = made.publish()
    node = made.tiles().node(count)
    leaves = [
        leaf
        for number in range(-(-count // 256))
        for leaf in made.tiles().entries(number, min(256, count - 256 * number))
    ]
    other = pymerkle.InmemoryTree(algorithm="sha256")
    for leaf in leaves:
        other.append_entry(leaf)
    assert other.get_root() == signed.checkpoint.root
    for index in {0, count // 2, count - 1}:
        theirs = other.prove_inclusion(index + 1)
        ours = inclusion(node, index, count)
        assert theirs.path[1:] == ours
        pymerkle.verify_inclusion(theirs.path[0], signed.checkpoint.root, theirs)
    for old in {1, count // 2 or 1, count}:
        pymerkle.verify_consistency(other.get_root(old), signed.checkpoint.root, other.prove_consistency(old, count))
        path = consistency(node, old, count) if old < count else []
        check_consistency((old, other.get_root(old)), (count, other.get_root()), path)
    made.close()
