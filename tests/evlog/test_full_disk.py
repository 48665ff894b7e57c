"""A device that is full: a put is refused and leaves no trace, and the log can be opened, recovered and read all the while."""

from __future__ import annotations

import contextlib
import errno
import os
import random
from typing import TYPE_CHECKING

import pytest
from crash import numbers, record
from device import mounted, stuff
from disk import DeathError, Fault, SimulatedDisk, SimulatedFile

from evlog import ballast, group
from evlog.errors import DiskFullError, LogClosedError
from evlog.files import RealFolder
from evlog.log import Log
from replay.verify import verify_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tally import Tally

    from evlog.files import Folder

pytestmark = [pytest.mark.usefixtures("small_segments"), pytest.mark.faults]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "RESERVE_BYTES_MIN", 700)
    monkeypatch.setattr(group, "RESERVE_BYTES_MAX", 3_000)
    monkeypatch.setattr(ballast, "BYTES_MIN", 1_000)


def fill(writer: Log, put: list[int], size: int = 300) -> None:
    """Put records, each alone, until the device is full."""
    for number in range(len(put), 10_000):
        with writer.claim() as group:
            group.add(record(number, size))
            group.commit()
        put.append(number)


def refused(writer: Log, put: list[int]) -> None:
    with pytest.raises(DiskFullError):
        fill(writer, put)


@pytest.mark.parametrize("capacity", range(30_000, 34_000, 90))
def test_a_put_without_room_leaves_no_trace_and_others_go_on_once_there_is_room(capacity: int, tally: Tally) -> None:
    tally("full")
    disk = SimulatedDisk(capacity=capacity)
    writer, put = Log.open(disk, create=True), list[int]()
    refused(writer, put)
    assert numbers(Log.open(disk, writable=False)) == put
    for _ in range(3):
        with contextlib.suppress(DiskFullError, LogClosedError):
            fill(writer, put)
        assert verify_log(disk).sound
    disk.capacity = 60_000
    if writer._closed:  # The room ended amid the sealing of a segment.
        writer = Log.open(disk)
        assert writer.recovered is None or writer.recovered.size
    refused(writer, put)
    writer.close()
    assert numbers(Log.open(disk, writable=False)) == put
    assert verify_log(disk).sound


def test_a_put_that_was_refused_for_room_does_not_close_the_log() -> None:
    disk = SimulatedDisk(capacity=8_000)
    writer, put = Log.open(disk, create=True), list[int]()
    with pytest.raises(DiskFullError, match="nothing was put: free some space, then put again"):
        fill(writer, put, 5_000)
    disk.capacity = 100_000
    with writer.claim() as group:
        group.add(record(len(put)))
        group.commit()
    writer.close()
    assert numbers(Log.open(disk, writable=False)) == [*put, len(put)]
    assert disk.names("quarantine") == []


def test_what_was_written_of_a_refused_put_is_gone_before_anything_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SimulatedDisk(capacity=8_000)
    writer, put = Log.open(disk, create=True), list[int]()

    def fails(_file: object, _size: int) -> None:
        raise DiskFullError("truncate failed", file="x", cause=OSError(errno.ENOSPC, "full"))

    with monkeypatch.context() as patch:
        patch.setattr(SimulatedFile, "truncate", fails)
        with pytest.raises(DiskFullError):
            fill(writer, put, 5_000)
    with pytest.raises(LogClosedError):
        fill(writer, put)
    disk.capacity = 100_000
    again = Log.open(disk)
    assert numbers(again) == put
    assert again.recovered is not None


def test_a_sync_that_finds_no_room_closes_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SimulatedDisk()
    writer = Log.open(disk, create=True)

    def fails(_file: object) -> None:  # Once: the next one works, and saves nothing of what the first lost.
        monkeypatch.undo()
        raise DiskFullError("sync failed", file="x", cause=OSError(errno.ENOSPC, "full"))

    monkeypatch.setattr(SimulatedFile, "sync", fails)
    with pytest.raises(DiskFullError), writer.claim() as group:
        group.add(record(0))
        group.commit()
    with pytest.raises(LogClosedError):
        writer.claim().__enter__()


def torn(disk: SimulatedDisk) -> list[int]:
    """Fill a log on a disk, until a writer dies amid a write of which no room is left to recover."""
    writer, put = Log.open(disk, create=True), list[int]()
    for number in range(20):
        with writer.claim() as group:
            group.add(record(number, 200))
            group.commit()
        put.append(number)
    disk.fault = Fault(disk.steps + 1, "death amid")
    with pytest.raises(DeathError), writer.claim() as group:
        group.add(record(20, 600))
        group.commit()
    disk.restart()
    disk.capacity = disk.used()
    return put


