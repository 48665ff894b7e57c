from __future__ import annotations

from itertools import pairwise

import pytest
import records

import replay.reading
from evlog.errors import CorruptLogError
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.segment import name_of
from replay.reading import Gap, read_backward, readable, readable_backward, stretches


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


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("damaged", [(0,), (5,), (7, 8), (13, 20), (18,), tuple(range(8, 16))])
def test_what_damage_hides_is_a_gap_and_every_other_record_is_read(damaged, monkeypatch):
    log = Log.open(MemoryFolder(), create=True)
    for record in records.small_store(artifacts=30)[:21]:
        records.append(log, [record])
    whole, places = list(log.read(0)), {frame.offset: frame.position for frame in log.frames(0, 21)}
    for offset in damaged[:1] if len(damaged) > 2 else damaged:
        log.folder.files[name_of(offset - offset % 8)][places[offset] + 70] ^= 1
    if len(damaged) > 2:
        del log.folder.files[name_of(8)]
    monkeypatch.setattr(replay.reading, "STRETCH_MIN", 3)
    for start, stop in ((0, 21), (6, 21), (9, 20), (21, 21)):
        forward = list(readable(log.read, start, stop))
        gaps = [one for one in forward if isinstance(one, Gap)]
        hidden = {offset for gap in gaps for offset in range(gap.start, gap.stop)}
        assert set(damaged) & set(range(start, stop)) <= hidden
        # Between damage and the next place that an index knows, of every fourth record, nothing is to be found.
        assert hidden <= {beside for one in damaged for beside in range(one, 21 if one >= 16 else one - one % 4 + 4)}
        assert all(gap.damage.offset in damaged for gap in gaps)
        read = [one for one in forward if not isinstance(one, Gap)]
        assert read == [one for one in whole[start:stop] if one.offset not in hidden]
        backward = list(readable_backward(log, start, stop))
        assert [one for one in backward if not isinstance(one, Gap)] == read[::-1]
        again = {offset for gap in backward if isinstance(gap, Gap) for offset in range(gap.start, gap.stop)}
        assert again == hidden
        told = read_backward(log, start, stop)
        for offset in range(stop - 1, max(hidden, default=start - 1), -1):
            assert next(told).offset == offset
        if hidden:
            with pytest.raises(CorruptLogError):
                next(told)
    log.close()
