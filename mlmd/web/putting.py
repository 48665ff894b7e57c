"""What forms put: as who sent the form, with the reason that he gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmd import errors
from mlmd.acting import author_of
from mlmd.past import Present
from mlmd.recorder.store import Store
from mlmd.store import MetadataStore

if TYPE_CHECKING:
    from evlog.author import Caller
    from mlmd.engine import Engine
    from mlmd.methods import Method
    from mlmd.web.view import View


class ForCaller(Present):
    """An engine for one who puts through the site: each record names him, not the server; reads see the newest records."""

    def __init__(self, engine: Engine, caller: Caller) -> None:
        super().__init__(engine)
        self._caller = caller

    def call(self, method: Method, request: Any) -> Any:
        """Answer one request with a message. The reason is that of `acting`."""
        author = author_of(self)
        reason = None if author is self.author else author.reason  # The server's own reason is not his.
        return method.message(self.engine.answer(method, request, self._caller._replace(reason=reason)))


def putting(view: View) -> Store:
    """Return the store to put into for who sent a form. Raises FailedPreconditionError for one that takes no puts now."""
    refuse_read_only(view)
    return Store(MetadataStore.over(ForCaller(view.site.engine, view.who)))


def refuse_read_only(view: View) -> None:
    """Raise FailedPreconditionError where nothing can be put: into the past, or into a store that is open for reading."""
    if view.is_past:
        raise errors.FailedPreconditionError(f"this is the store as of {view.at}, which cannot change: go back to now")
    if not view.site.engine.writable:
        raise errors.FailedPreconditionError(
            "the store is open for reading only: evlog ui without --read-only takes forms"
        )
