"""The worked examples of lineage and of pages: every answer was worked out by hand, and agrees with the published library."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import worked
from raw import RawStore

from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = {
    "I": "INPUT",
    "O": "OUTPUT",
    "DI": "DECLARED_INPUT",
    "DO": "DECLARED_OUTPUT",
    "II": "INTERNAL_INPUT",
    "IO": "INTERNAL_OUTPUT",
    "PO": "PENDING_OUTPUT",
}
BOTH = "BIDIRECTIONAL"

# number, start (artifacts' or executions' filter), options, artifacts, executions, events in the order returned
WALKS = [
    ("L1", {"a": "id = 4"}, {"way": "UPSTREAM"}, [1, 4], [1], "a4 DO e1, a4 O e1, a1 I e1"),
    ("L2", {"a": "id = 4"}, {"way": "DOWNSTREAM", "hops": 1}, [4], [3, 5], "a4 I e3, a4 II e5"),
    ("L3", {"a": "id = 4"}, {"way": "DOWNSTREAM"}, [4, 7, 8], [3, 5], "a4 I e3, a4 II e5, a8 O e3, a7 IO e5"),
    (
        "L4",
        {"a": "id = 4"},
        {"way": BOTH, "hops": 2},
        [1, 2, 4, 7, 8],
        [1, 3, 5],
        "a4 DO e1, a4 O e1, a4 I e3, a4 II e5, a1 I e1, a2 I e3, a8 O e3, a7 IO e5",
    ),
    ("L5", {"a": "id = 1"}, {"hops": 0}, [1], [], ""),
    ("L6", {"e": "id = 2"}, {"way": "UPSTREAM"}, [1, 2], [2], "a2 I e2, a1 DI e2"),
    ("L7", {"e": "id = 2"}, {"way": "DOWNSTREAM"}, [5, 6], [2], "a5 O e2, a6 PO e2"),
    ("L8", {"a": "id = 6"}, {"way": "UPSTREAM", "hops": 1}, [6], [2], "a6 PO e2"),
    ("L9", {"a": "id = 6"}, {"way": "DOWNSTREAM"}, [6], [], ""),
    (
        "L10",
        {"a": "contexts_a.name = 'run1'"},
        {"way": "UPSTREAM", "hops": 1},
        [1, 4],
        [1],
        "a4 DO e1, a4 O e1",
    ),
    ("L11", {"a": "id = 3"}, {}, [3], [], ""),
    (
        "L12",
        {"a": "id = 1"},
        {"end_a": "id = 4"},
        [1, 2, 5, 6, 8],
        [1, 2, 3],
        "a1 I e1, a1 DI e2, a2 I e2, a5 O e2, a6 PO e2, a2 I e3, a8 O e3",
    ),
    (
        "L13",
        {"a": "id = 1"},
        {"end_a": "id = 4", "keep_a": True},
        [1, 2, 4, 5, 6, 8],
        [1, 2, 3],
        "a1 I e1, a1 DI e2, a4 O e1, a4 DO e1, a2 I e2, a5 O e2, a6 PO e2, a2 I e3, a4 I e3, a8 O e3",
    ),
    (
        "L14",
        {"a": "id = 1"},
        {"hops": 2, "end_e": "id = 1"},
        [1, 2, 5, 6],
        [2],
        "a1 DI e2, a2 I e2, a5 O e2, a6 PO e2",
    ),
    (
        "L15",
        {"a": "id = 1"},
        {"hops": 2, "end_e": "id = 1", "keep_e": True},
        [1, 2, 5, 6],
        [1, 2],
        "a1 I e1, a1 DI e2, a2 I e2, a5 O e2, a6 PO e2",
    ),
    (
        "L16",
        {"a": "id = 4"},
        {"end_a": "id = 1", "keep_a": True, "end_e": "id = 3", "keep_e": True},
        [1, 4, 7],
        [1, 3, 5],
        "a4 DO e1, a4 O e1, a4 I e3, a4 II e5, a1 I e1, a7 IO e5",
    ),
    ("L17", {"a": "id = 1"}, {"end_a": "id = 1"}, [], [], ""),
    ("L18", {"a": "id = 1"}, {"end_a": "id = 1", "keep_a": True}, [1], [], ""),
    ("L19", {"a": "id = 1"}, {"end_a": ""}, [], [], ""),
]


@pytest.fixture(scope="module")
def store() -> Iterator[RawStore]:
    store = RawStore()
    worked.put(store.ask)
    yield store
    store.close()


def request(start: dict[str, str], options: dict[str, Any], *mask: str) -> service.GetLineageSubgraphRequest:
    made = service.GetLineageSubgraphRequest()
    made.read_mask.paths.extend(mask or ("artifacts", "executions", "events"))
    asked = made.lineage_subgraph_query_options
    if "a" in start:
        asked.starting_artifacts.filter_query = start["a"]
    else:
        asked.starting_executions.filter_query = start["e"]
    if "way" in options:
        asked.direction = pb.LineageSubgraphQueryOptions.Direction.Value(options["way"])
    if "hops" in options:
        asked.max_num_hops = options["hops"]
    for short, ending in (("a", asked.ending_artifacts), ("e", asked.ending_executions)):
        if f"end_{short}" in options:
            ending.filter_query = options[f"end_{short}"]
            ending.include_ending_nodes = options.get(f"keep_{short}", False)
    return made


def events(text: str) -> list[tuple[int, str, int]]:
    found = re.findall(r"a(\d+) (\w+) e(\d+)", text)
    return [(int(artifact), SHORT[kind], int(execution)) for artifact, kind, execution in found]


@pytest.mark.parametrize(("number", "start", "options", "artifacts", "executions", "edges"), WALKS)
def test_a_walk_finds_what_was_worked_out(
    store: RawStore,
    number: str,
    start: dict[str, str],
    options: dict[str, Any],
    artifacts: list[int],
    executions: list[int],
    edges: str,
) -> None:
    graph: Any = store.ask("GetLineageSubgraph", request(start, options)).lineage_subgraph  # type: ignore[attr-defined]
    assert [node.id for node in graph.artifacts] == artifacts, number
    assert [node.id for node in graph.executions] == executions, number
    found = [(event.artifact_id, pb.Event.Type.Name(event.type), event.execution_id) for event in graph.events]
    assert found == events(edges), number


@pytest.mark.parametrize(
    ("number", "start", "hops", "refusal"),
    [("L20", "id = 1", -5, errors.InvalidArgumentError), ("L21", "id = 1000", 100, errors.NotFoundError)],
)
def test_a_walk_that_cannot_be_is_refused(
    store: RawStore, number: str, start: str, hops: int, refusal: type[errors.StatusError]
) -> None:
    with pytest.raises(refusal):
        pytest.fail(f"{number} answers {store.ask('GetLineageSubgraph', request({'a': start}, {'hops': hops}))}")


ALL_ARTIFACTS = [1, 2, 3, 4, 5, 6, 7, 8]
Order = pb.ListOperationOptions.OrderByField
# method, fields of the request, options, ids, whether there is a token
PAGES: list[tuple[str, dict[str, Any], dict[str, Any], list[int], bool]] = [
    ("GetArtifacts", {}, {}, ALL_ARTIFACTS, False),
    ("GetArtifacts", {}, {"max_result_size": 3}, [1, 2, 3], True),
    ("GetArtifacts", {}, {"max_result_size": 8}, ALL_ARTIFACTS, False),
    (
        "GetArtifacts",
        {},
        {"max_result_size": 3, "order_by_field": Order(field=Order.ID, is_asc=False)},
        [8, 7, 6],
        True,
    ),
    ("GetArtifacts", {}, {"max_result_size": 3, "order_by_field": Order(is_asc=False)}, [8, 7, 6], True),
    (
        "GetArtifacts",
        {},
        {
            "max_result_size": 2,
            "order_by_field": Order(field=Order.CREATE_TIME, is_asc=False),
            "filter_query": "type = 'Model'",
        },
        [8, 6],
        True,
    ),
    ("GetArtifacts", {}, {"max_result_size": 500}, ALL_ARTIFACTS, False),
    (
        "GetArtifactsByType",
        {"type_name": "DataSet"},
        {"max_result_size": 2, "order_by_field": Order(field=Order.ID, is_asc=False)},
        [7, 3],
        True,
    ),
    ("GetArtifactsByContext", {"context_id": 1}, {"filter_query": "id > 1"}, [2, 4], False),
    (
        "GetExecutionsByContext",
        {"context_id": 1},
        {"order_by_field": Order(field=Order.CREATE_TIME, is_asc=False)},
        [2, 1],
        False,
    ),
    ("GetArtifactsByContext", {"context_id": 99}, {"max_result_size": 0}, [], False),
    ("GetContextsByType", {"type_name": "Run"}, {"max_result_size": 1}, [2], True),
]


@pytest.mark.parametrize(("method", "fields", "options", "ids", "more"), PAGES)
def test_a_page_holds_what_was_worked_out(
    store: RawStore, method: str, fields: dict[str, Any], options: dict[str, Any], ids: list[int], *, more: bool
) -> None:
    asked = getattr(service, f"{method}Request")(**fields)
    asked.options.SetInParent()
    asked.options.MergeFrom(pb.ListOperationOptions(**options))
    answer: Any = store.ask(method, asked)
    nodes = next(getattr(answer, kind) for kind in ("artifacts", "executions", "contexts") if hasattr(answer, kind))
    assert [node.id for node in nodes] == ids
    assert bool(answer.next_page_token) is more


def test_a_page_without_any_node_is_refused(store: RawStore) -> None:
    asked = service.GetArtifactsRequest(options=pb.ListOperationOptions(max_result_size=0))
    with pytest.raises(errors.InvalidArgumentError, match="max_result_size"):
        store.ask("GetArtifacts", asked)
