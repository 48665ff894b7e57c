"""Lives of a log on a disk that crashes: append, fail, restart, lose power, reopen, and check what is left.

`live` plays one life from a seed and returns how many faults struck, of each kind, after which it looked. Two writers share the disk: when a fault strikes
one, the machine loses power, or the process starts again, or the other writer, open all the while, takes over. It fails with
AcknowledgedLostError, PhantomError or the log's own refusal, whatever broke first; a note names the seed.
"""

from __future__ import annotations

import errno
import itertools
import random
from collections import Counter
from hashlib import sha256
from typing import get_args
from unittest import mock

import disk
from disk import DeathError, Fault, PowerCutError, SimulatedDisk, Strike

from evlog import log as log_module
from evlog import segment
from evlog.author import Author
from evlog.compression import compress_all
from evlog.errors import CorruptLogError, StorageError
from evlog.log import Log
from evlog.records import ContextPut, LogRecovered, Record
from evlog.upkeep.audit import audit

AUTHOR = Author(actor="test", application="crash", reason=None)
AUTHOR.host, AUTHOR.pid = "host", 1  # A seed plays the same life everywhere.
STRIKES = get_args(Strike)
ROUNDS = 4
STEPS_MAX = 60
STEPS_OF_RECOVERY = 16


class AcknowledgedLostError(AssertionError):
    """A record was acknowledged and is not there."""


class PhantomError(AssertionError):
    """A record is there that nobody put, or in another place."""


def record(number: int, size: int = 0) -> Record:
    """Return a record that tells its number."""
    change = ContextPut(id=number, type_id=1, create_time_ms=number, update_time_ms=number, name="x" * size)
    return Record(AUTHOR.envelope("PutContexts", number), [change])


def numbers(log: Log) -> list[int]:
    """Return the numbers of the records in a log, in order."""
    return [change.id for entry in log.read(0) for change in entry.record.changes if isinstance(change, ContextPut)]


