"""Calls that were begun and whose message has not come yet: each holds a worker of the server, and needs no more than a connection for it.

Some come slowly, and nobody minds; but while they hold half of the workers, or the server is to stop, those that have waited for a while are
ended: no number of them keeps others out, and none keeps the server up.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from mlmd.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import grpc

PATIENCE_S: Final = 5.0
_LOOK_S: Final = 1.0


class Awaited:
    """The calls of one server of so many workers. `start` has a thread look after them. clock: seconds that only grow."""

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._crowd, self._clock = max(1, workers // 2), clock
        self._since: dict[grpc.ServicerContext, float] = {}  # Set and taken out in single steps, by many threads.
        self._stop = threading.Event()

    def message(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """Wait for the message of a call. Raises InvalidArgumentError where there is none; RpcError for a call that is over."""
        self._since[context] = self._clock()
        try:
            return next(requests)
        except StopIteration:
            raise InvalidArgumentError("the call came without a message") from None
        finally:
            del self._since[context]

    def look(self) -> None:
        """End the calls that have waited for long, where they are too many."""
        waiting = list(self._since.items())
        if len(waiting) >= self._crowd:
            for context, since_s in waiting:
                if self._clock() - since_s >= PATIENCE_S:
                    context.cancel()  # type: ignore[no-untyped-call] # As gRPC has it.

    def start(self) -> None:
        """Look after the calls, in a thread."""
        threading.Thread(target=self._run, name="awaited", daemon=True).start()

    def drain(self) -> None:
        """From here on end whichever has waited for long, however few they are."""
        self._crowd = 0

    def stop(self) -> None:
        """Look no longer."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self.look()
