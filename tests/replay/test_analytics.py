"""The analytics view brought up to the log: by anyone, at any time, whatever was there."""

from __future__ import annotations

import math
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import records

from evlog.errors import LostRecordsError
from evlog.log import Log
from evlog.records import Struct
from projections.duck import database
from projections.errors import BusyViewError, ViewError
from replay import analytics
from replay.analytics import Shown, bring_up, in_memory, look, rebuild, verify_view

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tally import Tally

pytestmark = pytest.mark.slow


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log.open(tmp_path / "log", create=True)
    records.append(log, records.small_store())
    yield log
    log.close()


@pytest.fixture
def views(tmp_path: Path) -> Path:
    return tmp_path / "views"


def more(log: Log, count: int = 1) -> None:
    records.append(log, [records.record(records.artifact(log.end + number)) for number in range(count)])


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(database.connect(str(path), writable=False)) as connection:
        found: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
        return found


def check(log: Log, shown: Shown) -> None:
    """Fail unless the view holds what a replay of as many records does."""
    fresh = in_memory(log, shown.applied)
    tables = [name for (name,) in fresh.connection.execute("select table_name from duckdb_tables()").fetchall()]
    with closing(
        database.connect(str(shown.path), writable=False)
    ) as view:  # Once: to open one takes longer than to ask.
        for table in tables:
            sql = f"from {table} order by all"
            assert view.execute(sql).fetchall() == fresh.connection.execute(sql).fetchall(), table
    fresh.close()


def names(views: Path) -> list[str]:
    return sorted(path.name for path in views.iterdir())


def test_a_view_is_made_kept_up_and_left_alone_when_there_is_nothing_to_do(log: Log, views: Path) -> None:
    first = bring_up(log, views)
    assert first == Shown(views / "history.000001.duckdb", 14, 0)
    more(log, 3)
    second = bring_up(log, views)
    assert second == Shown(first.path, 17, 0)
    check(log, second)
    before = second.path.stat().st_mtime_ns
    assert bring_up(log, views) == second
    assert second.path.stat().st_mtime_ns == before
    assert names(views) == ["history.000001.duckdb", "history.duckdb", "history.lock"]


def test_a_reader_that_stays_keeps_what_it_reads_and_stops_nobody(log: Log, views: Path) -> None:
    reader = database.connect(str(bring_up(log, views).path), writable=False)
    more(log)
    shown = bring_up(log, views)
    assert shown == Shown(views / "history.000002.duckdb", 15, 0)
    check(log, shown)
    assert reader.execute("select applied from watermark").fetchall() == [(14,)]
    assert reader.execute("select count(*) from records").fetchall() == [(14,)]
    reader.close()
    assert names(views) == ["history.000002.duckdb", "history.duckdb", "history.lock"]


