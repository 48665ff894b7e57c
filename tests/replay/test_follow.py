"""Followers: woken, complete, in order, exactly once, and loud where the log is not what it was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import records
import watchfiles
from crash import record
from following import Seen, example, example_projector, following, put_back

from evlog import frame, head, segment
from evlog.errors import CorruptLogError, FutureError, LostRecordsError, NoLogError, ReplacedLogError
from evlog.files import RealFolder
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.records import ArtifactTypePut
from mlmd import MetadataStore, errors
from mlmd.proto import metadata_store_pb2 as pb
from projections.errors import WrongViewError
from projections.sqlite.view import View
from replay import bring_up, follow, wake
from replay.rebuild import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tally import Tally

FOLLOW = sys.modules["replay.follow"]  # `replay.follow` is the function.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
WRITER = """
import sys
from pathlib import Path
import evlog.log, evlog.segment
import records
evlog.log.SEGMENT_RECORDS_MAX, evlog.segment.INDEX_STEP = 64, 16
log = evlog.log.Log.open(Path(sys.argv[1]), create=True)
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    model = records.artifact(1 + number % 7, name="model", properties={"owner": f"owner {number % 5}"})
    records.append(log, [records.record(model)])
log.close()
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log.open(tmp_path / "log", create=True)
    yield log
    log.close()


def put(log: Log, *numbers: int) -> None:
    for number in numbers:
        records.append(log, [record(number)])


def writer(path: Path, start: int, stop: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(start), str(stop)], env=ENVIRONMENT)


def frames(log: Log) -> list[frame.Frame]:
    """Return the frames of the first segment; the first is its header."""
    with closing(log.folder.open(segment.name_of(0))) as file:
        return [one for one in segment.walk(file, 0, seed=log.seed) if isinstance(one, frame.Frame)]


# All that is put, in order ------------------------------------------------------------------------------------------


def test_a_follower_sees_what_was_put_and_then_each_put_over_rolls(log: Log, small_segments: int) -> None:
    put(log, *range(20))
    seen = Seen()
    with following(log, seen) as follower:
        follower.until(lambda: seen.applied == 20)
        for number in range(20, 20 + 3 * small_segments):
            put(log, number)
            follower.until(lambda: seen.applied == log.end)
    assert seen.offsets == list(range(log.end))
    assert seen.prev == log.leaf_prefix(log.end)


def test_a_follower_of_a_store_that_another_process_writes_misses_nothing(tmp_path: Path) -> None:
    place, seen = tmp_path / "log", Seen()
    Log.open(place, create=True).close()
    log = Log.open(place, writable=False)
    with following(log, seen) as follower, writer(place, 0, 300) as process:
        assert process.wait() == 0
        follower.until(lambda: seen.applied == 300)
    assert len(list(place.glob("*.seg"))) > 3
    assert seen.offsets == list(range(300))
    log.close()


def test_far_behind_transactions_are_large_and_live_each_wake_up_is_one(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FOLLOW, "BATCH_RECORDS", 10)
    put(log, *range(25))
    seen = Seen()
    with following(log, seen) as follower:
        follower.until(lambda: seen.applied == 25)
        assert [len(one) for one in seen.committed] == [10, 10, 5]
        records.append(log, [record(number) for number in range(25, 30)])
        follower.until(lambda: seen.applied == 30)
    assert seen.committed[3:] == [[25, 26, 27, 28, 29]]


def test_a_follower_goes_on_where_its_projector_was(log: Log) -> None:
    put(log, 0, 1, 2)
    seen = Seen()
    bring_up(log, seen, 2)
    with following(log, seen, from_offset=1) as follower:
        follower.until(lambda: seen.applied == 3)
    assert seen.committed == [[0, 1], [2]]


def test_a_new_projector_begins_at_an_offset(log: Log) -> None:
    put(log, 0, 1, 2)
    seen = Seen()
    with following(log, seen, from_offset=2) as follower:
        follower.until(lambda: seen.applied == 3)
        put(log, 3)
        follower.until(lambda: seen.applied == 4)
    assert seen.offsets == [2, 3]
    with following(log, Seen(), from_offset=9) as follower:
        assert isinstance(follower.ended(), FutureError)


def test_a_projector_that_fails_rolls_back_and_the_next_follower_goes_on(log: Log) -> None:
    put(log, 0, 1, 2)
    seen = Seen()
    seen.fails_at = 1
    with following(log, seen) as follower:
        assert str(follower.ended()) == "as planned"
    assert (seen.applied, seen.committed) == (0, [])
    with following(log, seen) as follower:
        follower.until(lambda: seen.applied == 3)
    assert seen.offsets == [0, 1, 2]


