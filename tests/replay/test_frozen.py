"""The frozen copy: the same rows as the history view, whatever was put since, in few files that never change."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import records

from evlog.log import Log
from evlog.records import ArtifactTypePut, Erased
from projections.duck import database, frozen
from projections.duck.console import Answer, Task
from projections.errors import ExportError, ViewError
from replay import analytics
from replay import frozen as freezing
from replay.frozen import freeze

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


def more(log: Log, ids: range) -> None:
    records.append(log, [records.record(records.artifact(number)) for number in ids])


def asked(folder: Path, query: str, at: int | None = None) -> list[list[Any]]:
    with Answer(Task(str(folder), query, at=at, timeout_s=30)) as answer:
        return list(answer.rows())


def check(log: Log, views: Path) -> Path:
    """Fail unless the copy holds what the history view does, at the end and before; return its folder."""
    folder, applied = freeze(log, views)
    assert applied == log.end
    tables = ("watermark", *database.TABLES)
    # One question for all: a child takes longer to start than to answer.
    query = (
        f"select {', '.join(f'(select list(row::varchar order by row::varchar) from {table} row)' for table in tables)}"
    )
    for at in (None, log.end // 2):
        for table, found, expected in zip(tables, asked(folder, query, at)[0], asked(views, query, at)[0], strict=True):
            assert found == expected, (table, at)
    return folder


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / frozen.FILES).iterdir())


def test_a_copy_equals_the_view_and_grows_by_new_files(log: Log, views: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "_SMALL_RECORDS", 1)
    folder = check(log, views)
    first = {name: (folder / frozen.FILES / name).stat() for name in files(folder)}
    assert len(first) == len(database.TABLES)
    more(log, range(1, 3))  # Two are put again: the first versions end.
    check(log, views)
    second = files(folder)
    assert [name for name in second if name.endswith("-ended.parquet")] == [
        f"artifacts-{14:020d}-{16:020d}-ended.parquet"
    ]
    for name, before in first.items():
        now = (folder / frozen.FILES / name).stat()
        assert (now.st_ino, now.st_size, now.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert asked(folder, "select count(*) from artifacts where is_current") == asked(
        views, "select count(*) from artifacts where is_current"
    )


def test_nothing_is_written_where_nothing_was_put(log: Log, views: Path) -> None:
    folder, _ = freeze(log, views)
    link = (folder / database.FILES.link).resolve()
    assert freeze(log, views) == (folder, log.end)
    assert (folder / database.FILES.link).resolve() == link


def test_there_are_few_files_however_often_it_is_brought_up(
    log: Log, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "_SMALL_RECORDS", 1)
    monkeypatch.setattr(frozen, "RETIRED_S", -1.0)
    for turn in range(12):
        more(log, range(100 + turn, 103 + turn))
        folder, _ = freeze(log, views)
    assert len([name for name in files(folder) if name.startswith("records")]) <= 4
    check(log, views)


def test_files_stay_a_while_for_those_who_read_them(log: Log, views: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = freeze(log, views)
    before = files(folder)
    more(log, range(200, 202))
    freeze(log, views)
    assert set(before) < set(files(folder))
    for name in before:
        os.utime(folder / frozen.FILES / name, (0, 0))
    more(log, range(202, 204))
    monkeypatch.setattr(freezing, "_SMALL_RECORDS", 1)
    freeze(log, views)
    assert not set(before) & set(files(folder))
    check(log, views)


def test_new_types_have_their_wide_views(log: Log, views: Path) -> None:
    folder, _ = freeze(log, views)
    names = "select view_name, comment from duckdb_views() where starts_with(view_name, 'type_') order by all"
    assert asked(folder, names) == asked(views, names)
    records.append(log, [records.record(ArtifactTypePut(77, "Later"))])
    check(log, views)
    assert asked(folder, names) == asked(views, names)
    assert ["type_Later"] in asked(folder, "select view_name from duckdb_views()")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: next((folder / frozen.FILES).iterdir()).unlink(),
        lambda folder: next((folder / frozen.FILES).iterdir()).write_bytes(b""),
        lambda folder: (folder / database.FILES.link).resolve().write_bytes(b"no database" * 500),
        lambda folder: (folder / database.FILES.link).unlink(),
    ],
)
def test_a_copy_that_is_not_whole_is_made_anew(log: Log, views: Path, spoil: Any) -> None:
    folder, _ = freeze(log, views)
    spoil(folder)
    check(log, views)


def test_a_copy_of_another_log_is_made_anew(log: Log, views: Path, tmp_path: Path) -> None:
    stranger = Log.open(tmp_path / "other", create=True)
    records.append(stranger, records.small_store(3))
    freeze(stranger, views)
    stranger.close()
    check(log, views)


def test_what_was_erased_is_in_no_file_any_more(log: Log, views: Path) -> None:
    folder, _ = freeze(log, views)
    before = files(folder)
    records.append(log, [records.record(Erased("u-17", [], None, []))])
    check(log, views)
    assert not set(before) & set(files(folder))


def test_a_run_that_fails_leaves_the_copy_as_it_was(log: Log, views: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, applied = freeze(log, views)
    more(log, range(300, 303))

    def full(*_given: object) -> int:
        raise ExportError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(frozen, "write", full)
        with pytest.raises(ExportError):
            freeze(log, views)
    assert asked(folder, "select applied from watermark") == [[applied]]

    def broken(*_given: object) -> None:
        raise duckdb.IOException("no room")

    with monkeypatch.context() as patch:
        patch.setattr(frozen, "make_views", broken)
        with pytest.raises(ViewError):
            freeze(log, views)
    assert asked(folder, "select applied from watermark") == [[applied]]
    check(log, views)
    assert not list(folder.glob("building.*"))


def test_a_folder_that_cannot_be_written_answers_as_far_as_it_is(
    log: Log, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, applied = freeze(log, views)
    more(log, range(400, 402))
    monkeypatch.setattr(analytics, "writable", lambda _views: False)
    assert freeze(log, views) == (folder, applied)


def test_who_asks_amid_a_run_keeps_what_it_began_with(log: Log, views: Path) -> None:
    folder, applied = freeze(log, views)
    with Answer(Task(str(folder), "select applied, count(*) from watermark, records group by all")) as answer:
        more(log, range(500, 600))
        freeze(log, views)
        assert list(answer.rows()) == [[applied, applied]]
        with closing(database.connect(str(folder / database.FILES.link), writable=False)) as connection:
            assert database.watermark(connection).applied == log.end
