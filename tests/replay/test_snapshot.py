"""Snapshots as Parquet: every row once, in files that never change; whatever stops a run, the former snapshot stands."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import records
from hypothesis import given, settings
from hypothesis import strategies as st

from evlog import files
from evlog.errors import DiskFullError, storage_error
from evlog.log import Log
from evlog.records import Proto, Struct
from projections.duck import parquet
from projections.duck.parquet import TABLES, Exporter
from projections.duck.reading import open_view
from projections.errors import ExportError
from replay import analytics, manifest, snapshot
from replay.manifest import BrokenSnapshotError, ForeignFolderError, OtherHistoryError, SnapshotError
from replay.snapshot import check
from replay.snapshot import snapshot as take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tally import Tally

pytestmark = pytest.mark.slow

FULL = os.environ.get("EVLOG_FAULTS") == "full"
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 3
# Of Parquet files, as they are at each look. One for all: to open one takes longer than to ask it.
READER = duckdb.connect(config={"enable_external_file_cache": "false"})


class Clock:
    """Some days pass with every look, so a few records fill several months."""

    def __init__(self) -> None:
        self.now_us = int(NOVEMBER.timestamp()) * 1_000_000

    def __call__(self) -> int:
        self.now_us += DAYS * 86_400 * 1_000_000
        return self.now_us


class Place:
    """A store's log and views in one folder, and a folder for a snapshot beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lake, self.views = folder, folder / "lake", folder / "store" / "views"
        self.log = Log.open(folder / "store" / "log", create=True, clock=Clock())

    def put(self, *changes: Any) -> None:
        records.append(self.log, [records.record(*changes)])

    def fill(self, artifacts: int = 10) -> Place:
        for one in records.small_store(artifacts):
            records.append(self.log, [one])
        return self

    def more(self, count: int = 3) -> None:
        """Put some artifacts again, and new ones."""
        for number in range(count):
            self.put(records.artifact(1, update_time_ms=self.log.end, properties={"number": self.log.end}))
            self.put(records.artifact(self.log.end + 100 + number))

    def take(self, stop: int | None = None) -> snapshot.Taken:
        return take(self.log, self.views, self.lake, stop)

    def rows(self, table: str, lake: Path | None = None) -> list[Any]:
        """Return the rows of a table as a reader sees them: below the manifest's end."""
        lake = lake or self.lake
        end = manifest.read(lake).end  # type: ignore[union-attr]
        offset = TABLES[table][1]
        columns = "* exclude (month)"
        where = f"where {offset} < {end}"
        sql = f"select {columns} from read_parquet('{lake}/{table}/*/*.parquet', hive_partitioning = true) {where} order by all"
        return READER.execute(sql).fetchall()

    def state(self) -> dict[str, bytes]:
        """Return every file of the snapshot, but for the lock."""
        return {
            path.relative_to(self.lake).as_posix(): path.read_bytes()
            for path in self.lake.rglob("*")
            if path.is_file() and path.name != "LOCK"
        }

    def check(self) -> None:
        """Fail unless the snapshot is whole and holds what the history shows of as many records."""
        found, damaged = check(self.log, self.lake)
        assert damaged == []
        analytics.bring_up(self.log, self.views)
        with closing(open_view(self.views).connection) as history:
            for table, (columns, offset) in TABLES.items():
                sql = f"select {columns} from {table} where {offset} < {found.end} order by all"
                assert self.rows(table) == history.execute(sql).fetchall(), table


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.log.close()


# What is in it --------------------------------------------------------------------------------------------------------


