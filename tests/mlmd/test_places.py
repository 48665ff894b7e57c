"""How a store is named, and where one is found that is not named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlmd import places
from mlmd.places import Server


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("my-store", Path("my-store")),
        ("/data/mlmd", Path("/data/mlmd")),
        ("a/b:80", Path("a/b:80")),
        ("host:8080", Server("host", 8080)),
        ("grpc://host:8080", Server("host", 8080)),
        ("grpc://host:8080/", Server("host", 8080)),
        ("grpcs://host:8080", Server("host", 8080, tls=True)),
        ("[::1]:8080", Server("[::1]", 8080)),
        ("127.0.0.1:1", Server("127.0.0.1", 1)),
        ("host:", Path("host:")),
        ("~/mlmd", Path.home() / "mlmd"),
    ],
)
def test_a_name_means_a_folder_or_a_server(text: str, means: Path | Server) -> None:
    assert places.parse(text) == means


def test_a_folder_that_looks_like_a_server_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("host:8080").mkdir()
    assert places.parse("host:8080") == Path("host:8080")
    assert places.parse("grpc://host:8080") == Server("host", 8080)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\0b",
        "host:0",
        "host:65536",
        "grpc://host",
        "grpcs://host",
        "grpc://:8080",
        "grpc://a/b:1",
        "~nobody-of-that-name/x",
    ],
)
def test_a_name_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names no|a port is"):
        places.parse(text)


def test_a_store_is_found_upward_as_the_folder_itself_or_the_one_called_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(places.VARIABLE, raising=False)
    deep = tmp_path / "project" / "notebooks" / "deep"
    deep.mkdir(parents=True)
    assert places.found(deep) is None

    def make(store: Path) -> None:
        (store / "log").mkdir(parents=True)
        (store / "log" / "LOGID").touch()

    make(tmp_path / "project" / "metadata")
    assert places.found(deep) == tmp_path / "project" / "metadata"
    make(tmp_path / "project" / "notebooks")
    assert places.found(deep) == tmp_path / "project" / "notebooks"
    monkeypatch.setenv(places.VARIABLE, "host:8080")
    assert places.found(deep) == Server("host", 8080)
    monkeypatch.setenv(places.VARIABLE, "host:99999")
    with pytest.raises(ValueError, match="a port is"):
        places.found(deep)
