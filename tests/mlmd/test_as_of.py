"""Looking back: a store as of a moment answers every get as it would have been answered then, and takes no put."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from histories import put
from hypothesis import given, settings
from hypothesis import strategies as st
from questions import Resume, asks
from serving import Caller, served
from strategies import FIRST_CALLS, SAFE, WILD, Walk, everything, puts, reads

import mlmd
from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import BODIES, open_folder, open_memory
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.recorder.marks import mark
from replay.asof import as_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from google.protobuf.message import Message

    from projections.sqlite.view import View

    Ask = Callable[[str, Message], Message]
START = 1_700_000_000_000_000


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_us = START

    def __call__(self) -> int:
        return self.now_us


def replayed(view: View) -> Ask:
    """Return how to ask a view, a plain replay up to the moment."""
    return lambda name, request: view.ask(lambda lookup: METHODS[name].ask(lookup, request))


def answers(ask: Ask, question: Any) -> list[Any]:
    """Return what a question is answered with, refusals included; a Walk page by page."""
    request = type(question.request)()
    request.CopyFrom(question.request)
    found: list[Any] = []
    for _ in range(40 if isinstance(question, Walk | Resume) else 1):
        try:
            answer = ask(question.method, request)
        except errors.StatusError as error:
            return [*found, (error.error_code, error.message)]
        found.append(answer.SerializeToString(deterministic=True))
        if not getattr(answer, "next_page_token", ""):
            break
        request.options.next_page_token = answer.next_page_token  # type: ignore[attr-defined]
    return found


QUESTIONS = st.lists(st.one_of(reads(WILD, batched=True), asks(), asks()), max_size=12)


@settings(deadline=None)
@given(
    operations=st.lists(puts(SAFE), min_size=3, max_size=14),
    questions=QUESTIONS,
    steps_us=st.sampled_from([0, 400, 3_000]),
    data=st.data(),
)
def test_every_read_as_of_every_moment_is_that_of_a_replay(
    operations: list[Any], questions: list[Any], steps_us: int, data: Any
) -> None:
    engine, clock = Engine(open_memory()), Clock()
    engine.log._clock = clock
    for operation in [*FIRST_CALLS, *operations]:
        clock.now_us += steps_us
        put(engine, operation)
    offsets = data.draw(st.lists(st.integers(0, engine.log.end), min_size=1, max_size=3, unique=True))
    for offset in offsets:
        view = as_of(engine.log, offset, BODIES)
        then = replayed(view)
        for question in [*everything(), *questions]:
            looked_back = answers(
                lambda name, request: METHODS[name].message(engine.answer(METHODS[name], request, at=offset)),  # noqa: B023
                question,
            )
            assert looked_back == answers(then, question), (offset, question)
        view.close()
    engine.close()


# The store of a moment -----------------------------------------------------------------------------------------------


def config_of(place: Path) -> pb.ConnectionConfig:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(place)
    return config


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    config = pb.ConnectionConfig()
    if request.param == "folder":
        config.sqlite.filename_uri = str(tmp_path / "store")
    else:
        config.fake_database.SetInParent()
    store = mlmd.MetadataStore(config)
    yield store
    store.close()


def end_of(store: mlmd.MetadataStore) -> int:
    backend: Any = store._backend
    return int(backend.log.end)


def named(store: mlmd.MetadataStore, *names: str) -> list[int]:
    """Put artifacts at uris "a", or put them again at others: "1=b". A name is for ever."""
    found = {one.name: one.id for one in store.get_artifact_types()}
    type_id = found.get("Model") or store.put_artifact_type(pb.ArtifactType(name="Model", properties={"v": pb.INT}))
    nodes = []
    for text in names:
        node_id, _, name = text.rpartition("=")
        node = pb.Artifact(type_id=type_id, uri=name)
        node.properties["v"].int_value = len(name)
        if node_id:
            node.id = int(node_id)
        nodes.append(node)
    return list(store.put_artifacts(nodes))


def test_moments_live_side_by_side_with_the_store(store: mlmd.MetadataStore) -> None:
    begun = end_of(store)
    named(store, "a", "b")
    first = end_of(store)
    before, then = store.as_of(begun), store.as_of(first)
    named(store, "1=renamed", "c")
    second = store.as_of(f"#{end_of(store)}")
    named(store, "1=again")
    assert [node.uri for node in before.get_artifacts()] == []
    assert [node.uri for node in then.get_artifacts()] == ["a", "b"]
    assert [node.uri for node in second.get_artifacts()] == ["renamed", "b", "c"]
    assert [node.uri for node in store.get_artifacts()] == ["again", "b", "c"]
    assert [node.uri for node in then.as_of(end_of(store)).get_artifacts()] == ["again", "b", "c"]
    assert then.get_artifacts_by_uri("renamed") == second.get_artifacts_by_uri("a") == []
    assert then.get_artifacts_by_uri("a")[0].id == second.get_artifacts_by_uri("renamed")[0].id == 1


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("uri = 'a'", [1]),
        ("uri IN ('b', 'renamed')", [2]),
        ("properties.v.int_value = 1", [1, 2]),
        ("properties.v.int_value > 1", []),
        ("uri = 'c'", []),
        ("contexts_x.name = 'p' AND id < 9", [1]),
    ],
)
@pytest.mark.parametrize("order", [mlmd.OrderByField.ID, mlmd.OrderByField.UPDATE_TIME])
def test_filters_look_back(store: mlmd.MetadataStore, query: str, ids: list[int], order: mlmd.OrderByField) -> None:
    named(store, "a", "b")
    kind = store.put_context_type(pb.ContextType(name="P"))
    (context,) = store.put_contexts([pb.Context(type_id=kind, name="p")])
    store.put_attributions_and_associations([pb.Attribution(artifact_id=1, context_id=context)], [])
    then = store.as_of(end_of(store))
    named(store, "1=renamed", "c")
    store.put_attributions_and_associations([pb.Attribution(artifact_id=2, context_id=context)], [])
    options = mlmd.ListOptions(filter_query=query, order_by=order)
    assert sorted(node.id for node in then.get_artifacts(list_options=options)) == ids


def test_a_store_can_be_opened_as_of_a_moment_while_another_writes(tmp_path: Path) -> None:
    writer = mlmd.MetadataStore(config_of(tmp_path / "store"))
    named(writer, "a")
    end = end_of(writer)
    reader = mlmd.MetadataStore(config_of(tmp_path / "store"), as_of=end)
    named(writer, "1=b")
    assert [node.uri for node in reader.get_artifacts()] == ["a"]
    assert [node.uri for node in reader.as_of(end_of(writer)).get_artifacts()] == ["b"]
    reader.close()
    writer.close()


def test_a_writer_looks_back_at_what_another_put_meanwhile(tmp_path: Path) -> None:
    idle, busy = mlmd.MetadataStore(config_of(tmp_path / "store")), mlmd.MetadataStore(config_of(tmp_path / "store"))
    named(busy, "a")
    end = end_of(busy)
    assert [node.uri for node in idle.as_of(end).get_artifacts()] == ["a"]
    named(busy, "1=b")
    assert [node.uri for node in idle.as_of("now").get_artifacts()] == ["b"]
    named(busy, "1=c")
    assert [one.fields[0].new for one in idle.diff(end).differences] == ["c"]
    assert named(idle, "d") == [2]
    idle.close()
    busy.close()


def test_many_threads_look_at_many_moments_while_the_store_goes_on(store: mlmd.MetadataStore) -> None:
    named(store, "a0")
    wrong: list[Any] = []

    def look(moment: int, offset: int) -> None:
        then = store.as_of(offset)
        for _ in range(20):
            names = [node.uri for node in then.get_artifacts()]
            if names != [f"a{moment}"]:
                wrong.append((moment, names))

    threads = []
    for moment in range(9):
        if moment:
            named(store, f"1=a{moment}")
        threads.append(threading.Thread(target=look, args=(moment, end_of(store))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_moment_is_a_time_a_text_or_an_offset(store: mlmd.MetadataStore) -> None:
    named(store, "a")
    with pytest.raises(errors.OutOfRangeError):
        store.as_of(datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(errors.OutOfRangeError, match=str(end_of(store))):
        store.as_of(end_of(store) + 90)
    assert store.as_of("3 days ago").get_artifact_types() == []
    assert store.as_of(0).get_artifacts() == []
    assert store.as_of("2020-01-01T00:00:00Z").get_contexts() == []
    assert store.as_of(datetime(2020, 1, 1, tzinfo=UTC)).get_executions() == []


@pytest.mark.parametrize("moment", [True, None, 1.5, datetime(2026, 1, 1), "then", "2026-13-01", "12"])  # noqa: DTZ001
def test_what_is_no_moment_is_refused(store: mlmd.MetadataStore, moment: Any) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=r"moment|year|time zone"):
        store.as_of(moment)


def test_now_is_the_end_of_the_log_though_a_clock_was_ahead(store: mlmd.MetadataStore) -> None:
    named(store, "a")
    before, clock = end_of(store), store.log._clock
    store.log._clock = lambda: clock() + 3_600_000_000
    named(store, "b")
    store.log._clock = clock
    named(store, "c")
    assert [node.uri for node in store.as_of("now").get_artifacts()] == ["a", "b", "c"]
    assert [one.what for one in store.diff(before, "now").differences] == ["added", "added"]
    assert [node.uri for node in store.as_of(datetime.now(UTC)).get_artifacts()] == ["a"], (
        "a time is that of the records"
    )
    marked = mark(store, "here")
    assert [node.uri for node in store.as_of("mark:here").get_artifacts()] == ["a", "b", "c"], marked


def test_the_past_takes_no_put(store: mlmd.MetadataStore) -> None:
    named(store, "a")
    end = end_of(store)
    then = store.as_of(end)
    for refused in (
        lambda: then.put_artifact_type(pb.ArtifactType(name="Model")),
        lambda: then.put_artifacts([pb.Artifact(id=1, type_id=9, name="b")]),
        lambda: then.put_attributions_and_associations([], []),
    ):
        with pytest.raises(errors.FailedPreconditionError, match=f"#{end}"):
            refused()
    assert end_of(store) == end


def test_the_past_outlives_the_name_of_its_store(tmp_path: Path) -> None:
    store = mlmd.MetadataStore(config_of(tmp_path / "store"))
    named(store, "a")
    then = store.as_of(end_of(store))
    del store
    assert [node.uri for node in then.get_artifacts()] == ["a"]
    then._of.close()  # type: ignore[union-attr]


# Over the wire -------------------------------------------------------------------------------------------------------


def ask(caller: Caller, name: str, request: Message, **metadata: str) -> Any:
    """Call a method with metadata, as any client can."""
    method = METHODS[name]
    call = caller.channel.unary_unary(
        f"/ml_metadata.MetadataStoreService/{name}", method.request.SerializeToString, method.response.FromString
    )
    return call(request, metadata=[(key.replace("_", "-"), value) for key, value in metadata.items()])


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    engine = Engine(open_folder(tmp_path / "served", create=True))
    yield engine
    engine.close()


def test_any_client_looks_back_by_a_header(engine: Engine) -> None:
    with served(engine) as server, Caller(server.port) as caller:
        store = mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=server.port))
        named(store, "a")
        end, now = engine.log.end, datetime.now(UTC)
        named(store, "1=b")
        everything = service.GetArtifactsRequest()
        for moment, names in {
            str(end): ["a"],
            str(engine.log.end): ["b"],
            "0": [],
            now.isoformat(): ["a"],
            now.isoformat().replace("+00:00", "Z"): ["a"],
        }.items():
            answer = ask(caller, "GetArtifacts", everything, x_evlog_as_of=moment)
            assert [node.uri for node in answer.artifacts] == names, moment
        assert [node.uri for node in store.as_of(end).get_artifacts()] == ["a"]
        assert [node.uri for node in store.as_of(now).get_artifacts()] == ["a"]
        with pytest.raises(errors.FailedPreconditionError):
            named(store.as_of(end), "c")
        with pytest.raises(errors.OutOfRangeError):
            store.as_of(end + 7).get_artifacts()
        store.close()


@pytest.mark.parametrize(
    ("name", "moment", "code"),
    [
        ("GetArtifacts", "soon", grpc.StatusCode.INVALID_ARGUMENT),
        ("GetArtifacts", "2026-03-01", grpc.StatusCode.INVALID_ARGUMENT),
        ("GetArtifacts", "-1", grpc.StatusCode.INVALID_ARGUMENT),
        ("GetArtifacts", "99999999999999999999999", grpc.StatusCode.OUT_OF_RANGE),
        ("GetArtifacts", "2999-01-01T00:00:00Z", grpc.StatusCode.OUT_OF_RANGE),
        ("PutArtifacts", "1", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_a_header_that_cannot_be_followed_is_refused(
    engine: Engine, name: str, moment: str, code: grpc.StatusCode
) -> None:
    with served(engine) as server, Caller(server.port) as caller:
        with pytest.raises(grpc.RpcError) as refused:
            ask(caller, name, METHODS[name].request(), x_evlog_as_of=moment)
        assert refused.value.code() is code
    assert engine.log.end == 1


def test_two_moments_in_one_call_are_refused(engine: Engine) -> None:
    method = METHODS["GetArtifacts"]
    path = "/ml_metadata.MetadataStoreService/GetArtifacts"
    with served(engine) as server, Caller(server.port) as caller:
        call = caller.channel.unary_unary(path, method.request.SerializeToString, method.response.FromString)
        with pytest.raises(grpc.RpcError, match="more than once") as refused:
            call(method.request(), metadata=[("x-evlog-as-of", "0"), ("x-evlog-as-of", "1")])
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
