"""The log: append, read, claim, close."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from crash import numbers, record

from evlog import frame, head, identity, reader, segment
from evlog.author import Author
from evlog.codec import encode
from evlog.errors import (
    CorruptLogError,
    ForkedError,
    FormatVersionError,
    FutureError,
    LogClosedError,
    MissingSegmentError,
    NoLogError,
    ReadOnlyError,
    RecordTooLargeError,
    StorageError,
    UnknownTagError,
)
from evlog.files import RealFile
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.merkle import Frontier, leaf, leaf_hash
from evlog.records import ContextPut, Record

if TYPE_CHECKING:
    from pathlib import Path

SMALL = pytest.mark.usefixtures("small_segments")


def put(log: Log, *wanted: int) -> None:
    """Append one group."""
    with log.claim() as group:
        for number in wanted:
            group.add(record(number))
        group.commit()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@SMALL
@pytest.mark.parametrize("offsets", [[], [0], [19], [3, 4, 5], [0, 8, 16], [2, 7, 9, 18], list(range(20))])
@pytest.mark.parametrize("near", [0, 1, 3, 100])
def test_records_here_and_there_are_read_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offsets: list[int], near: int
) -> None:
    monkeypatch.setattr(reader, "NEAR", near)
    log = Log.open(tmp_path / "log", create=True)
    for number in range(20):
        put(log, number)
    decoded: list[int] = []
    decode = reader.codec.decode
    monkeypatch.setattr(reader.codec, "decode", lambda frame: decoded.append(frame.offset) or decode(frame))
    assert [entry.offset for entry in log.read_each(offsets)] == offsets == decoded
    with pytest.raises(FutureError):
        log.read_each([3, 20])
    log.close()


@SMALL
def test_a_segment_without_index_is_walked_from_its_start_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(tmp_path / "log", create=True)
    put(log, *range(7))  # One short of a full segment, with every 4th record worth an index.
    begun: list[int] = []
    walk = segment.walk
    monkeypatch.setattr(segment, "walk", lambda file, at, **rest: begun.append(at) or walk(file, at, **rest))

    def read(offset: int) -> int:
        begun.clear()
        assert [entry.offset for entry in log.read(offset, offset + 1)] == [offset]
        return begun[0]

    assert read(6) == 0
    assert read(1) == 0
    assert read(6) > 0
    monkeypatch.setattr(reader, "WALKED_MAX", 0)
    assert [read(offset) for offset in (0, 6, 1)] == [0, 0, 0], "what is forgotten is walked over again"
    log.close()


def test_now_is_the_end_and_nothing_is_read_to_know_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(tmp_path / "log", create=True)
    put(log, 0, 1, 2)
    follower = Log.open(tmp_path / "log", writable=False)
    times = [entry.time_us for entry in log.read(0)]
    for one in (log, follower):
        assert [one.offset_at(time_us) for time_us in (times[0] - 1, times[0], times[1], times[2] - 1)] == [0, 1, 2, 2]
    monkeypatch.delattr(segment, "walk")
    for one in (log, follower):
        assert one.offset_at(times[2]) == one.offset_at(times[2] + 1_000) == 3
        one.close()


def test_what_was_appended_is_read_back_in_order_and_after_reopening(tmp_path: Path) -> None:
    log = Log.open(tmp_path / "log", create=True)
    put(log, 0, 1)
    put(log, 2)
    assert (numbers(log), log.end) == ([0, 1, 2], 3)
    log.close()
    again = Log.open(tmp_path / "log")
    assert (numbers(again), again.end, again.recovered) == ([0, 1, 2], 3, None)
    assert [entry.offset for entry in again.read(1, 2)] == [1]
    again.close()


@SMALL
def test_a_log_goes_on_over_many_segments() -> None:
    folder = MemoryFolder()
    log = Log.open(folder, create=True)
    for number in range(50):
        put(log, number)
    assert segment.bases(folder) == [0, 8, 16, 24, 32, 40, 48]
    for start in range(51):
        for stop in (start, min(50, start + 9), 50):
            assert [entry.offset for entry in log.read(start, stop)] == list(range(start, stop))
    log.close()
    assert numbers(Log.open(folder)) == list(range(50))


def test_the_tree_is_that_of_the_leaves_in_the_frames() -> None:
    log = Log.open(MemoryFolder(), create=True, clock=lambda: 7)
    put(log, 0, 1)
    put(log, 2)
    tree, prefixes = Frontier(), [bytes(16)]
    for entry in log.read(0):
        envelope, changes = encode(entry.record)
        tree.append(
            leaf_hash(
                leaf(kind=1, flags=0, offset=entry.offset, time_us=entry.time_us, envelope=envelope, changes=changes)
            )
        )
        prefixes.append(log.tip_at_end().prev if entry.offset == 2 else log.leaf_prefix(entry.offset + 1))
    assert log.tip_at_end().tree.root() == tree.root()
    assert [log.leaf_prefix(offset) for offset in range(4)] == prefixes
    assert len(set(prefixes)) == 4


def test_times_strictly_increase_whatever_the_clock_does() -> None:
    ticks = iter([100, 100, 50, 200, -5, 0])
    log = Log.open(MemoryFolder(), create=True, clock=lambda: next(ticks))
    for number in range(6):
        put(log, number)
    assert [entry.time_us for entry in log.read(0)] == [100, 101, 102, 200, 201, 202]


@SMALL
@pytest.mark.parametrize("reopened", [False, True])
def test_a_moment_names_the_records_put_up_to_it(reopened: bool) -> None:
    folder = MemoryFolder()
    ticks = iter(range(10, 500, 10))
    log = Log.open(folder, create=True, clock=lambda: next(ticks))
    for number in range(30):
        put(log, number)
        if number % 8 == 7:
            log.close()  # A SYNC frame stands first in the next segment.
            log = Log.open(folder, clock=lambda: next(ticks))
    if reopened:
        log.close()
        log = Log.open(folder, writable=False)
    assert log.offset_at(-1) == log.offset_at(9) == 0
    for number in range(30):
        assert log.offset_at(10 * number + 10) == number + 1
        assert log.offset_at(10 * number + 19) == number + 1
    assert log.offset_at(1 << 62) == 30


def test_an_empty_log_has_a_beginning_and_no_moments() -> None:
    folder = MemoryFolder()
    log = Log.open(folder, create=True)
    reader = Log.open(folder, writable=False)
    for one in (log, reader):
        assert (one.end, list(one.read(0)), one.offset_at(10**18), one.leaf_prefix(0)) == (0, [], 0, bytes(16))
        assert one.tip_at_end().end == 0


def test_a_claim_without_commit_leaves_no_trace() -> None:
    folder = MemoryFolder()
    log = Log.open(folder, create=True)
    put(log, 0)
    before = {name: bytes(data) for name, data in folder.files.items()}
    with pytest.raises(ZeroDivisionError), log.claim() as group:
        group.add(record(1))
        raise ZeroDivisionError
    assert {name: bytes(data) for name, data in folder.files.items()} == before
    put(log, 2)
    assert numbers(log) == [0, 2]


def test_a_group_writes_once_and_only_inside_its_claim() -> None:
    log = Log.open(MemoryFolder(), create=True)
    with log.claim() as group:
        group.add(record(0))
        group.commit()
        assert group.end == log.end == 1
        with pytest.raises(LogClosedError, match="over"):
            group.add(record(1))
    with log.claim() as left:
        left.add(record(2))
    with pytest.raises(LogClosedError, match="over"):
        left.commit()
    put(log, 3)
    assert numbers(log) == [0, 3]


def test_a_record_over_the_limit_is_refused_and_the_group_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evlog.group.BODY_MAX", 1000)
    log = Log.open(MemoryFolder(), create=True)
    with log.claim() as group:
        group.add(record(0))
        with pytest.raises(RecordTooLargeError):
            group.add(record(1, 1000))
        group.add(record(2))
        group.commit()
    assert numbers(log) == [0, 2]


@pytest.mark.faults
def test_a_record_over_sixty_four_mebibytes_is_refused_and_one_below_is_kept() -> None:
    log = Log.open(MemoryFolder(), create=True)
    with log.claim() as group:
        with pytest.raises(RecordTooLargeError, match="67,108,864"):
            group.add(record(0, frame.BODY_MAX))
        group.add(record(1, frame.BODY_MAX - 1000))
        group.commit()
    assert numbers(log) == [1]


def test_the_future_is_refused() -> None:
    log = Log.open(MemoryFolder(), create=True)
    put(log, 0)
    with pytest.raises(FutureError) as caught:
        log.read(0, 2)
    assert (caught.value.asked, caught.value.end) == (2, 1)
    with pytest.raises(FutureError):
        log.leaf_prefix(2)


# Opening -------------------------------------------------------------------------------------------------------------


def test_where_there_is_no_log_opening_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "absent"):
        for writable in (True, False):
            with pytest.raises(NoLogError):
                Log.open(folder, writable=writable)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("writable", [True, False])
def test_a_log_without_its_identity_is_damaged_and_not_absent(tmp_path: Path, writable: bool) -> None:
    log = Log.open(tmp_path, create=True)
    put(log, 0)
    log.close()
    (tmp_path / "LOGID").unlink()
    with pytest.raises(CorruptLogError, match="identity is missing"):
        Log.open(tmp_path, writable=writable)
    with pytest.raises(CorruptLogError, match="identity is missing"):
        Log.open(tmp_path, create=True)


def test_a_log_of_a_newer_format_is_not_touched(tmp_path: Path) -> None:
    log = Log.open(tmp_path, create=True)
    log.close()
    (tmp_path / "LOGID").write_text("evlog log, format 2\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for create, writable in ((False, True), (True, True), (False, False)):
        with pytest.raises(FormatVersionError):
            Log.open(tmp_path, create=create, writable=writable)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_every_folder_that_is_made_is_durable_from_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("evlog.files.sync_folder", lambda path: synced.append(path.name))
    Log.open(tmp_path / "a" / "b" / "log", create=True).close()
    assert synced[1:4] == [tmp_path.name, "a", "b"]  # The first is of whoever made tmp_path.
    synced.clear()
    Log.open(tmp_path / "a" / "b" / "log", create=True).close()
    assert synced[0] == "b"  # Again: who made the folder may have died before.


def test_a_failed_opening_leaves_no_file_open_and_the_lock_free(tmp_path: Path) -> None:
    log = Log.open(tmp_path, create=True)
    put(log, 0, 1)
    log.close()
    path = tmp_path / segment.name_of(0)
    good = path.read_bytes()
    before = open_files()
    for spoilt in (good[: len(good) // 2], good[:100] + b"\0" + good[101:], good[:-5]):
        path.write_bytes(spoilt)
        for _ in range(3):
            with pytest.raises(CorruptLogError):
                Log.open(tmp_path)
    assert open_files() == before
    path.write_bytes(good)
    log = Log.open(tmp_path)
    assert numbers(log) == [0, 1]
    log.close()
    assert open_files() == before


def test_reading_and_closing_leave_no_file_open(tmp_path: Path) -> None:
    before = open_files()
    log = Log.open(tmp_path, create=True)
    put(log, 0, 1)
    (tmp_path / "HEAD").write_bytes(b"lost")
    reader = Log.open(tmp_path, writable=False)
    reader.tip_at_end()
    reader.leaf_prefix(1)
    unfinished = reader.read(0)
    next(unfinished)
    del unfinished
    reader.close()
    reader.close()
    log.close()
    log.close()
    assert open_files() == before
    assert (log.end, reader.end) == (2, 2)
    assert numbers(log) == [0, 1]  # A closed log still reads.


# Closing and failing -------------------------------------------------------------------------------------------------


def test_a_closed_log_takes_nothing() -> None:
    log = Log.open(MemoryFolder(), create=True)
    log.close()
    with pytest.raises(LogClosedError, match="closed"), log.claim():
        pass


def test_a_log_opened_for_reading_takes_nothing(tmp_path: Path) -> None:
    Log.open(tmp_path, create=True).close()
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    reader = Log.open(tmp_path, writable=False)
    with pytest.raises(ReadOnlyError), reader.claim():
        pass
    reader.close()
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_sync_frame_at_the_end_says_that_all_is_durable(tmp_path: Path) -> None:
    log = Log.open(tmp_path, create=True)
    put(log, 0)
    log.close()
    data = (tmp_path / segment.name_of(0)).read_bytes()
    last = frame.unpack(data, len(data) - 64, seed=log.seed)
    assert isinstance(last, frame.Frame)
    assert (last.kind, last.offset, last.synced) == (frame.SYNC, 1, 1)
    Log.open(tmp_path).close()
    assert (tmp_path / segment.name_of(0)).read_bytes() == data  # Nothing new: no new frame.


@pytest.mark.parametrize("name", ["write", "sync"])
@pytest.mark.parametrize("error", [StorageError("x", file="f", cause=OSError(5, "y")), KeyboardInterrupt()])
def test_a_failed_or_interrupted_commit_closes_the_log_and_frees_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    def fail(_self: RealFile, *_arguments: object) -> None:
        raise error

    log = Log.open(tmp_path, create=True)
    put(log, 0)
    other = Log.open(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(type(error)), log.claim() as group:
        group.add(record(1))
        patch.setattr(RealFile, name, fail)
        try:
            group.commit()
        finally:
            patch.undo()
            with pytest.raises(LogClosedError):
                group.commit()  # Not even by those who insist.
    with pytest.raises(LogClosedError, match="reopen"), log.claim():
        pass
    put(other, 2)  # Would wait for ever if the lock were held.
    log.close()
    other.close()
    log = Log.open(tmp_path)
    found = numbers(log)
    assert found in ([0, 2], [0, 1, 2])
    log.close()


@SMALL
@pytest.mark.parametrize("step", range(1, 8))
def test_an_interrupt_at_any_step_of_a_roll_leaves_a_log_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    log = Log.open(tmp_path, create=True)
    put(log, *range(8))
    other = Log.open(tmp_path)
    left = [step]

    def interrupted(name: str) -> object:
        original = getattr(RealFile, name)

        def call(self: RealFile, *arguments: object) -> object:
            result = original(self, *arguments)
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return result

        return call

    with monkeypatch.context() as patch:
        for name in ("write", "sync", "close"):
            patch.setattr(RealFile, name, interrupted(name))
        try:
            put(log, 8)
        except KeyboardInterrupt:
            pass
        else:
            assert step == 7, "a roll and an append have more steps than this"
    survived = 8 if log._closed else 9
    if log._closed:
        with pytest.raises(LogClosedError), log.claim():
            pass
    put(other, 100)
    log.close()
    other.close()
    log = Log.open(tmp_path)
    assert numbers(log)[:survived] == list(range(survived))
    assert numbers(log)[-1] == 100
    assert segment.bases(log.folder) == [0, 8]
    log.close()


def test_an_interrupt_that_comes_with_the_lock_gives_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(tmp_path, create=True)
    other = Log.open(tmp_path)
    import fcntl

    original = fcntl.flock

    def flock(fd: int, operation: int) -> None:
        original(fd, operation)
        if operation == fcntl.LOCK_EX:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        with pytest.raises(KeyboardInterrupt), log.claim():
            pass
    put(other, 0)
    put(log, 1)  # Nothing was begun, so the log is as good as before.
    assert numbers(log) == [0, 1]
    log.close()
    other.close()


def test_a_record_half_added_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = MemoryFolder()
    log = Log.open(folder, create=True)
    with monkeypatch.context() as patch, pytest.raises(AssertionError, match="interrupted"), log.claim() as group:
        group.add(record(0))
        patch.setattr(segment, "note_position", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            group.add(record(1))
        group.commit()
    log.close()
    assert numbers(Log.open(folder)) == []


# Several users of one log --------------------------------------------------------------------------------------------


def test_threads_that_share_a_log_append_one_at_a_time(tmp_path: Path) -> None:
    log = Log.open(tmp_path, create=True)
    inside, most = 0, 0

    def work(base: int) -> None:
        nonlocal inside, most
        for number in range(20):
            with log.claim() as group:
                inside += 1
                most = max(most, inside)
                group.add(record(base + number))
                time.sleep(0.0002)
                group.commit()
                inside -= 1

    threads = [threading.Thread(target=work, args=(100 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    again = Log.open(tmp_path)
    assert sorted(numbers(again)) == [100 * base + number for base in range(4) for number in range(20)]
    assert most == 1
    again.close()


def test_a_thread_that_waited_while_another_failed_does_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log.open(tmp_path, create=True)
    waiting, outcome = threading.Event(), []

    def wait() -> None:
        waiting.set()
        try:
            put(log, 1)
        except LogClosedError as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)

    def fail(_self: RealFile) -> None:
        raise StorageError("sync failed", file="f", cause=OSError(5, "injected"))

    with pytest.raises(StorageError), monkeypatch.context() as patch, log.claim() as group:
        thread.start()
        waiting.wait()
        time.sleep(0.05)
        group.add(record(0))
        patch.setattr(RealFile, "sync", fail)
        group.commit()
    thread.join()
    assert len(outcome) == 1
    log.close()
    log = Log.open(tmp_path)
    assert numbers(log) in ([], [0])
    log.close()


def test_two_logs_on_one_folder_take_turns(tmp_path: Path) -> None:
    first, second = Log.open(tmp_path, create=True), Log.open(tmp_path)
    for number in range(20):
        put((first, second)[number % 2], number)
    assert numbers(first)[:19] == list(range(19))
    first.close()
    second.close()
    log = Log.open(tmp_path)
    assert numbers(log) == list(range(20))
    log.close()


def in_child(act: object) -> int:
    """Fork, act in the child and return its exit status."""
    assert callable(act)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = act()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_a_fork_can_neither_write_nor_free_its_parents_lock(tmp_path: Path) -> None:
    log = Log.open(tmp_path, create=True)
    put(log, 0)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def claim() -> int:
        try:
            put(log, 1)
        except ForkedError:
            log.close()
            return 0
        return 1

    assert in_child(claim) == 0

    def leave() -> int:
        try:
            group.commit()
        except ForkedError:
            claimed.__exit__(None, None, None)
            log.close()
            return 0
        return 1

    claimed = log.claim()
    group = claimed.__enter__()
    group.add(record(2))
    assert in_child(leave) == 0
    held = [sys.executable, "-c", "import fcntl,sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"]
    assert subprocess.run([*held, tmp_path / "LOCK"], check=False, stderr=subprocess.DEVNULL).returncode != 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    group.commit()
    claimed.__exit__(None, None, None)
    log.close()
    log = Log.open(tmp_path)
    assert numbers(log) == [0, 2]
    log.close()


def test_a_reader_follows_a_writer_over_rolls_and_sees_only_what_is_acknowledged(
    tmp_path: Path, small_segments: int
) -> None:
    log = Log.open(tmp_path, create=True)
    reader = Log.open(tmp_path, writable=False)
    for number in range(3 * small_segments):
        with log.claim() as group:
            group.add(record(number))
            assert reader.refresh() == number
            group.commit()
        assert reader.refresh() == number + 1
        assert [entry.offset for entry in reader.read(max(0, number - 1))] == list(
            range(max(0, number - 1), number + 1)
        )
        assert reader.leaf_prefix(number + 1) == log.leaf_prefix(number + 1)
    log.close()
    reader.close()


def test_a_reader_does_not_count_what_is_written_and_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log.open(tmp_path, create=True)
    put(log, 0)
    monkeypatch.setattr(head.Head, "move", lambda *_a, **_k: None)  # As between the sync and HEAD.
    put(log, 1)
    reader = Log.open(tmp_path, writable=False)
    assert (reader.end, reader.tip_at_end().end, reader.leaf_prefix(1)) == (1, 1, log.leaf_prefix(1))
    assert numbers(reader) == [0]
    reader.close()
    log.close()


def test_a_reader_keeps_what_it_saw_when_head_is_lost_and_finds_it_again(tmp_path: Path) -> None:
    log = Log.open(tmp_path, create=True)
    put(log, 0, 1)
    reader = Log.open(tmp_path, writable=False)
    (tmp_path / "HEAD").write_bytes(b"garbage")
    assert reader.refresh() == 2
    put(log, 2)  # Writes HEAD anew.
    assert (reader.refresh(), numbers(reader)) == (3, [0, 1, 2])
    (tmp_path / "HEAD").unlink()
    late = Log.open(tmp_path, writable=False)
    assert (late.end, late.leaf_prefix(3)) == (3, log.leaf_prefix(3))
    log.close()
    log = Log.open(tmp_path)
    put(log, 3)
    assert (late.refresh(), numbers(late)) == (4, [0, 1, 2, 3])
    for one in (log, reader, late):
        one.close()


def test_a_reader_sees_a_whole_log_while_a_writer_races_it(tmp_path: Path) -> None:
    writer = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from crash import record
from evlog import log
log.SEGMENT_RECORDS_MAX = 8
one = log.Log.open(Path(sys.argv[1]), create=True)
for number in range(300):
    with one.claim() as group:
        group.add(record(number))
        group.commit()
one.close()
"""
    Log.open(tmp_path, create=True).close()
    with subprocess.Popen([sys.executable, "-c", writer, tmp_path, *sys.path]) as process:
        reader, end = Log.open(tmp_path, writable=False), 0
        while process.poll() is None or end < reader.refresh():
            stop = reader.refresh()
            assert stop >= end
            assert [entry.offset for entry in reader.read(end, stop)] == list(range(end, stop))
            assert reader.tip_at_end().end == reader.end
            fresh = Log.open(tmp_path, writable=False)
            assert fresh.end >= end
            fresh.close()
            end = stop
    assert process.returncode == 0
    assert (end, numbers(reader)) == (300, list(range(300)))
    reader.close()


