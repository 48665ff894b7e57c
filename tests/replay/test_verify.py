from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest
import records

from evlog import log as log_module
from evlog import segment
from evlog.files import RealFolder
from evlog.log import Log
from projections.sqlite import database
from replay.rebuild import rebuild
from replay.verify import Report, verify, verify_log

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of several segments, closed."""
    monkeypatch.setattr(log_module, "SEGMENT_RECORDS_MAX", 8)
    monkeypatch.setattr(segment, "INDEX_STEP", 4)
    log = Log.open(tmp_path / "log", create=True)
    for record in records.small_store(artifacts=25):
        records.append(log, [record])
    rebuild(log, tmp_path / "views", records.BODIES)
    log.close()
    return tmp_path


def check(place: Path) -> Report:
    log = Log.open(place / "log", writable=False)
    try:
        return verify(RealFolder(place / "log"), log, place / "views", records.BODIES)
    finally:
        log.close()


def test_a_sound_store_has_no_findings_and_the_root_of_its_log(place: Path) -> None:
    report = check(place)
    assert report.sound
    assert report.findings == []
    assert report.view_checked
    assert report.records == len(records.small_store(25))
    assert report.segments > 2
    log = Log.open(place / "log", writable=False)
    assert report.root == log.tip_at_end().tree.root()
    log.close()


@pytest.mark.parametrize("change", ["artifact set uri = 'elsewhere' where id = 7", "landmark set update_time = 1"])
def test_a_row_changed_behind_our_back_is_damage(place: Path, change: str) -> None:
    connection = apsw.Connection(str(database.FILES.current(place / "views")))
    connection.execute(f"update {change}")
    connection.close()
    report = check(place)
    assert not report.sound
    assert "differs from a replay" in report.findings[0].what


def test_a_view_behind_the_log_is_a_note_and_no_damage(place: Path) -> None:
    log = Log.open(place / "log")
    records.append(log, [records.record(records.artifact(99))])
    log.close()
    report = check(place)
    assert report.sound
    assert [finding.severity for finding in report.findings] == ["note"]
    assert "1 records behind" in report.findings[0].what


def test_a_missing_view_is_a_note(place: Path) -> None:
    for path in (place / "views").iterdir():
        path.unlink()
    report = check(place)
    assert report.sound
    assert "evlog replay" in report.findings[0].what


def test_every_flipped_byte_of_the_log_is_found_and_located(place: Path) -> None:
    for name in [path.name for path in sorted((place / "log").glob("*.seg"))]:
        path = place / "log" / name
        data = path.read_bytes()
        for at in range(0, len(data), 97):
            damaged = bytearray(data)
            damaged[at] ^= 0x10
            path.write_bytes(damaged)
            report = verify_log(RealFolder(place / "log"))
            finding = next(finding for finding in report.findings if finding.severity == "damage")
            assert finding.file == str(path), (name, at)
            assert finding.position is not None
            assert finding.position <= at, (name, at)
        path.write_bytes(data)
    assert check(place).sound


def test_damage_does_not_hide_later_damage(place: Path) -> None:
    paths = sorted((place / "log").glob("*.seg"))
    for path in (paths[0], paths[2]):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    report = verify_log(RealFolder(place / "log"))
    assert {finding.file for finding in report.findings} == {str(paths[0]), str(paths[2])}


def test_a_segment_that_is_gone_is_named(place: Path) -> None:
    paths = sorted((place / "log").glob("*.seg"))
    paths[1].unlink()
    report = verify_log(RealFolder(place / "log"))
    assert not report.sound
    assert any(finding.file == str(paths[1]) and "missing" in finding.what for finding in report.findings)


def test_a_log_cut_short_is_damage_because_head_knows_better(place: Path) -> None:
    path = max((place / "log").glob("*.seg"))
    data = path.read_bytes()
    path.write_bytes(data[:-200])
    assert not verify_log(RealFolder(place / "log")).sound


def test_bytes_behind_head_that_nobody_was_told_of_are_a_note(place: Path) -> None:
    path = max((place / "log").glob("*.seg"))
    path.write_bytes(path.read_bytes() + b"half a frame")
    report = verify_log(RealFolder(place / "log"))
    assert report.sound
    assert "opening mends it" in report.findings[0].what


def test_a_damaged_identity_or_head_is_found(place: Path) -> None:
    head, identity = place / "log" / "HEAD", place / "log" / "LOGID"
    data = head.read_bytes()
    head.write_bytes(bytes(len(data)))
    assert "HEAD" in verify_log(RealFolder(place / "log")).findings[0].what
    head.unlink()
    assert verify_log(RealFolder(place / "log")).findings[0].severity == "note"
    head.write_bytes(data)
    identity.write_bytes(identity.read_bytes().replace(b"id ", b"Id "))
    assert not verify_log(RealFolder(place / "log")).sound
