"""Where events go: a file of lines, or whoever listens at a URL, through openlineage-python's own transport."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlmd.exchange.errors import DeliveryError, TargetError
from mlmd.exchange.openlineage.writing import as_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from openlineage.client.event_v2 import RunEvent

    Send = Callable[[RunEvent], None]

API_KEY: Final = "OPENLINEAGE_API_KEY"  # As openlineage-python has it.
_ENDPOINT: Final = "/api/v1/lineage"
_TAIL_BYTES: Final = 1 << 16


def is_url(target: str) -> bool:
    """Tell whether a target is a URL, and no file."""
    return target.startswith(("http://", "https://"))


@contextmanager
def to_url(url: str) -> Iterator[Send]:
    """Yield what sends an event to the endpoint of a URL, such as Marquez at http://localhost:5000. Raises DeliveryError."""
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415 - as above: a file needs neither

    url = url.removesuffix("/").removesuffix(_ENDPOINT)  # Which the transport adds.
    name = urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[2]).geturl()  # Without a password.
    try:
        config = HttpConfig(url=url)
        if key := os.environ.get(API_KEY):
            config = HttpConfig(url=url, auth=ApiKeyTokenProvider({"apiKey": key}))
        transport = HttpTransport(config)
    except ValueError as error:
        raise DeliveryError(f"{name}: this is no URL: {error}") from None

    def send(event: RunEvent) -> None:
        try:
            transport.emit(event)
        except RequestException as error:
            response = error.response
            reason = f"{response.status_code} {response.text[:200]}" if response is not None else str(error)[:300]
            raise DeliveryError(f"{name}: the event of run {event.run.runId} was not taken: {reason}") from None

    with closing(transport):
        yield send


def to_lines(file: IO[bytes], name: str) -> Send:
    """Return what writes an event as a line of JSON, at once. Raises TargetError."""

    def send(event: RunEvent) -> None:
        try:
            file.write(as_line(event).encode() + b"\n")
            file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise TargetError(f"{name}: {error.strerror}") from error

    return send


@contextmanager
def appended(path: Path) -> Iterator[IO[bytes]]:
    """Open a file of lines to go on with; a last line that a crash cut off is removed. Raises TargetError."""
    try:
        with path.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            while size:
                start = max(0, size - _TAIL_BYTES)
                file.seek(start)
                tail = file.read(size - start)
                size = start + tail.rfind(b"\n") + 1 if b"\n" in tail else start
                if b"\n" in tail:
                    break
            file.truncate(size)
            yield file
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror}") from error
