"""Diff, history and blame over random histories, beside a fold over all records that knows nothing of the view."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from histories import recorded, row_of, states
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SAFE, puts

import mlmd
import replay
from evlog.records import NodePut, TypePut
from mlmd import errors
from mlmd.opening import BODIES
from mlmd.proto import metadata_store_pb2 as pb
from replay.rebuild import rebuild

if TYPE_CHECKING:
    from pathlib import Path


_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def end_of(store: mlmd.MetadataStore) -> int:
    backend: Any = store._backend
    return int(backend.log.end)


def bare(change: Any) -> bytes | None:
    """Return a state without the times of the clock, as bytes: Python holds 1 and 1.0 equal, and no NaN to itself."""
    if change is None:
        return None
    if isinstance(change, NodePut):
        change = msgspec.structs.replace(change, create_time_ms=0, update_time_ms=0)
    return _encode(change)


def plain_fields(change: Any) -> dict[str, Any]:
    """Return the fields of a node or type that are set, one by one."""
    given = {name: getattr(change, name) for name in change.__struct_fields__}
    maps = {name: given.pop(name) for name in ("properties", "custom_properties") if name in given}
    settled = ("id", "type_id", "create_time_ms", "update_time_ms")
    plain = {name: value for name, value in given.items() if name not in settled and value is not None}
    if plain.get("uri") == "":
        del plain["uri"]
    return plain | {f"{name}.{key}": value for name, values in maps.items() for key, value in values.items()}


HISTORIES = st.lists(puts(SAFE), min_size=2, max_size=14)


@pytest.mark.deep
@settings(deadline=None)
@given(operations=HISTORIES, data=st.data())
def test_a_diff_applied_to_the_first_state_gives_the_second(operations: list[Any], data: Any) -> None:
    engine = recorded(operations)
    known = states(engine.log)
    stop = data.draw(st.integers(0, engine.log.end))
    start = data.draw(st.integers(0, stop))
    found = replay.diff(engine.log, engine.view, start, stop)
    before, after = known[start], known[stop]
    reached = {row: bare(state) for row, state in before.items()}
    for one in found.differences:
        row = row_of(one.after)
        assert bare(one.before) == bare(before.get(row))
        assert bare(one.after) != bare(before.get(row)), "a difference that is none"
        reached[row] = bare(one.after)
        told = {change.field: change.old for change in one.fields}
        if isinstance(one.after, NodePut | TypePut):
            old, new = plain_fields(one.before) if one.before else {}, plain_fields(one.after)
            changed = {name for name in old.keys() | new.keys() if _encode(old.get(name)) != _encode(new.get(name))}
            assert {name: _encode(value) for name, value in told.items()} == {
                name: _encode(old.get(name)) for name in changed
            }
        last = max(offset for offset in range(start, stop) if known[offset + 1].get(row) is not known[offset].get(row))
        assert one.by.offset == last
    assert reached == {row: bare(state) for row, state in after.items()}
    touched = {row for row, state in after.items() if state is not before.get(row)}
    assert found.restored == len(touched) - len(found.differences)
    engine.close()


@pytest.mark.deep
@settings(deadline=None)
@given(operations=HISTORIES, data=st.data())
def test_history_is_every_state_there_was_and_blame_the_last_record_that_changed_a_field(
    operations: list[Any], data: Any
) -> None:
    engine = recorded(operations)
    known = states(engine.log)
    stop = data.draw(st.integers(0, engine.log.end))
    start = data.draw(st.integers(0, stop))
    for row, state in known[stop].items():
        if not isinstance(state, NodePut):
            continue
        thing = (type(state).__name__.removesuffix("Put").lower(), state.id)
        versions = [
            (offset, known[offset].get(row), known[offset + 1][row])
            for offset in range(stop)
            if known[offset + 1].get(row) is not known[offset].get(row)
        ]
        found = list(replay.history(engine.log, engine.view, thing, stop, start=start, links=False))
        assert [(one.by.offset, one.before, one.after) for one in found] == [v for v in versions if v[0] >= start]
        backward = replay.history(engine.log, engine.view, thing, stop, start=start, links=False, newest_first=True)
        assert list(backward) == found[::-1]
        expected = {}
        for offset, old, new in versions:
            before, after = plain_fields(old) if old else {}, plain_fields(new)
            for name in after:
                if name not in before or _encode(before[name]) != _encode(after[name]):
                    expected[name] = (offset, after[name])
        blamed = replay.blame(engine.log, engine.view, thing, stop)
        assert {one.field: (one.by.offset, _encode(one.value)) for one in blamed} == {
            name: (expected[name][0], _encode(value)) for name, value in plain_fields(state).items()
        }
        assert all(one.id == state.id for one in blamed)
    engine.close()


@pytest.mark.deep
@settings(deadline=None)
@given(operations=HISTORIES)
def test_the_history_of_a_thing_knows_every_event_and_link_of_it(operations: list[Any]) -> None:
    engine = recorded(operations)
    ends = {
        "EventPut": (("artifact", "artifact_id"), ("execution", "execution_id")),
        "AttributionPut": (("artifact", "artifact_id"), ("context", "context_id")),
        "AssociationPut": (("execution", "execution_id"), ("context", "context_id")),
        "ParentContextPut": (("context", "parent_id"), ("context", "child_id")),
    }
    expected: dict[tuple[str, int], list[Any]] = {}
    for entry in engine.log.read(0):
        for change in entry.record.changes:
            for kind, column in ends.get(type(change).__name__, ()):
                expected.setdefault((kind, getattr(change, column)), []).append((entry.offset, change))
    for kind in ("artifact", "execution", "context"):
        for number in range(1, 10):
            found = replay.history(engine.log, engine.view, (kind, number), engine.log.end)
            links = [(one.by.offset, one.after) for one in found if one.what == "linked"]
            assert links == expected.get((kind, number), [])
    engine.close()


# The store's methods -------------------------------------------------------------------------------------------------


def model(store: mlmd.MetadataStore, uri: str, **fields: Any) -> int:
    found = {one.name: one.id for one in store.get_artifact_types()}
    type_id = found.get("Model") or store.put_artifact_type(pb.ArtifactType(name="Model"))
    return store.put_artifacts([pb.Artifact(type_id=type_id, uri=uri, **fields)])[0]


def test_a_store_tells_what_happened_to_it(store: mlmd.MetadataStore) -> None:
    made = model(store, "/a", state=pb.Artifact.LIVE)
    begun = end_of(store)
    then = store.as_of(begun)
    model(store, "/b", id=made)
    other = model(store, "/c")
    found = store.diff(begun)
    assert [(one.what, one.after.id) for one in found.differences] == [("changed", made), ("added", other)]
    assert {change.field: (change.old, change.new) for change in found.differences[0].fields} == {
        "uri": ("/a", "/b"),
        "state": ("LIVE", None),
    }
    assert (
        store.diff("now", f"#{begun}")
        == store.diff(begun, types="Model")
        == store.diff(begun, types=["Model"])
        == found
    )
    assert store.diff(begun, types="Mode").differences == []
    assert store.diff(1, types="Model") == store.diff(1, types=["Model"])
    assert [one.after.uri for one in store.history(f"art:{made}")] == ["/a", "/b"]
    assert [(one.field, one.by.offset) for one in store.blame(f"art:{made}")] == [("uri", begun)]
    # The past has a past too.
    assert then.diff(begun).differences == []
    assert [one.what for one in then.diff(0).differences if one.after.id == made][-1:] == ["added"]
    assert [one.after.uri for one in then.history(f"art:{made}")] == ["/a"]
    assert [one.field for one in then.blame(f"art:{made}")] == ["uri", "state"]
    with pytest.raises(errors.NotFoundError, match=f"art:{other}"):
        then.blame(f"art:{other}")


def test_a_thing_is_named_by_a_text_or_by_what_was_read(store: mlmd.MetadataStore) -> None:
    made = model(store, "/a")
    (node,) = store.get_artifacts_by_id([made])
    (kind,) = store.get_artifact_types()
    assert store.history(node) == store.history(f"art:{made}") == store.history(f"artifact:{made}")
    assert store.blame(kind) == store.blame("type:Model")
    for nothing in ("art:", "art:x", "thing", "", "art:-1", None, 7, pb.Artifact(), pb.Event(artifact_id=1)):
        with pytest.raises(errors.InvalidArgumentError, match="names nothing"):
            store.history(nothing)


def test_a_thing_without_any_field_is_there_and_blames_nobody(store: mlmd.MetadataStore) -> None:
    kind = store.put_execution_type(pb.ExecutionType(name="Run"))
    (run,) = store.put_executions([pb.Execution(type_id=kind)])
    assert store.blame(f"run:{run}") == []
    assert [one.what for one in store.history(f"run:{run}")] == ["added"]


@pytest.mark.parametrize("moment", [None, True, "soon", "2026-13-01", 1.5])
def test_what_is_no_moment_is_refused(store: mlmd.MetadataStore, moment: Any) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        store.diff(moment)
    with pytest.raises(errors.InvalidArgumentError):
        store.diff(0, moment)


def test_a_moment_that_is_yet_to_come_is_refused(store: mlmd.MetadataStore) -> None:
    for moment in (10**9, "2999-01-01T00:00:00Z"):
        with pytest.raises(errors.OutOfRangeError):
            store.diff(moment)


def test_a_servers_store_says_where_to_ask() -> None:
    store = mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=1))
    for ask in (lambda: store.diff(0), lambda: store.history("art:1"), lambda: store.blame("art:1")):
        with pytest.raises(errors.UnimplementedError, match="evlog -s FOLDER diff"):
            ask()
    store.close()


def test_a_rebuild_and_a_writer_do_not_disturb_whoever_looks_back(tmp_path: Path) -> None:
    config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(tmp_path / "store")))
    store = mlmd.MetadataStore(config)
    made = model(store, "/0")
    wrong: list[Any] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            uris = [one.after.uri for one in store.history(f"art:{made}")]
            if uris != [f"/{number}" for number in range(len(uris))] or not store.blame(f"art:{made}"):
                wrong.append(uris)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for thread in lookers:
        thread.start()
    for number in range(1, 40):
        model(store, f"/{number}", id=made)
        if number % 10 == 0:
            backend: Any = store._backend
            rebuild(backend.log, tmp_path / "store" / "views", BODIES)
    done.set()
    for thread in lookers:
        thread.join()
    assert wrong == []
    store.close()
