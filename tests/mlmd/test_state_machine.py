"""Histories: puts, refusals, reopening, rebuilds, lost views and looks back, each step compared with the store as dicts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from check import check_store
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from model import Model, RefusedError
from raw import RawStore
from strategies import FIRST_CALLS, WILD, Call, Rewrite, Walk, everything, puts, reads

from mlmd import errors
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import BODIES, VIEWS_FOLDER, open_folder, open_memory
from replay.asof import as_of
from replay.rebuild import rebuild

if TYPE_CHECKING:
    from google.protobuf.message import Message

pytestmark = pytest.mark.deep
PAGES_MAX = 60


def wire(message: Message) -> bytes:
    """Return bytes to compare by: a NaN in a message is not equal to itself."""
    return message.SerializeToString(deterministic=True)


class Histories(RuleBasedStateMachine):
    """One store and its model. `moments` are the models of the offsets passed so far."""

    durable = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-")) if self.durable else None
        self.time_us = 1_700_000_000_000_000
        self.raw = self.open()
        self.model = Model()
        self.moments: dict[int, Model] = {}
        self.refused = 0

    def open(self) -> RawStore:
        raw = RawStore(Engine(open_folder(self.folder / "s", create=True) if self.folder else open_memory()))
        raw.engine.log._clock = lambda: self.time_us
        return raw

    def teardown(self) -> None:
        try:
            check_store(self.raw.engine)
        finally:
            self.raw.close()
            if self.folder:
                shutil.rmtree(self.folder)

    @property
    def log(self) -> Any:
        return self.raw.engine.log

    # Steps ----------------------------------------------------------------------------------------------------------

    @initialize(count=st.integers(0, len(FIRST_CALLS)))
    def begin(self, count: int) -> None:
        for call in FIRST_CALLS[:count]:
            self.same(call)

    @rule(
        operations=st.lists(puts(WILD), min_size=1, max_size=6),
        passed_us=st.sampled_from([0, 1, 300, 5_000, -10_000_000]),
    )
    def put(self, operations: list[Any], passed_us: int) -> None:
        for operation in operations:
            self.time_us += passed_us
            self.same(operation)

    @rule(operations=st.lists(reads(WILD, batched=True), min_size=1, max_size=6))
    def read(self, operations: list[Any]) -> None:
        for operation in operations:
            self.same(operation)

    @rule()
    def read_everything(self) -> None:
        for call in everything():
            self.same(call)

    @rule()
    def remember(self) -> None:
        self.moments[self.log.end] = self.model.copy()

    @precondition(lambda self: self.moments)
    @rule(data=st.data())
    def look_back(self, data: Any) -> None:
        offset = data.draw(st.sampled_from(sorted(self.moments)))
        view = as_of(self.log, offset, BODIES)
        try:
            for call in everything():
                answer = view.ask(lambda lookup, call=call: METHODS[call.method].ask(lookup, call.request))
                assert wire(answer) == wire(self.moments[offset].call(call.method, call.request, 0)), call
        finally:
            view.close()

    @rule()
    def check(self) -> None:
        check_store(self.raw.engine)

    @precondition(lambda self: self.durable)
    @rule()
    def reopen(self) -> None:
        digest = self.raw.engine.view.digest()
        self.raw.close()
        self.raw = self.open()
        assert self.raw.engine.view.digest() == digest

    @precondition(lambda self: self.durable)
    @rule()
    def rebuild_beside(self) -> None:
        digest = self.raw.engine.view.digest()
        rebuild(self.log, self.folder / "s" / VIEWS_FOLDER, BODIES)
        self.same(everything()[0])  # Whoever asks next finds the new view.
        assert self.raw.engine.view.digest() == digest

    @precondition(lambda self: self.durable)
    @rule()
    def lose_the_views(self) -> None:
        digest = self.raw.engine.view.digest()
        self.raw.close()
        shutil.rmtree(self.folder / "s" / VIEWS_FOLDER)
        self.raw = self.open()
        assert self.raw.engine.view.digest() == digest

    # Comparing ------------------------------------------------------------------------------------------------------

    def same(self, operation: Any) -> Message | None:
        """Do one operation on both; return the answer, None for a refusal that both agree on."""
        if isinstance(operation, Walk):
            self.walk(operation)
            return None
        if isinstance(operation, Rewrite):
            operation = operation.request(self.stored(operation))
        method, request = operation
        before = self.model.copy()
        end = self.log.end
        digest = self.raw.engine.view.digest() if method.startswith("Put") and self.refused < 20 else None
        try:
            ours, code = self.raw.ask(method, request), errors.OK
        except errors.StatusError as error:
            ours, code = None, error.error_code
        now_ms = max(self.last_time_ms(), 0)
        try:
            theirs, expected = self.model.call(method, request, now_ms), errors.OK
        except RefusedError as refusal:
            theirs, expected = None, refusal.code
        assert code == expected, f"{operation!r}: {code}, and the model says {expected}"
        if ours is None:
            self.refused += 1
            assert self.log.end == end, "a refusal left a record"
            if digest is not None:
                assert self.raw.engine.view.digest() == digest, "a refusal left a trace"
            assert vars(self.model).keys() == vars(before).keys()
            return None
        assert wire(ours) == wire(theirs), f"{operation!r}\n--- ours\n{ours}--- the model\n{theirs}"
        return ours

    def last_time_ms(self) -> int:
        (entry,) = self.log.read(self.log.end - 1)
        return entry.time_us // 1000

    def stored(self, rewrite: Rewrite) -> list[Any]:
        rows = self.model.nodes[rewrite.kind]
        return [self.model.node_message(rewrite.kind, rows[node_id]) for node_id in rewrite.ids if node_id in rows]

    def walk(self, walk: Walk) -> None:
        request = type(walk.request)()
        request.CopyFrom(walk.request)
        seen: list[int] = []
        for _ in range(PAGES_MAX):
            response = self.same(Call(walk.method, request))
            if response is None:
                return
            seen += [
                node.id for field, value in response.ListFields() if field.name != "next_page_token" for node in value
            ]
            if not response.next_page_token:
                break
            request.options.next_page_token = response.next_page_token
        assert len(set(seen)) == len(seen), "a node was listed twice"


class DurableHistories(Histories):
    """The same in a folder, with all that can happen to one."""

    durable = True


PROFILE = settings.default


@pytest.mark.parametrize("histories", [Histories, DurableHistories])
def test_any_history_of_a_store_is_that_of_its_model(histories):
    run_state_machine_as_test(
        histories,
        settings=settings(
            max_examples=max(PROFILE.max_examples // 4, 10),
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
