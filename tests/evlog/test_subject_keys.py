"""Keys of subjects: durable before they are used, for their owner alone, and gone when they are destroyed."""

from __future__ import annotations

import json
import os
import random
import stat
from pathlib import Path

import pytest
from disk import DeathError, Fault, PowerCutError, SimulatedDisk

from evlog.errors import BrokenSealError, StorageError
from evlog.files import RealFolder
from evlog.memory import MemoryFolder
from evlog.subject_keys import BURIED, Published, SubjectKeys

LOG_ID = b"\x07" * 16


@pytest.fixture
def keys(tmp_path: Path) -> SubjectKeys:
    return SubjectKeys(RealFolder(tmp_path / "log", create=True), LOG_ID)


def place_of(keys: SubjectKeys, name: str) -> Path:
    return Path(keys.folder.describe(name))


def test_a_subject_has_one_key_until_it_is_destroyed(keys: SubjectKeys) -> None:
    ana, ben = keys.for_subject("ana"), keys.for_subject("ben")
    assert ana == keys.for_subject("ana") == keys.key(ana.key_id)
    assert ana.key != ben.key
    assert list(keys.of("ana")) == [ana]
    keys.destroy(ana.key_id, "ana")
    assert keys.key(ana.key_id) is None
    again = keys.for_subject("ana")
    assert again.key_id != ana.key_id
    assert again.key != ana.key
    assert keys.for_subject("ben") == ben


def test_only_the_owner_can_read_them(keys: SubjectKeys) -> None:
    before = os.umask(0)
    try:
        keys.for_subject("ana")
        keys.bury(bytes(16), 3)
        keys.note_published(Published("backup", "/copy"))
    finally:
        os.umask(before)
    folder = place_of(keys, "")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_nothing_is_made_for_a_store_that_seals_nothing(keys: SubjectKeys) -> None:
    keys.note_published(Published("backup", "/copy"))
    assert (keys.ids(), keys.published(), keys.begun_erasure(), keys.key(bytes(16))) == ([], [], None, None)
    assert list(keys.of("ana")) == []
    assert not place_of(keys, "").exists()


def test_a_destroyed_key_is_overwritten_before_it_is_removed(keys: SubjectKeys) -> None:
    made = keys.for_subject("ana")
    with place_of(keys, f"{made.key_id.hex()}.key").open("rb") as held:  # By whoever had it open.
        keys.destroy(made.key_id, "ana")
        assert set(held.read()) == {0}
    assert not any(made.key.hex().encode() in path.read_bytes() for path in place_of(keys, "").iterdir())
    keys.destroy(made.key_id, "ana")  # Again, after a crash.
    assert list(place_of(keys, "").iterdir()) == []  # Nor what pointed to it: its name could be guessed.


def test_the_bytes_of_a_destroyed_key_are_overwritten_on_the_disk_not_only_in_memory() -> None:
    disk = SimulatedDisk()
    keys = SubjectKeys(disk, LOG_ID)
    made = keys.for_subject("ana")
    inode = disk.inodes[keys.folder.describe(f"{made.key_id.hex()}.key")]
    keys.destroy(made.key_id, "ana")
    assert set(inode.durable) == {0}


@pytest.mark.parametrize(
    ("field", "value"),
    [("format", 2), ("id", "00" * 16), ("log", "00" * 16), ("key", "00" * 31), ("key", "no hex"), ("key", 7)],
)
def test_a_file_that_does_not_hold_the_key_is_refused_by_name(keys: SubjectKeys, field: str, value: object) -> None:
    made = keys.for_subject("ana")
    path = place_of(keys, f"{made.key_id.hex()}.key")
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(BrokenSealError, match=path.name):
        keys.key(made.key_id)
    path.write_bytes(b"\xff\x00")
    with pytest.raises(BrokenSealError, match=path.name):
        keys.key(made.key_id)


def test_a_key_whose_subject_rotted_is_refused_so_that_no_erasure_overlooks_it(keys: SubjectKeys) -> None:
    ana = keys.for_subject("ana")
    path = place_of(keys, f"{ana.key_id.hex()}.key")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"ana"', b'"anb"'))
    with pytest.raises(BrokenSealError, match="do not belong together"):
        list(keys.of("ana"))
    older = json.loads(whole)
    del older["check"]
    path.write_text(json.dumps(older), encoding="utf-8")
    assert list(keys.of("ana")) == [ana], "a file of before there was the check"


def test_files_of_others_in_the_folder_are_no_keys(keys: SubjectKeys) -> None:
    made = keys.for_subject("ana")
    for name in ("README.key", "00.key", f"{'00' * 16}.key.new", "x.subject"):
        place_of(keys, name).write_text("x")
    assert keys.ids() == [made.key_id]


def test_a_pointer_that_leads_nowhere_makes_a_new_key(keys: SubjectKeys) -> None:
    made = keys.for_subject("ana")
    (pointer,) = place_of(keys, "").glob("*.subject")
    for wrong in (b"", b"\xff", b"00" * 16, made.key_id.hex().encode()[:-1]):
        pointer.write_bytes(wrong)
        assert keys.for_subject("ana").key_id != made.key_id
    pointer.write_text(keys.for_subject("ben").key_id.hex())
    assert keys.for_subject("ana").subject == "ana"


def test_a_buried_key_seals_no_more(keys: SubjectKeys) -> None:
    made = keys.for_subject("ana")
    keys.bury(made.key_id, 12)
    assert keys.erased_at(made.key_id) == 12
    assert keys.ids(BURIED) == [made.key_id]
    assert keys.for_subject("ana").key_id != made.key_id


def test_a_key_that_was_handed_out_survives_a_power_cut_at_any_step() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        disk = SimulatedDisk()
        keys = SubjectKeys(disk, LOG_ID)
        made = [keys.for_subject("ana")]
        disk.fault = Fault(disk.steps + rng.randint(1, 20), rng.choice(["cut before", "cut after"]))
        try:
            for number in range(5):
                made.append(keys.for_subject(f"ben {number}"))
        except PowerCutError:
            pass
        after = SubjectKeys(disk.cut(rng), LOG_ID)
        for one in made:
            assert after.key(one.key_id) == one == after.for_subject(one.subject)
        after.for_subject("ben 4")


def test_a_destroyed_key_is_gone_after_a_power_cut_at_any_step() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        disk = SimulatedDisk()
        keys = SubjectKeys(disk, LOG_ID)
        made, other = keys.for_subject("ana"), keys.for_subject("ben")
        strike = rng.choice(["cut before", "cut after", "death before", "death after", "error before", "error after"])
        disk.fault = Fault(disk.steps + rng.randint(1, 8), strike)
        done = False
        try:
            keys.destroy(made.key_id, "ana")
            done = True
        except (PowerCutError, DeathError, StorageError):
            disk.restart()
        disk = disk.cut(rng)
        keys = SubjectKeys(disk, LOG_ID)
        if not done:
            keys.destroy(made.key_id, "ana")
            disk = disk.cut(rng)
        assert not any(made.key.hex().encode() in bytes(inode.durable) for inode in disk.inodes.values())
        assert SubjectKeys(disk, LOG_ID).key(other.key_id) == other


def test_keys_of_a_store_in_memory_are_in_memory() -> None:
    keys = SubjectKeys(MemoryFolder(), LOG_ID)
    made = keys.for_subject("ana")
    assert keys.key(made.key_id) == made
    keys.destroy(made.key_id, "ana")
    assert keys.ids() == []
