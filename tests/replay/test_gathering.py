"""Workers gather for the analytics view what it would gather alone; what goes wrong with one changes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import records

from evlog import segment
from evlog.errors import CorruptLogError
from evlog.log import Log
from evlog.records import ArtifactTypePut, EventPut
from evlog.worker import Worker
from projections.duck import database
from projections.duck.view import HistoryView
from replay import gathering
from replay.analytics import in_memory
from replay.follow import bring_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

COUNT = 61


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """A log whose versions are replaced across stretches, whose types come late, some of whose records are large or empty."""
    monkeypatch.setattr(gathering, "WORTH_RECORDS", 8)
    monkeypatch.setattr(gathering, "STRETCH_RECORDS", 4)
    monkeypatch.setattr(gathering, "processors", lambda: 3)
    monkeypatch.setattr(HistoryView, "batch_records", 12)
    log = Log.open(tmp_path / "log", create=True)
    records.append(log, [records.types()])
    while log.end < COUNT:
        number = log.end
        again = records.artifact(number % 7 + 1, type_id=10 + number // 20, name=f"{number}")
        late = ArtifactTypePut(id=10 + number // 20, name=f"T{number // 20}")
        edge = EventPut(id=number, artifact_id=1, execution_id=1, type="INPUT", time_ms=number, path=[number, "x"])
        large = records.artifact(number + 100, properties={"text": "x" * 5_000_000, "v": number})
        changes = [[late, again], [late, again, edge], [], [large] if number < 30 else [again]][number % 4]
        records.append(log, [records.record(*changes)])
    yield log
    log.close()


def filled(log: Log, told: list[int] | None = None) -> HistoryView:
    view = HistoryView(None, log.id, create=True)
    gathering.fill(log, view, log.end, (lambda done, _: told.append(done)) if told is not None else None)
    return view


def same(log: Log, view: HistoryView) -> bool:
    alone = in_memory(log)
    found = [(database.digest(one.connection), one.applied, one.prev) for one in (view, alone)]
    alone.close()
    view.close()
    return found[0] == found[1] and view.applied == log.end


def test_what_workers_gather_is_what_one_gathers_alone(log: Log) -> None:
    told: list[int] = []
    assert same(log, filled(log, told))
    assert told[-1] == COUNT
    assert sorted(told) == told


def test_a_view_that_has_applied_some_goes_on(log: Log) -> None:
    view = HistoryView(None, log.id, create=True)
    bring_up(log, view, 5)
    gathering.fill(log, view, log.end)
    assert same(log, view)


@pytest.mark.parametrize("message", [1, 2, 7])
def test_a_worker_that_dies_changes_nothing(log: Log, message: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hear, heard = Worker.hear, iter(range(1, COUNT))

    def killed(worker: Worker) -> bytes | None:
        if next(heard) == message:
            worker.stop()
            worker.wait()
        return hear(worker)

    monkeypatch.setattr(Worker, "hear", killed)
    assert same(log, filled(log))


def test_damage_is_told_as_without_workers(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "log" / segment.name_of(0)
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    path.write_bytes(data)
    view = HistoryView(None, log.id, create=True)
    with pytest.raises(CorruptLogError) as found:
        gathering.fill(log, view, log.end)
    assert view.applied == view.batch_records * (found.value.offset // view.batch_records)
    with pytest.raises(CorruptLogError, match=re.escape(str(found.value))):
        in_memory(log)
    view.close()


def test_an_interrupted_filling_leaves_what_was_committed_and_no_worker(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Worker] = []
    monkeypatch.setattr(gathering, "Worker", lambda name: made.append(Worker(name)) or made[-1])
    view = HistoryView(None, log.id, create=True)

    def stop(done: int, _: int) -> None:
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gathering.fill(log, view, log.end, stop)
    assert view.applied == 12
    assert len(made) == 3
    assert all(one.wait() is not None for one in made)
    gathering.fill(log, view, log.end)
    assert same(log, view)
