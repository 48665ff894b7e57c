"""One state, by three ways that share no tables: a replay, the serving view, the analytics view."""

from __future__ import annotations

import math
import os
from base64 import b64encode
from contextlib import closing
from hashlib import sha256, shake_256
from typing import TYPE_CHECKING, Any
from uuid import UUID

import apsw
import duckdb
import histories
import msgspec
import pytest
import records
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import WILD, puts

from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.records import ArtifactPut, ArtifactTypePut, EventPut, ExecutionTypePut, Proto, Struct
from mlmd.opening import BODIES
from projections.duck.reading import look_at
from projections.duck.state import state_of as duck_state
from projections.sqlite.state import state_of as sqlite_state
from projections.sqlite.view import View
from projections.state import TABLES, TIME_MS_MAX, VERSIONED, State
from replay import analytics
from replay.analytics import in_memory
from replay.follow import bring_up
from replay.rebuild import rebuild
from replay.state import Replayed
from replay.verify import verify_view

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from projections.sqlite.apply import Bodies

pytestmark = pytest.mark.slow

Shown = tuple[str, str]


def shown(state: State) -> Shown:
    return state.digest, state.history


def replayed(log: Log, stop: int) -> State:
    projector = Replayed({stop})
    bring_up(log, projector, stop)
    return projector.states[stop]


DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
EVERY = 5  # Of the columns, in the size of every day.


def by_sqlite(log: Log, stop: int, bodies: Bodies) -> State:
    view = View.create(None, log.id, bodies, indexes=False)
    bring_up(log, view, stop)
    try:
        return sqlite_state(view._connection, bodies)
    finally:
        view.close()


def by_duckdb(log: Log, stop: int) -> State:
    view = in_memory(log, stop)
    try:
        return duck_state(view.connection)
    finally:
        view.close()


def same(log: Log, stop: int, bodies: Bodies = records.BODIES) -> Shown:
    """Return the state at an offset, which all ways must say."""
    wanted = replayed(log, stop)
    for found in (by_sqlite(log, stop, bodies), by_duckdb(log, stop)):
        assert wanted.differing(found) == []
        assert shown(found) == shown(wanted)
    return shown(wanted)


def log_of(*given_records: Any) -> Log:
    log = Log.open(MemoryFolder(), create=True)
    records.append(log, list(given_records))
    return log


@settings(max_examples=25 if DEEP else 10)
@given(st.lists(puts(WILD), max_size=12), st.randoms(use_true_random=False))
def test_all_ways_say_the_same_of_any_history_at_any_offset(operations: list[Any], rng: random.Random) -> None:
    engine = histories.recorded(operations)
    try:
        log = engine.log
        for stop in {log.end, rng.randrange(log.end + 1)}:
            same(log, stop, BODIES)
        with_moment = in_memory(log, log.end)
        stop = rng.randrange(1, log.end + 1)
        look_at(with_moment.connection, stop)
        assert shown(duck_state(with_moment.connection)) == shown(replayed(log, stop))
        with_moment.close()
    finally:
        engine.close()


@pytest.mark.deep
@pytest.mark.timeout(3_600)
@settings(max_examples=100 if DEEP else 5)
@given(st.lists(puts(WILD), max_size=40), st.randoms(use_true_random=False))
def test_all_ways_say_the_same_of_any_long_history(operations: list[Any], rng: random.Random) -> None:
    engine = histories.recorded(operations)
    try:
        for stop in {engine.log.end, *(rng.randrange(engine.log.end + 1) for _ in range(4))}:
            same(engine.log, stop, BODIES)
    finally:
        engine.close()


# Types of values ------------------------------------------------------------------------------------------------------

VALUES: list[Any] = [
    *(1, 1.0, True, "1", "", 0, 0.0, -0.0, False, math.nan, math.inf, -math.inf, 5e-324, 0.1 + 0.2, 1e22),
    *(2**63 - 1, -(2**63), float(2**53), 2**53, "null", "NaN", "é\0😀", "1.0", "[]"),
    *(Struct({}), Struct({"a": None}), Struct({"a": math.nan}), Struct({"": "\0", "\0": -0.0}), Struct({"a": [1.0]})),
    *(
        Struct({"a": {"b": []}}),
        Struct({"a": True}),
        Struct({"type_url": "t/x"}),
        Proto("t/x", b""),
        Proto("t/x", b"\0"),
    ),
    Proto("", b""),
]


def node(**fields: Any) -> Any:
    return records.record(records.artifact(1, **fields))


def test_every_value_has_a_state_of_its_own_and_all_ways_keep_it_apart() -> None:
    found = {same(log_of(records.types(), node(properties={"v": value})), 2) for value in VALUES}
    found |= {same(log_of(records.types(), node(custom_properties={"v": value})), 2) for value in (1, 1.0, True)}
    assert len(found) == len(VALUES) + 3


