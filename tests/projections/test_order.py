"""Ids and create times of other writers, in any order: listings and moments are right all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import records
from hypothesis import given
from hypothesis import strategies as st

from evlog.records import ContextPut, Entry, EventPut, ExecutionPut, ParentContextPut
from projections.projector import catch_up
from projections.query import After, Column, Constant, Filter, Listing, Operation, OrderBy
from projections.sqlite.order import ids_as_created, ids_as_put
from projections.sqlite.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.records import ArtifactPut, Change, Record

LOG_ID = b"\1" * 16
ALL = Filter("artifact", Operation(">", (Column("id"), Constant(0))), ())


def filled(given: Sequence[Record], *, indexes: bool = True) -> View:
    view = View.create(None, LOG_ID, records.BODIES, indexes=indexes)
    for number, one in enumerate(given):
        put(view, number, one)
    if not indexes:
        view.index()
    return view


def put(view: View, offset: int, *given: Record) -> None:
    view.begin()
    catch_up(view, [Entry(offset + number, 1, one) for number, one in enumerate(given)])
    view.commit(b"\2" * 16)


def orders(view: View, kind: str = "artifact") -> tuple[bool, bool]:
    """Return whether ids are in the order of the puts, and in that of the create times."""
    return ids_as_put(view._connection, kind), ids_as_created(view._connection, kind)


def pages(view: View, size: int, *, ascending: bool, wanted: Filter | None, at: int | None = None) -> list[int]:
    """Return the ids of all artifacts by create time, page by page."""
    found: list[int] = []
    after = None
    while True:
        listing = Listing(
            "artifact", order_by=OrderBy.CREATE_TIME, ascending=ascending, after=after, limit=size, filter=wanted
        )
        page = view.ask(lambda lookup: lookup.page(listing), at)  # noqa: B023 - asked at once
        if not page:
            return found
        found += [listed.id for listed in page]
        after = After(page[-1].value, page[-1].id)


def expected(puts: Sequence[ArtifactPut], *, ascending: bool) -> list[int]:
    last = {one.id: one for one in puts}
    return [
        one.id for one in sorted(last.values(), key=lambda one: (one.create_time_ms, one.id), reverse=not ascending)
    ]


artifacts = st.lists(st.integers(1, 8), min_size=1, max_size=10).flatmap(
    lambda ids: st.fixed_dictionaries({number: st.integers(-3, 6) for number in set(ids)}).map(
        lambda times: [
            records.artifact(number, create_time_ms=times[number], update_time_ms=at) for at, number in enumerate(ids)
        ]
    )
)


@given(artifacts, st.booleans(), st.integers(1, 4), st.booleans(), st.booleans())
def test_listings_by_create_time_are_right_whatever_ids_and_times_came_in_which_order(
    puts: list[ArtifactPut], ascending: bool, size: int, filtered: bool, indexes: bool
) -> None:
    view = filled([records.types(), *(records.record(one) for one in puts)], indexes=indexes)
    wanted = ALL if filtered else None
    assert pages(view, size, ascending=ascending, wanted=wanted) == expected(puts, ascending=ascending)
    for at in range(1, len(puts) + 2):
        then = expected(puts[: at - 1], ascending=ascending)
        assert pages(view, size, ascending=ascending, wanted=wanted, at=at) == then
    firsts = list(dict.fromkeys(one.id for one in puts))
    assert ids_as_put(view._connection, "artifact") == (firsts == sorted(firsts))
    view.close()


def test_a_put_and_its_update_keep_both_orders() -> None:
    view = filled(records.small_store())
    assert orders(view) == (True, True)
    view.close()


def test_an_earlier_create_time_is_noticed_also_of_what_another_process_put() -> None:
    view = filled([records.types(), records.record(records.artifact(1, create_time_ms=50))])
    view._applier.overtaken()
    put(view, 2, records.record(records.artifact(2, create_time_ms=49)))
    assert orders(view) == (True, False)
    view.close()


def test_what_a_rollback_took_back_broke_no_order() -> None:
    view = filled([records.types(), records.record(records.artifact(5))])
    view.begin()
    catch_up(view, [Entry(2, 1, records.record(records.artifact(3)))])
    assert orders(view) == (False, False)
    view.rollback()
    assert orders(view) == (True, True)
    put(view, 2, records.record(records.artifact(3)))
    assert orders(view) == (False, False)
    view.close()


NODE = {"type_id": 2, "create_time_ms": 5, "update_time_ms": 6}
LATE: dict[str, tuple[Change, Change]] = {
    "event": (EventPut(9, 1, 1, "INPUT", 7), EventPut(4, 2, 1, "INPUT", 7)),
    "execution": (ExecutionPut(9, **NODE), ExecutionPut(4, **NODE)),
    "context": (ContextPut(9, **NODE, name="a"), ContextPut(4, **NODE, name="b")),
    "parent_context": (ParentContextPut(9, 1, 2), ParentContextPut(4, 2, 3)),
}


@pytest.mark.parametrize("table", LATE)
def test_a_row_that_came_after_one_of_a_higher_id_is_not_seen_before_it_came(table: str) -> None:
    first, late = LATE[table]
    nodes = [records.artifact(1), records.artifact(2), ExecutionPut(1, **NODE)]
    view = filled([records.types(), records.record(*nodes), records.record(first), records.record(late)])
    counts = [view.ask(lambda lookup: lookup.count(table), at) for at in (2, 3, 4)]
    assert [count - counts[0] for count in counts] == [0, 1, 2]
    assert not ids_as_put(view._connection, table)
    view.close()


def test_what_was_put_last_at_a_moment_is_found_though_it_was_put_again_with_an_earlier_time() -> None:
    given = [records.types(), *(records.record(records.artifact(number, update_time_ms=5)) for number in range(1, 4))]
    view = filled([*given, records.record(records.artifact(4, update_time_ms=10_000))])
    put(view, 5, records.record(records.artifact(4, update_time_ms=6)))
    view._applier.overtaken()
    put(view, 6, *(records.record(records.artifact(5, update_time_ms=7)) for _ in range(1_100)))
    newest = Listing("artifact", order_by=OrderBy.UPDATE_TIME, ascending=False, limit=1)
    assert [one.id for one in view.ask(lambda lookup: lookup.page(newest), 5)] == [4]
    view.close()
