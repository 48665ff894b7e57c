"""The second way from bytes to leaves: what it accepts is what the careful walk finds, and it accepts nothing else."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import records
from hypothesis import given
from hypothesis import strategies as st

from evlog import recovery, resume, segment
from evlog.errors import LogError
from evlog.files import RealFolder
from evlog.frame import Frame
from evlog.log import Log
from evlog.merkle import Frontier, leaf_hash
from evlog.rereading import run
from evlog.tip import Tip
from evlog.tlog import leaves as leaves_module
from evlog.tlog.leaves import Leaves
from evlog.upkeep import segment_audit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evlog.upkeep.segment_audit import Checked

COUNT = 40


@pytest.fixture
def path(tmp_path: Path, small_segments: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log with records of no, one and many changes, SYNC frames, checkpoints and seals."""
    monkeypatch.setattr(resume, "RECORDS", 3)
    assert small_segments == 8
    for number in range(COUNT):
        log = Log.open(tmp_path / "log", create=True)
        changes = [records.artifact(COUNT * number + at) for at in range(number % 4)]
        records.append(log, [records.record(*changes)])
        if number % 3 == 0:
            log.close()
        else:
            log.abandon()
    return tmp_path / "log"


def seed_of(path: Path) -> int:
    with closing(Log.open(path, writable=False)) as log:
        return log.seed


def careful(path: Path, stop: int) -> tuple[list[bytes], list[bytes], bytes]:
    """Return leaves, hashes and root by the walk alone."""
    folder, seed = RealFolder(path), seed_of(path)
    tip = leaves_module._Kept(Tip())
    active = recovery.Active(folder.open(segment.name_of(0)), base=0, number=0, tip=tip)
    assert recovery.advance(active, folder, seed=seed, writable=False, stop=stop) is None
    active.file.close()
    return tip.leaves, tip.hashes, tip.tree.root()


def read(path: Path, *stops: int) -> tuple[list[bytes], list[bytes], bytes]:
    leaves: list[bytes] = []
    hashes: list[bytes] = []
    with closing(Leaves.of_segment(RealFolder(path), seed_of(path), 0)) as found:
        for stop in stops:
            more, their = found.read(stop)
            leaves += more
            hashes += their
        return leaves, hashes, found.tip.tree.root()


@pytest.mark.parametrize("slice_bytes", [200, 1_000, 64 * 1024])
def test_both_ways_find_the_same(path: Path, slice_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves_module, "_SLICE_BYTES", slice_bytes)
    for stop in range(1, COUNT + 1):
        assert read(path, stop) == careful(path, stop)
    assert read(path, *range(1, COUNT + 1)) == careful(path, COUNT)


def test_a_byte_changed_anywhere_makes_no_other_leaf(path: Path) -> None:
    """What is accepted is what was written; where it is in doubt, the careful walk refuses."""
    right, name = careful(path, COUNT), segment.name_of(16)
    data = (path / name).read_bytes()
    for position in range(0, len(data), 3):
        (path / name).write_bytes(data[:position] + bytes([data[position] ^ 8]) + data[position + 1 :])
        with pytest.raises(LogError):
            read(path, COUNT)
    (path / name).write_bytes(data)
    assert read(path, COUNT) == right


def test_nothing_is_run_past_that_is_not_a_record_in_its_place(path: Path) -> None:
    seed = seed_of(path)
    data = (path / segment.name_of(0)).read_bytes()
    frames = list(segment.walk(RealFolder(path).open(segment.name_of(0)), 0, seed=seed))
    first = next(one for one in frames if isinstance(one, Frame) and one.kind == 1)
    assert run(data, Tip(), 9, seed=seed).stop == 0, "a segment's header is for the walk"
    rest = data[first.position :]
    assert len(run(rest, Tip(), 1, seed=seed).hashes) == 1
    assert run(rest, Tip(), 9, seed=seed + 1).stop == 0
    later = Tip(Frontier(1, [bytes(32)]), first.prev, 0)
    assert run(rest, later, 9, seed=seed).stop == 0, "of another offset"
    assert run(rest, Tip(prev=b"x" * 16), 9, seed=seed).stop == 0, "after another record"
    assert run(rest, Tip(time_us=first.time_us), 9, seed=seed).stop == 0, "not later than the one before"
    for cut in range(first.size):
        assert run(rest[:cut], Tip(), 9, seed=seed).stop == 0


@given(st.lists(st.integers(0, 9), max_size=12))
def test_a_tree_extended_by_many_is_the_one_that_grew_leaf_by_leaf(counts: list[int]) -> None:
    slow, fast = Frontier(), Frontier()
    for number, count in enumerate(counts):
        hashes = [leaf_hash(bytes([number, at])) for at in range(count)]
        fast.extend(hashes)
        for one in hashes:
            slow.append(one)
        assert (fast.size, fast.hashes) == (slow.size, slow.hashes)


def test_runs_find_the_faults_and_roots_that_the_careful_walk_finds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever byte is changed: the same finding, at the same position, with the same roots on the way."""
    seed, folder, name = seed_of(path), RealFolder(path), segment.name_of(16)
    sizes, data = (17, 19, 22, 24), (path / name).read_bytes()

    def checked() -> Iterator[Checked]:
        for position in (None, *range(0, len(data), 5)):
            changed = bytearray(data)
            if position is not None:
                changed[position] ^= 16
            (path / name).write_bytes(changed)
            yield segment_audit.check(folder, 16, seed=seed, sizes=sizes)

    runs = list(checked())
    assert sorted(runs[0].roots) == list(sizes)
    with monkeypatch.context() as patch:
        patch.setattr(segment_audit, "_run", lambda *_, **__: False)
        assert list(checked()) == runs
