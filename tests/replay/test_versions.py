from __future__ import annotations

from itertools import pairwise

import pytest
import records

import replay
from evlog.records import (
    ArtifactTypePut,
    AssociationPut,
    AttributionPut,
    ContextPut,
    EventPut,
    ExecutionPut,
    ExecutionTypePut,
    ParentContextPut,
)

NODE = {"create_time_ms": 5, "update_time_ms": 5}


@pytest.fixture
def store():
    store = records.Recorded()
    yield store
    store.close()


def life(store, thing, stop=None, **rest):
    found = replay.history(store.log, store.view, thing, store.log.end if stop is None else stop, **rest)
    return [(one.by.offset, one.what, [change.field for change in one.fields]) for one in found]


def test_the_life_of_a_thing_is_its_versions_and_links_in_order(store):
    store.put(records.artifact(1, uri="/a"), ExecutionPut(id=1, type_id=2, **NODE))
    store.put(records.artifact(2))
    store.put(EventPut(id=1, artifact_id=1, execution_id=1, type="OUTPUT", time_ms=7))
    store.put(records.artifact(1, uri="/b", state="LIVE"), ContextPut(id=1, type_id=3, name="c", **NODE))
    store.put(AttributionPut(1, 1), AssociationPut(1, 1))
    store.put(ContextPut(id=2, type_id=3, name="d", **NODE), ParentContextPut(id=1, parent_id=1, child_id=2))
    wanted = [
        (1, "added", ["name", "properties.number", "uri"]),
        (3, "linked", ["artifact_id", "execution_id", "type", "time_ms", "path"]),
        (4, "changed", ["uri", "state"]),
        (5, "linked", ["context_id", "artifact_id"]),
    ]
    assert life(store, ("artifact", 1)) == wanted
    assert life(store, ("artifact", 1), newest_first=True) == wanted[::-1]
    assert life(store, ("artifact", 1), links=False) == [wanted[0], wanted[2]]
    assert life(store, ("artifact", 1), start=3, stop=5) == wanted[1:3]
    assert [offset for offset, *_ in life(store, ("execution", 1))] == [1, 3, 5]
    assert [offset for offset, *_ in life(store, ("context", 1))] == [4, 5, 5, 6]
    assert [offset for offset, *_ in life(store, ("context", 2))] == [6, 6]


def test_a_name_may_be_that_of_several_types(store):
    store.put(ArtifactTypePut(id=4, name="Data", version="v2"), ExecutionTypePut(id=5, name="Data"))
    store.put(ArtifactTypePut(id=1, name="Data", properties={"number": "INT", "more": "INT"}))
    store.put(ArtifactTypePut(id=4, name="Data", version="v2", properties={"split": "STRING"}))
    assert life(store, ("type", "Data")) == [
        (0, "added", ["name", "properties.number"]),
        (1, "added", ["name", "version"]),
        (1, "added", ["name"]),
        (2, "changed", ["properties.more"]),
        (3, "changed", ["properties.split"]),
    ]
    blamed = replay.blame(store.log, store.view, ("type", "Data"), store.log.end)
    assert [(one.id, one.field, one.value, one.by.offset) for one in blamed] == [
        (1, "name", "Data", 0),
        (1, "properties.more", "INT", 2),
        (1, "properties.number", "INT", 0),
        (4, "name", "Data", 1),
        (4, "version", "v2", 1),
        (4, "properties.split", "STRING", 3),
        (5, "name", "Data", 1),
    ]


def test_what_was_not_there_has_no_life_and_no_blame(store):
    end = store.put(records.artifact(1))
    for thing in (("artifact", 2), ("execution", 1), ("type", "Nope")):
        assert life(store, thing) == []
        assert replay.blame(store.log, store.view, thing, end) == []
        assert not replay.was_there(store.view, thing, end)
    assert life(store, ("artifact", 1), stop=1) == []
    assert not replay.was_there(store.view, ("artifact", 1), 1)
    assert replay.was_there(store.view, ("artifact", 1), end)


def test_blame_is_the_last_record_in_which_a_value_changed(store):
    store.put(records.artifact(1, uri="/a", state="PENDING"))
    store.put(records.artifact(1, uri="/b", state="PENDING", external_id="x"))
    store.put(records.artifact(1, uri="/a", state="PENDING", properties={"number": 5}))
    store.put(records.artifact(1, uri="/a", state="PENDING", properties={"number": 5}, update_time_ms=9000))

    def blamed(stop):
        return {one.field: one.by.offset for one in replay.blame(store.log, store.view, ("artifact", 1), stop)}

    assert blamed(5) == {"name": 1, "properties.number": 3, "uri": 3, "state": 1}, "external_id was cleared"
    assert blamed(3) == {"name": 1, "properties.number": 1, "uri": 2, "state": 1, "external_id": 2}
    assert blamed(1) == {}


def test_blame_looks_on_until_every_field_of_every_type_is_explained(store):
    store.put(ExecutionPut(id=1, type_id=2, name="r", **NODE))
    store.put(ExecutionPut(id=1, type_id=2, name="r", external_id="x", **NODE))
    store.put(ExecutionPut(id=1, type_id=2, name="r", **NODE))
    store.put(ArtifactTypePut(id=4, name="Run"))
    end = store.log.end
    (one,) = replay.blame(store.log, store.view, ("execution", 1), end)
    assert (one.field, one.by.offset) == ("name", 1), "and not what was cleared last"
    blamed = replay.blame(store.log, store.view, ("type", "Run"), end)
    assert [(one.id, one.field, one.by.offset) for one in blamed] == [(2, "name", 0), (4, "name", 4)]


def test_a_long_life_is_read_piece_by_piece_from_either_end(store):
    for number in range(400):
        store.put(records.artifact(1, uri=f"/{number // 2}"), *([] if number else [ContextPut(1, 3, 5, 5, "c")]))
    forward = list(replay.history(store.log, store.view, ("artifact", 1), store.log.end))
    assert [one.after.uri for one in forward] == [f"/{number // 2}" for number in range(400)]
    assert all(later.before == earlier.after for earlier, later in pairwise(forward))
    assert (
        list(replay.history(store.log, store.view, ("artifact", 1), store.log.end, newest_first=True)) == forward[::-1]
    )
    (blamed,) = (one for one in replay.blame(store.log, store.view, ("artifact", 1), 400) if one.field == "uri")
    assert (blamed.value, blamed.by.offset) == ("/199", 399)


@pytest.mark.parametrize("newest_first", [False, True])
def test_progress_is_told_of_a_long_life(store, newest_first):
    for number in range(250):
        store.put(records.artifact(1, uri=f"/{number}"))
    steps = []
    rest = {"newest_first": newest_first, "progress": lambda *step: steps.append(step)}
    assert len(list(replay.history(store.log, store.view, ("artifact", 1), store.log.end, **rest))) == 250
    assert steps == [(100, 250), (200, 250)]


def test_whoever_wants_the_last_versions_reads_no_others(store, monkeypatch):
    for number in range(300):
        store.put(records.artifact(1, uri=f"/{number}"))
    asked = []
    read_each = store.log.read_each
    monkeypatch.setattr(store.log, "read_each", lambda offsets: asked.append(offsets) or read_each(offsets))
    found = replay.history(store.log, store.view, ("artifact", 1), store.log.end, newest_first=True)
    assert next(found).after.uri == "/299"
    assert asked == [list(range(store.log.end - 65, store.log.end))], "and the one before them"
