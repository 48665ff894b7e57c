"""Browsers are told that the log has grown, by a server on loopback: a client that reads a stream is needed."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING

import pytest

from mlmd import errors
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.recorder.store import Store
from mlmd.serving.http import HttpServer
from mlmd.store import MetadataStore
from mlmd.web import live
from mlmd.web.site import Site, application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 20.0


@pytest.fixture
def server(site: Site, engine: Engine) -> Iterator[HttpServer]:
    site.live = live.Live(engine, heartbeat_s=3_600)  # What is told is told because the log grew.
    made = HttpServer(application(site), "127.0.0.1", 0, ending=site.close)
    made.start()
    yield made
    made.stop()


class Ears:
    """Listens, as often as it is told to."""

    def __init__(self) -> None:
        self._open: list[HTTPConnection | HTTPResponse] = []

    def listen(self, server: HttpServer, path: str = "/live") -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        self._open.append(connection)
        connection.request("GET", path)
        response = connection.getresponse()
        self._open.append(response)
        return response

    def close(self) -> None:
        for one in self._open:
            one.close()
        self._open.clear()


@pytest.fixture
def ears() -> Iterator[Ears]:
    made = Ears()
    yield made
    made.close()


def told(stream: HTTPResponse) -> int:
    """Return the offset of the next event."""
    while True:
        line = stream.readline().decode()
        assert line, "the stream has ended"
        if line.startswith("data: "):
            found: int = json.loads(line.removeprefix("data: "))["offset"]
            return found


def wait(until: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end_s, "it did not come to that"
        time.sleep(0.01)


def watchers() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "live"]


def put(store: Store) -> None:
    with store.run("Trainer"):
        pass


def test_who_listens_is_told_at_once_and_of_each_growth(
    server: HttpServer, ears: Ears, engine: Engine, store: Store
) -> None:
    stream = ears.listen(server)
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in stream.headers
    assert told(stream) == engine.log.end
    put(store)
    while (offset := told(stream)) < engine.log.end:
        pass
    assert offset == engine.log.end


def test_what_another_process_puts_is_told_too(server: HttpServer, ears: Ears, engine: Engine, tmp_path: Path) -> None:
    stream = ears.listen(server)
    before = told(stream)
    other = Engine(open_folder(tmp_path / "store"))
    put(Store(MetadataStore.over(other)))
    end = other.log.end
    other.close()
    assert before < end
    while told(stream) < end:
        pass
    assert engine.review(lambda _log, _view, shown: shown) >= end


def test_what_is_told_can_be_seen(server: HttpServer, ears: Ears, store: Store) -> None:
    stream = ears.listen(server)
    told(stream)
    put(store)
    offset = told(stream)
    assert json.loads(ears.listen(server, "/index.json").read())["offset"] >= offset


def test_streams_end_when_the_server_stops(site: Site, ears: Ears) -> None:
    server = HttpServer(application(site), "127.0.0.1", 0, ending=site.close)
    server.start()
    streams = [ears.listen(server) for _ in range(3)]
    for stream in streams:
        told(stream)
    server.stop()
    for stream in streams:
        stream.read()  # To its own end: a stream that is cut off raises IncompleteRead.
    wait(lambda: site.live.listeners == 0)
    assert not watchers()


def test_one_thread_serves_all_and_ends_with_the_last(server: HttpServer, ears: Ears, site: Site, store: Store) -> None:
    assert not watchers()
    streams = [ears.listen(server) for _ in range(3)]
    for stream in streams:
        told(stream)
    assert (site.live.listeners, len(watchers())) == (3, 1)
    ears.close()
    put(store)  # Who has gone is noticed when he is written to.
    wait(lambda: site.live.listeners == 0)
    wait(lambda: not watchers())
    stream = ears.listen(server)
    told(stream)
    assert len(watchers()) == 1


def test_one_listener_too_many_is_refused_in_words(
    server: HttpServer, ears: Ears, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LISTENERS_MAX", 1)
    first = ears.listen(server)
    told(first)
    second = ears.listen(server)
    assert second.status == 429
    assert "reload" in json.loads(second.read())["message"]
    assert site.live.listeners == 1


def test_after_the_end_nobody_listens(site: Site, server: HttpServer, ears: Ears) -> None:
    site.close()
    assert ears.listen(server).status == 503


def test_who_may_no_longer_look_is_sent_away(engine: Engine) -> None:
    made = live.Live(engine, heartbeat_s=0.01)
    asked: list[None] = []

    async def may() -> None:
        asked.append(None)
        if len(asked) > 3:
            raise errors.UnauthenticatedError("the token was taken back")

    async def read() -> list[bytes]:
        return [part async for part in made.events(may)]

    parts = asyncio.run(read())
    assert parts[0] == b"retry: 2000\n\n"
    assert parts[1] == b'event: end\ndata: {"offset": %d}\n\n' % engine.log.end
    # He is also asked when the log was looked at for the first time, which wakes him once.
    assert parts[2:] in ([b": still here\n\n"] * 2, [b": still here\n\n"] * 3)
    assert made.listeners == 0
    wait(lambda: not watchers())


def test_who_may_no_longer_look_is_sent_away_also_where_records_come_all_the_time(engine: Engine, store: Store) -> None:
    made = live.Live(engine, heartbeat_s=3_600)
    may_look = [True]

    async def may() -> None:
        if not may_look[0]:
            raise errors.UnauthenticatedError("no more")

    async def heard() -> int:
        events = made.events(may)
        assert (await anext(events)).startswith(b"retry")
        assert b"offset" in await anext(events)
        may_look[0] = False
        await asyncio.to_thread(store.mark, "then")
        return len([part async for part in events])

    assert asyncio.run(asyncio.wait_for(heard(), PATIENCE_S)) == 0
    made.close()


def test_a_page_of_now_listens_and_one_of_the_past_does_not(browser: object) -> None:
    page, past = browser.get("/runs").text, browser.get("/runs", params={"at": "#1"}).text  # type: ignore[attr-defined]
    assert "/static/live.js" in page
    assert 'data-island="live"' in page
    assert "/static/live.js" not in past
    assert 'data-island="live"' not in past
