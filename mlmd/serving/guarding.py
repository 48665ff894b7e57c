"""Guarded puts: who reads nodes of a server and puts them again overwrites nobody.

With `x-evlog-guarded: read` a Get tells in its trailing metadata, under the same key, how many records there were before it looked. A put
that says this number is refused where a later record put one of its nodes. Offsets, because two puts may share a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlmd import errors
from mlmd.kinds import ARTIFACT, EXECUTION, KINDS
from mlmd.names import is_number
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.running import put_execution_guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlmd.commands.draft import Draft
    from mlmd.kinds import Kind
    from mlmd.methods import Method

    Metadata = tuple[tuple[str, str], ...]

GUARDED: Final = "x-evlog-guarded"
READ: Final = "read"


class Guard:
    """What a client says with calls that belong together, and hears. A server that tells no number, one of others, guards nothing."""

    def __init__(self) -> None:
        self._end: int | None = None

    def said(self, method: Method) -> Metadata:
        """Return what to say with a call. A put ends what belongs together: what is read after it guards the next one."""
        if method.command is None:
            return ((GUARDED, READ),)
        end, self._end = self._end, None
        return () if end is None else ((GUARDED, str(end)),)

    def hear(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> None:
        """Take in what came with an answer. What was read first counts: nothing that is put may be newer."""
        for key, value in metadata or ():
            if key == GUARDED and self._end is None:
                self._end = int(value)


def guarded(method: Method, said: str) -> Method:
    """Return a put that is refused with ABORTED where one of its nodes was put since. said: the number. Raises InvalidArgumentError."""
    if not is_number(said):
        raise errors.InvalidArgumentError(
            f"{GUARDED}: {said[:40]!r} is no number of records: send `{READ}` with the Get, and with the put the number that came with the answer"
        )
    end = int(said)
    command: Callable[[Draft, Any], Any] | None = _COMMANDS.get(method.name, method.command)
    assert command is not None, "a put"

    def decide(draft: Draft, request: Any) -> Any:
        for kind, node_id in _nodes(request):
            since = draft.known.since(kind.name, node_id)
            if since is not None and since >= end:
                raise errors.AbortedError(
                    f"{kind.name} {node_id} was put by somebody else since it was read: read it again"
                )
        return command(draft, request)

    return method._replace(command=decide)


_COMMANDS: Final = {"PutExecution": put_execution_guarded}


def _nodes(request: Any) -> Iterator[tuple[Kind, int]]:
    """Yield the nodes that a request puts again."""
    if isinstance(request, service.PutExecutionRequest):
        artifacts = [(ARTIFACT, pair.artifact) for pair in request.artifact_event_pairs]
        nodes: list[tuple[Kind, Any]] = [(EXECUTION, request.execution), *artifacts]
    else:
        nodes = [(kind, node) for kind in KINDS for node in getattr(request, kind.plural, ())]
    yield from ((kind, node.id) for kind, node in nodes if node.HasField("id"))
