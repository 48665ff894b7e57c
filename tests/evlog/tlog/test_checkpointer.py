"""Checkpoints beside the puts: they come by themselves, and whatever befalls them, no put feels it."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
import warnings
from typing import TYPE_CHECKING

import pytest

from evlog.tlog import checkpoint, checkpointer, keys
from mlmd import MetadataStore
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path


def opened(place: Path) -> MetadataStore:
    return MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store, and a key for it."""
    monkeypatch.delenv("EVLOG_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    store = opened(tmp_path / "store")
    log = store._backend.log
    keys.write(keys.new(log.origin), keys.place_of(log.id))
    store.close()
    assert not (tmp_path / "store" / "tlog").exists(), "without a key there is no checkpoint"
    return tmp_path / "store"


def newest(place: Path) -> int:
    path = place / "tlog" / "checkpoint"
    return checkpoint.parse(path.read_bytes()).checkpoint.size if path.exists() else -1


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "evlog-checkpoints"]


def put(store: MetadataStore, name: str) -> int:
    return store.put_context_type(pb.ContextType(name=name))


def wait_for(place: Path, size: int) -> None:
    until = time.monotonic() + 30
    while newest(place) < size:
        assert time.monotonic() < until, "no checkpoint came"
        time.sleep(0.01)


def test_a_store_that_was_put_into_ends_in_a_checkpoint(place: Path) -> None:
    store = opened(place)
    assert threads() == [], "who puts nothing has no thread"
    put(store, "one")
    end = store._backend.log.end
    store.close()
    assert (newest(place), threads()) == (end, [])


def test_checkpoints_come_while_a_store_is_open(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer, "INTERVAL_S", 0.01)
    store = opened(place)
    for number in range(3):
        put(store, f"type {number}")
        wait_for(place, store._backend.log.end)
    store.close()


def test_an_engine_s_folder_closed_without_an_engine_is_closed_whole(place: Path) -> None:
    opened_folder = open_folder(place)
    assert opened_folder.checkpointer is not None
    opened_folder.checkpointer.wake()
    opened_folder.close()
    assert (newest(place), threads()) == (opened_folder.log.end, [])


def test_a_store_that_is_dropped_lets_its_thread_end(place: Path) -> None:
    store = opened(place)
    put(store, "one")
    [thread] = threads()
    del store
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    "harm", ["key is missing", "key is open", "key of another log", "tlog is a file", "checkpoint is damaged"]
)
def test_no_put_fails_because_a_checkpoint_does(
    place: Path, harm: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(place)
    key = keys.place_of(store._backend.log.id)
    if harm == "key is missing":
        monkeypatch.setenv("EVLOG_KEY", "/nowhere/key")
        store.close()
        store = opened(place)
    elif harm == "key is open":
        key.chmod(0o644)
    elif harm == "key of another log":
        key.unlink()
        keys.write(keys.new("evlog/other"), key)
    elif harm == "tlog is a file":
        (place / "tlog").touch()
    else:
        (place / "tlog").mkdir()
        (place / "tlog" / "checkpoint").write_bytes(b"no checkpoint")
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            put(store, f"type {number}")
        store.close()
    assert len(caplog.records) == 1, "it is told once"
    assert "no checkpoint" in caplog.text
    assert "Traceback" not in caplog.text
    again = opened(place)
    assert len(again.get_context_types()) == 3
    again.close()


def test_a_log_that_was_damaged_is_told_loudly_and_not_signed(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(place)
    put(store, "one")
    wait_for(place, 1)
    before = newest(place)
    put(store, "two")
    path = place / "log" / f"{0:020d}.seg"
    data = bytearray(path.read_bytes())
    data[store._backend.log.frame(store._backend.log.end - 1).position + 80] ^= 1
    path.write_bytes(data)
    with caplog.at_level(logging.ERROR):
        store.close()
    assert "no checkpoint is signed" in caplog.text
    assert newest(place) == before


def test_a_log_restored_from_an_old_copy_is_not_opened_while_its_checkpoint_is_there(place: Path) -> None:
    shutil.copytree(place / "log", place / "old")
    store = opened(place)
    put(store, "one")
    store.close()
    shutil.rmtree(place / "views")
    shutil.rmtree(place / "log")
    (place / "old").rename(place / "log")
    with pytest.raises(RuntimeError, match="was acknowledged|were acknowledged"):
        opened(place)
    shutil.rmtree(place / "log")
    with pytest.raises(RuntimeError, match="the log is gone"):
        opened(place)


def test_a_child_does_not_end_its_parent_s_thread(place: Path) -> None:
    store = opened(place)
    put(store, "one")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # From 3.12 on Python warns of forks beside threads.
        child = os.fork()
    if child == 0:
        try:
            store.close()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    put(store, "two")
    end = store._backend.log.end
    store.close()
    assert newest(place) == end
