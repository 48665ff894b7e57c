"""What cannot be imported is refused in words that say what to do."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import run
from mlmd_files import changed, made

from mlmd import MetadataStore
from mlmd.exchange.database import Database
from mlmd.exchange.errors import SourceError
from mlmd.exchange.sources import as_written
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable


def refused(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert result.stderr.startswith("evlog: ")
    return result.stderr


BROKEN: dict[str, tuple[str, str]] = {
    "too old": (
        "update MLMDEnv set schema_version = 3",
        "schema version 3; 4 to 10 can be imported: open it once with",
    ),
    "too new": (
        "update MLMDEnv set schema_version = 11",
        "schema version 11; 4 to 10 can be imported: it was written by a newer",
    ),
    "no version": ("delete from MLMDEnv", "holds 0 schema versions instead of one"),
    "two versions": ("insert into MLMDEnv values (9)", "holds 2 schema versions instead of one"),
    "a table is missing": (
        "drop table EventPath",
        "of version 10, but there is no table EventPath: its making or migration",
    ),
    "a column is missing": (
        "alter table Context rename column external_id to other",
        "but Context has no column external_id",
    ),
    "before versions": ("drop table MLMDEnv", "from before schema versions were kept"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_database_that_is_not_whole_or_not_of_a_known_version_is_refused(tmp_path: Path, case: str) -> None:
    sql, said = BROKEN[case]
    path = made(tmp_path / "metadata.db", sql)
    assert said in refused("-s", str(tmp_path / "store"), "import", str(path))
    assert not list(tmp_path.glob("store*"))


def _another(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table t (a)")
    connection.close()


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda _: None, "there is no such file"),
    "a folder": (Path.mkdir, "a folder; a database of ML Metadata is a file"),
    "a text": (
        lambda path: path.write_text("no database at all, but long enough to be looked at" * 9),
        "file is not a database",
    ),
    "an empty file": (Path.touch, "no database of ML Metadata: it has no table MLMDEnv"),
    "another database": (_another, "no database of ML Metadata: it has no table MLMDEnv"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_none_is_refused(tmp_path: Path, case: str) -> None:
    make, said = FILES[case]
    make(tmp_path / "source")
    assert said in refused("-s", str(tmp_path / "store"), "import", str(tmp_path / "source"))
    assert not list(tmp_path.glob("store*"))


def test_a_locked_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlmd.exchange.sources._LOCKED_S", 0.1)
    path = made(tmp_path / "metadata.db")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    assert "another process holds it locked" in refused("-s", str(tmp_path / "store"), "import", str(path))
    other.close()


URLS = {
    "mysql://[::1/metadb": "Invalid IPv6 URL",
    "oracle://db/x": "oracle://: no such kind of database",
    "mysql://root:secret@127.0.0.1:1/metadb": "mysql://root@127.0.0.1:1/metadb: ",
    "mysql://root@127.0.0.1:1": "names no database",
    "mysql://root@127.0.0.1:nope/metadb": "Port could not be cast",
    "mysql://root@127.0.0.1:1/metadb?colour=red": "no such option: colour",
    "postgresql://mlmd:secret@127.0.0.1:1/metadb": "postgresql://mlmd@127.0.0.1:1/metadb: ",
    "postgresql://mlmd@127.0.0.1:1/metadb?colour=red": 'invalid URI query parameter: "colour"',
}


@pytest.mark.parametrize("url", URLS)
def test_a_server_that_is_not_reached_is_told_without_its_password(tmp_path: Path, url: str) -> None:
    pytest.importorskip("pymysql")
    pytest.importorskip("psycopg")
    told = refused("-s", str(tmp_path / "store"), "import", url)
    assert URLS[url] in told
    assert "secret" not in told


@pytest.mark.parametrize(("module", "url"), [("pymysql", "mysql://h/d"), ("psycopg", "postgresql://h/d")])
def test_a_driver_that_is_missing_is_named_with_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, url: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert "pip install 'evlog-mlmd[import]'" in refused("-s", str(tmp_path / "store"), "import", url)


def test_only_a_new_or_empty_place_becomes_a_store(tmp_path: Path) -> None:
    path = made(tmp_path / "metadata.db")
    assert "a file; a store is a folder" in refused("-s", str(path), "import", str(path))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "not empty and holds no store" in refused("-s", str(tmp_path / "full"), "import", str(path))
    assert "does not exist" in refused("-s", str(tmp_path / "a" / "b"), "import", str(path))
    (tmp_path / "empty").mkdir()
    assert run("-s", str(tmp_path / "empty"), "import", str(path)).exit_code == 0
    assert run("-s", str(tmp_path / "empty"), "status").exit_code == 0


def test_the_report_says_the_same_in_every_format(tmp_path: Path) -> None:
    path = made(tmp_path / "metadata.db", "update Event set type = 99")
    words = ("-s", str(tmp_path / "store"), "import", str(path))
    first = json.loads(run(*words, "--json").stdout)
    assert (first["schema_version"], first["records"]) == (10, 9)
    assert first["kept"] == [
        {"table": "Event", "rows": 1, "why": "no such type of event"},
        {"table": "EventPath", "rows": 1, "why": "what it belongs to is not there, or could not be put"},
    ]
    tables = {row["table"]: row for row in first["tables"]}
    assert tables["Artifact"] | {"digest": ""} == {
        "table": "Artifact", "rows": 3, "new": 3, "changed": 0, "same": 0, "kept": 0, "digest": "",
    }  # fmt: skip
    again = run(*words)
    assert "kept 1 of Event: no such type of event" in again.stdout
    assert "nothing new" in again.stderr
    lines = [json.loads(line) for line in run(*words, "-o", "jsonl").stdout.splitlines()]
    assert [(line["table"], line["digest"]) for line in lines] == [
        (row["table"], row["digest"]) for row in first["tables"]
    ]
    log = run("-s", str(tmp_path / "store"), "log", "-n", "0").stdout
    assert "kept a row of Event" in log
    kept = [
        json.loads(line)
        for line in run("-s", str(tmp_path / "store"), "log", "-n", "0", "-o", "jsonl").stdout.splitlines()
    ]
    assert "foreign_row" in json.dumps(kept)


def test_the_database_is_not_written_to(tmp_path: Path) -> None:
    path = made(tmp_path / "metadata.db")
    before = path.read_bytes()
    path.chmod(0o444)
    assert run("-s", str(tmp_path / "store"), "import", str(path)).exit_code == 0
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["metadata.db", "store"]


def test_all_is_of_one_moment(tmp_path: Path) -> None:
    path = made(tmp_path / "metadata.db", "pragma journal_mode = wal")
    database = Database.open(str(path))
    before = len(next(database.batches(database_table("Artifact"))))
    changed(path, "insert into Artifact values (9, 1, 'u9', 2, 'n9', null, 50, 50)")
    assert len(next(database.batches(database_table("Artifact")))) == before
    database.close()
    with pytest.raises(SourceError):
        database.count(database_table("Artifact"))


def database_table(name: str):
    from mlmd.exchange.schema import TABLES

    return next(table for table in TABLES if table.name == name)


@pytest.mark.parametrize("text", ["é", "größe 🙂", "日本", "\x81\x8d\x8f\x90\x9d", "Ã"])
def test_a_text_that_went_through_latin1_is_read_as_it_was_written(text: str) -> None:
    codes = {bytes((code,)).decode("cp1252", "ignore") or chr(code): code for code in range(256)}
    characters = {code: character for character, code in codes.items()}
    assert as_written("".join(characters[byte] for byte in text.encode())) == text


@pytest.mark.parametrize("text", ["é", "日本", "naïve", "🙂", "é🙂"])
def test_a_text_that_did_not_is_what_it_says(text: str) -> None:
    assert as_written(text) == text


def test_a_config_that_names_a_database_is_told_how_to_import_it(tmp_path: Path) -> None:
    path = made(tmp_path / "metadata.db")
    config = pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(path)))
    with pytest.raises(RuntimeError, match=rf"evlog -s NEW-FOLDER import {path}"):
        MetadataStore(config)
