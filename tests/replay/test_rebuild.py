from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import records

from evlog.log import Log
from projections.errors import ViewError
from projections.query import Listing
from projections.sqlite import database
from projections.sqlite.view import View
from replay import rebuild as module
from replay.follow import bring_up
from replay.rebuild import build, open_current, rebuild
from replay.verify import verify_view

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log.open(tmp_path / "log", create=True)
    records.append(log, records.small_store(artifacts=50))
    yield log
    log.close()


@pytest.fixture
def views(tmp_path: Path) -> Path:
    return tmp_path / "views"


def test_a_rebuilt_view_equals_the_one_that_was_kept_up(log: Log, views: Path) -> None:
    live = View.create(None, log.id, records.BODIES)
    for stop in range(log.end + 1):
        bring_up(log, live, stop)
    assert rebuild(log, views, records.BODIES) == log.end
    fresh = View.open(views, log.id, records.BODIES)
    assert fresh.digest() == live.digest()
    live.close()
    fresh.close()


def test_readers_keep_working_while_a_view_is_rebuilt_and_then_see_the_new_one(log: Log, views: Path) -> None:
    rebuild(log, views, records.BODIES)
    old = View.open(views, log.id, records.BODIES)
    stop, counts = threading.Event(), set[int]()

    def read() -> None:
        while not stop.is_set():
            counts.add(len(old.ask(lambda lookup: lookup.page(Listing("artifact")))))

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(5):
        rebuild(log, views, records.BODIES)
    stop.set()
    thread.join()
    assert counts == {50}
    assert not old.is_current(f"{views}/")
    old.close()
    assert [path.name for path in sorted(views.iterdir())] == ["current.000006.sqlite", "current.sqlite"]


def test_records_put_during_a_rebuild_are_in_the_new_view(
    log: Log, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Log.open(log.folder.path)  # type: ignore[attr-defined]
    original = module.build

    def build_slowly(*given: object) -> View:
        view = original(*given)  # type: ignore[arg-type]
        records.append(other, [records.record(records.artifact(number)) for number in range(51, 61)])
        return view

    monkeypatch.setattr(module, "build", build_slowly)
    assert rebuild(log, views, records.BODIES) == log.end
    view = View.open(views, log.id, records.BODIES)
    assert view.ask(lambda lookup: lookup.last_id("artifact")) == 60
    view.close()
    other.close()


def test_a_rebuild_that_fails_leaves_the_old_view_and_nothing_else(
    log: Log, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild(log, views, records.BODIES)
    before = sorted(path.name for path in views.iterdir())

    def fail(_self: View) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(View, "index", fail)
        with pytest.raises(KeyboardInterrupt):
            rebuild(log, views, records.BODIES)
    assert sorted(path.name for path in views.iterdir()) == before
    View.open(views, log.id, records.BODIES).close()


def test_two_processes_that_rebuild_at_once_leave_one_whole_view(log: Log, views: Path) -> None:
    views.mkdir()
    others = [Log.open(log.folder.path) for _ in range(4)]  # type: ignore[attr-defined]
    threads = [threading.Thread(target=rebuild, args=(other, views, records.BODIES)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    view = View.open(views, log.id, records.BODIES)
    fresh = build(log, None, records.BODIES, log.end)
    assert view.digest() == fresh.digest()
    view.close()
    fresh.close()
    for other in others:
        other.close()


def test_progress_is_told_and_ends_at_the_end(log: Log) -> None:
    told: list[tuple[int, int]] = []
    build(log, None, records.BODIES, log.end, lambda done, total: told.append((done, total))).close()
    assert told[-1] == (log.end, log.end)


def test_a_view_that_is_behind_is_opened_and_one_of_another_history_is_told_and_replaced(
    log: Log, views: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rebuild(log, views, records.BODIES)
    records.append(log, [records.record(records.artifact(51))])
    behind = open_current(log, views, records.BODIES)
    assert behind.applied == log.end - 1
    behind.begin()
    behind.commit(b"\xee" * 16)  # As if its last record were another one.
    behind.close()
    assert caplog.messages == []
    (finding,) = verify_view(log, views, records.BODIES).findings
    what = "records that the view shows are not the first ones of the log: log or view was replaced, or altered"
    assert (finding.severity, finding.offset, what in finding.what) == ("damage", log.end - 1, True)
    again = open_current(log, views, records.BODIES)
    assert again.applied == log.end
    [told] = caplog.messages
    assert f"the {log.end - 1} {what}; the view is made anew" in told
    again.close()
    stranger = Log.open(tmp_path / "other", create=True)
    with pytest.raises(ViewError):
        View.open(views, stranger.id, records.BODIES)
    view = open_current(stranger, views, records.BODIES)
    assert view.applied == 0
    view.close()
    stranger.close()


def test_a_deleted_view_is_made_anew(log: Log, views: Path) -> None:
    rebuild(log, views, records.BODIES)
    for path in views.iterdir():
        path.unlink()
    view = open_current(log, views, records.BODIES)
    assert view.applied == log.end
    view.close()
    (views / database.FILES.link).unlink()
    open_current(log, views, records.BODIES).close()
