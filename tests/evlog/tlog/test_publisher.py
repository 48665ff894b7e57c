"""Publishing: what is signed is what is on the disk, and goes on from what was signed before, or nothing is signed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import published
import pytest
import records
import rfc6962

from evlog import log as log_module
from evlog.errors import CorruptLogError, EvidenceError, LostRecordsError
from evlog.log import Log
from evlog.tlog import archive, checkpoint, keys, leaves, publisher
from evlog.tlog.publisher import Publisher
from evlog.tlog.shelf import FolderShelf

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.tlog.checkpoint import Signed

SEGMENT = f"{0:020d}.seg"


def check(made: published.Published, signed: Signed) -> None:
    """Fail unless a checkpoint and its tiles are those of the log."""
    assert signed.checkpoint == (made.log.origin, made.log.end, rfc6962.mth(made.leaves()))
    assert signed.note.signers([made.key.verifier]) == [made.key.verifier]
    assert (made.tlog / "checkpoint").read_bytes() == signed.data
    assert (made.tlog / "checkpoints" / str(made.log.end)).read_bytes() == signed.data
    assert [*made.tiles().faults(made.log.end)] == []
    assert made.tiles().root(made.log.end) == signed.checkpoint.root


def read_counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that takes the number of leaves of every read."""
    counts: list[int] = []
    original = leaves.Leaves.read

    def read(self: leaves.Leaves, stop: int) -> tuple[list[bytes], list[bytes]]:
        found = original(self, stop)
        counts.append(len(found[0]))
        return found

    monkeypatch.setattr(leaves.Leaves, "read", read)
    return counts


def test_an_empty_log_is_published_too(made: published.Published) -> None:
    check(made, made.publish())


def test_a_log_is_published_as_it_grows_over_segments(made: published.Published, small_segments: int) -> None:
    for count in (1, 3, small_segments, 2 * small_segments, 300, 1, 700):
        made.fill(count)
        check(made, made.publish())
    for step in (1, 2, 300):
        made.fill(step)
        made.reopened()
        check(made, made.publish())


def test_what_a_seal_ends_is_signed_by_itself_and_that_checkpoint_stays(
    made: published.Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "SEGMENT_RECORDS_MAX", 300)
    for groups in (59, 1, 1, 140, 120):
        for _ in range(groups):
            made.fill(5)
        made.publish()
    assert archive.sizes(FolderShelf(made.tlog)) == [300, 305, 900, 1005, 1500, 1605], "295 is gone, as others would be"
    for size in archive.sizes(FolderShelf(made.tlog)):
        found = checkpoint.parse((made.tlog / "checkpoints" / str(size)).read_bytes())
        assert found.checkpoint.root == rfc6962.mth(made.leaves()[:size])
        assert found.note.signers([made.key.verifier])
    for _ in range(60):
        made.fill(5)
    made.publish()
    assert {300, 900, 1500, 1800} <= {*archive.sizes(FolderShelf(made.tlog))}


def test_only_what_is_new_is_read_again(made: published.Published, monkeypatch: pytest.MonkeyPatch) -> None:
    made.fill(500)
    made.publish()
    counts = read_counted(monkeypatch)
    made.fill(20)
    check(made, made.publish())
    made.fill(30)
    made.reopened()  # As another process would: the hint leads to the place.
    check(made, made.publish())
    assert sum(counts) == 50
    assert made.publish() == made.publish(), "nothing is new, so nothing is signed"
    assert sum(counts) == 50


@pytest.mark.parametrize("hint", [None, b"", b"500 0 64\n", b"500 0 99999999\n", b"500 7 0\n", b"x", b"499 0 0\n"])
def test_a_hint_that_leads_nowhere_costs_time_alone(made: published.Published, hint: bytes | None) -> None:
    made.fill(500)
    made.publish()
    if hint is None:
        (made.tlog / "resume").unlink()
    else:
        (made.tlog / "resume").write_bytes(hint)
    made.fill(20)
    made.reopened()
    check(made, made.publish())


@pytest.mark.parametrize("harm", ["gone", "one gone", "one damaged", "one cut"])
def test_tiles_that_do_not_fit_are_made_again_from_the_log(made: published.Published, harm: str) -> None:
    made.fill(600)
    made.publish()
    tile = made.tlog / "tile" / "1" / "000.p" / "2"
    if harm == "gone":
        shutil.rmtree(made.tlog / "tile")
    elif harm == "one gone":
        tile.unlink()
    else:
        data = tile.read_bytes()
        tile.write_bytes(data[:-1] if harm == "one cut" else data[:-1] + bytes([data[-1] ^ 1]))
    check(made, made.publish())
    made.fill(3)
    check(made, made.publish())


def flip(made: published.Published, offset: int) -> None:
    """Damage one record in its place."""
    path = made.place / "log" / SEGMENT
    position = made.log.frame(offset).position + 100
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_record_damaged_since_the_last_checkpoint_is_not_signed(made: published.Published) -> None:
    made.fill(50)
    before = made.publish()
    made.fill(50)
    flip(made, 70)
    for _ in range(2):
        with pytest.raises(CorruptLogError):
            made.publish()
        made.reopened()
    assert (made.tlog / "checkpoint").read_bytes() == before.data