def test_hints_never_lead_a_read_astray(tmp_path: Path, small_segments: int) -> None:
    import random

    rng = random.Random(5)
    log = Log.open(tmp_path, create=True)
    put(log, *range(small_segments))
    reads = []
    for number in range(small_segments, 60):
        put(log, number)
        start = rng.randrange(number)
        reads.append((start, log.read(start)))
        if len(reads) > 3:  # Several reads at once, each moving the hint.
            _, other = reads.pop(rng.randrange(len(reads)))
            next(other)
        stop = rng.randrange(start, number + 1)
        assert [entry.offset for entry in log.read(start, stop)] == list(range(start, stop))
    log.close()


# What this release does not know -------------------------------------------------------------------------------------


def append_frame(path: Path, log: Log, kind: int, version: int = 1) -> None:
    """Write one whole frame that fits at the end of a log, as a newer release would."""
    tip = Log.open(path, writable=False).tip_at_end()
    data = frame.pack(
        kind, b"", changes=0, offset=tip.end, time_us=tip.time_us + 1, synced=tip.end, prev=tip.prev, seed=log.seed
    )
    if version != 1:
        data = data[:16] + bytes([version]) + data[17:]
        data = data[:4] + frame._extend(log.seed, data[8:64]).to_bytes(4, "little") + data[8:]
    with (path / segment.name_of(0)).open("ab") as file:
        file.write(data)


