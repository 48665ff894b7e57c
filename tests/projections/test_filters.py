"""Filters as SQL: the same answers as the cross product that they mean, whatever drives the search and whatever is indexed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import odd
import pytest
from filters import filters
from graph import NODES, PROPERTIES, filled
from hypothesis import given, settings
from hypothesis import strategies as st
from raw import RawStore

from mlmd import errors
from mlmd.engine import Engine
from mlmd.filters.query import filter_query
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from projections.choices import PROPERTIES as COLUMNS
from projections.compiler import NEIGHBOURS
from projections.errors import QueryError
from projections.query import KINDS, Listing, OrderBy
from projections.sqlite import listing, properties
from projections.sqlite.expressions import SqliteCompiler, present
from projections.sqlite.filters import compiled
from projections.sqlite.properties import Property

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from projections.query import Filter, Kind
    from projections.sqlite.lookup import Lookup


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "indexed"])
def store(request: pytest.FixtureRequest) -> Iterator[RawStore]:
    store = filled(RawStore())
    if request.param:
        for kind in KINDS:
            for key in PROPERTIES:
                store.engine.view.index_property(Property(kind, "properties", key))
            for key in ("c", "text"):
                store.engine.view.index_property(Property(kind, "custom_properties", key))
    yield store
    store.close()


def literally(lookup: Lookup, wanted: Filter) -> list[int]:
    """Return what a filter finds by the cross product of all rows of all its variables."""
    compiler = SqliteCompiler(wanted.kind, wanted.variables)
    source, where, values = [f"{wanted.kind} n"], [], []
    for variable in wanted.variables:
        if variable.relation in COLUMNS:
            where.append(f"{present(variable)} is not null")
            continue
        neighbour, table = NEIGHBOURS[wanted.kind, variable.relation], compiler.tables[variable]
        source.append(f"{neighbour.link} {table}")
        where.append(f"{table}.{neighbour.own} = n.id")
        if neighbour.table:
            source.append(f"{neighbour.table} {table}n")
            where.append(f"{table}n.id = {table}.{neighbour.far}")
    condition = compiler.sql(wanted.expression)
    where.append(condition.text)
    values += condition.values
    sql = f"select distinct n.id from {', '.join(source)} where {' and '.join(where)} order by n.id"
    return [row[0] for row in lookup._connection.execute(sql, tuple(values))]


@pytest.mark.deep
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_filter_finds_what_the_cross_product_finds(store: RawStore, kind: Kind, data: st.DataObject) -> None:
    text = data.draw(filters(kind))
    try:
        wanted = filter_query(kind, text)
    except errors.InvalidArgumentError:
        return
    lookup = store.engine.view.lookup
    try:
        expected = literally(lookup, wanted)
    except Exception as error:  # noqa: BLE001 - an overflow
        assert "overflow" in str(error)  # noqa: PT017
        return
    assert lookup.nodes_where(wanted) == expected
    some = data.draw(st.lists(st.integers(1, NODES), max_size=5))
    assert lookup.nodes_where(wanted, some) == sorted(set(some) & set(expected))


LIMITS = {"few": (10**9,), "many": (1, 10**9), "tried": (1,), "none": (0,)}


@pytest.mark.deep
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("order", OrderBy)
@settings(max_examples=20)
@given(data=st.data())
def test_pages_of_a_filter_join_to_the_whole_whatever_drives_them(
    store: RawStore, kind: Kind, ascending: bool, order: OrderBy, data: st.DataObject
) -> None:
    text, size = data.draw(filters(kind)), data.draw(st.integers(1, 7))
    try:
        wanted = filter_query(kind, text)
        expected = literally(store.engine.view.lookup, wanted)
    except Exception:  # noqa: BLE001 - refused, or an overflow: the test above looks at both
        return
    limits, tried = data.draw(st.sampled_from(sorted(LIMITS))), data.draw(st.sampled_from([3, 1_000]))
    before = listing.FEW, listing.MANY, listing.TRIED_NODES
    listing.FEW, listing.MANY = (LIMITS[limits], (0,)) if limits != "many" else ((1,), LIMITS[limits])
    listing.TRIED_NODES = tried
    try:
        found: list[int] = []
        after = None
        while True:
            asked = Listing(kind, filter=wanted, order_by=order, ascending=ascending, after=after, limit=size)
            page = store.engine.view.lookup.page(asked)
            found += [one.id for one in page]
            if len(page) < size:
                break
            after = listing_after(page[-1])
    finally:
        listing.FEW, listing.MANY, listing.TRIED_NODES = before
    assert sorted(found) == expected
    if order is not OrderBy.UPDATE_TIME:
        assert found == sorted(found, reverse=not ascending)


def listing_after(last: Any) -> Any:
    from projections.query import After

    return After(last.value, last.id)


# What must not cost ---------------------------------------------------------------------------------------------------


@pytest.fixture
def busy() -> Iterator[RawStore]:
    """An artifact with sixty events and sixty contexts: a cross product of three aliases has 216,000 rows."""
    store = RawStore()
    store.ask("PutArtifactType", service.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="T")))
    store.ask("PutExecutionType", service.PutExecutionTypeRequest(execution_type=pb.ExecutionType(name="T")))
    store.ask("PutContextType", service.PutContextTypeRequest(context_type=pb.ContextType(name="T")))
    store.ask("PutArtifacts", service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=10)]))
    store.ask("PutExecutions", service.PutExecutionsRequest(executions=[pb.Execution(type_id=11)] * 60))
    contexts = [pb.Context(type_id=12, name=f"c{number}") for number in range(60)]
    store.ask("PutContexts", service.PutContextsRequest(contexts=contexts))
    events = [pb.Event(artifact_id=1, execution_id=number, type=pb.Event.INPUT) for number in range(1, 61)]
    store.ask("PutEvents", service.PutEventsRequest(events=events))
    links = [pb.Attribution(artifact_id=1, context_id=number) for number in range(1, 61)]
    store.ask("PutAttributionsAndAssociations", service.PutAttributionsAndAssociationsRequest(attributions=links))
    yield store
    store.close()


def ids(store: RawStore, text: str) -> list[int]:
    request = service.GetArtifactsRequest(options=pb.ListOperationOptions(filter_query=text))
    answer: Any = store.ask("GetArtifacts", request)
    return [node.id for node in answer.artifacts]


ALIASES = range(20)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" AND ".join(f"events_{n}.type = INPUT" for n in ALIASES), [1]),
        (" AND ".join(f"events_{n}.execution_id = {n + 1}" for n in ALIASES), [1]),
        (" OR ".join(f"events_{n}.execution_id = {n + 100}" for n in ALIASES), []),
        (" AND ".join(f"(events_{n}.type = OUTPUT OR contexts_{n}.name = 'c{n}')" for n in ALIASES), [1]),
        (" AND ".join(f"(events_{n}.type = OUTPUT OR contexts_{n}.name = 'none')" for n in ALIASES), []),
        ("NOT (" + " OR ".join(f"events_{n}.type = INPUT" for n in ALIASES) + ")", []),
        ("NOT (" + " AND ".join(f"events_{n}.type = INPUT" for n in ALIASES) + ")", []),
        ("id IN (" + ", ".join(f"events_{n}.execution_id + 100" for n in ALIASES) + ")", []),
        ("(events_a.type = OUTPUT OR contexts_a.id = 99) AND events_a.execution_id > 0 AND contexts_a.id > 0", []),
    ],
)
def test_many_neighbours_are_no_cross_product(busy: RawStore, text: str, found: list[int]) -> None:
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return steps > 2_000  # A million steps of SQLite's machine; the cross product would take more than any time.

    connection = busy.engine.view.lookup._connection
    connection.set_progress_handler(count, 500)
    assert ids(busy, text) == found
    connection.set_progress_handler(None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("id IN (" + ", ".join(map(str, range(1, 50_001))) + ")", [1]),
        ("id NOT IN (" + ", ".join(map(str, range(2, 50_001))) + ")", [1]),
        (" OR ".join(f"id = {number}" for number in range(2_000)), [1]),  # SQLite plans n alternatives in n².
        (" AND ".join(f"id != {number}" for number in range(2, 5_000)), [1]),
        ("(" * 200 + "id = 1" + ")" * 200, [1]),
        ("NOT " * 200 + "id = 1", [1]),
        ("id = " + "+".join(["1"] * 200) + " - 199", [1]),
    ],
)
def test_long_and_deep_filters_are_worked_out(busy: RawStore, text: str, found: list[int]) -> None:
    assert ids(busy, text) == found


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5_000 + "id = 1" + ")" * 5_000,
        "NOT " * 5_000 + "id = 1",
        "- " * 5_000 + "id = 1",
        "abs(" * 240 + "id" + ")" * 240 + " = 1",
    ],
)
def test_a_filter_too_deep_is_refused(busy: RawStore, text: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="deep"):
        ids(busy, text)


# Odd properties ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [False, True])
def test_any_property_name_is_found_and_no_other(index: bool) -> None:
    store = odd.put(RawStore())
    for number, key in enumerate(odd.KEYS):
        if index:
            store.engine.view.index_property(Property("artifact", "custom_properties", key))
        assert ids(store, f"custom_properties.`{key}`.int_value = {number}") == [odd.KEYED], key
        assert ids(store, f"custom_properties.`{key}`.int_value >= 0") == [odd.KEYED], key
        assert ids(store, f"custom_properties.`{key}`.int_value = {number + 1}") == [], key
    if index:
        assert len(store.engine.view.indexed_properties()) == len(odd.KEYS)
    store.close()


@pytest.mark.parametrize("index", [False, True])
def test_any_value_is_found_by_itself(index: bool) -> None:
    store = odd.put(RawStore())
    if index:
        store.engine.view.index_property(Property("artifact", "custom_properties", "v"))
    for text, found in odd.FOUND:
        assert ids(store, f"custom_properties.v.{text}") == found, text
    store.close()


@pytest.mark.parametrize(
    "text", ["abs(" * 100 + "id" + ")" * 100 + " = 1", "id = " + "abs(abs(1) + " * 60 + "1" + ")" * 60]
)
def test_functions_nested_in_each_other_are_refused_before_their_text_fills_the_memory(
    busy: RawStore, text: str
) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="nested too deep"):
        ids(busy, text)


def test_what_the_database_refuses_to_work_out_is_an_error_of_the_filter_and_no_damage(busy: RawStore) -> None:
    text = f"'a' LIKE '{'%a' * 40_000}'"
    with pytest.raises(QueryError, match="pattern too complex") as refused:
        busy.engine.view.lookup.nodes_where(filter_query("artifact", text))
    assert "replay" not in str(refused.value)
    with pytest.raises(errors.InternalError, match="Error when executing query"):
        ids(busy, text)


# Indexes that pay -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index costs next to nothing, so the first search without it makes it."""
    monkeypatch.setattr(properties, "INDEX_S", 0.0)
    monkeypatch.setattr(properties, "INDEX_S_PER_NODE", 0.0)