def rewritten(made: published.Published, place: Path, records_kept: int) -> Published2:
    """Return a log of the same identity with another history from some record on."""
    made.close()
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(made.place, place)
    for path in (place / "log").glob("*.seg"):
        path.unlink()
    (place / "log" / "HEAD").unlink()
    return Published2(place, made.key, records_kept)


class Published2:
    """A forged log: whole, sound, and not what was signed."""

    def __init__(self, place: Path, key: keys.SigningKey, count: int) -> None:
        log = Log.open(place / "log")
        records.append(log, [records.record(records.artifact(number, uri="forged")) for number in range(1, count + 1)])
        log.close()
        self.publisher = Publisher(place / "log", place / "tlog", key)


@pytest.mark.parametrize("hint", [True, False])
def test_a_rewritten_history_is_not_signed(tmp_path: Path, hint: bool) -> None:
    made = published.Published(tmp_path / "true")
    made.fill(50)
    before = made.publish()
    forged = rewritten(made, tmp_path / "forged", 60)
    if not hint:
        (tmp_path / "forged" / "tlog" / "resume").unlink()
    with pytest.raises(CorruptLogError, match="not those that the checkpoint was made for"):
        forged.publisher.publish()
    assert (tmp_path / "forged" / "tlog" / "checkpoint").read_bytes() == before.data
    shutil.rmtree(tmp_path / "forged" / "tlog" / "tile")
    with pytest.raises(CorruptLogError, match="not those that the checkpoint was made for"):
        forged.publisher.publish()
    forged.publisher.close()


def test_a_log_whose_last_record_is_not_the_one_that_was_acknowledged_is_not_signed(tmp_path: Path) -> None:
    made = published.Published(tmp_path / "true")
    made.fill(50)
    forged = rewritten(made, tmp_path / "forged", 50)
    shutil.copy(tmp_path / "true" / "log" / "HEAD", tmp_path / "forged" / "log" / "HEAD")
    forged.publisher.close()
    again = Publisher(tmp_path / "forged" / "log", tmp_path / "forged" / "tlog", made.key)
    with pytest.raises(CorruptLogError, match="HEAD names"):
        again.publish()
    again.close()
    assert not (tmp_path / "forged" / "tlog" / "checkpoint").exists()


def test_tiles_that_a_disk_spoils_are_not_signed(made: published.Published, monkeypatch: pytest.MonkeyPatch) -> None:
    write = FolderShelf.write

    def spoil(self: FolderShelf, name: str, data: bytes, *, durable: bool = False) -> None:
        write(self, name, bytes(32) + data[32:] if name.startswith("tile/0") else data, durable=durable)

    monkeypatch.setattr(FolderShelf, "write", spoil)
    made.fill(5)
    with pytest.raises(EvidenceError, match="nothing was signed"):
        made.publish()
    assert not (made.tlog / "checkpoint").exists()
    monkeypatch.undo()
    check(made, made.publish())


def test_an_older_copy_of_a_log_is_not_signed(tmp_path: Path) -> None:
    made = published.Published(tmp_path / "true")
    made.fill(50)
    made.publish()
    forged = rewritten(made, tmp_path / "old", 40)
    with pytest.raises(LostRecordsError, match="old copy"):
        forged.publisher.publish()
    forged.publisher.close()


def test_the_checkpoint_of_another_log_or_a_tampered_one_is_not_gone_on_from(made: published.Published) -> None:
    made.fill(5)
    signed = made.publish()
    file = made.tlog / "checkpoint"
    made.fill(5)
    for data, what in (
        (checkpoint.seal(signed.checkpoint._replace(origin="evlog/other"), made.key).data, "is of the log evlog/other"),
        (signed.data.replace(b"\n5\n", b"\n4\n"), "signature of"),
        (b"nothing", "is damaged"),
    ):
        file.write_bytes(data)
        with pytest.raises(EvidenceError, match=what):
            made.publish()
    file.unlink()
    check(made, made.publish())


def test_a_new_key_signs_again_what_the_old_one_signed(made: published.Published) -> None:
    made.fill(5)
    old = made.publish()
    made.key, former = keys.new(made.log.origin), made.key
    made.reopened()
    new = made.publish()
    check(made, new)
    assert (new.checkpoint, new.note.signers([former.verifier])) == (old.checkpoint, [])
    policy = (made.tlog / "policy").read_text(encoding="utf-8")
    assert policy == f"log {made.key.verifier.vkey}\nlog {former.verifier.vkey}\nquorum none\n"


def test_of_old_checkpoints_the_last_of_each_tile_stays(made: published.Published) -> None:
    for count in (10, 100, 100, 100, 10, 300, 5, 5):
        made.fill(count)
        made.publish()
    assert archive.sizes(FolderShelf(made.tlog)) == [210, 320, 620, 625, 630]


