"""The reference as an object: open stores in it, send it serialized requests, get status and response.

`Reference` owns one process of tests/reference/server.py. It starts with the first `open`, may be killed by a request, and
starts again with the next `open`; the stores of a process die with it. One thread at a time.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import server

if TYPE_CHECKING:
    from typing import IO

SERVER: Final = Path(server.__file__)
CALL_S: Final = 60.0
READ_SIZE: Final = 1 << 16


class OracleError(Exception):
    """The reference gave no answer.

    OracleError
    ├── OpenRefusedError     a ConnectionConfig that it does not open; the text is its message
    ├── AbsentMethodError    an RPC that its binding does not have
    ├── DiedError            the process ended in the middle of a call
    └── TimedOutError        no answer in time; the process has been killed
    """


class OpenRefusedError(OracleError):
    """The reference does not open this ConnectionConfig."""


class AbsentMethodError(OracleError):
    """The reference's binding has no such RPC."""

    def __init__(self, method: str) -> None:
        super().__init__(f"the reference's binding has no {method}")
        self.method = method


class DiedError(OracleError):
    """The reference's process ended while it handled `method`."""

    def __init__(self, method: str, ending: str, last_words: str) -> None:
        super().__init__(f"the reference died of {ending} in {method}: {last_words}")
        self.method, self.ending, self.last_words = method, ending, last_words


class TimedOutError(OracleError):
    """The reference did not answer `method` in time."""

    def __init__(self, method: str, timeout_s: float) -> None:
        super().__init__(f"the reference did not answer {method} within {timeout_s:g} s")
        self.method, self.timeout_s = method, timeout_s


class Reference:
    """The reference in a process of its own."""

    def __init__(self, python: Path, *, timeout_s: float = CALL_S) -> None:
        """python: from environment.python_of_reference. timeout_s: for each call, `open` included."""
        self.python = python
        self.timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._stores: set[int] = set()  # The handles that the running process knows.
        self._handles = 0  # Never used twice: an old handle must not find the store of a later process.

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process, None when there is none."""
        return self._process.pid if self._process else None

    def open(self, config: bytes) -> int:
        """Open a store by its serialized ConnectionConfig and return its handle."""
        if self._process is None:
            self._start()
        handle = self._handles = self._handles + 1
        kind, _, message, _ = self._exchange(handle, "open", config)
        if kind == server.REFUSED:
            raise OpenRefusedError(message)
        self._stores.add(handle)
        return handle

    def close(self, handle: int) -> None:
        """Close a store; a fake_database is gone with it. A store whose process died is closed already."""
        if handle in self._stores:
            self._stores.discard(handle)
            self._exchange(handle, "close", b"")

    def call(self, handle: int, method: str, request: bytes) -> tuple[int, str, bytes]:
        """Return status code, message and serialized response; the response of a failed call means nothing."""
        if handle not in self._stores:
            raise OracleError(f"store {handle} is not open in the reference, which {method} was sent to")
        kind, code, message, response = self._exchange(handle, method, request)
        if kind == server.ABSENT:
            raise AbsentMethodError(method)
        return code, message, response

    def stop(self) -> None:
        """End the process and with it every open store. Nothing to do when there is none."""
        if self._process is None:
            return
        process, self._process = self._process, None
        self._stores.clear()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, self._stderr):
            if pipe:
                pipe.close()

    def _start(self) -> None:
        # A file, for a pipe that nobody reads would block the reference once it is full. stop() closes it.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [self.python, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, bufsize=0
        )

    def _exchange(self, handle: int, method: str, body: bytes) -> tuple[int, int, str, bytes]:
        """Send one frame, receive one. The process is gone after any failure: a late answer must not meet the next call."""
        deadline = time.monotonic() + self.timeout_s
        try:
            self._send(server.pack_request(handle, method, body))
            kind, code, message_size, body_size = server.ANSWER.unpack(self._receive(server.ANSWER.size, deadline))
            message = self._receive(message_size, deadline).decode(errors="replace")
            return kind, code, message, self._receive(body_size, deadline)
        except (BrokenPipeError, EOFError):
            error = DiedError(method, self._ending(), self._last_words())
            self.stop()
            raise error from None
        except TimeoutError:
            self.stop()
            raise TimedOutError(method, self.timeout_s) from None
        except BaseException:
            self.stop()
            raise

    def _send(self, data: bytes) -> None:
        assert self._process
        assert self._process.stdin
        left = memoryview(data)
        while left:
            left = left[os.write(self._process.stdin.fileno(), left) :]

    def _receive(self, size: int, deadline: float) -> bytes:
        assert self._process
        assert self._process.stdout
        descriptor = self._process.stdout.fileno()
        parts = []
        while size:
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            parts.append(os.read(descriptor, min(size, READ_SIZE)))
            if not parts[-1]:
                raise EOFError
            size -= len(parts[-1])
        return b"".join(parts)

    def _ending(self) -> str:
        """Return how the process ended, in words: its pipes are closed, so it ends now if it has not yet."""
        assert self._process
        status = self._process.wait(timeout=self.timeout_s)
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"

    def _last_words(self) -> str:
        """Return the line in which the reference said why: a fatal assertion if there was one, else its last line."""
        assert self._stderr
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()
        fatal = [line for line in lines if line[:1] == "F" and line[1:5].isdigit()]
        return (fatal or lines or ["without a word"])[-1].strip()
