"""Views flipped and cut anywhere: refused, told as damage, or harmless. What a view answers is what the log says, or nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import records

from evlog.log import Log
from projections import generations
from projections.errors import ViewError
from projections.sqlite import database
from projections.sqlite.view import View
from replay import analytics
from replay.follow import bring_up
from replay.rebuild import rebuild
from replay.state import Replayed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tally import Tally

pytestmark = [pytest.mark.faults, pytest.mark.once, pytest.mark.slow]
WORKERS = 4
SQLITE_STEP, SQLITE_STEP_DAILY = 11, 997
DUCK_STEP, DUCK_STEP_DAILY = 2_003, 40_009


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(Log.open(tmp_path / "log", create=True)) as log:
        records.append(log, records.small_store(artifacts=10))
        yield log


def spoiled(data: bytes, worker: int, step: int) -> Iterator[tuple[str, int, bytes]]:
    """Yield a worker's part of a file's bytes with a bit flipped, and of its cuts."""
    for at in range(worker * step, len(data), WORKERS * step):
        yield "flip", at, data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        if at % 10 == 0:
            yield "cut", at, data[:at]


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("worker", range(WORKERS))
def test_a_serving_view_flipped_or_cut_anywhere_is_noticed_or_harmless(
    log: Log, tmp_path: Path, worker: int, full: bool, tally: Tally
) -> None:
    views = tmp_path / "views"
    rebuild(log, views, records.BODIES)
    path = database.FILES.current(views)
    assert path is not None
    data, step = path.read_bytes(), SQLITE_STEP if full else SQLITE_STEP_DAILY
    with closing(View.open(views, log.id, records.BODIES, writable=False)) as view:
        right = view.look(deep=False)
        expected = answers(view)
    for way, at, changed in spoiled(data, worker, step):
        tally(f"{way} sqlite", 1, f"{len(data):,} bytes, a bit in every {step}th" if full else "")
        path.write_bytes(changed)
        for beside in path.parent.glob(f"{path.name}-*"):
            beside.unlink()
        try:
            view = View.open(views, log.id, records.BODIES, writable=False)
        except ViewError:
            continue
        with closing(view):
            try:
                if view.look(deep=False) == right:  # What `verify` compares with a replay.
                    assert answers(view) == expected, (way, at)
            except ViewError:
                continue


def answers(view: View) -> object:
    """Return what a view says by its rows and by its indexes."""
    look, ids = view.lookup, range(1, 12)
    return (
        look.nodes("artifact", ids),
        look.nodes("execution", ids),
        look.nodes("context", ids),
        [look.node_named("artifact", 1, f"artifact {number}") for number in ids],
        [look.artifacts_at(f"/data/{number}") for number in range(6)],
        look.types("artifact"),
        look.type_named("context", "Experiment", "v1"),
        look.events_of("artifact", ids),
        look.contexts_of("artifact", 1),
        look.ancestors(2),
    )


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("worker", range(WORKERS))
def test_a_history_view_flipped_or_cut_anywhere_is_noticed_or_harmless(
    log: Log, tmp_path: Path, worker: int, full: bool, tally: Tally
) -> None:
    views = tmp_path / "views"
    rebuild(log, views, records.BODIES)
    analytics.bring_up(log, views)
    path = generations.HISTORY.current(views)
    assert path is not None
    data, step = path.read_bytes(), DUCK_STEP if full else DUCK_STEP_DAILY
    replayed = Replayed({log.end}, None)
    bring_up(log, replayed, log.end)
    for way, at, changed in spoiled(data, worker, step):
        tally(f"{way} duckdb", 1, f"{len(data):,} bytes, a bit in every {step}th" if full else "")
        path.write_bytes(changed)
        for beside in path.parent.glob(f"{path.name}.*"):
            beside.unlink()
        found = analytics.look(log, views, deep=True)
        if isinstance(found, analytics.Look):
            assert found.state is not None
            same = not found.state.differing(replayed.states[found.applied])
            assert same or analytics.verify_view(log, found, replayed.states), (way, at)