@pytest.mark.parametrize(("kind", "version"), [(2, 1), (15, 1), (1, 2)])
@pytest.mark.parametrize("head_lost", [False, True])
def test_a_leaf_of_a_newer_release_is_refused_and_never_cut(
    tmp_path: Path, kind: int, version: int, head_lost: bool
) -> None:
    log = Log.open(tmp_path, create=True)
    put(log, 0)
    log.close()
    append_frame(tmp_path, log, kind, version)
    if head_lost:
        (tmp_path / "HEAD").unlink()
    before = (tmp_path / segment.name_of(0)).read_bytes()
    with pytest.raises(UnknownTagError, match="upgrade"):
        Log.open(tmp_path)
    assert (tmp_path / segment.name_of(0)).read_bytes() == before
    with pytest.raises(UnknownTagError, match="upgrade"):
        list(Log.open(tmp_path, writable=False)._reader.frames(0, 2))


def test_an_unknown_control_frame_is_passed_over(tmp_path: Path) -> None:
    log = Log.open(tmp_path, create=True)
    put(log, 0)
    log.close()
    append_frame(tmp_path, log, 99)
    log = Log.open(tmp_path)
    put(log, 1)
    assert (numbers(log), log.recovered) == ([0, 1], None)
    log.close()
    log = Log.open(tmp_path)
    assert numbers(log) == [0, 1]
    log.close()


