"""`evlog repair` and `evlog accept-loss`, as a person and as a program use them; and a store whose device is full."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import data, run
from device import mounted, stuff

from evlog import head, identity
from evlog.files import RealFolder
from evlog.log import Log
from evlog.tlog import anchors, keys
from mlmd import MetadataStore, errors
from mlmd.proto import metadata_store_pb2 as pb
from replay.verify import verify_actors

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

SEGMENT = "00000000000000000000.seg"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a key, a checkpoint over all of it, and a proof of its last record; and a backup of it."""
    folder = tmp_path_factory.mktemp("repairing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(keys.VARIABLE, str(folder / "key"))
        place = folder / "store"
        for words in (
            ["demo", "--guide", str(place)],
            ["-s", str(place), "keys", "new"],
            ["-s", str(place), "checkpoint", "--copy-to", str(folder / "last.txt")],
            ["-s", str(place), "prove", "#12", "-O", str(folder / "last.tlog-proof")],
            ["-s", str(place), "backup", str(folder / "copy")],
        ):
            result = run(*words)
            assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(shutil.copytree(made, tmp_path / "all", symlinks=True))
    monkeypatch.setenv(keys.VARIABLE, str(folder / "key"))
    monkeypatch.chdir(folder)
    return folder / "store"


def refused(code: int, *words: str) -> tuple[str, str]:
    result = run(*words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    what, hint = result.stderr.splitlines()[-2:]
    assert what.startswith("evlog: ")
    assert hint.startswith("try: ")
    return what, hint


def position_of(place: Path, offset: int) -> int:
    with contextlib.closing(Log.open(place / "log", writable=False)) as log:
        return log.frame(offset).position


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def spoil(place: Path, *offsets: int) -> None:
    """Flip a bit in the body of each of these records."""
    for position in [position_of(place, offset) for offset in offsets]:
        flip(place / "log" / SEGMENT, position + 70)


def files_of(place: Path) -> dict[str, bytes]:
    names = ("LOCK", "COMPRESS", "-shm", "-wal")  # What reading makes, and looking.
    return {
        str(path): path.read_bytes() for path in place.rglob("*") if path.is_file() and not str(path).endswith(names)
    }


def test_a_flipped_bit_is_found_repaired_and_found_no_more(place: Path) -> None:
    before = (place / "log" / SEGMENT).read_bytes()
    spoil(place, 8)
    damaged = (place / "log" / SEGMENT).read_bytes()
    _, hint = refused(3, "-s", str(place), "log", "-n", "6")
    assert "verify, then evlog" in hint
    assert "repair --from COPY" in hint
    assert run("-s", str(place), "verify").exit_code == 3
    (row,) = data("-s", str(place), "repair", "--from", "copy", "--reason", "disk 3")
    assert (row["file"], row["start"], row["stop"], row["source"]) == (SEGMENT, 8, 9, "copy")
    assert row["committed"] == "a published tile"
    assert (place / "log" / row["quarantine"]).read_bytes() == damaged
    assert (place / "log" / SEGMENT).read_bytes().startswith(before)
    told = data("-s", str(place), "verify", "--since", "last.txt")
    assert (told["sound"], told["findings"]) == (True, [])
    (last,) = data("-s", str(place), "log", "-n", "1")
    assert (last["api"], last["reason"], last["changes"][0]["t"]) == ("Repair", "disk 3", "repaired")
    assert "repaired 00000000000000000000.seg" in run("-s", str(place), "log", "-n", "1").stdout
    assert run("check", "last.tlog-proof", "--policy", "store/tlog/policy").exit_code == 0
    assert data("-s", str(place), "repair", "--from", "copy") == []


def test_a_dry_run_tells_what_would_be_taken_and_changes_nothing(place: Path) -> None:
    spoil(place, 3, 9)
    (place / "log" / identity.NAME).unlink()
    before = files_of(place)
    rows = data("-s", str(place), "repair", "--from", "copy", "--dry-run")
    assert [(row["file"], row["start"], row["quarantine"]) for row in rows] == [
        (SEGMENT, 3, None),
        (SEGMENT, 9, None),
        (identity.NAME, None, None),
    ]
    assert files_of(place) == before
    assert run("-s", str(place), "repair", "--from", "copy").exit_code == 0
    assert data("-s", str(place), "verify")["findings"] == []


@pytest.mark.parametrize("name", [identity.NAME, head.NAME])
def test_what_needs_no_copy_is_mended_without_one(place: Path, name: str) -> None:
    path = place / "log" / name
    kept = path.read_bytes()
    path.write_bytes(bytes(len(kept)))
    (row,) = data("-s", str(place), "repair")
    assert (row["file"], row["start"]) == (name, None)
    assert data("-s", str(place), "verify")["findings"] == []


def test_the_copy_may_be_a_store_a_backup_or_a_folder_of_segments(place: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(place / "log" / SEGMENT, bare)
    other = shutil.copytree(place, tmp_path / "other", symlinks=True)
    for copy in (bare, other, Path("copy"), Path("copy/log")):
        spoil(place, 8)
        (row,) = data("-s", str(place), "repair", "--from", str(copy))
        assert row["source"] == str(copy)
        assert data("-s", str(place), "verify")["sound"]


def test_what_cannot_be_repaired_is_refused_and_left_alone(place: Path, tmp_path: Path) -> None:
    spoil(place, 8)
    before = files_of(place)
    assert run("demo", "--guide", str(tmp_path / "another")).exit_code == 0
    for code, why, words in [
        (3, "no copy at hand has record 8", ["repair"]),
        (3, "no copy at hand has record 8", ["repair", "--from", str(tmp_path / "another")]),
        (1, "no segment of a log", ["repair", "--from", str(tmp_path)]),
        (1, "the store itself", ["repair", "--from", str(place)]),
        (1, "whole up to offset 8, not 9", ["accept-loss", "--offset", "9", "--reason", "x"]),
        (2, "why is the loss accepted", ["accept-loss", "--offset", "8"]),
        (3, "at least 5 are lost", ["accept-loss"]),
    ]:
        assert why in refused(code, "-s", str(place), *words)[0], words
    for words in (
        ["repair", "--from", "nowhere"],
        ["repair", "--from", "last.txt"],
        ["repair", "--checkpoint", "store"],
        ["accept-loss", "--offset", "-1"],
    ):
        assert run("-s", str(place), *words).exit_code == 2, words
    for name, text in [("note", "no note"), ("last.txt", "")]:
        (tmp_path / "note").write_text("x")
        result = run("-s", str(place), "repair", "--checkpoint", str(tmp_path / name) if text else name)
        assert result.exit_code == (1 if text else 3)
        assert text in result.stderr
    assert files_of(place) == before


def test_records_lost_at_the_end_come_back_under_a_checkpoint_that_was_kept(place: Path) -> None:
    shutil.rmtree(place / "tlog")
    path = place / "log" / SEGMENT
    with path.open("r+b") as file:
        file.truncate(position_of(place, 9))
    what, _ = refused(3, "-s", str(place), "repair", "--from", "copy")
    assert "nothing at hand says that the records 9 to 11" in what
    (row,) = data("-s", str(place), "repair", "--from", "copy", "--checkpoint", "last.txt")
    assert (row["start"], row["stop"], row["committed"]) == (9, 13, "the tree")
    assert data("-s", str(place), "verify", "--since", "last.txt")["records"] == 14


def test_a_loss_is_accepted_told_by_every_verify_and_the_store_goes_on(place: Path) -> None:
    spoil(place, 8)
    _, hint = refused(3, "-s", str(place), "accept-loss")
    assert hint.endswith("accept-loss --offset 8 --reason TEXT")
    row = data("-s", str(place), "accept-loss", "--offset", "8", "--reason", "ticket 81")
    assert (row["records"], row["lost"], row["broken_checkpoint"]) == (8, 5, 13)
    assert all(Path(name).exists() for name in row["set_aside"])
    assert (place.parent / "key.signed.lost-8").exists()
    store = MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))
    store.put_artifact_type(pb.ArtifactType(name="After"))
    store.close()
    told = data("-s", str(place), "verify")
    (note,) = told["findings"]
    assert (told["sound"], note["severity"], note["offset"]) == (True, "note", 8)
    assert "ticket 81" in note["what"]
    assert data("-s", str(place), "checkpoint")["records"] == 10
    assert [one["severity"] for one in data("-s", str(place), "verify")["findings"]] == ["note"]
    since = run("-s", str(place), "verify", "--since", "last.txt")
    assert since.exit_code == 3, "what was promised to others stays broken"
    assert refused(1, "-s", str(place), "accept-loss")[0].endswith("no record is lost: there is no loss to accept")
    assert run("-s", str(place), "backup", "another").exit_code == 0
    assert run("-s", str(place), "backup", "copy").exit_code == 3


def test_a_repair_that_was_interrupted_is_told_and_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(place, 8)
    with monkeypatch.context() as patch:
        patch.setattr(RealFolder, "rename", _failing_rename(RealFolder.rename, SEGMENT))
        assert run("-s", str(place), "repair", "--from", "copy").exit_code == 1
    result = run("-s", str(place), "verify")
    assert "was interrupted: the same command again goes on" in result.stdout
    assert run("-s", str(place), "repair", "--from", "copy").exit_code == 0
    assert data("-s", str(place), "verify")["findings"] == []


def _failing_rename(rename: Any, target: str) -> Any:
    def fails(folder: RealFolder, old: str, new: str) -> None:
        if new == target:
            raise OSError(5, "injected")
        rename(folder, old, new)

    return fails


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small", 48 * 1024) as place:
        yield place


def test_a_store_on_a_full_device_can_be_read_and_is_written_to_once_there_is_room(small: Path) -> None:
    place = small / "store"
    assert run("demo", "--guide", str(place)).exit_code == 0
    config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))
    store = MetadataStore(config)
    stuffing = stuff(small)
    context_type = store.get_context_types()[0].id
    large = pb.Context(type_id=context_type, name="large")
    large.custom_properties["text"].string_value = "x" * 3_000_000
    with pytest.raises(errors.ResourceExhaustedError):
        store.put_contexts([large])
    for words in (["artifacts"], ["status"], ["log"], ["--at", "#5", "executions"], ["verify"], ["show", "art:1"]):
        result = run("-s", str(place), *words)
        assert result.exit_code == 0, (words, result.output)
        assert "large" not in result.stdout
    assert len(store.get_artifacts()) == 2
    stuffing.unlink()
    store.put_contexts([large])
    assert [one.name for one in store.get_contexts()][-1] == "large"
    store.close()
    assert data("-s", str(place), "verify")["sound"]


