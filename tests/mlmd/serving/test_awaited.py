"""Callers who begin a call and send no message, and those who ask for reflection and stay: others are answered nevertheless."""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2_grpc
from serving import Caller, served

from mlmd import errors
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.serving import awaited, tokens
from mlmd.serving.awaited import PATIENCE_S, Awaited
from mlmd.serving.service import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKERS = 8


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with closing(Engine(open_folder(tmp_path / "store", create=True))) as made:
        yield made


@contextmanager
def silent(port: int, calls: int) -> Iterator[list[Any]]:
    """Begin calls that send nothing until the end."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(60)
        yield from ()

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        begun = channel.stream_unary(f"/{NAME}/GetArtifacts")
        made = [begun.future(nothing(), timeout=60) for _ in range(calls)]  # One that nobody keeps is cancelled.
        try:
            yield made
        finally:
            over.set()


def test_strangers_who_send_no_message_are_refused_before_it_would_come(engine: Engine) -> None:
    secret = tokens.add(engine, "ana", "reader").secret
    with served(engine, workers=WORKERS) as server, silent(server.port, 5 * WORKERS) as calls:
        for call in calls:
            assert call.exception().code() is grpc.StatusCode.UNAUTHENTICATED
        with Caller(server.port) as caller:
            caller.ask("GetArtifacts", authorization=f"Bearer {secret}")


def test_calls_without_a_message_that_take_all_workers_make_room(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaited, "PATIENCE_S", 0.0)
    with served(engine, workers=WORKERS) as server, silent(server.port, 3 * WORKERS), Caller(server.port) as caller:
        while len(server._awaited._since) < WORKERS:
            time.sleep(0.001)
        caller.ask("GetArtifacts")


def test_a_call_that_ends_without_a_message_is_told_so(engine: Engine) -> None:
    with served(engine) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.stream_unary(f"/{NAME}/GetArtifacts")(iter(()))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "without a message" in refused.value.details()


def test_who_stays_with_reflection_keeps_no_call_out(engine: Engine) -> None:
    over = threading.Event()

    def nothing() -> Iterator[Any]:
        over.wait(60)
        yield from ()

    with served(engine, workers=WORKERS) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        streams = [stub.ServerReflectionInfo(nothing(), timeout=60) for _ in range(3 * WORKERS)]
        with Caller(server.port) as caller:
            caller.ask("GetArtifacts")
        over.set()
        assert {stream.code() for stream in streams} <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        again = stub.ServerReflectionInfo(iter(()), timeout=60)
        assert list(again) == []  # A place that is free is given again.


class _Call:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def test_of_few_that_wait_none_is_ended_and_of_many_those_alone_that_waited_long() -> None:
    now_s = [0.0]
    kept: Any = Awaited(workers=6, clock=lambda: now_s[0])
    calls = [_Call() for _ in range(3)]
    for call in calls[:2]:
        kept._since[call] = 0.0
    now_s[0] = PATIENCE_S
    kept.look()
    assert [call.cancelled for call in calls] == [False, False, False]
    kept._since[calls[2]] = 1.0
    kept.look()
    assert [call.cancelled for call in calls] == [True, True, False]


def test_a_server_that_drains_waits_for_no_message_long() -> None:
    now_s, calls = [0.0], [_Call(), _Call()]
    kept: Any = Awaited(workers=6, clock=lambda: now_s[0])
    kept._since[calls[0]] = 0.0
    now_s[0] = PATIENCE_S
    kept._since[calls[1]] = PATIENCE_S
    kept.drain()
    kept.look()
    assert [call.cancelled for call in calls] == [True, False]


def test_calls_without_a_message_do_not_keep_a_server_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited, "PATIENCE_S", 0.0)
    with served(engine, workers=WORKERS) as server, silent(server.port, 1) as (call,):
        while not server._awaited._since:
            time.sleep(0.001)
        server.stop(drain_s=100)
        # Without a message, in the end, it would be told so.
        assert call.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_a_call_is_waited_for_until_its_message_is_there() -> None:
    kept: Any = Awaited(workers=1)
    assert kept.message(iter([b"x"]), _Call()) == b"x"
    with pytest.raises(errors.InvalidArgumentError):
        kept.message(iter([]), _Call())
    assert kept._since == {}
