"""The background verifier: each way of tampering turns it red, and it names what was tampered with."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import apsw
import pytest
import signed
from insider import position_of, swap
from signed import sign
from stores import put, run

from evlog import log, segment
from evlog.frame import HEADER
from mlmd.tampering import tampered_copy
from mlmd.web.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evlog.upkeep.audit import Fault


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 13 records in segments of 5, with a key."""
    place = tmp_path_factory.mktemp("signed") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "SEGMENT_RECORDS_MAX", 5)
        signed.alone(patch, place.parent / "config")
        signed.make(place)
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, signed, with an anchor."""
    monkeypatch.setattr(log, "SEGMENT_RECORDS_MAX", 5)
    place = signed.copied(made, tmp_path, monkeypatch)
    (tmp_path / "elsewhere").mkdir()
    sign(place, "--copy-to", tmp_path / "elsewhere")
    return place


@pytest.fixture
def watch(place: Path) -> Iterator[Watch]:
    watch = Watch(place)
    yield watch
    watch.close()


def found(watch: Watch) -> Fault:
    """Look at everything, which must be found broken; return what is said first."""
    state = watch.sweep()
    assert state.status == "broken", state
    return state.findings[0]


def flip(file: Path, position: int) -> None:
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[position] ^= 0x10
    file.write_bytes(data)


def test_a_sound_store_that_is_signed_is_verified(place: Path, watch: Watch) -> None:
    assert watch.state.status == "checking"
    state = watch.sweep()
    assert (state.status, state.checked, state.end, state.signed) == ("verified", 13, 13, 13)
    assert state.findings == ()
    assert state.outside is not None
    assert (state.outside.size, state.outside.place.endswith(".checkpoint")) == (13, True)
    assert abs(state.outside.time - time.time()) < 600


def test_a_store_without_a_key_is_unsigned(tmp_path: Path) -> None:
    assert run("init", tmp_path / "plain").exit_code == 0
    put(tmp_path / "plain", "a")
    state = Watch(tmp_path / "plain").sweep()
    assert (state.status, state.signed, state.outside) == ("unsigned", 0, None)


def test_a_checkpoint_that_no_known_key_signed_makes_nothing_green(place: Path, watch: Watch) -> None:
    (place / "tlog" / "policy").unlink()
    assert watch.sweep().status == "unsigned"
    for file in (place / "tlog" / "checkpoint", *(place / "tlog" / "checkpoints").iterdir()):
        file.write_text(file.read_text().partition("\n\n")[0] + "\nunsigned\n\n")
    assert watch.sweep().status == "unsigned"


def test_what_is_added_is_checked_at_the_next_look_by_itself(place: Path, watch: Watch) -> None:
    watch.sweep()
    put(place, "a", "b", "c", "d")
    state = watch.look()
    assert (state.status, state.checked, state.end, state.signed) == ("verified", 17, 17, 13)
    sign(place)
    assert watch.look().signed == 17


@pytest.mark.parametrize("offset", [0, 3, 5, 9, 12])
def test_a_flipped_byte_of_a_record_is_named_by_segment_position_and_record(
    place: Path, watch: Watch, offset: int
) -> None:
    watch.sweep()
    position = position_of(place, offset)
    file = place / "log" / segment.name_of(offset - offset % 5)
    flip(file, position + HEADER.size + 9)
    fault = found(watch)
    assert (fault.file, fault.position, fault.offset) == (str(file), position, offset)


def test_every_file_of_the_log_and_of_the_tree_is_watched(place: Path, watch: Watch) -> None:
    """A byte in the middle of each; what is mended is green again."""
    files = [
        *(place / "log").glob("*.seg*"),
        place / "log" / "LOGID",
        *(
            file
            for file in (place / "tlog").rglob("*")
            if file.is_file() and file.name not in ("LOCK", "resume", "5", "10")
        ),
    ]  # Tiles of 5 and 10 leaves were for older checkpoints: a wider one took their place.
    assert len(files) >= 9
    for file in files:
        assert watch.sweep().status == "verified", file
        whole = file.read_bytes()
        flip(file, len(whole) // 2 if "tile" in file.parts or file.suffix else len(whole) // 3)
        fault = found(watch)
        assert file.name.split(".")[0] in fault.file + fault.reason or "tlog" in fault.file, (file, fault)
        file.write_bytes(whole)
    assert watch.sweep().status == "verified"


def test_a_missing_segment_is_named(place: Path, watch: Watch) -> None:
    (place / "log" / segment.name_of(5)).unlink()
    fault = found(watch)
    assert (fault.file, fault.offset) == (str(place / "log" / segment.name_of(5)), 5)


def test_a_tile_that_differs_is_named(place: Path, watch: Watch) -> None:
    (tile,) = (place / "tlog" / "tile" / "0").rglob("13")
    flip(tile, 40)
    assert "tile/0/000.p/13" in found(watch).reason


def test_an_older_head_is_told_at_the_next_look(place: Path, watch: Watch) -> None:
    old = (place / "log" / "HEAD").read_bytes()
    put(place, "a")
    watch.sweep()
    (place / "log" / "HEAD").write_bytes(old)
    state = watch.look()
    assert state.status == "broken"
    assert (state.findings[0].offset, state.findings[0].reason) == (
        13,
        "the log ends at record 13, 14 were acknowledged",
    )


def test_a_head_older_than_the_checkpoint_is_as_a_power_cut_leaves_it_unless_records_are_gone(
    place: Path, watch: Watch
) -> None:
    old = (place / "log" / "HEAD").read_bytes()
    last = place / "log" / segment.name_of(10)
    size = last.stat().st_size
    put(place, "a")
    sign(place)
    (place / "log" / "HEAD").write_bytes(old)
    state = watch.sweep()
    assert (state.status, state.checked, state.end) == ("verified", 14, 14)
    with last.open("r+b") as file:
        file.truncate(size)
    fault = found(Watch(place))
    assert (fault.offset, "the log ends at record 13, the checkpoint is over 14" in fault.reason) == (13, True)


def test_an_older_checkpoint_is_told_at_the_next_look(place: Path, watch: Watch) -> None:
    old = (place / "tlog" / "checkpoint").read_bytes()
    put(place, "a")
    sign(place)
    watch.sweep()
    (place / "tlog" / "checkpoint").write_bytes(old)
    (place / "tlog" / "checkpoints" / "14").unlink()
    state = watch.look()
    assert state.status == "broken"
    assert (state.findings[0].offset, "over 14 records is gone" in state.findings[0].reason) == (13, True)


def test_an_old_copy_over_log_and_tree_is_told_while_it_is_watched_and_by_the_anchor(
    place: Path, watch: Watch, tmp_path: Path
) -> None:
    shutil.copytree(place, tmp_path / "old", symlinks=True)
    put(place, "a")
    sign(place)
    watch.sweep()
    for name in ("log", "tlog"):
        shutil.rmtree(place / name)
        shutil.copytree(tmp_path / "old" / name, place / name)
    assert watch.look().status == "broken"
    fault = found(Watch(place))  # One that never saw it.
    assert ("archive" in fault.file or "elsewhere" in fault.file, fault.offset) == (True, 13)


def test_a_truncated_log_is_told(place: Path, watch: Watch) -> None:
    watch.sweep()
    file = place / "log" / segment.name_of(10)
    file.write_bytes(file.read_bytes()[: position_of(place, 12)])
    fault = found(watch)
    assert (fault.file, fault.offset) == (str(file), 12)


@pytest.mark.parametrize("seen", [True, False])
def test_two_records_that_an_insider_swapped_are_named_though_every_checksum_is_right(
    place: Path, watch: Watch, seen: bool
) -> None:
    """seen: the watch saw the log before; else the signed tiles alone tell."""
    if seen:
        watch.sweep()
    swap(place, 11)
    fault = found(watch)
    assert (fault.file, fault.position, fault.offset) == (
        str(place / "log" / segment.name_of(10)),
        position_of(place, 11),
        11,
    )
    assert watch.look().status == "broken"


def test_a_log_that_was_rewritten_and_never_signed_is_told_while_it_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "SEGMENT_RECORDS_MAX", 5)
    place = tmp_path / "plain"
    assert run("demo", "--guide", place).exit_code == 0
    watch = Watch(place)
    assert watch.sweep().status == "unsigned"
    swap(place, 11)
    fault = found(watch)
    assert (fault.offset, "not those that were here before" in fault.reason) == (13, True)
    put(place, "a")
    assert found(watch).offset == 13
    watch.close()


def test_a_thread_watches_and_ends(place: Path, watch: Watch) -> None:
    watch.start()
    until = time.monotonic() + 60
    while watch.state.swept is None and time.monotonic() < until:
        time.sleep(0.01)
    assert watch.state.status == "verified"
    watch.close()
    assert watch._thread is None


def test_a_watch_that_fails_is_not_green(place: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlmd.web.watch.audit.audit", lambda *_: 1 / 0)
    watch.start()
    until = time.monotonic() + 60
    while watch.state.status == "checking" and time.monotonic() < until:
        time.sleep(0.01)
    assert watch.state.status == "broken"
    assert "division" in watch.state.findings[0].reason


def altered(place: Path, statement: str) -> None:
    """Change the view behind everybody's back."""
    connection = apsw.Connection(str((place / "views" / "current.sqlite").resolve()))
    connection.execute(statement)
    connection.close()


