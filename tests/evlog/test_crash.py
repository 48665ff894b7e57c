"""Power cuts, deaths and failing calls at every step, on the simulated disk; and the harness itself put to the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import crash
import mutants
import pytest
from crash import AcknowledgedLostError, PhantomError

from evlog import group, resume
from evlog.errors import LogError

if TYPE_CHECKING:
    from tally import Tally

pytestmark = pytest.mark.faults
LIVES, LIVES_FULL = 500, 12_000
LIVES_OF_A_MUTANT = 1_500


@pytest.fixture(autouse=True)
def _small(small_segments: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert small_segments
    monkeypatch.setattr(group, "RESERVE_BYTES_MIN", 700)
    monkeypatch.setattr(group, "RESERVE_BYTES_MAX", 3_000)
    monkeypatch.setattr(resume, "RECORDS", 3)


@pytest.mark.parametrize("worker", range(4))
def test_whatever_stops_a_writer_nothing_acknowledged_is_lost_and_nothing_unasked_appears(
    worker: int, full: bool, tally: Tally
) -> None:
    count = (LIVES_FULL if full else LIVES) // 4
    for kind, struck in crash.lives(range(worker * count, (worker + 1) * count)).items():
        assert struck >= count / 4, kind
        tally(kind, struck)


@pytest.mark.once
@pytest.mark.parametrize("mutant", mutants.MUTANTS_OF_WRITING, ids=lambda mutant: mutant.__name__)
def test_a_log_that_breaks_a_promise_is_caught(mutant: object, monkeypatch: pytest.MonkeyPatch, tally: Tally) -> None:
    tally("mutants", 1, mutants.EQUIVALENT)
    mutant(monkeypatch)  # type: ignore[operator]
    with pytest.raises((AcknowledgedLostError, PhantomError, LogError, AssertionError)):
        crash.lives(range(LIVES_OF_A_MUTANT))


@pytest.mark.once
def test_a_log_that_goes_on_after_a_failed_write_is_the_one_equivalent_mutant(monkeypatch: pytest.MonkeyPatch) -> None:
    mutants.go_on_after_a_failed_write(monkeypatch)
    assert crash.lives(range(LIVES_OF_A_MUTANT // 15))["error"] > 100
