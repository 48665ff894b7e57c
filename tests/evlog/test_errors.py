"""What the operating system refuses: each call, each step, and what is left open, locked or lost."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash import numbers, record

from evlog import files
from evlog.errors import DiskFullError, LogClosedError, LogError, ReadOnlyError, StorageError
from evlog.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tally import Tally

pytestmark = pytest.mark.usefixtures("small_segments")
CALLS = ["open", "pread", "pwrite", "fdatasync", "fsync", "ftruncate", "rename", "mkdir", "scandir"]


class FailingCalls:
    """The `os` that evlog.files sees: its n-th call of these names fails, before or after it took effect."""

    def __init__(self, at: int, number: int, *, after: bool) -> None:
        self.left, self.number, self.after = at, number, after

    def __getattr__(self, name: str) -> object:
        original = getattr(os, name)
        if name not in CALLS:
            return original

        def call(*arguments: object, **named: object) -> object:
            self.left -= 1
            if self.left != 0:
                return original(*arguments, **named)
            if self.after and name not in ("open", "scandir"):  # What these return would be lost, and stay open.
                original(*arguments, **named)
            raise OSError(self.number, os.strerror(self.number))

        return call


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def is_free(path: Path) -> bool:
    """Tell whether another process could take the lock now."""
    with (path / "LOCK").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def put(log: Log, number: int) -> None:
    with log.claim() as group:
        group.add(record(number))
        group.commit()


def live(path: Path, acknowledged: list[int]) -> None:
    """Make a log, fill a segment, roll, close, and open it again over a torn end."""
    log = Log.open(path, create=True)
    try:
        for number in range(10):
            put(log, number)
            acknowledged.append(number)
    finally:
        assert is_free(path), "a claim that failed keeps others waiting"
        log.close()
    with max(path.glob("*.seg")).open("ab") as torn:
        torn.write(b"torn")
    Log.open(path).close()


@pytest.mark.faults
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whichever_call_fails_nothing_is_lost_or_left_open_and_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, after: bool, full: bool, tally: Tally
) -> None:
    expected = {errno.ENOSPC: DiskFullError, errno.EROFS: ReadOnlyError}.get(number, StorageError)
    before = open_files()
    for step in range(1, 1000, 1 if full else 3):
        tally("call")
        path = tmp_path / str(step)
        acknowledged: list[int] = []
        with monkeypatch.context() as patch:
            calls = FailingCalls(step, number, after=after)
            patch.setattr(files, "os", calls)
            try:
                live(path, acknowledged)
            except expected:
                pass  # Any other error fails the test.
            else:
                if calls.left > 0:
                    assert step > 60, "a life has more calls than this"
                    return  # Else the call that failed was one that a log can do without: the ballast's, the reserve's.
        assert open_files() == before, step
        assert not (path / "LOCK").exists() or is_free(path), step
        log = Log.open(path, create=True)
        found = numbers(log)
        assert found[: len(acknowledged)] == acknowledged, step
        assert found == list(range(len(found))), step
        log.close()
    pytest.fail("a life without an end")


@contextlib.contextmanager
def mounted(*options: str, at: Path) -> Iterator[None]:
    """Mount something, or skip where one may not."""
    done = subprocess.run(["mount", *options, str(at)], check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"may not mount: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.faults
def test_a_full_disk_refuses_what_does_not_fit_and_keeps_the_rest(tmp_path: Path, tally: Tally) -> None:
    tally("full")
    with mounted("-t", "tmpfs", "-o", "size=256k", "tmpfs", at=tmp_path):
        log = Log.open(tmp_path / "log", create=True)
        acknowledged: list[int] = []
        with pytest.raises(DiskFullError, match="free some space"):
            for number in range(2000):
                put(log, number)
                acknowledged.append(number)
        assert len(acknowledged) > 20
        with pytest.raises(LogClosedError, match="reopen"):
            put(log, 9999)
        log.close()
        with contextlib.suppress(DiskFullError):  # There may be no room to recover either.
            Log.open(tmp_path / "log").close()
        reader = Log.open(tmp_path / "log", writable=False)
        assert numbers(reader)[: len(acknowledged)] == acknowledged
        reader.close()
        subprocess.run(["mount", "-o", "remount,size=1m", str(tmp_path)], check=True)
        log = Log.open(tmp_path / "log")
        assert numbers(log)[: len(acknowledged)] == acknowledged
        put(log, 9999)
        assert numbers(log)[-1] == 9999
        log.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.faults
def test_a_read_only_medium_is_read_and_not_written(tmp_path: Path, tally: Tally) -> None:
    tally("read-only", 3)
    with mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", at=tmp_path):
        log = Log.open(tmp_path / "log", create=True)
        put(log, 0)
        log.close()
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        for create in (False, True):
            with pytest.raises(ReadOnlyError):
                Log.open(tmp_path / "log", create=create)
        with pytest.raises(ReadOnlyError):
            Log.open(tmp_path / "another", create=True)
        reader = Log.open(tmp_path / "log", writable=False)
        assert numbers(reader) == [0]
        reader.close()


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("not a folder")
    for act in (lambda path: Log.open(path, create=True), lambda path: Log.open(path, writable=False), Log.open):
        opened: Callable[[Path], Log] = act
        with pytest.raises(LogError, match="log"):
            opened(tmp_path / "log")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_may_not_be_written_is_called_read_only(number: int) -> None:
    assert isinstance(files.storage_error("write failed", "f", OSError(number, "no")), ReadOnlyError)


def test_a_quota_is_a_full_disk() -> None:
    assert isinstance(files.storage_error("write failed", "f", OSError(errno.EDQUOT, "no")), DiskFullError)


def test_a_short_write_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, position: original(fd, data[:7], position))
    with tempfile.TemporaryDirectory() as place:
        log = Log.open(Path(place) / "log", create=True)
        put(log, 0)
        log.close()
        assert numbers(Log.open(Path(place) / "log", writable=False)) == [0]
