"""`evlog serve --openlineage`: the real client sends, and what a stranger may send is answered with a reason."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
import threading
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from authority import Authority
from check import check_store
from lineage_events import RUN, a_run, event
from serving import Process
from stores import opened, run

from mlmd.engine import Engine
from mlmd.opening import open_folder, open_memory
from mlmd.serving import tokens

pytest.importorskip("starlette", reason="needs the extra `openlineage`")
pytest.importorskip("uvicorn", reason="needs the extra `openlineage`")
client = pytest.importorskip("openlineage.client", reason="needs the extra `openlineage`")

from openlineage.client import event_v2  # noqa: E402
from openlineage.client.transport.http import ApiKeyTokenProvider, HttpCompression, HttpConfig, HttpTransport  # noqa: E402

from mlmd.exchange.openlineage.endpoint import EVENT_BYTES_MAX, PATH, application  # noqa: E402
from mlmd.serving.http import HttpServer, TlsFiles  # noqa: E402
from mlmd.serving.life import ListenError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def engine() -> Iterator[Engine]:
    with closing(Engine(open_memory())) as engine:
        yield engine


@pytest.fixture
def endpoint(engine: Engine) -> Iterator[HttpServer]:
    made = HttpServer(application(engine), "127.0.0.1", 0)
    made.start()
    yield made
    made.stop()


def post(port: int, body: Any, path: str = PATH, **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(connection):
        connection.request("POST", path, data, said)
        answer = connection.getresponse()
        text = answer.read()
    return answer.status, json.loads(text) if text and answer.getheader("content-type") == "application/json" else {}


def sent(port: int, compression: HttpCompression | None = None, **more: Any) -> None:
    transport = HttpTransport(HttpConfig(url=f"http://127.0.0.1:{port}", compression=compression, **more))
    with closing(client.OpenLineageClient(transport=transport)) as sender:
        for state in (event_v2.RunState.START, event_v2.RunState.COMPLETE):
            sender.emit(
                event_v2.RunEvent(
                    eventType=state,
                    eventTime="2026-03-01T09:30:00Z",
                    run=event_v2.Run(RUN),
                    job=event_v2.Job("etl", "orders"),
                    inputs=[event_v2.InputDataset("ns", "in")],
                    outputs=[event_v2.OutputDataset("ns", "out")],
                    producer="https://example.org",
                )
            )


@pytest.mark.parametrize("compression", [None, HttpCompression.GZIP])
def test_the_real_client_sends_to_a_real_server_and_it_is_durable_when_answered(
    tmp_path: Path, compression: HttpCompression | None
) -> None:
    place = tmp_path / "store"
    run("init", place)
    server = Process(place, "--openlineage", "0")
    try:
        assert server.process.stdout is not None
        port = int(server.process.stdout.readline().rpartition(":")[2])
        sent(port, compression)
        server.kill()  # Nothing is left to be done.
    finally:
        server.end()
    with closing(opened(place)) as store:
        [one] = store.get_executions()
        assert one.external_id == f"openlineage:run:{RUN}"
        assert [node.name for node in store.get_artifacts()] == ["ns/in", "ns/out"]
        assert store.get_contexts()[0].name == "etl.orders"
        envelopes = [entry.record.envelope for entry in store.log.read(1)]
        assert {(one.api, one.host, one.auth) for one in envelopes} == {("OpenLineage", "127.0.0.1", "asserted")}
        check_store(store)


def test_a_store_with_tokens_takes_events_of_writers_alone(tmp_path: Path) -> None:
    with closing(Engine(open_folder(tmp_path / "store", create=True))) as engine:
        server = HttpServer(application(engine), "127.0.0.1", 0)
        server.start()
        [start, *_] = a_run()
        assert post(server.port, start)[0] == 201
        writer, reader = (tokens.add(engine, role, role).secret for role in ("writer", "reader"))
        end = engine.log.end
        for path, body in ((PATH, start), (f"{PATH}/batch", [start])):
            assert post(server.port, body, path)[0] == 401
            assert post(server.port, body, path, authorization="Bearer evlog_wrong")[0] == 401
            status, told = post(server.port, body, path, authorization=f"Bearer {reader}")
            assert (status, told["code"]) == (403, 403)
            assert "is for the role writer" in told["message"]
        assert engine.log.end == end
        other = event("START", 1, run_id=RUN.replace("1", "2"))
        said = {"authorization": f"Bearer {writer}", "x_evlog_actor": "root"}
        assert post(server.port, other, **said)[0] == 201
        envelope = next(engine.log.read(end)).record.envelope
        assert (envelope.actor, envelope.auth) == ("writer", "token")
        tokens.remove(engine, "writer")
        assert post(server.port, other, **said)[0] == 401
        server.stop()


def test_the_real_client_sends_its_key_as_a_token(tmp_path: Path) -> None:
    with closing(Engine(open_folder(tmp_path / "store", create=True))) as engine:
        secret = tokens.add(engine, "airflow", "writer").secret
        server = HttpServer(application(engine), "127.0.0.1", 0)
        server.start()
        sent(server.port, auth=ApiKeyTokenProvider({"apiKey": secret}))
        server.stop()
        assert next(engine.log.read(engine.log.end - 1)).record.envelope.actor == "airflow"


def test_an_event_is_taken_once(engine: Engine, endpoint: HttpServer) -> None:
    assert [post(endpoint.port, one)[0] for one in a_run() * 2] == [201] * 6
    assert engine.log.end == 4
    said = {"x_evlog_actor": "air%20flow", "x_evlog_reason": "nightly"}
    assert post(endpoint.port, event("START", 1, run_id=RUN.replace("1", "2")), **said)[0] == 201
    envelope = next(engine.log.read(4)).record.envelope
    assert (envelope.actor, envelope.reason) == ("air flow", "nightly")


def test_many_senders_at_once_lose_nothing(engine: Engine, endpoint: HttpServer) -> None:
    """Each of eight senders says something of its own of the same run, over the same data."""
    answers: list[int] = []

    def send(number: int) -> None:
        for minute in range(10):
            one = event("RUNNING", minute, run={f"f{number}.{minute}": {"x": number}}, inputs=a_run()[0]["inputs"])
            answers.append(post(endpoint.port, one)[0])

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [201] * 80
    body = engine.view.ask(lambda lookup: lookup.nodes("execution", [1, 2]))
    assert len(body) == 1
    assert all(f"f{number}.{minute}".encode() in body[0] for number in range(8) for minute in range(10))
    check_store(engine)


def test_a_batch_is_taken_event_by_event(engine: Engine, endpoint: HttpServer) -> None:
    good = a_run()
    assert post(endpoint.port, good, f"{PATH}/batch") == (200, {"received": 3})
    assert post(endpoint.port, [], f"{PATH}/batch") == (200, {"received": 0})
    mixed = [good[0], {"eventTime": "now"}, event("OTHER", 5)]
    status, said = post(endpoint.port, mixed, f"{PATH}/batch")
    assert (status, said["failed_events"]) == (
        400,
        [{"index": 1, "reason": "eventTime: 'now' is no time such as 2026-03-01T09:30:00Z"}],
    )
    assert engine.log.end == 5
    for wrong in ({}, b"[", b"[" * 100_000):
        assert post(endpoint.port, wrong, f"{PATH}/batch")[0] == 400


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"{", {}, 400, "no JSON"),
        (b"", {}, 400, "no JSON"),
        (b'{"eventTime": NaN}', {}, 400, "no JSON"),
        (b"[" * 1_000_000, {}, 400, ""),
        (b'{"a":' * 1_000_000, {}, 400, ""),
        ({"eventTime": 1}, {}, 400, "eventTime: Expected `str`"),
        (event("START", 1, run_id="x"), {}, 400, "run.runId"),
        (b" " * (EVENT_BYTES_MAX + 1), {}, 413, "larger than"),
        (gzip.compress(b" " * (EVENT_BYTES_MAX + 1), mtime=0), {"content_encoding": "gzip"}, 413, "larger than"),
        (gzip.compress(b"{}", mtime=0)[:-4], {"content_encoding": "gzip"}, 400, "cut off"),
        (b"no gzip", {"content_encoding": "gzip"}, 400, "no gzip"),
        (b"{}", {"content_encoding": "br"}, 415, "br"),
        (b"{}", {"content_type": "text/plain"}, 415, "text/plain"),
        (event("START", 1), {"origin": "https://evil.example"}, 403, "web pages"),
        (event("START", 1), {"x_evlog_actor": "a" * 2_000}, 400, "x-evlog-actor"),
    ],
)
def test_what_is_wrong_is_answered_with_the_reason(
    engine: Engine, endpoint: HttpServer, body: Any, headers: dict[str, str], status: int, said: str
) -> None:
    answer = post(endpoint.port, body, **headers)
    assert (answer[0], said in answer[1]["message"], answer[1]["code"]) == (status, True, status)
    assert engine.log.end == 1
    assert post(endpoint.port, event("START", 1))[0] == 201


def test_tls_keeps_out_who_proves_no_certificate(engine: Engine, tmp_path: Path) -> None:
    authority = Authority()
    files = {name: tmp_path / name for name in ("key", "certificate", "ca", "caller.key", "caller.certificate")}
    pems = (*authority.issue("localhost"), authority.pem, *authority.issue("airflow"))
    for path, pem in zip(files.values(), pems, strict=True):
        path.write_bytes(pem)
    made = HttpServer(application(engine), "127.0.0.1", 0, TlsFiles(files["key"], files["certificate"], files["ca"]))
    made.start()
    trusting = ssl.create_default_context(cadata=authority.pem.decode())
    try:
        for proven in (False, True):
            if proven:
                trusting.load_cert_chain(files["caller.certificate"], files["caller.key"])
            connection = http.client.HTTPSConnection("localhost", made.port, timeout=60, context=trusting)
            with closing(connection), nullcontext() if proven else pytest.raises(OSError):
                connection.request("POST", PATH, json.dumps(event("START", 1)), {"content-type": "application/json"})
                assert connection.getresponse().status == 201
        with pytest.raises((OSError, http.client.HTTPException)):
            post(made.port, event("COMPLETE", 2))
    finally:
        made.stop()
    assert engine.log.end == 2


def test_other_paths_and_methods_are_not_there(endpoint: HttpServer) -> None:
    assert post(endpoint.port, {}, "/api/v1/namespaces")[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
    with closing(connection):
        connection.request("GET", PATH)
        assert connection.getresponse().status == 405


def test_a_store_that_cannot_take_it_says_so(engine: Engine, endpoint: HttpServer) -> None:
    engine.log.close()
    assert post(endpoint.port, event("START", 1))[0] in (500, 503)


def test_a_port_that_is_taken_is_refused(engine: Engine, endpoint: HttpServer, tmp_path: Path) -> None:
    with pytest.raises(ListenError):
        HttpServer(application(engine), "127.0.0.1", endpoint.port)
    place = tmp_path / "store"
    run("init", place)
    result = run("-s", place, "serve", "--grpc", "0", "--openlineage", str(endpoint.port))
    assert (result.exit_code, "cannot listen" in result.stderr) == (1, True), result.stderr
    result = run("-s", place, "serve", "--read-only", "--openlineage", "0")
    assert (result.exit_code, "--read-only" in result.stderr) == (2, True)
    result = run("-s", place, "serve", "--openlineage", "0", "--tls-key", tmp_path / "k", "--tls-cert", tmp_path / "c")
    assert result.exit_code == 1, result.stderr
