"""Segments compressed in place, on a disk that crashes at every step, beside others, and with what they may find there."""

from __future__ import annotations

import copy
import errno
import json
import os
import random
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING, get_args

import pytest
from crash import numbers, record
from disk import DeathError, Fault, PowerCutError, SimulatedDisk, SimulatedFile, Strike

from evlog import compression, head, segment
from evlog.compression import compress_all, waiting
from evlog.errors import CorruptLogError, LogError, StorageError
from evlog.files import RealFolder, held
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.upkeep.audit import audit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tally import Tally

    from evlog.files import Folder

SEED_OF_CHANCE = 4
RECORDS = 28  # Three full segments of eight and a half.


@pytest.fixture(autouse=True)
def _small(small_segments: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert small_segments
    monkeypatch.setattr(compression, "BLOCK_BYTES", 1024)  # Several blocks a segment.


def put(log: Log, start: int, stop: int) -> None:
    for number in range(start, stop):
        with log.claim() as group:
            group.add(record(number, 100))
            group.commit()


def filled(folder: Folder, records: int = RECORDS) -> Folder:
    with closing(Log.open(folder, create=True)) as log:
        put(log, 0, records)
    return folder


def seed_of(folder: Folder) -> int:
    with closing(Log.open(folder, writable=False)) as log:
        return log.seed


def contents(folder: Folder) -> tuple[list[int], bytes]:
    """Return the records put into a log and their root, which are the same for one who writes, one who reads and one who verifies.

    What a power cut left behind the last of them is on record behind them, and does not count.
    """
    with closing(Log.open(folder)) as log, closing(Log.open(folder, writable=False)) as reader:
        found, end = numbers(log), log.end
        root = log.tip_at(len(found)).tree.root()
        assert (numbers(reader), reader.tip_at(len(found)).tree.root()) == (found, root)
    report = audit(folder, sizes=[len(found)])
    assert (report.faults, report.records, report.roots[len(found)]) == ([], end, root)
    return found, root


def forms(folder: Folder) -> dict[int, str]:
    """Return in which form each segment is there: raw, zst, or both."""
    names = folder.names()
    return {
        base: "+".join(
            form
            for form, name in (("raw", segment.name_of(base)), ("zst", segment.compressed_name_of(base)))
            if name in names
        )
        for base in segment.bases(folder)
    }


def test_sealed_segments_are_compressed_and_read_as_before() -> None:
    folder = filled(MemoryFolder())
    before, seed = contents(folder), seed_of(folder)
    sizes = {base: segment.size_of(folder, base) for base in segment.bases(folder)}
    assert waiting(folder, seed=seed) == [0, 8, 16]
    done = compress_all(folder, seed=seed)
    assert [one.base for one in done] == [0, 8, 16]
    assert all(one.size_compressed < one.size == sizes[one.base] for one in done)
    assert forms(folder) == {0: "zst", 8: "zst", 16: "zst", 24: "raw"}
    assert contents(folder) == before
    assert {base: segment.size_of(folder, base) for base in segment.bases(folder)} == sizes
    assert compress_all(folder, seed=seed) == []
    assert not [name for name in folder.names() if name.endswith(".new")]


def test_every_look_into_a_compressed_log_answers_as_before() -> None:
    folder = filled(MemoryFolder())

    def answers() -> list[object]:
        with closing(Log.open(folder, writable=False)) as log:
            times = [entry.time_us for entry in log.read(0)]
            return [
                times,
                [log.offset_at(time + more) for time in times for more in (-1, 0, 1)],
                [log.tip_at(offset).tree.root() for offset in range(RECORDS + 1)],
                [log.leaf_prefix(offset) for offset in range(RECORDS + 1)],
                [entry.offset for entry in log.read_each([0, 3, 7, 8, 20, 27])],
                [log.frame(offset).position for offset in (27, 0, 15, 16, 8)],
                [[entry.offset for entry in log.read(start, 28)] for start in range(28)],
            ]

    before = answers()
    compress_all(folder, seed=seed_of(folder))
    assert answers() == before


@pytest.mark.faults
@pytest.mark.parametrize("strike", get_args(Strike))
def test_whatever_stops_it_at_any_step_the_log_is_what_it_was_and_the_next_run_finishes(
    strike: Strike, full: bool, tally: Tally
) -> None:
    tally("compress", strike_at_every_step(strike, cuts=20 if full else 1))


def strike_at_every_step(strike: Strike, *, cuts: int) -> int:
    """Strike a run at each of its steps; each time look at what goes on, and at so many power cuts after it; return how many states."""
    chance = random.Random(SEED_OF_CHANCE)
    clean = filled(SimulatedDisk(), 20)
    expected, seed = contents(clean), seed_of(clean)
    clean.sync_names()
    steps = steps_of_compressing(clean, seed)
    for step in range(1, steps + 1):
        disk = copy.deepcopy(clean)
        disk.fault = Fault(disk.steps + step, strike, chance.choice([errno.EIO, errno.ENOSPC]))
        with suppress(PowerCutError, DeathError, StorageError):
            compress_all(disk, seed=seed)
        disk.restart()
        with closing(Log.open(disk, writable=False)) as reader:  # A process that goes on, and sees what is not durable.
            assert numbers(reader) == expected[0]
        for _ in range(cuts):
            look_and_finish(disk.cut(chance), seed, expected, chance)
        if not strike.startswith("cut"):
            look_and_finish(disk, seed, expected, chance)
    return steps * (cuts + 1)


def steps_of_compressing(clean: SimulatedDisk, seed: int) -> int:
    disk = copy.deepcopy(clean)
    compress_all(disk, seed=seed)
    return disk.steps - clean.steps


@pytest.mark.faults
@pytest.mark.parametrize(
    ("owner", "name"), [(SimulatedFile, "sync"), (SimulatedDisk, "sync_names")], ids=["no sync", "no sync of names"]
)
def test_a_run_that_leaves_out_a_sync_is_caught(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    tally("mutants")

    def compress_carelessly(*arguments: object, **named: object) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, lambda _self: None)
            return compress(*arguments, **named)  # type: ignore[arg-type]

    compress = compression.compress
    monkeypatch.setattr(compression, "compress", compress_carelessly)
    with pytest.raises((AssertionError, LogError, FileNotFoundError)):
        for _ in range(3):
            strike_at_every_step("cut after", cuts=3)


def look_and_finish(disk: SimulatedDisk, seed: int, expected: tuple[list[int], bytes], chance: random.Random) -> None:
    """Open what a crash left, let another crash strike the next run, and see that the one after finishes."""
    found, root = contents(disk)
    assert (found, root) == expected
    disk.fault = Fault(disk.steps + chance.randint(1, 12), chance.choice(["cut before", "cut after", "death amid"]))
    try:
        compress_all(disk, seed=seed)
    except PowerCutError:
        disk = disk.cut(chance)
    except DeathError:
        pass
    disk.restart()
    assert contents(disk) == expected
    compress_all(disk, seed=seed)
    assert set(list(forms(disk).values())[:-1]) == {"zst"}
    assert contents(disk) == expected
    after = disk.cut(chance)
    assert contents(after) == expected
    assert set(list(forms(after).values())[:-1]) == {"zst"}, "what was removed stays removed"


def test_the_file_as_written_counts_as_long_as_it_is_there() -> None:
    folder = filled(MemoryFolder())
    before, seed = contents(folder), seed_of(folder)
    folder.files[segment.compressed_name_of(0)] = bytearray(b"what a crash left")
    assert contents(folder) == before
    compress_all(folder, seed=seed)
    assert forms(folder)[0] == "zst"
    assert contents(folder) == before


def test_a_whole_compressed_file_left_by_a_crash_is_kept_and_not_written_again() -> None:
    folder = filled(MemoryFolder())
    seed = seed_of(folder)
    raw = bytes(folder.files[segment.name_of(0)])
    compress_all(folder, seed=seed)
    left = folder.files[segment.compressed_name_of(0)]
    folder.files[segment.name_of(0)] = bytearray(raw)
    compress_all(folder, seed=seed)
    assert folder.files[segment.compressed_name_of(0)] is left
    assert forms(folder)[0] == "zst"


@pytest.mark.parametrize("position", [0, 70, 900, -70, -3])
def test_a_damaged_segment_is_refused_and_stays_as_it_is(position: int) -> None:
    folder = filled(MemoryFolder())
    seed = seed_of(folder)
    folder.files[segment.name_of(8)][position] ^= 4
    before = {name: bytes(data) for name, data in folder.files.items()}
    with pytest.raises(CorruptLogError, match="00000000000000000008.seg"):
        compress_all(folder, seed=seed)
    assert forms(folder) == {0: "zst", 8: "raw", 16: "raw", 24: "raw"}, "what came before it is done"
    assert bytes(folder.files[segment.name_of(8)]) == before[segment.name_of(8)]
    assert not [name for name in folder.names() if name.endswith(".new")]


def test_a_segment_whose_seal_does_not_fit_its_records_is_refused_by_the_walk_alone() -> None:
    folder = filled(MemoryFolder())
    with closing(Log.open(folder, writable=False)) as log:
        seed, prev = log.seed, log.frame(8).prev
    with closing(segment.open_file(folder, 0)) as file:
        place = segment.read_seal(file, seed=seed)
    assert place is not None
    wrong = segment.Seal(
        **{name: getattr(place.seal, name) for name in place.seal.__struct_fields__} | {"root": b"\1" * 32}
    )
    data = folder.files[segment.name_of(0)]
    data[place.position :] = segment.pack_seal(wrong, prev=prev, seed=seed)
    with pytest.raises(CorruptLogError, match="root"):
        compression.compress(folder, 0, seed=seed, frames=True)
    assert forms(folder)[0] == "raw"


def test_what_the_device_gives_back_otherwise_than_it_was_written_is_thrown_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = filled(MemoryFolder())
    before, seed = contents(folder), seed_of(folder)
    create = MemoryFolder.create

    def create_on_a_liar(self: MemoryFolder, name: str) -> object:
        file = create(self, name)
        write = file.write
        file.write = lambda data, position: write(bytes([data[0] ^ 1]) + data[1:], position)  # type: ignore[method-assign]
        return file

    with monkeypatch.context() as lying:
        lying.setattr(MemoryFolder, "create", create_on_a_liar)
        with pytest.raises(StorageError, match="not what was written"):
            compress_all(folder, seed=seed)
    assert set(forms(folder).values()) == {"raw"}
    assert not [name for name in folder.names() if name.endswith(".new")]
    assert contents(folder) == before


def test_nothing_is_compressed_that_head_does_not_speak_of_as_left_behind() -> None:
    folder = MemoryFolder()
    log = Log.open(folder, create=True)
    put(log, 0, 8)  # Full, and not yet sealed.
    seed = log.seed
    assert waiting(folder, seed=seed) == []
    put(log, 8, 9)
    log.close()
    assert waiting(folder, seed=seed) == [0]
    mark = head.read(folder, seed=seed)
    assert mark is not None
    del folder.files["HEAD"]
    assert waiting(folder, seed=seed) == [], "who is writing where is not known"


def test_a_writer_that_has_the_file_open_goes_on_when_another_sealed_and_compressed_it(tmp_path: Path) -> None:
    folder = RealFolder(tmp_path / "log", create=True)
    first, second = Log.open(folder, create=True), Log.open(folder)
    put(first, 0, 5)
    put(second, 5, 28)
    compress_all(folder, seed=first.seed)
    assert forms(folder) == {0: "zst", 8: "zst", 16: "zst", 24: "raw"}
    put(first, 28, 30)  # It has the first segment open, without a name, and the next ones only compressed.
    put(second, 30, 31)
    put(first, 31, 32)
    assert numbers(first) == list(range(32))
    first.close()
    second.close()
    assert contents(folder)[0] == list(range(32))


def test_a_reader_goes_on_while_the_segment_that_it_reads_is_compressed(tmp_path: Path) -> None:
    folder = filled(RealFolder(tmp_path / "log", create=True))
    with closing(Log.open(folder, writable=False)) as log:
        reading = log.read(0)
        found = [next(reading).offset for _ in range(3)]
        compress_all(folder, seed=log.seed)
        found += [entry.offset for entry in reading]
        assert found == list(range(RECORDS))
        assert log.frame(5).offset == 5
        assert [entry.offset for entry in log.read(2)] == list(range(2, RECORDS))


def test_what_is_open_to_be_read_is_read_to_its_seal_after_it_lost_its_name_and_a_writer_is_told(
    tmp_path: Path,
) -> None:
    folder = filled(RealFolder(tmp_path / "log", create=True))
    with (
        closing(segment.open_file(folder, 0)) as file,
        closing(folder.open(segment.name_of(0), writable=True)) as written,
    ):
        compress_all(folder, seed=seed_of(folder))
        place = segment.read_seal(file, seed=seed_of(folder))
        assert place is not None
        assert place.seal.end == 8
        with pytest.raises(StorageError, match="removed while it was open"):
            written.size()


def test_a_file_that_went_between_its_listing_and_its_opening_is_found_in_its_other_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = filled(MemoryFolder())
    seed = seed_of(folder)
    names = folder.names()
    compress_all(folder, seed=seed)
    monkeypatch.setattr(MemoryFolder, "names", lambda _self, _subfolder="": names)
    with closing(Log.open(folder, writable=False)) as log:
        assert numbers(log) == list(range(RECORDS))


def test_a_long_listing_that_was_read_in_parts_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(MemoryFolder())
    whole = folder.names()
    torn = [name for name in whole if name != segment.name_of(8)]
    listings = iter([torn, whole, whole])
    monkeypatch.setattr(segment, "NAMES_AT_ONCE", 3)
    monkeypatch.setattr(MemoryFolder, "names", lambda _self, _subfolder="": next(listings))
    assert segment.bases(folder) == [0, 8, 16, 24]


def test_readers_and_a_writer_notice_nothing_while_segments_are_compressed_all_the_time(tmp_path: Path) -> None:
    folder = RealFolder(tmp_path / "log", create=True)
    writer = Log.open(folder, create=True)
    put(writer, 0, 1)
    stop, errors = threading.Event(), []

    def compressing() -> None:
        try:
            while not stop.is_set():
                compress_all(folder, seed=writer.seed)
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    def reading() -> None:
        try:
            while not stop.is_set():
                with closing(Log.open(folder, writable=False)) as log:
                    found = numbers(log)
                    assert found == list(range(len(found)))
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    threads = [threading.Thread(target=one) for one in (compressing, compressing, reading)]
    for thread in threads:
        thread.start()
    put(writer, 1, 300)
    stop.set()
    for thread in threads:
        thread.join()
    writer.close()
    assert errors == []
    compress_all(folder, seed=writer.seed)
    assert contents(folder)[0] == list(range(300))
    assert set(list(forms(folder).values())[:-1]) == {"zst"}


def test_processes_compress_one_log_and_each_segment_once(tmp_path: Path) -> None:
    folder = filled(RealFolder(tmp_path / "log", create=True), 80)
    command = [sys.executable, "-m", "mlmd.cli", "-s", tmp_path, "compress", "--json"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    told = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sum(one["segments_compressed"] for one in told) == len(segment.bases(folder)) - 1
    assert set(list(forms(folder).values())[:-1]) == {"zst"}
    assert contents(folder)[0] == list(range(80))


def test_a_lock_that_another_has_is_not_taken_and_is_told(tmp_path: Path) -> None:
    folder = RealFolder(tmp_path, create=True)
    for one, other in ((folder.lock("A"), folder.lock("A")), *[[MemoryFolder().lock("A")] * 2]):
        with held(one):
            assert not other.try_acquire()
        assert other.try_acquire()
        other.release()
    one.close()


def test_sealed_segments_are_read_only_in_either_form(tmp_path: Path) -> None:
    folder = filled(RealFolder(tmp_path / "log", create=True))

    def modes() -> list[int]:
        paths = sorted(folder.path.glob("*.seg*"))
        return [stat.S_IMODE(path.stat().st_mode) for path in paths]

    assert modes()[:-1] == [0o444] * 3
    assert modes()[-1] & stat.S_IWUSR
    compress_all(folder, seed=seed_of(folder))
    assert modes()[:-1] == [0o444] * 3


AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from evlog import log, segment, compression
from evlog.files import RealFolder
from crash import numbers, record
if os.getuid() == 0:  # After the imports: the other one may not read the code.
    os.setgid(65534)
    os.setuid(65534)
log.SEGMENT_RECORDS_MAX, segment.INDEX_STEP = 8, 4
def put(log, start, stop):
    for number in range(start, stop):
        with log.claim() as group:
            group.add(record(number)); group.commit()
place = Path(sys.argv[1])
first, second = log.Log.open(place, create=True), log.Log.open(place)
put(first, 0, 3)
put(second, 3, 20)
put(first, 20, 30)  # Reads on through segments that are sealed, and may not be opened for writing any more.
compression.compress_all(RealFolder(place), seed=first.seed)
put(second, 30, 40)
assert numbers(second) == list(range(40))
first.close(); second.close()
log.Log.open(place).close()
compression.compress_all(RealFolder(place), seed=first.seed)
with_all = log.Log.open(place, writable=False)
assert numbers(with_all) == list(range(40)), numbers(with_all)
"""


def test_a_user_without_privileges_writes_beside_read_only_segments() -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        path = os.pathsep.join(one for one in sys.path if one)
        command = [sys.executable, "-c", AS_ANOTHER_USER, place]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
        modes = [stat.S_IMODE(os.stat(os.path.join(place, name)).st_mode) for name in os.listdir(place)]
        assert modes.count(0o444) == 5


def test_an_interrupted_run_leaves_nothing_and_changes_nothing() -> None:
    folder = filled(MemoryFolder())
    before, seed = contents(folder), seed_of(folder)
    for stop_at in range(1, 12):
        calls = iter(range(stop_at))

        def breathe(calls: Iterator[int] = calls) -> None:
            if next(calls, None) is None:
                raise LogError("stopped")

        with suppress(LogError):
            compression.compress(folder, 0, seed=seed, frames=False, breathe=breathe)
        assert not [name for name in folder.names() if name.endswith(".new")]
        assert contents(folder) == before
