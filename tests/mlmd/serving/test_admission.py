"""Who comes through the door of a server: every call by every role, and what of it is on record."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from authority import Authority
from check import check_store
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from serving import Caller, Process, served

import mlmd
from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import open_folder
from mlmd.places import Server as Place
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.serving import access, tokens
from mlmd.serving.server import Tls
from mlmd.serving.tokens import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd.serving.tokens import Role

Status = grpc.StatusCode
CLOSED = (Status.UNAUTHENTICATED, Status.PERMISSION_DENIED)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with closing(Engine(open_folder(tmp_path / "store", create=True))) as made:
        yield made


@pytest.fixture
def caller(engine: Engine) -> Iterator[Caller]:
    with served(engine) as server, Caller(server.port) as caller:
        yield caller


def secret_of(engine: Engine, name: str = "ana", role: Role = "writer", **more: Any) -> str:
    return tokens.add(engine, name, role, **more).secret


def shown(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def uses(engine: Engine) -> list[access.Use]:
    """Return what the record holds, the oldest first; of a server that has ended."""
    return list(reversed(access.last_uses(Path(engine.views or "").parent, 1_000).uses))


def put_type(caller: Caller, secret: str | None = None, **said: str) -> int:
    request = service.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="Model"))
    return caller.ask("PutArtifactType", request, **(shown(secret) if secret else {}), **said).type_id


def last_envelope(engine: Engine) -> Any:
    return next(iter(engine.log.read(engine.log.end - 1))).record.envelope


# Every call by every role --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_call_is_for_those_whose_role_reaches_it(engine: Engine, caller: Caller, name: str) -> None:
    puts = name.startswith("Put")
    for role in tokens.ROLES:
        secret = secret_of(engine, role, role)
        try:
            caller.ask(name, **shown(secret))
        except grpc.RpcError as error:
            code: Status | None = error.code()
        else:
            code = None
        lets_in = role in ("writer", "admin") or not puts
        assert (code not in CLOSED) == lets_in, (role, code)
        if not lets_in:
            assert code is Status.PERMISSION_DENIED
    for said in (
        {},
        shown(""),
        shown("evlog_wrong"),
        {"authorization": "Basic x"},
        {"authorization": secret_of(engine)},
    ):
        assert caller.refused(name, **said)[0] is Status.UNAUTHENTICATED


def test_health_is_for_everybody_and_reflection_for_holders_of_a_token(engine: Engine) -> None:
    secret = secret_of(engine, role="reader")
    with served(engine) as server, Caller(server.port) as caller:
        health = health_pb2_grpc.HealthStub(caller.channel)
        request = health_pb2.HealthCheckRequest()
        assert health.Check(request).status == health_pb2.HealthCheckResponse.SERVING
        watch = health.Watch(request)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
        reflect = reflection_pb2_grpc.ServerReflectionStub(caller.channel).ServerReflectionInfo
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as refused:
            next(reflect(iter([question])))
        assert refused.value.code() is Status.UNAUTHENTICATED
        answer = next(reflect(iter([question]), metadata=tuple(shown(secret).items())))
        assert answer.list_services_response.service
    assert [(use.actor, use.what, use.result) for use in uses(engine)] == [
        (None, "ServerReflectionInfo", "UNAUTHENTICATED"),
        ("ana", "ServerReflectionInfo", "OK"),
    ]


def test_a_store_without_tokens_asks_nobody_and_notes_nothing(engine: Engine) -> None:
    with served(engine) as server, Caller(server.port) as caller:
        put_type(caller)
        caller.ask("GetArtifacts", **shown("evlog_whatever"))
    assert last_envelope(engine).auth == "asserted"
    assert uses(engine) == []


# Who it was ----------------------------------------------------------------------------------------------------------


def test_the_holder_of_a_token_is_the_actor_whatever_else_he_says(engine: Engine, caller: Caller) -> None:
    for name, role in (("ana", "writer"), ("root", "admin")):
        put_type(caller, secret_of(engine, name, role), x_evlog_actor="bob", x_evlog_reason="nightly")  # type: ignore[arg-type]
        envelope = last_envelope(engine)
        assert (envelope.actor, envelope.auth, envelope.reason) == (name, "token", "nightly")
        assert envelope.host == "127.0.0.1"


def test_a_token_beats_a_certificate_which_alone_is_not_enough(engine: Engine) -> None:
    authority = Authority()
    secret = secret_of(engine)
    with served(engine, tls=Tls(*authority.issue("localhost"), ca=authority.pem)) as server:
        key, certificate = authority.issue("alice")
        with Caller(server.port, grpc.ssl_channel_credentials(authority.pem, key, certificate)) as alice:
            assert alice.refused("GetArtifacts")[0] is Status.UNAUTHENTICATED
            put_type(alice, secret)
    assert (last_envelope(engine).actor, last_envelope(engine).auth) == ("ana", "token")


def test_reads_and_what_was_refused_are_noted_and_puts_are_in_the_log(engine: Engine) -> None:
    reader, writer = secret_of(engine, "ana", "reader"), secret_of(engine, "bob", "writer")
    with served(engine) as server, Caller(server.port) as caller:
        put_type(caller, writer)
        caller.ask("GetArtifactTypes", **shown(reader))
        caller.refused("PutContexts", **shown(reader))
        caller.refused("GetArtifactType", service.GetArtifactTypeRequest(type_name="no"), **shown(writer))
        caller.refused("PutArtifacts", service.PutArtifactsRequest(artifacts=[pb.Artifact()]), **shown(writer))
        caller.refused("GetArtifacts", **shown("evlog_x"))
    assert [(use.actor, use.role, use.where, use.what, use.result, use.peer) for use in uses(engine)] == [
        ("ana", "reader", "grpc", "GetArtifactTypes", "OK", "127.0.0.1"),
        ("ana", "reader", "grpc", "PutContexts", "PERMISSION_DENIED", "127.0.0.1"),
        ("bob", "writer", "grpc", "GetArtifactType", "NOT_FOUND", "127.0.0.1"),
        ("bob", "writer", "grpc", "PutArtifacts", "INVALID_ARGUMENT", "127.0.0.1"),
        (None, None, "grpc", "GetArtifacts", "UNAUTHENTICATED", "127.0.0.1"),
    ]


def test_no_secret_is_in_an_answer_a_log_or_a_file(
    engine: Engine, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    secret, wrong = secret_of(engine, role="reader"), "evlog_" + "w" * 43
    with caplog.at_level(logging.DEBUG):
        told = [caller.refused("PutContexts", **shown(secret))[1], caller.refused("GetArtifacts", **shown(wrong))[1]]
        tokens.remove(engine, "ana")
        told.append(caller.refused("GetArtifacts", **shown(secret))[1])
    assert all(one not in text for text in (*told, caplog.text) for one in (secret, wrong, secret[6:], wrong[6:]))
    for path in Path(engine.views or "").parent.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert secret.encode() not in data
            assert wrong.encode() not in data


# As time goes on -----------------------------------------------------------------------------------------------------


def test_a_server_takes_up_what_is_added_and_removed_while_it_runs(engine: Engine, caller: Caller) -> None:
    put_type(caller)
    secret = secret_of(engine)
    assert caller.refused("GetArtifacts")[0] is Status.UNAUTHENTICATED
    caller.ask("GetArtifacts", **shown(secret))
    tokens.remove(engine, "ana")
    code, said = caller.refused("GetArtifacts", **shown(secret))
    assert code is Status.UNAUTHENTICATED
    assert "removed" in said
    assert caller.refused("GetArtifacts")[0] is Status.UNAUTHENTICATED  # None is left: that opens nothing.


def test_a_token_that_has_expired_is_told_so_and_noted_by_name(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_ms = tokens.now_ms() + 60_000
    secret = secret_of(engine, expires_ms=ends_ms)
    with served(engine) as server, Caller(server.port) as caller:
        caller.ask("GetArtifacts", **shown(secret))
        monkeypatch.setattr(tokens, "now_ms", lambda: ends_ms - 1)
        caller.ask("GetArtifacts", **shown(secret))
        monkeypatch.setattr(tokens, "now_ms", lambda: ends_ms)
        code, said = caller.refused("GetArtifacts", **shown(secret))
    assert code is Status.UNAUTHENTICATED
    assert "ana has expired" in said
    assert [(use.actor, use.result) for use in uses(engine)][-1] == ("ana", "UNAUTHENTICATED")


@pytest.mark.parametrize("damage", ["cut", "gone", "no json"])
def test_a_server_whose_tokens_are_damaged_lets_nobody_in_says_why_once_and_goes_on_when_they_are_back(
    engine: Engine, caller: Caller, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    secret = secret_of(engine)
    caller.ask("GetArtifacts", **shown(secret))
    found = tokens.tokens_of(engine)
    assert found is not None
    data = found.file.read_bytes()
    if damage == "gone":
        found.file.unlink()
    else:
        found.file.write_bytes(data[:100] if damage == "cut" else b"{}")
    for said in ({}, shown(secret), shown(secret)):
        code, told = caller.refused("GetArtifacts", **said)
        assert code is Status.UNAVAILABLE
        assert str(found.file) not in told  # Whoever asks is a stranger.
    assert sum(str(found.file) in one.getMessage() for one in caplog.records) == 1
    found.file.write_bytes(data)
    caller.ask("GetArtifacts", **shown(secret))


def test_two_servers_of_a_store_know_the_same_tokens_and_keep_one_record(engine: Engine) -> None:
    place = Path(engine.views or "").parent
    with closing(Engine(open_folder(place))) as other, served(engine) as first, served(other) as second:
        with Caller(first.port) as one, Caller(second.port) as two:
            secret = secret_of(engine)
            for caller in (one, two):
                assert caller.refused("GetArtifacts")[0] is Status.UNAUTHENTICATED
                caller.ask("GetArtifacts", **shown(secret))
            tokens.remove(other, "ana")
            for caller in (one, two):
                assert caller.refused("GetArtifacts", **shown(secret))[0] is Status.UNAUTHENTICATED
        check_store(other)
    results = [use.result for use in uses(engine)]
    assert (results.count("OK"), results.count("UNAUTHENTICATED")) == (2, 4)


def test_a_read_only_server_asks_for_tokens_also_where_its_view_is_a_replay(engine: Engine, tmp_path: Path) -> None:
    secret = secret_of(engine, role="reader")
    engine.close()
    for path in (tmp_path / "store" / "views").iterdir():
        path.unlink()
    with closing(Engine(open_folder(tmp_path / "store", writable=False))) as reading:
        assert reading.views is None
        with served(reading) as server, Caller(server.port) as caller:
            assert caller.refused("GetArtifacts")[0] is Status.UNAUTHENTICATED
            caller.ask("GetArtifacts", **shown(secret))


# Our client ----------------------------------------------------------------------------------------------------------


def test_our_clients_show_the_token_of_the_environment(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secret_of(engine)
    with served(engine) as server:
        monkeypatch.setenv(TOKEN, secret)
        with mlmd.open(f"localhost:{server.port}") as store:
            store.metadata.put_artifact_type(pb.ArtifactType(name="T"))
            assert store.at("#1").metadata.get_artifact_types() == []
        assert (last_envelope(engine).actor, last_envelope(engine).auth) == ("ana", "token")
        monkeypatch.delenv(TOKEN)
        with mlmd.open(f"localhost:{server.port}") as store, pytest.raises(errors.UnauthenticatedError, match=TOKEN):
            store.metadata.get_artifact_types()


@pytest.mark.parametrize("host", ["10.1.2.3", "example.org", "0.0.0.0", "ipv4:127.0.0.1", "localhost.example.org", "[2001:db8::1]"])  # fmt: skip
def test_a_token_is_not_sent_where_others_could_read_it(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv(TOKEN, "evlog_secret")
    with pytest.raises(errors.InvalidArgumentError, match="grpcs://") as refused:
        mlmd.MetadataStore(pb.MetadataStoreClientConfig(host=host, port=1))
    assert "evlog_secret" not in str(refused.value)
    mlmd.MetadataStore(Place(host, 1, tls=True).config()).close()
    monkeypatch.setenv(TOKEN, "")
    mlmd.MetadataStore(pb.MetadataStoreClientConfig(host=host, port=1)).close()


@pytest.mark.parametrize("secret", ["two words", "line\nbreak", "schlüssel", "\x01"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv(TOKEN, secret)
    with pytest.raises(errors.InvalidArgumentError, match=TOKEN) as refused:
        mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=1))
    assert secret not in str(refused.value)


def test_a_proxy_of_the_environment_never_sees_a_token(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv(TOKEN, secret_of(engine))
    with served(engine) as server, mlmd.open(f"localhost:{server.port}") as store:
        assert store.metadata.get_artifact_types() == []


def test_a_server_over_tls_is_named_by_grpcs(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(tmp_path / "ca.pem"))
    monkeypatch.setenv(TOKEN, secret_of(engine))
    with served(engine, tls=Tls(*authority.issue("localhost"))) as server:
        config = Place("localhost", server.port, tls=True).config()
        config.ssl_config.custom_ca = authority.pem.decode()  # The authorities of gRPC are read once a process.
        with mlmd.open(config) as store:
            assert store.metadata.get_artifact_types() == []


# The command that serves ---------------------------------------------------------------------------------------------


@pytest.mark.once
def test_serve_says_who_can_reach_the_store_where_that_is_not_this_machine_alone(tmp_path: Path) -> None:
    place = tmp_path / "store"
    with closing(Engine(open_folder(place, create=True))) as engine:
        for with_token, expected in ((False, "whoever reaches 0.0.0.0 may read and put; to ask who calls: evlog -s"),
                                     (True, "tokens cross the network to 0.0.0.0 as they are")):  # fmt: skip
            if with_token:
                secret_of(engine)
            server = Process(place, "--host", "0.0.0.0")
            with Caller(server.port) as caller:
                assert (
                    (caller.refused("GetArtifacts")[0] is Status.UNAUTHENTICATED)
                    if with_token
                    else caller.ask("GetArtifacts") is not None
                )
            status, said = server.end()
            assert status == 0
            assert expected in said


@pytest.mark.once
def test_serve_refuses_to_begin_with_tokens_that_cannot_be_read(tmp_path: Path) -> None:
    with closing(Engine(open_folder(tmp_path / "store", create=True))) as engine:
        secret_of(engine)
        found = tokens.tokens_of(engine)
        assert found is not None
        found.file.write_bytes(b"")
    status, said = Process(tmp_path / "store").end()
    assert status == 3
    assert "TOKENS" in said
    assert "Traceback" not in said
