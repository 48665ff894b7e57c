"""Rot, cuts and strangers: a damaged log is refused, or holds every acknowledged record as it was. Never anything between."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import mutants
import pytest
from crash import numbers, record

from evlog.errors import CorruptLogError, FormatVersionError, LogError
from evlog.files import RealFolder
from evlog.log import Log
from replay.verify import verify_log

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.faults
RECORDS = 36  # Five segments of eight.


@pytest.fixture
def written(tmp_path: Path, small_segments: int) -> Path:
    path = tmp_path / "log"
    log = Log.open(path, create=True)
    for number in range(RECORDS):
        with log.claim() as group:
            group.add(record(number))
            group.commit()
    log.close()
    assert len(list(path.glob("*.seg"))) == RECORDS // small_segments + 1
    return path


def reopened(path: Path) -> list[int] | None:
    """Return the records of a log that opens, None where it is refused. A log that opens is read to its end."""
    try:
        log = Log.open(path, writable=False)
        kept = numbers(log)
        log.close()
        log = Log.open(path)
    except (CorruptLogError, FormatVersionError):
        return None
    try:
        assert kept == numbers(log)
    except CorruptLogError:
        return None
    finally:
        log.close()
    return kept


def files(path: Path) -> list[Path]:
    return [*sorted(path.glob("*.seg")), path / "HEAD", path / "LOGID"]


def restore(path: Path, kept: Path) -> None:
    shutil.rmtree(path)
    shutil.copytree(kept, path)


def survivors(path: Path, spoil: list[tuple[str, int, bytes]], kept: Path) -> list[tuple[str, int]]:
    """Return where a changed byte, named as (file, position, new byte), left a log that opens with other records."""
    wrong = []
    for name, position, new in spoil:
        file = path / name
        data = file.read_bytes()
        file.write_bytes(data[:position] + new + data[position + 1 :])
        if reopened(path) not in (None, list(range(RECORDS))):
            wrong.append((name, position))
        restore(path, kept)
    return wrong


def test_a_flipped_bit_anywhere_is_refused_or_harmless(written: Path, tmp_path: Path, full: bool) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(written, kept)
    masks = [1 << bit for bit in range(8)] if full else [0x10]
    spoil = [
        (file.name, position, bytes([data[position] ^ mask]))
        for file in files(kept)
        for data in [file.read_bytes()]
        for position in range(0, len(data), 1 if full else 23)
        for mask in masks
    ]
    assert survivors(written, spoil, kept) == []


def test_a_flipped_bit_in_a_segment_is_found_and_located_by_verification(written: Path, full: bool) -> None:
    for file in sorted(written.glob("*.seg")):
        data = file.read_bytes()
        for position in range(0, len(data), 1 if full else 41):
            file.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
            report = verify_log(RealFolder(written))
            found = [finding for finding in report.findings if finding.severity == "damage"]
            assert found, (file.name, position)
            assert found[0].file == str(file)
            assert found[0].position is not None
            assert found[0].position <= position
        file.write_bytes(data)


def test_a_segment_cut_anywhere_is_refused_because_head_knows_better(written: Path, tmp_path: Path, full: bool) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(written, kept)
    for file in sorted(kept.glob("*.seg")):
        size = file.stat().st_size
        for cut in range(0, size, 1 if full else 61):
            (written / file.name).write_bytes(file.read_bytes()[:cut])
            found = reopened(written)
            # The very last frame is a SYNC frame: it holds no record.
            assert found is None or found == list(range(RECORDS)), (file.name, cut)
            restore(written, kept)


def test_a_log_cut_anywhere_and_without_head_opens_with_a_prefix_of_what_was_written(
    tmp_path: Path, full: bool
) -> None:
    path, kept = tmp_path / "log", tmp_path / "kept"
    log = Log.open(path, create=True)
    for number in range(4):
        with log.claim() as group:
            group.add(record(number))
            group.commit()
    log._dirty = False  # As if killed: no SYNC frame, which would be a witness.
    log.close()
    (path / "HEAD").unlink()
    shutil.copytree(path, kept)
    segment = next(path.glob("*.seg"))
    data = segment.read_bytes()
    for cut in range(0, len(data) + 1, 1 if full else 7):
        segment.write_bytes(data[:cut])
        try:
            log = Log.open(path)
        except CorruptLogError:
            pass  # A later frame may say that an earlier one was durable.
        else:
            found = numbers(log)
            assert found == list(range(4))[: len(found)]
            with log.claim() as group:
                group.add(record(9))
                group.commit()
            log.close()
            log = Log.open(path)
            assert numbers(log) == [*found, 9]
            log.close()
        restore(path, kept)


@pytest.mark.parametrize("size", [64, 512])
def test_a_region_copied_zeroed_or_doubled_is_refused_or_harmless(
    written: Path, tmp_path: Path, full: bool, size: int
) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(written, kept)
    for file in sorted(kept.glob("*.seg")):
        data = file.read_bytes()
        for at in range(0, len(data) - size, size if full else 5 * size):
            region = data[at : at + size]
            for spoiled in (
                data[:at] + bytes(size) + data[at + size :],
                data[:at] + region + data[at:],
                data[:at] + data[at + size :],
                data[: at // 2] + region + data[at // 2 + size :],
            ):
                (written / file.name).write_bytes(spoiled)
                assert reopened(written) in (None, list(range(RECORDS))), (file.name, at)
                restore(written, kept)


def test_a_segment_that_is_gone_or_of_another_log_is_refused(written: Path, tmp_path: Path) -> None:
    kept, other = tmp_path / "kept", tmp_path / "other"
    shutil.copytree(written, kept)
    log = Log.open(other, create=True)
    for number in range(RECORDS):
        with log.claim() as group:
            group.add(record(number))
            group.commit()
    log.close()
    for file in sorted(kept.glob("*.seg")):
        (written / file.name).unlink()
        assert reopened(written) is None, file.name
        restore(written, kept)
        shutil.copy(other / file.name, written / file.name)
        assert reopened(written) is None, file.name
        restore(written, kept)


def test_a_refused_log_is_left_as_it_is(written: Path) -> None:
    file = sorted(written.glob("*.seg"))[1]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    before = {path.name: path.read_bytes() for path in files(written)}
    for writable in (True, False):
        try:
            log = Log.open(written, writable=writable)
            with pytest.raises(CorruptLogError) as caught:
                list(log.read(0))
            log.close()
        except CorruptLogError as error:
            caught_error: LogError = error
        else:
            caught_error = caught.value
        assert file.name in str(caught_error)
        assert "evlog verify" in str(caught_error)
    after = {path.name: path.read_bytes() for path in files(written)}
    assert after[file.name] == before[file.name]


@pytest.mark.parametrize("mutant", mutants.MUTANTS_OF_READING, ids=lambda mutant: mutant.__name__)
def test_a_reader_that_believes_too_much_is_caught(
    tmp_path: Path, mutant: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = [(True, False), (False, True), (False, False)]
    for head, sync in ways:
        assert not misled(tmp_path / f"{head} {sync}", head=head, sync=sync), "the log itself is not misled"
    mutant(monkeypatch)  # type: ignore[operator]
    assert any(misled(tmp_path / f"mutant {head} {sync}", head=head, sync=sync) for head, sync in ways)


def misled(place: Path, *, head: bool, sync: bool) -> bool:
    """Flip bytes of a small log that has these witnesses; tell whether any passes for what was never there."""
    path, kept = place / "log", place / "kept"
    place.mkdir()
    log = Log.open(path, create=True)
    for number in range(4):
        with log.claim() as group:
            group.add(record(number))
            group.commit()
    log._dirty = sync
    log.close()
    if not head:
        (path / "HEAD").unlink()
    shutil.copytree(path, kept)
    segment = next(path.glob("*.seg"))
    data = segment.read_bytes().rstrip(b"\0")
    for position in range(0, len(data), 7):
        segment.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        try:
            log = Log.open(path)
            found = numbers(log)
            log.close()
        except (CorruptLogError, FormatVersionError):
            found = None
        except Exception:  # noqa: BLE001 - it fell over what it believed: misled as well
            return True
        if found is not None and (found != list(range(4))[: len(found)] or (len(found) < 4 and (head or sync))):
            return True
        restore(path, kept)
    return False
