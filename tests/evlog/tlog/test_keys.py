"""Signing keys: made once, read by their owner alone, never quoted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from evlog.errors import EvidenceError
from evlog.tlog import keys


def test_a_key_is_read_as_it_was_written_and_only_its_owner_may(tmp_path: Path) -> None:
    key, path = keys.new("evlog/one"), tmp_path / "deep" / "er" / "key"
    old = os.umask(0)
    try:
        keys.write(key, path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.read(path, "evlog/one").verifier == key.verifier
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(EvidenceError, match="chmod 600"):
            keys.read(path, "evlog/one")


def test_a_key_never_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys.write(keys.new("evlog/one"), path)
    before = path.read_bytes()
    with pytest.raises(EvidenceError, match="never replaced"):
        keys.write(keys.new("evlog/one"), path)
    assert path.read_bytes() == before
    with pytest.raises(EvidenceError, match="cannot be written"):
        keys.write(keys.new("evlog/one"), path / "below")


def test_a_key_of_another_log_signs_nothing_here(tmp_path: Path) -> None:
    keys.write(keys.new("evlog/one"), tmp_path / "key")
    with pytest.raises(EvidenceError, match="signs for evlog/one, not for evlog/two"):
        keys.read(tmp_path / "key", "evlog/two")


@pytest.mark.parametrize("change", ["", "x", "PRIVATE+KEY+", "PRIVATE+KEY+a+b+c", "\xff", "\0" * 10_000])
def test_what_is_no_key_is_refused_and_not_quoted(tmp_path: Path, change: str) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(change, encoding="latin-1")
    with pytest.raises(EvidenceError, match="no signing key"):
        keys.read(path, "evlog/one")
    with pytest.raises(EvidenceError, match="cannot be read"):
        keys.read(tmp_path / "none", "evlog/one")


def test_a_damaged_key_is_told_from_no_key_and_its_secret_is_not_told() -> None:
    secret = keys.new("evlog/one").written()
    at = secret.index("+A") + 10
    damaged = secret[:at] + ("B" if secret[at] != "B" else "C") + secret[at + 1 :]
    with pytest.raises(EvidenceError, match="damaged") as caught:
        keys.parse(damaged)
    assert damaged[at:] not in str(caught.value)


def test_a_key_is_looked_for_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVLOG_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/user")
    assert keys.place_of(b"\x01" * 16) == Path(f"/etc/user/evlog/keys/{'01' * 16}.key")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert keys.place_of(b"\x01" * 16).parent == Path.home() / ".config" / "evlog" / "keys"
    monkeypatch.setenv("EVLOG_KEY", "/run/secrets/key")
    assert keys.place_of(b"\x01" * 16) == Path("/run/secrets/key")