# Envelopes -----------------------------------------------------------------------------------------------------------


def test_an_author_says_who_and_how_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVLOG_ACTOR", "EVLOG_APPLICATION", "EVLOG_REASON"):
        monkeypatch.delenv(name, raising=False)
    assert Author().auth == "os"
    monkeypatch.setenv("EVLOG_ACTOR", "ann")
    monkeypatch.setenv("EVLOG_REASON", "TICKET-1")
    author = Author()
    assert (author.actor, author.auth, author.reason) == ("ann", "asserted", "TICKET-1")
    assert Author(actor="bob").actor == "bob"
    one, two = author.envelope("Put", 1_700_000_000_000_000), author.envelope("Put", 1_700_000_000_000_000)
    assert one.transaction != two.transaction
    assert one.transaction[:6] == (1_700_000_000_000).to_bytes(6)
    assert (one.transaction[6] >> 4, one.transaction[8] >> 6) == (7, 2)  # UUIDv7.


def test_bytes_of_the_environment_that_are_no_text_are_kept_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVLOG_ACTOR", "EVLOG_APPLICATION", "EVLOG_REASON"):
        monkeypatch.setenv(name, "a\udced")
    author = Author()
    assert (author.actor, author.application, author.reason) == ("a\\udced",) * 3
    assert Author(reason="é \ud800").reason == "é \\ud800"
    log = Log.open(MemoryFolder(), create=True)
    with log.claim() as group:
        group.add(Record(author.envelope("Put", 1), []))
        group.commit()
    log.close()


