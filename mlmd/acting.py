"""Who acts, and why, in a stretch of code: what every put in it says of itself, in process and over gRPC.

Kept in the context (`contextvars`), so threads and asyncio tasks do not hear of each other: a task, and `asyncio.to_thread`, begin
with what held where they were made, a thread of one's own with nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from evlog.author import SAID_MAX, read_key
from evlog.errors import EvidenceError
from mlmd import errors

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from evlog.author import Author


class Backend(Protocol):
    """What puts: a store in process, or a server. author: who it puts for where nothing else is said."""

    author: Author


_ACTING: Final[ContextVar[Mapping[Backend, Author]]] = ContextVar("acting", default=MappingProxyType({}))


def author_of(backend: Backend) -> Author:
    """Return who puts through a backend, here and now."""
    return _ACTING.get().get(backend, backend.author)


@contextmanager
def acting(
    backend: Backend,
    *,
    actor: str | None,
    reason: str | None,
    subject: str | None = None,
    key: str | os.PathLike[str] | None = None,
) -> Iterator[None]:
    """Let an actor act, for a reason, while the block runs; what is None stays as it is around it. Raises InvalidArgumentError.

    subject: whose personal values are put. key: the file of the actor's key, who signs each record.
    """
    said = {"actor": actor, "reason": reason, "subject": subject}
    if key is None and all(text is None for text in said.values()):
        raise errors.InvalidArgumentError("say who acts, or why: acting(actor=..., reason=..., key=...)")
    for name, text in said.items():
        _refuse_odd(name, text)
    try:
        signer = read_key(Path(key)) if key is not None else None
        author = author_of(backend).acting(**said, signer=signer)
    except (EvidenceError, TypeError) as error:
        raise errors.InvalidArgumentError(f"key: {error}") from error
    before = _ACTING.set({**_ACTING.get(), backend: author})
    try:
        yield
    finally:
        _ACTING.reset(before)


def _refuse_odd(name: str, text: object) -> None:
    """Raise InvalidArgumentError for what cannot be kept as an actor or a reason."""
    if text is None:
        return
    if not isinstance(text, str) or not text.strip():
        raise errors.InvalidArgumentError(f"{name}: {text!r} says nothing: give a text, or leave it out")
    if len(text) > SAID_MAX:
        raise errors.InvalidArgumentError(f"{name}: {len(text):,} characters; {SAID_MAX:,} at most")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise errors.InvalidArgumentError(f"{name}: {text!r} is no Unicode text: {error.reason}") from None
