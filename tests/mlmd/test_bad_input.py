"""Whatever a person names by mistake, or somebody forged: one line that says what is wrong, an exit code, and nothing changed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from stores import opened, run

from evlog.tlog import keys
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlmd import MetadataStore

PROOF, POLICY, ACTORS, SIGNED = (
    "proof",
    "policy",
    "actors",
    "signed",
)  # What the fixture makes, for `store` and for `other`.


def _filled(place: Path) -> None:
    store: MetadataStore = opened(place)
    type_id = store.put_artifact_type(pb.ArtifactType(name="Model"))
    store.put_artifacts([pb.Artifact(type_id=type_id, name="taxi")])
    store.close()


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two stores with keys, `store` and `other`, and beside each a proof, a policy, keys of actors and a checkpoint."""
    place = tmp_path_factory.mktemp("bad")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EVLOG_KEY", raising=False)
        patch.setenv("XDG_CONFIG_HOME", str(place / "config"))
        for name in ("store", "other"):
            store = place / name
            assert run("init", store).exit_code == 0
            _filled(store)
            for words in (
                ("keys", "new", "-k", place / f"{name}.key"),
                ("checkpoint", "-k", place / f"{name}.key", "--copy-to", place / f"{name}.{SIGNED}"),
            ):
                assert run("-s", store, *words).exit_code == 0, words
            policy = run("-s", store, "keys", "policy", "-k", place / f"{name}.key").stdout
            (place / f"{name}.{POLICY}").write_text(policy, encoding="utf-8")
            (place / f"{name}.{ACTORS}").write_text(keys.new("ana").verifier.vkey + "\n", encoding="utf-8")
            assert run("-s", store, "prove", "art:1", "-O", place / f"{name}.{PROOF}").exit_code == 0
            assert run("-s", store, "backup", place / f"{name}.backup").exit_code == 0
        yield place


def _rubbish(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 20)


