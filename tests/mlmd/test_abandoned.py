"""Stores that are dropped without `close`, as MLMD's users do, whose store has none."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from typing import TYPE_CHECKING

from check import check_store

from mlmd import MetadataStore
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path


def opened(place: Path) -> MetadataStore:
    return MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))


def put(store: MetadataStore, name: str) -> None:
    type_id = store.put_artifact_type(pb.ArtifactType(name="T"))
    store.put_artifacts([pb.Artifact(type_id=type_id, name=name)])


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def names(store: MetadataStore) -> list[str]:
    return [artifact.name for artifact in store.get_artifacts()]


def test_a_dropped_store_gives_back_its_files_at_once_and_loses_nothing(tmp_path: Path) -> None:
    put(opened(tmp_path / "store"), "first")
    gc.collect()  # What other tests left is not to go meanwhile.
    before = descriptors()
    for number in range(20):
        put(opened(tmp_path / "store"), str(number))
        assert descriptors() <= before
    store = opened(tmp_path / "store")
    assert names(store) == ["first", *map(str, range(20))]
    check_store(store)
    store.close()
    assert descriptors() <= before


def test_a_store_in_memory_is_gone_when_it_is_dropped() -> None:
    store = MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    put(store, "first")
    engine = weakref.ref(store._backend)
    del store
    gc.collect()
    assert engine() is None


def test_a_store_is_collected_even_while_this_thread_holds_the_lock_of_its_folder(tmp_path: Path) -> None:
    dropped, kept = opened(tmp_path / "store"), opened(tmp_path / "store")
    put(dropped, "first")
    dropped.cycle = dropped  # type: ignore[attr-defined] - so that the collector has to find it
    gone = weakref.ref(dropped)
    gc.collect()
    assert gone() is not None
    del dropped

    def collect() -> None:
        with kept._backend.log.claim():
            gc.collect()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive(), "the collector waits for a lock that its own thread holds"
    assert gone() is None
    put(kept, "second")
    assert names(kept) == ["first", "second"]
    check_store(kept)
    kept.close()


def test_a_closed_store_may_be_dropped(tmp_path: Path) -> None:
    before = descriptors()
    store = opened(tmp_path / "store")
    put(store, "first")
    store.close()
    again = opened(tmp_path / "store")  # It may have been given the numbers that the first had.
    del store
    put(again, "second")
    assert names(again) == ["first", "second"]
    again.close()
    assert descriptors() == before
