"""LOGID: which log this is."""

from __future__ import annotations

import pytest

from evlog import identity
from evlog.errors import CorruptLogError, FormatVersionError, NoLogError
from evlog.memory import MemoryFolder


def folder_with(text: bytes) -> MemoryFolder:
    folder = MemoryFolder()
    folder.files[identity.NAME] = bytearray(text)
    return folder


def test_what_was_created_is_read_back() -> None:
    folder = MemoryFolder()
    created = identity.create(folder)
    assert identity.read(folder) == created
    assert folder.names() == ["LOGID"]
    assert created.origin == f"evlog/{created.log_id.hex()}"


def test_two_logs_have_two_ids() -> None:
    assert identity.create(MemoryFolder()) != identity.create(MemoryFolder())


def test_writing_again_changes_nothing() -> None:
    folder = MemoryFolder()
    created = identity.create(folder)
    text = bytes(folder.files["LOGID"])
    identity.write_again(folder, created)
    assert bytes(folder.files["LOGID"]) == text


def test_a_missing_identity_is_no_log() -> None:
    with pytest.raises(NoLogError):
        identity.read(MemoryFolder())


def test_a_change_of_any_bit_and_a_cut_anywhere_are_refused() -> None:
    folder = MemoryFolder()
    identity.create(folder)
    text = bytes(folder.files["LOGID"])
    for bit in range(len(text) * 8):
        changed = bytearray(text)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptLogError):  # A changed number is damage, no newer format: the checksum is ours.
            identity.read(folder_with(bytes(changed)))
    for cut in range(len(text)):
        with pytest.raises(CorruptLogError):
            identity.read(folder_with(text[:cut]))
    with pytest.raises(CorruptLogError):
        identity.read(folder_with(text + b"\n"))


def test_a_log_of_a_newer_format_is_refused_with_both_versions() -> None:
    with pytest.raises(FormatVersionError, match="upgrade") as caught:
        identity.read(folder_with(b"evlog log, format 2\nwhatever comes then\n"))
    assert (caught.value.found, caught.value.known) == (2, 1)