@pytest.mark.usefixtures("cheap")
def test_a_property_that_is_searched_gets_an_index_and_a_rebuild_keeps_it(tmp_path: Path) -> None:
    from mlmd.opening import BODIES
    from replay.rebuild import rebuild

    engine = Engine(open_folder(tmp_path / "store", create=True))
    store = filled(RawStore(engine))
    found = ids(store, "properties.i.int_value = 1 AND properties.s.string_value LIKE 'a'")
    wanted = [Property("artifact", "properties", "i")]
    assert engine.view.indexed_properties() == wanted  # LIKE is nothing an index helps with.
    assert ids(store, "properties.i.int_value = 1 AND properties.s.string_value LIKE 'a'") == found
    rebuild(engine.log, tmp_path / "store" / "views", BODIES)
    assert ids(store, "properties.i.int_value = 1 AND properties.s.string_value LIKE 'a'") == found
    assert engine.view.indexed_properties() == wanted
    engine.close()


@pytest.mark.usefixtures("cheap")
def test_there_are_no_more_indexes_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(properties, "INDEXES_MAX", 3)
    store = filled(RawStore())
    for key in "idsbxyz":
        ids(store, f"properties.{key}.int_value = 1")
    assert len(store.engine.view.indexed_properties()) == 3
    store.close()


