"""CHECKPOINT frames: an opening reads what was put since the last one, and nothing it must refuse goes unnoticed for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import mutants
import pytest
from crash import lives, numbers, record

from evlog import frame, head, log, recovery, resume, segment
from evlog.errors import CorruptLogError
from evlog.files import RealFolder
from evlog.frame import CHECKPOINT, SYNC, Frame
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.merkle import Frontier
from replay.verify import verify_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tally import Tally

    from evlog.rereading import Run


EVERY = 5


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "RECORDS", EVERY)


def put(one: Log, *wanted: int, size: int = 0) -> None:
    with one.claim() as group:
        for number in wanted:
            group.add(record(number, size))
        group.commit()


def written(path: Path, count: int) -> None:
    one = Log.open(path, create=True)
    for number in range(count):
        put(one, number)
    one.close()


def frames(path: Path) -> list[Frame]:
    """Return the frames of the newest segment."""
    folder = RealFolder(path)
    file = folder.open(segment.name_of(segment.bases(folder)[-1]))
    found = list(segment.walk(file, 0, seed=seed(path)))
    file.close()
    assert all(isinstance(one, Frame) for one in found)
    return [one for one in found if isinstance(one, Frame)]


def seed(path: Path) -> int:
    one = Log.open(path, writable=False)
    one.close()
    return one.seed


def checkpoints(path: Path) -> list[Frame]:
    return [one for one in frames(path) if one.kind == CHECKPOINT]


def damage(path: Path) -> list[str]:
    return [one.what for one in verify_log(RealFolder(path)).findings if one.severity == "damage"]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Offsets of the records that were walked over."""
    offsets: list[int] = []
    take, take_run = recovery.Active.take, recovery.Active.take_run

    def counted(self: recovery.Active, one: Frame) -> str | None:
        if one.kind == frame.RECORD:
            offsets.append(one.offset)
        return take(self, one)

    def counted_run(self: recovery.Active, run: Run) -> None:
        offsets.extend(range(self.tip.end, self.tip.end + len(run.hashes)))
        take_run(self, run)

    monkeypatch.setattr(recovery.Active, "take", counted)
    monkeypatch.setattr(recovery.Active, "take_run", counted_run)
    return offsets


def test_a_checkpoint_stands_after_each_so_many_records_and_at_the_end_if_it_is_due(tmp_path: Path) -> None:
    written(tmp_path / "a", 12)
    assert [one.offset for one in checkpoints(tmp_path / "a")] == [5, 10]
    assert frames(tmp_path / "a")[-1].kind == SYNC, "two records are not enough for one"
    written(tmp_path / "b", 10)
    assert [one.offset for one in checkpoints(tmp_path / "b")] == [5, 10]
    assert frames(tmp_path / "b")[-1].kind == CHECKPOINT, "it says that all before it is durable, so no SYNC frame does"
    for name in "ab":
        one = Log.open(tmp_path / name)
        one.close()
        assert damage(tmp_path / name) == []


def test_large_records_are_checkpointed_by_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "BYTES", 5_000)
    one = Log.open(tmp_path, create=True)
    for number in range(6):
        put(one, number, size=3_000)
    one.close()
    assert [one.offset for one in checkpoints(tmp_path)] == [2, 4, 6]


def test_an_opening_reads_what_was_put_since_the_last_checkpoint(tmp_path: Path, read: list[int]) -> None:
    written(tmp_path, 13)
    del read[:]
    one = Log.open(tmp_path)
    assert read == [10, 11, 12]
    put(one, 13)
    one.close()
    assert numbers(Log.open(tmp_path, writable=False)) == list(range(14))
    del read[:]
    reader = Log.open(tmp_path, writable=False)
    root = reader.tip_at_end().tree.root()
    assert read == [10, 11, 12, 13]
    del read[:]
    early = reader.tip_at(7)
    assert read == list(range(7)), "a checkpoint behind the moment is of no use"
    assert early.end == 7
    assert verify_log(RealFolder(tmp_path)).root == root
    assert read[7:] == list(range(14)), "verification reads everything"


def test_two_writers_share_their_checkpoints(tmp_path: Path) -> None:
    one, other = Log.open(tmp_path, create=True), Log.open(tmp_path)
    for number in range(0, 14, 2):
        put(one, number)
        put(other, number + 1)
    one.close()
    other.close()
    assert [one.offset for one in checkpoints(tmp_path)] == [5, 10]
    assert damage(tmp_path) == []


def test_a_segment_sealed_after_resuming_is_as_if_it_had_been_read_whole(
    tmp_path: Path, small_segments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "RECORDS", 3)
    for number in range(3 * small_segments + 1):
        one = Log.open(tmp_path, create=True)
        put(one, number)
        one.close()
    assert damage(tmp_path) == [], "index and times of the seals are right, too"
    reader = Log.open(tmp_path, writable=False)
    assert [next(reader.read(at, at + 1)).offset for at in range(reader.end)] == list(range(reader.end))


def test_a_group_that_comes_to_nothing_writes_no_checkpoint(tmp_path: Path) -> None:
    one = Log.open(tmp_path, create=True)
    put(one, *range(EVERY))
    before = (tmp_path / segment.name_of(0)).read_bytes()
    with one.claim() as group:
        group.commit()
    with one.claim():
        pass
    assert (tmp_path / segment.name_of(0)).read_bytes() == before
    put(one, EVERY)
    one.close()
    assert [one.offset for one in checkpoints(tmp_path)] == [EVERY]


