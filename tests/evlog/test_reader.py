"""A record that cannot be read is named, whichever was asked for, and hides no more than it must."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import records

from evlog import segment
from evlog.errors import CorruptLogError
from evlog.log import Log

if TYPE_CHECKING:
    from pathlib import Path


def refusal(log: Log, asked: int) -> CorruptLogError | None:
    try:
        assert log.frame(asked).offset == asked
    except CorruptLogError as error:
        return error
    return None


@pytest.mark.parametrize("at", range(20))
def test_damage_is_told_of_the_record_that_has_it_whichever_is_asked_for(
    tmp_path: Path, small_segments: int, at: int
) -> None:
    with closing(Log.open(tmp_path, create=True)) as log:
        for number in range(20):
            records.append(log, [records.record(records.artifact(number))])
        base = at - at % small_segments
        path, position = tmp_path / segment.name_of(base), {one.offset: one.position for one in log.frames(0, 20)}
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[position[at] + 70] ^= 1
        path.write_bytes(data)
        for asked in range(20):
            with closing(Log.open(tmp_path, writable=False)) as fresh:
                for reader in (fresh, log):  # One that knows no place yet, and one that was anywhere.
                    error = refusal(reader, asked)
                    if error is not None:
                        assert (error.offset, error.position) == (at, position[at])
                        assert at <= asked < base + small_segments
                    else:
                        assert asked != at
        block = at - at % 4  # Past the next place in the index nothing is hidden, unless the segment has none yet.
        if block + 4 < 16:
            assert log.frame(block + 4).offset == block + 4
