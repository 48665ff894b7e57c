"""What a ConnectionConfig opens, and what it refuses: a RuntimeError with the status as its code."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from evlog.frame import crc32c
from mlmd import MetadataStore, downgrade_schema, errors
from mlmd.opening import OpenError, open_folder
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

Mode = pb.SqliteMetadataSourceConfig


def config(uri: object, mode: Mode.ConnectionMode.ValueType | None = None) -> pb.ConnectionConfig:
    return pb.ConnectionConfig(sqlite=Mode(filename_uri=str(uri), connection_mode=mode))


def put(store: MetadataStore, name: str = "T") -> int:
    return store.put_artifact_type(pb.ArtifactType(name=name))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    store = MetadataStore(config(tmp_path / "store"))
    put(store)
    store.close()
    return tmp_path / "store"


def test_a_store_is_made_by_default_and_opened_again(place: Path) -> None:
    store = MetadataStore(config(place))
    assert [one.name for one in store.get_artifact_types()] == ["T"]
    assert store.get_artifact_type("T").id == 10
    store.close()


@pytest.mark.parametrize("uri", ["", ":memory:", "file::memory:", "file:anything?mode=memory"])
def test_a_store_in_memory_is_private_to_its_object(uri: str) -> None:
    one, other = MetadataStore(config(uri)), MetadataStore(config(uri))
    put(one)
    assert other.get_artifact_types() == []
    one.close()
    other.close()


def test_file_uris_name_a_folder_and_a_mode(place: Path) -> None:
    reader = MetadataStore(config(f"file:{place}?mode=ro"))
    assert reader.get_artifact_type("T").id == 10
    with pytest.raises(errors.InternalError, match="attempt to write a readonly database"):
        put(reader, "U")
    reader.close()
    MetadataStore(config(f"file:{place}?mode=rw")).close()
    with pytest.raises(OpenError, match="no such access mode"):
        MetadataStore(config(f"file:{place}?mode=x"))


@pytest.mark.parametrize(
    ("mode", "asked"), [(Mode.READONLY, "rw"), (Mode.READONLY, "rwc"), (Mode.READWRITE, "rwc"), (None, "ro&mode=rw")]
)
def test_a_file_uri_may_ask_for_less_than_the_mode_and_not_for_more(place: Path, mode: int | None, asked: str) -> None:
    with pytest.raises(OpenError, match="access mode not allowed: rw"):
        MetadataStore(config(f"file:{place}?mode={asked}", mode))


def test_a_file_uri_names_no_other_machine_and_no_empty_mode(place: Path) -> None:
    with pytest.raises(OpenError, match="invalid uri authority: example.com"):
        MetadataStore(config(f"file://example.com{place}"))
    with pytest.raises(OpenError, match="no such access mode"):
        MetadataStore(config(f"file:{place}?mode="))
    MetadataStore(config(f"file://localhost{place}")).close()


def test_a_read_only_store_answers_and_lets_pass_what_changes_nothing(place: Path) -> None:
    writer, reader = MetadataStore(config(place)), MetadataStore(config(place, Mode.READONLY))
    assert put(reader) == 10
    assert reader.put_artifacts([]) == []
    assert put(writer, "U") == 11
    assert reader.get_artifact_type("U").id == 11, "it sees what others put"
    writer.close()
    shutil.rmtree(place / "views")
    again = MetadataStore(config(place, Mode.READONLY))
    assert again.get_artifact_type("U").id == 11, "without a view it replays"
    assert not (place / "views").exists()
    again.close()
    reader.close()


@pytest.mark.parametrize("mode", [Mode.READONLY, Mode.READWRITE])
def test_a_store_that_is_not_there_is_made_only_if_the_mode_says_so(tmp_path: Path, mode: int) -> None:
    with pytest.raises(RuntimeError, match="unable to open database file") as caught:
        MetadataStore(config(tmp_path / "absent", mode))  # type: ignore[arg-type]
    assert isinstance(caught.value, OpenError)
    assert caught.value.error_code == errors.INTERNAL
    assert not (tmp_path / "absent").exists()


def test_a_link_to_what_is_not_there_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("away")
    with pytest.raises(OpenError, match="link: unable to open database file: it is a link to away, which is not there"):
        MetadataStore(config(tmp_path / "link"))


def test_folders_above_are_not_made(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="unable to open database file"):
        MetadataStore(config(tmp_path / "no" / "such" / "store"))


def test_a_file_or_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "mlmd.db"
    connection = sqlite3.connect(database)
    connection.execute("create table t (x)")
    connection.commit()
    connection.close()
    with pytest.raises(OpenError, match="evlog -s NEW-FOLDER import"):
        MetadataStore(config(database))
    (tmp_path / "text").write_text("no database")
    with pytest.raises(OpenError, match="file is not a database"):
        MetadataStore(config(tmp_path / "text"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes").touch()
    with pytest.raises(OpenError, match="holds no store"):
        MetadataStore(config(tmp_path / "folder"))
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["notes"]


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        (pb.ConnectionConfig(), errors.INVALID_ARGUMENT, "Unset"),
        (pb.ConnectionConfig(retry_options={"max_num_retries": 1}), errors.INVALID_ARGUMENT, "Unset"),
        (pb.ConnectionConfig(mysql={"host": "h", "database": "d"}), errors.UNIMPLEMENTED, "mysql is no backend"),
        (pb.ConnectionConfig(postgresql={"host": "h"}), errors.UNIMPLEMENTED, "postgresql is no backend"),
    ],
)
def test_other_backends_are_refused(wrong: pb.ConnectionConfig, code: int, words: str) -> None:
    with pytest.raises(OpenError, match=words) as caught:
        MetadataStore(wrong)
    assert caught.value.error_code == code


@pytest.mark.parametrize("wrong", [None, "a path", Mode(filename_uri="x")])
def test_what_is_no_config_is_a_value_error(wrong: object) -> None:
    with pytest.raises(ValueError, match="expecting either"):
        MetadataStore(wrong)  # type: ignore[arg-type]


def test_a_damaged_log_is_data_loss_and_says_where(place: Path) -> None:
    segment = next((place / "log").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[300] ^= 1
    segment.write_bytes(data)
    with pytest.raises(RuntimeError, match="evlog verify") as caught:
        MetadataStore(config(place))
    assert isinstance(caught.value, OpenError)
    assert caught.value.error_code == errors.DATA_LOSS
    assert segment.name in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_log_that_lost_what_its_view_holds_is_refused(place: Path) -> None:
    kept = place.with_name("kept")
    shutil.copytree(place / "log", kept)
    store = MetadataStore(config(place))
    put(store, "U")
    store.close()
    shutil.rmtree(place / "log")
    with pytest.raises(OpenError, match="the log is gone"):
        MetadataStore(config(place))
    kept.rename(place / "log")
    with pytest.raises(OpenError, match="acknowledged"):
        MetadataStore(config(place))
    shutil.rmtree(place / "views")
    store = MetadataStore(config(place))
    assert [one.name for one in store.get_artifact_types()] == ["T"]
    store.close()


def test_a_copy_of_a_closed_store_is_a_store_links_followed_or_not(place: Path, tmp_path: Path) -> None:
    for symlinks in (True, False):
        copy = tmp_path / f"copy {symlinks}"
        shutil.copytree(place, copy, symlinks=symlinks)
        store = MetadataStore(config(copy))
        assert put(store, "U") == 11
        store.close()


def test_a_newer_log_asks_for_an_upgrade(place: Path) -> None:
    identity = place / "log" / "LOGID"
    text = identity.read_bytes().replace(b"format 1", b"format 2").rpartition(b"crc ")[0]
    identity.write_bytes(text + b"crc %08x\n" % crc32c(text))
    with pytest.raises(OpenError, match="upgrade evlog-mlmd") as caught:
        MetadataStore(config(place))
    assert caught.value.error_code == errors.FAILED_PRECONDITION


def test_a_folder_whose_name_is_no_text_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(OpenError, match="no text in UTF-8") as caught:
        open_folder(tmp_path / "a\udcff", create=True)
    assert caught.value.error_code == errors.INVALID_ARGUMENT
    assert not list(tmp_path.iterdir())


def test_downgrading_refuses_what_would_rewrite_history(place: Path) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="downgrade_to_schema_version not specified"):
        downgrade_schema(config(place), -1)
    with pytest.raises(errors.InvalidArgumentError, match="MLMD cannot be downgraded to schema_version"):
        downgrade_schema(config(place), 11)
    downgrade_schema(config(place), 10)
    with pytest.raises(RuntimeError, match="never rewritten"):
        downgrade_schema(config(place), 9)
    with pytest.raises(RuntimeError, match="Empty database"):
        downgrade_schema(pb.ConnectionConfig(fake_database={}), 0)
