"""Tells browsers that the log has grown: server-sent events, one stream each, fed by one thread for the whole site.

| what is sent                      | when                                                     |
| `event: end`, `data: {"offset":N}`| at once, then whenever N records are shown, more than before |
| a comment                         | every 15 s, so that a connection that is dead is noticed |

Nothing is sent of what was put: whoever wants to see it asks for a page. The thread begins with the first listener and ends with the last.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Final

from mlmd import errors
from replay.wake import wakes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from mlmd.engine import Engine

_LOG: Final = logging.getLogger(__name__)
HEARTBEAT_S: Final = 15.0
LISTENERS_MAX: Final = 100
_JOIN_S: Final = 2.0


class Live:
    """The end of a store's log, as those who listen are told of it."""

    def __init__(self, engine: Engine, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._engine, self._heartbeat_s = engine, heartbeat_s
        self._lock = threading.Lock()  # Held for all below.
        self._listeners: dict[_Listener, None] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()  # Of the thread.
        self._closed = False

    @property
    def listeners(self) -> int:
        """Return how many listen."""
        return len(self._listeners)

    async def events(self, still_may: Callable[[], Awaitable[object]]) -> AsyncGenerator[bytes]:
        """Yield the stream for one listener, until this is closed. still_may: asked before each event and heartbeat; it raises for one who may not.

        Raises ResourceExhaustedError before the first event, where as many listen as there may be.
        """
        listener = self._begin()
        try:
            told = -1
            yield b"retry: 2000\n\n"
            while not self._closed:
                end = await asyncio.to_thread(self._end)
                if end > told:
                    told = end
                    yield b'event: end\ndata: {"offset": %d}\n\n' % end
                woken = await listener.woken(self._heartbeat_s)
                await still_may()  # Also where records come all the time, and no heartbeat ever does.
                if not woken:
                    yield b": still here\n\n"
        except (
            errors.StatusError
        ) as error:  # The store has gone, or he may not any more: he asks again, and is told then.
            _LOG.info("a listener is sent away: %s", error)
        finally:
            self._leave(listener)

    def close(self) -> None:
        """End all streams. Who comes later gets none."""
        with self._lock:
            self._closed = True
            self._stop.set()
            thread, self._thread = self._thread, None
            for listener in self._listeners:
                listener.wake()
        if thread is not None:
            thread.join(_JOIN_S)

    def _begin(self) -> _Listener:
        listener = _Listener(asyncio.get_running_loop())
        with self._lock:
            if self._closed:
                raise errors.UnavailableError("the server is about to end")
            if len(self._listeners) >= LISTENERS_MAX:
                raise errors.ResourceExhaustedError(
                    f"{LISTENERS_MAX} listen already: reload the page to see what is new"
                )
            self._listeners[listener] = None
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(target=self._watch, args=(self._stop,), name="live", daemon=True)
                self._thread.start()
        return listener

    def _leave(self, listener: _Listener) -> None:
        with self._lock:
            self._listeners.pop(listener, None)
            if not self._listeners and self._thread is not None:
                self._stop.set()  # It ends by itself, within a wait of its own.
                self._thread = None

    def _end(self) -> int:
        """Return how many records there are that pages show by now."""
        return self._engine.review(lambda _log, _view, end: end)

    def _watch(self, stop: threading.Event) -> None:
        """Wake all who listen whenever there is more to see."""
        known = -1
        try:
            for _ in wakes(self._engine.log, stop):
                end = self._end()
                if end <= known:
                    continue
                known = end
                with self._lock:
                    for listener in self._listeners:
                        listener.wake()
        except Exception:  # noqa: BLE001 - pages stay as they are, and can be loaded again
            if not stop.is_set():
                _LOG.exception("the log is no longer watched: pages do not learn of new records by themselves")


class _Listener:
    """One stream, and the loop that it runs in."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._event = loop, asyncio.Event()

    def wake(self) -> None:
        """Let it look again. May be called from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    async def woken(self, patience_s: float) -> bool:
        """Wait to be woken; tell whether it was, rather than that the time was over."""
        try:
            await asyncio.wait_for(self._event.wait(), patience_s)
        except TimeoutError:
            return False
        self._event.clear()
        return True