def test_much_work_is_done_on_a_copy(log: Log, views: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring_up(log, views)
    more(log, 5)
    monkeypatch.setattr(analytics, "_IN_PLACE_RECORDS", 4)
    shown = bring_up(log, views)
    assert shown == Shown(views / "history.000002.duckdb", 19, 0)
    check(log, shown)


def test_a_view_of_another_log_history_or_release_and_a_damaged_one_are_made_anew(
    log: Log, views: Path, tmp_path: Path
) -> None:
    stranger = Log.open(tmp_path / "other" / "log", create=True)
    records.append(stranger, records.small_store(3))
    bring_up(stranger, views)
    stranger.close()
    check(log, bring_up(log, views))

    def change(sql: str) -> None:
        connection = duckdb.connect(str(views / database.FILES.link))
        connection.execute(sql).fetchall()
        connection.close()

    spoilt = [
        lambda: change("update watermark set prev = 'x'::blob"),
        lambda: change("update watermark set schema_version = 0"),
        lambda: change("delete from watermark"),
        lambda: change("drop table watermark"),
        lambda: (views / database.FILES.link).resolve().write_bytes(b"no database" * 100),
        lambda: (views / database.FILES.link).resolve().write_bytes(b""),
        (views / database.FILES.link).unlink,
    ]
    for spoil in spoilt:
        spoil()
        shown = bring_up(log, views)
        assert shown.behind == 0
        check(log, shown)


def test_a_view_that_knows_of_more_records_than_the_log_is_evidence_of_loss_until_it_is_made_anew(
    log: Log, views: Path
) -> None:
    path = bring_up(log, views).path
    connection = duckdb.connect(str(path))
    connection.execute("update watermark set applied = 999").fetchall()
    connection.close()
    with closing(Log.open(log.folder, writable=False)) as reader:
        for one in (log, reader):
            with pytest.raises(LostRecordsError, match="ends at record 14, 999 were acknowledged"):
                bring_up(one, views)
        (damage,) = verify_view(reader, look(reader, views), {})
    assert damage.what == f"the log ends at record 14, and {path} shows 999: records are lost"
    assert (damage.severity, damage.offset, str(damage.file).endswith(".seg")) == ("damage", 14, True)
    assert rebuild(log, views) == 14
    check(log, bring_up(log, views))


def test_a_rebuild_takes_the_place_of_the_view_and_one_that_fails_leaves_it(
    log: Log, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rebuild(log, views) == 14
    before = names(views)

    def fail(*_given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("projections.duck.view.load", fail)
        with pytest.raises(KeyboardInterrupt):
            rebuild(log, views)
    assert names(views) == before
    more(log)
    told: list[tuple[int, int]] = []
    assert rebuild(log, views, lambda done, total: told.append((done, total))) == 15
    assert told[-1] == (15, 15)
    check(log, bring_up(log, views))


def test_a_view_is_verified_against_a_replay(log: Log, views: Path) -> None:
    (note,) = verify_view(log, look(log, views), {})
    assert (note.severity, "no history view" in note.what) == ("note", True)
    path = bring_up(log, views).path
    more(log)  # It is behind, and right as far as it goes.
    assert verify_view(log, look(log, views), {}) == []
    connection = duckdb.connect(str(path))
    connection.execute("update artifacts set uri = 'elsewhere' where id = 3").fetchall()
    connection.close()
    (damage,) = verify_view(log, look(log, views), {})
    assert (damage.severity, damage.file, damage.offset) == ("damage", str(path), 14)
    rebuild(log, views)
    assert verify_view(log, look(log, views), {}) == []


def test_a_view_is_verified_whatever_its_properties_are_called(log: Log, views: Path) -> None:
    properties = {"acc": 0.5, "ACC": "x", "": 1, "a\0b": True, "deep": Struct({"k": {"z": 1.0, "Z": math.nan}})}
    records.append(log, [records.record(records.artifact(log.end, properties=properties))])
    path = bring_up(log, views).path
    assert verify_view(log, look(log, views), {}) == []
    connection = duckdb.connect(str(path))
    changed = (
        """update artifacts set properties = '{"acc":0.5,"ACC":"y"}'::json::variant where valid_from_offset = 14"""
    )
    assert connection.execute(changed).fetchall() == [(1,)]
    connection.close()
    assert [damage.severity for damage in verify_view(log, look(log, views), {})] == ["damage"]


def test_a_folder_that_cannot_be_written_shows_what_there_is(
    log: Log, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics, "writable", lambda _views: False)
    with pytest.raises(ViewError, match="cannot be written"):
        bring_up(log, views)
    monkeypatch.undo()
    bring_up(log, views)
    more(log, 2)
    monkeypatch.setattr(analytics, "writable", lambda _views: False)
    assert bring_up(log, views) == Shown(views / "history.000001.duckdb", 14, 2)


def test_a_reader_waits_a_moment_for_whoever_writes_and_then_says_so(
    log: Log, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bring_up(log, views).path
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read(); c.close()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "open\n"
        monkeypatch.setattr(analytics, "READER_PATIENCE_S", 0.1)
        with pytest.raises(BusyViewError, match="history.000001.duckdb"):
            bring_up(log, views)
        monkeypatch.undo()
        threading.Timer(0.2, writer.stdin.close).start()
        assert bring_up(log, views).behind == 0


def test_many_at_once_make_one_whole_view(log: Log, views: Path) -> None:
    program = """
import sys
from pathlib import Path
from evlog.log import Log
from evlog.records import Struct
from replay.analytics import bring_up
log = Log.open(Path(sys.argv[1]) / "log", writable=False)
print(bring_up(log, Path(sys.argv[1]) / "views").behind)
"""
    more(log, 200)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(views.parent)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(4)]
    assert [process.communicate()[0] for process in started] == ["0\n"] * 4
    check(log, bring_up(log, views))
    assert names(views) == ["history.000001.duckdb", "history.duckdb", "history.lock"]


KILLED = """
import sys
from pathlib import Path
from evlog.log import Log
from evlog.records import Struct
from projections.duck.view import HistoryView
from replay import analytics
HistoryView.batch_records = 7
log = Log.open(Path(sys.argv[1]) / "log", writable=False)
print("go", flush=True)
analytics.bring_up(log, Path(sys.argv[1]) / "views")
"""


@pytest.mark.faults
def test_a_kill_in_the_middle_leaves_rows_and_offset_of_one_moment(
    log: Log, views: Path, full: bool, tally: Tally
) -> None:
    rng = random.Random(5)
    tally("kill others", 60 if full else 4)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    bring_up(log, views)
    for _ in range(60 if full else 4):
        more(log, 300)
        command = [sys.executable, "-c", KILLED, str(views.parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.random())
            process.send_signal(signal.SIGKILL)
        path = (views / database.FILES.link).resolve()
        applied = rows(path, "select applied from watermark")[0][0]
        check(log, Shown(path, applied, log.end - applied))
    shown = bring_up(log, views)
    assert shown.behind == 0
    check(log, shown)


# Kept up --------------------------------------------------------------------------------------------------------------


def test_a_follower_keeps_the_view_up_and_holds_no_file_meanwhile(
    log: Log, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics, "REST_S", 0)
    stop, told = threading.Event(), queue.Queue[int]()
    reader = Log.open(log.folder, writable=False)
    thread = threading.Thread(target=analytics.follow, args=(reader, views, told.put, stop))
    thread.start()
    for end in (14, 15, 17):
        more(log, end - log.end)
        while told.get(timeout=60) < end:
            pass
        shown = bring_up(log, views)
        assert (shown.applied, shown.behind) == (end, 0)
        check(log, shown)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    reader.close()


def test_a_follower_tries_again_after_one_who_takes_long_and_says_where_it_cannot_write(
    log: Log, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics, "REST_S", 0)
    shown = bring_up(log, views)
    answers: list[Any] = [BusyViewError("busy"), shown, shown._replace(behind=1)]

    def answer(*_: object) -> Shown:
        more(log)
        if isinstance(one := answers.pop(0), Exception):
            raise one
        return one  # type: ignore[no-any-return]

    monkeypatch.setattr(analytics, "bring_up", answer)
    told: list[int] = []
    reader = Log.open(log.folder, writable=False)
    with pytest.raises(ViewError, match="cannot be written"):
        analytics.follow(reader, views, told.append, threading.Event())
    assert told == [14]
    reader.close()
