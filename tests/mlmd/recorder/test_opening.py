"""`mlmd.open`: where a store is."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import mlmd
from mlmd import errors
from mlmd.opening import OpenError
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.opening import config_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_store_is_opened_by_a_folder_a_setting_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVLOG_STORE", raising=False)
    for where in (None, "metadata", tmp_path / "metadata"):
        with mlmd.open(where) as s, s.run("Trainer") as r:
            pass
    assert r.id == 3
    monkeypatch.setenv("EVLOG_STORE", str(tmp_path / "other"))
    with mlmd.open() as s, s.run("Trainer") as r:
        pass
    assert r.id == 1
    assert (tmp_path / "other" / "log").is_dir()


def test_a_client_of_ml_metadata_is_opened_as_it_is() -> None:
    metadata = mlmd.MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    assert mlmd.open(metadata).metadata is metadata
    with mlmd.open(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig())) as s, s.run("Trainer"):
        pass
    metadata.close()


def test_a_host_and_a_port_are_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_of("localhost:8080") == pb.MetadataStoreClientConfig(host="localhost", port=8080)
    assert config_of("[::1]:8080") == pb.MetadataStoreClientConfig(host="[::1]", port=8080)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd:8080").mkdir()
    assert isinstance(config_of("odd:8080"), pb.ConnectionConfig)
    with mlmd.open("localhost:1") as s, pytest.raises(errors.UnavailableError), s.run("Trainer"):
        raise AssertionError("never entered")


@pytest.mark.parametrize("where", ["a\udcff", 7, "", " ", b"x", "a\0b", "host:99999", [], object()])
def test_what_names_no_store_is_refused(where: Any) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="names no store|a port is|no text in UTF-8"):
        mlmd.open(where)


def test_a_folder_of_somebody_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(OpenError, match="not empty and holds no store"):
        mlmd.open(tmp_path)
    with pytest.raises(OpenError, match="an evlog store is a folder"):
        mlmd.open(tmp_path / "mine")
    with pytest.raises(OpenError, match="does not exist"):
        mlmd.open(tmp_path / "no" / "where")
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]


def test_who_imports_the_package_imports_no_recorder() -> None:
    code = "import sys, mlmd; mlmd.MetadataStore; print([m for m in sys.modules if m.startswith(('mlmd.recorder.', 'mlmd.display')) and m != 'mlmd.recorder.words'])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
    code = "import sys, mlmd; s = mlmd.open(':memory:'); print([m for m in ('asyncio', 'grpc', 'duckdb', 'rich', 'click') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
    assert {"open", "In", "Out", "this_run"} <= set(dir(mlmd))
