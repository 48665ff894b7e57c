"""Puts of the strategies, done to an engine, and what they come to: the store at every offset, folded from the log alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strategies import FIRST_CALLS, Rewrite

from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import open_memory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evlog.log import Log

State = dict[tuple[Any, ...], Any]


def put(engine: Engine, operation: Any) -> None:
    """Do a put of the strategies; a refused one leaves no trace."""
    if isinstance(operation, Rewrite):
        many = f"{operation.kind}s"
        method = METHODS[f"Get{many.capitalize()}ByID"]
        found = engine.call(method, method.request(**{f"{operation.kind}_ids": operation.ids}))
        operation = operation.request(list(getattr(found, many)))
    try:
        engine.call(METHODS[operation.method], operation.request)
    except errors.StatusError:
        return


def recorded(operations: Iterable[Any]) -> Engine:
    """Return a store in memory to which FIRST_CALLS and these were put."""
    engine = Engine(open_memory())
    for operation in [*FIRST_CALLS, *operations]:
        put(engine, operation)
    return engine


def row_of(change: Any) -> tuple[Any, ...]:
    """Return what names the row that a change puts."""
    ids = [
        getattr(change, name) for name in ("id", "context_id", "artifact_id", "execution_id") if hasattr(change, name)
    ]
    return (type(change).__name__, *(ids[:1] if hasattr(change, "id") else ids))


def states(log: Log) -> list[State]:
    """Return the store at every offset: states[n] is that of the first n records."""
    found: list[State] = [{}]
    for entry in log.read(0):
        found.append(found[-1] | {row_of(change): change for change in entry.record.changes})
    return found
