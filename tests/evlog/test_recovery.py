"""Recovery, state by state: what a crash leaves at each step, and what must be refused."""

from __future__ import annotations

import contextlib
import errno
import random
import shutil
from copy import deepcopy
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from crash import numbers, record
from disk import DeathError, Fault, PowerCutError, SimulatedDisk

from evlog import head, recovery, segment
from evlog.errors import (
    CorruptLogError,
    DiskFullError,
    LogClosedError,
    LostRecordsError,
    MissingSegmentError,
    StorageError,
)
from evlog.files import RealFile
from evlog.log import Log
from evlog.records import LogRecovered

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("small_segments")


def put(one: Log, *wanted: int) -> None:
    with one.claim() as group:
        for number in wanted:
            group.add(record(number))
        group.commit()


def written(path: Path, *groups: tuple[int, ...], close: bool = True) -> Log:
    one = Log.open(path, create=True)
    for group in groups:
        put(one, *group)
    if close:
        one.close()
    return one


def reports(one: Log) -> list[LogRecovered]:
    return [change for entry in one.read(0) for change in entry.record.changes if isinstance(change, LogRecovered)]


def last_segment(path: Path) -> Path:
    return max(path.glob("*.seg"))


def without_reserve(data: bytes) -> bytes:
    """Return the bytes up to the end of the last frame: behind it a writer keeps zeros."""
    data = data.rstrip(b"\0")
    return data + bytes(-len(data) % 8)


def unsynced_tail(path: Path, *wanted: int) -> bytes:
    """Return the bytes that a writer which now died in the middle of its group would have appended."""
    twin = path.with_name(path.name + "-twin")
    shutil.copytree(path, twin)
    before = last_segment(twin).stat().st_size
    one = Log.open(twin)
    put(one, *wanted)
    data = without_reserve(last_segment(twin).read_bytes()[before:])
    one._dirty = False
    one.close()
    shutil.rmtree(twin)
    return data


# A torn end ----------------------------------------------------------------------------------------------------------


