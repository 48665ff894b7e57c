from __future__ import annotations

from itertools import pairwise

import pytest
import records

import replay.reading
from evlog.log import Log
from evlog.memory import MemoryFolder
from replay.reading import read_backward, stretches


@pytest.fixture
def log():
    log = Log.open(MemoryFolder(), create=True)
    for record in records.small_store(artifacts=300):
        records.append(log, [record])
    yield log
    log.close()


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 320, 321, 5_000, 100_000])
def test_stretches_cover_a_range_once_from_its_end(size):
    found = list(stretches(size))
    assert (found[-1][0] if found else 0) == 0
    assert all(start == later_stop for (start, _), (_, later_stop) in pairwise(found))
    assert (found[0][1] if found else 0) == size


def test_the_log_backward_is_the_log_reversed(log, monkeypatch):
    for start, stop in ((0, log.end), (3, 200), (7, 7), (9, 3)):
        assert list(read_backward(log, start, stop)) == list(log.read(start, max(start, stop)))[::-1]
    monkeypatch.setattr(replay.reading, "STRETCH_MIN", 1)
    monkeypatch.setattr(replay.reading, "STRETCH_MAX", 3)
    assert list(read_backward(log, 0, log.end)) == list(log.read(0))[::-1]
