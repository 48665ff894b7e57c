"""How far the log of others goes, and that it is still the same log."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

import pytest
from crash import numbers, record
from following import put_back

from evlog import head
from evlog.errors import LostRecordsError, NoLogError, ReplacedLogError
from evlog.files import RealFile
from evlog.log import Log
from evlog.tip import Link

if TYPE_CHECKING:
    from pathlib import Path


def made(place: Path, *given: int) -> Path:
    log = Log.open(place, create=True)
    put(log, *given)
    log.close()
    return place


def put(log: Log, *given: int) -> None:
    with log.claim() as group:
        for number in given:
            group.add(record(number))
        group.commit()


def test_an_older_copy_is_refused_and_the_newer_one_is_read_again(tmp_path: Path) -> None:
    place = made(tmp_path / "log", 0, 1)
    shutil.copytree(place, tmp_path / "older")
    made(place, 2)
    shutil.copytree(place, tmp_path / "newer")
    reader = Log.open(place, writable=False)
    put_back(tmp_path / "older", place)
    with pytest.raises(LostRecordsError) as caught:
        reader.refresh()
    assert (caught.value.offset, reader.end) == (2, 3)
    put_back(tmp_path / "newer", place)
    assert (reader.refresh(), numbers(reader)) == (3, [0, 1, 2])
    reader.close()


def test_a_copy_of_the_same_length_with_another_record_is_refused(tmp_path: Path) -> None:
    place = made(tmp_path / "log", 0, 1)
    shutil.copytree(place, tmp_path / "other")
    made(place, 2)
    made(tmp_path / "other", 3)
    reader = Log.open(place, writable=False)
    put_back(tmp_path / "other", place)
    with pytest.raises(ReplacedLogError, match="record 2 is another than before") as caught:
        reader.refresh()
    assert caught.value.offset == 3
    reader.close()


def test_another_log_is_refused_by_its_name_and_none_at_all_as_such(tmp_path: Path) -> None:
    place, other = made(tmp_path / "log", 0, 1), made(tmp_path / "other", 0, 1)
    reader = Log.open(place, writable=False)
    put_back(other, place)
    with pytest.raises(ReplacedLogError, match=f"{reader.id.hex()} was here before"):
        reader.refresh()
    shutil.rmtree(place)
    with pytest.raises(NoLogError):
        reader.refresh()
    reader.close()


def test_without_head_a_log_is_walked_once_and_not_at_every_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, walks = made(tmp_path / "log", 0, 1), []
    (place / head.NAME).unlink()
    read_tip = Log._read_tip
    monkeypatch.setattr(Log, "_read_tip", lambda log, stop: (walks.append(stop), read_tip(log, stop))[1])
    reader = Log.open(place, writable=False)
    assert [reader.refresh() for _ in range(5)] == [2] * 5
    assert walks == [None]
    made(place, 2)
    assert reader.refresh() == 3
    reader.close()


def test_a_head_that_was_read_amid_two_writes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, torn = made(tmp_path / "log", 0, 1), [b"\1" * head.SIZE]
    read = RealFile.read

    def amid(file: RealFile, size: int, position: int) -> bytes:
        return torn.pop() if torn and file.name.endswith(head.NAME) else read(file, size, position)

    monkeypatch.setattr(RealFile, "read", amid)
    monkeypatch.setattr(Log, "_read_tip", lambda *_: pytest.fail("HEAD is not lost"))
    reader = Log.open(place, writable=False)
    assert (reader.end, torn) == (2, [])
    reader.close()


def test_threads_that_look_at_once_raise_no_false_alarm(tmp_path: Path) -> None:
    log = Log.open(tmp_path, create=True)
    reader, errors = Log.open(tmp_path, writable=False), list[LostRecordsError]()
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                reader.refresh()
        except LostRecordsError as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(300):
        put(log, number)
    done.set()
    for thread in threads:
        thread.join()
    assert (errors, reader.refresh()) == ([], 300)
    reader.close()
    log.close()


def test_a_link_leads_from_any_record_to_the_end_and_refuses_what_does_not_follow(
    tmp_path: Path, small_segments: int
) -> None:
    log = Log.open(tmp_path, create=True)
    for number in range(3 * small_segments):
        put(log, number)
    for start in range(log.end + 1):
        link = Link(start, log.leaf_prefix(start))
        assert [entry.offset for entry in log.read_on(link, log.end)] == list(range(start, log.end))
        assert (link.end, link.prev) == (log.end, log.leaf_prefix(log.end))
    with pytest.raises(ReplacedLogError, match="record 4 is another"):
        list(log.read_on(Link(5, b"another history!"), log.end))
    log.close()
