"""Erasing at every step of every failure: begun, it ends; not begun, nothing happened."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import personal
import pytest
from disk import DeathError, Fault, PowerCutError, SimulatedDisk, Strike
from personal import AUTHOR, NAME, append_sealed, erasures, operators
from records import BODIES

from evlog.errors import BrokenKeysError, RecordTooLargeError, StorageError, UnknownSubjectError
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.personal import ERASED
from evlog.records import Erased
from replay import erasure
from replay.personal import verify_personal

if TYPE_CHECKING:
    from tally import Tally

STRIKES: list[Strike] = [
    "cut before",
    "cut after",
    "death before",
    "death after",
    "error before",
    "error after",
    "short write",
]


def erase(log: Log, subject: str = "ana") -> erasure.Erasure:
    return erasure.erase(log, None, BODIES, subject, AUTHOR)


def made() -> Log:
    log = Log.open(MemoryFolder(), create=True)
    append_sealed(log, "ana")
    append_sealed(log, "ben")
    append_sealed(log, "ana", number=2)
    return log


def test_an_erasure_takes_the_values_of_one_subject_and_says_so_on_the_record() -> None:
    log = made()
    root = log.tip_at(3).tree.root()
    found = erasure.find(log, "ana")
    assert (found.nodes, found.versions, found.values) == ([("execution", 1), ("execution", 2)], 2, 2)
    done = erase(log)
    assert operators(log) == [ERASED, NAME, ERASED]
    assert erasures(log) == [Erased("ana", found.keys)]
    assert (done.offset, done.keys, done.found) == (3, found.keys, found)
    [record] = log.read(3)
    assert (record.record.envelope.api, record.record.envelope.actor) == ("Erase", "test")
    assert log.tip_at(3).tree.root() == root
    assert verify_personal(log) == []


def test_who_was_erased_or_is_not_known_is_refused() -> None:
    log = made()
    erase(log)
    with pytest.raises(UnknownSubjectError, match="erased by #3") as caught:
        erase(log)
    assert caught.value.erased == [3]
    for subject, told in (("eve", "'eve': nothing is sealed"), (erasure.LOST, "no key is lost")):
        with pytest.raises(UnknownSubjectError, match=told):
            erase(log, subject)
    assert log.end == 4


def test_what_comes_after_an_erasure_is_sealed_under_a_new_key_and_can_be_erased_again() -> None:
    log = made()
    first = erase(log)
    append_sealed(log, "ana", "Ana again")
    assert operators(log) == [ERASED, NAME, ERASED, "Ana again"]
    second = erase(log)
    assert set(first.keys).isdisjoint(second.keys)
    assert operators(log) == [ERASED, NAME, ERASED, ERASED]


def test_lost_keys_are_put_on_record_so_that_the_rest_can_be_read(tmp_path: Path) -> None:
    log = Log.open(tmp_path / "log", create=True)
    lost = append_sealed(log, "ana")
    append_sealed(log, "ben")
    Path(log.subject_keys.folder.describe(f"{lost.hex()}.key")).unlink()
    [finding] = verify_personal(log)
    assert (finding.severity, finding.offset) == ("damage", 0)
    done = erase(log, erasure.LOST)
    assert done.keys == [lost]
    assert operators(log) == [ERASED, NAME]
    assert verify_personal(log) == []
    log.close()


def test_a_damaged_or_foreign_key_and_one_that_came_back_are_damage(tmp_path: Path) -> None:
    log = Log.open(tmp_path / "log", create=True)
    ana, ben = append_sealed(log, "ana"), append_sealed(log, "ben")
    ana_file, ben_file = (Path(log.subject_keys.folder.describe(f"{key.hex()}.key")) for key in (ana, ben))
    kept = ana_file.read_bytes()
    secret = log.subject_keys.key(ben)
    assert secret is not None
    ben_file.write_text(ben_file.read_text().replace(secret.key.hex(), "00" * 32))
    [finding] = verify_personal(log)
    assert finding.severity == "damage"
    assert "do not belong together" in finding.what
    ben_file.write_text("{")
    [finding] = verify_personal(log)
    assert "is no key" in finding.what
    ben_file.unlink()
    erase(log, erasure.LOST)
    erase(log, "ana")
    assert verify_personal(log) == []
    ana_file.write_bytes(kept)
    [finding] = verify_personal(log)
    assert (finding.severity, "here again" in finding.what) == ("damage", True)
    erase(log, "ana")  # As it advises.
    assert verify_personal(log) == []
    log.subject_keys.bury(bytes(16), 0)
    [finding] = verify_personal(log)
    assert "no record does" in finding.what
    log.close()


def life(seed: int) -> str:
    """Erase on a disk that fails at some step, then open again, and look; return which state it was."""
    rng = random.Random(seed)
    disk = SimulatedDisk()
    log = Log.open(disk, create=True)
    append_sealed(log, "ana")
    ben = append_sealed(log, "ben")
    secret = next(log.subject_keys.of("ana")).key
    disk.fault = Fault(disk.steps + rng.randint(1, 45), rng.choice(STRIKES))
    acknowledged = False
    for _ in range(3):  # A fault may strike those who finish it, too.
        try:
            if log.subject_keys.begun_erasure() is None and not acknowledged:
                erase(log)
            else:
                erasure.resume(log, None, BODIES)
            acknowledged = True
        except PowerCutError:
            disk = disk.cut(rng)
        except (DeathError, StorageError):
            disk.restart()
            if rng.random() < 0.5:
                disk = disk.cut(rng)
        except UnknownSubjectError:
            acknowledged = True
        disk.restart()
        log = Log.open(disk)
        if rng.random() < 0.5:
            break
        if rng.random() < 0.5:
            disk.fault = Fault(disk.steps + rng.randint(1, 45), rng.choice(STRIKES))
    begun = log.subject_keys.begun_erasure() is not None
    disk.restart()
    erasure.resume(log, None, BODIES)
    disk = disk.cut(rng)
    log = Log.open(disk)
    erased = erasures(log)
    assert len(erased) <= 1, "recorded twice"
    assert acknowledged <= bool(erased), "acknowledged, and not on record"
    assert begun <= bool(erased), "begun, and not ended"
    assert operators(log) == ([ERASED, NAME] if erased else [NAME, NAME])
    there = any(secret.hex().encode() in bytes(inode.durable) for inode in disk.inodes.values())
    assert there is not bool(erased), (
        "the key is there, and on record as erased" if there else "the key is gone, and off record"
    )
    assert log.subject_keys.key(ben) is not None
    assert log.subject_keys.begun_erasure() is None
    assert verify_personal(log) == []
    return "acknowledged" if acknowledged else "begun" if begun else "done" if erased else "nothing"


@pytest.mark.faults
def test_an_erasure_that_fails_at_any_step_is_finished_or_never_began(full: bool, tally: Tally) -> None:
    seeds = range(10_000 if full else 300)
    states = {life(seed) for seed in seeds}
    assert states >= {"acknowledged", "begun", "nothing"}
    tally("erase", len(seeds))


def killed(*_given: object) -> None:
    raise KeyboardInterrupt


def test_an_erasure_that_was_begun_is_ended_before_the_next_one() -> None:
    log = made()
    destroy = log.subject_keys.destroy

    log.subject_keys.destroy = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        erase(log)
    log.subject_keys.destroy = destroy  # type: ignore[method-assign]
    assert operators(log) == [ERASED, NAME, ERASED]  # From the record on, whether or not the key is there still.
    assert [one.what for one in verify_personal(log) if one.severity == "note"]
    done = erase(log, "ben")
    assert done.subject == "ben"
    assert [one.subject for one in erasures(log)] == ["ana", "ben"]
    assert operators(log) == [ERASED, ERASED, ERASED]
    assert log.subject_keys.ids() == []


def test_what_was_begun_for_a_subject_is_the_answer_to_whoever_asks_again() -> None:
    log = made()
    finish = log.subject_keys.finish_erasure

    log.subject_keys.finish_erasure = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        erase(log)
    log.subject_keys.finish_erasure = finish  # type: ignore[method-assign]
    done = erase(log)
    assert (done.subject, done.offset, done.found) == ("ana", 3, None)
    assert len(erasures(log)) == 1
    assert personal.operators(log) == [ERASED, NAME, ERASED]


def test_a_record_that_would_be_too_large_is_refused_before_anything_is_begun() -> None:
    log = made()
    with pytest.raises(RecordTooLargeError):
        erasure.erase(log, None, BODIES, "ana", AUTHOR, basis="x" * (65 * 1024 * 1024))
    assert log.subject_keys.begun_erasure() is None
    assert operators(log) == [NAME, NAME, NAME]


def test_files_beside_the_keys_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    log = Log.open(tmp_path / "log", create=True)
    append_sealed(log, "ana")
    for name in ("ERASING", "COPIES"):
        path = Path(log.subject_keys.folder.describe(name))
        path.write_bytes(b"\xff{")
        with pytest.raises(BrokenKeysError, match=f"{name}: cannot be read"):
            erase(log)
        path.unlink()
    erase(log)
    log.close()
