"""The gRPC server, asked through a channel: every method, statuses, identities, retries, certificates, limits, endings."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from authority import Authority
from check import check_store
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from serving import Caller, Process, served

import mlmd
from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import open_folder, open_memory
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.proto import metadata_store_service_pb2_grpc as stubs
from mlmd.serving.life import ListenError
from mlmd.serving.server import Options, Server, Tls
from mlmd.serving.service import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Status = grpc.StatusCode


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(open_memory())
    yield engine
    engine.close()


@pytest.fixture
def caller(engine: Engine) -> Iterator[Caller]:
    with served(engine) as server, Caller(server.port) as caller:
        yield caller


def put_type(caller: Caller, name: str = "Model") -> int:
    request = service.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name=name))
    return caller.ask("PutArtifactType", request).type_id


def an_artifact(type_id: int = 10, name: str | None = None) -> service.PutArtifactsRequest:
    return service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=type_id, name=name)])


def last_envelope(engine: Engine) -> Any:
    return next(iter(engine.log.read(engine.log.end - 1))).record.envelope


# Methods and statuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_is_there_and_answers_as_the_store_in_process_does(
    engine: Engine, caller: Caller, name: str
) -> None:
    method = METHODS[name]
    try:
        expected = Engine.call(engine, method, method.request())
    except errors.StatusError as error:
        refusal = error
    else:
        assert type(caller.ask(name)) is type(expected)
        return
    code, details = caller.refused(name)
    assert (code.value[0], details) == (refusal.error_code, refusal.message)


@pytest.mark.parametrize("letter", ["x", "ü", "%", "\n", "🙂"])
def test_a_refusal_keeps_its_status_and_its_beginning_however_long_its_words(caller: Caller, letter: str) -> None:
    for times in (1_000, 1_300, 2_000, 20_000, 300_000):
        name = letter * times
        code, details = caller.refused("GetArtifactType", service.GetArtifactTypeRequest(type_name=name))
        assert code is Status.NOT_FOUND
        assert details.startswith(f"No type found for query, name: `{letter * 100}")
        assert (f"`{name}`" in details) == (not details.endswith(" ..."))
        assert len(details) > 300


def test_two_methods_that_the_published_server_lacks_answer_and_the_retired_one_names_its_successor(
    caller: Caller,
) -> None:
    contexts = caller.ask("PutContextType", service.PutContextTypeRequest(context_type=pb.ContextType(name="C")))
    made = [pb.Context(type_id=contexts.type_id, name=name) for name in "ab"]
    caller.ask("PutContexts", service.PutContextsRequest(contexts=made))
    link = pb.ParentContext(parent_id=1, child_id=2)
    caller.ask("PutParentContexts", service.PutParentContextsRequest(parent_contexts=[link]))
    parents = caller.ask("GetParentContextsByContexts", service.GetParentContextsByContextsRequest(context_ids=[1, 2]))
    assert {child: [one.name for one in found.parent_contexts] for child, found in parents.contexts.items()} == {
        2: ["a"]
    }
    code, details = caller.refused("GetLineageGraph")
    assert code is Status.UNIMPLEMENTED
    assert "GetLineageSubgraph" in details


def test_bytes_that_are_no_message_are_an_invalid_argument(caller: Caller) -> None:
    call = caller.channel.unary_unary(f"/{NAME}/PutArtifacts")
    with pytest.raises(grpc.RpcError) as refused:
        call(b"\xff\xff\xff")
    assert refused.value.code() is Status.INVALID_ARGUMENT
    assert refused.value.details() == "Could not parse proto"


def test_a_method_of_no_service_is_unimplemented(caller: Caller) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        caller.channel.unary_unary(f"/{NAME}/GetEverything")(b"")
    assert refused.value.code() is Status.UNIMPLEMENTED


def test_the_generated_stub_and_servicer_of_mlmd_work_with_it(engine: Engine) -> None:
    with served(engine) as server:
        channel = grpc.insecure_channel(f"localhost:{server.port}")
        answer = stubs.MetadataStoreServiceStub(channel).GetArtifactTypes(service.GetArtifactTypesRequest())
        assert answer == service.GetArtifactTypesResponse()
        channel.close()
        alone: Any = stubs.MetadataStoreService
        request, target = service.GetArtifactTypesRequest(), f"localhost:{server.port}"
        with pytest.warns(grpc.experimental.ExperimentalApiWarning):
            assert alone.GetArtifactTypes(request, target, insecure=True) == service.GetArtifactTypesResponse()
    assert len(stubs._METHODS) == 52


def test_a_servicer_of_ones_own_joins_a_server_and_what_it_lacks_is_unimplemented() -> None:
    from concurrent.futures import ThreadPoolExecutor

    class Mine(stubs.MetadataStoreServiceServicer):
        def GetArtifactTypes(self, _request: Any, _context: Any) -> Any:  # noqa: N802
            return service.GetArtifactTypesResponse(artifact_types=[pb.ArtifactType(name="mine")])

        def GetContexts(self, request: Any, context: Any) -> Any:  # noqa: N802
            return super().GetContexts(request, context)

    server = grpc.server(ThreadPoolExecutor(1))
    stubs.add_MetadataStoreServiceServicer_to_server(Mine(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Caller(port) as caller:
        assert caller.ask("GetArtifactTypes").artifact_types[0].name == "mine"
        for lacking in ("GetArtifacts", "GetContexts"):
            assert caller.refused(lacking) == (Status.UNIMPLEMENTED, "Method not implemented!")
    server.stop(0).wait()


def test_health_says_serving_and_reflection_knows_every_message(engine: Engine) -> None:
    with served(engine) as server:
        channel = grpc.insecure_channel(f"localhost:{server.port}")
        check = health_pb2_grpc.HealthStub(channel).Check
        for name in ("", NAME):
            assert check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
        known = ProtoReflectionDescriptorDatabase(channel)
        assert NAME in known.get_services()
        assert "metadata_store_service.proto" in known.FindFileContainingSymbol(NAME).name
        channel.close()


# Who puts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["watch", "reflection"])
def test_a_server_that_ends_does_not_wait_for_streams_that_callers_keep_open(engine: Engine, kind: str) -> None:
    hold = threading.Event()

    def questions() -> Iterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        hold.wait(60)

    server = Server(engine, Options(port=0, workers=2))
    server.start()
    with Caller(server.port) as caller:
        if kind == "watch":
            stream = health_pb2_grpc.HealthStub(caller.channel).Watch(health_pb2.HealthCheckRequest(service=NAME))
        else:
            stream = reflection_pb2_grpc.ServerReflectionStub(caller.channel).ServerReflectionInfo(questions())
        next(stream)
        stopping = threading.Thread(target=server.stop, args=(60,))
        stopping.start()
        heard: list[Any] = []
        with pytest.raises(grpc.RpcError) as ended:
            heard.extend(stream)
        if kind == "watch":  # Told so, or by the stream's end, which says the same: it may come first.
            assert {answer.status for answer in heard} <= {health_pb2.HealthCheckResponse.NOT_SERVING}
        assert ended.value.code() in (
            Status.CANCELLED,
            Status.UNAVAILABLE,
        )  # What is heard first: the stream, or the server.
        stopping.join(30)
        assert not stopping.is_alive()
        hold.set()


def test_who_puts_is_in_the_record(engine: Engine, caller: Caller) -> None:
    put_type(caller)
    envelope = last_envelope(engine)
    assert (envelope.auth, envelope.api, envelope.host, envelope.pid) == ("asserted", "PutArtifactType", "127.0.0.1", 0)
    assert envelope.actor.startswith("grpc-python/")
    caller.ask("PutArtifacts", an_artifact(), x_evlog_actor="J%C3%BCrgen", x_evlog_reason="nightly%20run")
    envelope = last_envelope(engine)
    assert (envelope.actor, envelope.auth, envelope.reason) == ("Jürgen", "asserted", "nightly run")
    assert envelope.application.startswith("grpc-python/")


def test_an_actor_too_long_for_a_name_is_refused_and_nothing_is_written(engine: Engine, caller: Caller) -> None:
    type_id, end = put_type(caller), engine.log.end
    code, details = caller.refused("PutArtifacts", an_artifact(type_id), x_evlog_actor="a" * 2_000)
    assert code is Status.INVALID_ARGUMENT
    assert "x-evlog-actor" in details
    assert engine.log.end == end


# A put sent again ----------------------------------------------------------------------------------------------------


def test_a_put_sent_again_is_answered_as_before_and_written_once(engine: Engine, caller: Caller) -> None:
    type_id, chosen = put_type(caller), str(uuid.uuid4())
    first = caller.ask("PutArtifacts", an_artifact(type_id), x_evlog_transaction=chosen)
    caller.ask("PutArtifacts", an_artifact(type_id))
    end = engine.log.end
    assert caller.ask("PutArtifacts", an_artifact(type_id), x_evlog_transaction=chosen) == first
    assert engine.log.end == end
    assert last_envelope(engine).transaction != uuid.UUID(chosen).bytes
    assert caller.ask("PutArtifacts", an_artifact(type_id), x_evlog_transaction=str(uuid.uuid4())) != first


def test_a_transaction_used_for_another_request_or_no_uuid_is_refused(engine: Engine, caller: Caller) -> None:
    type_id, chosen = put_type(caller), str(uuid.uuid4())
    caller.ask("PutArtifacts", an_artifact(type_id), x_evlog_transaction=chosen)
    end = engine.log.end
    for method, request in (
        ("PutArtifacts", an_artifact(type_id, "other")),
        ("PutExecutions", service.PutExecutionsRequest()),
    ):
        code, details = caller.refused(method, request, x_evlog_transaction=chosen)
        assert code is Status.INVALID_ARGUMENT
        assert "another request" in details
    code, details = caller.refused("PutArtifacts", an_artifact(type_id), x_evlog_transaction="again")
    assert code is Status.INVALID_ARGUMENT
    assert "UUID" in details
    assert engine.log.end == end


def test_a_refused_put_may_be_sent_again_with_its_transaction(caller: Caller) -> None:
    chosen = str(uuid.uuid4())
    assert caller.refused("PutArtifacts", an_artifact(10), x_evlog_transaction=chosen)[0] is Status.NOT_FOUND
    put_type(caller)
    assert caller.ask("PutArtifacts", an_artifact(10), x_evlog_transaction=chosen).artifact_ids == [1]


# A put over what was read --------------------------------------------------------------------------------------------


def test_a_guarded_put_is_refused_where_a_later_record_put_one_of_its_nodes(engine: Engine, caller: Caller) -> None:
    type_id = put_type(caller)
    caller.ask("PutArtifacts", an_artifact(type_id))
    seen = str(engine.log.end)
    again = service.PutArtifactsRequest(artifacts=[pb.Artifact(id=1, uri="s3://b/2")])
    assert caller.ask("PutArtifacts", again, x_evlog_guarded=seen).artifact_ids == [1]
    subgraph = service.PutLineageSubgraphRequest(artifacts=[pb.Artifact(id=1, type_id=type_id)])
    for name, request in (("PutArtifacts", an_artifact(type_id)), ("PutLineageSubgraph", subgraph)):
        request.artifacts.add(id=1, type_id=type_id, uri="s3://b/3")
        end = engine.log.end
        code, details = caller.refused(name, request, x_evlog_guarded=seen)
        assert (code, engine.log.end) == (Status.ABORTED, end)
        assert details == "artifact 1 was put by somebody else since it was read: read it again"


@pytest.mark.parametrize("said", ["yes", "-1", "1.5", "read", "", "9" * 5_000])
def test_a_guard_that_is_no_number_is_refused(engine: Engine, caller: Caller, said: str) -> None:
    type_id, end = put_type(caller), engine.log.end
    code, details = caller.refused("PutArtifacts", an_artifact(type_id), x_evlog_guarded=said)
    assert (code, engine.log.end) == (Status.INVALID_ARGUMENT, end)
    assert "is no number of records: send `read` with the Get" in details


def test_many_senders_of_one_put_get_one_answer(engine: Engine) -> None:
    with served(engine) as server, Caller(server.port) as caller:
        type_id, chosen = put_type(caller), str(uuid.uuid4())
        answers: list[int] = []

        def send() -> None:
            with Caller(server.port) as mine:
                answers.extend(mine.ask("PutArtifacts", an_artifact(type_id), x_evlog_transaction=chosen).artifact_ids)

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [1] * 8
        assert len(caller.ask("GetArtifacts").artifacts) == 1


def test_a_put_sent_again_to_a_server_that_was_killed_and_whose_view_is_gone_is_written_once(tmp_path: Path) -> None:
    store, chosen = tmp_path / "store", str(uuid.uuid4())
    Engine(open_folder(store, create=True)).close()
    first = Process(store)
    with Caller(first.port) as caller:
        type_id = put_type(caller)
        answer = caller.ask("PutArtifacts", an_artifact(type_id), x_evlog_transaction=chosen)
    first.kill()
    for file in (store / "views").iterdir():
        file.unlink()
    second = Process(store)
    with Caller(second.port) as caller:
        assert caller.ask("PutArtifacts", an_artifact(type_id), x_evlog_transaction=chosen) == answer
        assert len(caller.ask("GetArtifacts").artifacts) == 1
    assert second.end()[0] == 0
    engine = Engine(open_folder(store))
    check_store(engine)
    engine.close()


# Certificates --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def test_tls_keeps_out_who_does_not_speak_it(engine: Engine, authority: Authority) -> None:
    with served(engine, tls=Tls(*authority.issue("localhost"))) as server:
        with Caller(server.port, grpc.ssl_channel_credentials(authority.pem)) as caller:
            assert put_type(caller) == 10
            assert last_envelope(engine).auth == "asserted"
        with Caller(server.port) as plain:
            assert plain.refused("GetArtifacts")[0] is Status.UNAVAILABLE
        with Caller(server.port, grpc.ssl_channel_credentials(Authority().pem)) as distrustful:
            assert distrustful.refused("GetArtifacts")[0] is Status.UNAVAILABLE


def test_who_proves_a_certificate_is_the_actor_whatever_else_is_said(engine: Engine, authority: Authority) -> None:
    tls = Tls(*authority.issue("localhost"), ca=authority.pem)
    with served(engine, tls=tls) as server:
        key, certificate = authority.issue("alice")
        with Caller(server.port, grpc.ssl_channel_credentials(authority.pem, key, certificate)) as alice:
            put_type(alice)
            alice.ask("PutArtifacts", an_artifact(), x_evlog_actor="bob")
        envelope = last_envelope(engine)
        assert (envelope.actor, envelope.auth) == ("alice", "tls")
        with Caller(server.port, grpc.ssl_channel_credentials(authority.pem)) as nobody:
            assert nobody.refused("GetArtifacts")[0] is Status.UNAVAILABLE
        key, certificate = Authority().issue("mallory")
        with Caller(server.port, grpc.ssl_channel_credentials(authority.pem, key, certificate)) as mallory:
            assert mallory.refused("GetArtifacts")[0] is Status.UNAVAILABLE


def test_our_client_speaks_tls_with_the_published_config(engine: Engine, authority: Authority) -> None:
    tls = Tls(*authority.issue("localhost"), ca=authority.pem)
    with served(engine, tls=tls) as server:
        key, certificate = authority.issue("carol")
        config = pb.MetadataStoreClientConfig(host="localhost", port=server.port)
        config.ssl_config.custom_ca = authority.pem.decode()
        config.ssl_config.client_key = key.decode()
        config.ssl_config.server_cert = certificate.decode()
        store = mlmd.MetadataStore(config)
        store.put_artifact_type(pb.ArtifactType(name="T"))
        store.close()
    assert last_envelope(engine).actor == "carol"


# Limits and the command ----------------------------------------------------------------------------------------------


def test_a_message_above_the_limit_is_resource_exhausted_and_nothing_is_written(engine: Engine) -> None:
    with served(engine, message_bytes_max=100_000) as server, Caller(server.port) as caller:
        type_id, end = put_type(caller), engine.log.end
        assert caller.refused("PutArtifacts", an_artifact(type_id, "x" * 200_000))[0] is Status.RESOURCE_EXHAUSTED
        assert engine.log.end == end
        for number in range(3):
            caller.ask("PutArtifacts", an_artifact(type_id, f"{number}" * 40_000))
        assert caller.refused("GetArtifacts")[0] is Status.RESOURCE_EXHAUSTED


def test_five_megabytes_pass_a_server_with_its_own_limits(engine: Engine, caller: Caller) -> None:
    type_id = put_type(caller)
    for number in range(5):
        caller.ask("PutArtifacts", an_artifact(type_id, f"{number}" * 1_000_000))
    assert len(caller.ask("GetArtifacts").artifacts) == 5
    assert engine.view.applied == engine.log.end


def test_certificates_that_are_none_are_named_as_a_reason_not_to_listen(engine: Engine) -> None:
    with pytest.raises(ListenError, match="not with this key and certificate"):
        Server(engine, Options(port=0, tls=Tls(b"no key", b"no certificate")))


def test_a_port_that_is_taken_is_refused(engine: Engine) -> None:
    with served(engine) as server, pytest.raises(ListenError):
        Server(engine, Options(port=server.port))


def test_reads_go_on_while_others_put(engine: Engine) -> None:
    with served(engine) as server, Caller(server.port) as caller:
        type_id, stop, lost = put_type(caller), threading.Event(), []

        def put() -> None:
            with Caller(server.port) as mine:
                while not stop.is_set():
                    made = mine.ask("PutArtifacts", an_artifact(type_id)).artifact_ids
                    found = mine.ask("GetArtifactsByID", service.GetArtifactsByIDRequest(artifact_ids=made))
                    if len(found.artifacts) != 1:
                        lost.append(made)

        threads = [threading.Thread(target=put) for _ in range(4)]
        for thread in threads:
            thread.start()
        counts = []
        until = time.monotonic() + 1
        while time.monotonic() < until:
            counts.append(len(caller.ask("GetArtifacts").artifacts))
        stop.set()
        for thread in threads:
            thread.join()
        assert lost == []
        assert counts == sorted(counts)
        assert counts[-1] > 0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    Engine(open_folder(tmp_path / "store", create=True)).close()
    return tmp_path / "store"


def test_the_command_says_when_it_is_ready_and_ends_well_when_told_to(place: Path) -> None:
    server = Process(place)
    assert server.line == f"evlog serving {place} on 127.0.0.1:{server.port}"
    with Caller(server.port) as caller:
        put_type(caller)
    assert server.end()[0] == 0
    engine = Engine(open_folder(place, writable=False))
    assert engine.log.end == 2
    engine.close()


def test_a_call_that_runs_when_the_server_is_told_to_end_is_answered(place: Path) -> None:
    server = Process(place)
    answers: list[int] = []
    with Caller(server.port) as caller:
        type_id = put_type(caller)
        many = service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=type_id)] * 20_000)
        thread = threading.Thread(target=lambda: answers.append(len(caller.ask("PutArtifacts", many).artifact_ids)))
        thread.start()
        time.sleep(0.15)
        code, _ = server.end()
        thread.join()
    assert (code, answers) == (0, [20_000])


def test_a_read_only_server_answers_and_refuses_puts(place: Path) -> None:
    server = Process(place, "--read-only")
    with Caller(server.port) as caller:
        assert list(caller.ask("GetArtifacts").artifacts) == []
        request = service.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="T"))
        code, details = caller.refused("PutArtifactType", request)
    assert code is Status.INTERNAL
    assert "readonly" in details
    assert server.end()[0] == 0


CONFIG = """
connection_config {{ sqlite {{ filename_uri: "{store}" }} }}
ssl_config {{ server_key: "{key}" server_cert: "{certificate}" custom_ca: "{ca}" client_verify: true }}
"""


def test_the_published_servers_file_and_flags_are_followed(tmp_path: Path, authority: Authority) -> None:
    key, certificate = authority.issue("localhost")
    pems = {name: pem.decode().replace("\n", "\\n") for name, pem in (("key", key), ("certificate", certificate))}
    text = CONFIG.format(store=tmp_path / "new", ca=authority.pem.decode().replace("\n", "\\n"), **pems)
    (tmp_path / "config").write_text(text)
    server = Process(
        None,
        f"--metadata_store_server_config_file={tmp_path / 'config'}",
        "--metadata_source_config_type=config_file",
        "--grpc_channel_arguments=grpc.max_concurrent_streams=10",
        "--metadata_store_connection_retries=5",
    )
    credentials = grpc.ssl_channel_credentials(authority.pem, *authority.issue("dave"))
    with Caller(server.port, credentials) as caller:
        assert put_type(caller) == 10
    assert server.end()[0] == 0
    assert (tmp_path / "new" / "log").is_dir()


def test_a_fake_database_is_one_store_for_the_life_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("connection_config { fake_database {} }")
    server = Process(None, "--metadata_store_server_config_file", str(tmp_path / "config"))
    with Caller(server.port) as caller:
        put_type(caller)
        assert len(caller.ask("GetArtifactTypes").artifact_types) == 1
    assert server.end()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mysql_config_host=db"], "no such backend"),
        (["--postgres_config_dbname=x"], "no such backend"),
        (["--metadata_source_config_type=mysql"], "no such backend"),
        (["--metadata_source_config_type=config_file"], "--metadata_store_server_config_file"),
        (["--downgrade_db_schema_version=3"], "downgraded"),
        (["--grpc_channel_arguments=x"], "NAME=VALUE"),
        (["--tls-key", "k.pem"], "--tls-cert"),
        (["--tls-key", "/nowhere", "--tls-cert", "/nowhere"], "/nowhere"),
        (["--metadata_store_server_config_file", "/nowhere"], "/nowhere"),
    ],
)
def test_what_has_no_meaning_here_or_cannot_be_read_is_refused_in_a_line(
    place: Path, arguments: list[str], words: str
) -> None:
    server = Process(place, *arguments)
    code, said = server.end()
    assert code == 1
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("connection_config { mysql { host: 'x' } }", "mysql is no backend"),
        ("migration_options { downgrade_to_schema_version: 1 }", "downgraded"),
        ("ssl_config { server_key: 'x' }", "server_cert"),
        ("ssl_config { server_key: 'x' server_cert: 'y' client_verify: true }", "custom_ca"),
        ("ssl_config { server_key: 'x' server_cert: 'y' }", "127.0.0.1:0"),
        ("no such field: 1", "text format"),
    ],
)
def test_a_configuration_that_cannot_be_followed_is_refused_in_a_line(
    place: Path, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "config").write_text(text)
    server = Process(place, "--metadata_store_server_config_file", str(tmp_path / "config"))
    code, said = server.end()
    assert code == 1
    assert words in said
    assert "Traceback" not in said


def test_there_is_no_server_without_a_store(tmp_path: Path) -> None:
    server = Process(tmp_path / "none")
    code, said = server.end()
    assert (code, server.line) == (1, "")
    assert "there is no store" in said


# The client ----------------------------------------------------------------------------------------------------------


def client_of(server: Server, **fields: Any) -> mlmd.MetadataStore:
    return mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=server.port, **fields))


def test_the_client_raises_the_status_with_the_grpc_error_as_its_cause(engine: Engine) -> None:
    with served(engine) as server:
        store = client_of(server)
        with pytest.raises(errors.NotFoundError, match="No type found") as refused:
            store.get_artifact_type("none")
        assert isinstance(refused.value.__cause__, grpc.RpcError)
        store.close()


def test_the_client_finds_no_server_at_its_first_call() -> None:
    store = mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=1))
    with pytest.raises(errors.UnavailableError):
        store.get_artifacts()
    store.close()


@pytest.mark.parametrize("given", [{"client_key": "a key"}, {"server_cert": "a chain"}])
def test_the_client_refuses_half_of_a_certificate_which_would_end_the_process(given: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="client_key and server_cert go together"):
        mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=1, ssl_config=given))


def test_the_client_does_not_migrate() -> None:
    with pytest.raises(ValueError, match="enable_upgrade_migration"):
        mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=1), enable_upgrade_migration=True)


def test_the_client_keeps_to_its_time_and_its_limits(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(engine) as server:
        arguments = pb.GrpcChannelArguments(max_receive_message_length=1_000, http2_max_ping_strikes=3)
        store = client_of(server, channel_arguments=arguments)
        type_id = store.put_artifact_type(pb.ArtifactType(name="T"))
        store.put_artifacts([pb.Artifact(type_id=type_id, name="x" * 2_000)])
        with pytest.raises(errors.ResourceExhaustedError):
            store.get_artifacts()
        store.close()
    monkeypatch.setattr(engine, "answer", lambda *_, **__: time.sleep(1))
    with served(engine) as server:
        hasty = client_of(server, client_timeout_sec=0.2)
        with pytest.raises(errors.DeadlineExceededError):
            hasty.get_artifacts()
        hasty.close()


def test_the_client_tries_an_aborted_call_five_times(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def abort(*_: object, **__: object) -> None:
        tries.append(1)
        raise errors.AbortedError("again")

    monkeypatch.setattr(engine, "answer", abort)
    monkeypatch.setattr("mlmd.backed.time.sleep", lambda _: None)
    with served(engine) as server:
        store = client_of(server)
        with pytest.raises(errors.AbortedError):
            store.get_artifacts()
        store.close()
    assert len(tries) == 5


def test_the_client_says_who_it_is(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVLOG_ACTOR", "Łukasz 50%")
    monkeypatch.setenv("EVLOG_REASON", "because")
    with served(engine) as server:
        store = client_of(server)
        store.put_artifact_type(pb.ArtifactType(name="T"))
        store.close()
    envelope = last_envelope(engine)
    assert (envelope.actor, envelope.auth, envelope.reason) == ("Łukasz 50%", "asserted", "because")


@pytest.mark.parametrize(
    "paths",
    [None, [], ["artifact_types"], ["artifact_types", "events"], ["artifacts", "contexts"], ["nope"], ["attributions"]],
)
def test_lineage_over_the_wire_is_that_of_the_store_in_process(engine: Engine, paths: list[str] | None) -> None:
    import worked
    from raw import RawStore

    worked.put(RawStore(engine).ask)
    options = pb.LineageSubgraphQueryOptions()
    options.starting_artifacts.filter_query = "id = 4"
    request = service.GetLineageSubgraphRequest(lineage_subgraph_query_options=options)
    request.read_mask.paths.extend(paths or [])
    from mlmd.methods import WHOLE_LINEAGE

    with served(engine) as server:
        store = client_of(server)
        assert store.get_lineage_subgraph(options, paths) == engine.call(WHOLE_LINEAGE, request)
        store.close()
