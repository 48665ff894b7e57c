from __future__ import annotations

import os
from pathlib import Path

import pytest

from evlog import storage


def mounts(tmp_path: Path, kind: str) -> Path:
    device = os.stat(tmp_path).st_dev
    path = tmp_path / "mountinfo"
    here = f"36 35 {os.major(device)}:{os.minor(device)} / {tmp_path} rw,noatime shared:1 - {kind} /dev/x rw\n"
    path.write_text(f"35 1 0:1 / /elsewhere rw - proc proc rw\n{here}", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("kind", "word"),
    [("tmpfs", "restarts"), ("nfs4", "several hosts"), ("fuse.sshfs", "program behind it"), ("9p", "host's disk")],
)
def test_a_file_system_whose_syncs_are_in_doubt_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, word: str
) -> None:
    monkeypatch.setattr(storage, "_MOUNTS", mounts(tmp_path, kind))
    assert storage.file_system(tmp_path) == kind
    reason = storage.doubt(tmp_path)
    assert reason is not None
    assert word in reason
    assert kind in reason


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay"])
def test_an_ordinary_file_system_is_not_doubted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(storage, "_MOUNTS", mounts(tmp_path, kind))
    assert storage.doubt(tmp_path) is None


def test_where_the_system_does_not_tell_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_MOUNTS", tmp_path / "absent")
    assert storage.file_system(tmp_path) == "unknown"
    assert storage.doubt(tmp_path) is None
    assert storage.file_system(Path("/no/such/place")) == "unknown"


@pytest.mark.parametrize(("kind", "told"), [("ext4", True), ("tmpfs", True), ("nfs4", False), ("fuse.sshfs", False)])
def test_the_system_does_not_tell_what_others_change_behind_its_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, told: bool
) -> None:
    monkeypatch.setattr(storage, "_MOUNTS", mounts(tmp_path, kind))
    assert storage.tells_of_changes(tmp_path) is told