def test_a_full_disk_is_recovered_with_the_room_of_the_ballast() -> None:
    disk = SimulatedDisk(capacity=200_000)
    put = torn(disk)
    assert ballast.NAME in disk.names()
    again = Log.open(disk)
    assert again.recovered is not None
    assert numbers(again) == put
    assert ballast.NAME not in disk.names()
    again.close()
    assert verify_log(disk).sound
    disk.capacity = 400_000
    Log.open(disk).close()
    assert ballast.NAME in disk.names()


def test_without_ballast_a_full_disk_is_refused_and_can_be_read() -> None:
    disk = SimulatedDisk(capacity=200_000)
    put = torn(disk)
    disk.inodes.pop(ballast.NAME)
    disk.capacity = disk.used()
    with pytest.raises(DiskFullError):
        Log.open(disk)
    assert numbers(Log.open(disk, writable=False)) == put
    disk.capacity = 400_000
    assert numbers(Log.open(disk)) == put


def test_whatever_call_finds_the_disk_full_the_log_can_be_opened_then_and_there(full: bool, tally: Tally) -> None:
    seeds = range(4_000 if full else 300)
    tally("full", len(seeds))
    for seed in seeds:
        rng = random.Random(seed)
        disk = SimulatedDisk(capacity=100_000)
        put: list[int] = []
        disk.fault = Fault(rng.randint(1, 90), "error before", errno.ENOSPC)
        with contextlib.suppress(DiskFullError):
            writer = Log.open(disk, create=True)
            for number in range(20):
                with writer.claim() as group:
                    group.add(record(number, 300))
                    group.commit()
                put.append(number)
        disk.restart()
        again = Log.open(disk, create=True)
        assert numbers(again)[: len(put)] == put, seed
        again.close()
        assert verify_log(disk).sound, seed


def test_the_ballast_is_not_larger_than_a_part_of_the_room() -> None:
    disk = SimulatedDisk(capacity=64_000)
    Log.open(disk, create=True).close()
    assert len(disk.inodes[ballast.NAME].cached) <= 4_000
    tiny = SimulatedDisk(capacity=9_000)
    Log.open(tiny, create=True).close()
    assert ballast.NAME not in tiny.names()


def test_the_ballast_takes_up_the_room_that_it_says(tmp_path: Path) -> None:
    folder = RealFolder(tmp_path)
    Log.open(folder, create=True).close()
    status = (tmp_path / ballast.NAME).stat()
    assert status.st_size == status.st_blocks * 512 == ballast.BYTES


# On a real device ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A tmpfs of as many KiB as the test asks for."""
    with mounted(tmp_path / "small", request.param) as place:
        yield place


def open_in(place: Path) -> tuple[Folder, Log]:
    folder = RealFolder(place / "log", create=True)
    return folder, Log.open(folder, create=True)


@pytest.mark.parametrize("small", [512, 1_024, 2_048, 8_192], indirect=True)
def test_a_real_device_that_is_full_is_written_on_once_there_is_room(small: Path, tally: Tally) -> None:
    tally("full")
    folder, writer = open_in(small)
    put: list[int] = []
    with writer.claim() as group:
        group.add(record(0))
        group.commit()
    put.append(0)
    stuffing = stuff(small)
    with contextlib.suppress(DiskFullError, LogClosedError):
        fill(writer, put)
    assert numbers(Log.open(folder, writable=False)) == put
    with contextlib.suppress(DiskFullError, LogClosedError):
        fill(writer, put)
    stuffing.unlink()
    if writer._closed:
        writer = Log.open(folder)
    with writer.claim() as group:
        group.add(record(len(put)))
        group.commit()
    writer.close()
    assert numbers(Log.open(folder, writable=False)) == [*put, len(put)]
    assert verify_log(folder).sound


@pytest.mark.parametrize("small", [1_024, 2_048, 8_192], indirect=True)
def test_a_torn_end_on_a_real_full_device_is_recovered_with_the_ballast(small: Path, tally: Tally) -> None:
    tally("full")
    folder, writer = open_in(small)
    with writer.claim() as group:
        group.add(record(0))
        group.commit()
    writer.close()
    assert (small / "log" / ballast.NAME).exists()
    with (small / "log" / "00000000000000000000.seg").open("ab") as file:
        file.write(os.urandom(20_000))
    stuff(small)
    again = Log.open(folder)
    assert again.recovered is not None
    assert again.recovered.size == 20_000
    assert numbers(again) == [0]
    again.close()
    assert verify_log(folder).sound