BAD: dict[str, Callable[[Path], object]] = {
    "missing": lambda _: None,
    "a folder": lambda path: path.mkdir(),
    "empty": lambda path: path.write_bytes(b""),
    "rubbish": _rubbish,
    "text": lambda path: path.write_text("nothing of ours\n" * 3, encoding="utf-8"),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "a device": lambda path: path.symlink_to("/dev/null"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a name too long": lambda _: None,
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "keys show": ("-s", "{store}", "keys", "show", "-k", "{bad}"),
    "keys policy": ("-s", "{store}", "keys", "policy", "-k", "{bad}"),
    "keys of an actor": ("keys", "show", "--actor", "ana", "-k", "{bad}"),
    "checkpoint": ("-s", "{store}", "checkpoint", "-k", "{bad}"),
    "checkpoint --policy": ("-s", "{store}", "checkpoint", "-k", "{there}/store.key", "--witness", "http://127.0.0.1:9/", "--policy", "{bad}"),
    "prove": ("-s", "{store}", "prove", "art:1", "-O", "{bad}/proof"),
    "check": ("check", "{bad}", "--policy", "{there}/store.policy"),
    "check --policy": ("check", "{there}/store.proof", "--policy", "{bad}"),
    "check --actors": ("check", "{there}/store.proof", "--policy", "{there}/store.policy", "--actors", "{bad}"),
    "verify --since": ("-s", "{store}", "verify", "--since", "{bad}"),
    "verify --policy": ("-s", "{store}", "verify", "--since", "{there}/store.signed", "--policy", "{bad}"),
    "verify --actors": ("-s", "{store}", "verify", "--actors", "{bad}"),
    "backup": ("-s", "{store}", "backup", "{bad}/copy/there"),
    "restore": ("restore", "{bad}", "{there}/new"),
    "repair --checkpoint": ("-s", "{store}", "repair", "--checkpoint", "{bad}"),
    "repair --policy": ("-s", "{store}", "repair", "--checkpoint", "{there}/store.signed", "--policy", "{bad}"),
    "personal": ("-s", "{store}", "personal", "{bad}"),
    "serve": ("serve", "--metadata_store_server_config_file", "{bad}"),
    "import": ("-s", "{there}/new", "import", "{bad}"),
    "import openlineage": ("-s", "{there}/new", "import", "openlineage:{bad}"),
    "export prov": ("-s", "{store}", "export", "prov", "{bad}/new"),
    "export openlineage": ("-s", "{store}", "export", "openlineage", "{bad}/new"),
    "export openlineage --state": ("-s", "{store}", "export", "openlineage", "-", "--state", "{bad}"),
    "export rocrate": ("-s", "{store}", "export", "rocrate", "run:1", "{bad}"),
    **{
        f"{name} in it": ("-s", "{bad}", *words)
        for name, words in {
            "status": ("status",),
            "keys": ("keys", "show"),
            "checkpoint": ("checkpoint",),
            "prove": ("prove", "art:1", "-O", "{there}/new"),
            "verify": ("verify",),
            "backup": ("backup", "{there}/new"),
            "compress": ("compress",),
            "export openlineage": ("export", "openlineage", "-"),
            "mcp": ("mcp",),
            "repair": ("repair",),
            "accept-loss": ("accept-loss", "--offset", "0", "--reason", "r"),
            "erase": ("erase", "ana", "--reason", "r"),
            "personal": ("personal",),
        }.items()
    },
}  # fmt: skip

FINE = {
    ("prove", "a folder"),  # It goes in there.
    ("export prov", "a folder"),
    ("export openlineage", "a folder"),
    ("export openlineage --state", "missing"),
    ("export openlineage --state", "a link to itself"),  # Which leads to nothing, and is replaced.
    ("backup", "missing"),
    ("backup", "a folder"),
    ("personal", "empty"),  # Nothing is personal from there on.
    ("personal", "a device"),
}


def refused(there: Path, words: tuple[str, ...], bad: Path) -> str:
    """Run a command; fail unless it is refused in a line that a person understands, and leaves nothing behind."""
    result = run(*(word.format(store=there / "store", there=there, bad=bad) for word in words))
    assert result.exit_code in (1, 2, 3), (result.exit_code, result.output, result.exception)
    said = result.stderr + result.stdout
    assert said.strip(), "it says nothing"
    assert "fault of evlog" not in said, said
    assert "Traceback" not in said, said
    assert result.exit_code == 3 or result.stderr.startswith("evlog: "), said
    return said


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_read_is_refused_in_words(there: Path, tmp_path: Path, command: str, what: str) -> None:
    bad = tmp_path / ("bad" if what != "a name too long" else "b" * 300)
    BAD[what](bad)
    if (command, what) in FINE:
        return
    refused(there, COMMANDS[command], bad)
    assert not (there / "new").exists(), "something is left behind"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another for a while")
@pytest.mark.parametrize("command", COMMANDS)
def test_what_may_not_be_read_is_refused_in_words(there: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "bad").write_text("x", encoding="utf-8")
    tmp_path.chmod(0o700)
    for one in (there, there.parent):
        one.chmod(0o755)
    os.seteuid(65534)
    try:
        refused(there, COMMANDS[command], tmp_path / "bad")
    finally:
        os.seteuid(0)


FOREIGN = {
    "a proof of another log": ("check", "{there}/other.proof", "--policy", "{there}/store.policy"),
    "a policy of another log": ("check", "{there}/store.proof", "--policy", "{there}/other.policy"),
    "a checkpoint for a proof": ("check", "{there}/store.signed", "--policy", "{there}/store.policy"),
    "a proof for a policy": ("check", "{there}/store.proof", "--policy", "{there}/store.proof"),
    "an actor who never signed": ("check", "{there}/store.proof", "--policy", "{there}/store.policy", "--actors", "{there}/store.actors"),
    "a checkpoint of another log": ("-s", "{store}", "verify", "--since", "{there}/other.signed"),
    "a checkpoint nobody trusted signed": ("-s", "{store}", "verify", "--since", "{there}/store.signed", "--policy", "{there}/other.policy"),
    "a key of another log": ("-s", "{store}", "checkpoint", "-k", "{there}/other.key"),
    "a policy for a key": ("-s", "{store}", "checkpoint", "-k", "{there}/store.policy"),
    "a backup of another log": ("-s", "{store}", "backup", "{there}/other.backup"),
    "a store for a backup": ("restore", "{there}/store", "{there}/new"),
    "a file where a folder should be": ("-s", "{store}", "backup", "{there}/store.proof"),
    "a subject nobody knows": ("-s", "{store}", "erase", "nobody", "--reason", "r"),
    "a loss that is none": ("-s", "{store}", "accept-loss", "--offset", "1", "--reason", "r"),
    "a place in the store": ("-s", "{store}", "checkpoint", "-k", "{there}/store.key", "--copy-to", "{store}/copy"),
}  # fmt: skip


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_somebody_else_s_is_refused_in_words(there: Path, tmp_path: Path, what: str) -> None:
    refused(there, FOREIGN[what], tmp_path)


@pytest.mark.parametrize("name", [PROOF, POLICY, SIGNED])
def test_what_was_tampered_with_is_refused_in_words(there: Path, tmp_path: Path, name: str) -> None:
    data = (there / f"store.{name}").read_bytes()
    use = {
        PROOF: ("check", "{bad}", "--policy", "{there}/store.policy"),
        POLICY: ("check", "{there}/store.proof", "--policy", "{bad}"),
        SIGNED: ("-s", "{store}", "verify", "--since", "{bad}", "--policy", "{there}/store.policy"),
    }[name]
    assert (
        run(*(word.format(store=there / "store", there=there, bad=there / f"store.{name}") for word in use)).exit_code
        == 0
    )
    for at in range(0, len(data), max(1, len(data) // 12)):
        (tmp_path / "bad").write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        refused(there, use, tmp_path / "bad")
        if data[:at] == data.rstrip():  # Nothing is missing.
            continue
        (tmp_path / "bad").write_bytes(data[:at])
        refused(there, use, tmp_path / "bad")


def test_a_damaged_backup_is_not_restored(there: Path, tmp_path: Path) -> None:
    shutil.copytree(there / "store.backup", tmp_path / "bad")
    manifest = tmp_path / "bad" / "log" / "BACKUP"
    data = manifest.read_bytes()
    for changed in (
        b"",
        data[: len(data) // 2],
        b"[" * 5_000,
        data.replace(b'"log_id": "', b'"log_id": "zz'),
        b"\xff" + data,
    ):
        manifest.write_bytes(changed)
        refused(there, ("restore", "{bad}", "{there}/new"), tmp_path / "bad")


@pytest.mark.parametrize(
    "text",
    ["[" * 5_000, "a = " + "[" * 5_000, "a = " + "9" * 5_000, "personal = 5", "[[personal]]\nx = 1", "[personal"],
)
def test_rules_that_are_none_are_refused_in_words(there: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad").write_text(text, encoding="utf-8")
    refused(there, COMMANDS["personal"], tmp_path / "bad")
