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

ALL = [1, 2, 3, 4, 5, 6, 7, 8]
LISTED = {
    "A": ("GetArtifacts", service.GetArtifactsRequest, "artifacts"),
    "E": ("GetExecutions", service.GetExecutionsRequest, "executions"),
    "C": ("GetContexts", service.GetContextsRequest, "contexts"),
}

# (number, of what, filter, ids)
FOUND = [
    (1, "A", "id = 1", [1]),
    (2, "A", "id IN (1, 3, 99)", [1, 3]),
    (3, "A", "id NOT BETWEEN 2 AND 6", [1, 7, 8]),
    (4, "A", "id < 2.5", [1, 2]),
    (5, "A", "type = 'DataSet'", [1, 2, 3, 7]),
    (6, "A", "type = 'Model' AND type_id = 11", [4, 5, 8]),
    (7, "A", "type LIKE 'dataset'", [1, 2, 3, 7]),
    (8, "A", "type = 'dataset'", []),
    (9, "A", "name = 'm1'", [4, 6]),
    (10, "A", 'name = "it\'s"', [8]),
    (11, "A", "name LIKE '_1'", [1, 4, 6]),
    (12, "A", "name != 'm1'", [1, 2, 3, 5, 8]),
    (13, "A", "NOT (name = 'm1')", [1, 2, 3, 5, 8]),
    (14, "A", "name NOT IN ('d1', NULL)", []),
    (15, "A", "uri = '' OR id = 1", [1, 5, 7]),
    (16, "A", "uri IS NULL OR id = 1", [1]),
    (17, "A", "uri LIKE '/data/%'", [1, 2, 3]),
    (18, "A", "uri LIKE '%10__x'", [6]),
    (19, "A", "external_id IS NULL AND id > 2", [4, 5, 7, 8]),
    (20, "A", "external_id = 'ext-a3' OR external_id = 'ext-a6'", [3, 6]),
    (21, "A", "create_time_since_epoch + 1 > last_update_time_since_epoch", ALL),
    (22, "A", "state = LIVE OR 2 = state", [1, 4]),
    (23, "A", "state != LIVE AND id < 4", [2, 3]),
    (24, "A", "NOT state = LIVE AND id < 4", [2]),
    (25, "A", "NOT state != LIVE", [1, 4]),
    (26, "A", "state IN (LIVE, PENDING)", [1, 2, 4]),
    (27, "A", "state NOT IN (LIVE, DELETED)", [2, 3, 6, 7, 8]),
    (28, "A", "NOT state IN (LIVE)", [2, 5, 6, 7, 8]),
    (29, "A", "state = UNKNOWN OR state IS NULL", [3, 7]),
    (30, "A", "state >= 2", [1, 4, 5, 6, 8]),
    (31, "A", "state = LIVE AND state = LIVE", [1, 4]),  # The published library refuses it.
    (32, "A", "state = ABANDONED OR id = 1", [1, 8]),  # The published library refuses it.
    (33, "E", "last_known_state != FAILED", [1, 3, 4, 5]),
    (34, "E", "last_known_state IN (FAILED, RUNNING, CACHED)", [2, 3, 5]),
    (36, "A", "properties.span.int_value = 1", [1]),
    (37, "A", "properties.span.int_value != 1", [2, 3]),
    (38, "A", "NOT properties.span.int_value = 1", [2, 3]),
    (39, "A", "properties.span.double_value IS NULL", [1, 2, 3]),
    (40, "A", "properties.span.int_value = 1.0", [1]),
    (41, "A", "properties.acc.double_value >= 0.5 AND properties.acc.double_value < 1", [4, 5]),
    (42, "A", "properties.prod.bool_value", [4]),
    (43, "A", "NOT properties.prod.bool_value AND id > 0", [5]),
    (44, "A", "properties.framework.string_value = 'tf' OR properties.layers.int_value < 5", [4, 5]),
    (45, "A", "properties.split.string_value = 'train' OR id = 4", [1]),
    (46, "A", "properties.conf.string_value IS NOT NULL", [8]),
    (47, "A", "custom_properties.tag.string_value = 'red'", [1, 4]),
    (48, "A", "custom_properties.TAG.string_value = 'red' AND id > 1", [4]),
    (49, "A", "custom_properties.n.int_value > 0 OR custom_properties.n.double_value > 0", [1, 2]),
    (50, "A", "custom_properties.n.int_value IS NULL", [2]),
    (51, "A", "custom_properties.`my prop`.string_value = 'x y'", [7]),
    (52, "A", "custom_properties.`a.b`.int_value = 7", [7]),
    (53, "A", "custom_properties.nope.int_value = 7 OR true", []),
    (54, "A", "custom_properties.n.int_value = id + 4", [1]),
    (55, "E", "properties.steps.int_value >= 100 AND contexts_a.name = 'pipe'", [1, 2]),
    (56, "C", "properties.n.int_value = 1 OR properties.n.int_value = 2", [2, 3]),
    (57, "C", "custom_properties.tag.string_value = 'blue' OR properties.owner.string_value = 'bob'", []),
    (58, "A", "contexts_a.name = 'pipe'", [1, 2, 4]),
    (59, "A", "contexts_a.name = 'pipe' AND contexts_b.name = 'run1'", [1, 4]),
    (60, "A", "contexts_a.name = 'pipe' AND contexts_a.name = 'run1'", []),
    (61, "A", "contexts_a.name = 'pipe' OR contexts_b.name = 'run1'", [1, 2, 4]),
    (62, "A", "NOT contexts_a.name = 'pipe'", [1, 2, 4, 5]),
    (63, "A", "contexts_a.type = 'Run' AND NOT contexts_a.name = 'run2'", [1, 4]),
    (64, "A", "contexts_a.id IS NULL OR id = 3", []),
    (65, "A", "id = 3 OR (false AND contexts_a.id = 1)", []),
    (66, "E", "contexts_a.type = 'Pipeline' AND last_known_state = FAILED", [2]),
    (67, "A", "events_a.type = INPUT", [1, 2, 4]),
    (68, "A", "events_a.type = INPUT AND events_b.type = OUTPUT", [4]),
    (69, "A", "events_a.type = INPUT AND events_a.execution_id = 1", [1]),
    (70, "A", "events_a.type != INPUT", [1, 4, 5, 6, 7, 8]),
    (71, "A", "events_a.milliseconds_since_epoch BETWEEN 1000 AND 2000", [1, 4]),
    (72, "A", "7 = events_a.type AND id > 0", [6]),
    (73, "A", "events_a.type = OUTPUT AND events_b.type = OUTPUT", [4, 5, 8]),  # The published library refuses it.
    (74, "E", "events_a.artifact_id = 4 AND events_a.type = INPUT", [3]),
    (75, "E", "events_0.artifact_id = 1 AND events_1.artifact_id = 2", [2]),
    (76, "C", "parent_contexts_a.name = 'pipe'", [2, 3]),
    (77, "C", "parent_contexts_a.id = 1 AND parent_contexts_b.id = 4", [2]),
    (78, "C", "child_contexts_a.name = 'run1'", [1, 4]),
    (79, "C", "child_contexts_a.id = 5 AND parent_contexts_a.id > 0", []),
    (80, "C", "artifacts_a.state = LIVE AND artifacts_b.state = PENDING", [1]),
    (81, "C", "artifacts_a.name = 'd1' AND executions_a.name = 'train2'", [1]),
    (82, "C", "executions_a.last_known_state = RUNNING", [2]),
    (83, "C", "artifacts_a.state != LIVE AND id > 0", [1, 3]),  # The published library refuses it.
    (84, "C", "artifacts_a.external_id = 'ext-a3'", []),  # The published library refuses it.
    (85, "A", "id = 1 OR name = 'm1' AND type_id = 12", [1, 6]),
    (86, "A", "(id = 1 OR name = 'm1') AND type_id = 12", [6]),
    (87, "A", "NOT id = 1 OR id = 1", ALL),
    (89, "A", "(id < 3) = true", [1, 2]),
    (90, "A", "id / 2 = 1.5", [3]),
    (91, "A", "id & 1 = 1", [1, 3, 5, 7]),
    (92, "A", "id = 1 + 1 * 2", [3]),
    (93, "A", "LOWER(properties.framework.string_value) = 'tf'", [4, 5]),
    (94, "A", "COALESCE(external_id, '-') = '-' AND id < 4", [1, 2]),
    (95, "A", "CASE WHEN id < 3 THEN true ELSE false END", [1, 2]),
    (96, "A", "STARTS_WITH(name, 'd')", [1, 2, 3]),  # The published library refuses it.
]
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


@pytest.mark.parametrize(("number", "of", "text", "expected"), FOUND)
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
