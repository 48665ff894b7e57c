"""Puts of the strategies, done to an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strategies import FIRST_CALLS, Rewrite

from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import open_memory

if TYPE_CHECKING:
    from collections.abc import Iterable


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