def test_a_view_that_is_not_what_the_log_says_is_red_until_it_is_made_anew(place: Path, watch: Watch) -> None:
    assert run("-s", str(place), "replay").exit_code == 0
    watch.sweep()
    assert watch.state.verified().compared_s is None
    state = watch.compare()
    assert (state.status, state.findings) == ("verified", ())
    assert watch.state.verified().compared_s is not None
    altered(place, "update type set name = 'forged' where id = (select max(id) from type)")
    state = watch.compare()
    assert state.status == "broken"
    told = state.verified()
    assert told.text == "broken: the view, which pages ask, is not what the log says"
    [finding] = told.findings
    assert (finding["record"], finding["segment"]) == (None, None)
    assert "differs from a replay of the log" in finding["what"]
    assert watch.sweep().status == "broken", "a sweep of the log says nothing of the view"
    assert run("-s", str(place), "replay").exit_code == 0
    assert watch.compare().status == "verified"


def test_a_thread_compares_the_view_and_is_ended_in_the_midst(
    place: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("-s", str(place), "replay").exit_code == 0
    altered(place, "update type set name = 'forged' where id = (select max(id) from type)")
    watch.start()
    until = time.monotonic() + 60
    while watch.state.compared is None and time.monotonic() < until:
        time.sleep(0.01)
    assert watch.state.status == "broken"
    assert "view" in watch.state.verified().text
    watch.close()
    children: list[subprocess.Popen[bytes]] = []

    def asleep(_: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return children[-1]

    monkeypatch.setattr("mlmd.web.compared.start", asleep)
    again = Watch(place)
    again.start()
    until = time.monotonic() + 60
    while not children and time.monotonic() < until:
        time.sleep(0.01)
    again.close()
    assert [child.returncode for child in children] == [-signal.SIGKILL]


def test_a_view_that_cannot_be_compared_is_not_said_to_be(
    place: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mlmd.web.compared.sys.executable", "false")
    watch.sweep()
    assert watch.compare().compared is None
    assert "could not be compared" in caplog.text
    assert watch.state.status == "verified"


def test_a_record_that_was_altered_and_fits_in_all_but_the_next_one_is_the_one_that_is_named(
    place: Path, watch: Watch, tmp_path: Path
) -> None:
    """As `evlog demo --tamper` does it: the link of the next record tells that one of the two was altered, the tiles which."""
    altered = tampered_copy(place, tmp_path / "copy", "Model")
    assert altered is not None
    assert found(Watch(tmp_path / "copy")).offset == altered.offset
    for name in ("checkpoint", "checkpoints", "tile"):
        target = tmp_path / "copy" / "tlog" / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert found(Watch(tmp_path / "copy")).offset == altered.offset + 1, "no tile tells"
