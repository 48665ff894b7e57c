"""What an audit finds is the same however many processes look, and none of them outlives it."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from crash import record

from evlog import segment
from evlog.errors import LogError, StorageError, UnknownTagError, WorkerDiedError
from evlog.files import RealFile, RealFolder, storage_error
from evlog.frame import CONTROL, pack, seed_of
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.upkeep.audit import audit
from evlog.upkeep.segment_audit import check
from evlog.worker import Worker

RECORDS = 44  # Six segments.
pytestmark = pytest.mark.usefixtures("small_segments")


@pytest.fixture
def place(tmp_path: Path, small_segments: int) -> Path:
    log = Log.open(tmp_path / "log", create=True)
    for number in range(RECORDS):
        with log.claim() as group:
            group.add(record(number))
            group.commit()
    log.close()
    return tmp_path / "log"


def segments(place: Path) -> list[Path]:
    return sorted(place.glob("*.seg"))


def faults(place: Path, jobs: int = 1) -> list[str]:
    return [fault.reason for fault in audit(RealFolder(place), jobs=jobs).faults]


def spoil(rng: random.Random, place: Path) -> None:
    """Do one thing to a log that should not be done."""
    path = rng.choice([*segments(place), place / "HEAD"])
    data = bytearray(path.read_bytes())
    if not data:
        return
    match rng.choice(["flip", "flip", "cut", "empty", "zeros", "stranger", "gone", "swapped", "more"]):
        case "flip":
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case "cut":
            del data[rng.randrange(len(data)) :]
        case "empty":
            data.clear()
        case "zeros":
            start = rng.randrange(len(data))
            data[start : start + 64] = bytes(len(data[start : start + 64]))
        case "stranger":
            data += b"MLJ1 is not enough"
        case "gone":
            path.unlink()
            return
        case "swapped":
            data = bytearray(rng.choice(segments(place)).read_bytes())
        case "more":
            data += bytes(8)
    path.write_bytes(data)


def test_three_processes_find_what_one_finds_whatever_the_damage(place: Path, full: bool) -> None:
    sizes, since = {0, 1, 8, 9, 30, RECORDS, RECORDS + 1}, segment.bases(RealFolder(place))[1]
    for seed in range(60 if full else 5):
        rng, spoilt = random.Random(seed), place.with_name(f"spoilt-{seed}")
        shutil.copytree(place, spoilt)
        for _ in range(rng.choice([0, 1, 1, 2, 4])):
            spoil(rng, spoilt)
        folder = RealFolder(spoilt)
        assert audit(folder, None, sizes, jobs=3) == audit(folder, None, sizes), seed
        assert audit(folder, None, sizes, since=since, jobs=3) == audit(folder, None, sizes, since=since), seed


def test_every_record_is_told_of_once_however_many_work(place: Path) -> None:
    told: list[tuple[int, int]] = []
    for jobs in (1, 3):
        told.clear()
        result = audit(RealFolder(place), lambda done, total: told.append((done, total)), jobs=jobs)
        assert result.records == RECORDS
        assert told[-1] == (RECORDS, RECORDS)
        assert told == sorted(told)


def test_one_in_memory_and_one_of_a_single_segment_need_no_process(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evlog.upkeep.audit_jobs.check_all", None)
    log = Log.open(MemoryFolder(), create=True)
    assert audit(log.folder, jobs=4).faults == []
    log.close()
    for path in segments(place)[1:]:
        path.unlink()
    audit(RealFolder(place), jobs=4)


# Links ---------------------------------------------------------------------------------------------------------------


def test_a_segment_of_another_history_is_named_and_what_is_in_it_is_checked_all_the_same(
    place: Path, tmp_path: Path
) -> None:
    """The same log id, other records: as of an insider who made a segment anew, with every checksum right."""
    shutil.copytree(place, tmp_path / "other")
    for path in [*segments(tmp_path / "other")[1:], tmp_path / "other" / "HEAD"]:
        path.unlink()
    path = segments(tmp_path / "other")[0]
    first = path.read_bytes()[: _positions(path)[4]]
    path.write_bytes(first)
    log = Log.open(tmp_path / "other")
    for number in range(100, 100 + RECORDS):
        with log.claim() as group:
            group.add(record(number))
            group.commit()
    log.close()
    shutil.copy(segments(tmp_path / "other")[2], segments(place)[2])
    for jobs in (1, 3):
        found = audit(RealFolder(place), jobs=jobs).faults
        assert [(fault.file, fault.position, fault.offset) for fault in found] == [
            (str(segments(place)[2]), 0, 16),
            (str(segments(place)[3]), 0, 24),
        ]
        assert {fault.reason for fault in found} == {"the segment header does not continue the log before it"}


def _positions(path: Path) -> list[int]:
    folder = RealFolder(path.parent)
    with closing(folder.open(path.name)) as file:
        return [frame.position for frame in segment.walk(file, 0, seed=_seed(path.parent))]


def _seed(place: Path) -> int:
    log = Log.open(place, writable=False)
    log.close()
    return seed_of(log.id)


def test_bytes_behind_a_seal_are_damage_for_opening_would_not_find_the_seal(place: Path) -> None:
    path = segments(place)[1]
    path.write_bytes(path.read_bytes() + bytes(16))
    (fault,) = audit(RealFolder(place)).faults
    assert (fault.file, fault.offset) == (str(path), 16)
    assert fault.position == path.stat().st_size - 16
    with pytest.raises(LogError):
        Log.open(place)


def test_a_header_whose_frontier_is_none_is_damage_and_no_traceback(place: Path) -> None:
    path = segments(place)[2]
    seed = _seed(place)
    with closing(RealFolder(place).open(path.name)) as file:
        header = segment.read_header(file, seed=seed)
    assert isinstance(header, segment.SegmentHeader)
    forged = segment.SegmentHeader(
        header.v,
        header.log_id,
        header.number,
        header.base,
        header.root,
        [bytes(32)] * 3,
        header.prev,
        header.time_us,
        "",
    )
    frame = segment.pack_header(forged, seed=seed)
    path.write_bytes(frame + path.read_bytes()[len(frame) :])
    (fault,) = audit(RealFolder(place)).faults
    assert (fault.position, fault.offset) == (0, 16)
    assert "frontier" in fault.reason


def test_a_leaf_of_a_newer_release_is_no_damage_but_a_reason_to_upgrade(place: Path) -> None:
    path, seed = segments(place)[-1], _seed(place)
    with closing(Log.open(place, writable=False)) as log:
        tip = log.tip_at_end()
    (place / "HEAD").unlink()
    frame = pack(2, b"", changes=0, offset=tip.end, time_us=tip.time_us + 1, synced=0, prev=tip.prev, seed=seed)
    assert CONTROL > 2
    path.write_bytes(path.read_bytes().rstrip(b"\0") + frame)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(frame)].ljust(data.index(frame) + -data.index(frame) % 8, b"\0") + frame)
    for jobs in (1, 3):
        with pytest.raises(UnknownTagError, match="upgrade"):
            audit(RealFolder(place), jobs=jobs)


# What a machine does -------------------------------------------------------------------------------------------------


def test_a_device_that_cannot_read_a_file_is_damage_and_the_rest_is_checked(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick, read = str(segments(place)[2]), RealFile.read

    def fail(file: RealFile, size: int, position: int) -> bytes:
        if file.name == sick:
            raise storage_error("read failed", file.name, OSError(errno.EIO, "Input/output error"))
        return read(file, size, position)

    monkeypatch.setattr(RealFile, "read", fail)
    result = audit(RealFolder(place))
    assert [(fault.file, fault.offset) for fault in result.faults] == [(sick, 16)]
    assert "Input/output" in result.faults[0].reason  # As the system says it.
    assert result.records == RECORDS - 8


def test_what_a_process_may_not_do_is_said_by_the_one_that_started_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = segments(place)[1]
    path.unlink()
    path.mkdir()  # Cannot be read, whoever one is.
    monkeypatch.setattr(segment, "bases", lambda _folder: [0, 8, 16])
    with pytest.raises(StorageError, match="directory"):
        audit(RealFolder(place), jobs=1)
    with pytest.raises(LogError, match="directory"):
        audit(RealFolder(place), jobs=2)


def test_a_segment_that_goes_meanwhile_is_a_finding(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments(place)[1].unlink()
    monkeypatch.setattr(segment, "bases", lambda _folder: [0, 8, 16])
    assert any("went" in reason for reason in faults(place))


def children() -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_process_that_is_killed_is_a_clear_error_and_no_other_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()
    tell = Worker.tell

    def killed(worker: Worker, line: bytes) -> None:
        if line == b"16":
            worker.stop()
        tell(worker, line)

    monkeypatch.setattr(Worker, "tell", killed)
    with pytest.raises(WorkerDiedError, match=r"killed by signal 9.*one process") as caught:
        audit(RealFolder(place), jobs=2)
    assert caught.value.code == -signal.SIGKILL
    assert children() == before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_an_audit_that_is_interrupted_leaves_no_process(place: Path) -> None:
    before = children()

    def stop(*_told: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(RealFolder(place), stop, jobs=2)
    assert children() == before


PARENT = """
import sys
from pathlib import Path
from evlog.upkeep.audit import audit
from evlog.files import RealFolder
from evlog.worker import Worker
make = Worker.__init__
def made(worker, module):
    make(worker, module)
    print(worker._child.pid, flush=True)
