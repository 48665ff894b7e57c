"""Segments compressed in the background, beside whoever puts."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from crash import numbers, record

from evlog import compression, compressor, segment
from evlog.files import RealFolder, held
from evlog.log import Log
from evlog.memory import MemoryFolder
from mlmd import MetadataStore
from mlmd.opening import OpenError, open_folder
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("small_segments")
WAIT_S = 30


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressor, "DELAY_S", 0.0)
    monkeypatch.setattr(compressor, "REST_S", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> RealFolder:
    return RealFolder(tmp_path / "log", create=True)


def put(log: Log, start: int, stop: int) -> None:
    for number in range(start, stop):
        with log.claim() as group:
            group.add(record(number, 100))
            group.commit()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "evlog-compressor"]


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.005)


def raw(folder: RealFolder) -> list[int]:
    names = folder.names()
    return [base for base in segment.bases(folder) if segment.name_of(base) in names]


def test_a_segment_is_compressed_some_time_after_it_was_sealed_while_puts_go_on(folder: RealFolder) -> None:
    with closing(Log.open(folder, create=True, compress=True)) as log:
        put(log, 0, 8)
        assert threads() == [], "what has nothing to compress has no thread"
        put(log, 8, 30)
        wait_until(lambda: raw(folder) == [24])
        put(log, 30, 60)
        wait_until(lambda: raw(folder) == [56])
        assert numbers(log) == list(range(60))
    assert threads() == []
    with closing(Log.open(folder, writable=False)) as reader:
        assert numbers(reader) == list(range(60))


def test_a_log_that_was_not_asked_to_compress_does_not(folder: RealFolder) -> None:
    with closing(Log.open(folder, create=True)) as log:
        put(log, 0, 30)
        assert threads() == []
    assert raw(folder) == [0, 8, 16, 24]


def test_what_an_earlier_process_left_is_compressed_by_the_next_that_stays_open(folder: RealFolder) -> None:
    with closing(Log.open(folder, create=True)) as log:
        put(log, 0, 30)
    with closing(Log.open(folder, compress=True)):
        wait_until(lambda: raw(folder) == [24])


def test_a_process_that_ends_soon_begins_nothing(folder: RealFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressor, "DELAY_S", 1000.0)
    with closing(Log.open(folder, create=True, compress=True)) as log:
        put(log, 0, 30)
        assert len(threads()) == 1
    assert threads() == []
    assert raw(folder) == [0, 8, 16, 24]


def test_closing_gives_up_in_the_middle_and_leaves_the_segment_as_it_was(
    folder: RealFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressor, "REST_S", 1000.0)
    at_work = threading.Event()
    check = compression._check
    monkeypatch.setattr(compression, "_check", lambda *some, **named: (at_work.set(), check(*some, **named))[1])
    log = Log.open(folder, create=True, compress=True)
    put(log, 0, 9)
    assert at_work.wait(WAIT_S)
    log.close()
    assert threads() == []
    assert raw(folder) == [0, 8]
    assert not [name for name in folder.names() if name.endswith(".new")]


def test_an_abandoned_log_lets_its_thread_end(folder: RealFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressor, "DELAY_S", 1000.0)
    log = Log.open(folder, create=True, compress=True)
    put(log, 0, 9)
    [thread] = threads()
    log.abandon()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_while_another_process_compresses_this_one_waits_for_nothing(folder: RealFolder) -> None:
    with closing(folder.lock(compression.LOCK_NAME)) as lock, held(lock):
        log = Log.open(folder, create=True, compress=True)
        put(log, 0, 30)
        log.close()
    assert raw(folder) == [0, 8, 16, 24]


@pytest.mark.parametrize("harm", ["damage", "no lock"])
def test_no_put_fails_because_a_segment_cannot_be_compressed_and_it_is_told_once(
    folder: RealFolder, harm: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if harm == "no lock":
        (folder.path / compression.LOCK_NAME).mkdir()
    monkeypatch.setattr(compressor, "DELAY_S", 0.01)
    with caplog.at_level(logging.WARNING), closing(Log.open(folder, create=True, compress=True)) as log:
        put(log, 0, 8)
        path = folder.path / segment.name_of(0)
        data = bytearray(path.read_bytes())
        data[600] ^= 1
        if harm == "damage":
            put(log, 8, 9)
            path.chmod(0o644)
            path.write_bytes(data)
        put(log, 9 if harm == "damage" else 8, 40)
        wait_until(lambda: bool(caplog.records))
        put(log, 40, 60)
        if harm == "damage":
            wait_until(lambda: raw(folder) == [0, 56])
        assert log.end == 60
    assert len(caplog.records) == 1
    assert (raw(folder) == [0, 56]) == (harm == "damage"), "the others are compressed"
    assert ("a sealed segment is damaged" if harm == "damage" else "could not be compressed") in caplog.text
    assert "Traceback" not in caplog.text


def test_a_memory_log_may_be_compressed_too() -> None:
    folder = MemoryFolder()
    with closing(Log.open(folder, create=True, compress=True)) as log:
        put(log, 0, 30)
        wait_until(lambda: segment.compressed_name_of(16) in folder.names())
        wait_until(lambda: segment.name_of(16) not in folder.names())
        assert numbers(log) == list(range(30))


def test_a_store_compresses_unless_it_is_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def store_of(name: str) -> MetadataStore:
        config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(tmp_path / name)))
        store = MetadataStore(config)
        for number in range(20):
            store.put_context_type(pb.ContextType(name=f"type {number}"))
        return store

    with_it = store_of("on")
    wait_until(lambda: len(list((tmp_path / "on" / "log").glob("*.zst"))) == 2)
    assert len(with_it.get_context_types()) == 20
    with_it.close()
    monkeypatch.setenv("EVLOG_COMPRESS", "off")
    without = store_of("off")
    assert threads() == []
    without.close()
    assert list((tmp_path / "off" / "log").glob("*.zst")) == []
    monkeypatch.setenv("EVLOG_COMPRESS", "maybe")
    with pytest.raises(OpenError, match="EVLOG_COMPRESS=maybe: on or off"):
        open_folder(tmp_path / "off")
    again = open_folder(tmp_path / "on", writable=False)
    assert again.log.end >= 20
    again.close()
