"""Any history of puts and erasures: every read, of every moment, is that of a model which forgets what was erased."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb
import pytest
from check import check_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from personal import declared, holds, opened, run, values

from evlog.personal import ERASED
from mlmd import MetadataStore, errors
from mlmd.opening import BODIES
from replay import rebuild
from replay import snapshot as snapshots
from replay.personal import verify_personal

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
SUBJECTS = ["ana", "ben", "eve"]
NODES = 3
TEXTS = [f"secret {letter * 12}" for letter in "abcd"]


class Value(NamedTuple):
    """A personal value: whose, and sealed in which of the subject's lives; each erasure ends one."""

    value: str | int
    subject: str
    life: int


State = dict[str, Any]  # Name -> a plain value or a Value.

puts = st.tuples(
    st.just("put"),
    st.integers(1, NODES),
    st.sampled_from(SUBJECTS),
    st.fixed_dictionaries(
        {},
        optional={
            "operator": st.sampled_from(TEXTS),
            "age": st.integers(0, 3),
            "note_1": st.sampled_from(TEXTS),
            "epochs": st.integers(0, 3),
        },
    ),
)
erasures = st.tuples(st.just("erase"), st.sampled_from(SUBJECTS))
others = st.tuples(st.sampled_from(["reopen", "rebuild"]))
histories = st.lists(st.one_of(puts, puts, puts, erasures, others), min_size=1, max_size=14)


class Model:
    """Every state of every node, and who was erased how often."""

    def __init__(self) -> None:
        self.lives = dict.fromkeys(SUBJECTS, 0)
        self.sealed: set[tuple[str, int]] = set()
        self.now: dict[int, State] = {}
        self.states: dict[int, dict[int, State]] = {}  # By offset.

    def put(self, number: int, subject: str, given: State) -> None:
        before = self.now.get(number, {})
        state: State = {"user": subject}
        for name, value in given.items():
            if name == "epochs":
                state[name] = value
                continue
            known = before.get(name)
            stays = isinstance(known, Value) and known.value == value and self.lives[known.subject] == known.life
            state[name] = known if stays else Value(value, subject, self.lives[subject])
            self.sealed.add((state[name].subject, state[name].life))
        self.now = {**self.now, number: state}

    def erase(self, subject: str) -> bool:
        known = (subject, self.lives[subject]) in self.sealed
        if known:
            self.lives[subject] += 1
        return known

    def read(self, state: State) -> State:
        found = {}
        for name, value in state.items():
            if not isinstance(value, Value):
                found[name] = value
            elif self.lives[value.subject] == value.life:
                found[name] = value.value
            elif isinstance(value.value, str):
                found[name] = ERASED
        return found


def put(store: MetadataStore, model: Model, number: int, subject: str, given: State) -> None:
    custom = {name: value for name, value in given.items() if name == "note_1"}
    typed = {name: value for name, value in given.items() if name != "note_1"}
    made = run(store, subject, custom=custom, **typed)
    ids = sorted(model.now)
    if number in ids:
        made.id = number
    else:
        number = len(ids) + 1
    with store.acting(subject=subject):
        store.put_executions([made])
    model.put(number, subject, given)


def compare(store: MetadataStore, model: Model) -> None:
    """Compare every moment with the model."""
    for offset, nodes in model.states.items():
        seen = {node.id: values(node) for node in store.as_of(offset).get_executions()}
        assert seen == {number: model.read(state) for number, state in nodes.items()}, offset
    seen = {node.id: values(node) for node in store.get_executions()}
    assert seen == {number: model.read(state) for number, state in model.now.items()}


def play(place: Path, history: list[Any], *, parquet: bool) -> None:
    store, model = declared(place), Model()
    model.states[store.log.end] = {}
    for what, *rest in history:
        if what == "put":
            put(store, model, *rest)
        elif what == "erase":
            if model.erase(*rest):
                store.erase(*rest)
            else:
                with pytest.raises(errors.NotFoundError):
                    store.erase(*rest)
        elif what == "reopen":
            store.close()
            store = opened(place)
        else:
            rebuild.rebuild(store.log, place / "views", BODIES)
        model.states[store.log.end] = model.now
    compare(store, model)
    check_store(store)
    assert verify_personal(store.log) == []
    look_at_files(model, place)
    if parquet:
        look_at_parquet(store, model, place)
    store.close()


def look_at_files(model: Model, place: Path) -> None:
    """No file holds a text that nobody may read."""
    states = [model.read(state) for nodes in model.states.values() for state in nodes.values()]
    readable = {value for state in states for value in state.values()}
    assert holds(place, *(text.encode() for text in TEXTS if text not in readable)) == []


def look_at_parquet(store: MetadataStore, model: Model, place: Path) -> None:
    """The history as Parquet is that of the model too."""
    lake = place.parent / "lake"
    snapshots.snapshot(store.log, place / "views", lake)
    rows = duckdb.sql(
        "select id, valid_from_offset, properties['operator'].string_value, properties['age'].int_value,"
        f" custom_properties['note_1'].string_value from read_parquet('{lake}/executions/*/*.parquet')"
    ).fetchall()
    for number, offset, *found in rows:
        expected = model.read(model.states[offset + 1][number])
        assert found == [expected.get(name) for name in ("operator", "age", "note_1")]


@pytest.mark.deep
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=500 if DEEP else 20)
@given(histories)
def test_every_read_of_every_moment_forgets_what_was_erased(history: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        play(Path(folder) / "store", history, parquet=DEEP)  # A snapshot takes half a second.
