"""Power cuts, deaths and failing calls at every step of a repair: it is done or can be done again, and nothing is lost by it."""

from __future__ import annotations

import errno
import random
from typing import TYPE_CHECKING, get_args

import pytest
from broken import AUTHOR, NOTHING, RECORDS, copy_of, flip, log_of, spoil
from crash import numbers
from disk import DeathError, Fault, Inode, PowerCutError, SimulatedDisk, Strike

from evlog import head, identity
from evlog.errors import RepairError, StorageError
from evlog.log import Log
from evlog.records import LossAccepted, Repaired
from evlog.segment import name_of
from evlog.upkeep.repair import NAME, Copy, Means, accept_loss, finish, repair
from replay.verify import verify_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from tally import Tally

    from evlog.memory import MemoryFolder

pytestmark = [pytest.mark.usefixtures("small_segments"), pytest.mark.faults]
STRIKES = get_args(Strike)
LOST_AT = 17


def disk_of(folder: MemoryFolder) -> SimulatedDisk:
    disk = SimulatedDisk()
    disk.inodes = {name: Inode(bytearray(data), bytearray(data)) for name, data in folder.files.items()}
    disk.durable_names = dict(disk.inodes)
    return disk


def damaged(whole: MemoryFolder) -> MemoryFolder:
    folder = copy_of(whole)
    spoil(folder, 9)
    spoil(folder, 34)
    del folder.files[name_of(16)]
    flip(folder, identity.NAME, 30)
    folder.files[head.NAME] = bytearray(len(folder.files[head.NAME]))
    return folder


def until_done(disk: SimulatedDisk, work: Callable[[SimulatedDisk], object], rng: random.Random) -> SimulatedDisk:
    """Do the work on a disk that fails, again and again, until it is done; return the disk as it is then."""
    for _ in range(4):
        disk.fault = Fault(disk.steps + rng.randint(1, 45), rng.choice(STRIKES), rng.choice([errno.EIO, errno.ENOSPC]))
        try:
            work(disk)
        except PowerCutError:
            disk = disk.cut(rng)
        except (DeathError, StorageError):
            disk.restart()
            disk = disk.cut(rng) if rng.random() < 0.4 else disk
        else:
            disk.restart()
    work(disk)
    return disk


def reported(disk: SimulatedDisk, kind: type) -> list[Repaired | LossAccepted]:
    log = Log.open(disk)  # Not to read: HEAD may be behind.
    found = [change for entry in log.read(0) for change in entry.record.changes if isinstance(change, kind)]
    log.close()
    return found


@pytest.mark.parametrize("worker", range(3))
def test_whatever_stops_a_repair_it_can_be_done_again_and_is_on_record_once(
    worker: int, full: bool, tally: Tally
) -> None:
    whole = log_of()
    broken = damaged(whole)
    seeds = range(worker, 6_000 if full else 240, 3)
    tally("repair", 4 * len(seeds))
    for seed in seeds:
        disk = until_done(
            disk_of(broken),
            lambda disk: repair(disk, Means([Copy("copy", whole)], NOTHING), AUTHOR),
            random.Random(seed),
        )
        log = Log.open(disk)  # What the last of the power cuts left torn is cut off.
        assert numbers(log) == list(range(RECORDS)), seed
        log.close()
        assert verify_log(disk).findings == [], seed
        told = reported(disk, Repaired)
        files = {one.file: one for change in told for one in change.mended}  # type: ignore[union-attr]
        assert set(files) >= {name_of(8), name_of(16), name_of(32), identity.NAME}, seed
        for name in (name_of(8), name_of(32), identity.NAME):
            kept = bytes(disk.inodes[files[name].quarantine].cached)
            assert kept == bytes(broken.files[name]), (seed, name)
        assert NAME not in disk.names(), seed
        names = [one.file for change in told for one in change.mended if one.file != head.NAME]  # type: ignore[union-attr]
        assert sorted(names) == sorted(set(names)), (seed, names)


def accept(disk: SimulatedDisk) -> None:
    try:
        accept_loss(disk, Means([], NOTHING), LOST_AT)
    except RepairError as error:
        assert "no record is lost" in str(error)  # noqa: PT017 - it was done before
    else:
        finish(disk, AUTHOR)


@pytest.mark.parametrize("worker", range(3))
def test_whatever_stops_the_accepting_of_a_loss_it_can_be_done_again(worker: int, full: bool, tally: Tally) -> None:
    broken = log_of()
    spoil(broken, LOST_AT)
    seeds = range(worker, 6_000 if full else 240, 3)
    tally("repair", 4 * len(seeds))
    for seed in seeds:
        disk = until_done(disk_of(broken), accept, random.Random(seed))
        report = verify_log(disk)
        assert report.sound, (seed, report.findings)
        (told,) = reported(disk, LossAccepted)
        assert isinstance(told, LossAccepted)
        assert (told.end, told.known) == (LOST_AT, RECORDS), seed
        kept = [bytes(disk.inodes[name].cached) for name in told.quarantine]
        for base in (16, 24, 32):
            assert bytes(broken.files[name_of(base)]) in kept, (seed, base)
        log = Log.open(disk)
        assert numbers(log) == list(range(LOST_AT)), seed
        log.close()
