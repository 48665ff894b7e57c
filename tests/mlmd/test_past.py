"""A store pinned at its end: all answers agree, whoever puts meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import mlmd
from mlmd import errors
from mlmd.engine import Engine
from mlmd.opening import open_folder, open_memory
from mlmd.past import Present
from mlmd.recorder.store import Store
from mlmd.store import MetadataStore
from projections.sqlite.lookup import Lookup

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["folder", "memory"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made = Engine(open_folder(tmp_path, create=True) if request.param == "folder" else open_memory())
    yield made
    made.close()


def put(engine: Engine, name: str) -> None:
    with mlmd.open(MetadataStore.over(engine)).run("Trainer", name=name):
        pass


def test_the_present_agrees_with_itself_while_others_put(engine: Engine) -> None:
    put(engine, "first")
    present = Present(engine)
    store = Store(MetadataStore.over(present))
    before = engine.log.end
    assert len(store.runs()) == 1
    put(engine, "second")
    assert (present.offset, engine.log.end) == (before, before + 2)
    assert [run.name for run in store.runs()[:5]] == ["first"]
    assert len(store.history("run:1")) == 2
    assert present.ask(lambda lookup: lookup.count("execution")) == 1
    assert present.review(lambda _log, _view, end: end) == before
    present.close()
    assert len(mlmd.open(MetadataStore.over(engine)).runs()) == 2


def test_the_present_takes_no_put_and_knows_what_is_lost(engine: Engine) -> None:
    put(engine, "first")
    present = Present(engine)
    with pytest.raises(errors.FailedPreconditionError, match="which cannot change"):
        put(present, "second")  # type: ignore[arg-type] # it is asked as an engine is
    assert not present.is_past
    present.close()


def test_what_another_process_put_before_is_there(tmp_path: Path) -> None:
    engine, other = Engine(open_folder(tmp_path, create=True)), Engine(open_folder(tmp_path))
    put(other, "theirs")
    present = Present(engine)
    assert present.offset == other.log.end
    assert present.ask(Lookup.applied) == present.offset
    assert [one.offset for one in engine.log.read(0, present.offset)][-1] == present.offset - 1
    for one in (present, other, engine):
        one.close()
