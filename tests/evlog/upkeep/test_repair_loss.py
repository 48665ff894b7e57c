"""Records that no copy has: what is left is a log again, and says what it lost."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from broken import (
    AUTHOR,
    NOTHING,
    RECORDS,
    accept,
    bytes_of,
    copy_of,
    flip,
    grow,
    last_change,
    mended,
    sound,
    spoil,
)
from crash import numbers

from evlog import head, identity
from evlog.errors import LackingError, LogError, RepairError
from evlog.frame import seed_of
from evlog.log import Log
from evlog.records import LossAccepted
from evlog.segment import name_of
from evlog.upkeep.repair import NAME, Means, accept_loss, finish
from replay.verify import verify_log

if TYPE_CHECKING:
    from tally import Tally

    from evlog.memory import MemoryFolder

pytestmark = pytest.mark.usefixtures("small_segments")


def test_what_nothing_commits_to_is_lost_too(whole: MemoryFolder) -> None:
    folder, copy = copy_of(whole), copy_of(whole)
    for offset in range(13, 8, -1):
        spoil(folder, offset)
    for offset in (13, 12):
        spoil(copy, offset)
    name = name_of(8)  # Also the headers, of which each names the leaf before.
    with closing(Log.open(whole, writable=False)) as log:
        start, stop = log.frame(9).position, log.frame(14).position
    folder.files[name][start:stop] = bytes(stop - start)
    with pytest.raises(LackingError, match="no copy at hand has record 12") as caught:
        mended(folder, copy)
    assert caught.value.offset == 9
    assert accept(folder, 9, copy).end == 9


@pytest.mark.faults
def test_a_loss_anywhere_can_be_accepted_and_the_log_goes_on(whole: MemoryFolder, full: bool, tally: Tally) -> None:
    for name in sorted(name for name in whole.files if name.endswith(".seg")):
        tally("mend", len(range(0, len(whole.files[name]), 11 if full else 101)))
        for position in range(0, len(whole.files[name]), 11 if full else 101):
            folder = copy_of(whole)
            flip(folder, name, position)
            damaged = bytes(folder.files[name])
            try:
                mended(folder)
            except LackingError as error:
                offset = error.offset
            else:
                continue
            told = accept(folder, offset)
            assert (told.end, told.known) == (offset, RECORDS)
            assert damaged in [bytes(folder.files[kept]) for kept in told.quarantine]
            assert last_change(folder) == told
            notes = verify_log(folder)
            assert notes.sound
            assert [one.offset for one in notes.findings] == [offset], notes.findings
            with closing(Log.open(folder)) as log:
                assert numbers(log) == list(range(offset))
                grow(log, range(100, 120))
            assert sound(folder)


def test_the_offset_of_a_loss_must_be_the_one_that_is_lost(whole: MemoryFolder) -> None:
    folder = copy_of(whole)
    spoil(folder, 9)
    before = bytes_of(folder)
    for wrong in (0, 8, 10, 35, 99):
        with pytest.raises(RepairError, match="whole up to offset 9"):
            accept(folder, wrong)
    assert bytes_of(folder) == before
    with pytest.raises(RepairError, match="no record is lost"):
        accept(whole, RECORDS)
    assert accept(folder, 9).end == 9


def test_what_a_copy_has_before_the_loss_is_kept(whole: MemoryFolder) -> None:
    folder, copy = copy_of(whole), copy_of(whole)
    spoil(folder, 17)
    spoil(folder, 9)
    spoil(copy, 17)
    assert accept(folder, 17, copy).end == 17
    assert sound(folder)


def test_a_log_of_which_nothing_is_left_begins_anew(whole: MemoryFolder) -> None:
    folder = copy_of(whole)
    for name in [name for name in folder.files if name.endswith(".seg")]:
        del folder.files[name]
    with pytest.raises(LogError):
        Log.open(folder)
    assert accept(folder, 0).known == RECORDS
    with closing(Log.open(folder)) as log:
        assert log.end == 1
    assert seed_of(log.id) == seed_of(identity.read(whole).log_id)
    assert sound(folder)


def losses(folder: MemoryFolder) -> list[LossAccepted]:
    with closing(Log.open(folder)) as log:
        changes = [change for entry in log.read(0) for change in entry.record.changes]
    return [change for change in changes if isinstance(change, LossAccepted)]


def test_a_loss_on_record_goes_on_though_a_power_cut_brought_an_old_head_back(whole: MemoryFolder) -> None:
    spoil(whole, 17)
    old = bytes(whole.files[head.NAME])
    accept_loss(whole, Means([], NOTHING), 17)
    intent = bytes(whole.files[NAME])
    finish(whole, AUTHOR)
    whole.files[head.NAME], whole.files[NAME] = bytearray(old), bytearray(intent)
    with pytest.raises(RepairError, match="begins at offset 17, not 18"):
        accept(whole, 18)
    assert accept(whole, 17).end == 17
    assert [one.end for one in losses(whole)] == [17]
    assert sound(whole)


def test_more_may_be_lost_before_a_loss_is_on_record(whole: MemoryFolder) -> None:
    spoil(whole, 17)
    accept_loss(whole, Means([], NOTHING), 17)
    spoil(whole, 9)
    told = accept(whole, 9)
    assert (told.end, told.known) == (9, RECORDS)
    assert len(told.quarantine) == 5
    assert losses(whole) == [told]
    assert sound(whole)
