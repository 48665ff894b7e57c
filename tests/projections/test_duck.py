"""The analytics view: rows of every version, questions of a moment, files; and that it says what the serving view says."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pytest
import records
from duck import NODE, history, rows
from histories import put
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import FIRST_CALLS, WILD, puts

from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.records import (
    ArtifactPut,
    ArtifactTypePut,
    AttributionPut,
    ContextPut,
    Entry,
    EventPut,
    ExecutionPut,
    ForeignRowKept,
    LogRecovered,
    NodePut,
    Proto,
    Record,
    Struct,
)
from mlmd.engine import Engine
from mlmd.opening import open_memory
from projections.duck import apply
from projections.duck.batch import Batch
from projections.duck.view import HistoryView
from projections.errors import ViewError, WrongViewError
from projections.query import KINDS
from replay.analytics import in_memory
from replay.follow import bring_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def ask() -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Return a question to a view of a small store."""
    view = history(*records.small_store())
    yield lambda sql, *values: view.connection.execute(sql, list(values)).fetchall()
    view.close()


# Versions ---------------------------------------------------------------------------------------------------------------


def test_each_version_is_a_row_that_says_when_it_held(ask: Any) -> None:
    versions = ask(
        "select valid_from_offset, valid_to_offset, is_current, state from artifacts where id = 1 order by all"
    )
    assert versions == [(1, 13, False, None), (13, None, True, "LIVE")]
    ((ended, began),) = ask(
        "select a.valid_to, b.valid_from from artifacts a, artifacts b where a.id = 1 and b.id = 1"
        " and not a.is_current and b.is_current"
    )
    assert ended == began == ask('select time from records where "offset" = 13')[0][0]


def test_a_version_replaced_in_the_same_record_was_never_there() -> None:
    first, second = records.artifact(1, name="first"), records.artifact(1, name="second")
    view = history(records.types(), records.record(first, second, records.artifact(2)), records.record(first))
    assert rows(view, "select id, name, valid_from_offset, valid_to_offset from artifacts order by all") == [
        (1, "first", 2, None),
        (1, "second", 1, 2),
        (2, "artifact 2", 1, None),
    ]
    view.close()


def test_the_rows_do_not_depend_on_how_the_records_were_batched() -> None:
    log = Log.open(MemoryFolder(), create=True)
    records.append(log, records.small_store())
    records.append(log, [records.record(records.artifact(number % 3 + 1, name=f"{number}")) for number in range(20)])
    at_once, one_by_one = in_memory(log, log.end), HistoryView(None, log.id, create=True)
    for stop in range(log.end + 1):
        bring_up(log, one_by_one, stop)
    tables = [name for (name,) in rows(at_once, "select table_name from duckdb_tables()")]
    assert len(tables) == 10
    for table in tables:
        assert rows(at_once, f"from {table} order by all") == rows(one_by_one, f"from {table} order by all"), table
    at_once.close()
    one_by_one.close()


