"""The HTTP server that pages and OpenLineage share."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from mlmd.engine import Engine
from mlmd.exchange.openlineage import endpoint
from mlmd.opening import open_folder
from mlmd.serving.http import HttpServer
from mlmd.web import site

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send


def test_no_part_of_an_answer_waits_for_another_to_be_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[socket.socket] = []
    accept = socket.socket.accept

    def keep(self: socket.socket) -> tuple[socket.socket, object]:
        made, address = accept(self)
        kept.append(made)
        return made, address

    monkeypatch.setattr(socket.socket, "accept", keep)
    server = HttpServer(Starlette(), "127.0.0.1", 0)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert one.recv(100).startswith(b"HTTP/1.1 404")
        assert [made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0 for made in kept] == [True]
    server.stop()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n1",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n9\r\n1",
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 3,
    ],
    ids=["nothing", "half a head", "half a body", "half a chunk", "no answer taken"],
)
def test_connections_that_wait_for_their_client_keep_nobody_out(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    async def read_and_answer(request: Request) -> Response:
        with suppress(ClientDisconnect):
            await request.body()
        return Response("x" if "x-small" in request.headers else "x" * (8 << 20))

    def status() -> bytes:
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            one.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-small: yes\r\nconnection: close\r\n\r\n")
            return one.recv(12)

    monkeypatch.setattr("mlmd.serving.http._WAITING_MAX", 12)
    monkeypatch.setattr("mlmd.serving.http.CONNECTIONS_MAX", 8)
    server = HttpServer(Starlette(routes=[Route("/", read_and_answer, methods=["GET", "POST"])]), "127.0.0.1", 0)
    server.start()
    with ExitStack() as open_until_the_end:
        for _ in range(20):
            one = open_until_the_end.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            one.sendall(sent)
        # The first may come while those who were sent away are not gone yet.
        assert b"HTTP/1.1 200" in [status() for _ in range(50)]
        assert [status() for _ in range(3)] == [b"HTTP/1.1 200"] * 3
    server.stop()


@pytest.mark.parametrize(
    ("where", "content"), [("/taint", "application/x-www-form-urlencoded"), ("/api/v1/lineage", "application/json")]
)
def test_a_body_that_is_cut_off_is_no_fault_of_the_server(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, where: str, content: str
) -> None:
    with closing(Engine(open_folder(tmp_path / "store", create=True))) as engine:
        pages = site.application(site.Site(engine, "store", place=tmp_path / "store"))
        answered = threading.Event()

        async def told(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await (pages if where == "/taint" else endpoint.application(engine))(scope, receive, send)
            finally:
                answered.set()

        server = HttpServer(told, "127.0.0.1", 0)
        server.start()
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            head = f"POST {where} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content}\r\ncontent-length: 9\r\n\r\n"
            one.sendall(head.encode() + b"half")
        assert answered.wait(30)
        server.stop()
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []
