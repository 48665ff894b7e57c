"""The access record: what is noted, when it is written, what a full disk, a crash or a flood makes of it."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import stat
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from mlmd import errors
from mlmd.serving import access
from mlmd.serving.access import Access, last_uses

if TYPE_CHECKING:
    from pathlib import Path


def note(record: Access, actor: str | None = "ana", what: str = "GetArtifacts", result: str = "OK") -> None:
    record.note(actor, None if actor is None else "reader", "grpc", what, result, "127.0.0.1")


def lines(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted((store / "access").glob("*")) for line in path.read_text().splitlines()]


def wait_for_lines(store: Path, count: int) -> None:
    until = time.monotonic() + 30
    while len(lines(store)) < count:
        assert time.monotonic() < until, lines(store)
        time.sleep(0.02)


def test_uses_are_written_within_moments_and_all_at_the_close(tmp_path: Path) -> None:
    record = Access(tmp_path)
    note(record)
    wait_for_lines(tmp_path, 1)
    note(record, "bob", "PutTypes", "PERMISSION_DENIED")
    record.close()
    [first, second] = lines(tmp_path)
    today = dt.datetime.now(dt.UTC).date()
    assert dt.datetime.fromisoformat(first.pop("time")).date() in (today, today - dt.timedelta(days=1))
    told = {
        "actor": "ana",
        "role": "reader",
        "where": "grpc",
        "what": "GetArtifacts",
        "result": "OK",
        "peer": "127.0.0.1",
    }
    assert first == told
    assert (second["actor"], second["result"]) == ("bob", "PERMISSION_DENIED")


def test_the_record_is_its_owners_alone_and_not_there_before_the_first_use(tmp_path: Path) -> None:
    record = Access(tmp_path)
    record.close()
    assert not (tmp_path / "access").exists()
    record = Access(tmp_path)
    note(record)
    record.close()
    [file] = (tmp_path / "access").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_two_servers_write_into_one_record(tmp_path: Path) -> None:
    records = [Access(tmp_path) for _ in range(2)]
    for number in range(100):
        note(records[number % 2], f"a{number}")
    for record in records:
        record.close()
    assert {line["actor"] for line in lines(tmp_path)} == {f"a{number}" for number in range(100)}


def test_a_full_disk_holds_up_nobody_is_said_once_and_what_waited_is_written_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(access, "_FLUSH_S", 0.01)
    monkeypatch.setattr(access, "_WAITING_MAX", 5)
    record, append, tried = Access(tmp_path), access._append, []

    def full(*_: Any) -> None:
        tried.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(access, "_append", full)
    with caplog.at_level(logging.WARNING):
        until = time.monotonic() + 30
        while len(tried) < 3 and time.monotonic() < until:
            note(record)
            time.sleep(0.01)
        for _ in range(5):
            note(record, "bob")
        monkeypatch.setattr(access, "_append", append)
        note(record)
        record.close()
    said = [one.getMessage() for one in caplog.records]
    assert sum("cannot be written" in one for one in said) == 1
    assert sum("is written again" in one for one in said) == 1
    found = lines(tmp_path)
    assert sum(line["actor"] in ("ana", "bob") for line in found) == 5
    assert found[-1]["what"] == "uses that did not fit"
    assert found[-1]["times"] > 0


def test_a_record_that_has_no_folder_is_said_and_written_once_it_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(access, "_FLUSH_S", 0.01)
    (tmp_path / "access").write_text("no folder")
    record = Access(tmp_path)
    note(record)
    until = time.monotonic() + 30
    while not caplog.records and time.monotonic() < until:
        time.sleep(0.01)
    assert "cannot be written" in caplog.text
    (tmp_path / "access").unlink()
    wait_for_lines(tmp_path, 1)  # Though nobody asks for anything more.
    record.close()


def test_what_is_noted_while_others_are_written_is_written_at_the_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_FLUSH_S", 0.01)
    record, append = Access(tmp_path), access._append
    writing, closing = threading.Event(), threading.Event()

    def slow(*given: Any) -> None:
        writing.set()
        closing.wait(30)
        append(*given)

    monkeypatch.setattr(access, "_append", slow)
    note(record, "ana")
    assert writing.wait(30)
    note(record, "bob")
    record._closed.set()
    closing.set()
    record.close()
    assert [line["actor"] for line in lines(tmp_path)] == ["ana", "bob"]


def test_a_flood_of_strangers_is_a_few_lines_and_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_FLUSH_S", 30)
    record = Access(tmp_path)
    for _ in range(1_000):
        note(record, None, result="UNAUTHENTICATED")
    note(record)
    record.close()
    found = lines(tmp_path)
    assert len(found) == 22
    assert sum(line.get("times", 1) for line in found if line["actor"] is None) == 1_000


def test_a_line_that_a_crash_cut_off_stays_apart_and_is_counted(tmp_path: Path) -> None:
    for actor in ("ana", "bob"):
        record = Access(tmp_path)
        note(record, actor)
        record.close()
        [file] = (tmp_path / "access").iterdir()
        if actor == "ana":
            file.write_bytes(file.read_bytes() + b'{"time":"2026')
    found = last_uses(tmp_path, 10)
    assert [use.actor for use in found.uses] == ["bob", "ana"]
    assert found.damaged == 1


def test_the_last_uses_come_newest_first_across_days_of_one_actor_or_all(tmp_path: Path) -> None:
    folder = tmp_path / "access"
    folder.mkdir()
    for day in ("2026-01-01", "2026-01-02"):
        uses = [
            access.Use(f"{day}T00:00:0{n}Z", "ana" if n % 2 else "bob", "reader", "web", str(n), "200", "")
            for n in range(4)
        ]
        (folder / f"{day}.jsonl").write_bytes(b"\n".join(access.msgspec.json.encode(use) for use in uses) + b"\n")
    (folder / "notes.txt").write_text("mine")
    (folder / "2026-99-99.jsonl").write_text("no day")
    told = [(use.time[8:10], use.what) for use in last_uses(tmp_path, 6).uses]
    assert told == [("02", "3"), ("02", "2"), ("02", "1"), ("02", "0"), ("01", "3"), ("01", "2")]
    assert [use.what for use in last_uses(tmp_path, 3, "ana").uses] == ["3", "1", "3"]
    assert last_uses(tmp_path, 10, "nobody").uses == []
    assert last_uses(tmp_path / "elsewhere", 10).uses == []


def test_what_is_older_than_it_is_kept_goes_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "access"
    folder.mkdir()
    today = dt.datetime.now(dt.UTC).date()
    kept = [f"{today - dt.timedelta(days=days)}.jsonl" for days in (1, 28)]
    for name in (*kept, f"{today - dt.timedelta(days=32)}.jsonl", "2020-01-01.jsonl", "2020-01-01.jsonl.gz", "notes"):
        (folder / name).write_text("{}\n")
    monkeypatch.setenv(access.DAYS, "30")
    record = Access(tmp_path)
    note(record)
    record.close()
    assert {*os.listdir(folder)} >= {*kept, "2020-01-01.jsonl.gz", "notes"}
    assert len(os.listdir(folder)) == 5


@pytest.mark.parametrize("days", ["0", "-1", "many", "1.5", "99999", "9" * 5_000, "٣"])
def test_a_number_of_days_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    monkeypatch.setenv(access.DAYS, days)
    with pytest.raises(errors.InvalidArgumentError, match=access.DAYS):
        Access(tmp_path)


def test_what_somebody_asks_for_cannot_make_a_line_of_its_own_or_a_long_one(tmp_path: Path) -> None:
    record = Access(tmp_path)
    note(record, what="GET /\ud800")
    record.close()
    assert [line["what"] for line in lines(tmp_path)] == ["GET /\\ud800"]
    record = Access(tmp_path)
    note(record, what='GET /\n{"actor":"root"}' + "x" * 10_000)
    record.close()
    [_, line] = lines(tmp_path)
    assert line["actor"] == "ana"
    assert len(line["what"]) == 300