def test_not_set_and_empty_are_two_states() -> None:
    fields: list[dict[str, Any]] = [
        *({"name": None}, {"name": ""}, {"external_id": ""}, {"uri": ""}, {"state": "LIVE"}, {"properties": {}}),
        *({"create_time_ms": 7}, {"update_time_ms": 7}, {"type_id": 1, "name": "x"}),
    ]
    assert len({same(log_of(records.types(), node(**one)), 2) for one in fields}) == len(fields)


def test_the_order_of_keys_and_the_bits_of_nan_are_no_part_of_the_state() -> None:
    odd_nan = msgspec.msgpack.decode(b"\xcb\xff\xf8\x00\x00\x00\x00\x00\x01")
    both = [
        log_of(records.types(), node(properties={"a": math.nan, "b": Struct({"x": 1.0, "y": 2.0})})),
        log_of(records.types(), node(properties={"b": Struct({"y": 2.0, "x": 1.0}), "a": odd_nan})),
    ]
    assert len({same(log, 2) for log in both}) == 1


def test_times_beyond_every_calendar_are_one_time() -> None:
    late = [TIME_MS_MAX, TIME_MS_MAX + 1, 2**63 - 1, -TIME_MS_MAX, -TIME_MS_MAX - 1, -(2**63)]
    found = [same(log_of(records.types(), node(create_time_ms=0, update_time_ms=time)), 2) for time in late]
    assert len(set(found)) == 4
    assert found[1] == found[2]
    assert found[4] == found[5]


def test_what_only_answers_hold_is_part_of_the_state() -> None:
    paths: list[list[int | str]] = [[], [""], ["1"], [1], [1, "1"], [-1], [2**40]]
    logs = [log_of(*records.small_store(2), records.record(EventPut(3, 1, 1, "INPUT", 5, path=path))) for path in paths]
    assert len({same(log, log.end) for log in logs}) == len(paths)
    forms: list[dict[str, Any] | None] = [None, {}, {"any": {}}, {"none": {}}]
    types = [log_of(records.record(ExecutionTypePut(1, "R", input_type=form))) for form in forms]
    types += [log_of(records.record(ExecutionTypePut(1, "R", output_type=form))) for form in forms[1:]]
    assert len({same(log, 1) for log in types}) == 7


def test_put_twice_by_one_record_the_first_was_never_to_be_seen() -> None:
    twice = log_of(records.types(), records.record(records.artifact(1, uri="a"), records.artifact(1, uri="b")))
    once = log_of(records.types(), records.record(records.artifact(1, uri="b")))
    assert same(twice, 2) == same(once, 2)
    assert same(twice, 2)[1] == shown(State())[1], "nothing was replaced"


def test_a_version_that_was_replaced_is_history_and_with_it_when() -> None:
    def log(*uris: str) -> Log:
        return log_of(records.types(), *(node(uri=uri) for uri in uris))

    assert same(log("a", "b"), 3)[0] != same(log("b", "b"), 2)[0], "the offset that put it is part of a row"
    assert same(log("a", "b"), 3)[0] == same(log("c", "b"), 3)[0]
    assert same(log("a", "b"), 3)[1] != same(log("c", "b"), 3)[1]
    assert same(log("a", "a", "b"), 4)[1] != same(log("a", "b", "b"), 4)[1]


# As docs/format.md says -----------------------------------------------------------------------------------------------


def digest_by_the_document(rows: list[list[Any]], tables: list[str]) -> str:
    """Compute it as docs/format.md tells it, with nothing of ours but MessagePack."""
    sums = dict.fromkeys(tables, 0)
    for one in rows:
        expanded = shake_256(sha256(msgspec.msgpack.encode(one)).digest()).digest(256)
        sums[one[0]] = (sums[one[0]] + int.from_bytes(expanded, "little")) % 2**2048
    return sha256(b"".join(total.to_bytes(256, "little") for total in sums.values())).hexdigest()


def test_the_digest_is_what_the_document_says() -> None:
    value = Struct({"b": [1.0, None], "a": msgspec.msgpack.Ext(0, b"")})
    put = ArtifactPut(
        id=7,
        type_id=1,
        create_time_ms=2**62,
        update_time_ms=6,
        properties={"s": value},
        custom_properties={"p": Proto("u", b"x")},
    )
    log = log_of(
        records.record(ArtifactTypePut(id=1, name="Data", properties={"s": "STRUCT"})),
        records.record(put),
        records.record(put, EventPut(1, 7, 3, "INPUT", 9, path=["k", 1])),
    )
    struct = {"a": None, "b": [1.0, None]}
    rows: list[list[Any]] = [
        ["types", 1, "artifact", "Data", "", None, None, None, {"s": "STRUCT"}, None, None, 0],
        [
            "artifacts",
            7,
            1,
            None,
            None,
            "",
            None,
            2**63 - 1,
            6,
            {"s": struct},
            {"p": ["u", b64encode(b"x").decode()]},
            2,
        ],
        ["events", 1, 7, 3, "INPUT", 9, ["k", 1], 2],
    ]
    tables = [
        "types",
        "artifacts",
        "executions",
        "contexts",
        "events",
        "attributions",
        "associations",
        "parent_contexts",
    ]
    assert same(log, 3)[0] == digest_by_the_document(rows, tables)
    before = sha256(msgspec.msgpack.encode([*rows[1][:-1], 1])).digest() + (2).to_bytes(8, "little")
    total = [bytes(256), shake_256(before).digest(256), bytes(256), bytes(256)]
    assert same(log, 3)[1] == sha256(b"".join(total)).hexdigest()