def test_the_rows_do_not_depend_on_how_many_are_gathered_and_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a type that gets properties, nodes put again, in one record and in others, and edges, far more than are gathered at once."""
    log = Log.open(MemoryFolder(), create=True)
    records.append(log, records.small_store())
    for number in range(400):
        again = records.artifact(number % 30 + 1, name=f"{number}")
        edge = EventPut(id=number + 3, artifact_id=1, execution_id=1, type="INPUT", time_ms=number, path=[number, "x"])
        changes = [[again], [again, records.artifact(number % 30 + 1, name="last")], [edge], []][number % 4]
        records.append(log, [records.record(*changes)])
    whole = in_memory(log, log.end)
    monkeypatch.setattr("projections.duck.batch.TAKEN_RECORDS", 3)
    monkeypatch.setattr("projections.duck.batch.CHUNK_BYTES", 4_000)
    parts = in_memory(log, log.end)
    for (table,) in rows(whole, "select table_name from duckdb_tables()"):
        assert rows(whole, f"from {table} order by all") == rows(parts, f"from {table} order by all"), table
    assert rows(whole, "select count(*), count(distinct id), sum(is_current::int) from artifacts") == [(211, 30, 30)]
    whole.close()
    parts.close()


def test_a_batch_knows_how_much_it_holds() -> None:
    long = "x" * 100_000
    for change in (
        records.artifact(1, uri=long),
        records.artifact(1, name=long),
        records.artifact(1, properties={"v": long}),
        records.artifact(1, custom_properties={"v": Struct({"v": long})}),
        ArtifactTypePut(id=1, name="T", description=long),
        EventPut(id=1, artifact_id=1, execution_id=1, type="INPUT", time_ms=1, path=[long]),
    ):
        batch = Batch(0)
        batch.add([Entry(0, 1, records.record(change))])
        assert 100_000 < batch.size < 102_000


@pytest.mark.parametrize("change", [records.artifact(2**63), records.artifact(1, create_time_ms=2**64 - 1)])
def test_a_number_that_no_column_holds_is_an_error_of_the_view(change: ArtifactPut) -> None:
    log = Log.open(MemoryFolder(), create=True)
    records.append(log, [records.types(), records.record(change, AttributionPut(context_id=1, artifact_id=1))])
    view = HistoryView(None, log.id, create=True)
    with pytest.raises(ViewError, match=r":memory:.*too (big|large)"):
        bring_up(log, view, log.end)
    assert view.applied == 0
    bring_up(log, view, 1)
    assert rows(view, "select count(*) from types") == [(3,)]
    view.close()


def test_the_records_say_who_put_what_and_why() -> None:
    view = history(
        Record(
            records.AUTHOR.envelope("PutTypes", 1).__class__(
                v=1,
                transaction=bytes(range(16)),
                wall_us=1,
                api="PutTypes",
                actor="ana",
                auth="tls",
                application="trainer",
                host="gpu-1",
                pid=0,
                reason="ticket 81",
            ),
            [ArtifactTypePut(id=1, name="A"), records.artifact(1)],
        ),
        records.record(
            LogRecovered("0.seg", 1, 2, b"", "torn", "q"),
            ForeignRowKept("Event", {"id": b"\xff", "time": math.nan, "": 2**63}, "odd"),
        ),
    )
    ((*first,), (*second,)) = rows(view, 'select * exclude (time) from records order by "offset"')
    assert [str(value) if name == "transaction_id" else value for name, value in zip(_columns(view, "records"), first, strict=True)] == [
        0, "ana", "tls", "trainer", "gpu-1", 0, "PutTypes", "ticket 81", "00010203-0405-0607-0809-0a0b0c0d0e0f",
        [{"kind": "artifact_type", "id": 1}, {"kind": "artifact", "id": 1}],
    ]  # fmt: skip
    assert second[-1] == [{"kind": "log_recovered", "id": None}, {"kind": "foreign_row", "id": None}]
    view.close()


def _columns(view: HistoryView, table: str) -> list[str]:
    names = rows(view, "select column_name from duckdb_columns() where table_name = $1 order by column_index", table)
    return [name for (name,) in names if name != "time"]


# Moments ----------------------------------------------------------------------------------------------------------------


def test_a_moment_is_an_offset_a_time_or_now(ask: Any) -> None:
    times = [time for (time,) in ask('select time from records order by "offset"')]
    for count, time in enumerate(times, 1):
        assert ask("select moment($1)", time) == [(count,)]
    assert ask(
        "select moment(0), moment('#3'), moment('now'), moment(14), moment(now()), moment(date '2020-01-01')"
    ) == [(0, 3, 14, 14, 14, 0)]
    assert ask("select count(*) from artifacts_as_of($1)", times[4]) == [(4,)]
    assert ask("select count(*) from artifacts_as_of(0)") == [(0,)]


@pytest.mark.parametrize(
    "moment",
    [
        "null",
        "-1",
        "15",
        "'then'",
        "'#99'",
        "1.5",
        "'2026-13-01'",
        "'" + "9" * 50 + "'",
        "now() + interval 1 hour",
        "'2999-01-01'",
        "'infinity'",
    ],
)
def test_what_is_no_moment_is_refused(ask: Any, moment: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="moment"):
        ask(f"from artifacts_as_of({moment})")


def test_lineage_goes_up_and_down_as_far_as_it_is_told_and_as_it_was(ask: Any) -> None:
    assert ask("select hop, kind, id from lineage_upstream(2)") == [
        (0, "artifact", 2), (1, "execution", 1), (2, "artifact", 1),
    ]  # fmt: skip
    assert ask("select hop, kind, id, type, name, uri, state from lineage_downstream(1, hops := 1)") == [
        (0, "artifact", 1, "Data", "artifact 1", "/data/1", "LIVE"),
        (1, "execution", 1, "Run", None, None, "RUNNING"),
    ]
    assert ask("select id, state from lineage_upstream(1, 12)") == [(1, None)]
    for way in ("up", "down"):
        named = ask(f"from lineage_{way}stream(artifact_id := 1, t := 13, hops := 1)")
        assert named == ask(f"from lineage_{way}stream(1, 13, 1)")
    assert ask("select count(*) from lineage_upstream(2, 12)") == [(1,)]
    assert ask("select count(*) from lineage_upstream(2, 2)") == [(0,)]
    assert ask("select count(*) from lineage_downstream(99)") == [(0,)]


def test_lineage_ends_where_it_goes_in_a_circle() -> None:
    view = history(
        records.types(),
        records.record(
            *(records.artifact(number) for number in (1, 2)),
            *(ExecutionPut(id=number, type_id=2, **NODE) for number in (1, 2)),
            EventPut(id=1, artifact_id=1, execution_id=1, type="INPUT", time_ms=1),
            EventPut(id=2, artifact_id=2, execution_id=1, type="OUTPUT", time_ms=1),
            EventPut(id=3, artifact_id=2, execution_id=2, type="DECLARED_INPUT", time_ms=1),
            EventPut(id=4, artifact_id=1, execution_id=2, type="DECLARED_OUTPUT", time_ms=1),
        ),
    )
    assert rows(view, "select hop, kind, id from lineage_downstream(1, hops := null)") == [
        (0, "artifact", 1), (1, "execution", 1), (2, "artifact", 2), (3, "execution", 2),
    ]  # fmt: skip
    view.close()


def test_changes_between_two_moments_tell_what_was_put(ask: Any) -> None:
    assert ask('select "offset", change, kind, id, to_id, type from changes_between(12, 14)') == [
        (12, "linked", "association", 1, 1, None),
        (12, "linked", "attribution", 1, 1, None),
        (12, "linked", "event", 1, 1, "INPUT"),
        (12, "linked", "event", 1, 2, "OUTPUT"),
        (12, "linked", "parent_context", 1, 2, None),
        (13, "changed", "artifact", 1, None, "Data"),
    ]
    assert ask("select distinct change, kind from changes_between(0, 1) order by all") == [
        ("added", "artifact type"), ("added", "context type"), ("added", "execution type"),
    ]  # fmt: skip
    assert ask("select count(*) from changes_between('now')") == [(0,)]


def test_everything_has_a_comment(ask: Any) -> None:
    tables = ask(
        "select table_name, comment from duckdb_tables() union all select view_name, comment from duckdb_views() where not internal"
    )
    columns = ask("select table_name || '.' || column_name, comment from duckdb_columns() where not internal")
    macros = ask(
        "select function_name, comment from duckdb_functions() where not internal and function_type like '%macro'"
    )
    assert len(tables) == 13
    assert len(macros) == 8
    assert [name for name, comment in (*tables, *columns, *macros) if not comment] == []


# A history equals that of the serving view ----------------------------------------------------------------------------------


_OWN = {"artifact": ", uri, state", "execution": ", state", "context": ""}
_EDGES = {
    "event": "id, artifact_id, execution_id, type, is_output, time_ms",
    "attribution": "context_id, artifact_id",
    "association": "context_id, execution_id",
    "parent_context": "id, parent_id, child_id",
}


def _as_put(log: Log, offset: int) -> dict[tuple[str, int], tuple[Any, Any]]:
    """Return the properties of every node after so many records, by folding them."""
    found = {}
    for entry in log.read(0, offset):
        for change in entry.record.changes:
            if isinstance(change, NodePut):
                kind = {ArtifactPut: "artifact", ExecutionPut: "execution", ContextPut: "context"}[type(change)]
                found[kind, change.id] = (change.properties, change.custom_properties)
    return found


def _plain(value: Any) -> Any:
    """Return a value as the view should hold it, in a form that tells 1 from 1.0 and knows NaN."""
    if isinstance(value, Struct):
        value = value.fields
    if isinstance(value, Proto):
        value = [value.type_url, base64.b64encode(value.value).decode()]
    if isinstance(value, dict):
        return sorted((key, _plain(item)) for key, item in value.items())
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return repr(None if isinstance(value, msgspec.msgpack.Ext) else value)


def _check_moment(engine: Engine, view: HistoryView, offset: int) -> None:
    def then(sql: str) -> list[Any]:
        return engine.view.ask(lambda lookup: lookup._connection.execute(sql).fetchall(), offset)

    put = _as_put(engine.log, offset)
    for kind in KINDS:
        shared = f"id, type_id, name, external_id{_OWN[kind]}"
        ours = rows(
            view,
            f"select {shared}, epoch_ms(create_time), epoch_ms(update_time) from {kind}s_as_of($1) order by id",
            offset,
        )
        theirs = then(f"select {shared}, create_time, update_time from {kind} order by id")
        assert ours == theirs, (kind, offset)
        for node_id, *both in rows(
            view, f"select id, properties::json, custom_properties::json from {kind}s_as_of($1)", offset
        ):
            assert [_plain(json.loads(one or "{}")) for one in both] == [
                _plain(one) for one in put.pop((kind, node_id))
            ]
    assert put == {}
    for edge, columns in _EDGES.items():
        ours = rows(view, f"select {columns} from {edge}s where valid_from_offset < $1 order by all", offset)
        theirs = then(f"select {columns.replace('time_ms', 'time')} from {edge} order by 1, 2")
        assert ours == theirs, (edge, offset)
    held = "valid_from_offset < $1 and (valid_to_offset is null or valid_to_offset >= $1)"
    ours = rows(
        view,
        f"select id, kind, name, coalesce(version, ''), description, external_id, base_type from types where {held} order by id",
        offset,
    )
    theirs = then("select id, kind, name, version, description, external_id, base_type from type order by id")
    assert ours == theirs


@pytest.mark.deep
@settings(
    deadline=None, max_examples=max(settings().max_examples // 5, 10)
)  # A view takes a tenth of a second to make.
@given(operations=st.lists(puts(WILD), min_size=3, max_size=14), data=st.data())
def test_every_moment_is_as_the_serving_view_has_it(operations: Sequence[Any], data: Any) -> None:
    engine = Engine(open_memory())
    for operation in [*FIRST_CALLS, *operations]:
        put(engine, operation)
    view = in_memory(engine.log, engine.log.end)
    for offset in data.draw(st.lists(st.integers(0, engine.log.end), min_size=1, max_size=3, unique=True)):
        _check_moment(engine, view, offset)
    view.close()
    engine.close()


# Files ------------------------------------------------------------------------------------------------------------------


def test_rows_and_applied_offset_become_visible_together_or_not_at_all(tmp_path: Path) -> None:
    log = Log.open(MemoryFolder(), create=True)
    records.append(log, records.small_store())
    path = tmp_path / "history.000001.duckdb"
    view = HistoryView(path, log.id, create=True)
    bring_up(log, view, 5)
    view.begin()
    for entry in log.read(5, 9):
        view.apply(entry)
        view.applied = entry.offset + 1
    view.rollback()
    assert view.applied == 5
    bring_up(log, view, 5)
    view.close()
    view = HistoryView(path, log.id, create=False)
    assert (view.applied, view.prev) == (5, log.leaf_prefix(5))
    bring_up(log, view, log.end)
    assert rows(view, 'select count(*), max("offset") from records') == [(14, 13)]
    view.close()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_file_that_is_no_view_of_the_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "h.duckdb"
    HistoryView(path, b"a" * 16, create=True).close()
    with pytest.raises(WrongViewError, match="another log"):
        HistoryView(path, b"b" * 16, create=False)
    connection = duckdb.connect(str(path))
    connection.execute("update watermark set schema_version = 99").fetchall()
    connection.close()
    with pytest.raises(WrongViewError, match="another release"):
        HistoryView(path, b"a" * 16, create=False)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(WrongViewError):
        HistoryView(path, b"a" * 16, create=False)
    duckdb.connect(str(tmp_path / "empty.duckdb")).close()
    with pytest.raises(WrongViewError, match="no history view"):
        HistoryView(tmp_path / "empty.duckdb", b"a" * 16, create=False)


def test_a_failure_of_the_database_is_an_error_of_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(MemoryFolder(), create=True)
    records.append(log, records.small_store())
    view = HistoryView(None, log.id, create=True)
    with monkeypatch.context() as patch:
        patch.setitem(apply._INSERTS, "record", "select 'no number'::bigint from batch")
        with pytest.raises(ViewError, match="replay --view history"):
            bring_up(log, view, log.end)
    assert view.applied == 0
    bring_up(log, view, log.end)
    assert view.applied == log.end
    view.close()
