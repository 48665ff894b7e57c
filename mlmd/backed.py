"""What every store offers beyond MLMD's calls: its moments, its history, who acts, what is personal; and how a request is answered."""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import replay
from mlmd import errors, names
from mlmd import moment as moments
from mlmd.acting import acting
from mlmd.engine import Engine
from mlmd.marks import settled
from mlmd.methods import METHODS
from mlmd.past import Past
from mlmd.personal import DECLARE, checked
from replay.asof import offset_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Self

    from evlog.log import Log
    from evlog.records import PersonalRule
    from mlmd.client import Remote
    from mlmd.methods import Method
    from mlmd.moment import At
    from projections.sqlite.view import View

_Told = TypeVar("_Told")
RETRIES: Final = 5
_RETRY_MEAN_S: Final = 2.0


def at_of(moment: At | str) -> At:
    """Return a moment that a caller names. Raises InvalidArgumentError."""
    try:
        return moments.at(moment)
    except ValueError as error:
        raise errors.InvalidArgumentError(str(error)) from None


class Backed:
    """A store over what answers it: an engine, the past of one, or a server."""

    _backend: Engine | Past | Remote
    _max_num_retries: int = RETRIES
    _of: Backed | None = None  # Whose past this is.

    @classmethod
    def over(cls, backend: Engine | Past | Remote, of: Self | None = None) -> Self:
        """Return the methods over what is open already, which whoever opened it closes. of: the store whose past this is."""
        store = object.__new__(cls)
        store._max_num_retries = RETRIES if of is None else of._max_num_retries  # noqa: SLF001 - one of us
        store._backend = backend
        store._of = of  # Its engine answers: who keeps the past keeps the store.
        return store

    def as_of(self, moment: At | str) -> Self:
        """Return the store as it was at a moment: the same gets, filters, pages and lineage, answered as they would have been then.

        moment: an offset (how many records had been put), a datetime with a zone, or a text: "2026-03-01T09:30Z", "yesterday",
        "3 days ago", "#31907". Before the first record the store is empty. Any number of them live side by side with this store,
        which goes on; a put is a FailedPreconditionError. Raises InvalidArgumentError for what is no moment, OutOfRangeError for one
        that is yet to come (a server says so when it is first asked).
        """
        backend = self._backend
        at = at_of(moment)
        return self.over(Past(backend, at) if isinstance(backend, Engine) else backend.at(at), of=self)

    @property
    def log(self) -> Log:
        """The log of the store, every record in order, for `replay`. Raises UnimplementedError for a store of a server and a past one."""
        if not isinstance(self._backend, Engine):
            raise errors.UnimplementedError(
                "only an open store of this machine has its log at hand: open the store itself"
            )
        return self._backend.log

    @property
    def is_past(self) -> bool:
        """Tell whether this is a store as it was, which cannot change."""
        return self._backend.is_past

    def diff(self, since: At | str, until: At | str = "now", types: Collection[str] | None = None) -> replay.Diff:
        """Return what happened between two moments, in either order: what was added, changed field by field, linked, and by whom.

        since, until: as of `as_of`; "now" is the end of this store, its moment where it is one of the past. types: names, to get
        these types, their nodes and what links them. What was changed and changed back is no difference. Raises
        InvalidArgumentError, OutOfRangeError; UnimplementedError for a server's store.
        """
        first, last = at_of(since), at_of(until)

        def question(log: Log, view: View, end: int) -> replay.Diff:
            settles = [view.ask(partial(settled, at=at)) for at in (first, last)]
            start, stop = sorted(min(offset_of(log, moment), end) for moment in settles)
            return replay.diff(log, view, start, stop, types=[types] if isinstance(types, str) else types)

        return self._backend.review(question)

    def history(self, thing: Any) -> list[replay.Difference]:
        """Return every version, event and link of a thing, the first one first, each with the record that put it.

        thing: "art:2", "run:1", "ctx:7", "type:Trainer", or a node or type that was read. Raises InvalidArgumentError for what names
        nothing, NotFoundError for what is not there; UnimplementedError for a server's store.
        """
        return self._found(thing, lambda log, view, named, end: list(replay.history(log, view, named, end)))

    def blame(self, thing: Any) -> list[replay.Blame]:
        """Return for each field and property of a thing, named as for `history`, the record that set it. Raises as `history`."""
        return self._found(thing, replay.blame)

    def acting(
        self,
        *,
        actor: str | None = None,
        reason: str | None = None,
        subject: str | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> AbstractContextManager[None]:
        """Say who acts and why for every put into this store in the `with` block, in place of EVLOG_ACTOR and EVLOG_REASON.

        Blocks nest: what the inner one does not say stays. It is for the thread or asyncio task that runs it, and for the tasks and
        `asyncio.to_thread` calls begun in it. The actor is "asserted": nobody checked. A server believes it, unless a certificate
        says who calls. subject: a pseudonym, whose personal values are put (docs/erasure.md).
        Raises InvalidArgumentError for a text that is none, empty, or over 1,024 characters.

        key: the file of an actor's key (`evlog keys new --actor NAME`). That actor acts, and signs each record: its transaction, changes
        and reason. Only in process: a server settles ids, so its callers cannot know what they would sign.
        """
        return acting(self._backend, actor=actor, reason=reason, subject=subject, key=key)

    def declare_personal(self, rules: Sequence[PersonalRule | Mapping[str, str]]) -> None:
        """Say which properties hold personal values from here on, in place of what was said before: see docs/erasure.md.

        rules: mappings with `property` (a name, or a pattern such as "patient_*"), and, as needed, `kind`, `type`, and
        `subject_property` or `subject`. Raises InvalidArgumentError; UnimplementedError for a server's store and a past one.
        """
        self._engine("what is personal").call(DECLARE, checked(rules))

    def erase(self, subject: str, *, basis: str | None = None, copies: Sequence[str | Path] = ()) -> replay.Erasure:
        """Erase every personal value of a subject, for good: its keys are destroyed, views and snapshots made anew. On the record.

        The reason is that of `acting` or EVLOG_REASON. basis: the legal one. copies: folders of snapshots that the store does not
        know of. Returns what was done, and what is left to do by hand. Raises NotFoundError for a subject of which nothing is sealed,
        UnimplementedError as `declare_personal`.
        """
        return self._engine("an erasure").erase(subject, basis=basis, copies=[Path(copy) for copy in copies])

    def _engine(self, what: str) -> Engine:
        if not isinstance(self._backend, Engine):
            raise errors.UnimplementedError(f"{what} is for the store itself: open its folder, on its machine")
        return self._backend

    def _found(self, thing: Any, question: Callable[[Log, View, replay.Thing, int], list[_Told]]) -> list[_Told]:
        try:
            named = names.thing_of(thing)
        except ValueError as error:
            raise errors.InvalidArgumentError(str(error)) from None

        def asked(log: Log, view: View, end: int) -> list[_Told]:
            if not replay.was_there(view, named, end):
                raise errors.NotFoundError(f"there is no {names.name_of(named)}")
            return question(log, view, named, end)

        return self._backend.review(asked)

    def close(self) -> None:
        """Close the store. Not needed for safety: whatever a put acknowledged is durable."""
        self._backend.close()

    def _call(self, name: str, request: Any) -> Any:
        return self.answer(METHODS[name], request)

    def answer(self, method: Method, request: Any) -> Any:
        """Answer one request: of an RPC in `methods`, or of a method beside those that a store in process has too. Raises StatusError."""
        attempt = 1
        while True:
            try:
                return self._backend.call(method, request)
            except errors.AbortedError:
                if attempt >= self._max_num_retries:
                    raise
                attempt += 1
                time.sleep(random.expovariate(1 / _RETRY_MEAN_S))