Worker.__init__ = made
def wait(done, total):
    print("busy", flush=True)
    sys.stdin.read()
audit(RealFolder(Path(sys.argv[1])), wait, jobs=2)
"""


def test_processes_end_when_the_one_that_started_them_is_killed(place: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PARENT, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        ids = [int(parent.stdout.readline()), int(parent.stdout.readline())]
        assert parent.stdout.readline() == "busy\n"
        parent.kill()
    until = time.monotonic() + 60
    while any(map(_alive, ids)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(_alive, ids))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_modules_in_the_callers_folder_are_not_those_that_work(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("struct.py", "evlog.py", "msgspec.py", "json.py"):
        (place.parent / name).write_text("raise SystemExit(7)")
    monkeypatch.chdir(place.parent)
    assert faults(Path("log"), jobs=2) == []


def test_a_folder_whose_name_is_no_text_is_checked_all_the_same(place: Path) -> None:
    odd = place.rename(os.fsdecode(os.fsencode(place.parent) + b"/\xff\n"))
    data = bytearray(segments(odd)[2].read_bytes())
    data[300] ^= 1
    segments(odd)[2].write_bytes(data)
    assert audit(RealFolder(odd), jobs=3) == audit(RealFolder(odd))
    assert len(faults(odd, jobs=3)) == 1


def test_a_check_of_one_segment_says_where_it_begins_and_ends(place: Path) -> None:
    folder, seed = RealFolder(place), _seed(place)
    found = [check(folder, base, seed=seed, sizes=()) for base in segment.bases(folder)]
    assert [one.records for one in found] == [8, 8, 8, 8, 8, 4]
    assert [one.sealed for one in found] == [True] * 5 + [False]
    for one, following in pairwise(found):
        assert following.begins == one.stops
