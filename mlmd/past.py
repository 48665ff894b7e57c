"""A store as it was: every get answered as of one moment, from the versions that the view keeps; every put refused."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from evlog.log import Log
    from mlmd.engine import Engine
    from mlmd.methods import Method
    from mlmd.moment import At
    from projections.sqlite.lookup import Lookup
    from projections.sqlite.view import View

_Answer = TypeVar("_Answer")


class Past:
    """An engine as of a moment. `offset`: how many records had been put."""

    is_past = True

    def __init__(self, engine: Engine, at: At, *, owns: bool = False) -> None:
        """Settle which records that were. Raises StatusError for a moment that the store has not reached.

        owns: the engine is closed with this.
        """
        self.engine, self._owns = engine, owns
        self.author = engine.author  # Of nothing: every put is refused.
        self.offset = engine.offset_at(at)

    def call(self, method: Method, request: Any) -> Any:
        """Answer one request with a message. Raises StatusError: FAILED_PRECONDITION for a put."""
        return method.message(self.engine.answer(method, request, at=self.offset))

    def review(self, question: Callable[[Log, View, int], _Answer]) -> _Answer:
        """Return the answer to a question to log and view, of the records up to the moment: see Engine.review."""
        return self.engine.review(question, self.offset)

    def ask(self, question: Callable[[Lookup], _Answer]) -> _Answer:
        """Return the answer to a question to the serving view, at the moment. Raises StatusError."""
        return self.review(lambda _log, view, end: view.ask(question, end))

    def at(self, at: At) -> Past:
        """Return the same store as of another moment."""
        return Past(self.engine, at)

    def close(self) -> None:
        """Close the engine, if it is ours."""
        if self._owns:
            self.engine.close()

    def abandon(self) -> None:
        """Let go of the engine, if it is ours: see Engine.abandon."""
        if self._owns:
            self.engine.abandon()


class Present(Past):
    """An engine as of its end when this is made, for who asks several things that must agree. What is known of now alone, such as lost runs, is told."""

    is_past = False

    def __init__(self, engine: Engine) -> None:
        """Begin. To be closed: until then the view holds what it shows now, so that it answers as fast as for now."""
        self._stack = ExitStack()
        self._held = self._stack.enter_context(engine.held())
        try:
            end = engine.review(lambda _log, _view, end: end) if self._held is None else self._held.applied()
            super().__init__(engine, end)
        except BaseException:
            self._stack.close()
            raise

    def call(self, method: Method, request: Any) -> Any:
        """Answer one request with a message. Raises StatusError: FAILED_PRECONDITION for a put."""
        return method.message(self.engine.answer(method, request, at=self.offset, held=self._held))

    def ask(self, question: Callable[[Lookup], _Answer]) -> _Answer:
        """Return the answer to a question to the serving view. Raises StatusError."""
        return self.review(lambda _log, view, end: view.ask(question, end, self._held))

    def close(self) -> None:
        """Let go of the view."""
        self._held = None
        self._stack.close()
