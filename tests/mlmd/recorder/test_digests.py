"""The digest of content: the same bytes, wherever they lie; any other bytes, names or shape, another one."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmd import errors
from mlmd.recorder import digests
from mlmd.recorder.digests import digest_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_has_the_digest_that_sha256sum_prints(tmp_path: Path) -> None:
    place = tmp_path / "f"
    place.write_bytes(os.urandom(3_000_000))
    told: list[int] = []
    found = digest_of(place, told.append)
    printed = subprocess.run(["sha256sum", place], capture_output=True, text=True, check=True).stdout.split()[0]
    assert found == (f"sha256:{printed}", 3_000_000)
    assert told == sorted(told)
    assert told[-1] == 3_000_000


def test_a_folder_has_the_digest_of_what_sha256sum_lists(tmp_path: Path) -> None:
    for name in ("b/c/3", "a", "b/2", "b.x", "B"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    command = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum -z | sha256sum"
    printed = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert digest_of(tmp_path).digest == f"sha256:{printed}"
    assert digest_of(tmp_path).bytes == sum(map(len, ("b/c/3", "a", "b/2", "b.x", "B")))


def test_what_a_folder_holds_and_not_where_or_when_makes_its_digest(tmp_path: Path) -> None:
    def folder(name: str, files: dict[str, str]) -> str:
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            if text == "/":
                (tmp_path / name / path).mkdir()
            elif text.startswith("->"):
                (tmp_path / name / path).symlink_to(text[2:])
            else:
                (tmp_path / name / path).write_text(text)
        return digest_of(tmp_path / name).digest

    different = [
        folder("1", {"a": "x", "b": "y"}),
        folder("2", {"a": "y", "b": "x"}),
        folder("3", {"a": "x", "c": "y"}),
        folder("4", {"a": "x", "b": "y", "c": "/"}),
        folder("5", {"a": "x", "d/b": "y"}),
        folder("6", {"a": "x", "b": "y", "c": "->."}),
        folder("7", {"a": "x", "b": "y", "c": "->.."}),
        folder("8", {"a": "xy", "b": ""}),
    ]
    assert len(set(different)) == len(different)
    assert folder("9", {"b": "->../1/b", "a": "x"}) == different[0]
    os.utime(tmp_path / "1" / "a", (1, 1))
    (tmp_path / "1" / "a").chmod(0o600)
    assert digest_of(tmp_path / "1").digest == different[0]


@given(st.lists(st.tuples(st.text("ab\n /", min_size=1, max_size=4), st.binary(max_size=3)), max_size=4))
def test_no_two_folders_make_the_same_list(files: list[tuple[str, bytes]]) -> None:
    lines = sorted(
        {
            digests._Line(path.encode(), b"%b  %b\0" % (hashlib.sha256(data).hexdigest().encode(), path.encode()))
            for path, data in files
        }
    )
    text = b"".join(line.text for line in lines)
    assert [one[66:] for one in text.split(b"\0")[:-1]] == [line.path for line in lines]


def test_a_file_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    place = tmp_path / "f"
    seen = set()
    for text in ("aaaa", "bbbb", "cccc"):  # The same size, and within the grain of the clock of files.
        place.write_text(text)
        seen.add(digest_of(place).digest)
        again: list[int] = []
        digest_of(place, again.append)
        assert again == [4]  # Read again: it was written a moment ago.
    assert len(seen) == 3


def test_a_file_that_has_lain_still_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "f"
    place.write_text("x")
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)
    first, told = digest_of(place), []
    assert digest_of(place, told.append) == first
    assert told == []
    place.write_text("yy")
    assert digest_of(place) != first


def test_what_has_no_content_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    for wrong, told in (
        ("pipe", "neither a file nor a folder"),
        ("dangling", "No such file"),
        ("none", "No such file"),
        ("", "neither|No such"),
    ):
        with pytest.raises(errors.InvalidArgumentError, match=told):
            digest_of(tmp_path / wrong)


def test_a_long_one_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "f").write_bytes(bytes(3 << 20))
    monkeypatch.setattr(digests, "_TELL_S", -1.0)
    digest_of(tmp_path / "f")
    assert "taking its digest" in caplog.text