def test_a_projector_that_forgets_what_it_committed_is_told_so(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    put(log, 0)
    seen = Seen()
    begin = seen.begin
    monkeypatch.setattr(seen, "begin", lambda: (begin(), setattr(seen, "applied", 0)))
    with following(log, seen) as follower:
        follower.until(lambda: seen.committed)
        put(log, 1)
        error = follower.ended()
    assert isinstance(error, WrongViewError)
    assert "was at offset 1 and began at 0" in str(error)


def test_the_serving_view_is_a_projector_like_any_other(log: Log) -> None:
    records.append(log, records.small_store())
    view = View.create(None, log.id, records.BODIES)
    with following(log, view) as follower:
        follower.until(lambda: view.applied == log.end)
        records.append(log, [records.record(records.artifact(3, name="another"))])
        follower.until(lambda: view.applied == log.end)
    fresh = build(log, None, records.BODIES, log.end)
    assert view.digest() == fresh.digest()
    view.close()
    fresh.close()


def test_two_followers_of_one_table_apply_each_record_once(log: Log, tmp_path: Path) -> None:
    records.append(log, [records.record(ArtifactTypePut(id=1, name="Model"))])
    owners = example_projector(tmp_path / "owners.db")
    make = lambda: example_projector(tmp_path / "owners.db")  # noqa: E731 - each in the thread of its follower
    with following(log, make) as one, following(log, make) as two:
        for number in range(50):
            records.append(log, [records.record(records.artifact(1 + number % 3))])
        for follower in (one, two):
            follower.until(lambda: owners.progress()[0] == log.end)
    assert [row[0] for row in owners.db.execute("select times_put from model_owners order by model")] == [17, 17, 16]
    owners.db.close()


# A log in memory, a store, a way to stop ------------------------------------------------------------------------------


def test_a_log_in_memory_is_followed_by_a_thread() -> None:
    log, seen = Log.open(MemoryFolder(), create=True), Seen()
    with following(log, seen) as follower:
        put(log, 0, 1)
        follower.until(lambda: seen.applied == 2)
    log.close()


def test_a_store_is_followed_by_its_own_process(store: MetadataStore) -> None:
    seen = Seen()
    with following(store, seen) as follower:  # type: ignore[arg-type]
        store.put_artifact_type(pb.ArtifactType(name="Model"))
        follower.until(lambda: seen.applied == store.log.end)
    assert seen.offsets == list(range(store.log.end))


def test_a_past_store_has_no_log_to_follow(store: MetadataStore) -> None:
    with pytest.raises(errors.UnimplementedError, match="open the store itself"):
        follow(store.as_of(0), Seen())


def test_a_follower_told_to_stop_before_it_began_does_nothing(log: Log) -> None:
    put(log, 0)
    seen = Seen()
    with following(log, seen) as follower:
        follower.stop.set()
        assert follower.ended() is None


def test_a_follower_writes_nothing_to_the_store(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(log, 0, 1)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "log").iterdir()}
    for name in ("create", "lock", "rename", "sync_names"):
        monkeypatch.setattr(RealFolder, name, lambda *_: pytest.fail("a follower only reads"))
    seen = Seen()
    with following(log, seen) as follower:
        follower.until(lambda: seen.applied == 2)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "log").iterdir()} == before


