"""Connections that read: taken by one question at a time, the last one used first, closed with their view."""

from __future__ import annotations

import gc
import os
import weakref
from typing import TYPE_CHECKING

import pytest
import records

from evlog.records import Entry
from projections.errors import ViewError
from projections.projector import catch_up
from projections.query import Listing
from projections.sqlite import database, readers
from projections.sqlite.view import View

if TYPE_CHECKING:
    from pathlib import Path

    from projections.sqlite.lookup import Lookup

LOG_ID = b"\1" * 16


@pytest.fixture
def view(tmp_path: Path) -> View:
    view = View.create(database.new_file(tmp_path), LOG_ID, records.BODIES)
    view.begin()
    catch_up(view, [Entry(offset, 1, one) for offset, one in enumerate(records.small_store())])
    view.commit(bytes(16))
    return view


def the_lookup(lookup: Lookup) -> Lookup:
    return lookup


def test_the_connection_used_last_is_used_next_and_questions_at_once_have_one_each(view: View) -> None:
    for at in (None, 3):
        first = view.ask(the_lookup, at)
        assert view.ask(the_lookup, at) is first
        inner = view.ask(lambda outer: (outer, view.ask(the_lookup, at)), at)  # noqa: B023 - asked at once
        assert inner[0] is first
        assert inner[1] is not first
        assert view.ask(the_lookup, at) is first
    view.close()


def test_moments_asked_about_long_ago_are_let_go(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MOMENTS_HELD", 3)
    before = len(os.listdir("/dev/fd"))
    for at in range(view.applied):
        view.ask(lambda lookup: lookup.page(Listing("artifact")), at)
    assert len(os.listdir("/dev/fd")) <= before + 2 * readers.MOMENTS_HELD
    assert len(view.ask(lambda lookup: lookup.page(Listing("artifact")), view.applied)) > 0
    view.close()


def test_a_moment_that_is_let_go_while_it_answers_goes_on_and_is_closed_after(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MOMENTS_HELD", 1)

    def question(lookup: Lookup) -> int:
        view.ask(the_lookup, 2)  # Now the moment of this question is the one that has to go.
        return len(lookup.page(Listing("artifact")))

    whole = view.ask(lambda lookup: len(lookup.page(Listing("artifact"))))
    lookup = view.ask(the_lookup, view.applied)
    assert view.ask(question, view.applied) == whole
    with pytest.raises(ViewError):
        view.ask(lambda _: lookup.page(Listing("artifact")))
    view.close()


def test_a_view_that_is_closed_while_it_answers_leaves_no_file_open(view: View) -> None:
    before = len(os.listdir("/dev/fd"))

    def question(lookup: Lookup) -> int:
        view.close()
        return len(lookup.page(Listing("artifact")))

    assert view.ask(question) > 0
    assert len(os.listdir("/dev/fd")) < before


def test_a_dropped_view_is_gone_at_once(view: View) -> None:
    dropped = View(view.path, LOG_ID, records.BODIES, writable=False, create=False, indexes=False)
    dropped.ask(the_lookup, 2)
    gone = weakref.ref(dropped)
    gc.disable()
    try:
        del dropped
        assert gone() is None
    finally:
        gc.enable()
    view.close()


def test_what_is_held_stays_while_others_write_and_is_let_go_of(view: View) -> None:
    def artifacts(lookup: Lookup) -> int:
        return lookup.count("artifact")

    before, applied = view.ask(artifacts), view.applied
    with view.held() as held:
        assert held is not None
        view.begin()
        catch_up(view, [Entry(applied, 1, records.small_store()[0])])
        view.commit(bytes(16))
        assert held.applied() == applied
        assert view.ask(artifacts, held=held) == before
        assert view.watermark() == applied + 1
        assert view.ask(the_lookup) is not held
    assert view.ask(lambda lookup: lookup.applied()) == applied + 1
    view.close()


def test_a_view_in_memory_is_not_held() -> None:
    made = View.create(None, LOG_ID, records.BODIES)
    with made.held() as held:
        assert held is None
    made.close()
