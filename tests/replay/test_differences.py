from __future__ import annotations

import math

import pytest
import records

import replay
from evlog.errors import FutureError
from evlog.records import (
    ArtifactTypePut,
    AttributionPut,
    ContextPut,
    EventPut,
    ExecutionPut,
    ForeignRowKept,
    LogRecovered,
    Restored,
    Struct,
)
from replay.differences import of_record, records_of_types
from replay.reading import read_backward
from replay.things import same


@pytest.fixture
def store():
    store = records.Recorded()
    yield store
    store.close()


def told(found):
    return [(one.what, replay.things.key_of(one.after)) for one in found.differences]


def fields(one):
    return {change.field: (change.old, change.new) for change in one.fields}


def test_what_was_added_changed_and_linked_comes_by_kind_and_id(store):
    store.put(records.artifact(1), records.artifact(2))
    start = store.put(ExecutionPut(id=1, type_id=2, create_time_ms=5, update_time_ms=5, state="RUNNING"))
    store.put(EventPut(id=1, artifact_id=1, execution_id=1, type="INPUT", time_ms=7))
    store.put(records.artifact(3), ContextPut(id=1, type_id=3, create_time_ms=6, update_time_ms=6, name="c"))
    store.put(AttributionPut(1, 3), records.artifact(2, uri="/moved", properties={}))
    found = store.diff(start)
    assert told(found) == [
        ("changed", ("artifact", 2)),
        ("added", ("artifact", 3)),
        ("added", ("context", 1)),
        ("linked", ("event", 1)),
        ("linked", ("attribution", 1, 3)),
    ]
    changed = found.differences[0]
    assert fields(changed) == {"uri": ("/data/2", "/moved"), "properties.number": (2, None)}
    assert (changed.by.offset, changed.by.actor, changed.by.api) == (store.log.end - 1, "test", "Test")
    assert changed.by.time.timestamp() == pytest.approx(changed.by.time_us / 1e6)
    assert (found.start, found.stop, found.restored) == (start, store.log.end, 0)


def test_what_was_changed_and_changed_back_is_no_difference_but_counted(store):
    start = store.put(records.artifact(1, uri="/a"))
    store.put(records.artifact(1, uri="/b"))
    store.put(records.artifact(1, uri="/a", update_time_ms=5000))
    found = store.diff(start)
    assert (found.differences, found.restored) == ([], 1)
    assert (
        told(store.diff(start, start + 1)) == told(store.diff(start + 1, start + 2)) == [("changed", ("artifact", 1))]
    )


def test_no_record_no_difference_and_the_beginning_is_a_moment_too(store):
    store.put(records.artifact(1))
    assert store.diff(1, 1).differences == store.diff(0, 0).differences == []
    assert [what for what, _ in told(store.diff(0))] == ["added"] * 4


def test_a_type_that_grows_is_changed(store):
    start = store.log.end
    store.put(ArtifactTypePut(id=1, name="Data", properties={"number": "INT", "split": "STRING"}, description="d"))
    (one,) = store.diff(start).differences
    assert fields(one) == {"properties.split": (None, "STRING"), "description": (None, "d")}


@pytest.mark.parametrize(
    ("old", "new", "differ"),
    [
        (1, 1.0, True),
        (1, True, True),
        (math.nan, math.nan, False),
        (Struct({"a": [1.0, None], "b": 2.0}), Struct({"b": 2.0, "a": [1.0, None]}), False),
        (Struct({"a": 1.0}), Struct({"a": True}), True),
        ("", None, True),
    ],
)
def test_a_value_is_its_type_and_its_bits(store, old, new, differ):
    assert same(old, new) is not differ
    start = store.put(records.artifact(1, custom_properties={"x": old}))
    store.put(records.artifact(1, custom_properties={} if new is None else {"x": new}))
    assert [change.field for one in store.diff(start).differences for change in one.fields] == (
        ["custom_properties.x"] if differ else []
    )