# What wakes it --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lacking", ["the package", "a telling file system", "watches"])
def test_where_nothing_tells_of_changes_the_log_is_looked_at(
    log: Log, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    if lacking == "the package":
        monkeypatch.setitem(sys.modules, "watchfiles", None)
    elif lacking == "a telling file system":
        monkeypatch.setattr("evlog.storage.file_system", lambda _: "fuse.sshfs")
        monkeypatch.setattr(watchfiles, "watch", lambda *_a, **_k: pytest.fail("it would not be told"))
    else:
        monkeypatch.setattr(watchfiles, "watch", lambda *_a, **_k: (_ for _ in ()).throw(OSError("no more watches")))
    seen = Seen()
    with following(log, seen) as follower:
        for number in range(5):
            put(log, number)
            follower.until(lambda: seen.applied == log.end)
    assert seen.offsets == [0, 1, 2, 3, 4]


def test_what_comes_between_the_first_look_and_the_watch_is_seen(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    told = wake._told

    def late(path: Path, stop_event: Any) -> Iterator[None]:
        put(log, 0)
        return told(path, stop_event)

    monkeypatch.setattr(wake, "_told", late)
    seen = Seen()
    with following(log, seen) as follower:
        follower.until(lambda: seen.applied == 1)


# A log that is not what it was ------------------------------------------------------------------------------------------


def test_a_follower_waits_for_a_log_whose_head_is_lost(tmp_path: Path) -> None:
    place = tmp_path / "log"
    log = Log.open(place, create=True)
    put(log, 0, 1)
    log.close()
    (place / head.NAME).unlink()
    reader, seen = Log.open(place, writable=False), Seen()
    with following(reader, seen) as follower:
        follower.until(lambda: seen.applied == 2)
        log = Log.open(place)
        put(log, 2)
        follower.until(lambda: seen.applied == 3)
    for one in (log, reader):
        one.close()


def test_a_follower_that_knows_more_than_a_head_that_a_power_cut_left_behind_goes_on(tmp_path: Path) -> None:
    place = tmp_path / "log"
    log = Log.open(place, create=True)
    put(log, 0, 1)
    behind = (place / head.NAME).read_bytes()
    put(log, 2)
    applied = Seen(log.end, log.leaf_prefix(log.end))
    log.close()
    (place / head.NAME).write_bytes(behind)
    reader = Log.open(place, writable=False)
    with following(reader, applied) as follower:
        log = Log.open(place)
        put(log, 3)
        follower.until(lambda: applied.applied == 4)
    assert applied.offsets == [3]
    for one in (log, reader):
        one.close()


def test_where_there_is_no_log_a_follower_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoLogError):
        Log.open(tmp_path / "log", writable=False)
    log = Log.open(tmp_path / "log", create=True)
    seen = Seen()
    with following(log, seen) as follower:
        put(log, 0)
        follower.until(lambda: seen.applied == 1)
        shutil.rmtree(tmp_path / "log")
        assert isinstance(follower.ended(), NoLogError)
    log.abandon()


def test_an_older_copy_in_the_place_of_the_log_is_refused(tmp_path: Path) -> None:
    place, copy = tmp_path / "log", tmp_path / "copy"
    log = Log.open(place, create=True)
    put(log, 0, 1, 2)
    shutil.copytree(place, copy)
    put(log, 3)
    seen = Seen()
    with following(log, seen) as follower:
        follower.until(lambda: seen.applied == 4)
        log.abandon()
        put_back(copy, place)
        assert isinstance(follower.ended(), LostRecordsError)
    reader = Log.open(place, writable=False)
    with pytest.raises(LostRecordsError) as caught:
        follow(reader, seen)
    assert caught.value.offset == 3
    assert seen.applied == 4
    reader.close()


@pytest.mark.parametrize("more", [0, 1, 30])
def test_another_history_in_the_place_of_the_log_is_refused(tmp_path: Path, small_segments: int, more: int) -> None:
    place, copy = tmp_path / "log", tmp_path / "copy"
    log = Log.open(place, create=True)
    put(log, *range(small_segments + 2))
    shutil.copytree(place, copy)
    other = Log.open(copy)
    put(log, 100, 101, 102)
    for number in range(3 + more):
        records.append(other, [record(number, 37)])  # Of another size: its frames stand elsewhere.
    other.close()
    seen = Seen()
    with following(log, seen) as follower:
        follower.until(lambda: seen.applied == log.end)
        log.abandon()
        put_back(copy, place)
        assert isinstance(follower.ended(), ReplacedLogError)
    reader = Log.open(place, writable=False)
    with pytest.raises(ReplacedLogError, match="another than the one that was applied"):
        follow(reader, seen)
    assert seen.applied == small_segments + 5
    reader.close()


def test_another_log_in_the_place_of_the_log_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "log"
    log, other = Log.open(place, create=True), Log.open(tmp_path / "other", create=True)
    for one in (log, other):
        put(one, 0, 1)
    seen = Seen()
    with following(log, seen) as follower:
        follower.until(lambda: seen.applied == 2)
        log.abandon()
        other.close()
        put_back(tmp_path / "other", place)
        error = follower.ended()
    assert isinstance(error, ReplacedLogError)
    assert log.id.hex() in str(error)


def test_damage_is_refused_with_its_place_and_what_stands_before_is_kept(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FOLLOW, "BATCH_RECORDS", 2)
    put(log, 0, 1, 2, 3)
    path = Path(log.folder.describe(segment.name_of(0)))
    third = frames(log)[3]
    data = bytearray(path.read_bytes())
    data[third.position + 70] ^= 1
    path.write_bytes(data)
    seen = Seen()
    with following(log, seen) as follower:
        error = follower.ended()
    assert isinstance(error, CorruptLogError)
    assert (error.offset, error.position, Path(error.file).name) == (2, third.position, path.name)
    assert seen.offsets == [0, 1]


def test_a_record_changed_together_with_its_checksums_is_refused(log: Log) -> None:
    put(log, 0, 1, 2)
    path = Path(log.folder.describe(segment.name_of(0)))
    second = frames(log)[2]
    body = second.body.replace(b"crash", b"trash")
    assert body != second.body
    forged = frame.repack(second, body, seed=log.seed)
    data = path.read_bytes()
    path.write_bytes(data[: second.position] + forged + data[second.position + len(forged) :])
    with following(log, Seen()) as follower:
        error = follower.ended()
    assert isinstance(error, CorruptLogError)
    assert error.offset == 2
    assert "does not follow" in error.reason


# Processes that die -------------------------------------------------------------------------------------------------------


def rows(projector: Any) -> list[Any]:
    found = [
        projector.db.execute(f"select * from {table} order by 1").fetchall()
        for table in ("progress", "model_types", "model_owners")
    ]
    projector.db.close()
    return found


@pytest.mark.faults
def test_a_follower_killed_again_and_again_under_load_has_the_rows_of_a_plain_replay(
    tmp_path: Path, full: bool, tally: Tally
) -> None:
    tally("kill others", 150 if full else 6)
    store, program = tmp_path / "store", tmp_path / "owners.py"
    program.write_text(example(), encoding="utf-8")
    (store).mkdir()
    log = Log.open(store / "log", create=True)
    records.append(log, [records.record(ArtifactTypePut(id=1, name="Model"))])
    rng = random.Random(11)
    kills, command = (150 if full else 6), [sys.executable, str(program), str(store), str(tmp_path / "killed.db")]
    with writer(store / "log", 0, 10_000_000) as process:
        killed, applied = example_projector(tmp_path / "killed.db"), 0
        for turn in range(kills):
            with subprocess.Popen(command, env=ENVIRONMENT) as follower:
                until = time.monotonic() + 60
                while turn % 3 and killed.progress()[0] == applied and time.monotonic() < until:
                    time.sleep(0.005)  # Two of three are at work when they are killed, the third wherever it is.
                time.sleep(rng.random() * 0.1)
                assert follower.poll() is None
                follower.send_signal(signal.SIGKILL)
            assert turn % 3 == 0 or killed.progress()[0] > applied
            applied = killed.progress()[0]
        killed.db.close()
        process.kill()
    log.close()
    log = Log.open(store / "log")  # Recovers: its writer died too.
    killed, plain = example_projector(tmp_path / "killed.db"), example_projector(tmp_path / "plain.db")
    assert killed.applied > 0
    bring_up(log, killed, log.end, links=True)
    bring_up(log, plain, log.end)
    assert plain.applied == log.end > 100
    assert rows(killed) == rows(plain)
    log.close()


def test_the_example_of_the_document_tells_who_owns_each_model(tmp_path: Path) -> None:
    config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(tmp_path / "store")))
    store = MetadataStore(config)
    model = store.put_artifact_type(pb.ArtifactType(name="Model", properties={"owner": pb.STRING}))
    other = store.put_artifact_type(pb.ArtifactType(name="Data", properties={"owner": pb.STRING}))
    ana, bob = pb.Value(string_value="ana"), pb.Value(string_value="bob")
    [taxi] = store.put_artifacts([pb.Artifact(type_id=model, name="taxi", properties={"owner": ana})])
    store.put_artifacts([pb.Artifact(type_id=other, name="rides", properties={"owner": ana})])
    program, database = tmp_path / "owners.py", tmp_path / "owners.db"
    program.write_text(example(), encoding="utf-8")
    projector = example_projector(database)
    with subprocess.Popen([sys.executable, program, tmp_path / "store", database], env=ENVIRONMENT) as follower:
        store.put_artifacts([pb.Artifact(id=taxi, type_id=model, name="taxi", properties={"owner": bob})])
        until = time.monotonic() + 60
        while projector.progress()[0] < store.log.end:
            assert time.monotonic() < until
            assert follower.poll() is None
            time.sleep(0.01)
        follower.kill()
    found = projector.db.execute("select model, name, owner, times_put from model_owners").fetchall()
    assert found == [(taxi, "taxi", "bob", 2)]
    projector.db.close()
    store.close()