class Clock:
    """Goes forth, stands still, goes back."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.now = rng, 1_000_000

    def __call__(self) -> int:
        self.now = max(0, self.now + self.rng.choice([0, 1, 50, 5000, -300]))
        return self.now


class Life:
    """One store from its first byte, with everything it was told and has answered."""

    STUBBORN = False

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock(self.rng)
        self.disk = SimulatedDisk()
        self.writers: list[Log | None] = [None, None]
        self.numbers = 0
        self.acknowledged: list[int] = []
        self.pending: list[int] = []
        self.end = 0
        self.struck: Counter[str] = Counter()

    def play(self) -> None:
        """Let faults strike, and look at what they leave."""
        for _ in range(ROUNDS):
            self.suffer(STEPS_MAX)
            while self.rng.random() < 0.4:
                self.suffer(STEPS_OF_RECOVERY)  # While what the one before left is being repaired.
            if self.rng.random() < 0.5:
                self.lose_power()  # Nothing was going on: everything acknowledged must be there.
            self.look()

    def suffer(self, steps: int) -> None:
        """Work until a fault strikes within so many steps; what it leaves is not looked at here."""
        at, strike = self.disk.steps + self.rng.randint(1, steps), self.rng.choice(STRIKES)
        self.disk.fault = Fault(at, strike, self.rng.choice([errno.EIO, errno.ENOSPC]))
        try:
            self.work()
        except PowerCutError:
            self.lose_power()
        except (DeathError, StorageError):
            self.struck["death" if strike.startswith("death") else "error"] += 1
            self.disk.restart()
            if self.rng.random() < 0.5:
                self.take_over()
            elif self.rng.random() < 0.5:
                self.lose_power()
        else:
            self.disk.restart()

    def work(self) -> None:
        """Append groups through either writer until the fault strikes; that writer is then gone."""
        for _ in range(self.rng.randint(1, 14)):
            number = self.rng.randrange(2)
            writer, self.writers[number] = self.writers[number], None
            if writer is None or writer._closed:
                writer = self.open()
            if self.rng.random() < 0.15:
                writer.close()
                writer = self.open()
            if self.rng.random() < 0.15:
                compress_all(self.disk, seed=writer.seed)
            self.writers[number] = writer if self.STUBBORN else None  # Who failed is gone, but in one mutant.
            self.append(writer)
            self.writers[number] = writer

    def append(self, writer: Log) -> None:
        """Append one group and take note of the answer."""
        with writer.claim() as group:
            self.compare(writer)
            for _ in range(self.rng.randint(1, 4)):
                if group.full:
                    break
                group.add(record(self.numbers, self.rng.choice([0, 10, 700])))
                self.pending.append(self.numbers)
                self.numbers += 1
            group.commit()
        self.acknowledged += self.pending
        self.pending, self.end = [], writer.end

    def take_over(self) -> None:
        """Let the writer that was not struck go on, on the same machine, without reopening."""
        for writer in self.writers:
            if writer is not None and not writer._closed:
                self.append(writer)
                self.append(writer)

    def lose_power(self) -> None:
        self.struck["cut"] += 1
        self.disk = self.disk.cut(self.rng)
        self.writers = [None, None]

    def open(self) -> Log:
        witness = self.end if self.rng.random() < 0.5 else 0
        return Log.open(self.disk, create=True, acknowledged=witness, clock=self.clock)

    def look(self) -> None:
        """Reopen and compare with what was acknowledged."""
        log = self.open()
        self.compare(log)
        times = [entry.time_us for entry in log.read(0)]
        assert times == sorted(set(times)), "the times of records go back"
        self.look_at_quarantine(log)
        bases = segment.bases(self.disk)
        for base, following in itertools.pairwise(bases):
            assert following - base == log_module.SEGMENT_RECORDS_MAX, "a sealed segment is not exactly full"
        reader = Log.open(self.disk, writable=False)
        assert (reader.end, reader.tip_at_end().prev) == (log.end, log.tip_at_end().prev), "a reader sees another log"
        reader.close()
        log.close()
        assert [fault for fault in audit(self.disk).faults if fault.severity == "damage"] == []

    def compare(self, log: Log) -> None:
        """Compare with what was acknowledged; what is there now stays."""
        found, known = numbers(log), len(self.acknowledged)
        if found[:known] != self.acknowledged:
            raise AcknowledgedLostError(f"{self.acknowledged} were acknowledged, {found} are there")
        if found[known:] != self.pending[: len(found) - known]:
            raise PhantomError(f"after the acknowledged ones {found[known:]}, of {self.pending}")
        self.acknowledged, self.pending, self.end = found, [], log.end

    def look_at_quarantine(self, log: Log) -> None:
        """Check that whatever was cut is kept and on record, and that the record tells the truth."""
        reported = {
            change.quarantine: change
            for entry in log.read(0)
            for change in entry.record.changes
            if isinstance(change, LogRecovered)
        }
        kept = {f"quarantine/{name}" for name in self.disk.names("quarantine")}
        assert set(reported) <= kept, "what was cut is gone"
        for name in kept:
            data = bytes(self.disk.inodes[name].cached)
            whole = sha256(data).hexdigest().startswith(name.rsplit("-", 1)[1])
            assert not whole or name in reported, "something was cut and is not on record"
            assert name not in reported or reported[name].sha256 == sha256(data).digest(), (
                "the copy is not what was cut"
            )


def live(seed: int) -> Counter[str]:
    """Play one life; return how many faults struck, by kind: cut, error, death."""
    life = Life(seed)
    try:
        with mock.patch.object(log_module, "Author", lambda: AUTHOR):
            life.play()
    except (AssertionError, CorruptLogError) as error:
        error.add_note(f"seed {seed}")
        raise
    return life.struck


def lives(seeds: range) -> Counter[str]:
    """Play many lives; return how many faults struck, by kind."""
    struck: Counter[str] = Counter()
    for seed in seeds:
        struck += live(seed)
    return struck


__all__ = ["AcknowledgedLostError", "PhantomError", "disk", "live", "lives", "numbers", "record"]