# With anchors, keys of actors, and personal values ----------------------------------------------------------------------


def set_anchors(place: Path, *names: str) -> None:
    (place / anchors.NAME).write_text("".join(f"{Path(name).absolute()}\n" for name in names))


def names_in(path: Path) -> list[str]:
    return [Path(line).name for line in path.read_text().splitlines()]


def test_the_copies_at_the_anchors_are_commitments_by_themselves(place: Path) -> None:
    for name in ("checkpoint", "tile", "checkpoints"):
        path = place / "tlog" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    shutil.rmtree(place / "views")
    with (place / "log" / SEGMENT).open("r+b") as file:
        file.truncate(position_of(place, 9))
    (place / "log" / head.NAME).unlink()
    assert refused(3, "-s", str(place), "repair")[0].count("13 were acknowledged")
    row, _ = data("-s", str(place), "repair", "--from", "copy")
    assert (row["start"], row["stop"], row["committed"]) == (9, 13, "the tree")
    assert data("-s", str(place), "verify")["sound"]


def test_an_anchor_is_not_believed_whose_copy_no_known_key_signed(place: Path) -> None:
    spoil(place, 8)
    set_anchors(place, "last.txt")
    text = Path("last.txt").read_text().replace("\n13\n", "\n9999\n")
    Path("last.txt").write_text(text)
    result = run("-s", str(place), "repair", "--from", "copy", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "is not believed" in result.stderr
    assert "a published tile" in result.stdout


def test_after_a_loss_the_anchors_that_know_more_are_none_of_the_store_any_more(place: Path) -> None:
    Path("empty").mkdir()
    set_anchors(place, "last.txt", "empty", "unplugged")
    spoil(place, 8)
    row = data("-s", str(place), "accept-loss", "--offset", "8", "--reason", "ticket 81")
    assert (row["records"], row["broken_checkpoint"]) == (8, 13)
    assert str(place / "lost" / "8" / "anchors") in row["set_aside"]
    assert names_in(place / anchors.NAME) == ["empty"]
    assert names_in(place / "lost" / "8" / "anchors") == ["last.txt", "unplugged"]
    store = MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))
    store.put_artifact_type(pb.ArtifactType(name="After"))
    store.close()
    assert run("-s", str(place), "checkpoint", "--copy-to", "new.txt").exit_code == 0
    assert [one["severity"] for one in data("-s", str(place), "verify")["findings"]] == ["note"]
    assert run("-s", str(place), "verify", "--since", "last.txt").exit_code == 3


def test_what_a_person_with_a_key_does_is_signed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("keys", "new", "--actor", "ana", "-k", "ana.key").exit_code == 0
    monkeypatch.setenv("EVLOG_ACTOR_KEY", str(Path("ana.key").absolute()))
    spoil(place, 8)
    assert run("-s", str(place), "repair", "--from", "copy").exit_code == 0
    spoil(place, 8)
    assert run("-s", str(place), "accept-loss", "--offset", "8", "--reason", "ticket 81").exit_code == 0
    with contextlib.closing(Log.open(place / "log", writable=False)) as log:
        signed, findings = verify_actors(log)
    assert findings == []
    assert list(signed.values()) == [1]