# What was altered is found --------------------------------------------------------------------------------------------

DERIVED = {  # Of the analytics view: made of other columns, or told by `records` too. The digest of its rows has them.
    *("is_current", "is_output", "time", "valid_from", "valid_to"),
    *("artifacts.type", "executions.type", "contexts.type"),
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with both views."""
    log = Log.open(tmp_path / "log", create=True)
    records.append(log, records.small_store(3))
    records.append(log, [records.record(ExecutionTypePut(id=2, name="Run", description="again"))])
    rebuild(log, tmp_path / "views", records.BODIES)
    analytics.rebuild(log, tmp_path / "views")
    log.close()
    return tmp_path


def damage(store: Path, *, deep: bool = True) -> list[str]:
    """Return what is damaged by `verify`, the current view before the history view."""
    log, views = Log.open(store / "log", writable=False), store / "views"
    try:
        history = analytics.look(log, views, deep=deep)
        assert isinstance(history, analytics.Look), history
        current = verify_view(log, views, records.BODIES, deep=deep, stops=[history.applied])
        found = [*current.findings, *analytics.verify_view(log, history, current.states)]
        return [one.what for one in found if one.severity == "damage"]
    finally:
        log.close()


def test_a_sound_store_is_found_sound(store: Path) -> None:
    assert damage(store) == []
    assert damage(store, deep=False) == []


@pytest.mark.faults
def test_every_column_of_the_serving_view_that_is_altered_is_found(store: Path, full: bool) -> None:
    path = (store / "views" / "current.sqlite").resolve()
    whole, tried, in_answers = path.read_bytes(), 0, 0
    with closing(apsw.Connection(str(path))) as connection:
        tables = connection.execute("select name from sqlite_schema where type = 'table'").fetchall()
        columns = [
            (table, column, form)
            for (table,) in tables
            if table not in ("view", "landmark", "disorder", "sqlite_stat1")
            for column, form in connection.execute("select name, type from pragma_table_info(?)", (table,)).fetchall()
            if connection.execute(f"select 1 from {table}").fetchall()
        ]
    assert len(columns) > 60
    others = {"INTEGER": "coalesce({0}, 0) + 16777216", "BLOB": "jsonb('{{\"x\": 1}}')", "TEXT": "'other'"}
    for table, column, form in columns if full else columns[::EVERY]:
        with closing(apsw.Connection(str(path))) as connection:
            other = others[form].format(column)
            row = "rowid = (select min(rowid) from {0})" if not table.endswith(("_past", "ion")) else "true"
            connection.execute("pragma ignore_check_constraints = on")
            connection.execute(f"update or ignore {table} set {column} = {other} where {row.format(table)}")
        found = damage(store)
        assert found, (table, column)
        in_answers += "'s " in found[0]
        path.write_bytes(whole)
        tried += 1
    assert damage(store) == []
    assert tried > 60 or not full
    assert in_answers > (15 if full else 1)


@pytest.mark.faults
def test_every_column_of_the_analytics_view_that_is_altered_is_found(store: Path, full: bool) -> None:
    path = (store / "views" / "history.duckdb").resolve()
    whole, tried = path.read_bytes(), 0
    with closing(duckdb.connect(str(path))) as connection:
        columns = connection.execute(
            "select table_name, column_name, lower(data_type) from duckdb_columns() where schema_name = 'main'"
            " and table_name in (select unnest($1))",
            [[*TABLES, "records"]],
        ).fetchall()
    for table, column, form in columns if full else columns[::EVERY]:
        if column in ("is_current", "time_us") or (column.startswith("valid_to") and table not in VERSIONED):
            continue  # Generated.
        value = {"varchar": "other", "bigint": 77, "boolean": True, "uuid": str(UUID(int=5))}.get(form, "1999-01-01")
        value, cast = (
            (value, "") if form.split()[0] not in ("variant", "map(varchar,", "map") else ('{"x": "y"}', "::json")
        )
        cast += f"::{form}" if cast else ""
        if form.startswith("struct"):
            value, cast = None, ""
        with closing(duckdb.connect(str(path))) as connection:
            connection.execute(
                f'update {table} set "{column}" = (select $1{cast}) where rowid = (select min(rowid) from {table})',
                [value],
            ).fetchall()
        found = damage(store)
        assert found, (table, column)
        of_state = table in TABLES and column not in DERIVED and f"{table}.{column}" not in DERIVED
        assert (f"history view's {table} differ" in found[0]) == of_state, (table, column, found)
        path.write_bytes(whole)
        tried += 1
    assert damage(store) == []
    assert tried > (60 if full else 12)