@pytest.mark.usefixtures("cheap")
def test_indexes_are_made_while_others_put_and_ask(tmp_path: Path) -> None:
    engine = Engine(open_folder(tmp_path / "store", create=True))
    store, failed, until = filled(RawStore(engine)), [], time.monotonic() + 1.5

    def run(step: Any) -> None:
        number = 0
        try:
            while time.monotonic() < until:
                step(number)
                number += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            failed.append(error)

    def put(number: int) -> None:
        value = {"p": pb.Value(int_value=number)}
        made: Any = store.ask(
            "PutArtifacts", service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=10, custom_properties=value)])
        )
        assert made.artifact_ids[0] in ids(
            store, f"custom_properties.p.int_value = {number} AND id >= {made.artifact_ids[0]}"
        )

    def ask(number: int) -> None:
        ids(store, f"custom_properties.q{number % 12}.int_value = 1")

    threads = [threading.Thread(target=run, args=(step,)) for step in (put, put, ask, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(engine.view.indexed_properties()) == 13
    engine.close()
    again = Engine(open_folder(tmp_path / "store"))
    assert len(again.view.indexed_properties()) == 13
    again.close()


@pytest.mark.usefixtures("cheap")
def test_a_store_that_is_read_only_searches_without_an_index(tmp_path: Path) -> None:
    filled(RawStore(Engine(open_folder(tmp_path / "store", create=True)))).close()
    store = RawStore(Engine(open_folder(tmp_path / "store", writable=False)))
    found = ids(store, "properties.i.int_value = 1")
    assert ids(store, "properties.i.int_value = 1") == found != []
    assert store.engine.view.indexed_properties() == []
    store.close()


def test_a_condition_says_what_can_drive_it() -> None:
    text = (
        "properties.i.int_value = 1 AND properties.d.double_value > 0.5 AND properties.d.double_value < 1"
        " AND contexts_a.name = 'x' AND events_a.execution_id = 5 AND type = 'T' AND events_b.type = INPUT AND custom_properties.I.int_value = 1"
    )
    drivers = compiled(filter_query("artifact", text)).drivers
    assert [driver.property for driver in drivers] == [None, None, None, ("properties", "i"), ("properties", "d")]
    assert [driver.ascending for driver in drivers] == [False, False, False, True, False]