def test_two_who_publish_at_once_do_not_disturb_each_other(made: published.Published) -> None:
    others = [Publisher(made.place / "log", made.tlog, made.key) for _ in range(3)]
    failed: list[BaseException] = []

    def publish(one: Publisher) -> None:
        try:
            for _ in range(10):
                one.publish()
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=publish, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for _ in range(20):
        made.fill(30)
    for thread in threads:
        thread.join()
    for one in others:
        one.close()
    assert failed == []
    check(made, made.publish())


def test_whoever_dies_while_publishing_leaves_what_the_next_goes_on_from(made: published.Published) -> None:
    """Kill a publisher before each file that it writes; the next one finds a checkpoint that holds, and finishes."""
    secret = made.key.written()
    code = (
        "import os, sys; from pathlib import Path; from evlog.tlog import keys, shelf; from evlog.tlog.publisher import Publisher\n"
        "left = int(sys.argv[2]); place = Path(sys.argv[1]); write = shelf.FolderShelf.write\n"
        "def dying(self, name, data, *, durable=False):\n"
        "    global left\n"
        "    if left == 0: os._exit(9)\n"
        "    left -= 1\n"
        "    write(self, name, data, durable=durable)\n"
        "shelf.FolderShelf.write = dying\n"
        f"Publisher(place / 'log', place / 'tlog', keys.parse({secret!r})).publish()\n"
    )
    died, steps = 9, 0
    made.fill(250)
    made.publish()
    while died == 9:
        made.fill(11)
        died = subprocess.run([sys.executable, "-c", code, str(made.place), str(steps)], check=False).returncode
        before = checkpoint.parse((made.tlog / "checkpoint").read_bytes())
        assert rfc6962.mth(made.leaves()[: before.checkpoint.size]) == before.checkpoint.root
        if steps % 2:
            made.reopened()
        check(made, made.publish())
        steps += 1
    assert died == 0
    assert steps > 5
    assert not [name for _, _, names in os.walk(made.tlog) for name in names if name.startswith(".")]


def test_the_tree_of_an_unpublished_log_is_the_same(made: published.Published) -> None:
    from evlog.tlog.shelf import MemoryShelf

    made.fill(300)
    shelf = MemoryShelf()
    assert publisher.in_memory(made.log, shelf) == made.publish().checkpoint
    assert shelf.files == {name: (made.tlog / name).read_bytes() for name in shelf.files}


def test_a_log_whose_first_segment_is_gone_is_refused(made: published.Published) -> None:
    made.fill(5)
    (made.place / "log" / SEGMENT).unlink()
    with pytest.raises(CorruptLogError):
        made.publish()
    made.log.abandon()


def test_a_key_remembers_what_it_signed_whatever_becomes_of_the_store(tmp_path: Path) -> None:
    made, memory = published.Published(tmp_path / "true"), tmp_path / "key.signed"
    made.publisher = Publisher(made.place / "log", made.tlog, made.key, memory)
    made.fill(50)
    check(made, made.publish())
    assert memory.read_bytes() == (made.tlog / "checkpoint").read_bytes()
    rewritten(made, tmp_path / "forged", 60).publisher.close()
    shutil.rmtree(tmp_path / "forged" / "tlog")  # Nothing in the store speaks of the true history any more.
    forged = Publisher(tmp_path / "forged" / "log", tmp_path / "forged" / "tlog", made.key, memory)
    with pytest.raises(CorruptLogError, match="not those that the checkpoint was made for"):
        forged.publish()
    forged.close()
    assert not (tmp_path / "forged" / "tlog" / "checkpoint").exists()
    for size in (40, 50, 60, 70):  # Nor does a checkpoint that nobody signed, put there to hide the true one.
        log = Log.open(tmp_path / "forged" / "log", writable=False)
        root = log.tip_at(min(size, 60)).tree.root()
        log.close()
        (tmp_path / "forged" / "tlog").mkdir(exist_ok=True)
        lie = checkpoint.seal(checkpoint.Checkpoint(made.log.origin, size, root), None)
        (tmp_path / "forged" / "tlog" / "checkpoint").write_bytes(lie.data)
        forged = Publisher(tmp_path / "forged" / "log", tmp_path / "forged" / "tlog", made.key, memory)
        with pytest.raises(CorruptLogError, match="not those that the checkpoint was made for"):
            forged.publish()
        forged.close()
        assert (tmp_path / "forged" / "tlog" / "checkpoint").read_bytes() == lie.data
    memory.write_bytes(b"x")
    forged = Publisher(tmp_path / "forged" / "log", tmp_path / "forged" / "tlog", made.key, memory)
    with pytest.raises(EvidenceError, match=r"key\.signed"):
        forged.publish()
    forged.close()


def test_a_checkpoint_that_was_removed_is_published_again(tmp_path: Path) -> None:
    made = published.Published(tmp_path / "log")
    made.publisher.close()
    made.publisher = Publisher(made.place / "log", made.tlog, made.key, tmp_path / "key.signed")
    made.fill(5)
    made.publish()
    (made.tlog / "checkpoint").unlink()
    shutil.rmtree(made.tlog / "checkpoints")
    check(made, made.publish())
    made.close()
