"""Filters answered from the history: as the serving view answers them, at any offset; what differs is refused, never guessed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import apsw
import duckdb
import odd
import pytest
import worked
from filters import filters
from graph import NODES, changed, filled
from hypothesis import given
from hypothesis import strategies as st
from raw import RawStore

from mlmd import errors
from mlmd.filters.query import filter_query
from projections.duck.expressions import DuckCompiler
from projections.duck.listing import find
from projections.errors import QueryError
from projections.query import KINDS, After, Constant, Listing, Operation, OrderBy
from projections.sqlite.expressions import SqliteCompiler
from replay import analytics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.duck.view import HistoryView
    from projections.query import Kind

pytestmark = pytest.mark.slow

SEEDS = range(3)


class Both:
    """A store, and its history in DuckDB."""

    def __init__(self, store: RawStore) -> None:
        self.store, self.end = store, store.engine.log.refresh()
        self.history: HistoryView = analytics.in_memory(store.engine.log, self.end)

    def of_history(self, listing: Listing, at: int | None = None) -> list[int]:
        return find(self.history.connection, listing, self.end if at is None else at)

    def of_view(self, listing: Listing, at: int | None = None) -> list[int]:
        return [one.id for one in self.store.engine.view.ask(lambda lookup: lookup.page(listing), at)]

    def close(self) -> None:
        self.history.close()
        self.store.close()


@pytest.fixture(scope="module")
def stores() -> Iterator[list[Both]]:
    made = [Both(changed(filled(RawStore(), seed), seed)) for seed in SEEDS]
    yield made
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def worked_out() -> Iterator[Both]:
    store = RawStore()
    worked.put(store.ask)
    both = Both(store)
    yield both
    both.close()


# Whole filters --------------------------------------------------------------------------------------------------------


@pytest.mark.deep
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_history_finds_what_the_serving_view_finds_at_any_offset(
    stores: list[Both], kind: Kind, data: st.DataObject
) -> None:
    text = data.draw(filters(kind))
    both = data.draw(st.sampled_from(stores))
    at = data.draw(st.integers(0, both.end))
    try:
        listing = Listing(kind, filter=filter_query(kind, text))
    except errors.InvalidArgumentError:
        return
    try:
        found = both.of_history(listing, at)
    except QueryError as error:
        assert "Out of Range Error" in str(error), error  # noqa: PT017 - an integer that 64 bits do not hold, see below
        return
    assert found == both.of_view(listing, at)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", OrderBy)
@pytest.mark.parametrize("ascending", [True, False])
def test_pages_from_history_are_those_of_the_serving_view(
    stores: list[Both], kind: Kind, order: OrderBy, ascending: bool
) -> None:
    both = stores[0]
    wanted = filter_query(kind, "id > 1")
    narrowed: list[dict[str, Any]] = [
        {},
        {"filter": wanted},
        {"type_id": {"artifact": 10, "execution": 12, "context": 14}[kind]},
    ]
    if kind != "context":
        narrowed.append({"context_id": 2})
    for narrow, at in itertools.product(narrowed, (0, 4, both.end // 2, both.end)):
        after = None
        while True:
            asked = Listing(kind, order_by=order, ascending=ascending, after=after, limit=5, **narrow)
            page = both.store.engine.view.ask(lambda lookup, asked=asked: lookup.page(asked), at)
            assert both.of_history(asked, at) == [one.id for one in page], (asked, at)
            if len(page) < 5:
                break
            after = After(page[-1].value, page[-1].id)
    assert (
        len(both.of_history(Listing(kind))) == {"artifact": NODES, "execution": NODES // 2, "context": NODES // 3}[kind]
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("artifact", "events_a.execution_id > 0"),
        ("artifact", "contexts_a.id > 0"),
        ("artifact", "type = 'T'"),
        ("execution", "contexts_a.id > 0"),
        ("context", "parent_contexts_a.id > 0"),
        ("context", "artifacts_a.state = LIVE"),
    ],
)
def test_what_was_put_is_there_from_its_offset_on(stores: list[Both], kind: Kind, text: str) -> None:
    listing = Listing(kind, filter=filter_query(kind, text))
    for both in stores:
        found = [both.of_history(listing, at) for at in range(both.end + 1)]
        assert found == [both.of_view(listing, at) for at in range(both.end + 1)]
        assert found[0] == []
        assert found[-1] != []


@pytest.mark.parametrize(("number", "of", "text", "expected"), worked.FOUND)
def test_history_finds_what_was_worked_out(
    worked_out: Both, number: int, of: str, text: str, expected: list[int]
) -> None:
    kind: Kind = {"A": "artifact", "E": "execution", "C": "context"}[of]  # type: ignore[assignment]
    assert worked_out.of_history(Listing(kind, filter=filter_query(kind, text))) == expected, number


# Functions and operators, one by one ----------------------------------------------------------------------------------

TEXTS = [
    "",
    "a",
    "A",
    "abc",
    " abc ",
    "\t x\n",
    "größe 🙂",
    "É",
    "12abc",
    " -12",
    "+7.5e1x",
    ".5",
    "1.",
    "-",
    "1e3",
    "0x1",
    "%",
    "_",
    "a%",
    "aXb",
    "xx",
    "it's",
]
INTS = [0, 1, -1, 2, 3, -3, 64, 62, 100, -100, 2**53 + 1, 2**62 - 1]
DOUBLES = [0.0, 0.5, 1.5, 2.5, -2.5, 1e10, 1e-5, 2.675, 1.005, 123456.789]
BOOLS = [True, False]
FEW = [0, 1, -1, 2, -3]
CASES: list[tuple[Any, ...]] = [
    *((name, TEXTS) for name in ("length", "lower", "upper", "trim", "ltrim", "rtrim", "unicode", "cast_string")),
    *((name, TEXTS) for name in ("cast_int", "cast_double", "cast_bool")),
    *((name, TEXTS, ["", "a", " x", "ab"]) for name in ("trim", "ltrim", "rtrim")),
    *((name, TEXTS, TEXTS) for name in ("like", "starts_with", "ends_with", "=", "<", "between", "nullif") if name != "between"),
    ("substr", TEXTS, FEW),
    ("substr", TEXTS, FEW, FEW),
    ("replace", TEXTS, ["", "a", "b", "xx", None], ["", "y", None]),
    *((name, DOUBLES) for name in ("round", "abs", "sign", "cast_int", "unary-")),
    ("round", DOUBLES, [0, 1, 2, 5, -1]),
    *((name, INTS) for name in ("abs", "sign", "round", "cast_double", "cast_string", "cast_bool", "unary-", "unary~")),
    *((name, BOOLS) for name in ("cast_int", "not", "is_true", "is_false", "is_null")),
    *((name, INTS, INTS) for name in ("/", "+", "-", "&", "|", "=", "!=", "<=", "coalesce")),
    *((name, DOUBLES, DOUBLES) for name in ("/", "+", "-", "*", ">", ">=")),
    *((name, INTS[:-2], DOUBLES) for name in ("+", "-", "*", "/", "=", "<", "nullif")),
    ("*", INTS[:10], INTS[:10]),
    ("<<", [*INTS, 2**63 - 1, -(2**63)], [0, 1, 3, 62, 63]),
    (">>", INTS, [0, 1, 3, 62, 63]),
    ("between", INTS, DOUBLES, [1, None]),
    ("in", INTS, FEW, [7, None]),
    ("and", [*BOOLS, None], [*BOOLS, None]),
    ("or", [*BOOLS, None], [*BOOLS, None]),
    ("case", [*BOOLS, None], FEW, [None, 5]),
    *((name, [None]) for name in ("length", "lower", "unicode", "round", "abs", "sign", "cast_int", "cast_bool", "unary-", "not")),
    *((name, [None], FEW) for name in ("+", "/", "&", "coalesce", "ifnull", "nullif")),
    *((name, [None, 5], [0, 1, None]) for name in ("<<", ">>")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{len(case) - 1}")
def test_a_function_means_what_it_means_in_the_serving_view(case: tuple[Any, ...]) -> None:
    name, *operands = case
    serving, history = apsw.Connection(":memory:"), duckdb.connect()
    for values in itertools.product(*operands):
        asked = Operation(name, tuple(Constant(value) for value in values))
        ours, theirs = SqliteCompiler("artifact", ()).sql(asked), DuckCompiler("artifact", ()).sql(asked)
        expected: Any = serving.execute(f"select {ours.text}", ours.values).fetchall()[0][0]
        found = history.execute(f"select {theirs.text}", theirs.values).fetchall()[0][0]
        assert found == expected, (values, theirs)
        assert isinstance(found, float) == isinstance(expected, float), (values, theirs)
    history.close()


# What history refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id + 9223372036854775807 > id", "Overflow"),
        ("id * 9223372036854775807 > id", "Overflow"),
        ("id << 64 > 0", "shift"),
        ("id << -1 > 0", "shift"),
        ("id >> 64 = 0", "0 to 63 bits"),
        ("id >> -id = 0", "0 to 63 bits"),
        ("abs(-9223372036854775807 - 1) > id", "Overflow"),
        ("CAST(1e300 AS INT64) > id", "out of range|can't be cast"),
        ("FORMAT('%d', id) = '1'", "serving view alone"),
        ("replace(" * 50 + "name" + ", 'a', 'b')" * 50 + " = 'x'", "nested too deep"),
    ],
)
def test_what_64_bits_do_not_hold_and_what_duckdb_does_not_have_is_refused_and_the_message_says_what(
    worked_out: Both, text: str, reason: str
) -> None:
    with pytest.raises(QueryError, match=reason) as refused:
        worked_out.of_history(Listing("artifact", filter=filter_query("artifact", text)))
    assert "\n" not in str(refused.value)


def test_a_shift_of_nothing_is_nothing_and_no_refusal(worked_out: Both) -> None:
    listing = Listing("execution", filter=filter_query("execution", "(id >> last_known_state) IS NULL"))
    assert worked_out.of_history(listing) == worked_out.of_view(listing) != []


# Odd names and values -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd_one() -> Iterator[Both]:
    both = Both(odd.put(RawStore()))
    yield both
    both.close()


@pytest.mark.parametrize("key", odd.KEYS)
def test_any_property_name_is_found_and_no_other(odd_one: Both, key: str) -> None:
    for number, other in enumerate(odd.KEYS):
        text = f"custom_properties.`{key}`.int_value = {number}"
        found = odd_one.of_history(Listing("artifact", filter=filter_query("artifact", text)))
        assert found == ([odd.KEYED] if other == key else [])


@pytest.mark.parametrize(("text", "found"), odd.FOUND)
def test_any_value_is_found_by_itself(odd_one: Both, text: str, found: list[int]) -> None:
    listing = Listing("artifact", filter=filter_query("artifact", f"custom_properties.v.{text}"))
    assert odd_one.of_history(listing) == odd_one.of_view(listing) == found


def test_a_long_list_is_worked_out(worked_out: Both) -> None:
    text = f"id NOT IN ({', '.join(map(str, range(2, 5_000)))})"
    assert worked_out.of_history(Listing("artifact", filter=filter_query("artifact", text))) == [1]
