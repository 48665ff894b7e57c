"""The worked examples of filters: every answer was worked out by hand, and agrees with the published library but where it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import worked
from raw import RawStore

from mlmd import errors
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTED = {
    "A": ("GetArtifacts", service.GetArtifactsRequest, "artifacts"),
    "E": ("GetExecutions", service.GetExecutionsRequest, "executions"),
    "C": ("GetContexts", service.GetContextsRequest, "contexts"),
}

# (number, of what, filter, what the message says)
REFUSED = [
    (35, "E", "last_known_state = RUNNING AND state = LIVE", "Unrecognized name"),
    (88, "A", "id < 3 = true", "Syntax error"),
    (97, "A", "nope = 1", "Unrecognized name"),
    (98, "A", "id = 'a'", "No matching signature"),
    (99, "A", "name = NULL AND id = 1", "cannot be literal NULL"),
    (100, "A", "type_id", "not a valid boolean expression"),
    (101, "A", "id IN (1,2,)", "Syntax error"),
    (102, "A", "name = 'it''s'", "Syntax error"),
    (103, "A", "contexts_a.type_id = 15", "does not exist"),
    (104, "A", "artifacts_a.name = 'd1'", "Unrecognized name"),
    (105, "A", "state <> DELETED", "Unrecognized name"),
    (106, "A", "properties.span = 1", "Unrecognized name"),
    (107, "A", "id = 1 AND @x", "parameter"),
    (108, "C", "events_a.type = OUTPUT", "Unrecognized name"),
]


@pytest.fixture(scope="module")
def store() -> Iterator[RawStore]:
    store = RawStore()
    worked.put(store.ask)
    yield store
    store.close()


def ids(store: RawStore, of: str, text: str) -> list[int]:
    method, request, field = LISTED[of]
    asked = request()
    asked.options.max_result_size = 100
    asked.options.filter_query = text
    return [node.id for node in getattr(store.ask(method, asked), field)]


@pytest.mark.parametrize(("number", "of", "text", "expected"), worked.FOUND)
def test_a_filter_finds_what_was_worked_out(
    store: RawStore, number: int, of: str, text: str, expected: list[int]
) -> None:
    assert ids(store, of, text) == expected, number


@pytest.mark.parametrize(("number", "of", "text", "words"), REFUSED)
def test_a_wrong_filter_is_refused_and_the_message_says_why(
    store: RawStore, number: int, of: str, text: str, words: str
) -> None:
    with pytest.raises(errors.InvalidArgumentError) as refused:
        ids(store, of, text)
    assert words in refused.value.message, number
    assert "Invalid `filter_query`" in refused.value.message