def test_a_type_leaves_its_nodes_what_links_them_and_itself(store):
    store.put(ArtifactTypePut(id=4, name="Other"), records.artifact(1), records.artifact(2, type_id=4))
    store.put(ExecutionPut(id=1, type_id=2, create_time_ms=5, update_time_ms=5))
    store.put(EventPut(id=1, artifact_id=1, execution_id=1, type="INPUT", time_ms=7))
    store.put(EventPut(id=2, artifact_id=2, execution_id=1, type="INPUT", time_ms=7))
    assert told(store.diff(0, types=["Data"])) == [
        ("added", ("type", 1)),
        ("added", ("artifact", 1)),
        ("linked", ("event", 1)),
    ]
    assert told(store.diff(4, types={"Other"})) == [("linked", ("event", 2))]
    assert len(store.diff(1, types=["Run", "Other"]).differences) == 5
    assert store.diff(0, types=["Nope"]).differences == store.diff(0, types=[]).differences == []


def test_a_change_put_twice_by_one_record_counts_once_as_the_last(store):
    start = store.put(records.artifact(1, uri="/a"))
    store.put(records.artifact(1, uri="/b"), records.artifact(1, uri="/c"))
    (one,) = store.diff(start).differences
    assert fields(one) == {"uri": ("/a", "/c")}


def test_what_recovery_cut_or_an_import_kept_is_no_difference(store):
    start = store.log.end
    store.put(ForeignRowKept(table="Event", row={"id": 1}, why="dangling"))
    store.put(LogRecovered(segment="s", position=1, size=2, sha256=b"", reason="r", quarantine="q"))
    store.put(Restored(bytes(16), "evlog/x", 1, bytes(32), 2, bytes(32), 3))
    assert store.diff(start).differences == []


def test_only_what_lies_between_and_the_versions_before_are_read(store, monkeypatch):
    for number in range(1, 400):
        store.put(records.artifact(number))
    start = store.put(records.artifact(400))
    store.put(records.artifact(7, uri="/moved"))
    asked = []
    read, read_each = store.log.read, store.log.read_each
    monkeypatch.setattr(store.log, "read", lambda *range_: asked.append(range_) or read(*range_))
    monkeypatch.setattr(store.log, "read_each", lambda offsets: asked.append(offsets) or read_each(offsets))
    assert told(store.diff(start)) == [("changed", ("artifact", 7))]
    assert asked == [(start, start + 1), [7]]


def test_progress_is_told_in_records(store):
    steps = []
    store.put(records.artifact(1))
    store.diff(0, progress=lambda *step: steps.append(step))
    assert steps == [(0, 2), (2, 2)]


def test_a_moment_that_the_log_has_not_reached_is_refused(store):
    with pytest.raises(FutureError):
        store.diff(0, 99)


def test_the_records_of_a_type_are_found_whatever_their_number(store):
    view = store.view
    for number in range(1, 600):
        store.put(records.artifact(number))
    store.put(LogRecovered(segment="s", position=1, size=2, sha256=b"", reason="r", quarantine="q"))
    found = records_of_types(view, store.log.read(0), ["Data"])
    assert [entry.offset for entry in found] == list(range(600))
    assert list(records_of_types(view, store.log.read(1), ["Run"])) == []
    backward = records_of_types(view, read_backward(store.log, 0, store.log.end), ["Data"])
    assert next(backward).offset == 599


def test_what_one_record_made_of_each_thing_stands_beside_the_version_before(store):
    store.put(records.artifact(1), records.artifact(2))
    store.put(records.artifact(1, uri="/elsewhere"))
    end = store.put(
        records.artifact(1, uri="/moved"),
        records.artifact(3),
        records.artifact(3, uri="/last"),
        EventPut(id=1, artifact_id=1, execution_id=1, type="INPUT", time_ms=7),
        LogRecovered(segment="s", position=1, size=1, sha256=b"", reason="torn", quarantine="q"),
    )
    store.put(records.artifact(1, uri="/later"))
    entry = next(store.log.read(end - 1, end))
    found = of_record(store.log, store.view, entry)
    assert [(one.what, replay.things.key_of(one.after)) for one in found] == [
        ("changed", ("artifact", 1)),
        ("added", ("artifact", 3)),
        ("linked", ("event", 1)),
    ]
    assert fields(found[0]) == {"uri": ("/elsewhere", "/moved")}
    assert fields(found[1])["uri"] == (None, "/last")
    assert of_record(store.log, store.view, entry, 1) == found[:1]
