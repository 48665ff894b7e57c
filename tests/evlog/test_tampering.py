"""What stands beside the log, flipped and cut at every byte; and whoever rewrites, or puts back, all of it at once."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from broken import copy_of, grow, log_of
from crash import numbers, record

from evlog import head
from evlog.errors import DamagedBackupError, EvidenceError, FormatVersionError, LostRecordsError
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.segment import base_of
from evlog.tlog import checkpoint, keys, policy
from evlog.tlog.publisher import in_memory
from evlog.tlog.review import Promise
from evlog.tlog.shelf import MemoryShelf
from evlog.tlog.tiles import Tiles
from evlog.upkeep import manifest
from evlog.upkeep.backup import backup
from evlog.upkeep.restore import check
from replay.verify import verify_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tally import Tally

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("small_segments")]
LEAVES = 300  # More than a tile has.
RECORDS = 36


def spoiled(data: bytes, step: int) -> Iterator[tuple[str, int, bytes]]:
    """Yield some bytes with a bit flipped in each `step`th of them, then cut before each."""
    for at in range(0, len(data), step):
        yield "flip", at, data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        yield "cut", at, data[:at]


def unnoticed(
    data: bytes, step: int, reads: Callable[[bytes], object], tally: Tally, row: str
) -> list[tuple[str, int]]:
    """Return where a change of some bytes passes: read without a complaint, and as something else than they were."""
    was, passed = reads(data), []
    assert was is not None
    for way, at, changed in spoiled(data, step):
        if reads(changed) not in (None, was):
            passed.append((way, at))
    tally(f"flip {row}", len(range(0, len(data), step)))
    tally(f"cut {row}", len(range(0, len(data), step)))
    return passed


def test_tiles_flipped_or_cut_anywhere_are_found(full: bool, tally: Tally) -> None:
    shelf = MemoryShelf()
    log = Log.open(MemoryFolder(), create=True)
    with log.claim() as group:
        for number in range(LEAVES):
            group.add(record(number))
        group.commit()
    head_of_tree = in_memory(log, shelf)
    tiles = Tiles(shelf)
    assert [*tiles.faults(LEAVES)] == []
    assert len(shelf.files) > 3
    for name, data in list(shelf.files.items()):

        def reads(changed: bytes, name: str = name) -> object:
            """Return the root and the leaves as the tiles have them, None where something is wrong with them."""
            shelf.files[name] = changed
            if [*tiles.faults(LEAVES)] or tiles.root(LEAVES) != head_of_tree.root:
                return None
            return "sound"

        step = 1 if full else 401
        found = [(way, at) for way, at, changed in spoiled(data, step) if reads(changed) is not None]
        shelf.files[name] = data
        tally("flip tiles", len(range(0, len(data), step)))
        tally("cut tiles", len(range(0, len(data), step)))
        assert found == [], name


def test_a_signed_checkpoint_flipped_or_cut_anywhere_is_refused(tally: Tally) -> None:
    key = keys.new("evlog/test")
    trusted = policy.parse(f"log {key.verifier.vkey}\nquorum none\n".encode())

    def reads(data: bytes) -> object:
        try:
            signed = checkpoint.parse(data)
            trusted.check(signed)
        except EvidenceError:
            return None
        return signed.checkpoint

    signed = checkpoint.seal(checkpoint.Checkpoint("evlog/test", 1234, bytes(range(32))), key)
    assert unnoticed(signed.data, 1, reads, tally, "checkpoint") == []


def test_the_manifest_of_a_backup_flipped_or_cut_anywhere_is_refused_or_says_the_same(full: bool, tally: Tally) -> None:
    target = MemoryFolder()
    backup(log_of(RECORDS), target)
    data = bytes(target.files[manifest.NAME])
    assert check(target).end == RECORDS

    def reads(changed: bytes) -> object:
        """Return what a backup holds, as it is restored: not when it was made, nor by what."""
        target.files[manifest.NAME] = bytearray(changed)
        try:
            found = check(target)
        except (DamagedBackupError, FormatVersionError):
            return None
        return found.log_id, found.origin, found.end, found.root, found.files

    assert unnoticed(data, 1 if full else 7, reads, tally, "manifest") == []
    target.files[manifest.NAME] = bytearray(data)
    log_id = manifest.read(target).log_id.encode()  # type: ignore[union-attr] # It is there.
    upper = data.replace(log_id, log_id.upper(), 1)
    assert upper != data
    assert reads(upper) is None, "one thing has one spelling"
    tally("flip manifest", 0, "but for the time at which it was made, and by which release: nothing checks these two")


def rewritten(old: MemoryFolder, rng: random.Random) -> MemoryFolder:
    """Return the log as an insider makes it anew, one record of it another: every checksum, link, seal and root is right."""
    folder = copy_of(old)
    for name in [name for name in folder.files if base_of(name) is not None or name == head.NAME]:
        del folder.files[name]
    changed = rng.randrange(RECORDS)
    with closing(Log.open(folder)) as log:
        grow(log, [number if number != changed else 1_000 + number for number in range(RECORDS)])
    return folder


def promise_of(folder: MemoryFolder) -> Promise:
    """Return a checkpoint as one who keeps it elsewhere has it."""
    with closing(Log.open(folder, writable=False)) as log:
        return Promise("kept", checkpoint.seal(in_memory(log, MemoryShelf()), None))


def test_an_insider_who_rewrites_everything_is_found_by_one_old_checkpoint_and_by_nothing_else(
    full: bool, tally: Tally
) -> None:
    honest = log_of(RECORDS)
    kept = promise_of(honest)
    seeds = range(2_000 if full else 40)
    alone = sum(verify_log(rewritten(honest, random.Random(seed))).sound for seed in seeds)
    for seed in seeds:
        report = verify_log(rewritten(honest, random.Random(seed)), promises=[kept])
        assert any(one.severity == "damage" for one in report.broken), seed
    tally("insider", len(seeds))
    tally("insider bare", len(seeds), f"{alone:,} of {len(seeds):,} unnoticed")
    assert alone == len(seeds), "should this fail, say in docs/faults.md what notices them now"


def test_an_older_copy_put_back_is_found_by_anything_newer_and_by_nothing_else(full: bool, tally: Tally) -> None:
    folder = MemoryFolder()
    copies = []
    with closing(Log.open(folder, create=True)) as log:
        for number in range(RECORDS):
            copies.append(copy_of(folder))
            grow(log, [number])
    newest = promise_of(folder)
    seeds = range(1_000 if full else 20)
    alone = 0
    for seed in seeds:
        older = copy_of(random.Random(seed).choice(copies))
        alone += verify_log(older).sound
        assert any(one.severity == "damage" for one in verify_log(older, promises=[newest]).broken), seed
        with pytest.raises(LostRecordsError):  # By what a view says of itself.
            Log.open(older, acknowledged=RECORDS)
    tally("rollback", 2 * len(seeds))
    tally("rollback bare", len(seeds), f"{alone:,} of {len(seeds):,} unnoticed")
    assert alone == len(seeds), "should this fail, say in docs/faults.md what notices them now"


def test_whatever_the_clock_does_the_times_of_records_go_forth_and_none_is_lost(full: bool, tally: Tally) -> None:
    rng, now, count = random.Random(3), 10**12, 10_000 if full else 1_000

    def clock() -> int:
        nonlocal now
        now = max(0, now + rng.choice([0, 0, 1, 50, -10_000_000, 3_600_000_000, -(10**12)]))
        return now

    folder = MemoryFolder()
    log = Log.open(folder, create=True, clock=clock)
    for number in range(count):
        with log.claim() as group:
            group.add(record(number))
            group.commit()
        if number % 97 == 0:
            log.close()
            log = Log.open(folder, clock=clock)
    times = [entry.time_us for entry in log.read(0)]
    assert numbers(log) == list(range(count))
    assert times == sorted(set(times))
    log.close()
    assert verify_log(folder).sound
    tally("clock", count)
