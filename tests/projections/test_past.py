"""Looking back while the store goes on, and at nodes whose ids leave no room for the numbers of their versions."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import records

from evlog.records import Entry
from projections.projector import catch_up
from projections.query import After, Column, Constant, Filter, Listing, Operation, OrderBy, Variable
from projections.sqlite import past
from projections.sqlite.properties import Property
from projections.sqlite.view import View

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.records import ArtifactPut
    from projections.sqlite.lookup import Lookup

LOG_ID = b"\1" * 16
NUMBER = Property("artifact", "properties", "number")
VARIABLE = Variable("properties", "number")


def put(view: View, offset: int, *given: ArtifactPut) -> None:
    view.begin()
    catch_up(view, [Entry(offset + number, 1, records.record(one)) for number, one in enumerate(given)])
    view.commit(b"\2" * 16)


@pytest.fixture
def view(tmp_path: Path) -> View:
    """A view in which the property `number` has an index."""
    path = tmp_path / "v.sqlite"
    path.touch()
    view = View.create(path, LOG_ID, records.BODIES)
    view.begin()
    catch_up(view, [Entry(0, 1, records.types())])
    view.commit(b"\2" * 16)
    view.index_property(NUMBER)
    return view


def listings(number: int) -> list[Listing]:
    """Return what is asked for: by id, by value, by a range of values, in the order of updates both ways."""
    column = Column("int", VARIABLE)
    equal, more = (
        Filter("artifact", Operation(operator, (column, Constant(number))), (VARIABLE,)) for operator in ("=", ">")
    )
    updates = [Listing("artifact", order_by=OrderBy.UPDATE_TIME, ascending=up, limit=9) for up in (True, False)]
    return [
        Listing("artifact", limit=9),
        *(
            Listing("artifact", limit=9, filter=wanted, ascending=up)
            for wanted in (equal, more)
            for up in (True, False)
        ),
        *updates,
    ]


def expected(listing: Listing, state: dict[int, ArtifactPut]) -> list[int]:
    by_update = listing.order_by is OrderBy.UPDATE_TIME
    wanted = listing.filter.expression if listing.filter is not None else None
    passing = [
        one.id
        for one in sorted(state.values(), key=lambda one: ((one.update_time_ms if by_update else 0), one.id))
        if wanted is None
        or (
            one.properties["number"] == wanted.operands[1].value  # type: ignore[union-attr]
            if wanted.name == "="  # type: ignore[union-attr]
            else one.properties["number"] > wanted.operands[1].value  # type: ignore[union-attr, operator]
        )
    ]
    return (passing if listing.ascending else passing[::-1])[: listing.limit]


@pytest.mark.parametrize("ids", [range(1, 7), (1, 2, (1 << 27) - 1, 1 << 27, 1 << 40, (1 << 63) - 200)])
@pytest.mark.parametrize("a_while", [0, 7, 1_000])
@pytest.mark.parametrize("few", [0, 5, 1_000])
def test_a_moment_that_was_looked_at_stays_what_it_was_however_the_store_goes_on(
    view: View, ids: range | tuple[int, ...], a_while: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_A_WHILE", a_while), ("_FEW", few), ("_FEW_ROWS", few)):
        monkeypatch.setattr(past, name, value)
    dice, state = random.Random(1), dict[int, "ArtifactPut"]()
    moments: dict[int, dict[int, ArtifactPut]] = {}
    for offset in range(1, 40):
        artifact = dice.choice(ids)
        state[artifact] = records.artifact(
            artifact, update_time_ms=dice.randrange(90), properties={"number": dice.randrange(3)}
        )
        put(view, offset, state[artifact])
        if offset % 6 == 0:
            moments[offset + 1] = dict(state)
        for at, then in moments.items():
            for listing in listings(number := dice.randrange(3)):
                page = view.ask(lambda lookup: lookup.page(listing), at)  # noqa: B023 - asked at once
                assert [one.id for one in page] == expected(listing, then), (offset, at, number, listing)
            bodies = view.ask(lambda lookup: lookup.nodes("artifact", sorted(ids)), at)
            assert bodies == [records.BODIES.node(then[one], "Data") for one in sorted(then)], (offset, at)
    view.close()


def steps(view: View, listing: Listing, at: int) -> int:
    """Return how many steps of SQLite's machine a page takes: what it costs, whatever else the computer does."""

    def question(lookup: Lookup) -> int:
        counted = 0

        def count() -> bool:
            nonlocal counted
            counted += 1
            return False

        lookup.page(listing)  # The first of a connection reads the schema too.
        lookup._connection.set_progress_handler(count, 1)
        assert len(lookup.page(listing)) == listing.limit
        lookup._connection.set_progress_handler(None)
        return counted

    return view.ask(question, at)


@pytest.mark.parametrize("few", [0, 100_000])
def test_a_page_far_down_costs_about_what_the_first_page_costs(
    view: View, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, offset, moments = 2_000, 1, []
    for name, value in (("_FEW", few), ("_FEW_ROWS", few)):
        monkeypatch.setattr(past, name, value)
    for turn in range(3):
        given = [
            records.artifact(one, update_time_ms=turn * many + one, properties={"number": 1}) for one in range(1, many)
        ]
        put(view, offset, *given)
        offset += len(given)
        moments.append(offset)
    equal = listings(1)[1].filter
    for at in moments:
        for order, wanted in ((OrderBy.ID, None), (OrderBy.ID, equal), (OrderBy.UPDATE_TIME, None)):
            low = (moments.index(at) * many) if order is OrderBy.UPDATE_TIME else 0
            for up in (True, False):
                first = Listing("artifact", limit=9, filter=wanted, ascending=up, order_by=order)
                middle = first._replace(after=After(low + many // 2, many // 2))
                assert steps(view, middle, at) < 2 * steps(view, first, at) + 500, (at, middle)
    view.close()
