"""The one order of events: lock, catch up, decide, append, show. Many threads and many processes may put into one store.

Callers wait in line; whoever gets the lead takes all that wait and makes them one group: one write, one sync (group commit).
A put is acknowledged when its record is durable and the view shows it. Append is the commit point: if the view then fails, the put
stands, and the view catches up before the next call is answered.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from evlog.author import Author, clock_us
from evlog.errors import EvidenceError, ForkedError, RecordTooLargeError
from evlog.records import Answered, Entry, NodePut, Record
from mlmd import errors
from mlmd.acting import author_of
from mlmd.commands.draft import Draft, TypeCache
from mlmd.line import Line, Ticket
from mlmd.marks import settled
from mlmd.opening import BODIES
from mlmd.personal import DECLARE, Policy, Sealer
from projections.errors import ViewError
from projections.projector import catch_up
from projections.sqlite.lookup import Lookup
from replay import erasure
from replay.asof import offset_of
from replay.follow import bring_up
from replay.things import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evlog.author import Caller
    from evlog.group import Group
    from evlog.log import Log
    from evlog.records import Envelope
    from mlmd.methods import Method
    from mlmd.moment import At
    from mlmd.opening import Opened
    from projections.sqlite.view import View

_LOG: Final = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_SHOWN_S: Final = 2.0
_SHOWN_STEP_S: Final = 0.005


class _Put(Ticket):
    """One put that waits for its group, then its answer."""

    __slots__ = ("author", "caller", "error", "method", "request", "response")

    def __init__(self, method: Method, request: Any, author: Author, caller: Caller | None) -> None:
        super().__init__()
        self.method, self.request, self.author, self.caller = method, request, author, caller
        self.response: Any = None
        self.error: BaseException | None = None


class Engine:
    """A store, open: its log, its view, and the line of those who put."""

    is_past: Final = False

    def __init__(self, opened: Opened, author: Author | None = None) -> None:
        self.log: Log = opened.log
        self.view: View = opened.view
        self._opened = opened
        self.author = author or Author()
        self._pid = os.getpid()
        self._line = Line(self._serve)
        self._counter = Lock()  # Held by who serves a group, and by who opens the view anew.
        self._types: TypeCache = {}  # Of the leader. Cleared when another process, or a put of ours, changes a type.
        self._last_ids: dict[str, int] = {}  # As above.
        self._policy: Policy | None = None  # What is personal: as above. None: not known.
        self._sealer: Sealer | None = None  # Of the group that is being decided, if anything is personal.
        self._stored: dict[int, Record] = {}  # Its records with sealed values, by offset: they are not in the log yet.
        self._known_end = -1
        self._behind = False  # The view failed after an append; it has to catch up before it may answer.
        if opened.writable:
            self._start()

    @property
    def views(self) -> str | None:
        """Return the folder of the store's views, None for a store whose view is in memory."""
        return self._opened.views

    @property
    def writable(self) -> bool:
        """Tell whether it was opened for puts."""
        return self._opened.writable

    def call(self, method: Method, request: Any) -> Any:
        """Answer one request with a message. Raises StatusError."""
        return method.message(self.answer(method, request))

    def answer(
        self,
        method: Method,
        request: Any,
        caller: Caller | None = None,
        at: int | None = None,
        held: Lookup | None = None,
    ) -> Any:
        """Answer one request: with the bytes of the response where they are at hand, else with the message. Raises StatusError.

        caller: who puts, if not this process for itself. at: an offset of `offset_at`, to get what was there then. held: of `held`,
        what shows that moment.
        """
        try:
            self._refuse_fork()
            if method.query is not None:
                query = method.query
                answer = self._ask(lambda lookup: query(lookup, request), at, held)
                self._index_what_is_dear()
                return answer
            if at is not None:
                raise errors.FailedPreconditionError(
                    f"{method.name}: this is the store as of #{at}, which cannot change: put into the store itself"
                )
            if not self._opened.writable:
                return self._refuse_write(method, request)
            return self._put(method, request, caller)
        except errors.StatusError:
            raise
        except Exception as error:
            raise errors.status_error(error) from error

    def close(self) -> None:
        """Close view and log. What is acknowledged stays; calls after this fail. A store with a key ends in a checkpoint."""
        ours = os.getpid() == self._pid
        if ours:
            self.view.close()
        self.log.close()
        if ours and self._opened.checkpointer is not None:
            self._opened.checkpointer.close()

    def abandon(self) -> None:
        """Let go of view and log, which nobody can use any more, without the last words of `close`.

        For the garbage collector, which calls in the middle of anything: the thread may hold the lock of this very folder, through
        another store, so to wait for it would be to wait for ever.
        """
        if os.getpid() == self._pid:
            self.view.abandon()
        self.log.abandon()
        if self._opened.checkpointer is not None:
            self._opened.checkpointer.abandon()

    # Reading --------------------------------------------------------------------------------------------------------

    def shown(self) -> int:
        """Return how many records a get shows that is asked from here on, or fewer. Raises StatusError."""
        try:
            self._refuse_fork()
            shown: int = self._ask(Lookup.applied)
        except errors.StatusError:
            raise
        except Exception as error:
            raise errors.status_error(error) from error
        return shown

    def offset_at(self, at: At) -> int:
        """Return how many records had been put at a moment. Raises StatusError: OUT_OF_RANGE for one that is yet to come."""
        try:
            self._read_on()
            offset = offset_of(self.log, self._ask(lambda lookup: settled(lookup, at)))
            until = time.monotonic() + _SHOWN_S
            while self._ask(Lookup.applied) < offset:  # Another process has appended it, and is about to show it.
                if time.monotonic() > until:
                    raise errors.UnavailableError(f"the view does not show #{offset - 1} yet: try again")
                self._behind = self._opened.writable  # Its writer may have died in between.
                time.sleep(_SHOWN_STEP_S)
        except errors.StatusError:
            raise
        except Exception as error:
            raise errors.status_error(error) from error
        return offset

    def review(self, question: Callable[[Log, View, int], _Answer], at: int | None = None) -> _Answer:
        """Return the answer to a question to log and view, of the first so many records. Raises StatusError.

        at: an offset of `offset_at`; None for all records there are.
        """
        try:
            self._refuse_fork()
            self._read_on()
            stop = min(self.log.refresh(), self._ask(Lookup.applied)) if at is None else at
            return self._with_view(lambda view: question(self.log, view, stop))
        except errors.StatusError:
            raise
        except Exception as error:
            raise errors.status_error(error) from error

    @contextmanager
    def held(self) -> Iterator[Lookup | None]:
        """Hold what the store shows now: see `View.held`. Raises StatusError."""
        try:
            self._refuse_fork()
            view = self._current_view()
        except errors.StatusError:
            raise
        except Exception as error:
            raise errors.status_error(error) from error
        with view.held() as lookup:
            yield lookup

    def _ask(self, question: Callable[[Lookup], Any], at: int | None = None, held: Lookup | None = None) -> Any:
        return self._with_view(lambda view: view.ask(question, at, held))

    def _with_view(self, question: Callable[[View], _Answer]) -> _Answer:
        view = self._current_view()
        try:
            return question(view)
        except ViewError:
            if self._opened.is_fresh(view):
                raise
        return question(self._current_view())  # Replaced between the look and the question.

    def _read_on(self) -> None:
        """Let a writer's log know what other processes appended, if the view has it: by itself it looks when it claims."""
        if self._opened.writable and self._ask(Lookup.applied) > self.log.end:
            with self._counter, self.log.claim():
                pass

    def _refuse_fork(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedError(opened_by=self._pid, used_by=os.getpid())

    def _index_what_is_dear(self) -> None:
        """Make the index of a property whose filters have cost as much: see `projections.sqlite.properties`."""
        if not self._opened.writable or (wanted := self.view.index_wanted()) is None:
            return
        with self._counter, self.log.claim():  # Whoever would put waits here rather than for the file.
            try:
                self.view.index_property(wanted)
            except ViewError:
                _LOG.exception("no index was made of %s; filters by it go on without", wanted)

    def _current_view(self) -> View:
        if self._behind or not self._opened.is_fresh(self.view):
            with self._counter:
                self._renew_view()
        return self.view

    def _renew_view(self) -> None:
        """Open the view that a rebuild put in place of ours, and bring it up to the log."""
        if not self._opened.is_fresh(self.view):
            # The old view closes when the last thread that reads it lets go.
            try:
                self.view = self._opened.fresh_view(self.view)
            except OSError as error:
                reason = f"{self.views}: {error.strerror or error}: the store was moved, removed, or its disk is away"
                raise errors.UnavailableError(reason) from error
            self._forget()
        if self._behind:
            with self.log.claim() as group:
                bring_up(self.log, self.view, group.end)
            self._behind = False

    def _refuse_write(self, method: Method, request: Any) -> Any:
        """Answer a put on a read-only store: fine as long as it changes nothing, as in MLMD."""

        def decide(known: Lookup) -> tuple[Any, bool]:
            draft = Draft(known, {}, clock_us() // 1000)
            assert method.command is not None, "the caller checked"
            return method.command(draft, request), bool(draft.changes)

        response, changes = self._ask(decide)
        if changes:
            raise errors.InternalError(
                "attempt to write a readonly database: the store is open for reading only: open it without mode=ro and READONLY"
            )
        return response

    # Erasing --------------------------------------------------------------------------------------------------------

    def erase(self, subject: str, *, basis: str | None, copies: Sequence[Path]) -> erasure.Erasure:
        """Erase what is personal of a subject. Raises StatusError: NOT_FOUND where nothing of it is sealed."""
        try:
            self._refuse_fork()
            if not isinstance(subject, str) or not subject:
                raise errors.InvalidArgumentError(f"the subject to erase: {subject!r} is none: give its pseudonym")
            if not self._opened.writable:
                raise errors.FailedPreconditionError(
                    "the store is open for reading only: open it without mode=ro and READONLY to erase"
                )
            with self._counter:
                views = None if self.views is None else Path(self.views)
                done = erasure.erase(self.log, views, BODIES, subject, author_of(self), basis=basis, copies=copies)
                if views is None:  # Whoever asks the old view now has it until the answer is there.
                    self.view = self._opened.anew()
                self._forget()
                self._renew_view()
            if self._opened.checkpointer is not None:
                self._opened.checkpointer.wake()
        except errors.StatusError:
            raise
        except Exception as error:
            raise errors.status_error(error) from error
        return done

    # Putting --------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Bring the view up to the log, and give a new store its system types."""
        from mlmd.methods import CREATE_STORE  # noqa: PLC0415 - methods import commands, which need no engine

        with self.log.claim() as group:
            bring_up(self.log, self.view, group.end)
            empty = self.view.lookup.last_id("type") == 0
        if empty:
            self._put(CREATE_STORE, None)

    def _put(self, method: Method, request: Any, caller: Caller | None = None) -> Any:
        put = _Put(method, request, author_of(self), caller)  # Here: another thread may lead the group.
        self._line.stand(put)
        if put.error is not None:
            raise put.error
        return put.response

    def _serve(self, waiting: list[Any]) -> None:
        """Make groups of all that wait, until none of them is left."""
        with self._counter:
            while waiting:
                try:
                    taken = self._run_group(waiting)
                except BaseException as error:
                    for put in waiting:
                        put.error = _outcome(error)
                    if not isinstance(error, Exception):
                        raise
                    return
                waiting = waiting[taken:]

    def _run_group(self, waiting: list[_Put]) -> int:
        """Decide, append and show as many as fit in one group; return how many, 0 to be asked again."""
        self._renew_view()
        view = self.view
        with self.log.claim() as group:
            if not self._opened.is_fresh(view):
                return 0  # Replaced before we had the lock; what is written to the old one nobody would see.
            view.begin()
            before = view.applied
            try:
                self._catch_up(group)
                taken = self._decide(waiting, group)
                group.commit()
            except BaseException:
                view.rollback()
                self._forget()
                raise
            self._show(before)
            self._known_end = group.end
        if self._opened.checkpointer is not None and self.view.applied != before:
            self._opened.checkpointer.wake()
        return taken

    def _show(self, before: int) -> None:
        """Commit the view. The puts are done whether or not this works."""
        view = self.view
        if view.applied == before:  # Every put was refused.
            view.rollback()
            return
        try:
            view.commit(self.log.leaf_prefix(view.applied))
        except ViewError as error:
            _LOG.warning("what was put is in the log, and the view shows it later: %s", error)
            self._behind = True

    def _forget(self) -> None:
        self._types.clear()
        self._policy = None
        self._last_ids.clear()
        self._known_end = -1

    def _catch_up(self, group: Group) -> None:
        view = self.view
        if self._known_end != group.end:  # Others appended: what we remember of types and ids may be old.
            self._forget()
        if view.applied != group.end:
            catch_up(view, self.log.read(view.applied, group.end))

    def _decide(self, waiting: list[_Put], group: Group) -> int:
        taken = 0
        self._sealer = None
        self._stored.clear()
        for put in waiting:
            if group.full:
                break
            taken += 1
            try:
                if put.caller is not None and put.caller.transaction is not None and self._answered_before(put):
                    continue
                now_us = group.now()
                draft = self._decided(put, now_us)
                sealed = self._sealed(put, draft)
                record = Record(self._envelope(put, sealed=sealed is not None), sealed or draft.changes)
                signer = put.author.signer if put.caller is None else None  # Nobody signs for somebody else.
                entry = group.add(record, now_us, signer)
            except (errors.StatusError, RecordTooLargeError, EvidenceError) as error:
                put.error = error  # A refusal: no trace, and the others go on.
                continue
            if sealed is not None:
                self._stored[entry.offset] = entry.record
                entry = Entry(entry.offset, entry.time_us, Record(entry.record.envelope, draft.changes))
            self._last_ids = draft.last_ids
            if draft.puts_types:
                self._types.clear()
            catch_up(self.view, (entry,))
            if put.method is DECLARE:
                self._policy = None
        return taken

    def _sealed(self, put: _Put, draft: Draft) -> list[Any] | None:
        """Return the changes of a put as they are stored, None where nothing in them is personal. Raises InvalidArgumentError."""
        if self._policy is None:
            self._policy, self._sealer = Policy(self.view.lookup.personal()), None
        if not self._policy:
            return None
        if self._sealer is None:
            self._sealer = Sealer(self.log, self._policy, self._stored_before)
        subject = put.caller.subject if put.caller is not None else put.author.subject
        return self._sealer.seal(draft.changes, subject, draft.type_name)

    def _stored_before(self, kind: Any, node_id: int) -> NodePut | None:
        """Return a node as the last record that put it holds it, sealed values as such; None for a new one."""
        offset = self.view.lookup.last_put_at(kind, [node_id], self.view.applied).get(node_id)
        if offset is None:
            return None
        record = self._stored.get(offset)
        if record is None:
            if offset >= self.log.end:
                return None  # In this group, and with nothing sealed.
            record = next(self.log.read(offset, offset + 1, sealed=True)).record
        nodes = (change for change in reversed(record.changes) if isinstance(change, NodePut))
        return next(change for change in nodes if key_of(change) == (kind, node_id))

    def _answered_before(self, put: _Put) -> bool:
        """Answer a put that was sent before as it was answered then. Raises InvalidArgumentError if it is another one."""
        assert put.caller is not None, "the caller checked"
        assert put.caller.transaction is not None, "the caller checked"
        found = self.view.lookup.answered(put.caller.transaction)
        if found is None:
            return False
        request, put.response = found
        if request and request != _request_hash(put):
            raise errors.InvalidArgumentError(
                f"the transaction {put.caller.transaction.hex()} was used for another request: take a new UUID for each put"
            )
        return True

    def _envelope(self, put: _Put, *, sealed: bool) -> Envelope:
        """Return the envelope of a put. sealed: no hash of the request goes in: who guesses a personal value could tell by it."""
        answered = None
        if put.caller is not None and put.caller.transaction is not None:
            request = b"" if sealed else _request_hash(put)
            answered = Answered(request, put.response.SerializeToString(deterministic=True))
        return put.author.envelope(put.method.name, clock_us(), put.caller, answered, sealed=sealed)

    def _decided(self, put: _Put, now_us: int) -> Draft:
        """Return the draft of a put. Raises StatusError for a refusal."""
        draft = Draft(self.view.lookup, self._types, now_us // 1000, self._last_ids, self.view.applied)
        assert put.method.command is not None, "only puts wait in line"
        put.response = put.method.command(draft, put.request)
        return draft


def _request_hash(put: _Put) -> bytes:
    request = put.request.SerializeToString(deterministic=True)
    return sha256(put.method.name.encode() + b"\0" + request).digest()


def _outcome(error: BaseException) -> BaseException:
    """Return what those are told whose group failed with an error."""
    if isinstance(error, Exception):
        return error
    return errors.UnavailableError(f"interrupted ({type(error).__name__}): the put may or may not have happened")