@pytest.mark.parametrize("place", [None, (0, 0), (0, 64), (0, 10**12), (7, 200), (2**63, 2**63)])
def test_head_pointing_nowhere_costs_time_alone(tmp_path: Path, place: tuple[int, int] | None, read: list[int]) -> None:
    written(tmp_path, 13)
    path = tmp_path / head.NAME
    if place is None:
        data = bytearray(path.read_bytes())
        data[128:152] = bytes(24)
        path.write_bytes(data)
    else:
        file = RealFolder(tmp_path).open(head.NAME, writable=True)
        pointed = head.Head(file, seed(tmp_path))
        pointed.changed()
        pointed.point(*place)
        pointed.close()
    del read[:]
    one = Log.open(tmp_path)
    assert read == list(range(13))
    assert numbers(one) == list(range(13))
    one.close()


def test_a_pointer_beyond_what_head_calls_durable_is_not_followed() -> None:
    data = bytearray()
    folder = MemoryFolder()
    folder.files[head.NAME] = data
    pointed = head.Head(folder.open(head.NAME), 7)
    pointed.changed()
    assert pointed.checkpoint is None
    pointed.move(end=9, base=0, position=500, time_us=1, prev=bytes(16))
    for position, found in ((499, head.Place(0, 499)), (500, None)):
        pointed.point(0, position)
        assert head.read_checkpoint(folder, seed=7) == pointed.checkpoint == found
    pointed.point(1, 0)
    assert head.read_checkpoint(folder, seed=7) is None, "of another segment than the active one"
    pointed.point(0, 100)
    for bit in range(128 * 8, 152 * 8):
        data[bit // 8] ^= 1 << bit % 8
        assert head.read_checkpoint(folder, seed=7) is None, bit
        data[bit // 8] ^= 1 << bit % 8


def test_damage_behind_the_checkpoint_is_refused_and_before_it_found_by_who_reads(tmp_path: Path) -> None:
    written(tmp_path, 13)
    path = tmp_path / segment.name_of(0)
    data = path.read_bytes()
    for one in frames(tmp_path):
        spoiled = bytearray(data)
        spoiled[one.position + 70 if one.size > 64 else one.position + 40] ^= 1
        path.write_bytes(spoiled)
        if one.position >= checkpoints(tmp_path_with(data, path))[-1].position:
            with pytest.raises(CorruptLogError):
                Log.open(tmp_path)
        assert damage(tmp_path), "verification always reads all of it"
        if one.kind == frame.RECORD:
            with pytest.raises(CorruptLogError):
                list(Log.open(tmp_path, writable=False).read(0))
        path.write_bytes(data)


def tmp_path_with(data: bytes, path: Path) -> Path:
    """Return a twin of a log's folder, with these bytes as its segment."""
    twin = path.parent.with_name(path.parent.name + "-twin")
    twin.mkdir(exist_ok=True)
    for name in ("LOGID", "HEAD"):
        (twin / name).write_bytes((path.parent / name).read_bytes())
    (twin / path.name).write_bytes(data)
    return twin


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {"frontier": [bytes(32), *state.frontier[1:]]},
        lambda state: {"frontier": [bytes(32), *state.frontier[1:]], "root": None},
        lambda state: {"frontier": state.frontier[1:]},
        lambda _state: {"root": bytes(32)},
        lambda _state: {"base": 1},
        lambda state: {"first_us": state.first_us + 1},
        lambda state: {"index": [*state.index, 8]},
        lambda _state: {"v": "one"},
    ],
)
def test_a_checkpoint_that_does_not_fit_is_damage(
    tmp_path: Path, change: Callable[[resume.State], dict[str, object]]
) -> None:
    """As only a writer with a fault could write it: its checksums are right."""
    written(tmp_path, 13)
    path, last = tmp_path / segment.name_of(0), checkpoints(tmp_path)[-1]
    state = resume.decode_state(last)
    assert isinstance(state, resume.State)
    fields = {**msgspec.structs.asdict(state), **change(state)}
    if fields["root"] is None:
        fields["root"] = Frontier(last.offset, fields["frontier"]).root()
    body = msgspec.msgpack.encode(fields)
    new = frame.repack(last, body, seed=seed(tmp_path))
    data = path.read_bytes()
    path.write_bytes(data[: last.position] + new + data[last.stop :])
    (tmp_path / head.NAME).unlink()  # Positions moved.
    [found, *_] = damage(tmp_path)
    assert "checkpoint" in found or "frontier" in found or "subtrees" in found or "Expected" in found
    if not {"first_us", "index"} & set(change(state)):
        with pytest.raises(CorruptLogError):
            Log.open(tmp_path, writable=False)


def test_whatever_stands_in_a_checkpoint_it_is_read_or_refused_in_words() -> None:
    for body in (b"", b"\xc1", b"\x80", b"\x93\x01", msgspec.msgpack.encode({"v": 1, "frontier": [1]})):
        packed = frame.pack(CHECKPOINT, body, changes=0, offset=3, time_us=1, synced=3, prev=bytes(16), seed=0)
        found = frame.unpack(packed, 0, seed=0)
        assert isinstance(found, Frame)
        assert isinstance(resume.decode_state(found), str)
        active = recovery.Active(MemoryFolder().create("x"), base=0, number=0, tip=log.Tip())
        active.go_on_from(found)
        assert active.position == 0


@pytest.mark.faults
@pytest.mark.parametrize("mutant", mutants.MUTANTS_OF_RESUMING, ids=lambda mutant: mutant.__name__)
@pytest.mark.usefixtures("small_segments")
def test_an_opening_that_resumes_wrongly_is_caught(
    mutant: object, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    tally("mutants")
    monkeypatch.setattr(resume, "RECORDS", 3)
    mutant(monkeypatch)  # type: ignore[operator]
    with pytest.raises((AssertionError, CorruptLogError, IndexError)):
        lives(range(1_500))
