"""Diff, history and blame over random histories, beside a fold over all records that knows nothing of the view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import FIRST_CALLS, SAFE, Rewrite, puts

import replay
from evlog.records import NodePut, TypePut
from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import open_memory

if TYPE_CHECKING:
    from evlog.log import Log

    State = dict[tuple[Any, ...], Any]

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def put(engine: Engine, operation: Any) -> None:
    """Do a put of the strategies; a refused one leaves no trace."""
    if isinstance(operation, Rewrite):
        many = f"{operation.kind}s"
        method = METHODS[f"Get{many.capitalize()}ByID"]
        found = engine.call(method, method.request(**{f"{operation.kind}_ids": operation.ids}))
        operation = operation.request(list(getattr(found, many)))
    try:
        engine.call(METHODS[operation.method], operation.request)
    except errors.StatusError:
        return


def row_of(change: Any) -> tuple[Any, ...]:
    """Return what names the row that a change puts."""
    ids = [
        getattr(change, name) for name in ("id", "context_id", "artifact_id", "execution_id") if hasattr(change, name)
    ]
    return (type(change).__name__, *(ids[:1] if hasattr(change, "id") else ids))


def bare(change: Any) -> bytes | None:
    """Return a state without the times of the clock, as bytes: Python holds 1 and 1.0 equal, and no NaN to itself."""
    if change is None:
        return None
    if isinstance(change, NodePut):
        change = msgspec.structs.replace(change, create_time_ms=0, update_time_ms=0)
    return _encode(change)


def states(log: Log) -> list[State]:
    """Return the store at every offset: states[n] is that of the first n records."""
    found: list[State] = [{}]
    for entry in log.read(0):
        found.append(found[-1] | {row_of(change): change for change in entry.record.changes})
    return found


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


@settings(deadline=None)
@given(operations=HISTORIES, data=st.data())
def test_a_diff_applied_to_the_first_state_gives_the_second(operations: list[Any], data: Any) -> None:
    engine = Engine(open_memory())
    for operation in [*FIRST_CALLS, *operations]:
        put(engine, operation)
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
        assert row not in found.differences[: found.differences.index(one)]
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


@settings(deadline=None)
@given(operations=HISTORIES, data=st.data())
def test_history_is_every_state_there_was_and_blame_the_last_record_that_changed_a_field(
    operations: list[Any], data: Any
) -> None:
    engine = Engine(open_memory())
    for operation in [*FIRST_CALLS, *operations]:
        put(engine, operation)
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


@settings(deadline=None)
@given(operations=HISTORIES)
def test_the_history_of_a_thing_knows_every_event_and_link_of_it(operations: list[Any]) -> None:
    engine = Engine(open_memory())
    for operation in [*FIRST_CALLS, *operations]:
        put(engine, operation)
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
