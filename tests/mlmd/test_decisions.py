"""Where we mend the reference, and where we follow it though one might not: each row of docs/compatibility.md by its number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from strategies import struct

import mlmd
from mlmd import MetadataStore, errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def types(store: MetadataStore) -> tuple[int, int, int]:
    properties = {"p": pb.INT, "d": pb.DOUBLE, "s": pb.STRING}
    return (
        store.put_artifact_type(pb.ArtifactType(name="A", properties=properties)),
        store.put_execution_type(pb.ExecutionType(name="E")),
        store.put_context_type(pb.ContextType(name="C")),
    )


def test_1_typed_and_custom_properties_of_one_key_are_independent(
    store: MetadataStore, types: tuple[int, int, int]
) -> None:
    artifact = pb.Artifact(type_id=types[0])
    artifact.properties["p"].int_value = 1
    artifact.custom_properties["p"].string_value = "custom"
    [artifact.id] = store.put_artifacts([artifact])
    artifact.custom_properties["p"].string_value = "changed"
    store.put_artifacts([artifact])
    [found] = store.get_artifacts_by_id([artifact.id])
    assert (found.properties["p"].int_value, found.custom_properties["p"].string_value) == (1, "changed")
    del artifact.custom_properties["p"]
    store.put_artifacts([artifact])
    [found] = store.get_artifacts_by_id([artifact.id])
    assert (found.properties["p"].int_value, dict(found.custom_properties)) == (1, {})


@pytest.mark.parametrize(
    "value", [0.1, 1.23456789012, 1e-10, 1.7976931348623157e308, 5e-324, -0.0, math.inf, -math.inf]
)
def test_2_doubles_come_back_as_they_were_put(store: MetadataStore, types: tuple[int, int, int], value: float) -> None:
    artifact = pb.Artifact(type_id=types[0])
    artifact.properties["d"].double_value = value
    [found] = store.get_artifacts_by_id(store.put_artifacts([artifact]))
    assert math.copysign(1, found.properties["d"].double_value) == math.copysign(1, value)
    assert found.properties["d"].double_value == value


def test_2_a_nan_is_a_double_and_putting_it_again_changes_nothing(
    store: MetadataStore, types: tuple[int, int, int]
) -> None:
    artifact = pb.Artifact(type_id=types[0])
    artifact.properties["d"].double_value = math.nan
    [found] = store.get_artifacts_by_id(store.put_artifacts([artifact]))
    assert math.isnan(found.properties["d"].double_value)
    store.put_artifacts([found])
    [again] = store.get_artifacts_by_id([found.id])
    assert again.last_update_time_since_epoch == found.last_update_time_since_epoch


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (pb.Value(double_value=0.0), pb.Value(double_value=-0.0)),
        *(
            (pb.Value(struct_value=struct({"z": left})), pb.Value(struct_value=struct({"z": right})))
            for left, right in ((1, True), (False, 0), (0, -0.0), ([1], [True]), ({"y": 0}, {"y": False}))
        ),
    ],
)
def test_2_a_value_put_over_one_that_python_holds_equal_is_another(
    store: MetadataStore, types: tuple[int, int, int], before: pb.Value, after: pb.Value
) -> None:
    artifact = pb.Artifact(type_id=types[0], custom_properties={"k": before})
    [artifact.id] = store.put_artifacts([artifact])
    [read] = store.get_artifacts_by_id([artifact.id])
    read.custom_properties["k"].CopyFrom(after)
    store.put_artifacts([read])
    [found] = store.get_artifacts_by_id([artifact.id])
    assert found.custom_properties["k"].SerializeToString() == after.SerializeToString()


@pytest.mark.parametrize("text", ["a\0b", "__MLMD_NULL__", "mlmd-struct::x", "é🦆", "'\"`\\%_", "x" * 1_000_000])
def test_2_strings_come_back_as_they_were_put_and_are_found(
    store: MetadataStore, types: tuple[int, int, int], text: str
) -> None:
    artifact = pb.Artifact(type_id=types[0], name=text, uri=text, external_id=text)
    artifact.properties["s"].string_value = text
    artifact.custom_properties[text].string_value = text
    [number] = store.put_artifacts([artifact])
    finders: list[Callable[[], object]] = [
        lambda: store.get_artifacts_by_id([number]),
        lambda: store.get_artifacts_by_uri(text),
        lambda: store.get_artifacts_by_external_ids([text]),
        lambda: [store.get_artifact_by_type_and_name("A", text)],
    ]
    for find in finders:
        [found] = find()  # type: ignore[misc]
        assert (found.name, found.uri, found.external_id) == (text, text, text)
        assert found.properties["s"].string_value == found.custom_properties[text].string_value == text


def test_3_a_custom_property_without_a_value_is_refused(store: MetadataStore, types: tuple[int, int, int]) -> None:
    artifact = pb.Artifact(type_id=types[0])
    artifact.custom_properties["empty"].SetInParent()
    with pytest.raises(errors.InvalidArgumentError, match="Found unmatched property type: empty"):
        store.put_artifacts([artifact])


def test_4_a_reused_context_is_not_updated(store: MetadataStore, types: tuple[int, int, int]) -> None:
    context = pb.Context(type_id=types[2], name="c")
    context.custom_properties["k"].int_value = 1
    [number] = store.put_contexts([context])
    context.custom_properties["k"].int_value = 2
    _, _, ids = store.put_execution(pb.Execution(type_id=types[1]), [], [context], reuse_context_if_already_exist=True)
    assert ids == [number]
    assert store.get_contexts_by_id([number])[0].custom_properties["k"].int_value == 1


def test_5_events_of_what_does_not_exist_are_refused_and_nothing_is_written(
    store: MetadataStore, types: tuple[int, int, int]
) -> None:
    event = pb.Event(artifact_id=99, type=pb.Event.INPUT)
    with pytest.raises(errors.InvalidArgumentError, match="No artifact with the given id"):
        store.put_execution(pb.Execution(type_id=types[1]), [(None, event)], [pb.Context(type_id=types[2], name="c")])
    with pytest.raises(errors.InvalidArgumentError, match="No artifact with the given id"):
        store.put_lineage_subgraph([pb.Execution(type_id=types[1])], [], [], [(0, None, event)])
    assert store.get_executions() == store.get_contexts() == []


def test_5_the_empty_pair_keeps_its_slot_and_nothing_is_attributed_to_it(
    store: MetadataStore, types: tuple[int, int, int]
) -> None:
    request = service.PutExecutionRequest(
        execution=pb.Execution(type_id=types[1]),
        artifact_event_pairs=[{}, {"artifact": pb.Artifact(type_id=types[0])}],
        contexts=[pb.Context(type_id=types[2], name="c")],
    )
    response = store._call("PutExecution", request)
    assert list(response.artifact_ids) == [-1, 1]
    assert [artifact.id for artifact in store.get_artifacts_by_context(response.context_ids[0])] == [1]


def test_6_a_taken_name_or_external_id_is_already_exists_on_update(
    store: MetadataStore, types: tuple[int, int, int]
) -> None:
    first, second = store.put_contexts([pb.Context(type_id=types[2], name=name, external_id=name) for name in "ab"])
    with pytest.raises(errors.AlreadyExistsError):
        store.put_contexts([pb.Context(id=second, name="a", external_id="b")])
    with pytest.raises(errors.AlreadyExistsError):
        store.put_contexts([pb.Context(id=second, name="b", external_id="a")])
    store.put_contexts([pb.Context(id=first, name="z"), pb.Context(id=second, name="a")])
    assert [context.name for context in store.get_contexts()] == ["z", "a"]


def test_7_a_types_external_id_is_unique_per_kind_and_empty_is_unset(store: MetadataStore) -> None:
    store.put_artifact_type(pb.ArtifactType(name="A", external_id="x"))
    store.put_execution_type(pb.ExecutionType(name="A", external_id="x"))
    with pytest.raises(errors.AlreadyExistsError, match="external_id"):
        store.put_artifact_type(pb.ArtifactType(name="B", external_id="x"))
    for name in ("C", "D"):
        store.put_artifact_type(pb.ArtifactType(name=name, external_id=""))
    with pytest.raises(errors.AlreadyExistsError, match="external_id"):
        store.put_artifact_type(pb.ArtifactType(name="C", external_id="x"))


def test_8_and_16_not_found_where_the_reference_says_so(store: MetadataStore, types: tuple[int, int, int]) -> None:
    [number] = store.put_artifacts([pb.Artifact(type_id=types[0])])
    with pytest.raises(errors.NotFoundError, match="No contexts found for artifact_id"):
        store.get_contexts_by_artifact(number)
    with pytest.raises(errors.NotFoundError, match="No artifacts found for external_ids"):
        store.get_artifacts_by_external_ids(["none"])
    assert store.get_artifacts_by_id([99]) == []


def test_9_the_empty_name_and_external_id_are_values(store: MetadataStore, types: tuple[int, int, int]) -> None:
    store.put_artifacts([pb.Artifact(type_id=types[0], name="")])
    with pytest.raises(errors.AlreadyExistsError):
        store.put_artifacts([pb.Artifact(type_id=types[0], name="")])
    store.put_artifacts([pb.Artifact(type_id=types[0], external_id="")])
    with pytest.raises(errors.AlreadyExistsError):
        store.put_artifacts([pb.Artifact(type_id=types[0], external_id="")])


def test_9_the_empty_name_and_external_id_stay_taken_when_a_node_without_is_put_twice_in_one_request(
    store: MetadataStore, types: tuple[int, int, int]
) -> None:
    [number] = store.put_artifacts([pb.Artifact(type_id=types[0])])
    for field in ("name", "external_id"):
        new = pb.Artifact(type_id=types[0], **{field: ""})
        put_twice = [pb.Artifact(id=number, uri="1"), new, pb.Artifact(id=number, uri="2"), new]
        with pytest.raises(errors.AlreadyExistsError):
            store.put_artifacts(put_twice)
    assert len(store.get_artifacts()) == 1


def test_10_optimistic_concurrency_moves_the_time_only_with_a_change(
    store: MetadataStore, types: tuple[int, int, int]
) -> None:
    [artifact] = store.get_artifacts_by_id(store.put_artifacts([pb.Artifact(type_id=types[0])]))
    options = service.PutArtifactsRequest.Options(abort_if_latest_updated_time_changed=True)
    store._call("PutArtifacts", service.PutArtifactsRequest(artifacts=[artifact], options=options))
    [same] = store.get_artifacts_by_id([artifact.id])
    assert same == artifact
    artifact.uri = "new"
    store._call("PutArtifacts", service.PutArtifactsRequest(artifacts=[artifact], options=options))
    [moved] = store.get_artifacts_by_id([artifact.id])
    assert moved.last_update_time_since_epoch > artifact.last_update_time_since_epoch
    with pytest.raises(errors.FailedPreconditionError, match="has a different last_update_time"):
        store._call("PutArtifacts", service.PutArtifactsRequest(artifacts=[artifact], options=options))


def test_11_the_batch_context_calls_work_and_the_retired_one_names_its_successor(
    store: MetadataStore, types: tuple[int, int, int]
) -> None:
    ids = store.put_contexts([pb.Context(type_id=types[2], name=name) for name in "abc"])
    links = [pb.ParentContext(parent_id=ids[0], child_id=child) for child in ids[1:]]
    store.put_parent_contexts(links)
    request = service.GetParentContextsByContextsRequest(context_ids=ids)
    parents = store._call("GetParentContextsByContexts", request).contexts
    assert {child: [one.id for one in of.parent_contexts] for child, of in parents.items()} == {2: [1], 3: [1]}
    children = store._call(
        "GetChildrenContextsByContexts", service.GetChildrenContextsByContextsRequest(context_ids=ids)
    ).contexts
    assert {parent: [one.id for one in of.children_contexts] for parent, of in children.items()} == {1: [2, 3]}
    with pytest.raises(errors.UnimplementedError, match="GetLineageSubgraph"):
        store._call("GetLineageGraph", service.GetLineageGraphRequest())


def test_13_every_getter_of_types_fills_every_field(store: MetadataStore) -> None:
    given = pb.ExecutionType(
        name="E",
        version="v",
        description="d",
        external_id="x",
        properties={"p": pb.INT},
        base_type=pb.ExecutionType.TRAIN,
    )
    given.input_type.any.SetInParent()
    given.id = store.put_execution_type(given)
    assert store.get_execution_type("E", "v") == given
    assert store.get_execution_types() == [given]
    assert store.get_execution_types_by_id([given.id]) == [given]
    assert store.get_execution_types_by_external_ids(["x"]) == [given]


def test_14_the_time_moves_when_only_the_output_only_type_is_missing(
    store: MetadataStore, types: tuple[int, int, int]
) -> None:
    [artifact] = store.get_artifacts_by_id(store.put_artifacts([pb.Artifact(type_id=types[0])]))
    before = store._backend.log.end
    store.put_artifacts([artifact])
    assert store.get_artifacts_by_id([artifact.id]) == [artifact]
    artifact.ClearField("type")
    store.put_artifacts([artifact])
    changed = [entry.record.changes for entry in store._backend.log.read(before)]
    assert [len(changes) for changes in changed] == [0, 1]


def test_15_no_retries_is_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    config = pb.ConnectionConfig(fake_database={}, retry_options={"max_num_retries": 0})
    store, attempts = MetadataStore(config), []

    def abort(*_arguments: object) -> None:
        attempts.append(1)
        raise errors.AbortedError("busy")

    monkeypatch.setattr(store._backend, "call", abort)
    with pytest.raises(errors.AbortedError):
        store.get_artifacts()
    assert len(attempts) == 1


def test_18_a_type_given_twice_in_one_request_keeps_its_external_id(store: MetadataStore) -> None:
    given = [pb.ArtifactType(name="A", external_id="x"), pb.ArtifactType(name="A")]
    store._call("PutTypes", service.PutTypesRequest(artifact_types=given))
    assert store.get_artifact_type("A").external_id == "x"


def test_19_a_page_over_100_is_100_and_a_token(store: MetadataStore, types: tuple[int, int, int]) -> None:
    store.put_artifacts([pb.Artifact(type_id=types[0]) for _ in range(150)])
    request = service.GetArtifactsRequest(options=pb.ListOperationOptions(max_result_size=500))
    response = store._call("GetArtifacts", request)
    assert len(response.artifacts) == 100
    request.options.next_page_token = response.next_page_token
    assert len(store._call("GetArtifacts", request).artifacts) == 50


def test_20_pages_by_update_time_never_loop(store: MetadataStore, types: tuple[int, int, int]) -> None:
    store.put_artifacts([pb.Artifact(type_id=types[0]) for _ in range(25)])
    for ascending in (True, False):
        request = service.GetArtifactsRequest(options=pb.ListOperationOptions(max_result_size=3))
        request.options.order_by_field.field = pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME
        request.options.order_by_field.is_asc = ascending
        seen: list[int] = []
        while True:
            response = store._call("GetArtifacts", request)
            seen += [artifact.id for artifact in response.artifacts]
            if not response.next_page_token:
                break
            request.options.next_page_token = response.next_page_token
        assert seen == sorted(range(1, 26), reverse=not ascending)


def test_21_strings_that_are_not_utf_8_are_refused(store: MetadataStore, types: tuple[int, int, int]) -> None:
    spoiled = pb.Artifact(type_id=types[0], name="NAME").SerializeToString().replace(b"NAME", b"\xff\xfe\xfd\xfc")
    request = service.PutArtifactsRequest()
    request.artifacts.add().MergeFromString(spoiled)
    before = store._backend.log.end
    with pytest.raises(errors.InvalidArgumentError):
        store._call("PutArtifacts", request)
    assert store._backend.log.end == before


def test_a_page_token_has_the_published_bytes(store: MetadataStore, types: tuple[int, int, int]) -> None:
    store.put_artifacts([pb.Artifact(type_id=types[0]) for _ in range(30)])
    request = service.GetArtifactsRequest(options=pb.ListOperationOptions(max_result_size=3))
    assert store._call("GetArtifacts", request).next_page_token == "CAMQAxoCCAM"
    request = service.GetArtifactsRequest(options=pb.ListOperationOptions())
    assert store._call("GetArtifacts", request).next_page_token == "CBQQFBoA"
    newest = store.get_executions_by_context(1)
    assert newest == []
    assert mlmd.ListOptions().limit is None


@pytest.mark.parametrize(
    ("token", "words"), [("!!", "Failed to decode"), ("////", "Failed to decode"), ("_w", "Failed to parse")]
)
def test_a_token_that_is_none_is_refused(
    store: MetadataStore, types: tuple[int, int, int], token: str, words: str
) -> None:
    assert types
    request = service.GetArtifactsRequest(options=pb.ListOperationOptions(next_page_token=token))
    with pytest.raises(errors.InvalidArgumentError, match=words):
        store._call("GetArtifacts", request)