def test_a_snapshot_holds_every_row_in_files_by_month_and_range(place: Place) -> None:
    place.fill()
    taken = place.take()
    place.check()
    assert (taken.start, taken.end) == (0, place.log.end)
    assert {file.table for file in taken.files} == set(TABLES)
    for file in taken.files:
        assert file.path == f"{file.table}/month={file.month}/{file.start:020d}-{file.stop:020d}.parquet"
        times = [NOVEMBER.timestamp() + DAYS * 86_400 * (offset + 1) for offset in range(file.start, file.stop)]
        assert {datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m") for time_s in times} == {file.month}
    assert len({file.month for file in taken.files}) == 2
    assert sum(file.rows for file in taken.files if file.table == "records") == place.log.end


def test_every_table_has_a_file_even_where_it_is_empty(place: Place) -> None:
    place.put(*records.types().changes)
    assert {file.table: file.rows for file in place.take().files} == dict.fromkeys(TABLES, 0) | {
        "types": 3,
        "records": 1,
    }
    place.check()


def test_no_file_holds_more_records_than_it_may(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "FILE_RECORDS", 4)
    place.fill()
    taken = place.take()
    place.check()
    assert max(file.stop - file.start for file in taken.files) == 4


VALUES = {
    "int": 1,
    "most": 2**63 - 1,
    "least": -(2**63),
    "whole": 1.0,
    "double": 0.1 + 0.2,
    "nan": math.nan,
    "inf": -math.inf,
    "true": True,
    "false": False,
    "text": 'it\'s "größe" \\ 🙂\n\0 NaN',
    "number": "1",
    "": "",
    "a.b": 2,
    "$.x": 3,
    "'": 4,
    "struct": Struct({"a": [1.5, None, {"b": "c"}], "": True}),
    "empty": Struct({}),
    "proto": Proto("type/x", b"\x00\xff"),
}


def test_a_property_of_any_kind_keeps_its_type_and_value(place: Place) -> None:
    place.put(*records.types().changes)
    place.put(records.artifact(1, properties=VALUES, custom_properties={}))
    place.take()
    sql = f"select properties, custom_properties from '{place.lake}/artifacts/*/*.parquet'"
    ((properties, custom),) = duckdb.connect().execute(sql).fetchall()
    assert custom == {}
    for key, value in VALUES.items():
        set_ = {name: one for name, one in properties[key].items() if one is not None}
        if isinstance(value, Struct):
            assert {name: json.loads(one) for name, one in set_.items()} == {"struct_value": value.fields}
        elif isinstance(value, Proto):
            assert set_ == {"proto_value": {"type_url": value.type_url, "value": value.value}}
        else:
            names = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
            assert str(set_) == str({names[type(value)]: value}), key
    assert properties.keys() == VALUES.keys()


def test_the_last_version_of_each_id_below_an_offset_is_what_held_then(place: Place) -> None:
    place.fill()
    place.more()
    place.take()
    newest = "qualify row_number() over (partition by id order by valid_from_offset desc) = 1"
    with closing(analytics.in_memory(place.log, place.log.end)) as history:
        for at in range(0, place.log.end + 1, 3):
            for table in ("artifacts", "executions", "contexts"):
                of_lake = f"from '{place.lake}/{table}/*/*.parquet' where valid_from_offset < {at} {newest}"
                columns = f"id, name, update_time, {'uri,' if table == 'artifacts' else ''} valid_from_offset"
                found = duckdb.connect().execute(f"select {columns} {of_lake} order by id").fetchall()
                sql = f"select {columns} from {table}_as_of({at}) order by id"
                assert found == history.connection.execute(sql).fetchall(), (table, at)


# Run after run --------------------------------------------------------------------------------------------------------


def test_a_run_adds_what_was_put_since_and_touches_no_other_file(place: Place) -> None:
    place.fill().take()
    before = place.state()
    place.more()
    taken = place.take()
    after = place.state()
    assert {name: data for name, data in after.items() if name in before and name != manifest.NAME} == {
        name: data for name, data in before.items() if name != manifest.NAME
    }
    assert {file.path for file in taken.files} == after.keys() - before.keys()
    assert {file.table for file in taken.files} == {"artifacts", "records"}  # Nothing else was put.
    assert all(file.start >= taken.start for file in taken.files)
    place.check()


def test_a_run_with_nothing_new_writes_nothing(place: Place) -> None:
    place.fill().take()
    before = {path: path.stat().st_mtime_ns for path in place.lake.rglob("*")}
    assert place.take().files == []
    assert {path: path.stat().st_mtime_ns for path in place.lake.rglob("*")} == before


def test_a_log_without_a_record_makes_a_snapshot_of_none(place: Place) -> None:
    assert place.take() == (0, 0, snapshot._root(place.log, 0), [])
    place.fill()
    place.take()
    place.check()


def test_a_run_may_stop_at_an_earlier_moment(place: Place) -> None:
    place.fill()
    assert place.take(5).end == 5
    place.check()
    assert place.take(3).end == 5  # It is there already.
    assert place.take().end == place.log.end
    place.check()


def test_where_the_history_cannot_be_brought_up_a_snapshot_ends_where_it_does(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.fill()
    shown = analytics.bring_up(place.log, place.views).applied
    place.more()
    monkeypatch.setattr(analytics, "writable", lambda _views: False)
    assert place.take().end == shown < place.log.end
    monkeypatch.undo()
    assert place.take().end == place.log.end
    place.check()


@given(stops=st.lists(st.integers(0, 13), max_size=4).map(sorted), file_records=st.sampled_from([3, 1_000]))
@settings(max_examples=5)
def test_whatever_the_runs_the_rows_are_those_of_one(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], file_records: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "FILE_RECORDS", file_records)
        place = Place(tmp_path_factory.mktemp("place")).fill()
        for stop in stops:
            place.take(stop)
        place.take()
        place.check()
        place.log.close()


def test_runs_at_once_wait_for_each_other(place: Place) -> None:
    place.fill()
    commands = [[sys.executable, "-c", RUN, str(place.folder)] for _ in range(3)]
    runs = [subprocess.Popen(command) for command in commands]
    assert [run.wait(120) for run in runs] == [0, 0, 0]
    place.check()


# Whatever stops a run -------------------------------------------------------------------------------------------------

RUN = """
import sys
from pathlib import Path
from evlog.log import Log
from replay.snapshot import snapshot
folder = Path(sys.argv[1])
log = Log.open(folder / "store" / "log", writable=False)
print("begins", flush=True)
snapshot(log, folder / "store" / "views", folder / "lake")
"""


class Stopped(BaseException):
    """The run ends here, as by a kill."""


def failing(nth: int, function: Callable[..., Any], *, after: bool, error: BaseException) -> Callable[..., Any]:
    """Return the function, but for its nth call: that raises, before or after taking effect."""
    calls = 0

    def call(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and not after:
            raise error
        result = function(*args, **named)
        if calls == nth:
            raise error
        return result

    return call


@pytest.fixture(scope="module", params=[False, True], ids=["first", "later"])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, its history brought up, and for a later run a snapshot of its first records."""
    place = Place(tmp_path_factory.mktemp("template")).fill()
    if request.param:
        place.take()
        place.more()
    analytics.bring_up(place.log, place.views)
    place.log.close()
    return place.folder


STEPS: list[tuple[Any, str, int]] = [
    *((Exporter, "write", nth) for nth in (1, 2, 9)),
    *((files.RealFolder, "rename", nth) for nth in (1, 2, 3, 4)),
    (files.RealFolder, "create", 1),
    (files.RealFile, "sync", 1),
    (files.RealFile, "sync", 3),
]


@pytest.mark.faults
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "step", STEPS if FULL else STEPS[1::3], ids=lambda step: f"{step[0].__name__}.{step[1]}-{step[2]}"
)
def test_a_run_stopped_at_any_step_leaves_the_former_snapshot_and_the_next_one_goes_on(
    template: Path, tmp_path: Path, step: tuple[Any, str, int], after: bool, tally: Tally
) -> None:
    tally("snapshot")
    shutil.copytree(template, tmp_path / "place", symlinks=True)
    place, (owner, name, nth) = Place(tmp_path / "place"), step
    before = place.state()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, failing(nth, getattr(owner, name), after=after, error=Stopped()))
        patch.setattr(shutil, "rmtree", lambda *_args, **_named: None)  # A kill runs no `finally` either.
        with suppress(Stopped):  # Some runs never come to the nth call.
            place.take()
    after_it = place.state()
    assert {name for name, data in before.items() if after_it.get(name) != data} <= {manifest.NAME}
    if (former := manifest.read(place.lake)) is not None and former.end > 0:
        place.check()
    place.more(1)  # So that the next run's files bear other names than those it left.
    place.take()
    place.check()
    listed = {file.path for file in manifest.read(place.lake).files}  # type: ignore[union-attr]
    assert place.state().keys() == {*listed, manifest.NAME}
    place.log.close()


def test_a_full_disk_leaves_nothing_of_the_run_behind(template: Path, tmp_path: Path) -> None:
    shutil.copytree(template, tmp_path / "place", symlinks=True)
    place = Place(tmp_path / "place")
    before = place.state()
    full = failing(3, files.RealFile.sync, after=False, error=storage_error("sync", "x", OSError(28, "No space left")))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(DiskFullError):
        patch.setattr(files.RealFile, "sync", full)
        place.take()
    assert {name: data for name, data in place.state().items() if name in before or "/" in name} == before
    place.take()
    place.check()
    place.log.close()


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(20 if FULL else 2))
def test_a_run_killed_at_any_time_leaves_a_snapshot_that_the_next_one_completes(
    place: Place, seed: int, tally: Tally
) -> None:
    tally("kill others")
    place.fill().take()
    place.more(20)
    run = subprocess.Popen([sys.executable, "-c", RUN, str(place.folder)], stdout=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.readline()
    time.sleep(random.Random(seed).uniform(0, 0.4))
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    place.check()
    place.take()
    place.check()


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing(place: Place) -> None:
    place.fill().take()
    place.more()
    before = place.state()
    limited = f"import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n{RUN}".replace(
        "snapshot(log", "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\nsnapshot(log"
    )
    analytics.bring_up(place.log, place.views)
    run = subprocess.run(
        [sys.executable, "-c", limited, str(place.folder)], capture_output=True, text=True, check=False, timeout=120
    )
    assert f"ExportError: {place.lake}/incoming/artifacts" in run.stderr
    assert place.state() == before


# What is refused ------------------------------------------------------------------------------------------------------


def refused(place: Place, error: type[SnapshotError], words: str) -> None:
    """Fail unless a run is refused and touches nothing."""
    before = {path: path.stat().st_mtime_ns for path in place.lake.rglob("*")} if place.lake.is_dir() else None
    with pytest.raises(error, match=words):
        place.take()
    after = {path: path.stat().st_mtime_ns for path in place.lake.rglob("*")} if place.lake.is_dir() else None
    assert before == after


def test_a_folder_of_somebody_else_is_refused(place: Place) -> None:
    place.fill()
    place.lake.mkdir()
    (place.lake / "thesis.txt").write_text("mine")
    refused(place, ForeignFolderError, "holds thesis.txt and no snapshot")


def test_a_file_is_refused(place: Place) -> None:
    place.fill().lake.write_text("mine")
    refused(place, ForeignFolderError, "a snapshot is a folder")


def test_the_snapshot_of_another_store_is_refused(place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other").fill()
    other.take()
    shutil.copytree(other.lake, place.lake)
    other.log.close()
    place.fill()
    refused(place, ForeignFolderError, "a snapshot of another store")


def test_a_store_that_lost_records_is_noticed(place: Place, tmp_path: Path) -> None:
    place.fill()
    shutil.copytree(place.folder / "store", tmp_path / "copy" / "store")
    place.more()
    place.take()
    place.log.close()
    old = Place(tmp_path / "copy")
    shutil.copytree(place.lake, old.lake)
    refused(old, OtherHistoryError, r"the store ends at #14, and its snapshot at #20: records were lost")
    old.more(7)  # It goes on as if nothing had been.
    refused(old, OtherHistoryError, "the first 20 records of the store are not those")
    with pytest.raises(OtherHistoryError):
        check(old.log, old.lake)
    old.log.close()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[: len(data) // 2], "cannot be read"),
        (lambda _: b"", "cannot be read"),
        (lambda _: b"[]", "cannot be read"),
        (lambda data: data.replace(b'"end"', b'"and"'), "cannot be read"),
        (lambda data: data.replace(b'"rows"', b'"rose"'), "cannot be read"),
        (lambda data: b"\xff" + data, "cannot be read"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(place: Place, damage: Callable[[bytes], bytes], words: str) -> None:
    place.fill().take()
    path = place.lake / manifest.NAME
    path.write_bytes(damage(path.read_bytes()))
    place.more()
    refused(place, BrokenSnapshotError, words)


def test_a_manifest_of_a_later_format_is_refused(place: Place) -> None:
    place.fill().take()
    (place.lake / manifest.NAME).write_text('{"format": 2, "something": "else"}')
    refused(place, ForeignFolderError, "made by another release")


def test_a_file_that_is_gone_or_cut_is_noticed_by_the_next_run(place: Place) -> None:
    taken = place.fill().take()
    place.more()
    victim = place.lake / taken.files[0].path
    data = victim.read_bytes()
    victim.write_bytes(data[:-1])
    refused(place, BrokenSnapshotError, f"{taken.files[0].path}: has {len(data) - 1:,} bytes")
    victim.unlink()
    refused(place, BrokenSnapshotError, f"{taken.files[0].path}: is gone")


def test_a_check_finds_one_changed_byte(place: Place) -> None:
    taken = place.fill().take()
    for file in (taken.files[0], taken.files[-1]):
        path = place.lake / file.path
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    (place.lake / taken.files[1].path).unlink()
    found, damaged = check(place.log, place.lake)
    assert found.end == place.log.end
    assert [line.split(": ")[0] for line in damaged] == [taken.files[number].path for number in (1, 0, -1)]


def test_a_check_of_nothing_is_refused(place: Place) -> None:
    with pytest.raises(ForeignFolderError, match="there is no snapshot here"):
        check(place.log, place.lake)
    assert not place.lake.exists()


def test_the_manifest_says_what_the_log_says(place: Place) -> None:
    place.fill().take()
    written = json.loads((place.lake / manifest.NAME).read_text())
    assert written["log_id"] == place.log.id.hex()
    assert written["origin"] == place.log.origin
    assert written["end"] == place.log.end
    assert written["root"] == place.log.tip_at_end().tree.root().hex()
    assert {name.name for name in (place.lake / "records").iterdir()} == {"month=2026-11", "month=2026-12"}


def test_a_file_that_cannot_be_written_is_an_export_error(place: Place) -> None:
    place.fill()
    analytics.bring_up(place.log, place.views)
    with closing(Exporter(place.views)) as exporter:
        (first, *_) = exporter.stretches(0, place.log.end)
        with pytest.raises(ExportError, match="missing"):
            exporter.write("artifacts", first, place.folder / "missing" / "x.parquet")