def test_a_segment_that_vanished_is_named(tmp_path: Path, small_segments: int) -> None:
    log = Log.open(tmp_path, create=True)
    put(log, *range(small_segments))
    put(log, 8)
    (tmp_path / segment.name_of(0)).unlink()
    with pytest.raises(MissingSegmentError):
        list(log.read(0))
    with pytest.raises(MissingSegmentError):
        list(Log.open(MemoryFolder(), create=True)._reader.frames(-1, 1))
    log.close()


def test_the_names_in_a_change_tell_nothing_about_python() -> None:
    change = ContextPut(id=1, type_id=1, create_time_ms=1, update_time_ms=1)
    _, (stored,) = encode(Record(Author(actor="t").envelope("Put", 1), [change]))
    assert b"evlog" not in stored
    assert b"ContextPut" not in stored


def test_the_id_of_a_log_is_in_its_segments(tmp_path: Path) -> None:
    log = Log.open(tmp_path, create=True)
    header = segment.read_header(log.folder.open(segment.name_of(0)), seed=log.seed)
    assert isinstance(header, segment.SegmentHeader)
    assert header.log_id == log.id == identity.read(log.folder).log_id
    log.close()


def test_reading_in_parts_does_not_walk_the_segment_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(MemoryFolder(), create=True)
    put(log, *range(300))
    walked = []
    original = segment.unpack

    def counting(*arguments: object, **named: object) -> object:
        walked.append(1)
        return original(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(segment, "unpack", counting)
    for start in range(0, 300, 10):
        assert [entry.offset for entry in log.read(start, start + 10)] == list(range(start, start + 10))
        log.leaf_prefix(start + 10)
    assert len(walked) < 450
    log.close()
