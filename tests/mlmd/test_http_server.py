"""The HTTP server that pages and OpenLineage share."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from mlmd.http_server import HttpServer

if TYPE_CHECKING:
    import pytest


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