def test_a_torn_end_is_cut_at_any_byte_kept_in_quarantine_and_put_on_record(tmp_path: Path) -> None:
    written(tmp_path / "log", (0, 1), (2,))
    tail = unsynced_tail(tmp_path / "log", 3, 4)
    for cut in range(1, len(tail), 7):
        path = tmp_path / f"cut-{cut}"
        shutil.copytree(tmp_path / "log", path)
        size = last_segment(path).stat().st_size
        with last_segment(path).open("ab") as file:
            file.write(tail[:cut])
        one = Log.open(path)
        kept = numbers(one)
        assert kept in ([0, 1, 2], [0, 1, 2, 3])
        torn = tail[len(tail) // 2 * (len(kept) - 3) : cut]
        if torn:
            (report,) = reports(one)
            assert report == one.recovered
            assert (report.position, report.size) == (size + cut - len(torn), len(torn))
            assert (path / report.quarantine).read_bytes() == torn
            assert report.sha256 == sha256(torn).digest()
            assert report.segment == last_segment(path).name
        put(one, 9)
        one.close()
        again = Log.open(path)
        assert numbers(again) == [*kept, 9]
        assert again.recovered is None
        again.close()
        shutil.rmtree(path)


def test_a_running_writer_cuts_what_another_left_and_puts_it_on_record(tmp_path: Path) -> None:
    one = written(tmp_path, (0,), close=False)
    with last_segment(tmp_path).open("r+b") as file:
        file.seek(len(without_reserve(file.read())))
        file.write(b"torn by another process")
    put(one, 1)
    assert (numbers(one), len(reports(one)), one.end) == ([0, 1], 1, 3)
    one.close()
    again = Log.open(tmp_path)
    assert (numbers(again), len(reports(again))) == ([0, 1], 1)
    again.close()


def test_garbage_behind_the_end_is_cut_and_zeros_are_as_good_as_nothing(tmp_path: Path) -> None:
    for number, junk in enumerate((bytes(5000), b"MLJ1" * 300, b"\xff", bytes(5000) + b"\xff")):
        path = tmp_path / str(number)
        written(path, (0,))
        with last_segment(path).open("ab") as file:
            file.write(junk)
        one = Log.open(path)
        assert (numbers(one), len(reports(one))) == ([0], 1 if any(junk) else 0)
        one.close()
        assert numbers(Log.open(path, writable=False)) == [0]


def test_a_torn_seal_is_cut_and_the_report_does_not_overfill_the_segment(tmp_path: Path, small_segments: int) -> None:
    one = written(tmp_path, tuple(range(small_segments)), close=False)
    one._dirty = False
    one.close()
    with last_segment(tmp_path).open("ab") as file:
        file.write(b"the beginning of a seal")
    again = Log.open(tmp_path)
    assert segment.bases(again.folder) == [0, small_segments]
    assert [entry.offset for entry in again.read(0) if isinstance(entry.record.changes[0], LogRecovered)] == [8]
    again.close()
    again = Log.open(tmp_path)
    assert numbers(again) == list(range(small_segments))
    again.close()


@pytest.mark.parametrize("cut", [0, 1, 63, 64, 100])
def test_a_torn_header_of_the_successor_is_written_anew(tmp_path: Path, small_segments: int, cut: int) -> None:
    one = written(tmp_path, tuple(range(small_segments)), close=False)
    mark = (tmp_path / "HEAD").read_bytes()
    with one.claim():
        pass  # Rolls.
    one._dirty = False
    one.close()
    last = last_segment(tmp_path)
    assert last.name == segment.name_of(small_segments)
    last.write_bytes(last.read_bytes()[:cut])
    (tmp_path / "HEAD").write_bytes(mark)  # It moves only after the header is durable.
    again = Log.open(tmp_path)
    assert len(reports(again)) == (1 if cut else 0)
    put(again, 100)
    assert numbers(again) == [*range(small_segments), 100]
    again.close()
    again = Log.open(tmp_path)
    assert numbers(again) == [*range(small_segments), 100]
    again.close()


def test_a_sealed_segment_without_a_successor_gets_one(tmp_path: Path, small_segments: int) -> None:
    one = written(tmp_path, tuple(range(small_segments)), close=False)
    mark = (tmp_path / "HEAD").read_bytes()
    with one.claim():
        pass  # Rolls.
    one._dirty = False
    one.close()
    last_segment(tmp_path).unlink()
    (tmp_path / "HEAD").write_bytes(mark)
    for number in range(2):
        again = Log.open(tmp_path)
        put(again, 100 + number)
        assert numbers(again) == [*range(small_segments), 100, 101][: small_segments + number + 1]
        again.close()


# A recovery that is itself interrupted -------------------------------------------------------------------------------


def torn_disk() -> tuple[SimulatedDisk, Log]:
    """Return a disk with two records and a torn one, and a writer that had read all there was before that."""
    disk = SimulatedDisk()
    one, other = Log.open(disk, create=True, clock=lambda: 5), Log.open(disk, clock=lambda: 5)
    put(one, 0)
    put(one, 1)
    with other.claim():
        position = other._writer()[0].position
    disk.open(segment.name_of(0), writable=True).write(b"MLJ1, and then its writer died", position)
    return disk, other


@pytest.mark.parametrize("strike", ["death before", "death after", "death amid", "error before", "error after"])
@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("power", [False, True])
def test_a_recovery_interrupted_at_any_step_is_finished_and_reported_by_the_next(
    strike: str, running: bool, power: bool
) -> None:
    for step in range(1, 100):
        disk, other = torn_disk()
        disk.fault = Fault(disk.steps + step, strike, errno.ENOSPC)  # type: ignore[arg-type]
        try:
            if running:
                with other.claim():
                    pass
            else:
                Log.open(disk, clock=lambda: 5)
        except (DeathError, StorageError):
            pass
        else:
            assert step > 9, "a recovery has more steps than this"
            return
        disk.restart()
        if not running:  # The other one has been open all the while.
            put(other, 7)
        for number in range(2):
            if power and number:
                disk = disk.cut(random.Random(step))
            one = Log.open(disk, clock=lambda: 5)
            if number == 0:
                put(one, *range(8, 8 + 8 - one.end))
                with one.claim():
                    pass  # Rolls: whatever stands behind the seal from now on is damage.
                expected = numbers(one)
            assert numbers(one) == expected
            assert expected[:2] == [0, 1]
            found = [report.quarantine for report in reports(one)]
            assert sorted(found) == [f"quarantine/{name}" for name in disk.names("quarantine")], step
            assert len(found) in (1, 2), step  # Two where the report was torn in its turn.
            one.close()
    pytest.fail("a recovery without an end")


@pytest.mark.parametrize(
    "strike", ["cut before", "cut after", "death before", "death after", "error before", "error after"]
)
def test_a_creation_interrupted_at_any_step_can_be_made_again(strike: str) -> None:
    for step in range(1, 100):
        disk = SimulatedDisk(Fault(step, strike))  # type: ignore[arg-type]
        try:
            Log.open(disk, create=True)
        except (DeathError, PowerCutError, StorageError):
            pass
        else:
            assert step > 9, "a creation has more steps than this"
            return
        for seed in range(8):
            twin = deepcopy(disk)
            twin.fault = Fault(twin.steps + 1 + seed // 2, "cut after")
            twin.holders = {}
            rng = random.Random(seed)
            if "cut" in strike:
                twin = twin.cut(rng)
            with contextlib.suppress(PowerCutError):
                Log.open(twin, create=True)
            twin = twin.cut(rng)
            one = Log.open(twin, create=True)
            put(one, 0)
            one.close()
            assert numbers(Log.open(twin)) == [0]
    pytest.fail("a creation without an end")


def test_a_disk_that_fills_during_recovery_changes_nothing_until_there_is_room(tmp_path: Path) -> None:
    written(tmp_path, (0,))
    with last_segment(tmp_path).open("ab") as file:
        file.write(b"torn" * 100)
    before = last_segment(tmp_path).read_bytes()
    with pytest.MonkeyPatch.context() as patch:

        def full(_self: RealFile, _data: bytes, _position: int) -> None:
            raise DiskFullError("write failed", file="f", cause=OSError(errno.ENOSPC, "no space"))

        patch.setattr(RealFile, "write", full)
        with pytest.raises(DiskFullError):
            Log.open(tmp_path)
    assert last_segment(tmp_path).read_bytes() == before
    one = Log.open(tmp_path)
    assert (numbers(one), len(reports(one))) == ([0], 1)
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    one.close()


def test_the_same_tail_torn_twice_is_kept_and_reported_once(tmp_path: Path) -> None:
    written(tmp_path, (0,))
    whole = last_segment(tmp_path).read_bytes()
    with last_segment(tmp_path).open("ab") as file:
        file.write(b"torn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "_report", lambda _self: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            Log.open(tmp_path)
    assert last_segment(tmp_path).read_bytes() == whole
    with last_segment(tmp_path).open("ab") as file:
        file.write(b"torn")
    one = Log.open(tmp_path)
    assert len(reports(one)) == 1
    one.close()


# Two writers, one of which dies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("strike", ["death before", "death after", "death amid", "error before", "error after"])
def test_the_other_writer_goes_on_wherever_the_first_one_stops(strike: str, small_segments: int) -> None:
    for step in range(1, 12):
        disk = SimulatedDisk()
        first, second = Log.open(disk, create=True), Log.open(disk)
        put(first, *range(small_segments))
        disk.fault = Fault(disk.steps + step, strike)  # type: ignore[arg-type]
        acknowledged = small_segments
        try:
            put(first, 8)  # Rolls first.
            acknowledged += 1
            put(first, 9)
            acknowledged += 1
        except (DeathError, StorageError):
            pass
        disk.restart()
        put(second, 100)
        for seed in range(4):
            after = disk.cut(random.Random(seed))
            one = Log.open(after)
            found = numbers(one)
            assert found[:acknowledged] == list(range(acknowledged)), step
            assert found[-1] == 100, step
            one.close()


# What must be refused ------------------------------------------------------------------------------------------------


def refused(path: Path, error: type[CorruptLogError] = CorruptLogError, **options: int) -> CorruptLogError:
    """Check that opening refuses, the second time too, and changes no segment."""
    before = {one.name: one.read_bytes() for one in path.glob("*.seg")}
    with pytest.raises(error):
        Log.open(path, **options)  # type: ignore[arg-type]
    with pytest.raises(error) as caught:
        Log.open(path, **options)  # type: ignore[arg-type]
    assert {one.name: one.read_bytes() for one in path.glob("*.seg")} == before
    return caught.value


def test_a_log_that_ends_before_head_or_a_witness_is_refused(tmp_path: Path) -> None:
    written(tmp_path, (0,), (1,))
    assert refused(tmp_path, LostRecordsError, acknowledged=3).offset == 2
    with pytest.raises(LostRecordsError):
        Log.open(tmp_path, writable=False, acknowledged=3)
    (tmp_path / "HEAD").unlink()
    refused(tmp_path, LostRecordsError, acknowledged=3)
    Log.open(tmp_path, acknowledged=2).close()


def test_a_sync_frame_that_head_covers_is_not_cut(tmp_path: Path) -> None:
    written(tmp_path, (0,))
    last, data = last_segment(tmp_path), last_segment(tmp_path).read_bytes()
    last.write_bytes(data[:-1] + b"\1")
    refused(tmp_path)
    last.write_bytes(data[:-64])
    refused(tmp_path, LostRecordsError)


def test_damage_that_a_later_frame_proves_durable_is_refused_without_head(tmp_path: Path) -> None:
    written(tmp_path, (0,), (1,), (2,))
    (tmp_path / "HEAD").unlink()
    last = last_segment(tmp_path)
    data = bytearray(last.read_bytes())
    data[data.index(b"PutContexts")] ^= 1
    last.write_bytes(data)
    assert "durable" in refused(tmp_path).reason
    with pytest.raises(CorruptLogError):
        Log.open(tmp_path, writable=False)


def test_missing_segments_are_refused(tmp_path: Path, small_segments: int) -> None:
    written(tmp_path / "log", *((number,) for number in range(4 * small_segments + 1)))
    for path in sorted((tmp_path / "log").glob("*.seg")):
        data = path.read_bytes()
        path.unlink()
        refused(tmp_path / "log")
        path.write_bytes(data)
    for path in list((tmp_path / "log").glob("*.seg")):
        path.unlink()
    refused(tmp_path / "log", MissingSegmentError)


def test_an_empty_successor_that_head_names_is_missed(tmp_path: Path, small_segments: int) -> None:
    one = written(tmp_path, tuple(range(small_segments)), close=False)
    with one.claim():
        pass  # Rolls, and HEAD moves into the new segment.
    one._dirty = False
    one.close()
    last_segment(tmp_path).unlink()
    refused(tmp_path, LostRecordsError)


def test_another_history_with_the_same_id_is_noticed(tmp_path: Path, small_segments: int) -> None:
    written(tmp_path / "a", (0,))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for name, first in (("a", 100), ("b", 200)):
        one = Log.open(tmp_path / name)
        for number in range(2 * small_segments):
            put(one, first + number)
        one.close()
    shutil.copytree(tmp_path / "a", tmp_path / "mixed")
    shutil.copy(last_segment(tmp_path / "b"), tmp_path / "mixed")
    refused(tmp_path / "mixed")
    (tmp_path / "mixed" / "HEAD").unlink()
    assert "continue" in refused(tmp_path / "mixed").reason  # The link by root.
    shutil.rmtree(tmp_path / "b" / "quarantine", ignore_errors=True)
    shutil.copy(tmp_path / "a" / "HEAD", tmp_path / "b" / "HEAD")
    assert "HEAD names" in refused(tmp_path / "b").reason


def test_a_log_cut_below_head_while_it_is_open_is_refused(tmp_path: Path) -> None:
    one = written(tmp_path, (0,), (1,), close=False)
    last = last_segment(tmp_path)
    data = without_reserve(last.read_bytes())
    last.write_bytes(data[:-100])
    with pytest.raises(LostRecordsError):
        put(one, 2)
    with pytest.raises(LogClosedError):
        put(one, 2)
    one.close()
    refused(tmp_path)
    last.write_bytes(data)
    again = Log.open(tmp_path)
    assert numbers(again) == [0, 1]
    again.close()


def test_a_segment_removed_while_it_is_open_takes_nothing_more(tmp_path: Path) -> None:
    one = written(tmp_path, (0,), close=False)
    last_segment(tmp_path).rename(tmp_path / "away")
    (tmp_path / "away").unlink()
    with pytest.raises(StorageError, match="removed"):
        put(one, 1)
    one.close()
    with pytest.raises(MissingSegmentError):
        Log.open(tmp_path)


@pytest.mark.parametrize("stale", ["lost", "garbled", "half", "old"])
def test_head_lost_garbled_or_stale_loses_nothing(tmp_path: Path, small_segments: int, stale: str) -> None:
    def spoil() -> None:
        if stale == "lost":
            (tmp_path / "HEAD").unlink()
        elif stale == "garbled":
            (tmp_path / "HEAD").write_bytes(b"\xa5" * 576)
        elif stale == "half":
            (tmp_path / "HEAD").write_bytes((tmp_path / "HEAD").read_bytes()[:300])
        else:
            (tmp_path / "HEAD").write_bytes(old)

    first = written(tmp_path, (0,), close=False)
    second = Log.open(tmp_path)
    old = (tmp_path / "HEAD").read_bytes()
    for number in range(1, 3 * small_segments):
        spoil()  # While both are open.
        put((first, second)[number % 2], number)
        assert (tmp_path / "HEAD").exists() or stale == "lost"
        if stale == "lost" and number % 5 == 0:
            first.close()
            first = Log.open(tmp_path)
        elif stale == "lost" and not (tmp_path / "HEAD").exists():
            (tmp_path / "HEAD").touch()
    first.close()
    second.close()
    spoil()
    again = Log.open(tmp_path)
    assert numbers(again) == list(range(3 * small_segments))
    assert head.newest((tmp_path / "HEAD").read_bytes(), seed=again.seed) is not None
    again.close()


def test_a_quarantine_file_of_another_name_is_left_alone(tmp_path: Path) -> None:
    written(tmp_path, (0,))
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "note.txt").write_text("mine")
    (tmp_path / "quarantine" / f"{0:020d}-64-1-{'0' * 16}").write_text("a copy that was never finished")
    one = Log.open(tmp_path)
    assert (one.recovered, one.end) == (None, 1)
    assert recovery.unreported(one.folder, 1) == []
    one.close()
