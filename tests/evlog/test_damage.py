"""Rot, cuts and strangers: a damaged log is refused, or holds every acknowledged record as it was. Never anything between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mutants
import pytest
from crash import numbers, record

from evlog.compression import compress_all
from evlog.errors import CorruptLogError, FormatVersionError, LogError
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.segment import base_of, name_of
from replay.verify import verify_log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tally import Tally

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("small_segments")]
RECORDS = 36  # Five segments of eight, so that every byte can be tried. In memory: damage needs no disk.
ALL = list(range(RECORDS))

BOTH_FORMS = pytest.mark.parametrize("compressed", [False, True], ids=["as written", "compressed"])

Files = dict[str, bytes]


def written(records: int = RECORDS, *, head: bool = True, sync: bool = True, compressed: bool = False) -> Files:
    """Return the files of a log that was closed, with or without these witnesses of what was acknowledged."""
    folder = MemoryFolder()
    log = Log.open(folder, create=True)
    for number in range(records):
        with log.claim() as group:
            group.add(record(number))
            group.commit()
    log._dirty = sync
    log.close()
    if compressed:
        assert compress_all(folder, seed=log.seed)
    return {name: bytes(data) for name, data in folder.files.items() if head or name != "HEAD"}


def folder_of(files: Files) -> MemoryFolder:
    folder = MemoryFolder()
    folder.files = {name: bytearray(data) for name, data in files.items()}
    return folder


def segments(files: Files) -> list[str]:
    return sorted(name for name in files if base_of(name) is not None)


def reopened(files: Files) -> list[int] | None:
    """Return the records of a log that opens, None where it is refused. A log that opens is read to its end, and grows."""
    folder = folder_of(files)
    try:
        log = Log.open(folder)
        found = numbers(log)
    except (CorruptLogError, FormatVersionError):
        return None
    with log.claim() as group:
        group.add(record(RECORDS))
        group.commit()
    log.close()
    assert numbers(Log.open(folder)) == [*found, RECORDS]
    assert numbers(Log.open(folder_of(files), writable=False)) == found, "readers and writers see the same"
    return found


def row_of(way: str, name: str, *, compressed: bool) -> str:
    """Return the row of the table for a file of a log: flipped or cut."""
    if base_of(name) is None:
        return f"{way} {name}"
    return f"{way} compressed" if compressed and name.endswith(".zst") else f"{way} raw"


def flipped(data: bytes, position: int, mask: int) -> bytes:
    return data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]


def with_record_missing_or_changed(spoiled: Iterable[tuple[object, Files]]) -> list[object]:
    """Return the marks of those logs that open, and with other records than were written."""
    return [mark for mark, files in spoiled if reopened(files) not in (None, ALL)]


@BOTH_FORMS
def test_a_flipped_bit_anywhere_is_refused_or_harmless(full: bool, compressed: bool, tally: Tally) -> None:
    files = written(compressed=compressed)
    masks = [1 << bit for bit in range(8)] if full else [0x10]

    def positions(name: str) -> range:
        """Every third byte of a segment, in the next segment the next ones, so that three segments try each field; else every byte."""
        if full or name not in segments(files):
            return range(len(files[name]))
        return range(segments(files).index(name) % 3, len(files[name]), 3)

    for name in files:
        tally(row_of("flip", name, compressed=compressed), len(positions(name)) * len(masks))
    spoiled = (
        ((name, position, mask), {**files, name: flipped(data, position, mask)})
        for name, data in files.items()
        for position in positions(name)
        for mask in masks
    )
    assert with_record_missing_or_changed(spoiled) == []


@BOTH_FORMS
def test_a_flipped_bit_in_a_segment_is_found_and_located_by_verification(
    full: bool, compressed: bool, tally: Tally
) -> None:
    files = written(compressed=compressed)
    for name in segments(files):
        tally(row_of("flip", name, compressed=compressed), len(range(0, len(files[name]), 1 if full else 11)))
        for position in range(0, len(files[name]), 1 if full else 11):
            folder = folder_of({**files, name: flipped(files[name], position, 4)})
            found = [finding for finding in verify_log(folder).findings if finding.severity == "damage"]
            if compressed and not found:  # zstd has bits that mean nothing.
                assert reopened({**files, name: flipped(files[name], position, 4)}) == ALL, (name, position)
                continue
            assert found, (name, position)
            assert name in found[0].file
            assert found[0].position is not None
            assert found[0].position <= position or name.endswith(".zst"), "of that a place in the bytes compressed"


@BOTH_FORMS
def test_a_segment_cut_anywhere_is_refused_because_head_knows_better(
    full: bool, compressed: bool, tally: Tally
) -> None:
    files = written(compressed=compressed)
    for name in segments(files):
        tally(row_of("cut", name, compressed=compressed), len(range(0, len(files[name]), 1 if full else 5)))
        for cut in range(0, len(files[name]), 1 if full else 5):
            assert reopened({**files, name: files[name][:cut]}) is None, (name, cut)


@pytest.mark.parametrize("name", ["HEAD", "LOGID"])
def test_a_head_or_an_identity_cut_anywhere_is_refused_or_harmless(name: str, tally: Tally) -> None:
    files = written()
    tally(f"cut {name}", len(files[name]))
    spoiled = ((cut, {**files, name: files[name][:cut]}) for cut in range(len(files[name])))
    assert with_record_missing_or_changed(spoiled) == []


def test_a_log_cut_anywhere_and_without_head_opens_with_a_prefix_of_what_was_written(full: bool, tally: Tally) -> None:
    files = written(4, head=False, sync=False)  # As if killed; a SYNC frame would be a witness.
    data = files[name_of(0)]
    cuts = [*range(len(data.rstrip(b"\0")) + 9), *range(0, len(data) + 1, 1 if full else 997)]
    tally("cut bare", len(cuts))
    for cut in cuts:
        found = reopened({**files, name_of(0): data[:cut]})
        assert found is None or found == list(range(4))[: len(found)], cut
        assert found is not None, "whole frames and a torn one are what a power cut leaves"


@BOTH_FORMS
@pytest.mark.parametrize("size", [8, 64, 512])
def test_a_region_copied_zeroed_doubled_or_taken_out_is_refused_or_harmless(
    full: bool, size: int, compressed: bool, tally: Tally
) -> None:
    files = written(compressed=compressed)
    for name in segments(files):
        data = files[name]
        tally("region", 4 * len(range(0, len(data) - size, size if full else max(5 * size, 40))))
        for at in range(0, len(data) - size, size if full else max(5 * size, 40)):
            before, region, after = data[:at], data[at : at + size], data[at + size :]
            spoiled = (
                ("zeroed", before + bytes(size) + after),
                ("doubled", before + region + region + after),
                ("taken out", before + after),
                ("copied", data[: at // 2] + region + data[at // 2 + size :]),
            )
            assert with_record_missing_or_changed((way, {**files, name: new}) for way, new in spoiled) == [], (name, at)


@BOTH_FORMS
def test_a_segment_that_is_gone_doubled_or_of_another_log_is_refused(compressed: bool, tally: Tally) -> None:
    files, other = written(compressed=compressed), written(compressed=compressed)
    names = segments(files)
    tally("region", 3 * len(names) + 1)
    for name in names:
        assert reopened({kept: data for kept, data in files.items() if kept != name}) is None, name
        assert reopened({**files, name: other[name]}) is None, name
        assert reopened({**files, name: files[names[0] if name != names[0] else names[1]]}) is None, name
    assert reopened({**files, name_of(RECORDS): files[names[-1]]}) is None


@BOTH_FORMS
def test_a_refused_log_is_left_as_it_is(compressed: bool) -> None:
    files = written(compressed=compressed)
    for name in segments(files):
        spoiled = {**files, name: flipped(files[name], len(files[name]) // 2, 1)}
        for writable in (True, False):
            folder = folder_of(spoiled)
            with pytest.raises(CorruptLogError, match="evlog verify") as caught:
                list(Log.open(folder, writable=writable).read(0))
            assert name in str(caught.value)
            assert bytes(folder.files[name]) == spoiled[name]


@pytest.mark.once
@pytest.mark.parametrize("mutant", mutants.MUTANTS_OF_READING, ids=lambda mutant: mutant.__name__)
def test_a_reader_that_believes_too_much_is_caught(
    mutant: object, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    tally("mutants")
    assert not misled(), "the log itself is not misled"
    mutant(monkeypatch)  # type: ignore[operator]
    assert misled()


def misled() -> bool:
    """Flip bytes of a small log, with and without witnesses; tell whether any passes for what was never there."""
    for head, sync in ((True, False), (False, True), (False, False)):
        files = written(4, head=head, sync=sync)
        data = files[name_of(0)]
        if not sync:  # A reserve stands behind it; a closed one ends with its SYNC frame, whose last byte may be 0.
            data = data.rstrip(b"\0")
        for position in range(0, len(data), 3):
            try:
                found = reopened({**files, name_of(0): flipped(data, position, 0x10)})
            except (LogError, AssertionError, ValueError):
                return True  # It fell over what it believed.
            if found is not None and (found != list(range(4))[: len(found)] or (len(found) < 4 and (head or sync))):
                return True
    return False
